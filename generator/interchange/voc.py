"""Read Pascal VOC: an XML file per picture in Annotations, pictures in JPEGImages, splits in ImageSets/Main.

XML files may lie beside their pictures, and both in subfolders; a folder `train`, `valid` or `test` gives the split.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from blender_scripts.contract.errors import shown
from generator.interchange.labelled import (
    ClassNames,
    Labelled,
    LabelledObject,
    ReadLabels,
    find_named,
    folder_of,
    leads_below,
    name_unlabelled,
    note_splits,
    numbers,
    read_lines,
    split_of,
)
from generator.io.file_names import folded
from generator.io.pictures import files_below, is_picture, passed_over

FOLDERS = ("JPEGImages", "images")
EDGES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(source: Path, images: Path | None, names: ClassNames, zero_based: bool = False) -> ReadLabels:
    """Read a folder in VOC's layout, or XML files beside their pictures; returns labelled pictures and messages.

    VOC counts pixels from 1 and includes the last one: xmin = 1, xmax = W is the whole picture.

    Args:
        source: the folder.
        images: folder of the pictures; None: JPEGImages or images in `source`, the XML files' folder, or `source`.
        names: maps object names to Pinsight's classes.
        zero_based: px are counted from 0, and xmax and ymax are edges of the box, as many tools write them.
    """
    found = ReadLabels()
    folder = source / "Annotations" if (source / "Annotations").is_dir() else source
    paths = files_below(folder, "*.xml")
    if not paths:
        found.problems.append(f"{source}: expected XML files of Pascal VOC, got none")
    listed = _listed(source, found)
    bases = [images] if images else [*(source / name for name in FOLDERS), folder, source]
    pictures = _Pictures([base for base in dict.fromkeys(bases) if base.is_dir()] or bases[:1])
    faulty, unlisted, groups = set(), [], []
    for path in paths:
        own = path.relative_to(folder).with_suffix("")
        where = path.relative_to(source).as_posix()
        try:
            root = _root(path)
        except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
            found.problems.append(f"{where}: expected an XML file of Pascal VOC, got: {error}")
            faulty.add(own)
            continue
        name = (root.findtext("filename") or "").strip() or path.with_suffix("").name
        if not leads_below(name.replace("\\", "/").lstrip("/"), *pictures.bases):
            found.problems.append(f"{where}: expected filename inside {pictures.bases[0].name}/, got {shown(name)}")
            faulty.add(own)
            continue
        problems: list[str] = []
        picture = pictures.of(name, path, own.parent, where, problems)
        faulty |= {own} if problems else set()
        first = 0.0 if zero_based else 1.0
        objects = _objects(root, where, names, first, problems)
        if (split := _split_of(own, listed)) is None and listed:
            unlisted.append(where)
        groups.append(folder_of(own.as_posix()))
        found.pictures.append(
            Labelled(picture.path, picture.name, split, None, objects, size=_size(root), problems=tuple(problems))
        )
    if unlisted:
        got = f"{len(unlisted)} that no list names (first: {unlisted[0]}): their pictures are put into train"
        found.notes.append(f"ImageSets/Main: expected the name of every XML file in a list, got {got}")
    elif not listed:
        note_splits(found, groups)
    _check_all_read(found, pictures, faulty, source)
    return found


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Return the picture's width and height in px as the XML states them; None if it does not."""
    size = numbers([root.findtext("size/width"), root.findtext("size/height")], 2)
    return (int(size[0]), int(size[1])) if size and min(size) >= 1 else None


def _check_all_read(found: ReadLabels, pictures: _Pictures, faulty: Collection[Path], source: Path) -> None:
    """Name the pictures without an XML file, and the files that are neither.

    Args:
        found: gets the messages.
        pictures: search for the pictures.
        faulty: paths without suffix, below the folder, of XML files that messages name already.
        source: folder to which paths in messages are relative.
    """
    read = {each.path.resolve() for each in found.pictures}
    base = pictures.bases[0]
    own = [path for path in pictures.every if path.is_relative_to(base) and path.resolve() not in read]
    unread = [path for path in own if path.relative_to(base).with_suffix("") not in faulty]
    name_unlabelled(unread, source, "{stem}.xml (for a good part, a file without objects)", found.problems)
    if note := passed_over(base, known=files_below(base, "*.xml")):
        found.notes.append(note)


class _Place(NamedTuple):
    """A picture's path, and its path below the folder of pictures."""

    path: Path
    name: str


