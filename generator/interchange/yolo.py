"""YOLO: data.yaml with classes and folders of the splits, and beside `images` the `labels`, a text file a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from blender_scripts.contract.errors import shown
from generator.interchange.labelled import (
    ClassNames,
    Found,
    Labelled,
    Thing,
    is_possible,
    leads_below,
    numbers,
    read_lines,
    split_of,
)
from generator.io.pictures import SUFFIXES

DAMAGED = (OverflowError, RecursionError, yaml.YAMLError)


def read_yolo(source: Path, names: ClassNames) -> Found:
    """Read a data set in YOLO's layout.

    Args:
        source: data.yaml or its folder.
        names: classes by YOLO's names.
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
        found.problems.append(f"{path}: expected YOLO's data.yaml with names, got: {got}")
        return found
    root = path.parent / str(content.get("path") or ".")
    splits = [(key, split) for key in content if isinstance(key, str) and (split := split_of(key))]
    if not splits:
        found.problems.append(f"{path}: expected train, val or test, got {', '.join(map(str, content))}")
    for key, split in splits:
        entries = content[key] if isinstance(content[key], list) else [content[key]]
        for entry in entries:
            if entry is not None:
                _read_split(root, str(entry), split, words, names, key_points, found)
    return found


def _read_split(
    root: Path,
    entry: str,
    split: str,
    words: dict[int, str],
    names: ClassNames,
    key_points: int,
    found: Found,
) -> None:
    place = root / entry
    if not is_possible(place):
        found.problems.append(f"data.yaml: expected the pictures of {split}, got {shown(entry)}")
        return
    if place.is_file() and place.suffix == ".txt":
        pictures = []
        for number, line in enumerate(map(str.strip, read_lines(place, found.problems)), 1):
            if line and leads_below(line, root):
                pictures.append(root / line)
            elif line:
                expected = f"a picture below {root}"
                found.problems.append(
                    f"{_shown(place, root)}:{number}: expected {expected}, got {shown(line)}"
                )
    elif place.is_dir():
        pictures = [path for path in sorted(place.rglob("*")) if path.suffix.lower() in SUFFIXES]
        labels = _labels_of(place)
        if labels is not None and labels.is_dir():
            there = {path.relative_to(place).with_suffix("") for path in pictures}
            for path in sorted(labels.rglob("*.txt")):
                if path.relative_to(labels).with_suffix("") not in there and path.name != "classes.txt":
                    found.problems.append(f"{_shown(path, root)}: expected its picture in {entry}, got none")
    else:
        found.problems.append(f"{root / entry}: expected the pictures of {split}, got nothing there")
        return
    for path in pictures:
        problems: list[str] = []
        things = _things(path, root, words, names, key_points, problems)
        found.pictures.append(
            Labelled(path, _shown(path, root), split, None, things, relative=True, problems=tuple(problems))
        )


def _things(
    picture: Path,
    root: Path,
    words: dict[int, str],
    names: ClassNames,
    key_points: int,
    problems: list[str],
) -> tuple[Thing, ...]:
    """The boxes of a picture's labels; `key_points` is how many numbers of a pose follow each."""
    folder = _labels_of(picture.parent)
    label = (folder if folder is not None else picture.parent) / f"{picture.stem}.txt"
    try:
        lines = label.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        problems.append(
            f"{_shown(picture, root)}: expected labels in {_shown(label, root)}, got none: an empty file stands for a "
            "good part"
        )
        return ()
    things: list[Thing] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{_shown(label, root)}:{number}"
        values: Any = numbers(line.split())
        count = 0 if values is None else len(values)
        # A polygon has three points or more; an even count is a box with the confidence of a prediction.
        is_polygon = not key_points and count >= 7 and count % 2 == 1
        if not (is_polygon or count == 5 + key_points) or values[0] != int(values[0]):
            expected = f"a class and {4 + key_points} numbers" + ("" if key_points else " or a polygon's")
            problems.append(f"{where}: expected {expected}, got {line.strip()[:60]!r}")
        elif int(values[0]) not in words:
            problems.append(f"{where}: expected a class of data.yaml, got {int(values[0])}")
        else:
            word = words[int(values[0])]
            if not is_polygon:
                x, y, width, height = values[1:5]
                box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            else:
                box = (min(values[1::2]), min(values[2::2]), max(values[1::2]), max(values[2::2]))
            things.append(Thing(box, names[word], word))
    return tuple(things)


def _labels_of(folder: Path) -> Path | None:
    """The folder of labels for one of pictures: `labels` in place of the last `images`."""
    parts = list(folder.parts)
    for at in range(len(parts) - 1, -1, -1):
        if parts[at] == "images":
            return Path(*parts[:at], "labels", *parts[at + 1 :])
    return None


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
