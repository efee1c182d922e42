"""`python -m generator export`: a dataset for other tools: COCO, YOLO, or an image folder.

    python -m generator export out/dataset --format coco --to out/coco

COCO: `annotations/instances_<split>.json` and `images/`; run lengths where the dataset has masks (`build --masks`).
YOLO: `data.yaml`, `images/<split>/`, `labels/<split>/`. Image folder: `<split>/<class>/` with `metadata.jsonl`, as
`load_dataset` reads it. Objects that can hardly be seen are left out, as in `bbox_str`; good positions too.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.augmenting.relabel import objects_of
from generator.dataset.features import MANIFEST_COLUMNS, class_names
from generator.dataset.folder import BATCH_ROWS, count_rows, dataset_columns, read_rows, split_files
from generator.dataset.labels import CLASSES, OBSERVABLE_SHARE, OK, ObjectTruth
from generator.io.pictures import open_upright
from generator.io.processes import processes

FORMATS = ("coco", "yolo", "imagefolder")
_NAME = re.compile(r"[^\w.-]+")
# File systems take 255 bytes, four of them for the suffix.
NAME_BYTES = 251
KEYPOINTS = ("tip", "base")
# Why an NG picture is left out: without a box of its defects it would stand for a good part.
REASONS = {
    "unknown": "it is not known where their defects are",
    "hidden": "their defects can hardly be seen (--hidden writes their boxes)",
    "outside": "no box of their defects lies in the picture",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of a dataset")
    parser.add_argument("--format", choices=FORMATS, required=True, help="what to write")
    parser.add_argument("--to", type=Path, required=True, metavar="OUT", help="folder to make")
    parser.add_argument("--ok-positions", action="store_true", help="write the boxes of good positions too")
    parser.add_argument(
        "--hidden", action="store_true", help="write objects of which less than a tenth can be seen too"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="processes (default: one per core)")


@dataclass(frozen=True)
class Job:
    """What to write of which dataset: into `folder`, with boxes of these classes."""

    dataset: Path
    folder: Path
    format: str
    classes: tuple[str, ...]
    hidden: bool


def run(args: argparse.Namespace) -> int:
    """Export, and print how much."""
    if args.workers is not None and not 1 <= args.workers <= 1024:
        raise InputError(f"--workers: expected 1 to 1024, got {args.workers}")
    rows, boxes, left_out = export(
        args.dataset, args.to, args.format, args.ok_positions, args.hidden, args.workers
    )
    for line in _told(left_out):
        sys.stderr.write(f"{line}\n")
    told = ", ".join(f"{split} {count}" for split, count in rows.items())
    sys.stdout.write(f"{sum(rows.values())} pictures ({told}) with {boxes} boxes in {args.to}\n")
    return 0


def _told(left_out: Mapping[str, int]) -> list[str]:
    return [f"{left_out[why]} NG pictures left out: {REASONS[why]}" for why in REASONS if why in left_out]


def export(
    dataset: Path,
    to: Path,
    kind: str,
    ok_positions: bool = False,
    hidden: bool = False,
    workers: int | None = None,
) -> tuple[dict[str, int], int, Counter[str]]:
    """Write a dataset in another format.

    Args:
        dataset: its folder.
        to: the folder to make; new or empty. It appears when it is complete.
        kind: of FORMATS.
        ok_positions: boxes of good positions too.
        hidden: objects of which less than a tenth can be seen too.
        workers: processes; None: one per core.

    Returns:
        Pictures by split, boxes, and how many pictures were left out for each of REASONS.

    Raises:
        InputError: no dataset of ours, none of its pictures left, or a place that holds something.
    """
    _, _, other, _ = dataset_columns(dataset)
    place = to.resolve()
    building = place.with_name(f".{place.name}.building")
    _make(building, place, to)
    classes = tuple(name for name in class_names(other) if ok_positions or name != OK)
    job = Job(dataset, building, kind, classes, hidden)
    try:
        result = _write(job, workers)
        if place.exists():
            place.rmdir()
        building.rename(place)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    return result


def _make(building: Path, place: Path, to: Path) -> None:
    """Make the folder that becomes `place`, which was given as `to`; a stopped export's is begun anew."""
    if Path.cwd().is_relative_to(place):
        raise InputError(f"--to {to}: expected a folder of its own, got one that holds the working directory")
    try:
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise InputError(f"--to {to}: expected a new or empty folder, got one with something in it")
        if building.exists():
            shutil.rmtree(building)
        building.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"--to {to}: expected a place to write to, got: {error.strerror}") from None