@dataclass(frozen=True)
class _Pictures:
    """Search for the pictures of XML files.

    Attributes:
        bases: folders that may hold pictures, in the order of the search.
    """

    bases: Sequence[Path]

    @cached_property
    def every(self) -> list[Path]:
        """Paths of all pictures in `bases` and their subfolders, each once."""
        return list(dict.fromkeys(path for base in self.bases for path in files_below(base) if is_picture(path)))

    @cached_property
    def _by_stem(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in self.every:
            found.setdefault(folded(str(path.with_suffix(""))), []).append(path)
        return found

    def of(self, name: str, xml: Path, below: Path, where: str, problems: list[str]) -> _Place:
        """Find the picture of an XML file by the picture's name in it and by the XML file's own name.

        Args:
            name: the picture's name in the XML file; leading folders may be those of another computer.
            xml: path of the XML file.
            below: folder of the XML file, relative to the folder of all XML files; pictures may lie in a folder of the
                same name.
            where: name of the XML file in messages.
            problems: list that gets a message if the two names lead to different pictures.

        Returns:
            The picture's path, even if there is no such file, and this path relative to its folder in `bases`.
        """
        beside = [xml.parent, *(xml.parent.parent / folder for folder in FOLDERS if below.parts)]
        places = list(dict.fromkeys([*(base / below for base in self.bases), *beside, *self.bases]))
        alike = next((o for place in places if (o := self._by_stem.get(folded(str(place / xml.stem))))), [])
        own = [path for path in alike if path.stem == xml.stem] or alike
        named = find_named(name, places)
        picture = named[0] if named is not None else None
        if picture is None and len(own) == 1:
            picture = own[0]
        elif own and picture not in own:
            alike_names = " or ".join(path.name for path in own)
            problems.append(
                f"{where}: expected filename to be the picture with this XML file's name, {alike_names}, got {name}"
            )
        if picture is None:
            picture = own[0] if own else places[0] / name.replace("\\", "/").rpartition("/")[2]
        base = next((base for base in self.bases if picture.is_relative_to(base)), picture.parent)
        return _Place(picture, picture.relative_to(base).as_posix())


def _listed(source: Path, found: ReadLabels) -> dict[str, str]:
    """Return splits from ImageSets/Main by the folded name of an XML file, without its suffix."""
    listed: dict[str, str] = {}
    for path in files_below(source / "ImageSets" / "Main", "*.txt"):
        if split := split_of(path.stem):
            for line in filter(str.strip, read_lines(path, found.problems)):
                name = folded(line.split()[0])
                if listed.setdefault(name, split) != split:
                    found.problems.append(
                        f"ImageSets/Main: expected {name} in the lists of one split, got {listed[name]} and {split}"
                    )
    return listed


def _split_of(name: Path, listed: Mapping[str, str]) -> str | None:
    """Return the split of an XML file (without suffix): as listed, else of its folder; None if neither gives one."""
    split = listed.get(folded(name.as_posix())) or listed.get(folded(name.name))
    return split or next((s for part in name.parts[:-1] if (s := split_of(part))), None)


def _root(path: Path) -> ElementTree.Element:
    content = path.read_bytes()
    if b"<!ENTITY" in content or b"<!DOCTYPE" in content:
        raise ValueError("a document type or an entity (<!DOCTYPE or <!ENTITY), which is not allowed")
    root = ElementTree.fromstring(content)
    if root.tag != "annotation":
        raise ValueError(f"the element {shown(root.tag)} in place of annotation")
    return root


def _stated_twice(entry: ElementTree.Element) -> str:
    """Name of the first element of an object that it states more than once; "" if there is none."""
    paths = ("name", "bndbox", *(f"bndbox/{edge}" for edge in EDGES))
    return next((path for path in paths if len(entry.findall(path)) > 1), "")


def _objects(
    root: ElementTree.Element, where: str, names: ClassNames, first: float, problems: list[str]
) -> tuple[LabelledObject, ...]:
    """Read the boxes of a file whose pixels are counted from `first` (0 or 1)."""
    found = []
    for number, entry in enumerate(root.iter("object"), 1):
        box = entry.find("bndbox")
        if twice := _stated_twice(entry):
            problems.append(f"{where} object {number}: expected {twice} once, got it twice")
            continue
        texts = [box.findtext(key) if box is not None else None for key in EDGES]
        edges = numbers(texts, 4)
        word = (entry.findtext("name") or "").strip()
        if edges is None or not word:
            problems.append(
                f"{where} object {number}: expected a name and a bndbox of four numbers, got {word!r} and {texts}"
            )
            continue
        x1, y1, x2, y2 = edges
        found.append(LabelledObject((x1 - first, y1 - first, x2, y2), names[word], word))
    return tuple(found)
