"""Records and pictures to a dataset: `python -m generator build DIR --to DATASET`.

Everything is checked before anything is written: each row of DIR's manifests has its record, each record belongs to
its row, picture and mask are there and have the bytes that the record vouches for, the picture decodes and has the
recorded size, no box lies where no picture is. Every fault is named, not only the first. Rows go through two passes in
chunks, in as many processes as there are cores, and leave memory in between: it holds the names of the rows and no
more. Chunks that are ready are found again when a build that was stopped is repeated. The dataset appears under its
name when it is complete, or not at all.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.output_folder import EXTRAS, FOLDERS
from blender_scripts.manifest.reader import Run, stream_runs
from generator.dataset.card import DatasetFacts, balance_table, make_card
from generator.dataset.contact_sheet import SheetRows, write_sheet
from generator.dataset.features import class_names, features
from generator.dataset.folder import BATCH_ROWS, CARD, DATA, NSOART, SPOOL, ShardWriter, Target
from generator.dataset.labels import ANSWER_LABELS, OBSERVABLE_PX, OK, Tolerance, parse_tolerance
from generator.dataset.render_folder import (
    Chunk,
    Findings,
    Rules,
    examine,
    illustrate,
    read_table,
    shown_path,
    unit_statistics,
)
from generator.io.processes import processes
from generator.soart import nsoart

WINDOW = 16
STRIDE = 1
# A process takes a second to start; below this many chunks one does it all.
_CHUNKS_WORTH_A_POOL = 6
_MOST_PROBLEMS = 1000


@dataclass(frozen=True)
class Options:
    """How to build.

    Attributes:
        limits: tolerance limits in mm that replace the scene's, by name.
        grey: fraction of a limit within which a measure is flagged.
        observable_px: how far a bend or a retraction has to move a tip in a view to count as seen there.
        partial: leave out rows that have no record, in place of refusing.
        overwrite: replace a DATASET folder that is not a dataset of ours.
        license: identifier for the card.
        answer: how `bbox_str` names classes, of ANSWER_LABELS.
        workers: processes; None: one per core.
        masks: put instance masks and key points into the dataset.
    """

    limits: Mapping[str, float]
    grey: float = 0.0
    observable_px: float = OBSERVABLE_PX
    partial: bool = False
    overwrite: bool = False
    license: str = "other"
    answer: str = "short"
    workers: int | None = None
    masks: bool = False


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
    parser.add_argument(
        "--observable-px",
        type=float,
        default=OBSERVABLE_PX,
        metavar="PX",
        help="a bend or a retraction that moves its tip by less in a view does not count as seen there "
        "(default: %(default)g; 0: any that is in view counts)",
    )
    parser.add_argument("--partial", action="store_true", help="leave out rows that have not been rendered")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace DATASET even if it is no dataset of ours"
    )
    parser.add_argument(
        "--answer",
        choices=tuple(ANSWER_LABELS),
        default="short",
        help="how bbox_str names a class: BENDNG, 'bent pin' or BEND-NG (default: %(default)s)",
    )
    parser.add_argument(
        "--masks",
        action="store_true",
        help="add instance masks and key points: for export and for exact boxes of augmented copies",
    )
    parser.add_argument(
        "--workers", type=int, default=None, metavar="N", help="processes (default: one per core)"
    )
    parser.add_argument(
        "--scenes",
        type=Path,
        default=Path(__file__).resolve().parents[2] / "scenes",
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
    if not 0 <= args.observable_px < math.inf:
        problems.append(f"--observable-px: expected px of at least 0, got {args.observable_px:g}")
    if args.workers is not None and not 1 <= args.workers <= 1024:
        problems.append(f"--workers: expected 1 to 1024, got {args.workers}")
    if problems:
        raise InputError(problems)
    options = Options(
        limits,
        args.grey,
        args.observable_px,
        args.partial,
        args.overwrite,
        args.license,
        args.answer,
        args.workers,
        args.masks,
    )
    facts = build(args.directory, args.to, args.scenes, options)
    if facts.hidden_rows:
        _tell(
            f"{facts.hidden_rows} NG rows show none of their defects in their view: observable is false there"
        )
    if facts.ceilings[0]:
        count, total, least = facts.ceilings
        sys.stdout.write(
            f"bbox_str: {count} boxes, of which a perfect answer reaches an IoU of {total / count:.3f} on average and "
            f"{least:.3f} at worst, for its thousand bins\n\n"
        )
    sys.stdout.write(f"{balance_table(facts.counts, facts.classes)}\n{facts.rows} rows in {args.to}\n")
    return 0


def build(directory: Path, to: Path, scenes: Path, options: Options) -> DatasetFacts:
    """Make a dataset folder from a folder of renders.

    Args:
        directory: holds images/, masks/, records/ and manifests/.
        to: the dataset folder; replaced when it holds a dataset already.
        scenes: folder of the scene files.
        options: how to build.

    Raises:
        InputError: everything that is wrong with what was rendered or asked for.
    """
    manifests = _manifest_paths(directory)
    _check_apart(to, directory, scenes)
    target = Target(directory, to, options.overwrite)
    with target as folder:
        return _Build(directory, manifests, scenes, options, folder).dataset()


def _check_apart(to: Path, directory: Path, scenes: Path) -> None:
    """What is replaced lies in nothing that is read, nor holds the scenes; `Target` sees to the rendered folder."""
    place = to.resolve()
    if scenes.resolve().is_relative_to(place):
        raise InputError(f"--to {to}: expected a folder of its own, got one that holds the scenes")
    for folder in (*(directory / name for name in (*FOLDERS, *EXTRAS)), scenes):
        if place.is_relative_to(folder.resolve()):
            raise InputError(f"--to {to}: expected a folder of its own, got one inside of {folder}")


class _Build:
    def __init__(
        self, directory: Path, manifests: list[Path], scenes: Path, options: Options, folder: Path
    ) -> None:
        self.directory = directory
        self.manifests = manifests
        self.scenes = scenes
        self.options = options
        self.folder = folder
        self.spool = folder / SPOOL
        self.spool.mkdir(exist_ok=True)
        self.names: set[str] = set()
        # Of each chunk: its name, what it was made from, and how many rows it has.
        self.chunks: dict[str, list[tuple[str, str, int]]] = {}
        self.spaces = nsoart.UnitSpaces()
        self.statistics: dict[tuple[str, ...], nsoart.MapStatistics] = {}
        self.tolerances: dict[str, Tolerance] = {}
        self.counts: dict[str, Counter[str]] = {}
        self.sheet = SheetRows()
        self.other = False
        self.grey_rows = self.hidden_rows = 0
        self.ceilings = (0, 0.0, 1.0)
        self.missing: list[str] = []
        self.renderers: set[str] = set()
        self.blenders: set[str] = set()
        self.sizes: set[tuple[int, int]] = set()
        self.problems: list[str] = []

    def dataset(self) -> DatasetFacts:
        hashes = [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in self.manifests]
        extras = _extra_columns(self.manifests, self.scenes)
        options = self.options
        rules = Rules(
            self.directory,
            self.spool,
            dict(options.limits),
            options.grey,
            options.observable_px,
            tuple(extras),
            options.answer,
            WINDOW,
            STRIDE,
            options.masks,
        )
        rows = self._count_rows()
        with processes(options.workers, rows >= _CHUNKS_WORTH_A_POOL * BATCH_ROWS) as in_order:
            self._examine(in_order, rules, rows)
            parameters = self._parameters(rules)
            (self.folder / NSOART).write_text(json.dumps(parameters, indent=1) + "\n", encoding="utf-8")
            content = self._write_rows(in_order, rules, parameters)
        shutil.rmtree(self.spool)
        facts = DatasetFacts(
            counts=self.counts,
            classes=class_names(self.other),
            tolerances=self.tolerances,
            limits=options.limits,
            grey=options.grey,
            grey_rows=self.grey_rows,
            observable_px=options.observable_px,
            hidden_rows=self.hidden_rows,
            missing_rows=len(self.missing),
            manifests=hashes,
            renderers=sorted(self.renderers),
            blenders=sorted(self.blenders),
            sizes=sorted(self.sizes),
            extras=extras,
            nsoart=parameters,
            license=options.license,
            content_sha256=content,
            answer=options.answer,
            ceilings=self.ceilings,
        )
        write_sheet(self.folder, self.sheet, facts.classes)
        (self.folder / CARD).write_text(make_card(facts), encoding="utf-8")
        return facts

    def _count_rows(self) -> int:
        """How many there are about, for the progress bars: lines of the files."""
        return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in self.manifests)

    def _chunks(self) -> Iterator[Chunk]:
        """Rows of a split, some at a time, in the order of the manifests."""
        waiting: dict[str, tuple[list[Run], list[str]]] = {}
        numbers: Counter[str] = Counter()
        for run, manifest in _joined(self.manifests, self.scenes, self.problems, self.names):
            runs, names = waiting.setdefault(run.split, ([], []))
            runs.append(run)
            names.append(manifest)
            if len(runs) == BATCH_ROWS:
                yield Chunk(run.split, numbers[run.split], tuple(runs), tuple(names))
                numbers[run.split] += 1
                del waiting[run.split]
        for split, (runs, names) in waiting.items():
            yield Chunk(split, numbers[split], tuple(runs), tuple(names))

    def _examine(self, in_order: Callable[..., Iterator[Any]], rules: Rules, rows: int) -> None:
        """First pass. Raises InputError with everything that is wrong."""
        with tqdm(total=rows, desc="rows", unit="row", disable=None) as bar:
            for chunk, findings in in_order(examine, ((chunk, rules) for chunk in self._chunks())):
                self._take(chunk, findings)
                bar.update(len(chunk.runs))
        self._report_orphans()
        total = len(self.names)
        if self.missing and self.options.partial:
            _tell(f"--partial: {len(self.missing)} of {total} rows have not been rendered")
            if not self.chunks and not self.problems:
                self.problems.append(f"{self.directory}: expected at least one rendered row, got none")
        elif self.missing:
            self.problems += self.missing
            self.problems.append(
                f"{len(self.missing)} of {total} rows have no record: render them, or give --partial"
            )
        if self.problems:
            raise InputError(self.problems)

    def _take(self, chunk: Chunk, findings: Findings) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems += findings.problems
        self.missing += findings.missing
        for scene, path, limits in findings.tolerances:
            tolerance = Tolerance(**limits)
            known = self.tolerances.setdefault(scene, tolerance)
            if known != tolerance:
                self.problems.append(
                    f"{path}: expected the tolerance of the other records of scene {scene} ({known}), "
                    f"got {tolerance}: render again, or give --tolerance"
                )
        for group, numbers in findings.statistics:
            found = nsoart.MapStatistics.from_numbers(numbers)
            self.statistics.setdefault(group, nsoart.MapStatistics()).merge(found)
        self.other |= findings.other
        self.grey_rows += findings.grey_rows
        self.hidden_rows += findings.hidden_rows
        count, total, least = findings.ceilings
        self.ceilings = self.ceilings[0] + count, self.ceilings[1] + total, min(self.ceilings[2], least)
        self.renderers.update(findings.renderers)
        self.blenders.update(findings.blenders)
        self.sizes.update(findings.sizes)
        if not findings.rows:
            return
        counts = self.counts.setdefault(chunk.split, Counter())
        first = sum(counts.values())
        for number, (run, label, group) in enumerate(findings.rows, first):
            counts[label] += 1
            self.spaces.add(run, group, label == OK, chunk.split)
            self.sheet.offer(chunk.split, number, label, group)
        self.chunks.setdefault(chunk.split, []).append((chunk.name, findings.key, len(findings.rows)))

    def _parameters(self, rules: Rules) -> dict[str, Any]:
        """The contents of nsoart.json."""
        spaces = self.spaces.found()
        for space in spaces:
            if space.source in ("few", "all"):
                self.statistics[space.group] = unit_statistics(space.rows, rules)
        return nsoart.make_parameters(spaces, self.statistics, WINDOW, STRIDE)

    def _write_rows(
        self, in_order: Callable[..., Iterator[Any]], rules: Rules, parameters: Mapping[str, Any]
    ) -> str:
        """Second pass: Parquet files, one series per split.

        Returns:
            The SHA-256 of what is in them, pictures and labels.
        """
        folder = self.folder / DATA
        folder.mkdir()
        columns = features(self.other, rules.extras, rules.masks)
        content = hashlib.sha256(str(columns).encode())
        total = sum(sum(counts.values()) for counts in self.counts.values())
        # The rows of the unit spaces, which no picture needs, would travel with every chunk.
        groups = [{name: group[name] for name in group if name != "rows"} for group in parameters["groups"]]
        moments = {**parameters, "groups": groups}
        with tqdm(total=total, desc="dataset", unit="row", disable=None) as bar:
            for split, chunks in self.chunks.items():
                writer = ShardWriter(folder, split, columns)
                work = ((name, key, rules, moments) for name, key, _ in chunks)
                for _, (path, digest) in in_order(illustrate, work):
                    table = read_table(path)
                    writer.add(table)
                    content.update(digest.encode())
                    bar.update(table.num_rows)
                writer.finish()
        return content.hexdigest()

    def _report_orphans(self) -> None:
        records = {path.name for path in (self.directory / "records").glob("*.json")}
        for name in sorted(records - {f"{name}.json" for name in self.names}):
            _tell(f"{shown_path(Path('records') / name)}: no manifest names this run, left out")


def _manifest_paths(directory: Path) -> list[Path]:
    folder = directory / "manifests"
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise InputError(f"{folder}: expected the manifests that were rendered, got no .csv file")
    return paths


def _extra_columns(paths: list[Path], scenes: Path) -> list[str]:
    """The users' own columns of all manifests, which the first row of each tells."""
    extras: dict[str, None] = {}
    for path in paths:
        try:
            extras.update(dict.fromkeys(next(iter(stream_runs(path, scenes))).extra))
        except (InputError, StopIteration):
            continue  # reading the rows names what is wrong with it
    return list(extras)


