"""The labelled pictures that readers of other tools' formats return, and functions that the readers share."""

from __future__ import annotations

import errno
import math
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from blender_scripts.contract.errors import shown
from blender_scripts.contract.text_file import wrong_byte
from generator.dataset.labels import ANSWER_LABELS, CLASSES, OK
from generator.io.file_names import existing
from generator.io.pictures import files_below, is_picture
from generator.io.wording import counted

Box = tuple[float, float, float, float]
SPLIT_WORDS = {
    "train": "train training trainset",
    "validation": "validation validate validating val valid valset dev devset development",
    "test": "test testing tests testset eval evaluation evaluate holdout hold_out hold-out",
}
SPLITS = {word: split for split, words in SPLIT_WORDS.items() for word in words.split()}
_SPLIT = re.compile(r"test_[A-Za-z0-9_]+")
_KNOWN = {name.lower(): c for names in ANSWER_LABELS.values() for c, name in names.items()}
# Keys that `generator export` adds to an object, named as in ObjectRow, and their types.
OWN_KEYS: dict[str, type] = {
    "address": str,
    "cavity": str,
    "kinds": list,
    "visible": float,
    "dx_mm": float,
    "dy_mm": float,
    "true_position_mm": float,
    "retraction_mm": float,
    "tilt_deg": float,
    "moved_px": float,
}
# Of these, the numbers that have other limits than to be finite: in words, and the limits themselves.
_LIMITS = {"visible": ("a share from 0 to 1", 0.0, 1.0), "moved_px": ("a length of at least 0", 0.0, math.inf)}


@dataclass(frozen=True)
class LabelledObject:
    """One labelled box of a picture to import.

    Attributes:
        box: xyxy in px, as in the file.
        category: Pinsight's class of the box.
        word: the label as written in the file.
        segmentation: COCO's polygons or run lengths, undecoded; None: the file has none.
        own: further values that Pinsight's exports have, such as `address` or `true_position_mm`, by key of OWN_KEYS.
    """

    box: Box
    category: str
    word: str = ""
    segmentation: Any = None
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Labelled:
    """One labelled picture to import.

    Attributes:
        path: path of its file.
        name: path relative to the imported folder, for messages and for the column `file`.
        split: split in the source; None: not given.
        label: Pinsight's class of the picture; None: the first of NUKENG, BENDNG, OTHERNG, OK that its objects have.
        objects: its labelled boxes; None where only the picture's class is known.
        word: the picture's label as written in the source.
        size: (W, H) px according to the labels; None: not given.
        relative: whether boxes are fractions of the picture's width and height.
        columns: dataset columns that Pinsight's own export states of the picture; empty: another tool's labels.
        problems: one message per fault of its labels. With any, the whole picture is left out, since without the faulty
            boxes it could count as a good part.
    """

    path: Path
    name: str
    split: str | None
    label: str | None = None
    objects: tuple[LabelledObject, ...] | None = None
    word: str = ""
    size: tuple[int, int] | None = None
    relative: bool = False
    columns: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass
class ReadLabels:
    """The pictures that a reader found, and messages on faults.

    Attributes:
        pictures: the pictures with their labels.
        problems: messages on faults, which stop an import unless --skip-broken leaves the pictures out.
        notes: messages that do not stop an import.
        noted: pictures that `notes` mention.
    """

    pictures: list[Labelled] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    noted: set[Path] = field(default_factory=set)


class ClassNames:
    """Mapping from the labels in the user's files to Pinsight's classes; it collects the labels that it does not know.

    Args:
        given: class of each label, from --classes. Names of classes, such as BENDNG, BEND-NG or bent pin, are known
            without it.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = {word.lower(): name for word, name in given.items()}
        self._unused = {word.lower(): word for word in given}
        self.unknown: dict[str, None] = {}

    def __getitem__(self, word: str) -> str:
        """Return the class of a label; for an unknown label OTHERNG, and `problems` then has a message on it."""
        found = self.find(word)
        if found is None:
            self.unknown[word] = None
        return found or CLASSES[-1]

    def find(self, word: str) -> str | None:
        """Return the class of a label; None for an unknown label, which `problems` then does not name."""
        key = word.strip().lower()
        self._unused.pop(key, None)
        return self._given.get(key) or _KNOWN.get(key)

    def knows(self, word: str) -> bool:
        """Whether --classes gives a class for the label `word`; upper and lower case are the same."""
        return word.strip().lower() in self._given

    def notes(self) -> list[str]:
        """Return a message on the labels in --classes that do not occur in the files; an empty list if all do."""
        words = ", ".join(map(repr, self._unused.values()))
        return [f"warning: --classes: expected labels that occur in the imported files, got {words}"] if words else []

    def problems(self) -> list[str]:
        """Return a list with one message that names all unknown labels; an empty list if there are none."""
        if not self.unknown:
            return []
        words = ", ".join(repr(word) for word in self.unknown)
        # A class in the example would be taken over for labels that mean another one.
        example = ",".join(f"{word}=CLASS" for word in list(self.unknown)[:2]).replace("'", "'\"'\"'")
        return [
            f"classes: expected the labels {', '.join(CLASSES)}, got {words}: state which of these classes "
            f"each one means, as in --classes '{example}'"
        ]


def kind_of(word: str) -> str | None:
    """Return a label's text, whatever it says, without spaces around it; None if it is empty or names a class."""
    return None if not word or word.strip().lower() in _KNOWN else word.strip()


