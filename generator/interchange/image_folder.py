"""Read and write image folders: SPLIT/CLASS/picture, CLASS/picture, or pictures that a metadata file describes.

The metadata file (metadata.jsonl, .csv or .parquet) has the column file_name, and label or objects or both.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.json as paj
import pyarrow.parquet as pq
import yaml

from blender_scripts.contract.csv_file import CsvRows
from blender_scripts.contract.errors import shown
from generator.interchange.class_folders import ClassFolders
from generator.interchange.exported import Export, Exported, Writer
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
    own_values,
    relative_name,
    split_of,
    text_of,
)
from generator.interchange.own_columns import own_columns
from generator.io.file_names import dataset_name
from generator.io.json_text import parse_json
from generator.io.mask_files import note_on_masks, split_masks
from generator.io.pictures import READ_SUFFIXES, empty_folders, files_below, is_picture, passed_over
from generator.io.wording import some_of

METADATA_SUFFIXES = (".jsonl", ".csv", ".parquet")
# `load_dataset` finds the types of JSON lines in this many first bytes.
READ_AT_ONCE = 10 << 20
# The dataset's columns in the metadata file.
_COLUMNS = ("run", "synthetic", "camera", "scene", "part", "observable")
_SCHEMA = pa.schema(
    {
        "file_name": pa.string(),
        "label": pa.string(),
        "objects": pa.struct({"bbox": pa.list_(pa.list_(pa.float64())), "categories": pa.list_(pa.string())}),
        "run": pa.string(),
        "synthetic": pa.bool_(),
        "camera": pa.string(),
        "scene": pa.string(),
        "part": pa.int64(),
        "observable": pa.bool_(),
    }
)


def read_image_folder(source: Path, names: ClassNames, views: Sequence[str] = ()) -> ReadLabels:
    """Read pictures whose class is the name of their folder, or is given in a metadata file, with or without boxes.

    Args:
        source: the folder.
        names: maps folder names or labels to Pinsight's classes.
        views: names of cameras. A picture with the name of a camera is a view of the part whose name its folder has: in
            CLASS/PART/left.png, PART is not the class.

    Returns:
        The labelled pictures, and messages on faults.
    """
    found = ReadLabels()
    metadata = [path for path in files_below(source, "metadata.*") if path.suffix.lower() in METADATA_SUFFIXES]
    listed = {path: _read_metadata(path, source, names, found) for path in metadata}
    done = {picture for pictures in listed.values() for picture in pictures or ()}
    pictures = [path for path in files_below(source, strict=True) if is_picture(path) and path.resolve() not in done]
    pictures, masks = split_masks(pictures, source, names.knows)
    found.notes += note_on_masks(masks, source)
    found.noted |= set(masks)
    if note := passed_over(source, known=metadata):
        found.notes.append(note)
    if empty := empty_folders(source):
        found.notes.append(
            f"{source}: folders without files: {some_of([relative_name(each, source) for each in empty])}"
        )
    folders = {path.parent: path for path in metadata}
    unlabelled: dict[Path, list[Path]] = {}
    class_folders = ClassFolders(source, names, views, found)
    for path in pictures:
        # A folder without metadata has its classes in folder names, also if another split has metadata.
        nearest = next((folders[folder] for folder in path.parents if folder in folders), None)
        if nearest is not None:
            unlabelled.setdefault(nearest, []).append(path)
        else:
            class_folders.read(path)
    class_folders.name_faults()
    for path, own in unlabelled.items():
        if listed[path] is None:  # one message on the file is enough
            continue
        name_unlabelled(own, source, relative_name(path, source), found.problems)
    note_splits(found, [folder_of(one.name) for one in found.pictures])
    if not found.pictures and not found.problems:
        found.problems.append(f"{source}: expected pictures ({', '.join(READ_SUFFIXES)}), got none")
    return found


def _read_metadata(path: Path, source: Path, names: ClassNames, found: ReadLabels) -> set[Path] | None:
    """Read the pictures of a metadata file; returns the files that it names, None if it cannot be read."""
    where, faults = path.relative_to(source).as_posix(), len(found.problems)
    try:
        rows = _lines(path, where, found.problems)
    except (OSError, ValueError, RecursionError, pa.ArrowException) as error:
        found.problems.append(f"{where}: expected a readable table with one line per picture, got: {error}")
        return None
    if not rows and len(found.problems) > faults:
        return None
    listed = set()
    for number, row in rows:
        name = row.get("file_name") if isinstance(row, dict) else None
        if not isinstance(name, str) or not name:
            found.problems.append(f"{where}:{number}: expected the picture's path in file_name, got none")
            continue
        named = find_named(name, [path.parent])
        if named is not None and named[2]:  # a file_name without its leading folders may be of another picture
            named = None
        picture = path.parent / name if named is None else named[0]
        if named is None and (not leads_below(name, path.parent, source) or not picture.is_relative_to(source)):
            problem = f"{where}:{number}: expected a file_name inside the folder {source.name}, got {shown(name)}"
            found.problems.append(problem)
            continue
        _read_line(picture, row, f"{where}:{number}", source, names, found)
        listed.add(picture.resolve())
    return listed


def _lines(path: Path, where: str, problems: list[str]) -> list[tuple[int, Any]]:
    """Return the rows of a metadata file, each with its line number; adds faults of a CSV file to `problems`."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return list(enumerate(pq.read_table(path).to_pylist(), 1))
    text = text_of(path)
    if suffix == ".jsonl":
        return [(n, parse_json(line)) for n, line in enumerate(text.split("\n"), 1) if line.strip()]

    def wrong(line: int, column: str, expected: str, got: str) -> None:
        problems.append(f"{where}:{line} {column}: expected {expected}, got {got}")

    columns = ("file_name", "label", "objects")
    rows = CsvRows(io.StringIO(text, newline=""), columns, wrong, ["file_name"], exact=True, ragged=True, index=True)
    # An empty cell is a missing value.
    return [(line, {name: value for name, value in cells.items() if value != ""}) for line, cells in rows]


