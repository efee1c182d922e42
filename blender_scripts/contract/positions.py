"""The positions of a connector's pins on the drawing: a grid, staggered rows, a circle, or a table."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from blender_scripts.contract.errors import shown
from blender_scripts.contract.toml_section import TomlSection

RULES = ("grid", "staggered", "circle", "table")
_MOST = 4000
_LABEL_LENGTH = 16


@dataclass(frozen=True)
class Position:
    """One position of the connector, with a pin or without one (a blank).

    Attributes:
        index: number among the positions with a pin, from 1; 0 for a blank.
        row: number of its row, from 1 at the top.
        position: number in its row, from 1 at the left.
        cavity: label of its cavity on the drawing.
        x_mm, y_mm: centre of its cavity, from the drawing's origin.
    """

    index: int
    row: int
    position: int
    cavity: str
    x_mm: float
    y_mm: float

    @property
    def address(self) -> str:
        """Name of the position in manifests and messages, such as r2c5: row 2, position 5 in that row."""
        return f"r{self.row}c{self.position}"


def read_positions(section: TomlSection) -> tuple[tuple[Position, ...], tuple[Position, ...]]:
    """Read the scene file's table `[positions]`.

    Mistakes are noted in `section`.

    Returns:
        The positions with a pin, and the positions without one (`blanks`), both row by row.
    """
    every = _every_position(section)
    expected = f"a list of different addresses ({every[0].address} to {every[-1].address}), not all of them"
    given = section.value("blanks", expected, "")
    blank = given if "blanks" in section.data else []
    known = {position.address for position in every}
    good = isinstance(blank, list) and all(isinstance(address, str) and address in known for address in blank)
    if not good or len(set(blank)) < len(blank) or len(blank) >= len(every):
        section.wrong("blanks", expected, shown(blank))
        blank = []
    pins = [position for position in every if position.address not in blank]
    return (
        tuple(replace(position, index=index) for index, position in enumerate(pins, 1)),
        tuple(replace(position, index=0) for position in every if position.address in blank),
    )


def _every_position(section: TomlSection) -> tuple[Position, ...]:
    rule = section.choice("rule", RULES)
    rows = {"grid": _grid, "staggered": _staggered, "circle": _circle, "table": _table}[rule](section)
    count = sum(len(row) for row in rows)
    if count > _MOST:
        section.wrong(None, f"at most {_MOST} positions", str(count))
        rows = rows[:1]
    labels = _cavities(section, [len(row) for row in rows])
    places = [(r, c, place) for r, row in enumerate(rows, 1) for c, place in enumerate(row, 1)]
    return tuple(
        Position(index, row, column, label, *place)
        for index, ((row, column, place), label) in enumerate(zip(places, labels, strict=True), 1)
    )


Rows = list[list[tuple[float, float]]]


def _pitch(section: TomlSection) -> tuple[float, float]:
    x, y = section.numbers("pitch_mm", 2, 0.1, 100.0)
    return x, y


def _centred(counts: list[int], pitch: tuple[float, float]) -> Rows:
    """Place rows one above the other, each centred on the Y axis, all of them centred on the X axis."""
    return [
        [
            ((column - 0.5 * (count - 1)) * pitch[0], (0.5 * (len(counts) - 1) - row) * pitch[1])
            for column in range(count)
        ]
        for row, count in enumerate(counts)
    ]


def _grid(section: TomlSection) -> Rows:
    rows = section.integer("rows", 1, 100)
    columns = section.integer("columns", 1, 200)
    return _centred([columns] * rows, _pitch(section))


def _staggered(section: TomlSection) -> Rows:
    expected = "a list with the number of positions, 1 to 200, of each of 1 to 100 rows, such as [5, 4]"
    counts = section.value("counts", expected)
    good = isinstance(counts, list) and 1 <= len(counts) <= 100
    if not good or not all(type(count) is int and 1 <= count <= 200 for count in counts):
        if counts is not None:
            section.wrong("counts", expected, shown(counts))
        counts = [1]
    return _centred(counts, _pitch(section))


def _circle(section: TomlSection) -> Rows:
    count = section.integer("count", 1, 200)
    radius = section.number("radius_mm", 0.1, 250.0)
    start = section.number("start_deg", -360.0, 360.0, 90.0)
    turns = [math.radians(start - 360.0 * i / count) for i in range(count)]
    return [[(radius * math.cos(turn), radius * math.sin(turn)) for turn in turns]]


def _table(section: TomlSection) -> Rows:
    expected = "a list of rows, each a list of [x, y] in mm from -500 to 500, row 1 first"
    rows = section.value("at_mm", expected)
    if rows is None:
        return [[(0.0, 0.0)]]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) and row for row in rows):
        section.wrong("at_mm", expected, shown(rows))
        return [[(0.0, 0.0)]]
    for place in (place for row in rows for place in row):
        if not (
            isinstance(place, list)
            and len(place) == 2
            and all(type(value) in (int, float) and -500.0 <= value <= 500.0 for value in place)
        ):
            section.wrong("at_mm", expected, shown(place))
            return [[(0.0, 0.0)]]
    return [[(float(x), float(y)) for x, y in row] for row in rows]


def _cavities(section: TomlSection, counts: list[int]) -> list[str]:
    """The cavity labels of the drawing, in the order of the positions."""
    total = sum(counts)
    expected = f"'rows', 'columns', or a list of {total} different labels of 1 to {_LABEL_LENGTH} characters"
    order = section.value("cavities", expected, "rows")
    if order == "rows":
        return [str(number) for number in range(1, total + 1)]
    if order == "columns":
        numbers = iter(range(1, total + 1))
        by_place = {
            (row, column): str(next(numbers))
            for column in range(max(counts))
            for row, count in enumerate(counts)
            if column < count
        }
        return [by_place[row, column] for row, count in enumerate(counts) for column in range(count)]
    if (
        isinstance(order, list)
        and len(order) == total
        and all(isinstance(label, str) and 1 <= len(label) <= _LABEL_LENGTH for label in order)
        and all(label.isprintable() for label in order)
        and len(set(order)) == total
    ):
        return order
    section.wrong("cavities", expected, shown(order))
    return [str(number) for number in range(1, total + 1)]
