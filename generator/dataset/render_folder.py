"""Check the rows of a render folder and prepare them for a dataset, chunk by chunk.

There are two passes, in which any process may take any chunk. `examine` reads each record, picture and mask once,
reports faults, and stores the rows without pictures. When the statistics of good parts are known, which the column
nsoart needs, `attach_images` adds the pictures. Both store results in the writer's spool (chunks on disk) and, after
a crash, reuse them if no input has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features
from PIL import Image

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.reader import Run
from blender_scripts.manifest.record import read_record
from generator import bbox_str
from generator.dataset.labels import OK, OTHERNG
from generator.dataset.record_rows import Labelling, picture_row
from generator.dataset.render_check import (
    box_problems,
    differences,
    number_problems,
    read_mask,
    read_picture,
    shown_path,
)
from generator.dataset.row_counts import RowCounts
from generator.dataset.rows import PICTURES, PictureRow, columns_of, features
from generator.dataset.writer import Kept, Spool, encoded_png
from generator.io.pictures import open_picture
from generator.io.source_code import code_sha256
from generator.soart import nsoart

# Grey levels (of 255) by which the pixels of a picture that shows something differ, without the 0.5 % at either end.
LEAST_CONTRAST = 8

Statistics = dict[tuple[str, ...], nsoart.MapStatistics]


@dataclass(frozen=True)
class Rules:
    """The settings that hold for all rows of a build.

    Attributes:
        directory: the render folder.
        spool: store on disk for the finished chunks.
        labelling: the settings by which pictures are labelled.
        extras: names of the user's own columns.
        window, stride: side and step of the windows from which the column nsoart is computed, px.
        masks: whether the dataset gets a column of instance masks.
    """

    directory: Path
    spool: Spool
    labelling: Labelling
    extras: tuple[str, ...]
    window: int
    stride: int
    masks: bool = False

    def fingerprint(self) -> str:
        """Return the SHA-256 of the settings and of the source code that the result of a chunk depends on."""
        settings = {**asdict(self), "directory": str(self.directory.resolve()), "spool": ""}
        return _sha256(f"{json.dumps(settings, sort_keys=True)} {code_sha256()}")


@dataclass(frozen=True)
class Chunk:
    """Consecutive manifest rows of one split, which one process handles at a time.

    Attributes:
        split: name of the split.
        number: number of the chunk in the split, from 0.
        runs: the manifest rows.
        manifests: file name of each row's manifest.
    """

    split: str
    number: int
    runs: tuple[Run, ...]
    manifests: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the chunk in the spool, such as train-000002."""
        return f"{self.split}-{self.number:06d}"


@dataclass
class Findings(RowCounts):
    """Results of `examine` for a chunk, except the dataset rows, so that the results of many chunks fit in memory.

    With counts over the rows that go into the dataset.

    Attributes:
        key: SHA-256 of the chunk's rows, its files' sizes and times, and the settings, when it was examined.
        problems: one message per fault.
        missing: one message per row without a record.
        rows: (run name, class, unit-space group) of each row that goes into the dataset, in order. A unit-space group
            is (scene, housing, terminal, camera, marking): its good rows standardise the column nsoart.
        tolerances: (scene, path, limits) of each scene's first record in the chunk, and of each later record whose
            limits differ from those of the scene's record before it.
        connectors: (scene, housing, terminal, SHA-256 of the scene when it was rendered) of the rows, each once.
        renderers, blenders, sizes: versions of renderer and Blender, and (W, H) of the pictures in px, each once.
        statistics: (unit-space group, statistics of the SOART3 texture maps of its OK training rows) of each group,
            as `MapStatistics.as_numbers` returns them.
    """

    key: str = ""
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    rows: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    tolerances: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    connectors: list[tuple[str, str, str, str | None]] = field(default_factory=list)
    renderers: list[str] = field(default_factory=list)
    blenders: list[str] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    statistics: list[tuple[tuple[str, ...], tuple[int, list[float], list[float]]]] = field(default_factory=list)

    def take(self, row: PictureRow, record: Mapping[str, Any], path: Path, blank: bool) -> None:
        """Add to the findings a row that goes into the dataset.

        Args:
            row: the row.
            record, path: contents and path of its record.
            blank: whether its picture `is_blank`.
        """
        scene, housing, terminal = (str(row.manifest[name]) for name in ("scene", "housing", "terminal"))
        self.rows.append((str(row.manifest["run"]), row.label, nsoart.group_of(row.manifest)))
        self.other |= any(each.category == OTHERNG for each in row.objects or ())
        self.grey_rows += row.grey is True
        shows_nothing = blank or (row.label == OK and row.observable is False)
        self.blank_rows += shows_nothing
        self.hidden_rows += row.observable is False and not shows_nothing
        self.unseen_rows += (
            row.label == OK and not shows_nothing and any(each.visible == 0 for each in row.objects or ())
        )
        count, total, least = self.ceilings
        for each in row.objects or ():
            if each.in_answer:
                reached = bbox_str.ceiling(each.box, row.width, row.height)
                count, total, least = count + 1, total + reached, min(least, reached)
        self.ceilings = count, total, least
        last = next((known for name, _, known in reversed(self.tolerances) if name == scene), None)
        if last != row.tolerance:
            self.tolerances.append((scene, shown_path(path), dict(row.tolerance or {})))
        for known, value in (
            (self.sizes, (row.width, row.height)),
            (self.connectors, (scene, housing, terminal, record.get("scene_sha256"))),
            (self.renderers, str(record["renderer"])),
            (self.blenders, str(record["blender"])),
        ):
            if value not in known:
                known.append(value)  # type: ignore[arg-type]

    @classmethod
    def of_note(cls, note: Mapping[str, Any]) -> Findings:
        """Restore findings from `note`: the dict that `asdict` made of them, read back from JSON."""
        found = cls(**note)
        found.rows = [(run, label, tuple(group)) for run, label, group in found.rows]
        found.ceilings = tuple(note["ceilings"])
        found.sizes = [(width, height) for width, height in found.sizes]
        found.connectors = [tuple(names) for names in note["connectors"]]
        found.statistics = [(tuple(group), numbers) for group, numbers in found.statistics]
        return found


