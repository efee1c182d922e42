"""COCO's instances files: one JSON per split, boxes x, y, width, height in px."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from string import digits
from typing import Any

from blender_scripts.contract.errors import shown
from generator.interchange.labelled import (
    ClassNames,
    Found,
    Labelled,
    Thing,
    leads_below,
    numbers,
    own_values,
    split_of,
)


def read_coco(source: Path, images: Path | None, names: ClassNames) -> Found:
    """Read one file, or every JSON file of a folder or of its `annotations`.

    Args:
        source: the file or folder.
        images: where the pictures are; None: beside the file, or in a folder `images` near it.
        names: classes by category name.
    """
    found = Found()
    places = ("*.json", "annotations/*.json", "*/_annotations.coco.json")
    paths = [source] if source.is_file() else sorted(p for place in places for p in source.glob(place))
    if not paths:
        found.problems.append(f"{source}: expected COCO's JSON file, or a folder with some, got none")
    for path in paths:
        try:
            content = json.loads(path.read_text("utf-8-sig"))
            keys = [isinstance(content[key], list) for key in ("images", "annotations", "categories")]
            if not all(keys):
                raise ValueError("images, annotations and categories that are no lists")
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            why = f"no {error}" if isinstance(error, KeyError) else str(error)
            found.problems.append(
                f"{path.name}: expected COCO's images, annotations and categories, got: {why}"
            )
            continue
        _read(path, content, images, names, found)
    return found


def _read(path: Path, content: dict[str, Any], images: Path | None, names: ClassNames, found: Found) -> None:
    words = {}
    for entry in content["categories"]:
        if not (isinstance(entry, dict) and isinstance(entry.get("name"), str) and _is_id(entry.get("id"))):
            found.problems.append(f"{path.name} categories: expected id and name, got {shown(entry)}")
            continue
        words[entry["id"]] = entry["name"]
    said = [*path.stem.replace("-", "_").split("_"), path.parent.name]
    split = next(
        (s for word in said if (s := split_of(word) or split_of(word.rstrip(digits)))), None
    )  # digits: a year
    if path.stem.startswith("instances_"):
        split = split_of(path.stem.removeprefix("instances_")) or split
    of_image: dict[Any, list[Thing]] = {}
    wrong: dict[Any, list[str]] = {}
    ids = [entry.get("id") for entry in content["images"] if isinstance(entry, dict)]
    times = Counter(number for number in ids if _is_id(number))
    for entry in content["annotations"]:
        where = f"{path.name} annotation {shown(entry.get('id') if isinstance(entry, dict) else entry)}"
        box = (
            numbers(entry["bbox"], 4)
            if isinstance(entry, dict) and isinstance(entry.get("bbox"), list)
            else None
        )
        image = entry.get("image_id") if isinstance(entry, dict) else None
        category = entry.get("category_id") if isinstance(entry, dict) else None
        if not _is_id(image) or times[image] != 1:
            found.problems.append(f"{where}: expected an image_id of the file, got {shown(image)}")
        elif box is None:
            wrong.setdefault(image, []).append(f"{where}: expected bbox as four numbers, got another")
        elif not _is_id(category) or category not in words:
            problem = f"{where}: expected a category_id of the file, got {shown(category)}"
            wrong.setdefault(image, []).append(problem)
        else:
            word = words[category]
            x, y, width, height = box
            edges = x, y, x + width, y + height
            own = own_values(entry, where, wrong.setdefault(image, []))
            thing = Thing(edges, names[word], word, entry.get("segmentation") or None, own)
            of_image.setdefault(image, []).append(thing)
    places = _places(path, images)
    for entry in content["images"]:
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            found.problems.append(f"{path.name} images: expected file_name, got {shown(entry)}")
            continue
        if not leads_below(name, *places):
            found.problems.append(
                f"{path.name} images: expected a file_name below {places[0]}, got {shown(name)}"
            )
            continue
        number = entry.get("id")
        if not _is_id(number) or times[number] > 1:
            found.problems.append(
                f"{path.name} images: expected an id of its own for {name}, got {shown(number)}"
            )
            continue
        size = numbers([entry.get("width"), entry.get("height")], 2)
        label = entry.get("label")
        found.pictures.append(
            Labelled(
                path=next((place / name for place in places if (place / name).is_file()), places[0] / name),
                name=name,
                split=split_of(str(entry.get("split", ""))) or split,
                label=names[label] if isinstance(label, str) else None,
                things=tuple(of_image.get(number, ())),
                size=None if size is None else (int(size[0]), int(size[1])),
                problems=tuple(wrong.get(number, ())),
            )
        )


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _places(path: Path, images: Path | None) -> list[Path]:
    """Where the pictures of a JSON file may be."""
    if images is not None:
        return [images]
    return [path.parent, path.parent / "images", path.parent.parent / "images", path.parent.parent]