def _joined(
    paths: list[Path], scenes: Path, problems: list[str], names: set[str]
) -> Iterator[tuple[Run, str]]:
    """Each run once, with the name of the first manifest that has it. Manifests may repeat a row, not contradict it.

    Args:
        paths: the manifests.
        scenes: folder of the scene files.
        problems: takes in what is wrong with them.
        names: takes in the name of every run.
    """
    # Within one manifest reading it has checked this already.
    several = len(paths) > 1
    rows: dict[str, tuple[bytes, str]] = {}
    splits: dict[int, tuple[str, str, str]] = {}
    for path in paths:
        try:
            for run in stream_runs(path, scenes):
                if several:
                    digest = hashlib.sha256(repr(run).encode()).digest()
                    known, origin = rows.setdefault(run.run, (digest, path.name))
                    if known != digest:
                        problems.append(
                            f"{path.name}: expected run {run.run} as in {origin}, got another row"
                        )
                    split, first, origin = splits.setdefault(run.part, (run.split, run.run, path.name))
                    if split != run.split:
                        problems.append(
                            f"{path.name}: expected part {run.part} in one split, "
                            f"got {run.split} (run {run.run}) and {split} (run {first}, {origin})"
                        )
                if run.run not in names:
                    names.add(run.run)
                    yield run, path.name
        except InputError as error:
            problems += error.problems


def _tell(message: str) -> None:
    """A remark on stderr that does not tear a progress bar."""
    tqdm.write(message, file=sys.stderr)
