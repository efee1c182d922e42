"""Build a dataset from the records and pictures of a render folder.

Everything is checked before the dataset is written, and every fault is reported, not only the first: each row of the
manifests has a record that belongs to it; picture and mask exist and have the SHA-256 in the record; the picture
decodes and has the recorded size; boxes of visible parts lie inside the picture. Rows are handled in two passes (check,
then attach pictures), in chunks of rows, by one process per core; between the passes only the names of the rows stay in
memory. After an interrupted build, the next build reuses its chunks. A dataset gets its name when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from blender_scripts.contract.csv_file import CsvRows
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.tolerance import Tolerance
from blender_scripts.manifest.output_folder import EXTRAS, FOLDERS, SCENES
from blender_scripts.manifest.reader import REQUIRED, Run, stream_runs
from generator.dataset.card import DatasetFacts, make_card
from generator.dataset.connectors import nominal_connectors
from generator.dataset.folder import BATCH_ROWS
from generator.dataset.golden_rows import golden_parameters
from generator.dataset.labels import OBSERVABLE_PX, OK
from generator.dataset.record_rows import Labelling
from generator.dataset.render_check import shown_path
from generator.dataset.render_folder import Chunk, Findings, Rules, attach_images, examine, unit_statistics
from generator.dataset.rows import features
from generator.dataset.scene_files import SceneFiles, find_scenes
from generator.dataset.writer import DatasetWriter
from generator.io.checksum import sha256_of
from generator.io.processes import InOrder, processes
from generator.io.source_code import code_sha256
from generator.soart import nsoart
from generator.soart.nsoart import STRIDE, WINDOW

# A process takes a second to start; with fewer chunks than this, one process does all the work.
_CHUNKS_WORTH_A_POOL = 6
_MOST_PROBLEMS = 1000
_MOST_ORPHANS = 10


@dataclass(frozen=True)
class Options:
    """The options of a build.

    Attributes:
        limits: limits in mm that replace those of the scene, by name: `true_position_mm`, or for one pin
            `r1c2.true_position_mm`.
        grey: a picture is marked grey if a measure differs from its limit by at most this fraction of the limit.
        observable_px: a bend or a wrong height counts as visible in a picture if it moves the tip by at least this, px.
        partial: leave out manifest rows that have not been rendered, instead of raising an error.
        overwrite: replace the folder DATASET even if it is not a Pinsight dataset.
        license: licence identifier for the dataset card.
        answer: how `bbox_str`, the Florence-2 answer, names the classes: `short`, `words` or `hyphenated`.
        workers: number of processes; None: one per core.
        masks: add a column of instance masks (the value of a pixel is the number of its object).
        nsoart: what the column nsoart compares a picture's windows with: `self` (their mean) or `golden` (good parts).
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
    nsoart: str = nsoart.SELF

    def labelling(self, scenes: Mapping[str, Tolerance]) -> Labelling:
        """Return the settings by which pictures are labelled; `scenes`: tolerance of each scene, by its name."""
        return Labelling(dict(self.limits), self.grey, self.observable_px, self.answer, dict(scenes))


def build(directory: Path, to: Path, scenes: Path | None, options: Options, replace: bool = True) -> DatasetFacts:
    """Build a dataset folder from a render folder; returns its counts and settings.

    Args:
        directory: the render folder, with images/, masks/, records/ and manifests/.
        to: the dataset folder.
        scenes: folder of the scene files; None: where they were when rendered, else their copies in the render folder.
        options: settings of the build.
        replace: whether a dataset in `to` may be replaced.

    Raises:
        InputError: its message lists every fault of the render folder and the options.
    """
    manifests = manifest_paths(directory)
    _check_apart(to, directory, scenes)
    files = find_scenes(directory, _scene_names(manifests), scenes)
    for note in (*files.notes, *_check_limits(options.limits, files)):
        log(note)
    hashes = [(path.name, sha256_of(path)) for path in manifests]
    # Hashed before the files are read: if they change meanwhile, a repeated build sees that this dataset is outdated.
    source = source_sha256(directory, scenes, options)
    extras = _extra_columns(manifests, files.rows)
    with DatasetWriter(to, directory, options.overwrite, replace=replace) as writer:
        labelling = options.labelling(files.tolerances)
        rules = Rules(directory, writer.spool, labelling, tuple(extras), WINDOW, STRIDE, options.masks)
        worth_it = _count_rows(manifests) >= _CHUNKS_WORTH_A_POOL * BATCH_ROWS
        with processes(options.workers, worth_it) as in_order:
            found = _examine(in_order, rules, manifests, files.rows, options.partial)
            parameters = _parameters(in_order, found, rules, options, writer.building)
            _write_rows(in_order, rules, found, parameters, writer)
        connectors, notes = nominal_connectors(found.connectors, files.connectors)
        for note in notes:
            log(note)
        facts = DatasetFacts(
            counts=writer.counts,
            classes=writer.classes,
            tolerances=found.tolerances,
            limits=options.limits,
            grey=options.grey,
            grey_rows=found.grey_rows,
            observable_px=options.observable_px,
            hidden_rows=found.hidden_rows,
            missing_rows=len(found.missing),
            manifests=hashes,
            renderers=sorted(found.renderers),
            blenders=sorted(found.blenders),
            sizes=sorted(found.sizes),
            extras=extras,
            nsoart=parameters,
            license=options.license,
            content_sha256=writer.content_sha256,
            answer=options.answer,
            ceilings=found.ceilings,
            connectors=len(connectors),
            source_sha256=source,
            code_sha256=code_sha256(),
        )
        writer.finish(make_card(facts), parameters, connectors)
    return facts


