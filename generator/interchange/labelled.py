"""Labelled photographs as the readers of foreign formats hand them over, and what they have in common."""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blender_scripts.contract.errors import shown
from generator.dataset.labels import ANSWER_LABELS, CLASSES

Box = tuple[float, float, float, float]
SPLITS = {"train": "train", "training": "train", "val": "validation", "valid": "validation"}
SPLITS |= {"validation": "validation", "test": "test", "dev": "validation"}
_SPLIT = re.compile(r"test_[A-Za-z0-9_]+")
_KNOWN = {name.lower(): c for names in ANSWER_LABELS.values() for c, name in names.items()}
# Keys that our own export adds to an object, named as in ObjectRow, and what they must be.
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
}


@dataclass(frozen=True)
class LabelledObject:
    """One box: xyxy in px as the file has it, its class, the labeller's own word for it, a mask where there is one.

    Attributes:
        segmentation: COCO's polygons or run lengths, undecoded.
        own: values of OWN_KEYS where the file has them.
    """

    box: Box
    category: str
    word: str = ""
    segmentation: Any = None
    own: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Labelled:
    """One picture.

    Attributes:
        path: the file.
        name: its path below the folder that was imported, for messages and for the column `file`.
        split: of the dataset; None where the files do not say.
        label: class of the picture; None: the worst of its objects.
        objects: its boxes; None where only the picture's class is known.
        word: the labeller's for the class.
        size: (W, H) px that the labels speak of, where the file says it.
        relative: boxes are fractions of the picture.
        problems: what is wrong with its labels. Such a picture is never taken with the boxes that could be read: it
            might pass for a good part.
    """

    path: Path
    name: str
    split: str | None
    label: str | None = None
    objects: tuple[LabelledObject, ...] | None = None
    word: str = ""
    size: tuple[int, int] | None = None
    relative: bool = False
    problems: tuple[str, ...] = ()


@dataclass
class Found:
    """What a reader found: pictures, and what is wrong."""

    pictures: list[Labelled] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class ClassNames:
    """From the labeller's words to our classes.

    Args:
        given: the user's own, word by word; our class names and their spellings in answers need none.
    """

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = {word.lower(): name for word, name in given.items()}
        self.unknown: dict[str, None] = {}

    def __getitem__(self, word: str) -> str:
        """The class; OTHERNG for an unknown word, which `problem` then names."""
        key = word.strip().lower()
        found = self._given.get(key) or _KNOWN.get(key)
        if found is None:
            self.unknown[word] = None
        return found or CLASSES[-1]

    def problems(self) -> list[str]:
        """One message on all words that nobody has explained."""
        if not self.unknown:
            return []
        words = ", ".join(repr(word) for word in self.unknown)
        example = ",".join(f"{word}=OTHERNG" for word in list(self.unknown)[:2]).replace("'", "'\"'\"'")
        return [f"classes: expected {', '.join(CLASSES)}, got {words}: say what they are, as --classes '{example}'"]


def kind_of(word: str) -> str | None:
    """A labeller's word as a kind of defect; None where it only repeats the class."""
    return None if not word or word.strip().lower() in _KNOWN else word.strip()


def split_of(word: str) -> str | None:
    """The split that a folder or file name stands for."""
    key = word.strip().lower()
    return SPLITS.get(key) or (word if _SPLIT.fullmatch(word) else None)


def leads_below(name: str, *folders: Path) -> bool:
    """Whether labels name a picture that can lie below one of the folders, and not one elsewhere.

    `..` is refused, and so is an absolute name that leads into none of them; links are followed, since whoever made
    the folder put them there.

    Args:
        name: as the labels have it.
        folders: where pictures are looked for.
    """
    path = Path(name)
    if not path.name or ".." in path.parts:
        return False
    if path.is_absolute() and not any(
        path.is_relative_to(place) for folder in folders for place in (os.path.abspath(folder), folder.resolve())
    ):
        return False
    return is_utf8(name) and all(is_possible(folder / path) for folder in folders)


def is_utf8(name: str) -> bool:
    """Whether a dataset can hold a file's name."""
    try:
        return bool(name.encode())
    except UnicodeEncodeError:
        return False


def is_possible(path: Path) -> bool:
    """Whether there can be such a file: nothing too long, no NUL, no link to itself."""
    try:
        path.stat()
    except OSError as error:
        return error.errno not in (errno.ENAMETOOLONG, errno.ELOOP)
    except ValueError:
        return False
    return True


def read_lines(path: Path, problems: list[str]) -> list[str]:
    """The lines of a text file; none of one that is no text, which is a problem."""
    try:
        return path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{path}: expected lines in UTF-8, got: {error}")
        return []


def numbers(values: Sequence[Any], count: int | None = None) -> tuple[float, ...] | None:
    """Finite numbers; None where they are not, or not so many."""
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        return None
    if not all(map(math.isfinite, found)) or (count is not None and len(found) != count):
        return None
    return found


def own_values(entry: Mapping[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    """What of an object's own keys is there and of the right type; numbers that cannot be are problems."""
    found: dict[str, Any] = {}
    for name, kind in OWN_KEYS.items():
        value = entry.get(name)
        if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            number = numbers([value])
            if number is None or (name == "visible" and not 0 <= number[0] <= 1):
                expected = "a share of 0 to 1" if name == "visible" else "a number of mm"
                problems.append(f"{where} {name}: expected {expected}, got {shown(value)}")
            else:
                found[name] = number[0]
        elif kind is str and isinstance(value, str):
            found[name] = value
        elif kind is list and isinstance(value, list) and all(isinstance(word, str) for word in value):
            found[name] = tuple(value)
    return found
