"""A plan applied to a built dataset: copies with boxes, points, masks, addresses and classes that fit their pixels.

Copies stand behind their original, in its split. Rows are read and written in chunks, in as many processes as there are
cores; chunks that are ready are found again when an interrupted run is repeated.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image
from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from generator.augmenting.before_after import Sheet, boxed
from generator.augmenting.copied_rows import Columns, Rules, copies_of
from generator.augmenting.copies import COPIES
from generator.augmenting.plan import Line, Options, Plan
from generator.augmenting.relabel import Settings
from generator.dataset.derived_card import make_derived_card, read_card
from generator.dataset.folder import (
    BATCH_ROWS,
    CARD,
    count_rows,
    dataset_columns,
    read_connectors,
    read_parameters,
    read_rows,
    split_files,
)
from generator.dataset.labels import CLASSES, OK
from generator.dataset.rows import all_columns, features, missing_note, objects_of
from generator.dataset.writer import DatasetWriter, Kept, Spool
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
        scenes: folder of the scene files, which say where a part's places are.
        options: how.

    Raises:
        InputError: no dataset, rows that it does not have, a place that holds something else.
    """
    columns, extras, other, masks = dataset_columns(plan.folder)
    if note := missing_note(plan.folder, columns):
        sys.stderr.write(f"{note}\n")
    card, license_id = read_card(_text(plan.folder / CARD))
    operations = {line.file: line.operations for line in plan.lines}
    parameters = read_parameters(plan.folder)
    rules = Rules(scenes, operations, options, Settings.of_card(card), parameters, extras, masks)
    _check_rows(plan)
    done, drawn = Augmented(), Sheet()
    with DatasetWriter(to, plan.folder) as writer:
        writer.begin(features(other, extras, masks))
        _write(Job(plan.folder, rules, writer.spool, _key(plan.folder, rules)), writer, done, drawn)
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
        writer.finish(text, parameters, read_connectors(plan.folder))
    drawn.save(sheet)
    return done


def _key(dataset: Path, rules: Rules) -> str:
    """SHA-256 of all that a chunk's result depends on, but its place in the dataset."""
    told = {**asdict(rules), "scenes": str(rules.scenes.resolve()), "dataset": str(dataset.resolve())}
    files = [path for paths in split_files(dataset).values() for path in paths]
    stats = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    return hashlib.sha256(json.dumps([told, stats, code_sha256()], sort_keys=True).encode()).hexdigest()


def _write(job: Job, writer: DatasetWriter, done: Augmented, drawn: Sheet) -> None:
    splits = split_files(job.dataset)
    totals = {s: count_rows(paths) for s, paths in splits.items()}
    work = [
        (split, number, first, min(first + BATCH_ROWS, total), job)
        for split, total in totals.items()
        for number, first in enumerate(range(0, total, BATCH_ROWS))
    ]
    with (
        processes(job.rules.options.workers, len(work) > 2) as in_order,
        tqdm(total=sum(totals.values()), desc="rows", unit="row", disable=None) as bar,
    ):
        calls = ((call, *call) for call in work)
        for (split, _, first, last, _), (name, kept) in in_order(_augment_call, calls):
            table = job.spool.table(name)
            writer.add(split, table, kept.sha256)
            done.rows += table.num_rows
            done.skipped.update(kept.note["skipped"])
            done.became_ok += kept.note["became_ok"]
            _draw(table, kept.note["groups"], drawn)
            bar.update(last - first)


def _draw(table: pa.Table, groups: list[int], drawn: Sheet) -> None:
    """Offer each original with its copies to the sheet; groups: how many rows they are together."""
    rows = table.select(["label", "augmentation"]).to_pylist()
    end = 0
    for length in groups:
        start, end = end, end + length
        made = tuple(row["augmentation"] or "" for row in rows[start + 1 : end])
        if length and drawn.wants(CLASSES[rows[start]["label"]], made):
            drawn.add([_drawn(table, at) for at in range(start, end)])


def _drawn(table: pa.Table, at: int) -> tuple[str, Image.Image]:
    (row,) = table.select(["run", "image", "label", "objects"]).slice(at, 1).to_pylist()
    bad = [each for each in objects_of(row) or () if each.category != OK]
    picture = boxed(open_picture(row["image"]["bytes"], row["run"]), [(b.box, b.category) for b in bad])
    return f"{row['run']}  {CLASSES[row['label']]}", picture


def _augment_call(_: Any, split: str, number: int, first: int, last: int, job: Job) -> tuple[str, Kept]:
    """One chunk of rows: its name in the spool, and what is kept there."""
    name, paths = f"{split}-{number:06d}", split_files(job.dataset)[split]
    key = f"{job.key} {first} {last}"
    if (kept := job.spool.find(name, key)) is not None:
        return name, kept
    skipped: Counter[str] = Counter()
    became_ok = 0
    rows: list[Columns] = []
    groups = []
    for row in read_rows(paths, only=range(first, last)):
        before = len(rows)
        if job.rules.options.originals:
            rows.append(all_columns(row))
        for copy in copies_of(row, job.rules, skipped):
            became_ok += copy["label"] == CLASSES.index(OK) != row["label"]
            rows.append(copy)
        groups.append(len(rows) - before)
    schema = features(True, job.rules.extras, job.rules.masks).arrow_schema.remove_metadata()
    note = {"skipped": dict(skipped), "became_ok": became_ok, "groups": groups}
    return name, job.spool.keep(name, key, note, pa.Table.from_pylist(rows, schema=schema))


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
        "Boxes, points, masks, cameras, addresses, measures, azimuths and views moved with the pixels; a picture is OK "
        f"where nothing of a defect remains, which happened {done.became_ok} times."
    ]
    if done.skipped:
        paragraphs.append(
            "Not made: " + "; ".join(f"{count} × {why}" for why, count in sorted(done.skipped.items())) + "."
        )
    return paragraphs
