"""Read a manifest, one row per picture, and check it completely before anything is rendered.

All mistakes are reported together, each as ``file.csv:LINE column: expected …, got …``.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from blender_scripts.contract.connector import SCENE_NAME, Connector, read_connector
from blender_scripts.contract.csv_file import CsvRows
from blender_scripts.contract.errors import InputError, shown
from blender_scripts.contract.station import CAMERAS, lens_folds
from blender_scripts.contract.text_file import read_text
from blender_scripts.contract.world import SCENE, WORLDS
from blender_scripts.geometry.clearance import collisions
from blender_scripts.manifest.defects import parse_defects
from blender_scripts.manifest.make_part import make_part
from blender_scripts.manifest.marking import too_wide, wrong_marking
from blender_scripts.manifest.offered import not_offered
from blender_scripts.manifest.repeats import Repeats
from blender_scripts.manifest.run import OPTIONAL, REQUIRED, RESERVED, Manifest, Run, housings_by_scene, input_sha256

__all__ = ["OPTIONAL", "REQUIRED", "RESERVED", "Manifest", "Run", "ValidatedManifest"]
__all__ += ["conflicts", "read_manifest", "read_validated", "run_names", "stream_manifest", "stream_runs"]

_RUN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SPLIT = re.compile(r"train|validation|test|test_[A-Za-z0-9_]+")
_COUNT, _LARGEST_SEED = re.compile(r"[0-9]{1,19}"), 2**63 - 1
_KNOWN = (*REQUIRED, *OPTIONAL)


def _refused(name: str) -> str | None:
    """What is expected of a column's name, if it is not allowed; else None."""
    if not name.isprintable() or len(name) > 64:
        return "a column name of 1 to 64 printable characters"
    return "another name, as datasets have a column of this name" if name in RESERVED else None


def read_manifest(path: Path, scenes: Path) -> Manifest:
    """Read a manifest and check every row against the scene file that it names.

    Args:
        path: the CSV file.
        scenes: folder of the scene files.

    Raises:
        InputError: with every mistake of the manifest and of its scene files.
    """
    return _Reader(path, scenes).read()


def stream_runs(path: Path, scenes: Path | Mapping[str, Path]) -> Iterator[Run]:
    """Yield the valid rows of a manifest one by one, in memory that hardly grows with their number.

    It is for rows that have been rendered, as it does not check whether the geometry allows their defects.

    Args:
        path: the CSV file.
        scenes: folder of the scene files, or the path of each scene file by name of the scene.

    Raises:
        InputError: before the first run, if file or header cannot be read; else after the last, with every mistake.
    """
    return _Reader(path, scenes, geometry=False).stream()


def stream_manifest(path: Path, scenes: Path) -> Manifest:
    """Read and check a manifest as `read_manifest` does, without keeping its rows in memory.

    The manifest's `runs` reads them from the file again whenever it is iterated over; its `content` is empty.

    Args:
        path: the CSV file.
        scenes: folder of the scene files.

    Raises:
        InputError: with every mistake of the manifest and of its scene files.
    """
    reader = _Reader(path, scenes)
    count = sum(1 for _ in reader.stream())
    return Manifest(path, StreamedRuns(path, scenes, count), reader.scenes_used(), b"")


def read_validated(path: Path, scenes: Path, sha256: str) -> ValidatedManifest:
    """Read a manifest that `read_manifest` has checked in another process; a row is parsed only when it is used.

    Args:
        path: the CSV file.
        scenes: folder of the scene files.
        sha256: `Manifest.checked_sha256` in that process.

    Raises:
        InputError: the manifest, or a file of its scenes, has changed since that check.
    """
    return _Reader(path, scenes, geometry=False).validated(sha256)


def conflicts(path: Path, scenes: Path, runs: Iterable[Run]) -> list[str]:
    """Return the names of the runs (rows) that two manifests both have, but with different settings.

    Args:
        path: the second manifest; rows that are not among `runs` may use scenes that are not in `scenes`.
        scenes: folder of the scene files of `runs`.
        runs: runs of the first manifest.

    Raises:
        InputError: the file is unreadable, or its header lacks columns.
    """
    return _Reader(path, scenes, geometry=False).conflicts(runs)