def is_blank(picture: Image.Image) -> bool:
    """Whether a picture shows nothing, as it is all dark or overexposed: 99 % of its grey values are nearly equal."""
    counts = np.cumsum(picture.convert("L").histogram()) / (picture.width * picture.height)
    return bool(np.searchsorted(counts, 0.995) - np.searchsorted(counts, 0.005, side="right") < LEAST_CONTRAST)


def record_number(run: str, content: bytes) -> int:
    """Return the SHA-256 of a run name and its record's bytes, as a number.

    The sum of these numbers tells whether any record has changed, in whatever order and on whatever machine they are
    added.
    """
    return int(hashlib.sha256(run.encode() + b"\n" + content).hexdigest(), 16)


def examine(chunk: Chunk, rules: Rules) -> Findings:
    """Check the records, pictures and masks of a chunk's rows, and return what was found: the first pass of a build.

    If no row has a fault, the results and the rows, without pictures, are stored in the spool (the build's folder of
    temporary files). If results of this chunk are stored there already and no input has changed, they are returned.
    """
    key, name = _chunk_key(chunk, rules), f"{chunk.name}-light"
    if (known := rules.spool.find(name, key)) is not None:
        return Findings.of_note(known.note)
    findings = Findings(key)
    rows: list[dict[str, Any]] = []
    statistics: Statistics = {}
    for run, manifest in zip(chunk.runs, chunk.manifests, strict=True):
        row = _examine_row(run, manifest, rules, findings, statistics)
        if row is not None:
            rows.append(row)
    findings.statistics = [(group, found.as_numbers()) for group, found in statistics.items()]
    if not findings.problems:
        table = pa.Table.from_pylist(rows, schema=_light_schema(rules)) if rows else None
        rules.spool.keep(name, key, asdict(findings), table)
    return findings


