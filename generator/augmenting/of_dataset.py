"""A plan applied to a built dataset: copies with boxes, points, masks, addresses and classes that fit their pixels.

Copies stand behind their original, in its split. Rows are read and written in chunks, in as many processes as there are
cores; chunks that are ready are found again when an interrupted run is repeated.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.augmenting.before_after import Sheet
from generator.augmenting.copied_rows import Columns, Rules, copies_of
from generator.augmenting.copies import COPIES
from generator.augmenting.plan import Line, Options, Plan
from generator.augmenting.relabel import Settings
from generator.dataset.connectors import read_connectors
from generator.dataset.derived_card import make_derived_card, read_card
from generator.dataset.folder import (
    BATCH_ROWS,
    CARD,
    dataset_columns,
    read_parameters,
    read_rows,
    split_files,
)
from generator.dataset.labels import CLASSES, OK
from generator.dataset.rows import all_columns, features, missing_note, objects_of
from generator.dataset.writer import DatasetWriter, Kept, Spool
from generator.io.drawing import Box
from generator.io.pictures import open_picture
from generator.io.processes import processes
from generator.io.source_code import code_sha256


@dataclass(frozen=True)
class Job:
    """What a process must know: the dataset, how its rows are copied, and where results go; key: of the first two."""

    dataset: Path
    rules: Rules
    spool: Spool
    key: str


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a split, from number `first` on, by what is to be made of each."""

    split: str
    first: int
    operations: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.first:09d}"


@dataclass
class Augmented:
    """What came of it.

    Attributes:
        rows, copies: how many rows there are now, and how many of them are copies.
        skipped: copies that were not made, by reason.
        became_ok: copies that are OK, as nothing of their original's defects remains.
    """

    rows: int = 0
    copies: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    became_ok: int = 0


def apply_to_dataset(plan: Plan, to: Path, sheet: Path, scenes: Path, options: Options) -> Augmented:
    """Write a dataset of a dataset's rows and the copies that a plan asks for.

    Args:
        plan: of a dataset; `folder` is the dataset.
        to: the dataset to make; may replace another of ours.
        sheet: file of the before/after sheet.
        scenes: folder of the scene files, which say where a part's places are if the dataset does not.
        options: how.

    Raises:
        InputError: no dataset, rows that it does not have, a place that holds something else.
    """
    columns, extras, other, masks = dataset_columns(plan.folder)
    if note := missing_note(plan.folder, columns):
        sys.stderr.write(f"{note}\n")
    card, license_id = read_card(_text(plan.folder / CARD))
    parameters, connectors = read_parameters(plan.folder), read_connectors(plan.folder)
    drawings = {each.scene: each.positions for each in connectors or ()}
    rules = Rules(scenes, drawings, options, Settings.of_card(card), parameters, extras, masks)
    runs = _check_rows(plan)
    done, drawn = Augmented(), Sheet()
    with DatasetWriter(to, plan.folder) as writer:
        writer.begin(features(other, extras, masks))
        job = Job(plan.folder, rules, writer.spool, _key(plan.folder, rules))
        _write(job, _chunks(plan, runs), writer, done, drawn)
        if not done.rows:
            raise InputError(f"{plan.folder}: expected at least one copy without its original, got none")
        done.copies = sum(origins["copies"] for origins in writer.origins.values())
        made = {"seed": options.seed, "trim": options.trim, "mirrored_text": options.mirror_text}
        text = make_derived_card(
            f"Augmented: {plan.folder.resolve().name}",
            _how(plan, options, done),
            writer.counts,
            writer.origins,
            writer.classes,
            {**card, "augmented": made},
            license_id,
            writer.content_sha256,
        )
        writer.finish(text, parameters, connectors)
    drawn.save(sheet)
    return done


def _key(dataset: Path, rules: Rules) -> str:
    """SHA-256 of all that a chunk's result depends on, but its place in the dataset."""
    told = {**asdict(rules), "scenes": str(rules.scenes.resolve()), "dataset": str(dataset.resolve())}
    files = [path for paths in split_files(dataset).values() for path in paths]
    stats = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    return hashlib.sha256(json.dumps([told, stats, code_sha256()], sort_keys=True).encode()).hexdigest()