def _check_limits(limits: Mapping[str, float], files: SceneFiles) -> list[str]:
    """Return notes on limits of single pins that `--tolerance` replaces.

    Raises:
        InputError: `--tolerance` has limits of a pin that no scene has.
    """
    connectors = [each[-1] for each in files.connectors.values()]
    known = {position.address for each in connectors for position in each.positions}
    addresses = [address for address in dict.fromkeys(name.rpartition(".")[0] for name in limits) if address]
    unknown = [address for address in addresses if address not in known]
    if unknown:
        names = ", ".join(sorted(files.connectors))
        raise InputError(
            f"--tolerance: expected addresses (row and position, as in r1c2) of pins of scene {names}, "
            f"got {', '.join(unknown)}"
        )
    return [
        f"scene {each.name}: {name} of --tolerance applies to every pin, also to {', '.join(own)}, in place of their "
        "own limits in the scene file"
        for each in connectors
        for name in limits
        if (own := [address for address, stated in each.tolerance.at.items() if name in stated])
    ]


def _check_apart(to: Path, directory: Path, scenes: Path | None) -> None:
    """Raise InputError if `to` lies in an input folder or holds `scenes`; the writer refuses one that holds renders."""
    place = to.resolve()
    if scenes is not None and scenes.resolve().is_relative_to(place):
        raise InputError(f"--to {to}: expected a folder for the dataset alone, got one that contains the scene files")
    inputs = [directory / name for name in (*FOLDERS, *EXTRAS, SCENES)]
    for folder in (*inputs, *([] if scenes is None else [scenes])):
        if place.is_relative_to(folder.resolve()):
            raise InputError(f"--to {to}: expected a folder outside of {folder}, which the build reads, got one in it")


@dataclass
class _Found:
    """Results of the first pass over all chunks; attributes without a description are as in `Findings`.

    Attributes:
        names: names of the runs.
        unread: one message per fault of a manifest.
        missing: one message per row without a record.
        chunks: by split, (name, `Findings.key`, number of rows) of each chunk that has rows.
        spaces: collects the rows of each unit space (the good rows that standardise the column nsoart).
        statistics: mean and s.d. of the SOART3 texture maps of the training split's OK rows, by unit-space group.
        tolerances: the tolerance of each scene.
    """

    names: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    chunks: dict[str, list[tuple[str, str, int]]] = field(default_factory=dict)
    spaces: nsoart.UnitSpaces = field(default_factory=nsoart.UnitSpaces)
    statistics: dict[tuple[str, ...], nsoart.MapStatistics] = field(default_factory=dict)
    tolerances: dict[str, Tolerance] = field(default_factory=dict)
    connectors: set[tuple[str, str, str, str | None]] = field(default_factory=set)
    other: bool = False
    grey_rows: int = 0
    hidden_rows: int = 0
    ceilings: tuple[int, float, float] = (0, 0.0, 1.0)
    renderers: set[str] = field(default_factory=set)
    blenders: set[str] = field(default_factory=set)
    sizes: set[tuple[int, int]] = field(default_factory=set)

    @property
    def rows(self) -> int:
        """Number of rows in all chunks."""
        return sum(rows for chunks in self.chunks.values() for *_, rows in chunks)

    def take(self, chunk: Chunk, findings: Findings) -> None:
        """Add the results of `examine` for a chunk to those of earlier chunks."""
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems += findings.problems
        self.missing += findings.missing
        self._take_tolerances(findings)
        for group, numbers in findings.statistics:
            found = nsoart.MapStatistics.from_numbers(numbers)
            self.statistics.setdefault(group, nsoart.MapStatistics()).merge(found)
        self.other |= findings.other
        self.grey_rows += findings.grey_rows
        self.hidden_rows += findings.hidden_rows
        count, total, least = findings.ceilings
        self.ceilings = self.ceilings[0] + count, self.ceilings[1] + total, min(self.ceilings[2], least)
        self.connectors.update(findings.connectors)
        self.renderers.update(findings.renderers)
        self.blenders.update(findings.blenders)
        self.sizes.update(findings.sizes)
        for run, label, group in findings.rows:
            self.spaces.add(run, group, label == OK, chunk.split)
        if findings.rows:
            chunks = self.chunks.setdefault(chunk.split, [])
            chunks.append((chunk.name, findings.key, len(findings.rows)))

    def _take_tolerances(self, findings: Findings) -> None:
        for scene, path, limits in findings.tolerances:
            tolerance = Tolerance(**limits)
            known = self.tolerances.setdefault(scene, tolerance)
            if known != tolerance:
                self.problems.append(
                    f"{path}: expected the tolerance that the other records state for scene {scene} ({known}), "
                    f"got {tolerance}: render again, or give --scenes with the scene file that applies"
                )


