"""Find rows of a manifest that repeat a run name, and parts whose rows stand in several splits."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator

from blender_scripts.contract.errors import shown

Cells = dict[str, str]


class Repeats:
    """Finds repeated run names, and parts in several splits, by hashes of 24 bytes a row: a million rows fit in memory.

    Args:
        is_run, is_part, is_split: whether a text has the form of a cell of this column; malformed cells are reported
            elsewhere.
    """

    def __init__(
        self, is_run: Callable[[str], object], is_part: Callable[[str], object], is_split: Callable[[str], object]
    ) -> None:
        self._is_run, self._is_part, self._is_split = is_run, is_part, is_split
        self._runs, self._parts, self._places = array("q"), array("q"), array("q")

    def add(self, cells: Cells) -> None:
        """Store hashes of a row's name, part and split, which `found` compares; `cells`: its cells by column."""
        part = _part(cells)
        number = int(part) if self._is_part(part) and int(part) < 1 << 63 else -1
        self._runs.append(short_hash(cells["run"].lower()))
        self._parts.append(number)
        self._places.append(short_hash(number, cells["split"]))

    def found(self) -> bool:
        """Whether there may be a repeated name, or a part in two splits; malformed cells may count as such."""
        return distinct(self._runs) < len(self._runs) or distinct(self._parts) < distinct(self._places)

    def problems(self, rows: Iterable[tuple[int, Cells]]) -> Iterator[tuple[int, str, str, str]]:
        """Yield line, column, what was expected and what was found, for each repetition in the manifest's rows."""
        lines: dict[str, int] = {}
        splits: dict[int, tuple[str, int]] = {}
        for line, cells in rows:
            # Names that differ in case only would share a file where file names ignore case.
            name = cells["run"].lower()
            if self._is_run(name) and lines.setdefault(name, line) != line:
                expected = f"a name that no other row has (line {lines[name]} has it)"
                yield line, "run", expected, shown(cells["run"])
            part, split = _part(cells), cells["split"]
            if not self._is_part(part) or not self._is_split(split):
                continue
            first_split, first_line = splits.setdefault(int(part), (split, line))
            if split != first_split:
                expected = f"all rows of a part in one split (line {first_line} has part {int(part)} in {first_split})"
                yield line, "part" if "part" in cells else "seed", expected, f"split {shown(split)}"


def short_hash(*values: object) -> int:
    """Return a hash of values that fits an array of type "q": 64 bits, the same in every process."""
    return int.from_bytes(hashlib.blake2b(repr(values).encode(), digest_size=8).digest(), signed=True)


def distinct(hashes: array[int]) -> int:
    """Count different values, a sixteenth of them at a time, so that no large set is made."""
    return sum(len({each for each in hashes if each & 15 == low}) for low in range(16))


def _part(cells: Cells) -> str:
    return cells.get("part") or cells["seed"]