def run_names(path: Path) -> Iterator[str]:
    """Yield the run names of a manifest; other columns are not checked.

    Args:
        path: the CSV file.

    Raises:
        InputError: when the first name is read, if the file is unreadable or its header lacks columns.
    """
    return _Reader(path, path.parent, geometry=False).names()


@dataclass(frozen=True)
class ValidatedManifest:
    """A manifest that was checked in another process.

    Attributes:
        connectors: its scenes, by name.
        housings: names of the housings that its rows use, by scene.
        runs: its rows in order; each is parsed when it is used.
    """

    connectors: dict[str, Connector]
    housings: dict[str, set[str]]
    runs: _RunsOnDemand


class StreamedRuns(Sequence[Run]):
    """Rows of a checked manifest, read from its file each time that they are iterated over.

    Args:
        path: the CSV file.
        scenes: folder of the scene files.
        count: number of rows.
    """

    def __init__(self, path: Path, scenes: Path, count: int) -> None:
        self._path, self._scenes, self._count = path, scenes, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Run]:
        return _Reader(self._path, self._scenes, geometry=False, unique=False).stream()

    def __getitem__(self, number: Any) -> Any:
        return next(islice(self, range(self._count)[number], None))


class _RunsOnDemand:
    """Rows of a manifest, each parsed when it is used; until then, its cells are one text with NUL between them."""

    def __init__(self, reader: _Reader) -> None:
        self._reader, self._names = reader, tuple[str, ...]()
        self._rows: list[tuple[int, str]] = []

    def append(self, line: int, cells: dict[str, str]) -> None:
        self._names = tuple(cells)
        self._rows.append((line, "\0".join(cells.values())))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> Run:
        line, text = self._rows[number]
        run = self._reader.run(line, dict(zip(self._names, text.split("\0"), strict=True)))
        assert run is not None, self._reader.problems
        return run