def _write(job: Job, workers: int | None) -> tuple[dict[str, int], int, Counter[str]]:
    splits = split_files(job.dataset)
    totals = {s: count_rows(paths) for s, paths in splits.items()}
    names = _file_names(splits)
    work = [
        (split, first, min(first + BATCH_ROWS, total), names[split], job)
        for split, total in totals.items()
        for first in range(0, total, BATCH_ROWS)
    ]
    entries: dict[str, list[dict[str, Any]]] = {split: [] for split in splits}
    counts: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    boxes = 0
    with (
        processes(workers, len(work) > 4) as in_order,
        tqdm(total=sum(totals.values()), desc=job.format, unit="row", disable=None) as bar,
    ):
        for split, (written, reasons, rows) in in_order(_export_chunk, work):
            entries[split] += written
            counts[split] += len(written)
            boxes += sum(len(entry["things"]) for entry in written)
            left_out += reasons
            bar.update(rows)
    if not any(counts.values()):
        problem = f"{job.dataset}: expected pictures that {job.format} can hold, got none"
        raise InputError([*_told(left_out), problem])
    finish = {"coco": _finish_coco, "yolo": _finish_yolo, "imagefolder": _finish_folder}[job.format]
    finish(job, entries)
    return {split: counts[split] for split in splits}, boxes, left_out


def _file_names(splits: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, str]]:
    """A file name of its own for each row, without what a file system may not take."""
    taken: set[str] = set()
    found: dict[str, dict[str, str]] = {}
    for split, paths in splits.items():
        own = found.setdefault(split, {})
        for row in read_rows(paths, ["run"]):
            if row["run"] in own:
                raise InputError(
                    f"{paths[0].parent}: expected each run once in {split}, got {row['run']} twice"
                )
            stem = _NAME.sub("_", row["run"]) or "row"
            name, number = _fitting(stem), 1
            while name.lower() in taken:
                number += 1
                name = _fitting(f"{stem}_{number}")
            taken.add(name.lower())
            own[row["run"]] = name
    return found


def _fitting(name: str) -> str:
    """The name, or where it is longer than NAME_BYTES in UTF-8 its beginning and a hash of all of it."""
    if len(name.encode()) <= NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name.encode()[: NAME_BYTES - 9].decode(errors='ignore')}_{digest}"


