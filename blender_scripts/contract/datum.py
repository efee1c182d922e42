"""The datum of a scene: the features of the housing from which the place of a pin is measured.

Moulded parts shrink, so a housing is a little larger or smaller than on the drawing. Measures refer to its datum
features: A, the mating face, for heights; B and C, sides of the shell or other features, for X and Y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from blender_scripts.contract.contour import Contour
from blender_scripts.contract.errors import shown
from blender_scripts.contract.toml_section import TomlSection

ORIGIN = "origin"
_SIDES = {"x": ("left", "right"), "y": ("bottom", "top")}
_FARTHEST_MM = 500.0


@dataclass(frozen=True)
class Datum:
    """The features from which X and Y are measured.

    Attributes:
        x, y: names of the features from which X and Y are measured, each one of: `origin` (of the drawing), a side of
            the shell such as `left`, `middle` (of the shell), `feature` (any other).
        x_mm, y_mm: X of the feature `x` and Y of the feature `y` on the drawing.
    """

    x: str = ORIGIN
    y: str = ORIGIN
    x_mm: float = 0.0
    y_mm: float = 0.0

    def shift_mm(self, scale: float) -> tuple[float, float]:
        """(x, y), mm, of the datum on a moulded part minus (x, y) of the datum on the drawing.

        Args:
            scale: size of the moulded part divided by that on the drawing; parts scale about the drawing's origin.
        """
        return (scale - 1.0) * self.x_mm, (scale - 1.0) * self.y_mm

    def stated(self) -> dict[str, Any]:
        """Return the datum as it is written in records and in connectors.json; places in mm, rounded to 6 decimals."""
        return {"x": self.x, "y": self.y, "x_mm": round(self.x_mm, 6) + 0.0, "y_mm": round(self.y_mm, 6) + 0.0}


def read_datum(section: TomlSection, outside: Contour, opening: Contour) -> Datum:
    """Read the scene file's table `[datum]`.

    Args:
        section: the table; if it is empty, the datum is the drawing's origin.
        outside, opening: the shell's outer and inner edge.
    """
    surface = section.choice("surface", ("outside", "opening"), "outside")
    low, high = (outside if surface == "outside" else opening).bounds
    (x, x_mm), (y, y_mm) = (_feature(section, name, low[axis], high[axis]) for axis, name in enumerate(_SIDES))
    return Datum(x, y, x_mm, y_mm)


def _feature(section: TomlSection, name: str, low: float, high: float) -> tuple[str, float]:
    first, last = _SIDES[name]
    places = {ORIGIN: 0.0, first: low, last: high, "middle": 0.5 * (low + high)}
    expected = f"{', '.join(places)} or a number: the {name.upper()} of another feature on the drawing, -500 to 500 mm"
    value = section.value(name, expected, ORIGIN)
    if isinstance(value, str) and value in places:
        return value, places[value]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _FARTHEST_MM:
        return "feature", float(value)
    section.wrong(name, expected, shown(value))
    return ORIGIN, 0.0
