"""Find files by names that another system wrote: letters of the other case, another Unicode form."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path


def existing(place: Path, name: str) -> Path | None:
    """Return the path that a name below a folder stands for; None if there is none.

    Without that path, the only one that differs from it in upper case or Unicode form: the file systems of Windows and
    macOS do not tell a.png from A.PNG, and that of macOS may store `ü` as `u` and two dots.
    """
    if (place / name).exists():
        return place / name
    for part in Path(name).parts:
        if not (place / part).exists():
            alike = _names_in(place, place.stat().st_mtime_ns).get(folded(part), []) if place.is_dir() else []
            if len(alike) != 1:
                return None
            part = alike[0]
        place = place / part
    return place


def folded(name: str) -> str:
    """Return a file name without what some file systems do not tell apart: upper case and Unicode forms."""
    return unicodedata.normalize("NFC", name).casefold()


@lru_cache(maxsize=64)
def _names_in(folder: Path, changed_ns: int) -> Mapping[str, list[str]]:
    """The names in a folder by their folded form; `changed_ns` tells a folder from the same one before a change."""
    names: dict[str, list[str]] = {}
    for path in folder.iterdir():
        names.setdefault(folded(path.name), []).append(path.name)
    return names
