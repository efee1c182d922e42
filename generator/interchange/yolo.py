"""Read and write YOLO: data.yaml with class names and split folders; a text file per picture in `labels`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from blender_scripts.contract.errors import shown
from generator.interchange.exported import Export, Exported, Writer
from generator.interchange.labelled import (
    ClassNames,
    Found,
    Labelled,
    LabelledObject,
    is_possible,
    leads_below,
    numbers,
    read_lines,
    split_of,
)
from generator.io.pictures import SUFFIXES

DAMAGED = (OverflowError, RecursionError, yaml.YAMLError)


def read_yolo(source: Path, names: ClassNames) -> Found:
    """Read a dataset in YOLO's layout.

    Args:
        source: data.yaml or its folder.
        names: maps YOLO's class names to classes.
    """
    found = Found()
    path = source / "data.yaml" if source.is_dir() else source
    try:
        content = yaml.safe_load(path.read_text("utf-8-sig"))
        given = content["names"]
        words = dict(enumerate(given)) if isinstance(given, list) else {int(k): v for k, v in given.items()}
        words = {number: str(word) for number, word in words.items()}
        shape = content.get("kpt_shape") or [0]
        if not (isinstance(shape, list) and all(type(number) is int and number >= 0 for number in shape)):
            raise ValueError(f"kpt_shape {shape}")
        key_points = math.prod(shape)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, *DAMAGED) as error:
        got = " ".join(str(error).split()) or "nothing"
        found.problems.append(f"{path}: expected YOLO's data.yaml with class names, got: {got}")
        return found
    root = path.parent / str(content.get("path") or ".")
    labels = _Labels(root, words, names, key_points)
    splits = [(key, split) for key in content if isinstance(key, str) and (split := split_of(key))]
    if not splits:
        found.problems.append(f"{path}: expected a key train, val or test, got {', '.join(map(str, content))}")
    for key, split in splits:
        entries = content[key] if isinstance(content[key], list) else [content[key]]
        for entry in (str(entry) for entry in entries if entry is not None):
            for picture in _pictures(root, entry, split, found.problems):
                found.pictures.append(labels.read(picture, split))
    return found


def _pictures(root: Path, entry: str, split: str, problems: list[str]) -> list[Path]:
    """Return the pictures of a split, from a folder or from a text file that lists them."""
    place = root / entry
    if not is_possible(place):
        problems.append(f"data.yaml: expected the folder of the {split} pictures, got {shown(entry)}")
    elif place.is_file() and place.suffix == ".txt":
        return _listed(place, root, problems)
    elif place.is_dir():
        pictures = [path for path in sorted(place.rglob("*")) if path.suffix.lower() in SUFFIXES]
        _check_labels(place, entry, root, pictures, problems)
        return pictures
    else:
        problems.append(f"{place}: expected the folder of the {split} pictures, got no such folder")
    return []


def _listed(place: Path, root: Path, problems: list[str]) -> list[Path]:
    found = []
    for number, line in enumerate(map(str.strip, read_lines(place, problems)), 1):
        if line and leads_below(line, root):
            found.append(root / line)
        elif line:
            where = f"{_relative(place, root)}:{number}"
            problems.append(f"{where}: expected a picture below {root}, got {shown(line)}")
    return found


def _check_labels(place: Path, entry: str, root: Path, pictures: list[Path], problems: list[str]) -> None:
    """Add a message on each label file that has no picture."""
    labels = _labels_of(place)
    if labels is None or not labels.is_dir():
        return
    there = {path.relative_to(place).with_suffix("") for path in pictures}
    for path in sorted(labels.rglob("*.txt")):
        if path.relative_to(labels).with_suffix("") not in there and path.name != "classes.txt":
            problems.append(f"{_relative(path, root)}: expected its picture in {entry}, got none")


@dataclass(frozen=True)
class _Labels:
    """Reader of the label files of a dataset.

    Attributes:
        root: folder to which the paths in messages are relative.
        words: YOLO's class names by number.
        names: maps YOLO's class names to classes.
        key_points: number of key-point values after each box, for pose labels; 0: none.
    """

    root: Path
    words: Mapping[int, str]
    names: ClassNames
    key_points: int

    def read(self, picture: Path, split: str) -> Labelled:
        """Read the boxes of a picture from its text file."""
        name = _relative(picture, self.root)
        folder = _labels_of(picture.parent)
        path = (folder if folder is not None else picture.parent) / f"{picture.stem}.txt"
        objects: list[LabelledObject] = []
        problems: list[str] = []
        try:
            lines = path.read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            lines = []
            problems.append(
                f"{name}: expected labels in {_relative(path, self.root)}, got none (for a good part, an empty file)"
            )
        for number, line in enumerate(lines, 1):
            try:
                if line.strip():
                    objects.append(self._object(line))
            except ValueError as error:
                problems.append(f"{_relative(path, self.root)}:{number}: {error}")
        return Labelled(picture, name, split, None, tuple(objects), relative=True, problems=tuple(problems))

    def _object(self, line: str) -> LabelledObject:
        values = numbers(line.split()) or ()
        count = len(values)
        # A polygon has three points or more; an even count is a box with the confidence of a prediction.
        is_polygon = not self.key_points and count >= 7 and count % 2 == 1
        if not (is_polygon or count == 5 + self.key_points) or values[0] != int(values[0]):
            expected = f"a class and {4 + self.key_points} numbers" + ("" if self.key_points else " or a polygon's")
            raise ValueError(f"expected {expected}, got {line.strip()[:60]!r}")
        if int(values[0]) not in self.words:
            raise ValueError(f"expected a class of data.yaml, got {int(values[0])}")
        word = self.words[int(values[0])]
        if is_polygon:
            box = (min(values[1::2]), min(values[2::2]), max(values[1::2]), max(values[2::2]))
        else:
            x, y, width, height = values[1:5]
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return LabelledObject(box, self.names[word], word)


def _labels_of(folder: Path) -> Path | None:
    """Return the label folder of a picture folder: `labels` in place of the last `images`; None without `images`."""
    parts = list(folder.parts)
    for at in range(len(parts) - 1, -1, -1):
        if parts[at] == "images":
            return Path(*parts[:at], "labels", *parts[at + 1 :])
    return None


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _annotate(job: Export, picture: Exported) -> None:
    """Write a picture's label file: one line per box."""
    width, height = picture.size
    lines = []
    for each in picture.objects or ():
        x1, y1, x2, y2 = each.box
        values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        lines.append(f"{job.classes.index(each.category)} " + " ".join(f"{v:.9f}" for v in values) + "\n")
    path = job.folder / "labels" / picture.split / f"{picture.path.stem}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="ascii")


def _finish(job: Export, pictures: Mapping[str, Sequence[Exported]]) -> None:
    """Write data.yaml."""
    keys = {"validation": "val"}
    # No `path`: readers take it relative to the working directory, and without it folders are relative to this file.
    content = {
        **{keys.get(split, split): f"images/{split}" for split, own in pictures.items() if own},
        "names": dict(enumerate(job.classes)),
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (job.folder / "data.yaml").write_text(text, encoding="utf-8")


# The format stores no class of a picture: readers take a picture without a box for a good part.
WRITER = Writer(lambda split, label: Path("images", split), _finish, annotate=_annotate)