def _read_line(
    picture: Path, row: Mapping[str, Any], where: str, source: Path, names: ClassNames, found: ReadLabels
) -> None:
    problems: list[str] = []
    objects = _objects(row.get("objects"), where, names, problems)
    label = row.get("label")
    if label is not None and not isinstance(label, str):
        problems.append(f"{where}: expected the name of a class in label, got {shown(label)}")
    if label is None and objects is None and not problems:
        found.problems.append(f"{where}: expected a class in label, or boxes in objects, got neither")
        return
    columns = own_columns(row, where, problems)
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
            columns=columns,
            problems=tuple(problems),
        )
    )


def _objects(objects: Any, where: str, names: ClassNames, problems: list[str]) -> tuple[LabelledObject, ...] | None:
    """Return the boxes in a metadata row's `objects` (in a CSV cell: JSON); None if it has none or they are faulty."""
    if objects is None:
        return None
    try:
        if isinstance(objects, str):
            objects = parse_json(objects)
    except ValueError:
        pass
    if not isinstance(objects, dict):
        problems.append(
            f"{where} objects: expected a JSON object with the lists bbox and categories, got {shown(objects)}"
        )
        return None
    boxes, words = objects.get("bbox"), objects.get("categories", objects.get("category"))
    if not isinstance(boxes, list) or not isinstance(words, list) or len(boxes) != len(words):
        got = f"{shown(boxes)} and {shown(words)}"
        problems.append(f"{where} objects: expected the lists bbox and categories of equal length, got {got}")
        return None
    found = []
    for at, (box, word) in enumerate(zip(boxes, words, strict=True)):
        values = numbers(box, 4) if isinstance(box, list) else None
        if values is None or not isinstance(word, str):
            got = f"{shown(box)} {shown(word)}"
            problems.append(f"{where} objects {at}: expected a box of four numbers and the name of a class, got {got}")
            continue
        x, y, width, height = values
        values_here = {
            name: column[at] for name, column in objects.items() if isinstance(column, list) and at < len(column)
        }
        own = own_values(values_here, f"{where} objects {at}", problems)
        found.append(LabelledObject((x, y, x + width, y + height), names[word], word, own=own))
    return tuple(found)


def _finish(job: Export, pictures: Mapping[str, Sequence[Exported]]) -> None:
    """Write metadata.jsonl of each split, and a README.md whose header lists the splits.

    `load_dataset` refuses splits whose JSON lines have other types, as where one split has no box but an empty list:
    then metadata.parquet, which states the types, takes their place.
    """
    configs = []
    lines: dict[str, bytes] = {}
    for split, own in pictures.items():
        if own:
            configs.append({"split": split, "path": f"{split}/**"})
            lines[split] = b"".join(json.dumps(_line(p), ensure_ascii=False).encode() + b"\n" for p in own)
    if _have_same_types(list(lines.values())):
        for split, content in lines.items():
            (job.folder / split / "metadata.jsonl").write_bytes(content)
    else:
        for split in lines:
            table = pa.Table.from_pylist([_line(picture) for picture in pictures[split]], schema=_SCHEMA)
            pq.write_table(table, job.folder / split / "metadata.parquet")
    header = {"configs": [{"config_name": "default", "data_files": configs}]}
    text = f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\nExported from {dataset_name(job.dataset)}.\n"
    (job.folder / "README.md").write_text(text, encoding="utf-8")


def _have_same_types(texts: Sequence[bytes]) -> bool:
    """Whether JSON lines are read with the same types from each text, by its first part, as `load_dataset` reads it."""
    if max(map(len, texts)) > READ_AT_ONCE:
        return False
    options = paj.ReadOptions(block_size=READ_AT_ONCE)
    schemas = [paj.read_json(io.BytesIO(text), read_options=options).schema for text in texts]
    return all(schema == schemas[0] for schema in schemas)


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
        **{name: picture.about[name] for name in _COLUMNS},
    }


WRITER = Writer(
    lambda split, label: Path(split, label), _finish, columns=_COLUMNS, keeps_class=True, keeps_unplaced=True
)
