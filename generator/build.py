"""Records and pictures to a dataset: `python -m generator build DIR --to DATASET`.

Everything is checked before anything is written: each row of DIR's manifests has its record, each record belongs to
its row, each picture is there, has the bytes that the record vouches for, decodes, and has the recorded size. Every
fault is named, not only the first. Then two streaming passes: statistics of good parts for the nsoart column, and the
rows. The dataset appears under its name when it is complete, or not at all.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Features
from PIL import Image
from tqdm import tqdm

from blender_scripts.errors import InputError
from blender_scripts.manifest import Manifest, Run, read_manifest
from blender_scripts.record import read_record
from generator import nsoart
from generator.card import DatasetFacts, balance_table, make_card
from generator.dataset_folder import CARD, DATA, NSOART, ShardWriter, Target
from generator.features import MANIFEST_COLUMNS, class_names, features
from generator.labels import OK, OTHERNG, PictureTruth, Tolerance, label_picture, parse_tolerance

WINDOW = 16
STRIDE = 1


@dataclass(frozen=True)
class Options:
    """How to build.

    Attributes:
        limits: tolerance limits in mm that replace the scene's, by name.
        grey: fraction of a limit within which a measure is flagged.
        partial: leave out rows that have no record, in place of refusing.
        overwrite: replace a DATASET folder that is not a dataset of ours.
        license: identifier for the card.
    """

    limits: Mapping[str, float]
    grey: float = 0.0
    partial: bool = False
    overwrite: bool = False
    license: str = "other"


@dataclass(frozen=True)
class PlannedRow:
    """A row that goes into the dataset. Its truth is read again when it is written, so that memory stays flat."""

    run: Run
    label: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder that was rendered into")
    parser.add_argument(
        "--to", type=Path, required=True, metavar="DATASET", help="folder of the dataset to make"
    )
    parser.add_argument(
        "--tolerance",
        metavar="LIMITS",
        help="limits in mm in place of the scene's, e.g. true_position_mm=0.6,retraction_mm=0.5",
    )
    parser.add_argument(
        "--grey",
        type=float,
        default=0.0,
        metavar="FRACTION",
        help="flag pictures with a measure within FRACTION of its limit (default 0: none)",
    )
    parser.add_argument("--partial", action="store_true", help="leave out rows that have not been rendered")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace DATASET even if it is no dataset of ours"
    )
    parser.add_argument(
        "--scenes",
        type=Path,
        default=Path(__file__).resolve().parents[1] / "scenes",
        metavar="FOLDER",
        help="folder of the scene files that the manifests name (default: this repository's)",
    )
    parser.add_argument(
        "--license", default="other", metavar="ID", help="licence identifier for the card (default: other)"
    )


def run(args: argparse.Namespace) -> int:
    """Build, and print the balance table."""
    problems = []
    limits: dict[str, float] = {}
    if args.tolerance is not None:
        try:
            limits = parse_tolerance(args.tolerance)
        except ValueError as error:
            problems.append(f"--tolerance: {error}")
    if not 0 <= args.grey < 1:
        problems.append(f"--grey: expected a fraction of at least 0 and below 1, got {args.grey:g}")
    if problems:
        raise InputError(problems)
    options = Options(limits, args.grey, args.partial, args.overwrite, args.license)
    facts = build(args.directory, args.to, args.scenes, options)
    if facts.hidden_rows:
        _tell(
            f"{facts.hidden_rows} NG rows show none of their defects in their view: observable is false there"
        )
    sys.stdout.write(f"{balance_table(facts.counts, facts.classes)}\n{facts.rows} rows in {args.to}\n")
    return 0


def build(directory: Path, to: Path, scenes: Path, options: Options) -> DatasetFacts:
    """Make a dataset folder from a folder of renders.

    Args:
        directory: holds images/, records/ and manifests/.
        to: the dataset folder; replaced when it holds a dataset already.
        scenes: folder of the scene files.

    Raises:
        InputError: everything that is wrong with what was rendered or asked for.
    """
    target = Target(directory, to, options.overwrite)
    source = RenderFolder(directory, scenes, options)
    planned = source.plan()
    parameters = source.check_pictures(planned)
    counts: dict[str, Counter[str]] = {}
    for row in planned:
        counts.setdefault(row.run.split, Counter())[row.label] += 1
    facts = source.facts(counts, parameters)
    with target as folder:
        source.write_rows(planned, parameters, folder / DATA)
        (folder / NSOART).write_text(json.dumps(parameters, indent=1) + "\n", encoding="utf-8")
        (folder / CARD).write_text(make_card(facts), encoding="utf-8")
    return facts


class RenderFolder:
    """A folder that was rendered into, read against its own manifests."""

    def __init__(self, directory: Path, scenes: Path, options: Options) -> None:
        self.directory = directory
        self.options = options
        self.manifests = _read_manifests(directory, scenes)
        self.runs = _join(self.manifests)
        self.extras = list(dict.fromkeys(name for run in self.runs.values() for name in run.extra))
        self.tolerances: dict[str, Tolerance] = {}
        self.other = False
        self.grey_rows = 0
        self.hidden_rows = 0
        self.missing_rows = 0
        self.renderers: set[str] = set()
        self.blenders: set[str] = set()
        self.sizes: set[tuple[int, int]] = set()

    @property
    def features(self) -> Features:
        return features(self.other, self.extras)

    def plan(self) -> list[PlannedRow]:
        """Read every record once: which rows there are, and what they are called."""
        problems: list[str] = []
        planned: list[PlannedRow] = []
        missing: list[str] = []
        for run, name in self._progress(self._with_manifest(), len(self.runs), "records"):
            path = self._record_path(run)
            if not path.is_file():
                missing.append(f"{_shown(path)}: expected the record of run {run.run} ({name}), got nothing")
                continue
            try:
                record = read_record(path)
                problems += _differences(record, run, name, path)
                self._take_tolerance(record, run, path, problems)
                truth = self._truth(record)
                label = truth.label
            except InputError as error:
                problems += error.problems
                continue
            except (KeyError, TypeError, ValueError) as error:
                reason = f"key {error} missing" if isinstance(error, KeyError) else str(error)
                problems.append(f"{_shown(path)}: expected a complete record, got: {reason}")
                continue
            self.other |= any(thing.category == OTHERNG for thing in truth.objects)
            self.grey_rows += truth.grey
            self.hidden_rows += not truth.observable
            self.renderers.add(str(record["renderer"]))
            self.blenders.add(str(record["blender"]))
            self.sizes.add((record["width"], record["height"]))
            planned.append(PlannedRow(run, label))
        self._report_orphans()
        if missing and self.options.partial:
            self.missing_rows = len(missing)
            _tell(f"--partial: {len(missing)} of {len(self.runs)} rows have not been rendered")
            if not planned and not problems:
                problems.append(f"{self.directory}: expected at least one rendered row, got none")
        elif missing:
            problems += missing
            problems.append(
                f"{len(missing)} of {len(self.runs)} rows have no record: render them, or give --partial"
            )
        if problems:
            raise InputError(problems)
        return planned

    def check_pictures(self, planned: Sequence[PlannedRow]) -> dict[str, Any]:
        """Verify every picture, and take the nsoart statistics of those that stand for good parts.

        Returns:
            The contents of nsoart.json.
        """
        spaces = nsoart.unit_spaces([(row.run.row(), row.label == OK) for row in planned])
        group_of_run = {run: space.group for space in spaces for run in space.rows}
        statistics: dict[tuple[str, ...], nsoart.MapStatistics] = {}
        problems: list[str] = []
        for row in self._progress(planned, len(planned), "pictures"):
            try:
                _, picture = self._picture(row.run, read_record(self._record_path(row.run)))
            except InputError as error:
                problems += error.problems
                continue
            group = group_of_run.get(row.run.run)
            if group is not None and not problems:
                maps = nsoart.nsoart_maps(picture, WINDOW, STRIDE)
                statistics.setdefault(group, nsoart.MapStatistics()).add(maps)
        if problems:
            raise InputError(problems)
        return nsoart.make_parameters(spaces, statistics, WINDOW, STRIDE)

    def write_rows(self, planned: Sequence[PlannedRow], parameters: Mapping[str, Any], folder: Path) -> None:
        """Write all rows into Parquet files, one series per split."""
        folder.mkdir()
        columns = self.features
        writers: dict[str, ShardWriter] = {}
        for row in self._progress(planned, len(planned), "dataset"):
            split = row.run.split
            if split not in writers:
                writers[split] = ShardWriter(folder, split, columns)
            writers[split].add(self._row(row.run, parameters, columns["label"].names))
        for writer in writers.values():
            writer.finish()

    def facts(self, counts: Mapping[str, Mapping[str, int]], parameters: Mapping[str, Any]) -> DatasetFacts:
        return DatasetFacts(
            counts=counts,
            classes=class_names(self.other),
            tolerances=self.tolerances,
            limits=self.options.limits,
            grey=self.options.grey,
            grey_rows=self.grey_rows,
            hidden_rows=self.hidden_rows,
            missing_rows=self.missing_rows,
            manifests=[(manifest.path.name, manifest.sha256) for manifest in self.manifests],
            renderers=sorted(self.renderers),
            blenders=sorted(self.blenders),
            sizes=sorted(self.sizes),
            extras=self.extras,
            nsoart=parameters,
            license=self.options.license,
        )

    def _with_manifest(self) -> Iterator[tuple[Run, str]]:
        """Each run once, with the name of the first manifest that has it."""
        names: dict[str, str] = {}
        for manifest in self.manifests:
            for run in manifest.runs:
                names.setdefault(run.run, manifest.path.name)
        for run in self.runs.values():
            yield run, names[run.run]

    def _record_path(self, run: Run) -> Path:
        return self.directory / "records" / f"{run.run}.json"

    def _truth(self, record: Mapping[str, Any]) -> PictureTruth:
        return label_picture(record, self.tolerances[record["row"]["scene"]], self.options.grey)

    def _take_tolerance(self, record: Mapping[str, Any], run: Run, path: Path, problems: list[str]) -> None:
        """The tolerance of a scene, which all its records must agree on unless the user sets it."""
        own = record["tolerance"]
        tolerance = Tolerance(own["true_position_mm"], own["retraction_mm"]).with_limits(self.options.limits)
        known = self.tolerances.setdefault(run.scene, tolerance)
        if known != tolerance:
            problems.append(
                f"{_shown(path)}: expected the tolerance of the other records of scene {run.scene} ({known}), "
                f"got {tolerance}: render again, or give --tolerance"
            )

    def _report_orphans(self) -> None:
        records = sorted(
            path for path in (self.directory / "records").glob("*.json") if path.stem not in self.runs
        )
        for path in records:
            _tell(f"{_shown(path)}: no manifest names this run, left out")

    def _picture(self, run: Run, record: Mapping[str, Any]) -> tuple[bytes, Image.Image]:
        """A picture's bytes and pixels, checked against its record."""
        path = self.directory / "images" / f"{run.run}.png"
        if not path.is_file():
            raise InputError(f"{_shown(path)}: expected the picture of run {run.run}, got nothing")
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != record["image_sha256"]:
            raise InputError(
                f"{_shown(path)}: expected the bytes that were rendered (SHA-256 {record['image_sha256'][:12]}…), "
                f"got {digest[:12]}… ({len(content)} bytes)"
            )
        try:
            picture = Image.open(io.BytesIO(content))
            picture.load()
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"{_shown(path)}: expected a picture that can be decoded, got: {error}"
            ) from None
        expected = record["width"], record["height"]
        if picture.size != expected:
            raise InputError(f"{_shown(path)}: expected {expected[0]} x {expected[1]} px, got {picture.size}")
        if picture.mode not in ("RGB", "L"):
            raise InputError(f"{_shown(path)}: expected 8-bit RGB or grey, got Pillow mode {picture.mode}")
        return content, picture

    def _row(self, run: Run, parameters: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        """One row as Arrow stores it."""
        record = read_record(self._record_path(run))
        content, picture = self._picture(run, record)
        truth = self._truth(record)
        row = run.row()
        things = truth.objects
        return {
            "image": {"bytes": content, "path": f"{run.run}.png"},
            "nsoart": {
                "bytes": _png(nsoart.nsoart_picture(picture, parameters, row)),
                "path": f"{run.run}_nsoart.png",
            },
            "label": names.index(truth.label),
            "verdict": int(truth.verdict == "NG"),
            "kinds": list(truth.kinds),
            "observable": truth.observable,
            "grey": truth.grey,
            "bbox_str": truth.answer(*picture.size),
            "objects": {
                "id": [thing.id for thing in things],
                "bbox": [
                    [thing.box[0], thing.box[1], thing.box[2] - thing.box[0], thing.box[3] - thing.box[1]]
                    for thing in things
                ],
                "category": [names.index(thing.category) for thing in things],
                "area": [thing.area for thing in things],
                "address": [thing.address for thing in things],
                "cavity": [thing.cavity for thing in things],
                "visible": [thing.visible for thing in things],
                "true_position_mm": [thing.true_position_mm for thing in things],
                "retraction_mm": [thing.retraction_mm for thing in things],
            },
            "width": picture.width,
            "height": picture.height,
            **{name: row[name] for name in MANIFEST_COLUMNS},
            **{name: str(run.extra.get(name, "")) for name in self.extras},
        }

    def _progress[T](self, items: Iterable[T], total: int, name: str) -> Iterable[T]:
        return tqdm(items, total=total, desc=name, unit="row", disable=None)


def _read_manifests(directory: Path, scenes: Path) -> list[Manifest]:
    folder = directory / "manifests"
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise InputError(f"{folder}: expected the manifests that were rendered, got no .csv file")
    manifests: list[Manifest] = []
    problems: list[str] = []
    for path in paths:
        try:
            manifests.append(read_manifest(path, scenes))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return manifests


def _join(manifests: Sequence[Manifest]) -> dict[str, Run]:
    """All runs by name. Manifests may repeat a row, not contradict each other."""
    runs: dict[str, Run] = {}
    origin: dict[str, str] = {}
    splits: dict[tuple[str, int], Run] = {}
    problems = []
    for manifest in manifests:
        for run in manifest.runs:
            name = manifest.path.name
            if runs.setdefault(run.run, run) != run:
                problems.append(f"{name}: expected run {run.run} as in {origin[run.run]}, got another row")
            origin.setdefault(run.run, name)
            first = splits.setdefault((run.scene, run.part), run)
            if first.split != run.split:
                problems.append(
                    f"{name}: expected part {run.part} of {run.scene} in one split, "
                    f"got {run.split} (run {run.run}) and {first.split} (run {first.run}, {origin[first.run]})"
                )
    if problems:
        raise InputError(problems)
    return runs


def _differences(record: Mapping[str, Any], run: Run, manifest: str, path: Path) -> list[str]:
    """How the row in a record differs from the row in its manifest."""
    expected, got = run.row(), dict(record["row"])
    problems = [
        f"{_shown(path)}: expected {name} {expected.get(name)!r} as in {manifest}, got {got.get(name)!r}: render again"
        for name in [*expected, *(name for name in got if name not in expected)]
        if expected.get(name) != got.get(name)
    ]
    if record["run"] != run.run:
        problems.append(
            f"{_shown(path)}: expected the record of run {run.run}, got that of {record['run']!r}"
        )
    return problems


def _shown(path: Path) -> str:
    """A file inside of DIR, as a message names it."""
    return f"{path.parent.name}/{path.name}"


def _tell(message: str) -> None:
    """A remark on stderr that does not tear a progress bar."""
    tqdm.write(message, file=sys.stderr)


def _png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    # Level 3 takes less than half the time of the default for files a tenth larger.
    picture.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
