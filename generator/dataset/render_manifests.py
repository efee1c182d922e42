"""Read the manifests of a render folder: their rows in chunks, the scenes and columns that they name, orphans.

Of the rows that have been read only a 64-bit hash of each run name stays in memory, so that a million rows fit.
"""

from __future__ import annotations

import hashlib
import os
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from blender_scripts.contract.csv_file import CsvRows
from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.reader import REQUIRED, Run, run_names, stream_runs
from blender_scripts.manifest.repeats import short_hash
from generator.dataset.folder import BATCH_ROWS
from generator.dataset.render_check import shown_path
from generator.dataset.render_folder import Chunk, record_number

_MOST_ORPHANS = 10


def manifest_paths(directory: Path) -> list[Path]:
    """Return the paths of the manifests of a render folder, sorted by name.

    Raises:
        InputError: there are none, or `directory` is not a folder.
    """
    if not directory.is_dir():
        got = "a file" if directory.exists() else "no such folder"
        raise InputError(f"{directory}: expected a render folder, got {got}")
    folder = directory / "manifests"
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise InputError(
            f"{folder}: expected the manifests that `generator render` keeps there, got no .csv file: give a render "
            "folder"
        )
    return paths


def scene_names(manifests: list[Path]) -> set[str]:
    """Return the names of the scenes in the manifests, even if their rows have faults."""
    names: set[str] = set()
    for path in manifests:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            # Faults are reported when the rows are read.
            rows = CsvRows(file, REQUIRED, lambda *_: None)
            names.update(cells.get("scene", "") for _, cells in rows)
    return names


def extra_columns(paths: list[Path], scenes: Mapping[str, Path]) -> list[str]:
    """Return the names of the user's own columns in all manifests, from the first row of each."""
    extras: dict[str, None] = {}
    for path in paths:
        try:
            extras.update(dict.fromkeys(next(iter(stream_runs(path, scenes))).extra))
        except (InputError, StopIteration):
            continue  # reported when the rows are read
    return list(extras)


def count_rows(manifests: list[Path]) -> int:
    """Return the number of lines in the manifests: an estimate of their rows, for the progress bars."""
    return sum(max(0, _count_lines(path) - 1) for path in manifests)


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


class RenderManifests:
    """Reads the rows of a render folder's manifests.

    Attributes:
        unread: one message per fault of a manifest; complete when all chunks have been read.
        count: number of chunks that have been read.

    Args:
        paths: the manifests.
        scenes: file of each scene, by name of the scene.
    """

    def __init__(self, paths: list[Path], scenes: Mapping[str, Path]) -> None:
        self._paths, self._scenes = paths, scenes
        self.unread: list[str] = []
        self.count = 0
        self._names = array("q")  # hashes of the run names

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows in chunks of at most BATCH_ROWS (64) rows of one split, in the order of the manifests."""
        waiting: dict[str, tuple[list[Run], list[str]]] = {}
        numbers: Counter[str] = Counter()
        for run, manifest in self._joined():
            self._names.append(short_hash(run.run))
            runs, names = waiting.setdefault(run.split, ([], []))
            runs.append(run)
            names.append(manifest)
            if len(runs) == BATCH_ROWS:
                self.count += 1
                yield Chunk(run.split, numbers[run.split], tuple(runs), tuple(names))
                numbers[run.split] += 1
                del waiting[run.split]
        for split, (runs, names) in waiting.items():
            self.count += 1
            yield Chunk(split, numbers[split], tuple(runs), tuple(names))

    def _joined(self) -> Iterator[tuple[Run, str]]:
        """Yield each run (manifest row) once, with the name of its first manifest; repeated rows have to be equal."""
        # Repetitions within one manifest are found by `stream_runs`.
        several = len(self._paths) > 1
        rows: dict[str, tuple[bytes, str]] = {}
        splits: dict[int, tuple[str, str, str]] = {}
        for path in self._paths:
            try:
                for run in stream_runs(path, self._scenes):
                    if not several:
                        yield run, path.name
                        continue
                    digest, is_new = hashlib.sha256(repr(run).encode()).digest(), run.run not in rows
                    known, origin = rows.setdefault(run.run, (digest, path.name))
                    if known != digest:
                        self.unread.append(
                            f"{path.name}: expected a run name that no other row has, got {run.run}, which a "
                            f"different row of {origin} has: rename one"
                        )
                    split, first, origin = splits.setdefault(run.part, (run.split, run.run, path.name))
                    if split != run.split:
                        self.unread.append(
                            f"{path.name}: expected all rows of part {run.part} in one split, "
                            f"got {run.split} (run {run.run}) and {split} (run {first}, {origin})"
                        )
                    if is_new:
                        yield run, path.name
            except InputError as error:
                self.unread += error.problems

    def report_orphans(self, records: Path) -> None:
        """Print which records in the folder `records` no manifest row names; nothing if some rows could not be read."""
        if self.unread:
            return  # records of rows that were not read are no orphans
        there = array("q", (short_hash(name) for name in _record_names(records)))
        lonely = set(np.setdiff1d(np.frombuffer(there, np.int64), np.frombuffer(self._names, np.int64)).tolist())
        orphans = sorted(name for name in _record_names(records) if short_hash(name) in lonely) if lonely else []
        for name in orphans[:_MOST_ORPHANS]:
            path = shown_path(Path("records") / f"{name}.json")
            log(f"{path}: left out, since no manifest has a row with this run name")
        if len(orphans) > _MOST_ORPHANS:
            more = len(orphans) - _MOST_ORPHANS
            log(f"{more} more records are left out, since no manifest has a row with their names")


def records_number(directory: Path, manifests: list[Path]) -> int:
    """Return a number that changes if a record of the manifests' rows does: the sum of `record_number` over them."""
    names: Iterable[str] = (name for path in manifests for name in run_names(path))
    if len(manifests) > 1:
        names = dict.fromkeys(names)
    total = 0
    for name in names:
        try:
            total += record_number(name, (directory / "records" / f"{name}.json").read_bytes())
        except OSError:
            continue  # not rendered
    return total


def _record_names(records: Path) -> Iterator[str]:
    """Yield the names of a folder's JSON files, without suffix."""
    if records.is_dir():
        with os.scandir(records) as entries:
            yield from (entry.name.removesuffix(".json") for entry in entries if entry.name.endswith(".json"))


def log(message: str) -> None:
    """Print a message on stderr without breaking a progress bar."""
    tqdm.write(message, file=sys.stderr)
