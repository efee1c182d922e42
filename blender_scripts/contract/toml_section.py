"""Strict reading of TOML tables: every key is checked, all mistakes are reported together with file and line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.text_file import read_text

_HEADER = re.compile(r"\[\[?([^\[\]]+)\]\]?\s*(#.*)?")
_KEY = re.compile(r"""("[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(\s*\.\s*[A-Za-z0-9_-]+)*\s*=""")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
Built = TypeVar("Built")


def _key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Line number of every key and table header, by its path; array tables by number: ("blocks", "0", "size_mm")."""
    lines: dict[tuple[str, ...], int] = {}
    seen: dict[tuple[str, ...], int] = {}
    # A table may have no header of its own: its first sub-table's line is its line.
    implied: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip()
        if header := _HEADER.fullmatch(line):
            table = tuple(piece.strip(" \t\"'") for piece in header.group(1).split("."))
            if line.startswith("[["):
                seen[table] = seen.get(table, -1) + 1
                table = (*table, str(seen[table]))
            lines.setdefault(table, number)
            if len(table) > 1:
                implied.setdefault(table[:-1], number)
        elif match := _KEY.match(line):
            key = match.group(0).rsplit("=", 1)[0]
            lines.setdefault((*table, *(piece.strip(" \"'\t") for piece in key.split("."))), number)
    return {**implied, **lines}


def _is_number(value: object, low: float, high: float) -> bool:
    """Whether a value is a number within limits; comparing, unlike math.isfinite, works for integers of any size."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