def _chunks(manifests: list[Path], scenes: Mapping[str, Path], found: _Found) -> Iterator[Chunk]:
    """Yield the manifests' rows in chunks of one split each, in the order of the manifests."""
    waiting: dict[str, tuple[list[Run], list[str]]] = {}
    numbers: Counter[str] = Counter()
    for run, manifest in _joined(manifests, scenes, found.unread, found.names):
        runs, names = waiting.setdefault(run.split, ([], []))
        runs.append(run)
        names.append(manifest)
        if len(runs) == BATCH_ROWS:
            yield Chunk(run.split, numbers[run.split], tuple(runs), tuple(names))
            numbers[run.split] += 1
            del waiting[run.split]
    for split, (runs, names) in waiting.items():
        yield Chunk(split, numbers[split], tuple(runs), tuple(names))


def _examine(
    in_order: InOrder, rules: Rules, manifests: list[Path], scenes: Mapping[str, Path], partial: bool
) -> _Found:
    """First pass: check all chunks and return the results. Raises one InputError that lists every fault."""
    found = _Found()
    with tqdm(total=_count_rows(manifests), desc="rows", unit="row", disable=None) as bar:
        calls = ((chunk, rules) for chunk in _chunks(manifests, scenes, found))
        for chunk, findings in in_order(examine, calls):
            found.take(chunk, findings)
            bar.update(len(chunk.runs))
    found.problems = found.unread + found.problems
    # Rows of a faulty manifest may not have been read: their records are no orphans.
    if not found.unread:
        _report_orphans(rules.directory, found.names)
    total = len(found.names)
    if found.missing and partial:
        log(f"--partial: {len(found.missing)} of {total} rows have not been rendered and are left out")
        if not found.chunks and not found.problems:
            found.problems.append(f"{rules.directory}: expected at least one rendered row of its manifests, got none")
    elif found.missing:
        found.problems += found.missing
        found.problems.append(
            f"{rules.directory}: expected every row of its manifests rendered, got {len(found.missing)} of {total} "
            "without a record: render them, or give --partial to leave them out"
        )
    if len(found.renderers) > 1:
        found.problems.append(
            f"{rules.directory}: expected records of one version of the renderer, got versions "
            f"{' and '.join(sorted(found.renderers))}: repeat `render --out {rules.directory}` with every manifest, "
            "which renders the older rows again"
        )
    if found.problems:
        raise InputError(found.problems)
    return found


def _parameters(in_order: InOrder, found: _Found, rules: Rules, options: Options, to: Path) -> dict[str, Any]:
    """Return the contents of nsoart.json: what the column nsoart is made with; writes golden references to `to`."""
    if options.nsoart == nsoart.GOLDEN:
        return golden_parameters(in_order, found.spaces, rules, to)
    spaces = found.spaces.found()
    for space in spaces:
        if space.source in ("few", "all"):
            found.statistics[space.group] = unit_statistics(space.rows, rules)
    return nsoart.make_parameters(spaces, found.statistics, WINDOW, STRIDE)


