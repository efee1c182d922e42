"""Read CSV files as spreadsheets save them: commas, semicolons, tabs or bars, RFC 4180 quoting, any line ends.

A first line such as ``sep=;`` (Excel) states the delimiter; else it is the one that splits the header into the largest
number of known column names.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain

from blender_scripts.contract.errors import shown

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_ANSWERS = dict.fromkeys(("yes", "y", "1", "true"), True) | dict.fromkeys(("no", "n", "0", "false"), False)
_EXCEL_LINE = re.compile(r'"?sep=([,;\t|])"?\s*', re.IGNORECASE)

# Reports a mistake: line, column, what was expected, what was found.
Wrong = Callable[[int, str, str, str], None]


class CsvRows:
    """Iterates over the rows below a CSV file's header: (line number, cells by column name); blank rows are skipped.

    A column with neither name nor values is left out.

    Args:
        file: the file's lines with their line ends (opened with newline="").
        known: column names by which the delimiter is recognised.
        wrong: called for each mistake with its line, column, what was expected and what was found: for mistakes in the
            header when the object is made, for those in rows during the iteration.
        required: columns that the file must have.
        named: converts a cell of the header to the column's name.
        refused: returns None for an allowed column name, else what is expected instead.
        exact: keep spaces at both ends of a cell.
        ragged: rows may lack their last values, which are then read as empty.
        index: the first column may have no name if it holds whole numbers, as pandas writes a table's index.

    Attributes:
        names: names of the columns; "" for a column without one.
        is_sound: whether the file has a header with all required columns; otherwise it has no rows.
        delimiter: one of DELIMITERS.
    """

    def __init__(
        self,
        file: Iterable[str],
        known: Collection[str],
        wrong: Wrong,
        required: Collection[str] = (),
        *,
        named: Callable[[str], str] = str.strip,
        refused: Callable[[str], str | None] = lambda _: None,
        exact: bool = False,
        ragged: bool = False,
        index: bool = False,
    ) -> None:
        self._wrong, self._exact, self._ragged, self._index = wrong, exact, ragged, index
        self._mark = ""
        lines = iter(file)
        first, self._skipped, given = _first_line(lines)
        self.delimiter = given or _delimiter(first, known, named)
        self._reader = csv.reader(
            chain([first] if first else [], lines), delimiter=self.delimiter, strict=True, skipinitialspace=not exact
        )
        self.names: list[str] = []
        line = self._skipped + 1
        try:
            self.names = [named(cell) for cell in next(self._reader, [])]
        except csv.Error as error:
            self._unreadable(line, error)
            self.is_sound = False
            return
        self.is_sound = self._check_header(line, required, refused)

    def _check_header(self, line: int, required: Collection[str], refused: Callable[[str], str | None]) -> bool:
        names = [name for name in self.names if name]
        if not names:
            self._wrong(1, "header", f"the columns {', '.join(required)}", "nothing")
            return False
        if len(names) == 1 and len(required) > 1 and any(each in names[0] for each in DELIMITERS):
            self._wrong(line, "header", "columns separated by commas, semicolons or tabs", shown(names[0]))
            return False
        seen: set[str] = set()
        for name in names:
            if (expected := refused(name)) is not None:
                self._wrong(line, "header", expected, shown(name))
            elif name in seen:
                self._wrong(line, "header", "each column once", f"{shown(name)} twice")
            seen.add(name)
        missing = [name for name in required if name not in seen]
        if missing:
            expected = f"the column{'s' * (len(missing) > 1)} {', '.join(missing)}"
            self._wrong(line, "header", expected, "no such column")
        return not missing

    def __iter__(self) -> Iterator[tuple[int, dict[str, str]]]:
        if not self.is_sound:
            return
        most = len(self.names)
        least = 1 if self._ragged else max(at for at, name in enumerate(self.names, 1) if name)
        nameless = {at for at, name in enumerate(self.names) if not name}
        start = self._skipped + self._reader.line_num + 1
        try:
            for fields in self._reader:
                line, start = start, self._skipped + self._reader.line_num + 1
                if not any(value.strip() for value in fields):
                    continue
                if not least <= len(fields) <= most:
                    comma = " or a decimal comma" * (self.delimiter == "," and len(fields) > most)
                    got = f"{len(fields)} (a truncated line, a stray {DELIMITERS[self.delimiter]}{comma}?)"
                    self._wrong(line, "row", f"{most} values as in the header", got)
                    continue
                nameless -= self._misplaced(line, fields, nameless)
                cells = fields if self._exact else [value.strip() for value in fields]
                cells += [""] * (most - len(cells))
                yield line, {name: value for name, value in zip(self.names, cells, strict=True) if name}
        except csv.Error as error:
            self._unreadable(start, error)

    def _misplaced(self, line: int, fields: list[str], nameless: set[int]) -> set[int]:
        """Report values in columns without a name; returns these columns, each to be reported once."""
        found = {at for at in nameless if at < len(fields) and fields[at].strip()}
        found -= {0} if self._index and fields[0].strip().isdecimal() else set()
        for at in sorted(found):
            expected = "a name for this column in the header, or no values in the column"
            self._wrong(line, f"column {at + 1}", expected, shown(fields[at].strip()))
        return found

    def _unreadable(self, line: int, error: csv.Error) -> None:
        self._wrong(line, "row", "a valid CSV record", f"{error} (an unclosed quote or a truncated file?)")

    def number(self, text: str) -> float:
        """Convert a cell to a number; the decimal mark is a point, or a comma unless commas separate the columns.

        Raises:
            ValueError: the text is no number, or has an underscore, both marks, a comma though commas separate the
                columns, or another mark than earlier numbers in this file.
        """
        if "_" in text:  # Python reads 0_8 as 8
            raise ValueError(f"expected a number without an underscore, got {text!r}")
        marks = {mark for mark in ",." if mark in text}
        if not marks:
            return float(text)
        if len(marks) > 1 or marks == {","} == {self.delimiter} or not marks | {self._mark} <= marks | {""}:
            expected = "the same decimal mark in the whole file, another one than the separator of the columns"
            raise ValueError(f"expected {expected}, got {text!r}")
        value = float(text.replace(",", "."))
        self._mark = marks.pop()
        return value


def yes_or_no(text: str, empty: bool) -> bool | None:
    """Return whether a cell says yes (y, 1, true) or no (n, 0, false), in any case; None: neither.

    `empty`: what an empty cell says.
    """
    answer = text.strip().lower()
    return _ANSWERS.get(answer) if answer else empty


def _first_line(lines: Iterator[str]) -> tuple[str, int, str]:
    """The first line that is not blank ("": none), the number of lines before it, and the delimiter of a line sep=."""
    given, skipped = "", 0
    for line in lines:
        excel = _EXCEL_LINE.fullmatch(line)
        if excel is not None and not given:
            given = excel[1]
        elif line.strip(" \r\n" + "".join(DELIMITERS)):
            return line, skipped, given
        skipped += 1
    return "", skipped, given


def _delimiter(header: str, known: Collection[str], named: Callable[[str], str]) -> str:
    """The delimiter that splits a header's first line into the most known names; the first of DELIMITERS in doubt."""

    def count(delimiter: str) -> int:
        try:
            cells = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
        except csv.Error:
            return 0
        return sum(named(cell) in known for cell in cells)

    return max(DELIMITERS, key=count)
