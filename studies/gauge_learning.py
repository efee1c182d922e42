"""`python -m studies.gauge_learning`: a gauge's errors by number of training pictures, epochs, seed and scene.

    python -m studies.gauge_learning --only pictures --workers 2 --write

Every gauge is measured on the test split of manifests/gauge_connector_3x9.toml. In the topic `scenes`, one gauge is
trained on four other connectors, and a second one begins with its weights and is trained on few pictures of this
connector. In the topic `base`, the first gauge is that of `make base`, trained without this connector. Renders,
datasets, runs and results stay in the work folder, and a repeated command continues. --write puts the table into
docs/explanation/gauge.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from blender_scripts.contract.connector import read_connector
from studies.datasets_made import random_scenes
from studies.execution import CommandFailed, python
from studies.gauge_rr import PAGE, ROOT
from studies.locks import locked
from studies.page import marked, rows_of
from studies.run import BASE_CONNECTORS, BASE_SPECS
from studies.tables import table
from trainer.core.errors import InputError
from trainer.core.options import main_of, number
from trainer.core.run_folder import write_text

_SPEC = ROOT / "manifests" / "gauge_connector_3x9.toml"
_MEASURED = "connector_3x9"
_OTHERS = ("header_2x8", "circular_5", "dsub_9", "wire_to_board_1x6")
_CAMERAS = ("center", "center+left+top")
_NEAR = "nominal height, up to 1.5 x limit"
# The shipped SPEC with other scenes and numbers of pictures.
_OTHER_SPEC = """schema = 1
seed = {seed}
first_part = {seed}001

[design]
kind = "inner_outer"
inner = "full"
noise = ["camera"]

[factors]
scene = "{scene}"
housing = {housings}
terminal = {terminals}
lighting = ["ring", "side", "dome"]
marking = ["none", "numbers"]
camera = ["center", "top", "left"]
fixture = 1
samples = 8

[measurement]

[splits.train]
rows = {train}

[splits.validation]
rows = {validation}
"""


@dataclass(frozen=True)
class Pictures:
    """A training's dataset: its name, its scenes, and the numbers of training and validation pictures of each scene."""

    name: str
    scenes: tuple[str, ...]
    train: int
    validation: int


@dataclass(frozen=True)
class Training:
    """A training of the study.

    Attributes:
        name: name of the run's folder.
        title: what is trained, for the table.
        topic: value of --only: `seeds`, `pictures`, `epochs`, `scenes` or `base`.
        pictures: the dataset.
        seed: the training's seed.
        options: further options of `trainer.gauge`.
        init: name of the training with whose best weights this one starts; empty: random weights.
    """

    name: str
    title: str
    topic: str
    pictures: Pictures
    seed: int = 0
    options: tuple[str, ...] = ()
    init: str = ""


ALL = Pictures("all", (_MEASURED,), 900, 180)
# Epochs of the gauge trained on other connectors, which is compared with `epochs_25`.
_SHORT = ("--epochs", "25")
_75 = ("--epochs", "75")
_FOUR, _FEW = Pictures("four", _OTHERS, 225, 45), Pictures("few", (_MEASURED,), 36, 15)
# The pictures of `make base`, which its SPECs describe, without those of this connector.
_BASE = Pictures("base", (), 0, 0)
PLAN = (
    *(Training(f"all_{seed}", f"900 pictures, 75 epochs, seed {seed}", "seeds", ALL, seed) for seed in range(3)),
    Training("pictures_90", "90 pictures, 75 epochs", "pictures", Pictures("p90", (_MEASURED,), 90, 45), options=_75),
    Training("pictures_300", "300 pictures, 75 epochs", "pictures", Pictures("p300", (_MEASURED,), 300, 90)),
    *(
        Training(f"epochs_{count}", f"900 pictures, {count} epochs", "epochs", ALL, options=("--epochs", str(count)))
        for count in (10, 25)
    ),
    Training("four", "225 pictures of each of four other connectors, 25 epochs", "scenes", _FOUR, options=_SHORT),
    Training("few", "36 pictures, 75 epochs", "scenes", _FEW, options=_75),
    Training(
        "four_few", "the four other connectors, then 36 pictures, 75 epochs", "scenes", _FEW, options=_75, init="four"
    ),
    Training("base", "the base without this connector, 20 epochs", "base", _BASE, options=("--epochs", "20")),
    *(
        Training(
            name,
            f"the base without this connector, then 36 pictures, {epochs} epochs",
            "base",
            _FEW,
            options=("--epochs", str(epochs)),
            init="base",
        )
        for name, epochs in (("base_few", 75), ("base_few_200", 200))
    ),
)