class TomlSection:
    """One table of a TOML file, read key by key; at the end, `finish` of the top table reports all mistakes.

    Methods such as `number`, `numbers`, `integer`, `choice` and `text` return the value of a key. A key without a
    `default` is required; `low` and `high` are inclusive. For a wrong value they note the mistake and return a harmless
    value of the right type, so that reading continues.

    Attributes:
        file: name of the file in messages.
        data: the table's keys and values.
        at: path of the table in the file, such as ("housings", "black").
        problems: mistakes of this table so far: (line, message).
    """

    def __init__(
        self, file: str, data: dict[str, Any], lines: dict[tuple[str, ...], int], at: tuple[str, ...] = ()
    ) -> None:
        self.file = file
        self.data = data
        self.at = at
        self._lines = lines
        self._used: set[str] = set()
        self._missing: dict[str, tuple[int, str]] = {}
        self._children: dict[str, TomlSection] = {}
        self.problems: list[tuple[int, str]] = []

    @classmethod
    def read(cls, path: Path, file: str | None = None) -> TomlSection:
        """Parse a TOML file and return its top table; `file`: the file's name in messages (None: that of `path`).

        Raises:
            InputError: the file cannot be read, is not UTF-8 or is not TOML.
        """
        file = file or path.name
        _, text = read_text(path, file)
        try:
            data = tomllib.loads(text)
        except RecursionError:
            raise InputError(f"{file}:1 file: expected valid TOML, got lists or tables nested too deep") from None
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"\(at line (\d+), column \d+\)", str(error))
            line = int(place.group(1)) if place else text.count("\n") + 1
            what = str(error).split(" (at ")[0]
            raise InputError(f"{file}:{line} file: expected valid TOML, got: {what}") from None
        except ValueError:  # raised by int() inside tomllib
            digits = re.search(r"[0-9][0-9_]{4000}", text)
            line = text.count("\n", 0, digits.start() if digits else 0) + 1
            raise InputError(
                f"{file}:{line} file: expected integers of at most 4300 digits, got a longer one"
            ) from None
        return cls(file, data, _key_lines(text))

    def line(self, key: str | None = None) -> int:
        """Return the line number of a key of this table; None, or a missing key: that of the table."""
        place = self.at if key is None else (*self.at, key)
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines.get(place, 1)

    def wrong(self, key: str | None, expected: str, got: str) -> None:
        """Note a mistake in `problems`, at a key of this table (None: at the table): what was expected and found."""
        name = self._name(key) or "file"
        self.problems.append((self.line(key), f"{name}: expected {expected}, got {got}"))

    def _name(self, key: str | None) -> str:
        place = self.at if key is None else (*self.at, key)
        return ".".join(piece if _BARE.fullmatch(piece) and len(piece) <= 64 else shown(piece) for piece in place)

    def _take(self, key: str, expected: str, default: Any) -> Any:
        self._used.add(key)
        if key in self.data:
            return self.data[key]
        if default is None:
            self.wrong(key, expected, "nothing")
            self._missing[key] = self.problems[-1]
        return default

    def value(self, key: str, expected: str, default: Any = None) -> Any:
        """Return the value of a key, unchecked, for callers that accept several types.

        Args:
            key: the key.
            expected: the words after "expected" in the message on a missing key.
            default: value of a missing key; None: a missing key is a mistake.
        """
        return self._take(key, expected, default)

    def _checked(self, key: str, expected: str, default: Any, instead: Any, is_right: Callable[[Any], bool]) -> Any:
        """Return the value of a key, or `instead` for a wrong one or, without a default, for a missing one."""
        value = self._take(key, expected, default)
        if value is None or is_right(value):
            return instead if value is None else value
        self.wrong(key, expected, shown(value))
        return instead

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        """Read a number from `low` to `high`. A wrong value is noted as a mistake, and `low` is returned in its place.

        A missing key gives `default`; if this is None, it is a mistake too.
        """
        expected = f"a number from {low:g} to {high:g}"
        return float(self._checked(key, expected, default, low, lambda value: _is_number(value, low, high)))

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """Read an integer, `low` to `high`, at `key`; returns `default` for a missing key, `low` for a wrong value."""

        def is_right(value: Any) -> bool:
            return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

        return int(self._checked(key, f"an integer from {low} to {high}", default, low, is_right))

    def numbers(
        self, key: str, count: int, low: float, high: float, default: tuple[float, ...] | None = None
    ) -> tuple[float, ...]:
        """Read `count` numbers, `low` to `high`, at `key`; `default` for a missing key, all `low` for a wrong value."""

        def is_right(value: Any) -> bool:
            good = isinstance(value, list | tuple) and len(value) == count
            return good and all(_is_number(each, low, high) for each in value)

        expected = f"{count} numbers from {low:g} to {high:g}"
        return tuple(float(each) for each in self._checked(key, expected, default, (low,) * count, is_right))

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """Read one of `choices` at `key`; returns `default` for a missing key, the first choice for a wrong value."""
        expected, first = "one of " + ", ".join(choices), choices[0] if choices else ""
        return str(self._checked(key, expected, default, first, lambda v: isinstance(v, str) and v in choices))

    def text(self, key: str, default: str | None = None) -> str:
        """Read a text at `key`; returns `default` for a missing key, an empty text for a wrong value."""
        return str(self._checked(key, "a text", default, "", lambda value: isinstance(value, str)))

    def boolean(self, key: str, default: bool) -> bool:
        """Read `true` or `false` at `key`; returns `default` for a missing key, False for a wrong value."""
        return bool(self._checked(key, "true or false", default, False, lambda value: isinstance(value, bool)))

    def table(self, key: str, optional: bool = False) -> TomlSection:
        """Return the sub-table `key`; a missing one gives an empty table, and is a mistake unless `optional`."""
        if key in self._children:
            return self._children[key]
        value = self._take(key, "a table", {} if optional else None)
        if value is not None and not isinstance(value, dict):
            self.wrong(key, "a table", shown(value))
        child = TomlSection(self.file, value if isinstance(value, dict) else {}, self._lines, (*self.at, key))
        # A missing table is reported once; its keys are not reported too.
        if isinstance(value, dict):
            self._children[key] = child
        return child

    def inherit(self, data: dict[str, Any]) -> None:
        """Add keys and values of `data` whose keys this table does not have."""
        self.data = {**data, **self.data}

    def named_tables(self, key: str, build: Callable[[str, TomlSection], Built]) -> dict[str, Built]:
        """Call `build` with name and table of each sub-table of `key`; returns the results by name.

        A table `key` without sub-tables is a mistake.
        """
        section = self.table(key)
        if not section.data and key in self.data:
            self.wrong(key, f"at least one table [{key}.NAME]", "none")
        built = {}
        for name in section.data:
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
                expected = "a table name of up to 32 lower-case letters, digits and _, first a letter"
                section.wrong(name, expected, shown(name))
            built[name] = build(name, section.table(name))
        return built

    def array_of_tables(self, key: str, build: Callable[[TomlSection], Built]) -> tuple[Built, ...]:
        """Call `build` with each table in the array of tables `key`; returns the results, () for a missing array."""
        value = self._take(key, "an array of tables", [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            self.wrong(key, "an array of tables", shown(value))
            return ()
        built = []
        for number, data in enumerate(value):
            child = TomlSection(self.file, data, self._lines, (*self.at, key, str(number)))
            self._children[f"{key}.{number}"] = child
            built.append(build(child))
        return tuple(built)

    def is_sound(self) -> bool:
        """Whether this table and its sub-tables have no mistake; keys that have not been read yet count as mistakes."""
        return not self._all_problems()

    def _all_problems(self) -> list[tuple[int, str]]:
        unknown, own, missing = [], list(self.problems), dict(self._missing)
        for key in self.data:
            if key not in self._used:
                known = f"a known key ({', '.join(sorted(self._used)) or 'nothing'})"
                # A missing key beside one spelt much like it is one mistake.
                if meant := difflib.get_close_matches(key[:64], missing, 1, 0.75):
                    instead = missing.pop(meant[0])
                    own = [problem for problem in own if problem != instead]
                    known = f"the key {meant[0]}"
                unknown.append((self.line(key), f"{self._name(key)}: expected {known}, got {shown(key)}"))
        return [*own, *unknown, *(p for child in self._children.values() for p in child._all_problems())]

    def finish(self) -> None:
        """Raise InputError with every mistake of this table and its sub-tables, if any; a key never read is one."""
        found = sorted(dict.fromkeys(self._all_problems()))
        if found:
            raise InputError([f"{self.file}:{line} {text}" for line, text in found])