def attach_images(chunk: str, key: str, rules: Rules, parameters: Mapping[str, Any], folder: Path) -> Kept:
    """Add the pictures to an examined chunk (second pass), and store its complete rows in the spool.

    Args:
        chunk: name of the chunk.
        key: `Findings.key` of the chunk.
        rules: settings of the build.
        parameters: contents of nsoart.json.
        folder: folder of the dataset, with its golden references (mean pictures of good parts) if nsoart needs them.

    Returns:
        The chunk's entry in the spool.

    Raises:
        InputError: a picture has changed since it was examined, or does not have the shape of its golden reference.
    """
    wanted = _sha256(f"{key} {json.dumps(parameters, sort_keys=True)}")
    if (kept := rules.spool.find(chunk, wanted)) is not None:
        return kept
    table = rules.spool.table(f"{chunk}-light")
    rows = table.select(["run", *nsoart.GROUP_BY, "image", "mask"]).to_pylist()
    images, charts, masks = [], [], []
    for row in rows:
        run = row["run"]
        content, picture = read_picture(rules.directory, run, row["image"], None)
        try:
            chart = nsoart.nsoart_picture(picture, parameters, row, folder, run)
        except ValueError as error:
            raise InputError(f"the picture of run {run}: {error}") from None
        images.append({"bytes": content, "path": f"{run}.png"})
        charts.append({"bytes": encoded_png(chart), "path": f"{run}_nsoart.png"})
        if rules.masks:
            mask = read_mask(rules.directory, run, row["mask"])
            masks.append({"bytes": mask, "path": f"{run}_mask.png"})
    schema = features(True, rules.extras, rules.masks).arrow_schema.remove_metadata()
    columns = {"image": images, "nsoart": charts, **({"mask": masks} if rules.masks else {})}
    arrays = [
        pa.array(columns[name], schema.field(name).type) if name in columns else table.column(name)
        for name in schema.names
    ]
    return rules.spool.keep(chunk, wanted, {}, pa.Table.from_arrays(arrays, schema=schema))


def unit_statistics(runs: Sequence[str], rules: Rules) -> nsoart.MapStatistics:
    """Compute mean and standard deviation of the SOART3 texture maps of the pictures with these run names.

    The build needs them for groups (one scene, camera and so on) without an OK row in the training split.
    """
    statistics = nsoart.MapStatistics()
    for run in runs:
        picture = open_picture(rules.directory / "images" / f"{run}.png", f"the picture of run {run}")
        statistics.add(nsoart.nsoart_maps(picture, rules.window, rules.stride))
    return statistics


def _examine_row(
    run: Run, manifest: str, rules: Rules, findings: Findings, statistics: Statistics
) -> dict[str, Any] | None:
    """Check a row; return its columns, with SHA-256 in place of picture and mask; None if faulty or not rendered."""
    path = rules.directory / "records" / f"{run.run}.json"
    if not path.is_file():
        findings.missing.append(f"{shown_path(path)}: expected the record of run {run.run} ({manifest}), got no file")
        return None
    wrong: list[str] = []
    try:
        record = read_record(path)
        findings.records += record_number(run.run, path.read_bytes())
        wrong += differences(record, run, manifest, path)
        wrong += box_problems(record, path) or number_problems(record, path)
        row = picture_row(run, record, rules.labelling, rules.extras)
    except InputError as error:
        findings.problems += error.problems
        return None
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = f"one without the key {error}" if isinstance(error, KeyError) else str(error)
        findings.problems += wrong or [f"{shown_path(path)}: expected a complete record, got: {reason}"]
        return None
    try:
        _, picture = read_picture(rules.directory, run.run, record["image_sha256"], (row.width, row.height))
        read_mask(rules.directory, run.run, record["mask_sha256"])
    except InputError as error:
        wrong += error.problems
    if wrong:
        findings.problems += wrong
        return None
    blank = is_blank(picture)
    if blank:
        row = replace(row, observable=False)
    findings.take(row, record, path, blank)
    if row.label == OK and run.split == "train":
        maps = nsoart.nsoart_maps(picture, rules.window, rules.stride)
        statistics.setdefault(nsoart.group_of(row.manifest), nsoart.MapStatistics()).add(maps)
    return {**columns_of(row), "image": record["image_sha256"], "mask": record["mask_sha256"]}


def _light_schema(rules: Rules) -> pa.Schema:
    """Return the schema of rows between the passes: picture and mask are replaced by their SHA-256."""
    declared = features(True, rules.extras, rules.masks)
    columns = {name: kind for name, kind in declared.items() if name not in PICTURES}
    schema = Features(columns).arrow_schema.remove_metadata()
    for name in ("image", "mask"):
        schema = schema.append(pa.field(name, pa.string()))
    return schema


def _chunk_key(chunk: Chunk, rules: Rules) -> str:
    """Return the SHA-256 over a chunk's rows, the sizes and times of their files, and the settings."""
    parts: list[Any] = [rules.fingerprint(), chunk.name]
    for run, manifest in zip(chunk.runs, chunk.manifests, strict=True):
        parts.append([run.row(), manifest])
        for folder, suffix in (("records", "json"), ("images", "png"), ("masks", "png")):
            try:
                found = (rules.directory / folder / f"{run.run}.{suffix}").stat()
                parts.append([found.st_size, found.st_mtime_ns, found.st_ino])
            except OSError:
                parts.append(None)
    return _sha256(json.dumps(parts))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
