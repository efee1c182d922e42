"""Read and write COCO's files of object instances: one JSON file per split, boxes as x, y, width, height in px.

Exported files have further keys: columns of the dataset for each picture; address, kinds and measures for each object.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import digits
from typing import Any

import numpy as np

from blender_scripts.contract.errors import shown
from generator.dataset.rows import ObjectRow
from generator.interchange.coco_masks import bounds_of, cleaned, run_lengths
from generator.interchange.exported import Export, Exported, Writer
from generator.interchange.labelled import (
    OWN_KEYS,
    Box,
    ClassNames,
    Labelled,
    LabelledObject,
    ReadLabels,
    find_named,
    leads_below,
    name_unlabelled,
    note_splits,
    numbers,
    own_values,
    split_of,
    text_of,
)
from generator.interchange.own_columns import ABOUT, own_columns
from generator.io.file_names import dataset_name, existing
from generator.io.json_text import parse_json
from generator.io.pictures import files_below, is_picture

KEY_POINTS = ("tip", "base")
# The edges of a bbox may be rounded: so far they may lie from the segmentation's.
MOST_APART_PX = 2.0


def read_coco(source: Path, images: Path | None, names: ClassNames) -> ReadLabels:
    """Read a COCO file, or every COCO file of a folder: *.json in it or in `annotations`, */_annotations.coco.json.

    Args:
        source: the file or folder.
        images: folder of the pictures; None: the file's folder, its parent, or a folder `images` in one of these. In
            each, a folder named after the file or its split (train2017) is searched too.
        names: maps category names to Pinsight's classes.

    Returns:
        The labelled pictures, and messages on faults.
    """
    found = ReadLabels()
    places = ("*.json", "annotations/*.json", "*/_annotations.coco.json")
    globs = (source.glob(place, case_sensitive=False) for place in places)
    known = {path for paths in globs for path in paths if path.name[0] != "."}
    paths = [source] if source.is_file() else [path for path in files_below(source, "*.json") if path in known]
    files: list[_File] = []
    if not paths:
        found.problems.append(f"{source}: expected a COCO JSON file, or a folder with such files, got none")
    for path in paths:
        try:
            content = parse_json(text_of(path))
            if isinstance(content, list):
                raise ValueError("a single list, as in files of detection results")
            keys = [isinstance(content[key], list) for key in ("images", "annotations", "categories")]
            if not all(keys):
                raise ValueError("other values under these keys")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            why = f"no key {error}" if isinstance(error, KeyError) else str(error)
            found.problems.append(
                f"{path.name}: expected a COCO file with the lists images, annotations and categories, got: {why}"
            )
            continue
        file = _File(path, content, images, names, found)
        file.read()
        files.append(file)
    _name_unlabelled(files, source, found)
    note_splits(found, [word for file in files for word in file.groups])
    return found


def _name_unlabelled(files: Sequence[_File], source: Path, found: ReadLabels) -> None:
    """Add messages on pictures beside labelled ones that have no entry."""
    listed = {path.resolve() for file in files for path in file.listed}
    root = source if source.is_dir() else source.parent
    folders = {folder: is_deep for file in files for folder, is_deep in file.folders.items()}
    beside = {path for f, is_deep in folders.items() for path in (files_below(f) if is_deep else f.iterdir())}
    unlabelled = sorted(path for path in beside if is_picture(path) and path.resolve() not in listed)
    name_unlabelled(unlabelled, root, ", ".join(file.path.name for file in files), found.problems)


@dataclass
class _File:
    """Reader of one COCO file, which adds its pictures to `found`.

    Attributes:
        words: category names by id; more than one for an id is a fault.
        times: how many images have each id (more than one is a fault).
        objects, wrong: objects, and messages on faulty objects, by image id.
        listed: pictures that an entry names, with or without a fault.
        folders: folders of these pictures; for each, whether its subfolders hold pictures of the file too.
        annotation_times: how many annotations have each id (more than one is a fault).
        rotated: annotations of turned boxes, as CVAT writes them.
        marked: annotations with `iscrowd` or `ignore`.
        partial: annotations whose segmentation is smaller than their bbox, and inside it.
        unequal: annotations whose segmentation reaches beyond their bbox.
        groups: for each picture, its entry's split as written, else the file's name.
        subsets: folders named after the file's subset.
        shortened: names that were found without their leading folders, and their files.
    """

    path: Path
    content: Mapping[str, Any]
    images: Path | None
    names: ClassNames
    found: ReadLabels
    words: dict[Any, dict[str, None]] = field(default_factory=dict)
    times: Counter[Any] = field(default_factory=Counter)
    objects: dict[Any, list[LabelledObject]] = field(default_factory=dict)
    wrong: dict[Any, list[str]] = field(default_factory=dict)
    listed: list[Path] = field(default_factory=list)
    folders: dict[Path, bool] = field(default_factory=dict)
    subsets: set[Path] = field(default_factory=set)
    shortened: dict[str, str] = field(default_factory=dict)
    annotation_times: Counter[Any] = field(default_factory=Counter)
    rotated: list[str] = field(default_factory=list)
    marked: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def read(self) -> None:
        """Read the file: its pictures, and messages on them, are added to `found`."""
        for entry in self.content["categories"]:
            number = _id_of(entry.get("id")) if isinstance(entry, dict) else None
            if number is not None and isinstance(entry.get("name"), str):
                self.words.setdefault(number, {})[entry["name"]] = None
            else:
                self._problem("categories: expected an entry with id and name", entry)
        for number, words in self.words.items():
            if len(words) > 1:
                self._problem(f"categories: expected one name for the id {shown(number)}", ", ".join(words))
        ids = [_id_of(entry.get("id")) for entry in self.content["images"] if isinstance(entry, dict)]
        self.times.update(number for number in ids if number is not None)
        own_ids = [_id_of(entry.get("id")) for entry in self.content["annotations"] if isinstance(entry, dict)]
        self.annotation_times.update(number for number in own_ids if number is not None)
        for entry in self.content["annotations"]:
            self._read_annotation(entry)
        places, split = self._places(), self._split()
        for entry in self.content["images"]:
            self._read_image(entry, places, split)
        self._note()

    def _note(self) -> None:
        """Add the notes on annotations and pictures that are not read as their labels state."""
        if self.rotated:
            self.found.notes.append(
                f"{self.path.name}: {len(self.rotated)} boxes have a rotation (first: {self.rotated[0]}), which is "
                "ignored: their bbox is read"
            )
        if self.marked:
            self.found.notes.append(
                f"{self.path.name}: annotations with iscrowd or ignore: {len(self.marked)} (first: {self.marked[0]}); "
                "they are read like the others"
            )
        if self.unequal:
            self.found.notes.append(
                f"warning: {self.path.name}: {len(self.unequal)} annotations have a segmentation that reaches beyond "
                f"their bbox (first: {self.unequal[0]}): the bbox is read"
            )
        if self.partial:
            self.found.notes.append(
                f"{self.path.name}: {len(self.partial)} annotations have a segmentation inside a larger bbox, as "
                f"partly hidden objects have (first: {self.partial[0]}): both are read"
            )
        if self.shortened:
            name, found = next(iter(self.shortened.items()))
            self.found.notes.append(
                f"{self.path.name}: {len(self.shortened)} pictures are in other folders than file_name states, such as "
                f"{shown(name)}, read from {found}"
            )

    def _problem(self, expected: str, got: Any) -> None:
        self.found.problems.append(f"{self.path.name} {expected}, got {shown(got)}")

    def _read_annotation(self, entry: Any) -> None:
        where = f"annotation {shown(entry.get('id') if isinstance(entry, dict) else entry)}"
        given: dict[str, Any] = entry if isinstance(entry, dict) else {}
        image, category = _id_of(given.get("image_id")), _id_of(given.get("category_id"))
        if image is None or self.times[image] != 1:
            self._problem(f"{where}: expected an image_id that exactly one entry of images has", given.get("image_id"))
            return
        where, wrong = f"{self.path.name} {where}", self.wrong.setdefault(image, [])
        if self.annotation_times[_id_of(given.get("id"))] > 1:
            wrong.append(f"{where}: expected an id that no other annotation has, got one that another has too")
        attributes = given.get("attributes")
        turned = numbers([attributes.get("rotation")], 1) if isinstance(attributes, dict) else None
        if turned is not None and turned[0] % 360:
            self.rotated.append(where.removeprefix(f"{self.path.name} "))
        if given.get("iscrowd") or given.get("ignore"):
            self.marked.append(where.removeprefix(f"{self.path.name} "))
        segmentation = cleaned(given.get("segmentation"))
        bbox = given.get("bbox") or bounds_of(segmentation)
        box = numbers(bbox, 4) if isinstance(bbox, list | tuple) else None
        words = list(self.words.get(category, ()))
        if box is None:
            wrong.append(f"{where}: expected bbox as four numbers, got {shown(given.get('bbox'))}")
        elif len(words) != 1:
            got = f"{shown(given.get('category_id'))}{', the id of several: ' if words else ''}{', '.join(words)}"
            wrong.append(f"{where}: expected a category_id that one entry of categories has, got {got}")
        else:
            word, (x, y, width, height) = words[0], box
            own = own_values(given, where, wrong)
            edges = x, y, x + width, y + height
            if where.removeprefix(f"{self.path.name} ") not in self.rotated and given.get("bbox"):
                self._compare(edges, segmentation, bool(own), where, wrong)
            labelled = LabelledObject(edges, self.names[word], word, segmentation, own)
            self.objects.setdefault(image, []).append(labelled)

    def _compare(self, box: Box, segmentation: Any, is_own: bool, where: str, wrong: list[str]) -> None:
        """Note an annotation whose bbox is not the box around its segmentation; where they contradict, it is wrong.

        A segmentation inside a larger bbox is that of a partly hidden object, of which the bbox shows the whole.
        `is_own`: the annotation has keys of Pinsight's export, which writes no corners as bbox.
        """
        if (bounds := bounds_of(segmentation)) is None:
            return
        x, y, width, height = bounds
        around = x, y, x + width, y + height
        if _are_close(box, around):
            return
        given, found = (", ".join(f"{value:g}" for value in edges) for edges in (box, around))
        both = f"bbox [{given}] and segmentation in [{found}] (x1, y1, x2, y2)"
        inside = min(box[2], around[2]) - max(box[0], x), min(box[3], around[3]) - max(box[1], y)
        common = max(0.0, inside[0]) * max(0.0, inside[1])
        is_apart = common < 0.5 * ((box[2] - box[0]) * (box[3] - box[1]) + width * height - common)
        short = f"{where.removeprefix(f'{self.path.name} ')}: {both}"
        if is_apart and not is_own and _are_close((box[0], box[1], box[2] - box[0], box[3] - box[1]), around):
            wrong.append(f"{where}: expected x, y, width, height as bbox, got x1, y1, x2, y2: {both}")
        elif all(abs(a - b) <= MOST_APART_PX for a, b in zip(inside, (width, height), strict=True)):
            self.partial.append(short)
        elif is_apart:
            wrong.append(f"{where}: expected the box around the segmentation as bbox, got {both}")
        else:
            self.unequal.append(short)

    def _read_image(self, entry: Any, places: Sequence[Path], split: str | None) -> None:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            self._problem("images: expected an entry with file_name", entry)
            return
        found = self._find(name, places)
        if found is None and not leads_below(name, *places):
            self._problem(f"images: expected a file_name inside the folder {places[0]}", name)
            return
        path, short = found or (places[0] / name, name)
        number, label = _id_of(entry.get("id")), entry.get("label")
        if number is None or self.times[number] > 1:
            self._problem(f"images: expected an id for {name} that no other image has", entry.get("id"))
            return
        wrong = self.wrong.get(number, [])
        if label is not None and not isinstance(label, str):
            wrong = [*wrong, f"{self.path.name} image {name}: expected label as a name, got {shown(label)}"]
        wrong = list(wrong)
        columns = own_columns(entry, f"{self.path.name} image {name}", wrong)
        size = numbers([entry.get("width"), entry.get("height")], 2)
        given = entry.get("split")
        beside = self.path.parent.name if self.path.name == "_annotations.coco.json" else self.path.name
        if split is None:
            split = next((s for part in Path(short).parts[:-1] if (s := subset_split(part))), None)
        self.groups.append(given if isinstance(given, str) and given else beside)
        self.found.pictures.append(
            Labelled(
                path=path,
                name=short,
                split=split_of(str(entry.get("split", ""))) or split,
                label=self.names[label] if isinstance(label, str) else None,
                objects=tuple(self.objects.get(number, ())),
                word=label if isinstance(label, str) else "",
                size=None if size is None else (int(size[0]), int(size[1])),
                columns=columns,
                problems=tuple(wrong),
            )
        )

    def _find(self, name: str, places: Sequence[Path]) -> tuple[Path, str] | None:
        """Find a picture, and note it and its folder; returns its path, and the path relative to one of the places."""
        found = find_named(name, places)
        if found is None:
            return None
        path, short, is_shortened = found
        if is_shortened:
            self.shortened[name] = short
        self.listed.append(path)
        parts = Path(short).parts if not Path(short).is_absolute() else (path.name,)
        place = path.parents[len(parts) - 1]
        if place in self.subsets:
            short, parts, place = f"{place.name}/{short}", (place.name, *parts), place.parent
        if len(parts) > 1:
            self.folders[place / parts[0]] = True
        else:
            is_own = place == self.images or place.name == "images"
            self.folders[path.parent] = self.folders.get(path.parent, False) or is_own
        return path, short

    def _split(self) -> str | None:
        """Return the split in the name of the file or its folder; None if neither names one."""
        stem = self.path.stem
        if stem.startswith("instances_") and (split := split_of(stem.removeprefix("instances_"))):
            return split
        words = [*stem.replace("-", "_").split("_"), self.path.parent.name]
        return next((s for word in words if (s := subset_split(word))), None)

    def _places(self) -> list[Path]:
        """Return the folders that may hold the pictures, in the order of the search: last those of the file's subset.

        CVAT writes `instances_Train.json` and `images/Train`, COCO has `instances_train2017.json` and `train2017`.
        """
        folder = self.path.parent
        places = [self.images] if self.images else [folder, folder / "images", folder.parent / "images", folder.parent]
        subset, split = self.path.stem.removeprefix("instances_"), self._split()
        for place in filter(Path.is_dir, places):
            named = existing(place, subset)
            alike = [path for path in place.iterdir() if path.is_dir() and split and subset_split(path.name) == split]
            self.subsets |= {named} if named and named.is_dir() else set(alike) if len(alike) == 1 else set()
        self.subsets -= set(places)
        return [*places, *sorted(self.subsets)]


def subset_split(word: str) -> str | None:
    """Return the split that a name stands for, also with a year as in val2017; None if it is not a split's name."""
    return split_of(word) or split_of(word.rstrip(digits))


