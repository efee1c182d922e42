"""Manufacturing scatter: how far good parts are from the drawing."""

from __future__ import annotations

from dataclasses import dataclass

from blender_scripts.contract.toml_section import TomlSection


@dataclass(frozen=True)
class Scatter:
    """Standard deviations of normal distributions around nominal, truncated at `draws.TRUNCATED_AT` deviations.

    Attributes:
        position_mm: place of each pin, in X and in Y.
        tilt_deg: tilt of each pin, about X and about Y.
        height_mm: height of each pin.
        lot_length_mm: deviation of length that all pins of one terminal in a part share.
        shrinkage: size of the moulded part and its pin pattern, as a share of the size on the drawing.
        pattern_shift_mm: place of the whole pin pattern in the shell, in X and in Y.
        pattern_tilt_deg: tilt of the whole pin pattern, about X and about Y.
    """

    position_mm: float
    tilt_deg: float
    height_mm: float
    lot_length_mm: float = 0.0
    shrinkage: float = 0.0
    pattern_shift_mm: float = 0.0
    pattern_tilt_deg: float = 0.0

    @property
    def is_of_pins_only(self) -> bool:
        """Whether all scatter is drawn for each pin alone, so that the pins of a part vary independently."""
        return not (self.lot_length_mm or self.shrinkage or self.pattern_shift_mm or self.pattern_tilt_deg)


def read_scatter(section: TomlSection) -> Scatter:
    """Read the scene file's table `[scatter]`."""
    return Scatter(
        position_mm=section.number("position_mm", 0.0, 5.0),
        tilt_deg=section.number("tilt_deg", 0.0, 10.0),
        height_mm=section.number("height_mm", 0.0, 5.0),
        lot_length_mm=section.number("lot_length_mm", 0.0, 2.0, 0.0),
        shrinkage=section.number("shrinkage", 0.0, 0.02, 0.0),
        pattern_shift_mm=section.number("pattern_shift_mm", 0.0, 2.0, 0.0),
        pattern_tilt_deg=section.number("pattern_tilt_deg", 0.0, 5.0, 0.0),
    )
