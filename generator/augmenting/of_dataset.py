"""Apply a plan to a dataset: boxes, points, masks, addresses and classes of the copies follow their pixels.

The rows of copies follow their original's, in the same split. Rows are read and written in chunks, in one process per
core; if the command is interrupted and repeated, it reuses the chunks that are ready.
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
from blender_scripts.contract.text_file import read_text
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
    copy_references,
    dataset_columns,
    read_parameters,
    read_rows,
    split_files,
)
from generator.dataset.labels import CLASSES, OK
from generator.dataset.rows import all_columns, features, missing_note, objects_of
from generator.dataset.writer import DatasetWriter, Kept, Spool
from generator.io.drawing import Box
from generator.io.file_names import dataset_name
from generator.io.pictures import open_picture
from generator.io.processes import processes
from generator.io.source_code import code_sha256
from generator.soart import nsoart


@dataclass(frozen=True)
class Job:
    """What the processes that augment a dataset have in common; each gets it with its chunks of rows.

    Attributes:
        dataset: folder of the dataset.
        rules: settings for all copies.
        spool: store on disk for finished chunks.
        key: SHA-256 of the rules, the source code, and the sizes and times of the dataset's files.
    """

    dataset: Path
    rules: Rules
    spool: Spool
    key: str


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a split, which one process handles at a time.

    Attributes:
        split: name of the split.
        first: number of the first row in the split, from 0.
        operations: names of the operations for each row.
    """

    split: str
    first: int
    operations: tuple[tuple[str, ...], ...]

    @property
    def name(self) -> str:
        """Name of the chunk in the spool, such as train-000000064."""
        return f"{self.split}-{self.first:09d}"


@dataclass
class Augmented:
    """Counts of an augmented dataset.

    Attributes:
        rows, copies: number of rows, and of copies among them, including those that the original dataset had.
        skipped: number of copies that were not made, by reason; a `cut` left out as a whole counts once.
        became_ok: number of OK copies of NG originals: no part of a defect remains in them.
    """

    rows: int = 0
    copies: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    became_ok: int = 0


def apply_to_dataset(plan: Plan, to: Path, sheet: Path, scenes: Path, options: Options) -> Augmented:
    """Write a dataset with the rows of another one and the copies that a plan asks for; returns its counts.

    Args:
        plan: plan of a dataset; its `folder` is the dataset.
        to: folder of the new dataset; a Pinsight dataset there is replaced.
        sheet: file of the before-and-after sheet (some originals, each beside its copies).
        scenes: folder of the scene files, for nominal pin positions of scenes that connectors.json lacks.
        options: options of the command.

    Raises:
        InputError: the plan's folder is not a Pinsight dataset, the plan does not fit its rows, `to` may not be
            replaced, or no copy is made and the originals are left out (`options.originals` is false).
    """
    columns, extras, other, masks = dataset_columns(plan.folder)
    if note := missing_note(plan.folder, columns):
        sys.stderr.write(f"{note}\n")
    card, license_id = read_card(_text(plan.folder / CARD))
    parameters, connectors = read_parameters(plan.folder), read_connectors(plan.folder)
    try:
        nsoart.check_parameters(parameters)
    except ValueError as error:
        raise InputError(f"{plan.folder}: {error}") from None
    drawings = {each.scene: each.positions for each in connectors or ()}
    rules = Rules(scenes, drawings, options, Settings.of_card(card), parameters, extras, masks, plan.folder)
    runs = _check_rows(plan)
    done, drawn = Augmented(), Sheet()
    with DatasetWriter(to, plan.folder) as writer:
        writer.begin(features(other, extras, masks))
        job = Job(plan.folder, rules, writer.spool, _key(plan.folder, rules))
        _write(job, _chunks(plan, runs), writer, done, drawn)
        if not done.rows:
            raise InputError(
                f"{plan.folder}: expected at least one copy that can be made, as --only-copies leaves out the "
                "originals, got none"
            )
        done.copies = sum(origins["copies"] for origins in writer.origins.values())
        made = {"seed": options.seed, "trim": options.trim, "mirrored_text": options.mirror_text}
        text = make_derived_card(
            f"Augmented: {dataset_name(plan.folder)}",
            _how(plan, options, done),
            writer.counts,
            writer.origins,
            writer.classes,
            {**card, "augmented": made},
            license_id,
            writer.content_sha256,
        )
        copy_references(plan.folder, writer.building)
        writer.finish(text, parameters, connectors)
    drawn.save(sheet)
    return done


def _key(dataset: Path, rules: Rules) -> str:
    """Return the SHA-256 of everything that a chunk's result depends on, except its position in the dataset."""
    settings = {**asdict(rules), "scenes": str(rules.scenes.resolve()), "folder": "", "dataset": str(dataset.resolve())}
    files = [path for paths in split_files(dataset).values() for path in paths]
    stats = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    return hashlib.sha256(json.dumps([settings, stats, code_sha256()], sort_keys=True).encode()).hexdigest()


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
    """Offer each original with its copies to the sheet; `groups`: number of rows of each original with its copies."""
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
    """Make the copies of a chunk's rows, and keep rows and copies in the spool under the chunk's name."""
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
    """Return the runs of each split, in order. Raises InputError if the plan does not fit them."""
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
        return f"{line.file}: expected the run name of a row of the dataset, got an unknown one: make a new plan"
    if (row["width"], row["height"]) != (line.width, line.height):
        return (
            f"{line.file}: expected {line.width} x {line.height} px as in the plan, got {row['width']} x "
            f"{row['height']}: make a new plan"
        )
    if line.operations and row.get("original"):
        return (
            f"{line.file}: expected no operation for a row that is a copy, got {', '.join(line.operations)}: plan "
            "copies of its original"
        )
    for operation in line.operations:
        for name in COPIES[operation]:
            if f"{line.file}_{name}" in rows:
                return (
                    f"{line.file} {operation}: expected a run name for the copy that no row has, got "
                    f"{line.file}_{name}, the name of a row: write no for this operation"
                )
    return ""


def _text(path: Path) -> str:
    return read_text(path, str(path))[1] if path.is_file() else ""


def _how(plan: Plan, options: Options, done: Augmented) -> list[str]:
    asked = Counter(name for line in plan.lines for name in line.operations)
    operations = ", ".join(f"{name} {count}" for name, count in asked.items()) or "nothing"
    trim = "copies trimmed at random" if options.trim else "copies not trimmed"
    paragraphs = [
        f"Made from the dataset `{dataset_name(plan.folder)}` by a plan ({operations}), {trim}, seed {options.seed}. "
        "Boxes, points, masks, cameras, addresses, measures, azimuths and views follow the pixels. A copy of an NG "
        f"picture is OK if no part of a defect remains in it, which happened {done.became_ok} times."
    ]
    if done.skipped:
        paragraphs.append(
            "Not made: " + "; ".join(f"{count} × {why}" for why, count in sorted(done.skipped.items())) + "."
        )
    return paragraphs
