"""Names of files, found as another operating system wrote them: in another case or Unicode form. Names of datasets."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path


def existing(place: Path, name: str) -> Path | None:
    """Return the path of the file that a name below a folder means; None if there is none.

    If no file has exactly this name, the result is the file whose name differs from it only in upper and lower case or
    in the Unicode form; None if there are several. Windows and macOS take a.png and A.PNG for one name, and macOS may
    store `ü` as `u` and two dots.

    Args:
        place: the folder.
        name: path relative to the folder.
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
    """Return a file name in one case and Unicode form: names that some file systems cannot tell apart become equal."""
    return unicodedata.normalize("NFC", name).casefold()


def dataset_name(folder: Path) -> str:
    """Return the name of a dataset's folder, to show; of one named "dataset" with the folder above: demo/dataset."""
    whole = folder.resolve()
    return f"{whole.parent.name}/{whole.name}" if whole.name.lower() == "dataset" and whole.parent.name else whole.name


def names_same_dataset(known: str, shown: str) -> bool:
    """Return whether a name that a file holds is `shown`, from `dataset_name`; earlier versions wrote its last part."""
    return known in (shown, shown.rpartition("/")[2])


@lru_cache(maxsize=64)
def _names_in(folder: Path, changed_ns: int) -> Mapping[str, list[str]]:
    """The names in a folder by their folded form; `changed_ns` tells a folder from the same one before a change."""
    names: dict[str, list[str]] = {}
    for path in folder.iterdir():
        names.setdefault(folded(path.name), []).append(path.name)
    return names