class _Reader:
    """Reads one manifest and collects its mistakes.

    Args:
        geometry: also check that no defect touches something else.
        unique: also check that no run name is repeated, and each part stands in one split.
    """

    def __init__(self, path: Path, scenes: Path | Mapping[str, Path], geometry: bool = True, unique: bool = True):
        self.path = path
        self.scenes = scenes
        self.geometry = geometry
        self.problems: list[tuple[int, str]] = []
        self.connectors: dict[str, Connector | None] = {}
        self.repeats = Repeats(_RUN.fullmatch, _COUNT.fullmatch, _SPLIT.fullmatch) if unique else None
        # The last part whose geometry was checked, with its messages: the views of a part follow each other.
        self.checked: tuple[object, Sequence[str]] = (None, ())

    def wrong(self, line: int, column: str, expected: str, got: str) -> None:
        """Note a mistake in a line and column of the manifest: what was expected and what was found."""
        self.problems.append((line, f"{self.path.name}:{line} {column}: expected {expected}, got {got}"))

    def read(self) -> Manifest:
        """Read the manifest and check every row."""
        content, text = self._text()
        runs = tuple(self._runs(io.StringIO(text, newline="")))
        return Manifest(self.path, runs, self.scenes_used(), content)

    def validated(self, sha256: str) -> ValidatedManifest:
        """Read a manifest that another process has checked; raises InputError if a file has changed since.

        `sha256` is the hash of the manifest and its scene files when they were checked.
        """
        content, text = self._text()
        rows, housings = _RunsOnDemand(self), set[tuple[str, str]]()
        for line, cells in self._rows(io.StringIO(text, newline="")):
            self._connector(line, cells["scene"])
            housings.add((cells["scene"], cells["housing"]))
            rows.append(line, cells)
        used = self.scenes_used()
        if self.problems or input_sha256(content, used) != sha256:
            raise InputError(
                f"{self.path.name}: expected manifest and scene files unchanged since they were checked, got changed "
                "files: repeat the command"
            )
        return ValidatedManifest(used, housings_by_scene(housings), rows)

    def scenes_used(self) -> dict[str, Connector]:
        """The scenes of the rows that were read, by name."""
        return {name: connector for name, connector in self.connectors.items() if connector is not None}

    def stream(self) -> Iterator[Run]:
        """Yield the runs (checked rows) one by one; after the last, raises InputError with all mistakes."""
        self._check_text()
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            yield from self._runs(file)

    def conflicts(self, runs: Iterable[Run]) -> list[str]:
        """Return the names of those of `runs` that this manifest has with other settings."""
        _, text = self._text()
        by_name = {run.run: run for run in runs}
        return [
            run.run
            for line, cells in self._rows(io.StringIO(text, newline=""))
            if (run := by_name.get(cells["run"])) and (cells["scene"] != run.scene or self.run(line, cells) != run)
        ]

    def names(self) -> Iterator[str]:
        """Yield the run names; other columns are not checked."""
        self._check_text()
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            for _, cells in self._rows(file):
                yield cells["run"]

    def _runs(self, file: TextIO) -> Iterator[Run]:
        """Every valid run; after the last one, raises InputError if any row was wrong."""
        empty = True
        for line, cells in self._rows(file):
            empty = False
            run = self.run(line, cells)
            if self.repeats is not None:
                self.repeats.add(cells)
            if run is not None:
                yield run
        if self.repeats is not None and self.repeats.found():
            file.seek(0)
            for problem in self.repeats.problems(CsvRows(file, _KNOWN, lambda *_: None, REQUIRED, refused=_refused)):
                self.wrong(*problem)
        if empty and not self.problems:
            self.wrong(2, "file", "at least one row below the header", "nothing")
        if self.problems:
            raise InputError([message for _, message in sorted(self.problems, key=lambda problem: problem[0])])

    def _text(self) -> tuple[bytes, str]:
        content, text = read_text(self.path, self.path.name, "CSV file", "UTF-8 text (save as 'CSV UTF-8')")
        if "\0" in text:
            self.wrong(text[: text.index("\0")].count("\n") + 1, "file", "text", "a NUL byte")
            raise InputError(self.problems[0][1])
        return content, text

    def _check_text(self) -> None:
        """Check the file as `_text` does, without keeping it in memory."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        try:
            with self.path.open("rb") as file:
                blocks = iter(lambda: file.read(1 << 20), b"")
                is_text = not any("\0" in decoder.decode(block) for block in blocks)
                decoder.decode(b"", final=True)
        except (OSError, UnicodeDecodeError):
            is_text = False
        if not is_text:
            self._text()

    def _rows(self, file: TextIO) -> Iterator[tuple[int, dict[str, str]]]:
        """Each row as its first line's number and its cells by column.

        Raises:
            InputError: the header lacks required columns.
        """
        rows = CsvRows(file, _KNOWN, self.wrong, REQUIRED, refused=_refused)
        if not rows.is_sound:
            raise InputError([message for _, message in self.problems])
        yield from rows

    def run(self, line: int, cells: dict[str, str]) -> Run | None:
        """Parse a row's cells, by column; None if a cell is wrong, with a message added to `problems`."""
        before, world = len(self.problems), cells.get("world") or SCENE
        for column, good, expected in (
            ("run", _RUN.fullmatch(cells["run"]), "1 to 64 letters, digits, _ or -"),
            ("split", _SPLIT.fullmatch(cells["split"]), "train, validation, test or test_NAME"),
            ("camera", cells["camera"] in CAMERAS, "one of " + ", ".join(CAMERAS)),
            ("world", world in WORLDS, f"one of {', '.join(WORLDS)} (a column of your own needs another name)"),
        ):
            if not good:
                self.wrong(line, column, expected, shown(cells[column]))
        seed = self._count(line, cells, "seed", 0, _LARGEST_SEED)
        part, fixture = (self._count(line, cells, name, 0, _LARGEST_SEED, default=seed) for name in ("part", "fixture"))
        if found := wrong_marking(cells["marking"]):
            self.wrong(line, "marking", *found)
        defects, wrong = parse_defects(cells["defects"])
        self.problems += [(line, f"{self.path.name}:{line} defects: {message}") for message in wrong]
        connector = self._connector(line, cells["scene"])
        if connector is None:
            return None
        for problem in not_offered(cells, defects, connector):
            self.wrong(line, *problem)
        width = self._count(line, cells, "width", 32, 4096, default=connector.width)
        height = self._count(line, cells, "height", 32, 4096, default=connector.height)
        samples = self._count(line, cells, "samples", 1, 4096, default=connector.samples)
        if len(self.problems) > before:
            return None
        if lens_folds(connector.cameras[cells["camera"]], width, height):
            expected = f"a size at which camera {cells['camera']}, with its distortion, gives each pixel one direction"
            self.wrong(line, "width", expected, f"{width} x {height}")
            return None
        run = Run(
            run=cells["run"],
            split=cells["split"],
            part=part,
            seed=seed,
            fixture=fixture,
            scene=cells["scene"],
            housing=cells["housing"],
            terminal=cells["terminal"],
            defects=defects,
            camera=cells["camera"],
            lighting=cells["lighting"],
            marking=cells["marking"],
            width=width,
            height=height,
            samples=samples,
            extra={name: value for name, value in cells.items() if name not in _KNOWN},
            world=world,
        )
        self._check_geometry(line, run, connector)
        return run

    def _count(
        self, line: int, cells: dict[str, str], column: str, low: int, high: int, default: int | None = None
    ) -> int:
        text = cells.get(column, "")
        if text == "" and default is not None:
            return default
        if not (_COUNT.fullmatch(text) and low <= int(text) <= high):
            own = ", the seed of the placement (a column of your own needs another name)" if column == "fixture" else ""
            expected = f"an integer from {low} to {high}{own}"
            self.wrong(line, column, expected, shown(text) if text else "nothing")
            return low
        return int(text)

    def _connector(self, line: int, name: str) -> Connector | None:
        if name in self.connectors:
            return self.connectors[name]
        self.connectors[name] = None
        if not SCENE_NAME.fullmatch(name):
            expected = "the name of a scene file without .toml: letters, digits, _ or -"
            self.wrong(line, "scene", expected, shown(name))
            return None
        files = self.scenes
        path = files / f"{name}.toml" if isinstance(files, Path) else files.get(name)
        if path is None or not path.is_file():
            offered = sorted([p.stem for p in files.glob("*.toml")] if isinstance(files, Path) else files)
            names = ", ".join(offered) or "the scenes in the --scenes folder, which has none"
            near = (self.path.parent, self.path.parent / "scenes", Path("scenes"))
            folder = next((each for each in near if (each / f"{name}.toml").is_file()), None)
            hint = f" (for {folder / f'{name}.toml'}, give --scenes {folder})" if folder else ""
            self.wrong(line, "scene", f"one of {names}", f"{shown(name)}{hint}")
            return None
        try:
            self.connectors[name] = read_connector(path)
        except InputError as error:
            self.problems += [(line, problem) for problem in error.problems]
        return self.connectors[name]

    def _check_geometry(self, line: int, run: Run, connector: Connector) -> None:
        if found := too_wide(run.marking, connector):
            self.wrong(line, "marking", *found)
        if not run.defects or not self.geometry:
            return
        if (look := (run.scene, run.housing, run.terminal, run.marking, run.part, run.defects)) != self.checked[0]:
            try:
                part = make_part(connector, run.housing, run.terminal, run.marking, run.part, run.defects)
                self.checked = look, collisions(connector, run.housing, part.pins)
            except InputError as error:
                self.checked = look, error.problems
        self.problems += [(line, f"{self.path.name}:{line} defects: {message}") for message in self.checked[1]]