def _are_close(one: Box, other: Box) -> bool:
    return all(abs(a - b) <= MOST_APART_PX for a, b in zip(one, other, strict=True))


def _id_of(value: Any) -> int | str | None:
    """Return an id as COCO's files are joined by it: 1.0 and "1" are 1; None: no id."""
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"0|-?[1-9][0-9]{0,18}", value) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _segment(mask: np.ndarray, each: ObjectRow) -> dict[str, Any]:
    """Return COCO's run lengths and area (px) of an object's pixels in the mask; without any, its box as a polygon."""
    pixels = mask == each.id
    if pixels.any():
        return {"segmentation": run_lengths(pixels), "area": float(pixels.sum())}
    x1, y1, x2, y2 = each.box
    return {"segmentation": [[x1, y1, x2, y1, x2, y2, x1, y2]]}


def _finish(job: Export, pictures: Mapping[str, Sequence[Exported]]) -> None:
    """Write one COCO file per split."""
    (job.folder / "annotations").mkdir(parents=True, exist_ok=True)
    every = (each for split in pictures.values() for p in split for each in p.objects or ())
    has_points = any(each.tip_px is not None or each.base_px is not None for each in every)
    points = {"keypoints": list(KEY_POINTS), "skeleton": [[1, 2]]} if has_points else {}
    categories = [
        {"id": number, "name": name, "supercategory": "position", **points}
        for number, name in enumerate(job.classes, 1)
    ]
    number = 0
    for split, own in pictures.items():
        images, annotations = [], []
        for image, picture in enumerate(own, 1):
            images.append(_image(image, picture))
            for annotation in _annotations(job, picture, has_points):
                number += 1
                annotations.append({"id": number, "image_id": image, **annotation})
        content = {
            "info": {"description": f"{dataset_name(job.dataset)}, {split}"},
            "licenses": [],
            "images": images,
            "annotations": annotations,
            "categories": categories,
        }
        path = job.folder / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _image(number: int, picture: Exported) -> dict[str, Any]:
    width, height = picture.size
    return {
        "id": number,
        "file_name": picture.path.name,
        "width": width,
        "height": height,
        **{name: value for name, value in picture.about.items() if value is not None},
        "label": picture.label,
        "split": picture.split,
    }


def _annotations(job: Export, picture: Exported, has_points: bool) -> Iterator[dict[str, Any]]:
    objects = picture.objects or ()
    segments: Sequence[dict[str, Any]] = picture.segments or [{}] * len(objects)
    for each, segment in zip(objects, segments, strict=True):
        x1, y1, x2, y2 = each.box
        own = {name: getattr(each, name) for name in OWN_KEYS}
        yield {
            "category_id": job.classes.index(each.category) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": each.area,
            "iscrowd": 0,
            **{name: value for name, value in own.items() if value is not None},
            **segment,
            **(_key_points(each) if has_points else {}),
        }


def _key_points(each: ObjectRow) -> dict[str, Any]:
    """Return tip and foot as COCO's triples (x, y, visibility); 0, 0, 0 for an unknown point."""
    points = (each.tip_px, each.base_px)
    flat = [value for point in points for value in ((*point, 2) if point is not None else (0, 0, 0))]
    return {"keypoints": flat, "num_keypoints": sum(point is not None for point in points)}


WRITER = Writer(lambda split, label: Path("images"), _finish, segment=_segment, columns=tuple(ABOUT))
