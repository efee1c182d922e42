"""Read and write YOLO: data.yaml with class names and split folders; a text file per picture in `labels`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from blender_scripts.contract.errors import shown
from generator.interchange.exported import Export, Exported, Writer
from generator.interchange.labelled import (
    ClassNames,
    Found,
    Labelled,
    LabelledObject,
    find_named,
    is_possible,
    leads_below,
    numbers,
    read_lines,
    relative_name,
    split_of,
    text_of,
)
from generator.interchange.yaml_text import parse_yaml
from generator.io.pictures import files_below, is_picture, passed_over


def read_yolo(source: Path, names: ClassNames) -> Found:
    """Read a dataset in YOLO's layout.

    Args:
        source: data.yaml or its folder.
        names: maps YOLO's class names to classes.
    """
    found = Found()
    path = source / "data.yaml" if source.is_dir() else source
    try:
        content = parse_yaml(text_of(path))
        words = _words(content["names"], content.get("nc"))
        shape = content.get("kpt_shape") or ["0"]
        if not (isinstance(shape, list) and all(isinstance(number, str) and number.isdecimal() for number in shape)):
            raise ValueError(f"kpt_shape {shape}")
        key_points = math.prod(map(int, shape))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        got = " ".join(str(error).split()) or "nothing"
        found.problems.append(f"{path}: expected YOLO's data.yaml with class names, got: {got}")
        return found
    root = path.parent / str(content.get("path") or ".")
    if not (is_possible(root) and root.is_dir()):
        found.notes.append(
            f"data.yaml: path {shown(content['path'])} does not exist: the folder of data.yaml is read in its place"
        )
        root = path.parent
    places = _Places(root, path.parent, found)
    labels = _Labels(places.root, words, names, key_points)
    splits = [(key, split) for key in content if isinstance(key, str) and (split := split_of(key))]
    if not splits:
        found.problems.append(f"{path}: expected a key train, val or test, got {', '.join(map(str, content))}")
    for key, split in splits:
        entries = content[key] if isinstance(content[key], list) else [content[key]]
        for entry in (str(entry) for entry in entries if entry):
            found.pictures += [labels.read(picture, split) for picture in places.pictures(entry, key, split)]
    found.pictures = _with_labels_of_their_own(found.pictures, labels)
    return found


def _words(given: Any, count: Any) -> dict[int, str]:
    """Return the class names by number. Raises ValueError if they are not one name for each number."""
    words: dict[int, str] = {}
    for key, word in enumerate(given) if isinstance(given, list) else given.items():
        if not str(key).isdecimal():
            raise ValueError(f"the class number {key!r}")
        number = int(key)
        if number in words:
            raise ValueError(f"the class number {number} twice in names")
        if not isinstance(word, str) or not word.strip():
            raise ValueError(f"no name for class {number}: {word!r}")
        words[number] = word
    if isinstance(count, str) and count.strip() != str(len(words)):
        raise ValueError(f"nc: {count}, but {len(words)} names")
    return words


def _with_labels_of_their_own(pictures: list[Labelled], labels: _Labels) -> list[Labelled]:
    """Return the pictures, with a message on each that shares its label file with another (a.jpg and a.png)."""
    by_file: dict[Path, dict[Path, str]] = {}
    for one in pictures:
        by_file.setdefault(labels.file_of(one.path), {})[one.path] = one.name
    checked = []
    for one in pictures:
        sharing = by_file[labels.file_of(one.path)]
        if len(sharing) > 1 and not one.problems:
            got = " and ".join(sharing.values())
            where = relative_name(labels.file_of(one.path), labels.root)
            one = replace(one, problems=(f"{one.name}: expected a label file of its own, got {where} for {got}",))
        checked.append(one)
    return checked


@dataclass
class _Places:
    """Search for the pictures of data.yaml's splits.

    Attributes:
        root: folder that data.yaml names as `path`; its own folder if there is none, or only on another computer.
        folder: folder of data.yaml.
        found: gets messages.
        read: key of data.yaml by the folder or list that was read for it.
    """

    root: Path
    folder: Path
    found: Found
    read: dict[Path, str] = field(default_factory=dict)

    def pictures(self, entry: str, key: str, split: str) -> list[Path]:
        """Return the pictures of a split, from a folder or from a text file that lists them."""
        if not is_possible(self.root / entry):
            self._problem(f"data.yaml: expected the folder of the {split} pictures, got {shown(entry)}")
            return []
        place = self._place(entry)
        earlier = self.read.setdefault(place.resolve(), key)
        if earlier != key:
            both = f"expected other pictures for {key} than for {earlier}, got {entry} for both"
            self.found.notes.append(f"warning: data.yaml: {both}: they count as {earlier}")
        elif place.is_file() and place.suffix == ".txt":
            return self._listed(place)
        elif place.is_dir():
            pictures = [path for path in files_below(place) if is_picture(path)]
            if note := passed_over(place, known=files_below(place, "*.txt")):
                self.found.notes.append(note)
            _check_labels(place, entry, self.root, pictures, self.found.problems)
            return pictures
        else:
            self._problem(f"{place}: expected the folder of the {split} pictures, got no such folder")
        return []

    def _place(self, entry: str) -> Path:
        r"""Return the path of a split's entry; one that does not exist is searched below data.yaml's folder.

        Tools write ../train/images for a folder beside data.yaml, and the folders of their own computer, as in
        /content/plugs/train/images or C:\plugs\train\images. If an end of such a path is there, it is meant.
        """
        forward = entry.replace("\\", "/")
        for place in (self.root / entry, self.root / forward, self.folder / forward):
            if place.exists():
                return place
        parts = [part for part in forward.split("/") if part not in ("", ".", "..")]
        is_elsewhere = forward.startswith("/") or ":" in forward[:2]
        for at in range(len(parts) if is_elsewhere else 1):
            for base in (self.root, self.folder):
                place = base.joinpath(*parts[at:])
                if parts and place.exists():
                    if is_elsewhere:
                        self.found.notes.append(f"data.yaml: {entry} does not exist: {place} is read in its place")
                    return place
        return self.root / entry

    def _listed(self, place: Path) -> list[Path]:
        pictures: dict[Path, None] = {}
        for number, line in enumerate(map(str.strip, read_lines(place, self.found.problems)), 1):
            if not line:
                continue
            named = find_named(line, [self.root, place.parent])
            if named is not None:
                pictures[named[0]] = None
            elif leads_below(line, self.root):
                pictures[self.root / line] = None
            else:
                where = f"{relative_name(place, self.root)}:{number}"
                self._problem(f"{where}: expected a picture below {self.root}, got {shown(line)}")
        return list(pictures)

    def _problem(self, text: str) -> None:
        self.found.problems.append(text)


def _check_labels(place: Path, entry: str, root: Path, pictures: list[Path], problems: list[str]) -> None:
    """Add a message on each label file that has no picture."""
    labels = _labels_of(place)
    if labels is None or not labels.is_dir():
        return
    there = {path.relative_to(place).with_suffix("") for path in pictures}
    for path in files_below(labels, "*.txt"):
        if path.relative_to(labels).with_suffix("") not in there and path.name != "classes.txt":
            problems.append(f"{relative_name(path, root)}: expected its picture in {entry}, got none")


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
        name = relative_name(picture, self.root)
        path = self.file_of(picture)
        objects: list[LabelledObject] = []
        problems: list[str] = []
        try:
            lines = text_of(path).splitlines()
        except ValueError as error:
            lines = []
            problems.append(f"{name}: expected its label file {relative_name(path, self.root)} in UTF-8, got {error}")
        except OSError:
            lines = []
            where = relative_name(path, self.root)
            problems.append(f"{name}: expected the label file {where}, got none (of a good part, it is empty)")
        for number, line in enumerate(lines, 1):
            try:
                if line.strip():
                    objects.append(self._object(line))
            except ValueError as error:
                problems.append(f"{relative_name(path, self.root)}:{number}: {error}")
        return Labelled(picture, name, split, None, tuple(objects), relative=True, problems=tuple(problems))

    def file_of(self, picture: Path) -> Path:
        """Return the path of a picture's label file, which may not exist."""
        folder = _labels_of(picture.parent)
        return (folder if folder is not None else picture.parent) / f"{picture.stem}.txt"

    def _object(self, line: str) -> LabelledObject:
        values = numbers(line.split()) or ()
        count = len(values)
        # A polygon has three points or more; an even count is a box with the confidence of a prediction.
        is_polygon = not self.key_points and count >= 7 and count % 2 == 1
        if not (is_polygon or count == 5 + self.key_points) or values[0] != int(values[0]):
            expected = f"a class and {4 + self.key_points} numbers" + ("" if self.key_points else " or a polygon's")
            raise ValueError(f"expected {expected}, got {line.strip()[:60]!r}")
        if int(values[0]) not in self.words:
            raise ValueError(f"expected the number of a class in data.yaml, got {int(values[0])}")
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