def _chunks(plan: Plan, runs: Mapping[str, Sequence[str]]) -> list[Chunk]:
    operations = {line.file: line.operations for line in plan.lines}
    return [
        Chunk(split, first, tuple(operations.get(run, ()) for run in own[first : first + BATCH_ROWS]))
        for split, own in runs.items()
        for first in range(0, len(own), BATCH_ROWS)
    ]


def _write(job: Job, chunks: list[Chunk], writer: DatasetWriter, done: Augmented, drawn: Sheet) -> None:
    total = sum(len(chunk.operations) for chunk in chunks)
    with (
        processes(job.rules.options.workers, len(chunks) > 2) as in_order,
        tqdm(total=total, desc="rows", unit="row", disable=None) as bar,
    ):
        for chunk, kept in in_order(_augment_chunk, ((chunk, job) for chunk in chunks)):
            table = job.spool.table(chunk.name)
            writer.add(chunk.split, table, kept.sha256)
            done.rows += table.num_rows
            done.skipped.update(kept.note["skipped"])
            done.became_ok += kept.note["became_ok"]
            _draw(table, kept.note["groups"], drawn)
            bar.update(len(chunk.operations))


def _draw(table: pa.Table, groups: list[int], drawn: Sheet) -> None:
    """Offer each original with its copies to the sheet; groups: how many rows they are together."""
    rows = table.select(["label", "augmentation"]).to_pylist()
    end = 0
    for length in groups:
        start, end = end, end + length
        made = tuple(row["augmentation"] or "" for row in rows[start + 1 : end])
        if length and drawn.wants(CLASSES[rows[start]["label"]], made):
            drawn.add([_drawn(table, at) for at in range(start, end)])


def _drawn(table: pa.Table, at: int) -> tuple[str, Image.Image, list[Box]]:
    (row,) = table.select(["run", "image", "label", "objects"]).slice(at, 1).to_pylist()
    boxes = [Box(each.box, each.category) for each in objects_of(row) or () if each.category != OK]
    return f"{row['run']}  {CLASSES[row['label']]}", open_picture(row["image"]["bytes"], row["run"]), boxes


def _augment_chunk(chunk: Chunk, job: Job) -> Kept:
    """The rows of a chunk with their copies, kept in the spool under the chunk's name."""
    key = hashlib.sha256(f"{job.key} {chunk}".encode()).hexdigest()
    if (kept := job.spool.find(chunk.name, key)) is not None:
        return kept
    skipped: Counter[str] = Counter()
    became_ok = 0
    rows: list[Columns] = []
    groups = []
    wanted = range(chunk.first, chunk.first + len(chunk.operations))
    stored = read_rows(split_files(job.dataset)[chunk.split], only=wanted)
    for row, operations in zip(stored, chunk.operations, strict=True):
        before = len(rows)
        if job.rules.options.originals:
            rows.append(all_columns(row))
        for copy in copies_of(row, operations, job.rules, skipped):
            became_ok += copy["label"] == CLASSES.index(OK) != row["label"]
            rows.append(copy)
        groups.append(len(rows) - before)
    schema = features(True, job.rules.extras, job.rules.masks).arrow_schema.remove_metadata()
    note = {"skipped": dict(skipped), "became_ok": became_ok, "groups": groups}
    return job.spool.keep(chunk.name, key, note, pa.Table.from_pylist(rows, schema=schema))


def _check_rows(plan: Plan) -> dict[str, list[str]]:
    """The runs of each split, in order; raises where the plan does not fit them."""
    runs: dict[str, list[str]] = {}
    rows = {}
    for split, paths in split_files(plan.folder).items():
        for row in read_rows(paths, ["run", "width", "height", "original"]):
            runs.setdefault(split, []).append(row["run"])
            rows[row["run"]] = row
    problems = [_row_problem(line, rows) for line in plan.lines]
    if found := [problem for problem in problems if problem]:
        raise InputError(found[:100])
    return runs


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
        return f"{line.file}: expected no for all of a copy, got {', '.join(line.operations)}: plan its original"
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
        "Boxes, points, masks, cameras, addresses, measures, azimuths and views moved with the pixels; a picture is OK "
        f"where nothing of a defect remains, which happened {done.became_ok} times."
    ]
    if done.skipped:
        paragraphs.append(
            "Not made: " + "; ".join(f"{count} × {why}" for why, count in sorted(done.skipped.items())) + "."
        )
    return paragraphs
