"""A pin position as on the drawing of a connector, for what reads drawings without scene files."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NominalPosition:
    """One pin position of a connector as on its drawing.

    Attributes:
        address: row and position in the row, both counted from 1, such as r2c5.
        cavity: label of the cavity on the drawing.
        x_mm, y_mm, z_mm: nominal coordinates of the terminal's tip: X right, Y up, Z from the mating face outwards.
        standing_mm: length of the terminal above the cavity floor.
        width_mm, thickness_mm: size of the terminal's cross-section.

    `z_mm`, `standing_mm`, `width_mm` and `thickness_mm` are None where the terminals of a mixture differ in them.
    """

    address: str
    cavity: str
    x_mm: float
    y_mm: float
    z_mm: float | None
    standing_mm: float | None
    width_mm: float | None
    thickness_mm: float | None