def _export_chunk(
    split: str, first: int, last: int, names: Mapping[str, str], job: Job
) -> tuple[list[dict[str, Any]], Counter[str], int]:
    """Write the pictures of some rows, and hand back what their annotations say."""
    entries: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    for row in read_rows(split_files(job.dataset)[split], only=range(first, last)):
        known = objects_of(row)
        label = CLASSES[row["label"]]
        if label != OK and (why := _left_out(known, job)):
            left_out[why] += 1
            continue
        content = row["image"]["bytes"]
        # A picture that an import kept as it was may be a JPEG.
        suffix = ".jpg" if content[:2] == b"\xff\xd8" else ".png"
        folder = {"coco": Path("images"), "yolo": Path("images", split), "imagefolder": Path(split, label)}
        path = folder[job.format] / f"{names[row['run']]}{suffix}"
        (job.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (job.folder / path).write_bytes(content)
        things = [thing for thing in known or () if _is_wanted(thing, job)]
        mask = None
        if job.format == "coco" and row.get("mask") is not None:
            mask = np.asarray(open_upright(row["mask"]["bytes"], f"row {row['run']}, column mask"))
        entry = {
            "path": path.as_posix(),
            "row": {
                name: row.get(name)
                for name in ("width", "height", "synthetic", "original", "augmentation", *MANIFEST_COLUMNS)
            },
            "label": label,
            "things": [_thing(thing, mask) for thing in things],
            "known": known is not None,
        }
        if job.format == "yolo":
            _write_labels(job, split, path, entry)
        entries.append(entry)
    return entries, left_out, last - first


def _left_out(known: Sequence[ObjectTruth] | None, job: Job) -> str | None:
    """Why the format would take an NG picture for a good one, of REASONS; None where it does not."""
    if job.format == "imagefolder" or (job.format == "coco" and known is not None):
        return None  # the picture's class stands beside its boxes
    if known is None:
        return "unknown"
    bad = [thing for thing in known if thing.category != OK]
    if any(_is_wanted(thing, job) for thing in bad):
        return None
    return "hidden" if any(thing.area > 0 for thing in bad) else "outside"


def _is_wanted(thing: ObjectTruth, job: Job) -> bool:
    seen = job.hidden or thing.visible is None or thing.visible >= OBSERVABLE_SHARE
    return thing.category in job.classes and thing.area > 0 and seen


def _thing(thing: ObjectTruth, mask: np.ndarray | None) -> dict[str, Any]:
    x1, y1, x2, y2 = thing.box
    found: dict[str, Any] = {
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "category": thing.category,
        "area": thing.area,
        "more": {
            name: getattr(thing, name)
            for name in ("address", "cavity", "visible", "true_position_mm", "retraction_mm")
        },
        "points": (thing.tip_px, thing.base_px),
    }
    if mask is not None:
        pixels = mask == thing.id
        # What is not there has no pixels: its place then.
        found["segmentation"] = [[x1, y1, x2, y1, x2, y2, x1, y2]]
        if pixels.any():
            from pycocotools import mask as coco_mask

            code = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
            found["segmentation"] = {"size": code["size"], "counts": code["counts"].decode("ascii")}
            found["area"] = float(pixels.sum())
    return found


def _finish_coco(job: Job, entries: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    (job.folder / "annotations").mkdir(parents=True, exist_ok=True)
    has_points = any(
        point is not None
        for rows in entries.values()
        for e in rows
        for t in e["things"]
        for point in t["points"]
    )
    points = {"keypoints": list(KEYPOINTS), "skeleton": [[1, 2]]} if has_points else {}
    categories = [
        {"id": number, "name": name, "supercategory": "position", **points}
        for number, name in enumerate(job.classes, 1)
    ]
    number = 0
    for split, rows in entries.items():
        images, annotations = [], []
        for image, entry in enumerate(rows, 1):
            told = {name: value for name, value in entry["row"].items() if value is not None}
            images.append(
                {
                    "id": image,
                    "file_name": Path(entry["path"]).name,
                    **told,
                    "label": entry["label"],
                    "split": split,
                }
            )
            for thing in entry["things"]:
                number += 1
                annotation = {
                    "id": number,
                    "image_id": image,
                    "category_id": job.classes.index(thing["category"]) + 1,
                    "bbox": thing["bbox"],
                    "area": thing["area"],
                    "iscrowd": 0,
                    **{name: value for name, value in thing["more"].items() if value is not None},
                }
                if "segmentation" in thing:
                    annotation["segmentation"] = thing["segmentation"]
                if has_points:
                    annotation |= _keypoints(thing["points"])
                annotations.append(annotation)
        content = {
            "info": {"description": f"{job.dataset.resolve().name}, {split}"},
            "licenses": [],
            "images": images,
            "annotations": annotations,
            "categories": categories,
        }
        path = job.folder / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _keypoints(points: Sequence[Sequence[float] | None]) -> dict[str, Any]:
    """COCO's triples: 0, 0, 0 for a point that is not there."""
    flat = [value for point in points for value in ((*point, 2) if point is not None else (0, 0, 0))]
    return {"keypoints": flat, "num_keypoints": sum(point is not None for point in points)}


def _write_labels(job: Job, split: str, path: Path, entry: Mapping[str, Any]) -> None:
    width, height = entry["row"]["width"], entry["row"]["height"]
    lines = []
    for thing in entry["things"]:
        x, y, w, h = thing["bbox"]
        values = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
        lines.append(f"{job.classes.index(thing['category'])} " + " ".join(f"{v:.9f}" for v in values) + "\n")
    label = job.folder / "labels" / split / f"{path.stem}.txt"
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text("".join(lines), encoding="ascii")


def _finish_yolo(job: Job, entries: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    keys = {"validation": "val"}
    # Without `path`, which readers take from where they stand, folders count from this file's own place.
    content = {
        **{keys.get(split, split): f"images/{split}" for split, rows in entries.items() if rows},
        "names": dict(enumerate(job.classes)),
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (job.folder / "data.yaml").write_text(text, encoding="utf-8")


def _finish_folder(job: Job, entries: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    configs = []
    for split, rows in entries.items():
        if not rows:
            continue
        configs.append({"split": split, "path": f"{split}/**"})
        with (job.folder / split / "metadata.jsonl").open("w", encoding="utf-8") as file:
            for entry in rows:
                things = entry["things"]
                objects = {
                    "bbox": [thing["bbox"] for thing in things],
                    "categories": [thing["category"] for thing in things],
                }
                line = {
                    "file_name": str(Path(entry["path"]).relative_to(split).as_posix()),
                    "label": entry["label"],
                    "objects": objects if entry["known"] else None,
                    **{name: entry["row"][name] for name in ("run", "synthetic", "camera", "scene")},
                }
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    header = {"configs": [{"config_name": "default", "data_files": configs}]}
    text = (
        f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\nExported from {job.dataset.resolve().name}.\n"
    )
    (job.folder / "README.md").write_text(text, encoding="utf-8")
