"""Read and write YOLO's files: data.yaml with class names and folders of splits; a text file per picture in `labels`.

Class names may also be in obj.data or obj.names (as CVAT writes them) or in classes.txt (as Label Studio does).
"""

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
    Labelled,
    LabelledObject,
    ReadLabels,
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
from generator.io.file_names import existing, folded
from generator.io.pictures import files_below, is_picture, passed_over


def read_yolo(source: Path, names: ClassNames) -> ReadLabels:
    """Read a dataset in YOLO's layout.

    Args:
        source: data.yaml (or obj.data, obj.names, classes.txt), or its folder.
        names: maps YOLO's class names to Pinsight's classes.

    Returns:
        The labelled pictures, and messages on faults.
    """
    found = ReadLabels()
    path = _description(source) if source.is_dir() else source
    try:
        content = parse_yaml(text_of(path)) if path.suffix.lower() in (".yaml", ".yml") else _without_yaml(path)
        words = _words(content["names"], content.get("nc"))
        shape = content.get("kpt_shape") or ["0"]
        if not (isinstance(shape, list) and all(isinstance(number, str) and number.isdecimal() for number in shape)):
            raise ValueError(f"kpt_shape {shape}, which is no list of numbers")
        key_points = math.prod(map(int, shape))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        got = f"no key {error}" if isinstance(error, KeyError) else " ".join(str(error).split()) or "nothing"
        if isinstance(error, FileNotFoundError):
            got = "no such file, and neither obj.names nor classes.txt"
        found.problems.append(f"{path}: expected YOLO's data.yaml with class names, got: {got}")
        return found
    root = path.parent / str(content.get("path") or ".")
    if not (is_possible(root) and root.is_dir()):
        found.notes.append(
            f"{path.name}: the folder in path, {shown(content['path'])}, does not exist: the folder of {path.name} is "
            "read in its place"
        )
        root = path.parent
    places = _Places(root, path, found)
    labels = _Labels(places.root, words, names, key_points)
    splits = [(key, split) for key in content if isinstance(key, str) and (split := split_of(key))]
    if not splits:
        found.problems.append(f"{path}: expected a key train, val or test, got only {', '.join(map(str, content))}")
    for key, split in splits:
        entries = content[key] if isinstance(content[key], list) else [content[key]]
        for entry in (str(entry) for entry in entries if entry):
            found.pictures += [labels.read(picture, split) for picture in places.pictures(entry, key, split)]
    found.pictures = _with_labels_of_their_own(found.pictures, labels)
    return found


def _description(folder: Path) -> Path:
    """Return the file of a folder that has the class names."""
    for name in ("data.yaml", "data.yml", "obj.data", "obj.names", "classes.txt"):
        if (path := existing(folder, name)) is not None:
            return path
    others = [path for pattern in ("*.yaml", "*.yml") for path in files_below(folder, pattern) if path.parent == folder]
    return others[0] if len(others) == 1 else folder / "data.yaml"


def _without_yaml(path: Path) -> dict[str, Any]:
    """Return class names, and the list or folder of each split's pictures, as data.yaml would have them."""
    folder, own = path.parent, {}
    names = path
    if path.suffix.lower() == ".data":
        pairs = (line.partition("=") for line in text_of(path).splitlines())
        own = {key.strip(): value.strip() for key, equals, value in pairs if equals}
        named = find_named(own.pop("names", "obj.names"), [folder])
        names = named[0] if named is not None else folder / "obj.names"
    splits = {key: value for key, value in own.items() if split_of(key)}
    for key, value in splits.items():  # CVAT writes data/train.txt for the file train.txt beside obj.data
        listed = find_named(value, [folder])
        splits[key] = listed[1] if listed is not None else value
    if not splits:
        lists = [each for each in files_below(folder, "*.txt") if each.parent == folder and split_of(each.stem)]
        splits = {each.stem: each.name for each in lists}
    if not splits:
        base = existing(folder, "images") or folder
        parts = [each for each in sorted(base.iterdir()) if each.is_dir() and split_of(each.name)]
        pictures = [each for each in files_below(base) if is_picture(each)]
        is_split = pictures and all(any(each.is_relative_to(part) for part in parts) for each in pictures)
        splits = {each.name: str(each.relative_to(folder)) for each in parts} if is_split else {"train": str(base)}
    return {"names": text_of(names).rstrip().splitlines(), **splits}


