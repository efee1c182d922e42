"""The print on a housing: where it is, and how large."""

from __future__ import annotations

from dataclasses import dataclass

from blender_scripts.contract.housings import Color, read_color
from blender_scripts.contract.toml_section import TomlSection


@dataclass(frozen=True)
class Marking:
    """Position and size of the characters printed on the housing; positions count from the drawing's origin.

    Attributes:
        height_mm, stroke_mm: height of a capital letter, and width of its lines.
        numbers_at: `edges`: row numbers beside the rows and position numbers above; `around`: each cavity's label at
            a distance of `around_mm` from the middle of the shell's opening.
        row_numbers_x_mm, position_numbers_y_mm: X of the row numbers, Y of the position numbers.
        text_at_mm: (x, y) of the middle of a text.
        z_mm: z of the printed surface: 0 if it is the mating face, another value if it is a flange.
        color: linear RGB, 0 to 1.
    """

    height_mm: float
    stroke_mm: float
    numbers_at: str
    row_numbers_x_mm: float
    position_numbers_y_mm: float
    around_mm: float
    text_at_mm: tuple[float, float]
    z_mm: float
    color: Color


def read_marking(section: TomlSection) -> Marking:
    """Read the scene file's table `[marking]`."""
    numbers = section.choice("numbers_at", ("edges", "around"), "edges")
    unused = [0.0] if numbers == "around" else []
    x, y = section.numbers("text_at_mm", 2, -500.0, 500.0)
    return Marking(
        height_mm=section.number("height_mm", 0.1, 50.0),
        stroke_mm=section.number("stroke_mm", 0.01, 10.0),
        numbers_at=numbers,
        row_numbers_x_mm=section.number("row_numbers_x_mm", -500.0, 500.0, *unused),
        position_numbers_y_mm=section.number("position_numbers_y_mm", -500.0, 500.0, *unused),
        around_mm=section.number("around_mm", 0.0, 500.0, *([] if unused else [0.0])),
        text_at_mm=(x, y),
        z_mm=section.number("z_mm", -200.0, 200.0, 0.0),
        color=read_color(section),
    )