class Study:
    """Renders data sets, trains gauges on them and measures these gauges, all in a work folder.

    Args:
        work: the work folder.
        workers: number of processes that render pictures and build datasets.
        threads: number of CPU threads of a training.
    """

    def __init__(self, work: Path, workers: int, threads: int) -> None:
        self.work, self.workers, self.threads = work.resolve(), str(workers), str(threads)
        self.results = self.work / "results"

    def do(self, training: Training) -> None:
        """Train and measure a gauge, and write its result, unless it exists; raises CommandFailed if that fails."""
        result = self.results / f"{training.name}.json"
        log = self.work / "logs" / f"{training.name}.txt"
        with locked(self.work / "locks" / training.name):
            if result.is_file():
                return
            print(f"{training.name}: {training.title}; log: {log}", flush=True)
            run = self._train(training, log)
            to = self.work / "evaluations" / training.name
            words = ["-m", "trainer.evaluate", "--model", str(run), "--data", str(self._dataset(ALL, log))]
            python([*words, "--split", "test", "--threads", self.threads, "--out", str(to)], log)
            self.results.mkdir(exist_ok=True)
            minutes = pd.read_csv(run / "metrics.csv").seconds.sum() / 60
            found = json.loads((to / "evaluation.json").read_text("utf-8"))
            write_text(result, json.dumps(figures(training.title, minutes, found["splits"]["test"]), indent=1))

    def _train(self, training: Training, log: Path) -> Path:
        run = self.work / "runs" / training.name
        if (run / "summary.json").is_file():
            return run
        words = ["-m", "trainer.gauge", "--data", str(self._dataset(training.pictures, log)), "--out", str(run)]
        if (run / "state.safetensors").is_file():
            python([*words, "--resume"], log)
            return run
        shutil.rmtree(run, ignore_errors=True)  # killed before its first epoch ended
        if training.init:
            first = next(each for each in PLAN if each.name == training.init)
            words += ["--init", str(self._train(first, log))]
        python([*words, "--seed", str(training.seed), "--threads", self.threads, *training.options], log)
        return run

    def _dataset(self, pictures: Pictures, log: Path) -> Path:
        """Render and build a dataset, unless its folder exists; returns the folder."""
        folder = self.work / "datasets" / pictures.name
        with locked(self.work / "locks" / f"dataset_{pictures.name}"):
            if folder.is_dir():
                return folder
            manifest, renders = self.work / f"{pictures.name}.csv", self.work / "renders" / pictures.name
            if not manifest.is_file():
                self._design(pictures, manifest, log)
            workers = ("--workers", self.workers)
            words = ["-m", "generator", "render", str(manifest), "--out", str(renders)]
            python([*words, *self._scenes(pictures, log), *workers], log)
            python(["-m", "generator", "build", str(renders), "--to", str(folder), *workers], log)
        return folder

    def _design(self, pictures: Pictures, manifest: Path, log: Path) -> None:
        """Write the manifest of a dataset: the rows of a design for each scene."""
        rows: list[dict[str, str]] = []
        scenes = self._scenes(pictures, log)
        for path in self._specs(pictures):
            python(["-m", "generator", "design", str(path), "-o", str(path.with_suffix(".csv")), *scenes], log)
            with path.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
                rows += csv.DictReader(file)
        if pictures is _BASE:
            rows = [row for row in rows if row["scene"] != _MEASURED]
        pd.DataFrame(rows).to_csv(manifest, index=False)

    def _scenes(self, pictures: Pictures, log: Path) -> Sequence[str]:
        """Return the option --scenes of a dataset with random connectors."""
        if pictures is not _BASE:
            return ()
        return random_scenes(self.work / "scenes", BASE_CONNECTORS, python, log)

    def _specs(self, pictures: Pictures) -> list[Path]:
        """Write the SPECs of a dataset into the work folder; returns their paths."""
        folder = self.work / "specs"
        folder.mkdir(parents=True, exist_ok=True)
        if pictures is _BASE:
            texts = {Path(name).stem: (ROOT / name).read_text("utf-8") for name in BASE_SPECS}
        else:
            texts = {f"{pictures.name}_{scene}": spec(scene, pictures) for scene in pictures.scenes}
        for name, text in texts.items():
            (folder / f"{name}.toml").write_text(text, "utf-8")
        return [folder / f"{name}.toml" for name in texts]


def spec(scene: str, pictures: Pictures) -> str:
    """Return the SPEC (TOML text) of a gauge design for `scene`, with the numbers of rows that `pictures` states."""
    if scene == _MEASURED:
        text = _SPEC.read_text("utf-8")
        for split, count in (("train", pictures.train), ("validation", pictures.validation)):
            text, changed = re.subn(rf"(\[splits\.{split}\]\nrows = )\d+", rf"\g<1>{count}", text)
            if changed != 1:
                raise InputError(f"{_SPEC}: expected the key `rows` in [splits.{split}] once, got it {changed} times")
        return text
    connector = read_connector(ROOT / "scenes" / f"{scene}.toml")
    return _OTHER_SPEC.format(
        seed=5001 + _OTHERS.index(scene),
        scene=scene,
        housings=json.dumps(list(connector.housings)),
        terminals=json.dumps(list(connector.terminals)),
        train=pictures.train,
        validation=pictures.validation,
    )


