"""Read Pascal VOC: an XML file per picture in Annotations, pictures in JPEGImages, splits in ImageSets/Main."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from blender_scripts.contract.errors import shown
from generator.interchange.labelled import (
    ClassNames,
    Found,
    Labelled,
    LabelledObject,
    leads_below,
    numbers,
    read_lines,
    split_of,
)
from generator.io.pictures import SUFFIXES


def read_voc(source: Path, images: Path | None, names: ClassNames, zero_based: bool = False) -> Found:
    """Read a folder in VOC's layout, or one with XML files beside their pictures.

    VOC counts pixels from 1 and includes the last one: xmin = 1, xmax = W is the whole picture.

    Args:
        source: the folder.
        images: folder of the pictures; None: JPEGImages, images, or the folder of the XML files.
        names: maps object names to classes.
        zero_based: px are counted from 0 and xmax is the box's right edge, as many tools write it.
    """
    found = Found()
    folder = source / "Annotations" if (source / "Annotations").is_dir() else source
    paths = sorted(folder.rglob("*.xml"))
    if not paths:
        found.problems.append(f"{source}: expected VOC's XML files, got none")
    splits = _splits(source, found.problems)
    places = [images] if images else [source / "JPEGImages", source / "images", folder, source]
    first = 0.0 if zero_based else 1.0
    for path in paths:
        where = path.relative_to(source).as_posix()
        try:
            root = _root(path)
        except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
            found.problems.append(f"{where}: expected XML, got: {error}")
            continue
        name = (root.findtext("filename") or path.with_suffix("").name).replace("\\", "/")
        if not leads_below(name.lstrip("/"), *places):
            found.problems.append(f"{where}: expected a filename below {places[0].name}, got {shown(name)}")
            continue
        problems: list[str] = []
        objects = _objects(root, where, names, first, problems)
        size = numbers([root.findtext("size/width"), root.findtext("size/height")], 2)
        # The path may be an absolute one from another computer: only its file name is used.
        picture = _locate(name if leads_below(name, *places) else name.rpartition("/")[2], path.stem, places)
        found.pictures.append(
            Labelled(
                picture,
                name,
                splits.get(path.stem),
                None,
                objects,
                size=(int(size[0]), int(size[1])) if size and min(size) >= 1 else None,
                problems=tuple(problems),
            )
        )
    return found


def _root(path: Path) -> ElementTree.Element:
    content = path.read_bytes()
    if b"<!ENTITY" in content or b"<!DOCTYPE" in content:
        raise ValueError("a document type or entity, which annotations must not have")
    return ElementTree.fromstring(content)


def _objects(
    root: ElementTree.Element, where: str, names: ClassNames, first: float, problems: list[str]
) -> tuple[LabelledObject, ...]:
    """Read the boxes of a file whose pixels are counted from `first` (0 or 1)."""
    found = []
    for number, entry in enumerate(root.iter("object"), 1):
        box = entry.find("bndbox")
        texts = [box.findtext(key) if box is not None else None for key in ("xmin", "ymin", "xmax", "ymax")]
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


def _splits(source: Path, problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in sorted((source / "ImageSets" / "Main").glob("*.txt")):
        if split := split_of(path.stem):
            found |= {line.split()[0]: split for line in read_lines(path, problems) if line.strip()}
    return found


def _locate(name: str, stem: str, places: list[Path]) -> Path:
    for place in places:
        for candidate in (name, Path(name).name, *(f"{stem}{suffix}" for suffix in SUFFIXES)):
            if (place / candidate).is_file():
                return place / candidate
    return places[0] / name
