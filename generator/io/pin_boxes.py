"""Read the boxes of the pins in a picture: the file of the option `--positions`.

It is a CSV file with the columns address, x1, y1, x2, y2 (px) and optionally cavity and others, or a record: the JSON
file that the renderer writes for each picture. Of a record, the boxes that good pins would have (`expected`) are read.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blender_scripts.contract.csv_file import CsvRows
from blender_scripts.contract.errors import InputError, shown
from generator.io.json_text import parse_json

EDGES = ("x1", "y1", "x2", "y2")
COLUMNS = ("address", *EDGES)
# Larger numbers, px either way, lie in no picture: they are mistakes, and arithmetic with them overflows.
LARGEST_PX = 1e6


@dataclass(frozen=True)
class PinBox:
    """One pin's box on a picture.

    Attributes:
        address: row and position of the pin, such as r1c3; `print` for the box of the printed marking.
        box: x1, y1, x2, y2 in px, x1 < x2 and y1 < y2, from -1e6 to 1e6 if they were read from a file.
        cavity: label of the cavity on the drawing; None if the file has none.
        place: where the box was read, for messages, such as `pins.csv:2`; empty if it was not read from a file.
    """

    address: str
    box: tuple[float, float, float, float]
    cavity: str | None = None
    place: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return the address and the box as a file states them, such as `r1c1, 25, 26, 65, 44`."""
        return ", ".join([self.address, *(f"{edge:g}" for edge in self.box)])


def read_pin_boxes(path: Path) -> tuple[list[PinBox], Path | None]:
    """Read the boxes of a picture's pins from a file.

    Args:
        path: a record of the renderer (.json), or a CSV file.

    Returns:
        The boxes in the file's order, and the path where a record's picture lies in its render folder (None for a CSV
        file, or a record that names no run).

    Raises:
        InputError: the file cannot be read, or lines or positions have mistakes; the messages name each.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        got = getattr(error, "strerror", None) or "bytes that are no UTF-8 text"
        raise InputError(
            f"{path}: expected a record of the renderer (.json), or a CSV file with the columns {', '.join(COLUMNS)}, "
            f"got: {got}"
        ) from None
    boxes, picture = _of_record(path, text) if path.suffix.lower() == ".json" else (_of_table(path, text), None)
    counts = Counter(box.address for box in boxes)
    if twice := [address for address, count in counts.items() if count > 1]:
        raise InputError(f"{path}: expected each address once, got {', '.join(twice)} more than once")
    return boxes, picture


def _of_table(path: Path, text: str) -> list[PinBox]:
    problems: list[str] = []

    def wrong(line: int, column: str, expected: str, got: str) -> None:
        problems.append(f"{path}:{line} {column}: expected {expected}, got {got}")

    rows = CsvRows(io.StringIO(text, newline=""), COLUMNS, wrong, ragged=True, index=True)
    if missing := [name for name in COLUMNS if name not in rows.names]:
        got = ", ".join(filter(None, rows.names)) or "an empty file"
        raise InputError(
            f"{path}:1: expected the columns {', '.join(COLUMNS)}, got no {', '.join(missing)} in: {got[:200]}"
        )
    boxes = []
    for line, cells in rows:
        try:
            box = _box(rows.number(cells[name]) for name in EDGES)
            if not cells["address"]:
                raise ValueError
            boxes.append(PinBox(cells["address"], box, cells.get("cavity") or None, f"{path}:{line}"))
        except ValueError:
            values = [cells[name] or "nothing" for name in COLUMNS]
            hint = " (write one decimal mark in the whole file, not a comma if commas separate the columns)"
            problems.append(
                f"{path}:{line}: expected an address, and x1 < x2 and y1 < y2 in px, from -1e6 to 1e6, got "
                f"{', '.join(values)}{hint if any(',' in value for value in values) else ''}"
            )
    if problems:
        raise InputError(problems)
    return boxes


def _of_record(path: Path, text: str) -> tuple[list[PinBox], Path | None]:
    try:
        record = parse_json(text)
        positions = list(record["positions"])
    except (ValueError, KeyError, TypeError) as error:
        got = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: expected a record of the renderer with the key `positions`, got {got}") from None
    boxes, problems = [], []
    for number, position in enumerate(positions):
        try:
            box = _numbers(position["boxes"]["expected"])
            place = f"{path}: positions[{number}]"
            boxes.append(PinBox(_text(position["address"]), box, position.get("cavity") or None, place))
        except (KeyError, TypeError, ValueError, AttributeError):
            problems.append(
                f"{path}: positions[{number}]: expected the keys address, and boxes.expected = [x1, y1, x2, y2] in px "
                f"with x1 < x2 and y1 < y2, from -1e6 to 1e6, got {shown(position)}"
            )
    if problems:
        raise InputError(problems)
    run = record.get("run")
    return boxes, path.parent.parent / "images" / f"{run}.png" if run else None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _numbers(values: Any) -> tuple[float, float, float, float]:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise TypeError
    return _box(values)


def _box(edges: Iterable[float]) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = map(float, edges)
    except OverflowError:
        raise ValueError from None
    if not (-LARGEST_PX <= x1 < x2 <= LARGEST_PX and -LARGEST_PX <= y1 < y2 <= LARGEST_PX):
        raise ValueError
    return x1, y1, x2, y2