def figures(title: str, minutes: float, found: Mapping[str, Any]) -> dict[str, Any]:
    """Select a row of the table from a split's entry in a gauge's evaluation.json.

    Args:
        title: what was trained.
        minutes: time of the training's epochs.
        found: the entry, by set of cameras.

    Returns:
        `title`, `minutes`. Of the pins at nominal height with a true position up to 1.5 times its limit: root mean
        square errors in mm, `center_dx`, `center_dy` from the centre view, `three_dx`, `three_dy` from three views; and
        `slope`, the slope of found over true dx from the centre view. Of all pins, from three views: `height`, root
        mean square error in mm; `within`, shares of the errors of dx, dy and height that lie within U.
    """
    center, three = (found[cameras]["groups"] for cameras in _CAMERAS)
    return {
        "title": title,
        "minutes": minutes,
        "center_dx": center[_NEAR]["rms_dx"],
        "center_dy": center[_NEAR]["rms_dy"],
        "slope": center[_NEAR]["slope_dx"],
        "three_dx": three[_NEAR]["rms_dx"],
        "three_dy": three[_NEAR]["rms_dy"],
        "height": three["all pins"]["rms_retraction"],
        "within": [three["all pins"][f"coverage_{axis}"] for axis in ("dx", "dy", "retraction")],
    }


def written(results: Sequence[Mapping[str, Any]], known: Sequence[Sequence[str]] = ()) -> str:
    """Write the table of results, Markdown, in the order of `PLAN`.

    Args:
        results: the results, from `figures`.
        known: rows of an earlier table; those of a training that has no result stay.
    """
    header = ["training", "minutes", "center: dx, dy", "slope of dx", "three views: dx, dy", "height", "within U"]
    rows = []
    for each in results:
        lengths = [
            ", ".join(f"{each[key]:.3f}" for key in keys)
            for keys in (("center_dx", "center_dy"), ("slope",), ("three_dx", "three_dy"), ("height",))
        ]
        within = ", ".join(f"{100 * share:.0f}" for share in each["within"])
        rows.append([each["title"], f"{each['minutes']:.0f}", *lengths, f"{within} %"])
    rows += [list(row) for row in known if row[0] not in {each["title"] for each in results}]
    order = {training.title: number for number, training in enumerate(PLAN)}
    return table(header, sorted(rows, key=lambda row: order.get(str(row[0]), len(order))))


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = argparse.ArgumentParser(
        prog="python -m studies.gauge_learning",
        description="Train gauges on different numbers of pictures and epochs, with several seeds, and on other "
        "connectors, and measure each on the same test pictures.",
        allow_abbrev=False,
    )
    topics = tuple(dict.fromkeys(each.topic for each in PLAN))
    only = "do only the trainings of this topic; may be repeated (default: all trainings)"
    p.add_argument("--only", action="append", default=[], choices=topics, help=only)
    p.add_argument("--time", type=number(float, 0, 1e6), metavar="MIN", help="start no training after so many minutes")
    workers = "number of processes that render pictures and build datasets (default: 1)"
    p.add_argument("--workers", type=number(int, 1, 1024), default=1, metavar="N", help=workers)
    threads = "number of CPU threads of a training (default: 2)"
    p.add_argument("--threads", type=number(int, 1, 1024), default=2, metavar="N", help=threads)
    work = "folder of renders, datasets, runs and results (default: out/gauge_learning)"
    p.add_argument("--work", type=Path, default=ROOT / "out" / "gauge_learning", metavar="DIR", help=work)
    write = "write the table into docs/explanation/gauge.md; rows of trainings without a result in the work folder stay"
    p.add_argument("--write", action="store_true", help=write)
    return p


def run(args: argparse.Namespace) -> int:
    """Do the trainings that have no result yet, and print the table of all results; returns the exit code."""
    study, began = Study(args.work, args.workers, args.threads), time.monotonic()
    for training in PLAN:
        if args.only and training.topic not in args.only:
            continue
        if args.time is not None and time.monotonic() - began > 60 * args.time:
            break
        try:
            study.do(training)
        except CommandFailed as error:
            raise InputError(str(error)) from None
    paths = [study.results / f"{training.name}.json" for training in PLAN]
    results = [json.loads(path.read_text("utf-8")) for path in paths if path.is_file()]
    if not results:
        raise InputError(f"{study.results}: expected at least one finished training, got none: use a longer --time")
    page = PAGE.read_text("utf-8")
    text = written(results, rows_of(page, "gauge learning"))
    print(text)
    if args.write:
        PAGE.write_text(marked(page, "gauge learning", text), "utf-8")
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