def split_of(word: str) -> str | None:
    """Return the split that a folder's or file's name stands for (`val`: validation, `test_b`: test_b); None: none."""
    key = word.strip().lower()
    return SPLITS.get(key) or (word if _SPLIT.fullmatch(word) else None)


def with_defects_unknown(one: Labelled) -> Labelled:
    """Return the picture; if it is labelled NG but has no box of a defect, its `objects` become None (not known)."""
    bad = any(each.category != OK for each in one.objects or ())
    return one if one.label in (None, OK) or bad else replace(one, objects=None)


def without_repeats(one: Labelled, notes: list[str]) -> Labelled:
    """Return a picture without repeated objects (equal in everything); if it has any, `notes` gets a message."""
    objects: list[LabelledObject] = []
    for each in one.objects or ():
        if each not in objects:
            objects.append(each)
    if repeats := len(one.objects or ()) - len(objects):
        notes.append(
            f"{one.name}: left out {counted(repeats, 'box', 'boxes')}, each equal to another box with the same label"
        )
        return replace(one, objects=tuple(objects))
    return one


def leads_below(name: str, *folders: Path) -> bool:
    """Whether a picture's name in the labels, taken as a path, stays inside one of the folders.

    A name with `..`, and an absolute path outside the folders, lead out of them. A link in a folder does not, as the
    folder's owner made it.

    Args:
        name: name of the picture in the labels.
        folders: folders to which the name may be relative.
    """
    path = Path(name)
    if not path.name or ".." in path.parts:
        return False
    if path.is_absolute() and not any(
        path.is_relative_to(place) for folder in folders for place in (os.path.abspath(folder), folder.resolve())
    ):
        return False
    return is_utf8(name) and all(is_possible(folder / path) for folder in folders)


def find_named(name: str, places: Sequence[Path]) -> tuple[Path, str, bool] | None:
    r"""Find the picture that a name in the labels stands for.

    The name is tried as written, then with / for \ and with %20 decoded, then without its leading folders, as these may
    be those of another computer: C:\photos\a.png, /data/upload/1/a.png, /data/local-files/?d=images/a.png.

    Args:
        name: name of the picture in the labels.
        places: folders that are searched, in this order.

    Returns:
        The picture's path, its path relative to the folder in `places`, and whether leading folders of the name were
        left out. None: no picture has this name, or, without leading folders, several pictures have it.
    """
    forward = name.rpartition("?d=")[2].replace("\\", "/")
    spellings = list(dict.fromkeys((name, forward, unquote(forward))))
    for spelling in spellings:
        for place in places:
            if (path := _below(spelling, place)) is not None:
                return path, _name_of(path, place, spelling), False
    for spelling in spellings:
        parts = [part for part in spelling.split("/") if part not in ("", ".")]
        if ".." in parts:
            continue
        for at in range(0 if spelling.startswith("/") else 1, len(parts)):
            tail = "/".join(parts[at:])
            found = {path.resolve(): (path, place) for place in places if (path := _below(tail, place)) is not None}
            if found:
                path, place = next(iter(found.values()))
                return (path, _name_of(path, place, tail), True) if len(found) == 1 else None
    return None


def _below(name: str, place: Path) -> Path | None:
    path = existing(place, name) if leads_below(name, place) else None
    return path if path is not None and path.is_file() else None


def _name_of(path: Path, place: Path, name: str) -> str:
    return name if path == place / name else path.relative_to(place).as_posix()


