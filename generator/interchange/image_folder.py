"""Read and write image folders: SPLIT/CLASS/picture, CLASS/picture, or metadata.jsonl/.csv with file_name and label."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from blender_scripts.contract.csv_file import CsvRows
from blender_scripts.contract.errors import InputError, shown
from generator.interchange.exported import Export, Exported, Writer
from generator.interchange.labelled import (
    ClassNames,
    Found,
    Labelled,
    LabelledObject,
    leads_below,
    numbers,
    own_values,
    split_of,
)
from generator.io.pictures import find_pictures


def read_image_folder(source: Path, names: ClassNames, views: Sequence[str] = ()) -> Found:
    """Read pictures whose class is the name of their folder, or is given in a metadata file, with or without boxes.

    Args:
        source: the folder.
        names: maps folder names or labels to classes.
        views: names of cameras: in CLASS/PART/left.png, with left among them, PART is a part and not the class.
    """
    found = Found()
    metadata = sorted([*source.rglob("metadata.jsonl"), *source.rglob("metadata.csv")])
    if metadata:
        for path in metadata:
            _read_metadata(path, source, names, found)
        return found
    try:
        paths = find_pictures(source)
    except InputError as error:
        found.problems += error.problems
        return found
    for path in paths:
        parts = path.relative_to(source).parts[: -2 if path.stem in views else -1]
        name = path.relative_to(source).as_posix()
        if not parts or split_of(parts[-1]):
            found.problems.append(f"{name}: expected the picture in a folder named after its class, got none")
            continue
        split = next((s for part in parts[:-1] if (s := split_of(part))), None)
        found.pictures.append(Labelled(path, name, split, names[parts[-1]], None, parts[-1]))
    return found


def _read_metadata(path: Path, source: Path, names: ClassNames, found: Found) -> None:
    where, faults = path.relative_to(source).as_posix(), len(found.problems)
    try:
        rows = _lines(path, where, found.problems)
    except (OSError, ValueError, RecursionError) as error:
        found.problems.append(f"{where}: expected a line per picture, got: {error}")
        return
    if not rows and len(found.problems) > faults:
        return
    listed = set()
    for number, row in rows:
        name = row.get("file_name") if isinstance(row, dict) else None
        if not isinstance(name, str) or not name:
            found.problems.append(f"{where}:{number}: expected file_name, got none")
            continue
        listed.add(path.parent / name)
        if not leads_below(name, path.parent, source) or not (path.parent / name).is_relative_to(source):
            problem = f"{where}:{number}: expected a file_name below {source.name}, got {shown(name)}"
            found.problems.append(problem)
        else:
            _read_line(path.parent / name, row, f"{where}:{number}", source, names, found)
    for picture in find_pictures(path.parent):
        if picture not in listed:
            found.problems.append(f"{picture.relative_to(source).as_posix()}: expected a line in {where}, got none")


def _lines(path: Path, where: str, problems: list[str]) -> list[tuple[int, Any]]:
    """Return the rows of a metadata file, each with its line number; adds faults of a CSV file to `problems`."""
    text = path.read_text("utf-8-sig")
    if path.suffix == ".jsonl":
        return [(n, json.loads(line)) for n, line in enumerate(text.split("\n"), 1) if line.strip()]

    def wrong(line: int, column: str, expected: str, got: str) -> None:
        problems.append(f"{where}:{line} {column}: expected {expected}, got {got}")

    columns = ("file_name", "label", "objects")
    rows = CsvRows(io.StringIO(text, newline=""), columns, wrong, ["file_name"], exact=True, ragged=True, index=True)
    # An empty cell is a missing value.
    return [(line, {name: value for name, value in cells.items() if value != ""}) for line, cells in rows]


def _read_line(
    picture: Path, row: Mapping[str, Any], where: str, source: Path, names: ClassNames, found: Found
) -> None:
    problems: list[str] = []
    objects = _objects(row.get("objects"), where, names, problems)
    label = row.get("label")
    if label is not None and not isinstance(label, str):
        problems.append(f"{where}: expected label as a name, got {shown(label)}")
    if label is None and objects is None and not problems:
        found.problems.append(f"{where}: expected label or objects, got neither")
        return
    relative = picture.relative_to(source)
    split = next((s for part in relative.parts[:-1] if (s := split_of(part))), None)
    word = label if isinstance(label, str) else ""
    found.pictures.append(
        Labelled(
            picture,
            relative.as_posix(),
            split,
            names[word] if isinstance(label, str) else None,
            objects,
            word,
            problems=tuple(problems),
        )
    )


def _objects(objects: Any, where: str, names: ClassNames, problems: list[str]) -> tuple[LabelledObject, ...] | None:
    """Return the boxes in a metadata row's `objects` (in a CSV cell: JSON); None if it has none or they are faulty."""
    if objects is None:
        return None
    try:
        if isinstance(objects, str):
            objects = json.loads(objects)
    except (ValueError, RecursionError):
        pass
    if not isinstance(objects, dict):
        problems.append(f"{where} objects: expected a JSON object with bbox and categories, got {shown(objects)}")
        return None
    boxes, words = objects.get("bbox"), objects.get("categories", objects.get("category"))
    if not isinstance(boxes, list) or not isinstance(words, list) or len(boxes) != len(words):
        got = f"{shown(boxes)} and {shown(words)}"
        problems.append(f"{where} objects: expected lists bbox and categories of equal length, got {got}")
        return None
    found = []
    for at, (box, word) in enumerate(zip(boxes, words, strict=True)):
        values = numbers(box, 4) if isinstance(box, list) else None
        if values is None or not isinstance(word, str):
            got = f"{shown(box)} {shown(word)}"
            problems.append(f"{where} objects {at}: expected a box of four numbers and a category name, got {got}")
            continue
        x, y, width, height = values
        values_here = {
            name: column[at] for name, column in objects.items() if isinstance(column, list) and at < len(column)
        }
        own = own_values(values_here, f"{where} objects {at}", problems)
        found.append(LabelledObject((x, y, x + width, y + height), names[word], word, own=own))
    return tuple(found)


def _finish(job: Export, pictures: Mapping[str, Sequence[Exported]]) -> None:
    """Write metadata.jsonl of each split, and a README.md whose header lists the splits."""
    configs = []
    for split, own in pictures.items():
        if not own:
            continue
        configs.append({"split": split, "path": f"{split}/**"})
        with (job.folder / split / "metadata.jsonl").open("w", encoding="utf-8") as file:
            for picture in own:
                file.write(json.dumps(_line(picture), ensure_ascii=False) + "\n")
    header = {"configs": [{"config_name": "default", "data_files": configs}]}
    text = f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\nExported from {job.dataset.resolve().name}.\n"
    (job.folder / "README.md").write_text(text, encoding="utf-8")


def _line(picture: Exported) -> dict[str, Any]:
    boxes = [each.box for each in picture.objects or ()]
    objects = {
        "bbox": [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes],
        "categories": [each.category for each in picture.objects or ()],
    }
    return {
        "file_name": picture.path.relative_to(picture.split).as_posix(),
        "label": picture.label,
        "objects": None if picture.objects is None else objects,
        **{name: picture.about[name] for name in ("run", "synthetic", "camera", "scene")},
    }


WRITER = Writer(lambda split, label: Path(split, label), _finish, keeps_class=True, keeps_unplaced=True)
