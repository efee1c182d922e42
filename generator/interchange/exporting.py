"""`python -m generator export`: write a dataset for other tools, as COCO, YOLO or an image folder.

    python -m generator export out/dataset --format coco --to out/coco

COCO: `annotations/instances_<split>.json` and `images/`; masks as run lengths if there are any (`build --masks`).
YOLO: `data.yaml`, `images/<split>/`, `labels/<split>/`. Image folder: `<split>/<class>/` with `metadata.jsonl` or, if
a split lacks boxes or has much metadata, `metadata.parquet` in every split, and `README.md`, as `load_dataset` reads
it. As in `bbox_str`, good positions and objects that are hardly visible are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.dataset.folder import BATCH_ROWS, count_rows, dataset_columns, read_rows, split_files
from generator.dataset.labels import CLASSES, OK
from generator.dataset.rows import ObjectRow, class_names, objects_of
from generator.interchange import coco, image_folder, yolo
from generator.interchange.exported import Export, Exported, Writer
from generator.interchange.own_columns import ABOUT, not_written
from generator.io.number_option import check_workers, whole_number
from generator.io.output_file import FULL, check_folder, write_error
from generator.io.pictures import open_upright
from generator.io.processes import processes
from generator.io.wording import counted

# To add a format, write a module with a WRITER and list it here.
WRITERS = {"coco": coco.WRITER, "yolo": yolo.WRITER, "imagefolder": image_folder.WRITER}
_NAME = re.compile(r"[^\w.-]+")
# Longest file name without suffix: file systems allow 255 bytes, of which the suffix takes four.
NAME_BYTES = 251
# Why an NG picture is left out: without a box, some formats would present it as a good part.
REASONS = {
    "unknown": "their class is known, but not the boxes of their defects",
    "hidden": "their defects are hardly visible (give --hidden to export them)",
    "outside": "all their defects lie outside the picture",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator export`."""
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of the dataset")
    parser.add_argument("--format", choices=tuple(WRITERS), required=True, help="format to write")
    parser.add_argument("--to", type=Path, required=True, metavar="OUT", help="new or empty folder to write into")
    parser.add_argument("--ok-positions", action="store_true", help="also write the boxes of good pins")
    parser.add_argument(
        "--hidden", action="store_true", help="also write objects of which less than a tenth is visible"
    )
    parser.add_argument("--workers", type=whole_number, metavar="N", help="number of processes (default: one per core)")


def run(args: argparse.Namespace) -> int:
    """Export the dataset and print the numbers of pictures and boxes; returns the exit code."""
    check_workers(args.workers)
    rows, boxes, left_out = export(args.dataset, args.to, args.format, args.ok_positions, args.hidden, args.workers)
    for line in [*_left_out_notes(left_out), not_written(WRITERS[args.format].columns)]:
        sys.stderr.write(f"{line}\n")
    by_split = ", ".join(f"{split} {count}" for split, count in rows.items())
    sys.stdout.write(
        f"{args.to}: {counted(sum(rows.values()), 'picture')} ({by_split}) with {counted(boxes, 'box', 'boxes')}\n"
    )
    return 0


def _left_out_notes(left_out: Mapping[str, int]) -> list[str]:
    return [f"{left_out[why]} NG pictures left out: {REASONS[why]}" for why in REASONS if why in left_out]


