"""`python -m studies.reality_gap`: what runs do on stations that no training saw, and on a disturbed shop floor.

    python -m studies.reality_gap --model RUN --work DIR --write

RUN was trained on renders of scenes/connector_3x9.toml. The study renders good and defective parts on foreign stations
and on the run's own station with one change each (`studies.foreign_stations`), and judges them as the product does: by
`trainer.predict`, and by `generator inspect` with good parts of the own station. The pictures are renders, so this is a
stand-in for real photographs. Renders and verdicts stay in the work folder, and a repeated command resumes.

Two ingredients fit a run to a foreign station by 20 further good parts of it: --match measures gauges with the cameras
that `generator match` finds, --data adapts runs by `trainer.adapt`. The wide world is an ingredient of the training:
give a second RUN that was trained in it. A result belongs to the run's weights and to the width. --write puts the
tables of all verdicts in the work folder into docs/explanation/reality_gap.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from typing import Any

from blender_scripts.contract.connector import read_connector
from generator.dataset.connectors import CONNECTORS, connectors_json, nominal_connector, read_connectors
from studies.execution import CommandFailed, python
from studies.foreign_stations import (
    CAMERAS,
    FRONT,
    GOLDEN,
    HOUSING,
    OWN,
    SCENE,
    SCENES,
    TERMINAL,
    Station,
    foreign,
    manifest,
    scenarios,
    through_window,
    write_scene,
)
from studies.gap_measures import JudgedPart, Truth, judged_by_classifier, judged_by_gauge, judged_by_inspect, truths
from studies.gap_runs import INSPECTION, MeasuredRun
from studies.gap_tables import ADAPTED, AS_TRAINED, GAUGE, MATCHED, Result, silent, tables
from studies.locks import locked
from studies.page import marked
from trainer.core.errors import InputError
from trainer.core.options import main_of, number
from trainer.core.run_folder import write_text

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "reality_gap.md"
STATIONS = 5
# The file by which an adapted run is recognised.
ADAPTATION = "adaptation.json"
Command = Callable[[Sequence[str], Path], None]


class Study:
    """Renders the stations' pictures, and has runs judge them, all in a work folder.

    Args:
        work: the work folder.
        parts: number of good parts of each station; as many have a defect.
        width: width of the pictures, px.
        workers: number of renderer processes.
        threads: number of CPU threads of a network.
        blender: executable of another Blender, which renders the last foreign station; None: that of this Python.
        command: runs a Python command, see `studies.execution.python`.
    """

    def __init__(
        self,
        work: Path,
        parts: int,
        width: int,
        workers: int = 1,
        threads: int = 1,
        blender: Path | None = None,
        command: Command = python,
    ) -> None:
        self.work, self.parts, self.width = work.resolve(), parts, width
        self.workers, self.threads, self.blender = str(workers), str(threads), blender
        self.command = command
        self.nominal = read_connector(SCENES / f"{SCENE}.toml")

    def stations(self) -> list[Station]:
        """Return the own station, its scenarios, and the foreign stations."""
        return [*scenarios(), *(foreign(index, self.width) for index in range(1, STATIONS + 1))]

    def pictures(self, station: Station, photographs: bool = False) -> Path:
        """Render a station's pictures, or the photographs by which runs are fitted to it, unless they are finished.

        Returns:
            The folder with `images` and `records`.
        """
        name = f"{station.name}_photographs" if photographs else station.name
        folder = self.work / "renders" / f"{name}_{self.width}px"
        if station.window is not None:
            self._dirty(station.window, self.pictures(scenarios()[0]), folder)
            return folder
        connector = write_scene(station, self.work / "scenes")
        path = self.work / f"{name}.csv"
        path.write_text(manifest(station, connector, self.parts, self.width, photographs), "utf-8")
        words = ["-m", "generator", "render", str(path), "--out", str(folder), "--workers", self.workers]
        words += ["--scenes", str(self.work / "scenes")]
        if self.blender is not None and station.name == f"foreign_{STATIONS}":
            words += ["--engine", "blender", "--blender", str(self.blender)]
        self.command(words, self._log(f"render_{name}"))
        return folder

    def _dirty(self, window: tuple[float, Sequence[Any]], clean: Path, folder: Path) -> None:
        for picture in sorted((clean / "images").glob("*.png")):
            through_window(picture, folder / "images" / picture.name, window)
        shutil.copytree(clean / "records", folder / "records", dirs_exist_ok=True)

    def measure(self, station: Station, models: Mapping[Path, Path | None], match: bool) -> None:
        """Have `inspect` and the runs judge a station's parts, where they have not yet.

        Args:
            station: the station.
            models: the runs' folders; for each the dataset that it was trained on, to adapt it, or None.
            match: whether gauges are also measured with cameras fitted to a foreign station.
        """
        runs = {MeasuredRun.of(model): data for model, data in models.items()}
        with locked(self.work / "locks" / station.name):
            folder = self.pictures(station)
            floor_mm = float(station.values.get(("shell", "depth_mm"), self.nominal.shell.depth_mm))
            true = truths(folder / "records", self.nominal, floor_mm - self.nominal.shell.depth_mm)
            once = partial(self._once, station=station, parts=len(true))
            once(INSPECTION, AS_TRAINED, partial(self._inspected, folder, true))
            for run, data in runs.items():
                once(run, AS_TRAINED, partial(self._judged, run, AS_TRAINED, folder, true))
                if match and station.foreign and run.kind == GAUGE:
                    once(run, MATCHED, partial(self._matched, run, station, folder, true))
                if data is not None and station.foreign:
                    if run.adapts:
                        once(run, ADAPTED, partial(self._adapted, run, data, station, folder, true))
                    else:
                        print(f"{station.name}: --data of {run.name} has no effect: trainer.adapt adapts no Florence-2")

    def _once(
        self, run: MeasuredRun, step: str, judge: Callable[[], list[JudgedPart]], station: Station, parts: int
    ) -> None:
        """Write a result, unless the work folder has one of these weights, this width and this number of parts."""
        path = self.work / "results" / run.key(self.width) / step.replace(" ", "_") / f"{station.name}.json"
        if path.is_file() and len(json.loads(path.read_text("utf-8"))["parts"]) == parts:
            return
        print(f"{station.name}: judging by {run.name}, {step}", flush=True)
        about = (run.kind, run.name, step, station.name, station.title, station.foreign)
        result = Result(*about, tuple(judge()), run.weights, self.width)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(dataclasses.asdict(result)))

    def _judged(self, run: MeasuredRun, step: str, folder: Path, true: Mapping[str, Truth]) -> list[JudgedPart]:
        """The parts as `trainer.predict` judges them by a run."""
        files = [str(path) for camera in run.cameras for path in sorted((folder / "images").glob(f"*_{camera}.png"))]
        out = self.work / "predictions" / f"{run.key(self.width)}_{step.replace(' ', '_')}_{folder.name}.json"
        out.parent.mkdir(parents=True, exist_ok=True)
        words = ["-m", "trainer.predict", "--model", str(run.folder), *files, "--json", str(out)]
        words += ["--threads", self.threads]
        if run.kind == GAUGE:
            words += ["--scene", SCENE, "--housing", HOUSING, "--terminal", TERMINAL]
        self.command(words, self._log(f"predict_{folder.name}"))
        entries = json.loads(out.read_text("utf-8"))
        if run.kind == GAUGE:
            return judged_by_gauge(entries, true, self.nominal)
        return judged_by_classifier(entries, true, run.threshold())

    def _inspected(self, folder: Path, true: Mapping[str, Truth]) -> list[JudgedPart]:
        """The parts as `generator inspect` judges their pictures, by good parts of the own station."""
        unit, out = self.work / f"unit_{self.width}px.npz", self.work / "inspected" / folder.name
        files = [str(path) for path in sorted((folder / "images").glob(f"*_{FRONT}.png"))]
        golden = ["--golden", str(unit)]
        if not unit.is_file():
            golden = ["--golden", str(self.pictures(Station(GOLDEN, "")) / "images"), "--save", str(unit)]
        shutil.rmtree(out, ignore_errors=True)
        self.command(["-m", "generator", "inspect", *files, *golden, "-o", str(out)], self._log("inspect"))
        lines = (out / "verdicts.jsonl").read_text("utf-8").splitlines()
        return judged_by_inspect([json.loads(line) for line in lines], true)

    def _matched(self, run: MeasuredRun, station: Station, folder: Path, true: Mapping[str, Truth]) -> list[JudgedPart]:
        """The parts as a gauge judges them with cameras fitted to photographs of the foreign station."""
        fitted = dataclasses.replace(run, folder=self._with_cameras(run, station))
        return self._judged(fitted, MATCHED, folder, true)

    def _adapted(
        self, run: MeasuredRun, data: Path, station: Station, folder: Path, true: Mapping[str, Truth]
    ) -> list[JudgedPart]:
        """The parts as a run judges them that was adapted by photographs of the foreign station."""
        to = self.work / "adapted" / station.name / run.key(self.width)
        if not (to / ADAPTATION).is_file():
            shutil.rmtree(to, ignore_errors=True)
            photographs = to.with_name(f"{to.name}_photographs")
            photographs.mkdir(parents=True, exist_ok=True)
            images = self.pictures(station, photographs=True) / "images"
            for picture in (path for camera in run.cameras for path in images.glob(f"*_{camera}.png")):
                shutil.copy(picture, photographs)
            words = ["-m", "trainer.adapt", "--model", str(run.folder), "--data", str(data)]
            words += ["--photos", str(photographs), "--out", str(to), "--threads", self.threads]
            if run.kind == GAUGE:
                words += ["--scene", SCENE, "--housing", HOUSING, "--terminal", TERMINAL]
            self.command(words, self._log(f"adapt_{station.name}"))
        return self._judged(dataclasses.replace(run, folder=to), ADAPTED, folder, true)

    def _with_cameras(self, run: MeasuredRun, station: Station) -> Path:
        """A copy of a gauge's run whose cameras are fitted to photographs of a foreign station."""
        scenes = self.work / "matched" / station.name / f"{self.width}px"
        scenes.mkdir(parents=True, exist_ok=True)
        images = self.pictures(station, photographs=True) / "images"
        before = SCENE
        shutil.copy(SCENES / f"{SCENE}.toml", scenes)
        for camera in CAMERAS:
            after = f"matched_{camera}"
            if not (scenes / f"{after}.toml").is_file():
                files = [str(path) for path in sorted(images.glob(f"*_{camera}.png"))]
                words = ["-m", "generator", "match", *files, "--scene", before, "--scenes", str(scenes)]
                words += ["--housing", HOUSING, "--terminal", TERMINAL, "--camera", camera, "--workers", self.workers]
                self.command([*words, "-o", str(scenes / f"{after}.toml")], self._log(f"match_{station.name}"))
            before = after
        fitted = nominal_connector(read_connector(scenes / f"{before}.toml"), HOUSING, TERMINAL)
        copy = scenes / run.key(self.width)
        shutil.copytree(run.folder, copy, dirs_exist_ok=True)
        stated = [dataclasses.replace(each, cameras=fitted.cameras) for each in read_connectors(run.folder) or ()]
        (copy / CONNECTORS).write_text(connectors_json(stated), "utf-8")
        return copy

    def results(self) -> list[Result]:
        """Read all results in the work folder, in the order of stations, runs and steps."""
        order = [station.name for station in self.stations()]
        found = []
        for path in sorted((self.work / "results").glob("*/*/*.json")):
            content = json.loads(path.read_text("utf-8"))
            parts = tuple(JudgedPart(**each) for each in content.pop("parts"))
            found.append(Result(parts=parts, **content))
        steps = (AS_TRAINED, MATCHED, ADAPTED)

        def at(each: Result) -> tuple[int, int]:
            return order.index(each.station), steps.index(each.step)

        return sorted(found, key=lambda each: (each.run, each.weights, each.width, *at(each)))

    def _log(self, name: str) -> Path:
        return self.work / "logs" / f"{name}.txt"


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    names = [*(station.name for station in scenarios()), *(f"foreign_{index}" for index in range(1, STATIONS + 1))]
    p = argparse.ArgumentParser(
        prog="python -m studies.reality_gap",
        description="Judge renders of foreign stations and of a disturbed shop floor by trained runs and by inspect: a "
        "stand-in for real photographs.",
        allow_abbrev=False,
    )
    add = p.add_argument
    model = "run folder of a gauge, ViT or Florence-2; may be repeated (default: only inspect)"
    add("--model", type=Path, action="append", default=[], metavar="RUN", help=model)
    only = "measure only this station or scenario; may be repeated (default: all)"
    add("--only", action="append", default=[], choices=names, help=only)
    parts = "number of good parts of each station; as many have a defect (default: 20)"
    add("--parts", type=number(int, 3, 1000), default=20, metavar="N", help=parts)
    add("--width", type=number(int, 64, 4096), default=256, metavar="PX", help="width of the pictures (default: 256)")
    match = "also measure gauges with the cameras that `generator match` fits to a foreign station's photographs"
    add("--match", action="store_true", help=match)
    data = (
        "dataset that the RUN at the same place in the command was trained on: also measure this RUN adapted by "
        "`trainer.adapt` to each foreign station (not a Florence-2); may be repeated"
    )
    add("--data", type=Path, action="append", default=[], metavar="DATASET", help=data)
    blender = f"executable of another Blender, to render foreign_{STATIONS} (default: that of this Python)"
    add("--blender", type=Path, metavar="PATH", help=blender)
    workers = "number of renderer processes (default: 1)"
    add("--workers", type=number(int, 1, 1024), default=1, metavar="N", help=workers)
    threads = "number of CPU threads of a network (default: 1)"
    add("--threads", type=number(int, 1, 1024), default=1, metavar="N", help=threads)
    work = "folder of renders and verdicts (default: out/reality_gap)"
    add("--work", type=Path, default=ROOT / "out" / "reality_gap", metavar="DIR", help=work)
    write = "write the tables of all verdicts in the work folder into docs/explanation/reality_gap.md"
    add("--write", action="store_true", help=write)
    add("--tables", action="store_true", help="measure nothing: only print the tables of the work folder")
    return p


def run(args: argparse.Namespace) -> int:
    """Measure the stations, and print the tables and each NG part that was called OK; returns the exit code."""
    if args.data and find_spec("trainer.adapt") is None:
        raise InputError("--data: expected a version of Pinsight with trainer.adapt, got one without")
    if len(args.data) > len(args.model):
        raise InputError(f"--data: expected at most one dataset for each --model, got {len(args.data)} datasets")
    models = dict(zip_longest(args.model, args.data))
    study = Study(args.work, args.parts, args.width, args.workers, args.threads, args.blender)
    for station in study.stations():
        if args.tables or (args.only and station.name not in args.only):
            continue
        try:
            study.measure(station, models, args.match)
        except CommandFailed as error:
            raise InputError(str(error)) from None
    results = study.results()
    if not results:
        raise InputError(f"{study.work / 'results'}: expected verdicts of an earlier command, got none")
    text = tables(results, OWN)
    print(text)
    for line in silent(results):
        print(line)
    if args.write:
        PAGE.write_text(marked(PAGE.read_text("utf-8"), "reality gap", text), "utf-8")
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