def name_unlabelled(pictures: Sequence[Path], source: Path, labels: str, problems: list[str]) -> None:
    """Add messages on pictures without labels: one for each of the first five, and one with the number of the others.

    Args:
        pictures: pictures without labels.
        source: folder to which paths in messages are relative.
        labels: where labels are expected, such as a file's name; `{stem}` stands for the picture's name.
        problems: list that gets the messages.
    """
    for path in pictures[:5]:
        expected = labels.replace("{stem}", path.stem)
        problems.append(f"{relative_name(path, source)}: expected labels in {expected}, got none")
    if rest := pictures[5:]:
        folders = ", ".join(dict.fromkeys(relative_name(path.parent, source) for path in rest))
        problems.append(f"{folders}: expected labels of every picture, got none for {len(rest)} more pictures")


def note_others(found: ReadLabels, source: Path) -> None:
    """Add a message on pictures that are neither imported nor in another message; none if nothing is imported.

    Args:
        found: the pictures and messages; the message is added to its notes.
        source: the imported folder.
    """
    if not found.pictures:
        return
    listed = {one.path.resolve() for one in found.pictures} | {path.resolve() for path in found.noted}
    told = "\n".join(found.problems)
    others = [path for path in files_below(source) if is_picture(path) and path.resolve() not in listed]
    others = [path for path in others if relative_name(path, source) not in told]
    if others:
        names = ", ".join(relative_name(path, source) for path in others[:5]) + (", ..." if others[5:] else "")
        found.notes.append(
            f"{source}: left out {counted(len(others), 'picture')} that the labels do not mention: {names}"
        )


def note_splits(found: ReadLabels, groups: Sequence[str]) -> None:
    """Add a warning on pictures that get the split train because they state none, while other pictures state one.

    Args:
        found: the pictures and messages; the warning is added to its notes.
        groups: for each picture, the text that should name its split, such as the name of its folder.
    """
    counts = Counter(group for one, group in zip(found.pictures, groups, strict=True) if one.split is None)
    known = dict.fromkeys(one.split for one in found.pictures if one.split is not None)
    if known and counts:
        names = ", ".join(shown(name) for name in list(counts)[:5]) + (", ..." if len(counts) > 5 else "")
        found.notes.append(
            f"warning: expected the name of a split for every picture, as some have ({', '.join(known)}), got "
            f"{names}: {counted(counts.total(), 'picture')} without one, put into train, unless --splits is given"
        )


def folder_of(name: str) -> str:
    """Return the first folder in a picture's name (a path with `/`); the name itself if it has no folder."""
    return name.partition("/")[0]


def relative_name(path: Path, folder: Path) -> str:
    """Return a path relative to the folder, for messages; the whole path if it lies outside the folder."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def is_utf8(name: str) -> bool:
    """Whether a file's name can be encoded in UTF-8, as a dataset stores it."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def is_possible(path: Path) -> bool:
    """Whether the operating system accepts a path; false if a name in it is too long, has a NUL or links to itself."""
    try:
        path.stat()
    except OSError as error:
        return error.errno not in (errno.ENAMETOOLONG, errno.ELOOP)
    except ValueError:
        return False
    return True


def text_of(path: Path) -> str:
    """Return the text of a file in UTF-8.

    Raises:
        ValueError: the file is not UTF-8; the message states the first wrong byte and its line.
    """
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        line, found = wrong_byte(error)
        raise ValueError(f"{found} in line {line}, not UTF-8") from None


def read_lines(path: Path, problems: list[str]) -> list[str]:
    """Return the lines of a text file; if it cannot be read, return none and add a message to `problems`."""
    try:
        return text_of(path).splitlines()
    except (OSError, ValueError) as error:
        problems.append(f"{path}: expected a text file in UTF-8, got: {error}")
        return []


def numbers(values: Sequence[Any], count: int | None = None) -> tuple[float, ...] | None:
    """Convert values to floats; None if one is not a finite number, or their number is not `count` (None: any).

    A truth value is no number.
    """
    if any(isinstance(value, bool) for value in values):
        return None
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        return None
    if not all(map(math.isfinite, found)) or (count is not None and len(found) != count):
        return None
    return found


def own_values(entry: Mapping[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    """Return an object's values under the keys of OWN_KEYS, such as `true_position_mm`, that have the right type.

    Args:
        entry: the object as read from the file.
        where: place in the file, for messages.
        problems: list to which messages on impossible numbers are added.
    """
    found: dict[str, Any] = {}
    for name, kind in OWN_KEYS.items():
        value = entry.get(name)
        if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            number = numbers([value])
            expected, low, high = _LIMITS.get(name, ("a finite number", -math.inf, math.inf))
            if number is None or not low <= number[0] <= high:
                problems.append(f"{where} {name}: expected {expected}, got {shown(value)}")
            else:
                found[name] = number[0]
        elif kind is str and isinstance(value, str):
            found[name] = value
        elif kind is list and isinstance(value, list) and all(isinstance(word, str) for word in value):
            found[name] = tuple(value)
    return found
