"""A plan applied to a built dataset: copies with boxes, points, masks, addresses and classes that fit their pixels.

Copies stand behind their original, in its split. Mirrored print is a false print: a picture with print, or of which
nobody said that it has none, is mirrored only where the user asks. Where only the class of a picture is known and it
is NG, nothing is cut off it, as the defect could go. Rows are read and written in chunks, in as many processes as
there are cores; chunks that are ready are found again when an interrupted run is repeated.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features
from PIL import Image
from tqdm import tqdm

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.errors import InputError
from generator.augmenting.before_after import Sheet, boxed
from generator.augmenting.copies import COPIES, Copy, copies
from generator.augmenting.of_folder import Options
from generator.augmenting.orientation import Naming, naming
from generator.augmenting.plan import Line, Plan
from generator.augmenting.relabel import (
    Settings,
    moved_housing,
    moved_objects,
    objects_of,
    relabelled,
    renamed,
)
from generator.dataset.contact_sheet import SheetRows, write_sheet
from generator.dataset.derived_card import make_derived_card, read_card
from generator.dataset.features import class_names, features
from generator.dataset.folder import (
    BATCH_ROWS,
    CARD,
    DATA,
    NSOART,
    SPOOL,
    ShardWriter,
    Target,
    count_rows,
    dataset_columns,
    read_parameters,
    read_rows,
    split_files,
)
from generator.dataset.labels import CLASSES, OK
from generator.dataset.writer import encoded_png
from generator.io.pictures import eight_bit, open_upright, write_whole
from generator.io.processes import processes
from generator.soart import nsoart


@dataclass(frozen=True)
class Job:
    """What a process must know: the dataset, what to do with which row, and where results go."""

    dataset: Path
    spool: Path
    scenes: Path
    operations: Mapping[str, tuple[str, ...]]
    options: Options
    settings: Settings
    parameters: Mapping[str, Any]
    extras: tuple[str, ...]
    masks: bool

    def fingerprint(self) -> str:
        """Of all that a chunk's result depends on, but its rows."""
        told = {
            **asdict(self),
            "dataset": str(self.dataset.resolve()),
            "spool": "",
            "scenes": str(self.scenes.resolve()),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode() + _code()).hexdigest()


