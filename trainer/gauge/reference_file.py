"""Read the CSV file of a reference: measures of pins by a coordinate measuring machine, one line for each pin."""

import io
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from blender_scripts.contract.csv_file import CsvRows, yes_or_no
from blender_scripts.contract.errors import shown
from trainer.core.errors import InputError
from trainer.gauge.reference import Reference

_NAMES, _TIP = ("part", "address"), ("dx_mm", "dy_mm")
_HEIGHT, _U, _PRESENT, _COMMENT = "height_mm", "u_mm", "present", "comment"
COLUMNS = (*_NAMES, *_TIP, _HEIGHT, _U, _PRESENT, _COMMENT)


def read_reference(path: Path) -> Reference:
    """Read a CSV file with the columns part, address, dx_mm, dy_mm and, if known, height_mm, u_mm and present.

    A missing pin (`present` is no) has no measures; in a file of missing pins alone, dx_mm and dy_mm may be left out. A
    column `comment` is not read. Other columns are refused, as they may be misspelt.

    Raises:
        InputError: the file cannot be read, or has mistakes; the messages name line and column of each.
    """
    problems: list[str] = []

    def wrong(line: int, column: str, expected: str, got: str) -> None:
        problems.append(f"--reference {path}:{line} {column}: expected {expected}, got {got}")

    try:
        # Spreadsheets begin such a file with a byte order mark.
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        got = getattr(error, "strerror", None) or "bytes that are no UTF-8 text"
        raise InputError(f"--reference {path}: expected a CSV file, got: {got}") from None
    rows = CsvRows(io.StringIO(text, newline=""), COLUMNS, wrong, _NAMES, named=_named, refused=_refused, ragged=True)
    measures: dict[str, dict[str, np.ndarray]] = {}
    u_mm: dict[str, dict[str, float]] = {}
    missing: set[tuple[str, str]] = set()
    for line, cells in rows:
        part, address = (cells[name] for name in _NAMES)
        if not part or not address:
            wrong(line, _NAMES[bool(part)], "a name", "nothing")
        elif address in measures.setdefault(part, {}):
            wrong(line, "address", "each pin once", f"{part} {address} a second time")
        values, u, is_there = np.full(3, math.nan), None, True
        try:
            is_there = _is_there(cells)
            values, u = _values(cells, rows) if is_there else (values, None)
        except _WrongCell as error:
            wrong(line, error.column, error.expected, error.got)
            if error.column not in cells:
                break  # the same in every line
        measures.setdefault(part, {})[address] = values
        if u is not None:
            u_mm.setdefault(part, {})[address] = u
        if not is_there:
            missing.add((part, address))
    if not measures and not problems:
        wrong(2, "row", "at least one pin", "none")
    if problems:
        raise InputError(problems)
    return Reference(measures, u_mm, frozenset(missing))


class _WrongCell(ValueError):
    """A cell with a mistake: its column, what was expected, and what was found."""

    def __init__(self, column: str, expected: str, got: str) -> None:
        super().__init__(column, expected, got)
        self.column, self.expected, self.got = column, expected, got


def _named(cell: str) -> str:
    name = cell.strip()
    return name.lower() if name.lower() in COLUMNS else name


def _refused(name: str) -> str | None:
    return None if name in COLUMNS else f"one of the columns {', '.join(COLUMNS)}"


def _is_there(cells: Mapping[str, str]) -> bool:
    """Whether there is a pin, as a line states; raises _WrongCell if a missing pin has measures."""
    text = cells.get(_PRESENT, "")
    answer = yes_or_no(text, empty=True)
    if answer is None:
        raise _WrongCell(_PRESENT, "yes or no", shown(text))
    if not answer and (stated := [f"{name} {cells[name]}" for name in (*_TIP, _HEIGHT) if cells.get(name)]):
        raise _WrongCell(_PRESENT, "yes for a pin with measures", f"{text} and {', '.join(stated)}")
    return answer


def _values(cells: Mapping[str, str], rows: CsvRows) -> tuple[np.ndarray, float | None]:
    """Values (3,) and uncertainty that a line states; raises _WrongCell."""
    dx, dy = (_number(cells, name, rows) for name in _TIP)
    height = _number(cells, _HEIGHT, rows) if _is_stated(cells, _HEIGHT) else math.nan
    u = _number(cells, _U, rows) if _is_stated(cells, _U) else None
    if u is not None and u < 0.0:
        raise _WrongCell(_U, "an uncertainty of at least 0 mm", cells[_U])
    return np.array([dx, dy, -height]), u


def _is_stated(cells: Mapping[str, str], name: str) -> bool:
    """Whether a cell has a value; tables of numbers that come from programs write `nan` where there is none."""
    return cells.get(name, "").lower() not in ("", "nan")


def _number(cells: Mapping[str, str], name: str, rows: CsvRows) -> float:
    if name not in cells:
        raise _WrongCell(name, f"this column, or {_PRESENT} no for a missing pin", "no such column")
    try:
        value = rows.number(cells[name])
    except ValueError as error:
        expected, _, got = str(error).removeprefix("expected ").partition(", got ")
        raise _WrongCell(name, expected if got else "a number of mm", got or shown(cells[name])) from None
    if not math.isfinite(value):
        raise _WrongCell(name, "a finite number of mm", shown(cells[name]))
    return value