def _words(given: Any, count: Any) -> dict[int, str]:
    """Return the class names by number. Raises ValueError if they are not one name for each number."""
    words: dict[int, str] = {}
    if not isinstance(given, list | dict):
        raise ValueError(f"names {shown(given)}, neither a list nor a mapping of numbers to names")
    for key, word in enumerate(given) if isinstance(given, list) else given.items():
        if not str(key).isdecimal():
            raise ValueError(f"names with the key {key!r} instead of a class number")
        number = int(key)
        if number in words:
            raise ValueError(f"the class number {number} twice in names")
        if not isinstance(word, str) or not word.strip():
            raise ValueError(f"{word!r}, which is no text, as the name of class {number}")
        words[number] = word
    if isinstance(count, str) and count.strip() != str(len(words)):
        raise ValueError(f"nc (number of classes) {count}, but {len(words)} names")
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
            one = replace(
                one, problems=(f"{one.name}: expected a label file of its own, got {where}, which {got} share",)
            )
        checked.append(one)
    return checked


@dataclass
class _Places:
    """Search for the pictures of data.yaml's splits.

    Attributes:
        root: folder that data.yaml names as `path`; its own folder if there is none, or only on another computer.
        file: data.yaml, or the file in its place.
        found: gets messages.
        read: key of data.yaml by the folder or list that was read for it.
    """

    root: Path
    file: Path
    found: ReadLabels
    read: dict[Path, str] = field(default_factory=dict)

    def pictures(self, entry: str, key: str, split: str) -> list[Path]:
        """Return the paths of a split's pictures.

        Args:
            entry: path of the split in data.yaml: a folder of pictures, or a text file that lists them.
            key: key of the path in data.yaml, such as val.
            split: the split that the key stands for.
        """
        if not is_possible(self.root / entry):
            self._problem(f"{self.file.name}: expected the folder of the {split} pictures, got {shown(entry)}")
            return []
        place = self._place(entry)
        earlier = self.read.setdefault(place.resolve(), key)
        if earlier != key:
            both = f"expected different pictures for {key} and {earlier}, got {entry} for both"
            self.found.notes.append(f"warning: {self.file.name}: {both}: {entry} is read for {earlier} only")
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
        folder = self.file.parent
        for place in (self.root / entry, self.root / forward, folder / forward):
            if place.exists():
                return place
        parts = [part for part in forward.split("/") if part not in ("", ".", "..")]
        is_elsewhere = forward.startswith("/") or ":" in forward[:2]
        for at in range(len(parts) if is_elsewhere else 1):
            for base in (self.root, folder):
                found = existing(base, "/".join(parts[at:])) if parts else None
                if found is not None:
                    if is_elsewhere:
                        note = f"{self.file.name}: the path {entry} does not exist: {found} is read in its place"
                        self.found.notes.append(note)
                    return found
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
                self._problem(f"{where}: expected a picture inside the folder {self.root}, got {shown(line)}")
        return list(pictures)

    def _problem(self, text: str) -> None:
        self.found.problems.append(text)


def _check_labels(place: Path, entry: str, root: Path, pictures: list[Path], problems: list[str]) -> None:
    """Add a message on each label file that has no picture."""
    labels = _labels_of(place)
    if labels is None or not labels.is_dir():
        return
    there = {folded(path.relative_to(place).with_suffix("").as_posix()) for path in pictures}
    for path in files_below(labels, "*.txt"):
        if folded(path.relative_to(labels).with_suffix("").as_posix()) not in there and path.name != "classes.txt":
            problems.append(f"{relative_name(path, root)}: expected a picture of the same name in {entry}, got none")


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
        """Read a picture's boxes from its label file; messages on faults are in the result's `problems`."""
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
            problems.append(f"{name}: expected the label file {where}, got none (for a good part, make an empty one)")
        for number, line in enumerate(lines, 1):
            try:
                if line.strip():
                    objects.append(self._object(line))
            except ValueError as error:
                problems.append(f"{relative_name(path, self.root)}:{number}: {error}")
        return Labelled(picture, name, split, None, tuple(objects), relative=True, problems=tuple(problems))

    def file_of(self, picture: Path) -> Path:
        """Return the path of a picture's label file, which may not exist."""
        folder = _labels_of(picture.parent) or picture.parent
        return existing(folder, f"{picture.stem}.txt") or folder / f"{picture.stem}.txt"

    def _object(self, line: str) -> LabelledObject:
        values = numbers(line.split()) or ()
        count = len(values)
        # A polygon has three points or more; an even count is a box with the confidence of a prediction.
        is_polygon = not self.key_points and count >= 7 and count % 2 == 1
        if not (is_polygon or count == 5 + self.key_points) or values[0] != int(values[0]):
            expected = f"a class number and {4 + self.key_points} numbers"
            expected += "" if self.key_points else ", or a class number and a polygon (x y of three points or more)"
            raise ValueError(f"expected {expected}, got {line.strip()[:60]!r}")
        if int(values[0]) not in self.words:
            raise ValueError(f"expected a class number that has a name in data.yaml, got {int(values[0])}")
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
