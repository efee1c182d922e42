"""Change values in the text of a scene file, so that its comments and all other values stay."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from blender_scripts.contract.errors import InputError

# A value's key: the names of its tables, then its own, such as ("camera", "distance_mm").
Key = tuple[str, ...]
_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?")


def with_values(text: str, values: Mapping[Key, Any], name: str) -> str:
    """Return the text of a scene file with other values.

    A key that the text lacks is added to its table; a table that it lacks, at the end.

    Args:
        text: the scene file's text.
        values: numbers, texts or lists of numbers, by key.
        name: the scene file's name, for messages.

    Raises:
        InputError: a value is written in a way that cannot be changed, such as a list over several lines.
    """
    for key, value in values.items():
        changed = _with_value(text, key, written(value))
        wanted = tomllib.loads(text)
        place = wanted
        for table in key[:-1]:
            place = place.setdefault(table, {})
        place[key[-1]] = tomllib.loads(f"x = {written(value)}")["x"]
        try:
            found = tomllib.loads(changed)
        except tomllib.TOMLDecodeError:
            found = None
        if found != wanted:
            raise InputError(
                f"{name} {'.'.join(key)}: expected a key on one line, in a table with a header of its own, "
                "so that its value can be changed, got another layout"
            )
        text = changed
    return text


def written(value: Any) -> str:
    """Return a value as TOML: numbers with up to 6 significant digits."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, int):
        return str(value)
    short = f"{value + 0.0:.6g}"
    return short if any(sign in short for sign in ".e") else f"{short}.0"


def _with_value(text: str, key: Key, value: str) -> str:
    lines = text.split("\n")
    starts = [(number, name) for number, name in _tables(lines)]
    own = next((number for number, name in starts if name == key[:-1]), None)
    if own is None:
        return f"{text.rstrip()}\n\n[{'.'.join(key[:-1])}]\n{key[-1]} = {value}\n"
    end = next((number for number, _ in starts if number > own), len(lines))
    pattern = re.compile(rf"(\s*{re.escape(key[-1])}\s*=\s*)(.*?)(\s*#.*)?")
    for number in range(own + 1, end):
        if found := pattern.fullmatch(lines[number]):
            lines[number] = f"{found[1]}{value}{found[3] or ''}"
            return "\n".join(lines)
    lines.insert(own + 1, f"{key[-1]} = {value}")
    return "\n".join(lines)


def _tables(lines: list[str]) -> Iterator[tuple[int, Key]]:
    """Line numbers of the headers of tables, with the tables' names; of the top level -1, of array tables ()."""
    yield -1, ()
    for number, line in enumerate(lines):
        if found := _HEADER.fullmatch(line):
            yield number, tuple(piece.strip(" \t\"'") for piece in found[1].split("."))
        elif line.strip().startswith("[["):
            yield number, ("[[",)