def _write_rows(
    in_order: InOrder, rules: Rules, found: _Found, parameters: Mapping[str, Any], writer: DatasetWriter
) -> None:
    """Second pass: attach the pictures and write the rows."""
    writer.begin(features(found.other, rules.extras, rules.masks))
    # Names of the unit spaces' rows are dropped: every chunk gets a copy, and computing a picture does not need them.
    groups = [{name: group[name] for name in group if name != "rows"} for group in parameters["groups"]]
    moments = {**parameters, "groups": groups}
    with tqdm(total=found.rows, desc="dataset", unit="row", disable=None) as bar:
        for split, chunks in found.chunks.items():
            work = ((name, key, rules, moments, writer.building) for name, key, _ in chunks)
            for name, kept in in_order(attach_images, work):
                table = rules.spool.table(name)
                writer.add(split, table, kept.sha256)
                bar.update(table.num_rows)


def _report_orphans(directory: Path, names: set[str]) -> None:
    records = {path.name for path in (directory / "records").glob("*.json")}
    orphans = sorted(records - {f"{name}.json" for name in names})
    for name in orphans[:_MOST_ORPHANS]:
        log(f"{shown_path(Path('records') / name)}: left out, since no manifest has a row with this run name")
    if len(orphans) > _MOST_ORPHANS:
        log(f"{len(orphans) - _MOST_ORPHANS} more records are left out, since no manifest has a row with their names")


def _count_rows(manifests: list[Path]) -> int:
    """Return the number of lines in the manifests: an estimate of their rows, for the progress bars."""
    return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in manifests)


def source_sha256(directory: Path, scenes: Path | None, options: Options) -> str:
    """Return the SHA-256 of the inputs of `build` with these arguments: its files, and options that change the dataset.

    Raises:
        InputError: there are no manifests.
    """
    settings = {**asdict(options), "overwrite": None, "workers": None}
    if options.nsoart == nsoart.SELF:  # so that datasets of versions without this option keep their hash
        del settings["nsoart"]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    manifests = manifest_paths(directory)
    for path in (*manifests, *sorted((directory / "records").glob("*.json"))):
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"\n{path.name} {hashlib.sha256(content).hexdigest()}".encode())
    try:
        files = find_scenes(directory, _scene_names(manifests), scenes)
    except InputError:
        files = SceneFiles()  # reported when the dataset is built
    for scene, connectors in sorted(files.connectors.items()):
        limits = files.tolerances[scene].stated() if scene in files.tolerances else {}
        digest.update(f"\n{scene} {connectors[0].sha256} {json.dumps(limits, sort_keys=True)}".encode())
    return digest.hexdigest()


def _scene_names(manifests: list[Path]) -> set[str]:
    """Return the names of the scenes in the manifests, even if their rows have faults."""
    names: set[str] = set()
    for path in manifests:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            # Faults are reported when the rows are read.
            rows = CsvRows(file, REQUIRED, lambda *_: None)
            names.update(cells.get("scene", "") for _, cells in rows)
    return names


def manifest_paths(directory: Path) -> list[Path]:
    """Return the paths of the manifests of a render folder, sorted by name.

    Raises:
        InputError: there are none.
    """
    folder = directory / "manifests"
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise InputError(
            f"{folder}: expected the manifests that `generator render` keeps there, got no .csv file: give a render "
            "folder"
        )
    return paths


def _extra_columns(paths: list[Path], scenes: Mapping[str, Path]) -> list[str]:
    """Return the names of the user's own columns in all manifests, from the first row of each."""
    extras: dict[str, None] = {}
    for path in paths:
        try:
            extras.update(dict.fromkeys(next(iter(stream_runs(path, scenes))).extra))
        except (InputError, StopIteration):
            continue  # reported when the rows are read
    return list(extras)


def _joined(
    paths: list[Path], scenes: Mapping[str, Path], problems: list[str], names: set[str]
) -> Iterator[tuple[Run, str]]:
    """Yield each run (manifest row) once, with the name of its first manifest; repeated rows have to be equal.

    Args:
        paths: the manifests.
        scenes: file of each scene.
        problems: list to which faults are added.
        names: set to which the name of every run is added.
    """
    # Repetitions within one manifest are found by `stream_runs`.
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
                            f"{path.name}: expected a run name that no other row has, got {run.run}, which a "
                            f"different row of {origin} has: rename one"
                        )
                    split, first, origin = splits.setdefault(run.part, (run.split, run.run, path.name))
                    if split != run.split:
                        problems.append(
                            f"{path.name}: expected all rows of part {run.part} in one split, "
                            f"got {run.split} (run {run.run}) and {split} (run {first}, {origin})"
                        )
                if run.run not in names:
                    names.add(run.run)
                    yield run, path.name
        except InputError as error:
            problems += error.problems


def log(message: str) -> None:
    """Print a message on stderr without breaking a progress bar."""
    tqdm.write(message, file=sys.stderr)