def export(
    dataset: Path, to: Path, kind: str, ok_positions: bool = False, hidden: bool = False, workers: int | None = None
) -> tuple[dict[str, int], int, Counter[str]]:
    """Write a dataset in another format.

    Args:
        dataset: folder of the dataset.
        to: the folder to make; new or empty. It appears when it is complete.
        kind: format: `coco`, `yolo` or `imagefolder`.
        ok_positions: also write the boxes of good pins.
        hidden: also write objects of which less than OBSERVABLE_SHARE (a tenth) is visible.
        workers: number of processes; None: one per core.

    Returns:
        The number of pictures by split, the number of boxes, and the number of pictures left out, by key of REASONS.

    Raises:
        InputError: `dataset` is not a Pinsight dataset, all pictures were left out, or `to` is not empty or lies
            in `dataset`.
    """
    _, _, other, _ = dataset_columns(dataset)
    place = to.resolve()
    if place.is_relative_to(dataset.resolve()):
        raise InputError(f"--to {to}: expected a folder outside of {dataset}, got one that lies in it")
    building = place.with_name(f".{place.name}.building")
    _make(building, place, to)
    classes = tuple(name for name in class_names(other) if ok_positions or name != OK)
    job = Export(dataset, building, kind, classes, hidden)
    try:
        result = _write(job, workers)
        if place.exists():
            place.rmdir()
        building.rename(place)
    except BaseException as error:
        shutil.rmtree(building, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in FULL:
            raise write_error(f"--to {to}", error) from None
        raise
    return result


def _make(building: Path, place: Path, to: Path) -> None:
    """Create the folder `building`, later renamed to `place`; one that a stopped export left is removed first."""
    if Path.cwd().is_relative_to(place):
        raise InputError(
            f"--to {to}: expected a folder for the export alone, got one that contains the working directory"
        )
    check_folder(to, "--to")
    try:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise InputError(
                f"--to {to}: expected a new or empty folder, got one with files in it: choose another folder"
            )
        if building.exists():
            shutil.rmtree(building)
        building.mkdir(parents=True)
    except OSError as error:
        raise write_error(f"--to {to}", error) from None


def _write(job: Export, workers: int | None) -> tuple[dict[str, int], int, Counter[str]]:
    splits = split_files(job.dataset)
    totals = {s: count_rows(paths) for s, paths in splits.items()}
    names = _file_names(splits)
    work = [
        (split, first, min(first + BATCH_ROWS, total), names[split], job)
        for split, total in totals.items()
        for first in range(0, total, BATCH_ROWS)
    ]
    pictures: dict[str, list[Exported]] = {split: [] for split in splits}
    left_out: Counter[str] = Counter()
    boxes = 0
    with (
        processes(workers, len(work) > 4) as in_order,
        tqdm(total=sum(totals.values()), desc=job.format, unit="row", disable=None) as bar,
    ):
        for split, (written, reasons, rows) in in_order(_export_chunk, work):
            pictures[split] += written
            boxes += sum(len(picture.objects or ()) for picture in written)
            left_out += reasons
            bar.update(rows)
    if not any(pictures.values()):
        problem = f"{job.dataset}: expected at least one picture to export, got none, since all are left out"
        raise InputError([*_left_out_notes(left_out), problem])
    WRITERS[job.format].finish(job, pictures)
    return {split: len(own) for split, own in pictures.items()}, boxes, left_out


def _file_names(splits: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, str]]:
    """Return a unique file name for each run, by split, without characters that a file system may refuse."""
    taken: set[str] = set()
    found: dict[str, dict[str, str]] = {}
    for split, paths in splits.items():
        own = found.setdefault(split, {})
        for row in read_rows(paths, ["run"]):
            if row["run"] in own:
                raise InputError(
                    f"{paths[0].parent}: expected each run name once in split {split}, got {row['run']} twice"
                )
            stem = _NAME.sub("_", row["run"]) or "row"
            name, number = _shortened(stem), 1
            while name.lower() in taken:
                number += 1
                name = _shortened(f"{stem}_{number}")
            taken.add(name.lower())
            own[row["run"]] = name
    return found


def _shortened(name: str) -> str:
    """Return the name; if it is longer than NAME_BYTES in UTF-8, its beginning and a hash of the whole name."""
    if len(name.encode()) <= NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: NAME_BYTES - 9].decode(errors='ignore')}_{digest}"


def _export_chunk(
    split: str, first: int, last: int, names: Mapping[str, str], job: Export
) -> tuple[list[Exported], Counter[str], int]:
    """Write the pictures of rows `first` to `last - 1`; returns them, counts of those left out by reason, rows read."""
    written: list[Exported] = []
    left_out: Counter[str] = Counter()
    writer = WRITERS[job.format]
    for row in read_rows(split_files(job.dataset)[split], only=range(first, last)):
        known = objects_of(row)
        label = CLASSES[row["label"]]
        if label != OK and (why := _left_out(known, writer, job)):
            left_out[why] += 1
            continue
        content = row["image"]["bytes"]
        # An imported picture may be stored as JPEG.
        suffix = ".jpg" if content[:2] == b"\xff\xd8" else ".png"
        path = writer.place(split, label) / f"{names[row['run']]}{suffix}"
        (job.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (job.folder / path).write_bytes(content)
        wanted = None if known is None else tuple(each for each in known if job.is_wanted(each))
        size = row["width"], row["height"]
        about = {name: row.get(name) for name in ABOUT}
        segments = _segments(row, wanted or (), writer)
        picture = Exported(path, split, label, size, about, wanted, segments)
        if writer.annotate is not None:
            writer.annotate(job, picture)
        written.append(picture)
    return written, left_out, last - first


def _segments(row: Mapping[str, Any], objects: Sequence[ObjectRow], writer: Writer) -> tuple[Any, ...]:
    """Return each object's pixels, encoded by `Writer.segment`; () if the format stores none or the row has no mask."""
    if writer.segment is None or row.get("mask") is None:
        return ()
    mask = np.asarray(open_upright(row["mask"]["bytes"], f"row {row['run']}, column mask"))
    return tuple(writer.segment(mask, each) for each in objects)


def _left_out(known: Sequence[ObjectRow] | None, writer: Writer, job: Export) -> str | None:
    """Return why an NG picture is left out, a key of REASONS; None if it is written."""
    if known is None:
        return None if writer.keeps_unplaced else "unknown"
    bad = [each for each in known if each.category != OK]
    if writer.keeps_class or any(job.is_wanted(each) for each in bad):
        return None
    return "hidden" if any(each.area > 0 for each in bad) else "outside"
