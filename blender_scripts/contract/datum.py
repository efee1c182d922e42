"""The datum of a scene: the housing's features from which a pin's place is measured.

The moulding of a part is larger or smaller than the drawing's. Measures are taken in the frame of its datum features:
A, the mating face, for heights; B and C, faces of the shell or features stated by their nominal places, for X and Y.
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
    """The features at which X and Y begin, and their nominal places on the drawing.

    Attributes:
        x, y: `origin` (the drawing's origin), a side or the middle of the shell, or `feature` (another feature).
        x_mm, y_mm: nominal X of the one and nominal Y of the other feature.
    """

    x: str = ORIGIN
    y: str = ORIGIN
    x_mm: float = 0.0
    y_mm: float = 0.0

    def shift_mm(self, scale: float) -> tuple[float, float]:
        """How far the datum lies from its nominal place in X and Y.

        Args:
            scale: size of the moulding divided by the drawing's, about the drawing's origin.
        """
        return (scale - 1.0) * self.x_mm, (scale - 1.0) * self.y_mm

    def stated(self) -> dict[str, Any]:
        """The datum as connectors.json holds it, mm to a nanometre."""
        return {"x": self.x, "y": self.y, "x_mm": round(self.x_mm, 6) + 0.0, "y_mm": round(self.y_mm, 6) + 0.0}


def read_datum(section: TomlSection, outside: Contour, opening: Contour) -> Datum:
    """Read the table `[datum]`.

    Args:
        section: the table; empty: the drawing's origin.
        outside, opening: the shell's outer and inner edge.
    """
    surface = section.choice("surface", ("outside", "opening"), "outside")
    low, high = (outside if surface == "outside" else opening).bounds
    (x, x_mm), (y, y_mm) = (_feature(section, name, low[axis], high[axis]) for axis, name in enumerate(_SIDES))
    return Datum(x, y, x_mm, y_mm)


def _feature(section: TomlSection, name: str, low: float, high: float) -> tuple[str, float]:
    first, last = _SIDES[name]
    places = {ORIGIN: 0.0, first: low, last: high, "middle": 0.5 * (low + high)}
    expected = f"one of {', '.join(places)}, or the feature's nominal place, from -500 to 500 mm"
    value = section.value(name, expected, ORIGIN)
    if isinstance(value, str) and value in places:
        return value, places[value]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _FARTHEST_MM:
        return "feature", float(value)
    section.wrong(name, expected, shown(value))
    return ORIGIN, 0.0
