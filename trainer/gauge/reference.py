"""Measures of parts by a reference, such as a coordinate measuring machine, and the CSV file that states them."""

import csv
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from generator.locating.measure import sag_mm
from trainer.core.errors import InputError

_COLUMNS = ("part", "address", "dx_mm", "dy_mm")
_HEIGHT, _U, _PRESENT = "height_mm", "u_mm", "present"
_MEASURES = (*_COLUMNS[2:], _HEIGHT)
# The answers of an augmentation's plan; but an empty cell is yes, as in a file without the column.
_YES = {"yes": True, "y": True, "1": True, "true": True, "": True, "no": False, "n": False, "0": False, "false": False}


@dataclass(frozen=True)
class Reference:
    """Measures of a reference.

    Attributes:
        measures: by part and address, dx, dy and depth of the tip below nominal (3,) in mm; NaN where not stated, as of
            a missing pin.
        u_mm: by part and address, the expanded uncertainty (k = 2) of these values in mm, where it is stated.
        missing: part and address of each position without a pin; they are in `measures`, too.
    """

    measures: Mapping[str, Mapping[str, np.ndarray]]
    u_mm: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing: Collection[tuple[str, str]] = frozenset()

    @classmethod
    def read(cls, path: Path) -> "Reference":
        """Read a CSV file: columns part, address, dx_mm, dy_mm and, if known, height_mm, u_mm and present (yes or no).

        Raises:
            InputError: the file or a cell in it cannot be read, a column is missing, a pin is stated twice, or one that
                is not present has measures.
        """
        found: dict[str, dict[str, np.ndarray]] = {}
        uncertain: dict[str, dict[str, float]] = {}
        missing: set[tuple[str, str]] = set()
        for number, row in _rows(path):
            where = f"--reference {path} line {number}"
            try:
                (part, address), is_there = _named(row, where), _is_there(row, where)
                values, u = _parsed(row) if is_there else (np.full(3, math.nan), None)
            except (KeyError, TypeError, ValueError) as error:
                got = f"no column {error.args[0]}" if isinstance(error, KeyError) else error
                raise InputError(
                    f"{where}: expected the columns {', '.join(_COLUMNS)} and, if known, {_HEIGHT}, {_U} and "
                    f"{_PRESENT} (yes; no for a missing pin, without measures), with numbers in mm, got {got}"
                ) from None
            if address in found.setdefault(part, {}):
                raise InputError(f"{where}: expected each pin once, but {part} {address} is stated twice")
            found[part][address] = values
            if u is not None:
                uncertain.setdefault(part, {})[address] = u
            if not is_there:
                missing.add((part, address))
        return cls(found, uncertain, frozenset(missing))

    def of_terminals(self, lengths_mm: Mapping[str, float]) -> "Reference":
        """Return these measures with the retraction of the terminal in place of the tip's depth.

        A gauge states the retraction: the tip's depth without what the bend lowers the tip. `lengths_mm` has the height
        of each position's nominal tip above its foot, by address.
        """
        measures = {
            part: {
                address: values - (0.0, 0.0, sag_mm(float(np.hypot(*values[:2])), lengths_mm[address]))
                for address, values in pins.items()
            }
            for part, pins in self.measures.items()
        }
        return replace(self, measures=measures)

    def problems(self, photographed: Collection[str], addresses: Collection[str]) -> list[str]:
        """Return what in the file does not fit the photographs and the drawing.

        Args:
            photographed: paths of the photographed parts of the reference; names are their last parts.
            addresses: addresses of the drawing.

        Returns:
            Messages on parts without a photograph, on names that several photographed parts have, and on addresses
            that are not on the drawing.
        """
        names = Counter(Path(part).name for part in photographed)
        found = [f"part {each}: expected a photograph of it, got none" for each in self.measures if not names[each]]
        found += [f"part {name}: expected one part of this name, got {n}" for name, n in names.items() if n > 1]
        found += [
            f"part {part}: expected addresses on the drawing, such as {next(iter(addresses))}, got {', '.join(unknown)}"
            for part, pins in self.measures.items()
            if (unknown := [address for address in pins if address not in addresses])
        ]
        return found

    def check(
        self, photographed: Mapping[str, Sequence[str]], views: Collection[str], addresses: Sequence[str]
    ) -> None:
        """Check that the file fits the photographs and the drawing.

        Args:
            photographed: views of each photographed part of the reference, by its path; names are their last parts.
            views: views of the good parts.
            addresses: addresses of the drawing.

        Raises:
            InputError: a part of the file has no photograph, or several parts have its name; a part does not show the
                views of the good parts; or an address is not on the drawing.
        """
        problems = self.problems(photographed, addresses)
        problems += [
            f"part {part}: expected photographs by the views of the good parts ({', '.join(sorted(views))}), got "
            f"{', '.join(sorted(shown))}"
            for part, shown in photographed.items()
            if set(shown) != set(views)
        ]
        if problems:
            raise InputError([f"--reference: {each}" for each in problems])


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The lines below the header, each as its number in the file and its cells by column.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        # Spreadsheets begin such a file with a byte order mark.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            return [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--reference {path}: expected a CSV file, got {error}") from None


def _named(row: Mapping[str, str], where: str) -> tuple[str, str]:
    """Part and address that a line states; `where`: the line's place, for messages.

    Raises:
        InputError: it has more cells than the header, as with a comma in a number.
        KeyError, ValueError: a column is missing, or a name is empty.
    """
    # `csv.DictReader` collects such cells under None.
    if more := row.get(None):  # type: ignore[call-overload]
        raise InputError(
            f"{where}: expected a cell for each column of the header, got {len(more)} more; the decimal sign is a point"
        )
    if not row["part"] or not row["address"]:
        raise ValueError("an empty name")
    return row["part"], row["address"]


def _is_there(row: Mapping[str, str], where: str) -> bool:
    """Whether there is a pin, as a line states; `where`: the line's place, for messages.

    Raises:
        InputError: the answer is neither yes nor no, or a missing pin has measures.
    """
    text = row.get(_PRESENT) or ""
    answer = _YES.get(text.strip().lower())
    if answer is None:
        raise InputError(f"{where} {_PRESENT}: expected yes or no, got {text!r}")
    stated = [f"{name} {row[name]}" for name in _MEASURES if (row.get(name) or "").strip()]
    if stated and not answer:
        raise InputError(
            f"{where}: expected no measures of a missing pin ({_PRESENT} {text.strip()}), got {', '.join(stated)}"
        )
    return answer


def _parsed(row: Mapping[str, str]) -> tuple[np.ndarray, float | None]:
    """Values (3,) and uncertainty that a line states; raises KeyError, TypeError or ValueError."""
    height = float(row[_HEIGHT]) if row.get(_HEIGHT) else math.nan
    values = np.array([float(row["dx_mm"]), float(row["dy_mm"]), -height])
    if not np.isfinite(values[:2]).all() or np.isinf(height):
        raise ValueError("a number that is not finite")
    u = float(row[_U]) if row.get(_U) else None
    if u is not None and not 0.0 <= u < math.inf:
        raise ValueError(f"an uncertainty {_U} of {row[_U]}")
    return values, u