@dataclass
class Augmented:
    """What came of it.

    Attributes:
        counts: pictures by split and class.
        origins: pictures by split and by `renders`, `photographs`, `copies`.
        skipped: copies that were not made, by reason.
        became_ok: copies that are OK, as nothing of their original's defects remains.
    """

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    origins: dict[str, Counter[str]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    became_ok: int = 0


def apply_to_dataset(plan: Plan, to: Path, sheet: Path, scenes: Path, options: Options) -> Augmented:
    """Write a dataset of a dataset's rows and the copies that a plan asks for.

    Args:
        plan: of a dataset; `folder` is the dataset.
        to: the dataset to make; may replace another of ours.
        sheet: file of the before/after sheet.
        scenes: folder of the scene files, which say where a part's places are.
        options: how.

    Raises:
        InputError: no dataset, rows that it does not have, a place that holds something else.
    """
    _, extras, other, masks = dataset_columns(plan.folder)
    card, license_id = read_card(_text(plan.folder / CARD))
    job = Job(
        plan.folder,
        Path(),
        scenes,
        {line.file: line.operations for line in plan.lines},
        options,
        Settings.of_card(card),
        read_parameters(plan.folder),
        extras,
        masks,
    )
    _check_rows(plan)
    with Target(plan.folder, to, overwrite=False) as folder:
        job = Job(**{**job.__dict__, "spool": folder / SPOOL})
        job.spool.mkdir(exist_ok=True)
        done = Augmented()
        rows_shown, drawn = SheetRows(), Sheet()
        content = _write(job, folder, features(other, extras, masks), done, rows_shown, drawn)
        if not any(done.counts.values()):
            raise InputError(f"{plan.folder}: expected at least one copy without its original, got none")
        for path in job.spool.iterdir():
            path.unlink()
        job.spool.rmdir()
        if job.parameters:
            (folder / NSOART).write_text(json.dumps(job.parameters, indent=1) + "\n", encoding="utf-8")
        write_sheet(folder, rows_shown, class_names(other))
        made = {"seed": options.seed, "trim": options.trim, "mirrored_text": options.mirror_text}
        text = make_derived_card(
            f"Augmented: {plan.folder.resolve().name}",
            _how(plan, options, done),
            done.counts,
            done.origins,
            class_names(other),
            {**card, "augmented": made},
            license_id,
            content,
        )
        (folder / CARD).write_text(text, encoding="utf-8")
    drawn.save(sheet)
    return done


def _write(
    job: Job, folder: Path, columns: Features, done: Augmented, rows_shown: SheetRows, drawn: Sheet
) -> str:
    (folder / DATA).mkdir()
    digest = hashlib.sha256(str(columns).encode())
    splits = split_files(job.dataset)
    totals = {s: count_rows(paths) for s, paths in splits.items()}
    work = [
        (split, number, first, min(first + BATCH_ROWS, total), job)
        for split, total in totals.items()
        for number, first in enumerate(range(0, total, BATCH_ROWS))
    ]
    with (
        processes(job.options.workers, len(work) > 2) as in_order,
        tqdm(total=sum(totals.values()), desc="rows", unit="row", disable=None) as bar,
    ):
        writer: ShardWriter | None = None
        calls = ((call, *call) for call in work)
        for (split, _, first, last, _), (path, told) in in_order(_augment_call, calls):
            if writer is None or writer.split != split:
                if writer is not None:
                    writer.finish()
                writer = ShardWriter(folder / DATA, split, columns)
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
                writer.add(table)
                _take(table, split, told, done, rows_shown, drawn)
            digest.update(hashlib.sha256(path.read_bytes()).digest())
            bar.update(last - first)
        if writer is not None:
            writer.finish()
    return digest.hexdigest()


def _take(
    table: pa.Table,
    split: str,
    told: Mapping[str, Any],
    done: Augmented,
    rows_shown: SheetRows,
    drawn: Sheet,
) -> None:
    counts = done.counts.setdefault(split, Counter())
    origins = done.origins.setdefault(split, Counter())
    first = sum(counts.values())
    light = table.select(["run", "label", "synthetic", "original", "augmentation", *nsoart.GROUP_BY])
    rows = light.to_pylist()
    for number, row in enumerate(rows):
        counts[CLASSES[row["label"]]] += 1
        is_copy = row["original"] is not None
        origins["copies" if is_copy else "renders" if row["synthetic"] else "photographs"] += 1
        rows_shown.offer(split, first + number, CLASSES[row["label"]], nsoart.group_of(row))
    done.skipped.update(told["skipped"])
    done.became_ok += told["became_ok"]
    end = 0
    for length in told["groups"]:
        start, end = end, end + length
        if not length:
            continue
        made = tuple(row["augmentation"] or "" for row in rows[start + 1 : end])
        if drawn.wants(CLASSES[rows[start]["label"]], made):
            drawn.add([_drawn(table, at) for at in range(start, end)])


def _drawn(table: pa.Table, at: int) -> tuple[str, Image.Image]:
    (row,) = table.select(["run", "image", "label", "objects"]).slice(at, 1).to_pylist()
    things = [t for t in objects_of(row) or [] if t.category != OK]
    picture = boxed(open_upright(row["image"]["bytes"], row["run"]), [(t.box, t.category) for t in things])
    return f"{row['run']}  {CLASSES[row['label']]}", picture


def _augment_call(
    _: Any, split: str, number: int, first: int, last: int, job: Job
) -> tuple[Path, dict[str, Any]]:
    """One chunk of rows; its file and what is to be told of it."""
    path, note = job.spool / f"{split}-{number:06d}.arrow", job.spool / f"{split}-{number:06d}.json"
    paths = split_files(job.dataset)[split]
    stats = [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in paths]
    key = hashlib.sha256(f"{job.fingerprint()} {stats} {first} {last}".encode()).hexdigest()
    if path.is_file() and note.is_file():
        told = json.loads(note.read_text("utf-8"))
        if told["key"] == key:
            return path, told
    skipped: Counter[str] = Counter()
    became_ok = 0
    rows: list[dict[str, Any]] = []
    groups = []
    for stored in read_rows(paths, only=range(first, last)):
        row = {
            "synthetic": True,
            "original": None,
            "augmentation": None,
            "housing_bbox": None,
            **stored,
        }
        before = len(rows)
        if job.options.originals:
            rows.append(row)
        for copy in _copies_of(row, job, skipped):
            became_ok += copy["label"] == CLASSES.index(OK) != row["label"]
            rows.append(copy)
        groups.append(len(rows) - before)
    schema = features(True, job.extras, job.masks).arrow_schema.remove_metadata()
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    write_whole(path, sink.getvalue())
    told = {"key": key, "skipped": dict(skipped), "became_ok": became_ok, "groups": groups}
    write_whole(note, json.dumps(told).encode())
    return path, told


def _copies_of(row: Mapping[str, Any], job: Job, skipped: Counter[str]) -> list[dict[str, Any]]:
    operations = list(job.operations.get(row["run"], ()))
    if not operations:
        return []
    if "reverse" in operations and row["marking"] != "none" and not job.options.mirror_text:
        operations.remove("reverse")
        why = "its print would be a false one" if row["marking"] else "it is not known whether it has print"
        skipped[f"reverse: {why} (--mirror-text mirrors it)"] += 1
    things = objects_of(row)
    trim = job.options.trim
    if things is None and row["label"] != CLASSES.index(OK):
        trim = False
        for name in ("cut", "warp"):
            if name in operations:
                operations.remove(name)
                skipped[f"{name}: it is not known where the defect is"] += 1
    picture = eight_bit(open_upright(row["image"]["bytes"], f"row {row['run']}, column image"))
    mask = None
    if job.masks and row.get("mask") is not None:
        mask = np.asarray(open_upright(row["mask"]["bytes"], f"row {row['run']}, column mask"))
    found = []
    for copy in copies(operations, picture.size, job.options.seed, row["run"], trim):
        if job.parameters and min(copy.move.out) < job.parameters["window"]:
            skipped[f"{copy.name}: smaller than a window of NSOART"] += 1
            continue
        found.append(copied_row(row, copy, np.asarray(picture), mask, job))
    return found


def copied_row(
    row: Mapping[str, Any], copy: Copy, pixels: np.ndarray, mask: np.ndarray | None, job: Job
) -> dict[str, Any]:
    """The row of a copy, as Arrow stores it.

    Args:
        row: the original, with all columns.
        copy: what to do.
        pixels: of the original, (H, W) or (H, W, 3) uint8.
        mask: its instance indices (H, W), or None.
        job: the dataset it belongs to.
    """
    picture = Image.fromarray(copy.pixels(pixels))
    moved_mask = None if mask is None else copy.move.pixels(mask, nearest=True)
    run = f"{row['run']}_{copy.name}"
    made: dict[str, Any] = {
        **row,
        "run": run,
        "original": row["run"],
        "augmentation": copy.name,
        "width": picture.width,
        "height": picture.height,
        "housing_bbox": moved_housing(row["housing_bbox"], copy.move),
    }
    things = objects_of(row)
    if things is not None:
        left = moved_objects(things, copy.move, mask, moved_mask)
        shown = left
        if copy.naming is not None:
            names = _naming(copy.naming, row, job)
            shown = renamed(left, names)
            made["camera"], made["defects"] = names.camera(row["camera"]), names.defects(row["defects"])
        made |= relabelled(row, things, shown, picture.size, job.settings)
    elif copy.naming is not None:
        names = _naming(copy.naming, row, job)
        made["camera"], made["defects"] = names.camera(row["camera"]), names.defects(row["defects"])
    made["image"] = {"bytes": encoded_png(picture), "path": f"{run}.png"}
    if job.parameters:
        chart = nsoart.nsoart_picture(picture, job.parameters, made)
        made["nsoart"] = {"bytes": encoded_png(chart), "path": f"{run}_nsoart.png"}
    if moved_mask is not None:
        made["mask"] = {"bytes": encoded_png(Image.fromarray(moved_mask)), "path": f"{run}_mask.png"}
    return made


def _naming(operation: str, row: Mapping[str, Any], job: Job) -> Naming:
    things = row["objects"] or {}
    addresses, cavities = things.get("address") or [], things.get("cavity") or []
    return naming(operation, addresses, cavities, _connector(job.scenes, row["scene"]))


@cache
def _connector(scenes: Path, scene: str | None) -> Connector | None:
    path = scenes / f"{scene}.toml"
    return read_connector(path) if scene and path.is_file() else None


@cache
def _code() -> bytes:
    folder = Path(__file__).parents[1]
    names = (
        "augmenting/transforms",
        "augmenting/orientation",
        "augmenting/relabel",
        "augmenting/copies",
        "augmenting/of_dataset",
        "soart/nsoart",
        "dataset/labels",
    )
    return b"".join((folder / f"{name}.py").read_bytes() for name in names)


def _check_rows(plan: Plan) -> None:
    rows = {
        row["run"]: row
        for paths in split_files(plan.folder).values()
        for row in read_rows(paths, ["run", "width", "height", "original"])
    }
    problems = [_row_problem(line, rows) for line in plan.lines]
    if found := [problem for problem in problems if problem]:
        raise InputError(found[:100])


def _row_problem(line: Line, rows: Mapping[str, Mapping[str, Any]]) -> str:
    row = rows.get(line.file)
    if row is None:
        return f"{line.file}: expected a row of the dataset, got none of this name"
    if (row["width"], row["height"]) != (line.width, line.height):
        return (
            f"{line.file}: expected {line.width} x {line.height} px as in the plan, got {row['width']} x "
            f"{row['height']}: plan again"
        )
    if line.operations and row.get("original"):
        return (
            f"{line.file}: expected no for all of a copy, got {', '.join(line.operations)}: plan its original"
        )
    for operation in line.operations:
        for name in COPIES[operation]:
            if f"{line.file}_{name}" in rows:
                return f"{line.file} {operation}: expected no row {line.file}_{name} yet, got one"
    return ""


def _text(path: Path) -> str:
    return path.read_text("utf-8") if path.is_file() else ""


def _how(plan: Plan, options: Options, done: Augmented) -> list[str]:
    asked = Counter(name for line in plan.lines for name in line.operations)
    told = ", ".join(f"{name} {count}" for name, count in asked.items()) or "nothing"
    trim = "each with a random trim" if options.trim else "without trims"
    paragraphs = [
        f"Made from the dataset `{plan.folder.resolve().name}` by a plan ({told}), {trim}, seed {options.seed}. "
        "Boxes, points, masks, addresses, azimuths and views moved with the pixels; a picture is OK where nothing of a "
        f"defect remains, which happened {done.became_ok} times."
    ]
    if done.skipped:
        paragraphs.append(
            "Not made: " + "; ".join(f"{count} × {why}" for why, count in sorted(done.skipped.items())) + "."
        )
    return paragraphs
