"""`python -m studies.vit_learning`: the learning curves by which `trainer.vit` forecasts the result of a training.

    python -m studies.vit_learning --time 60 --write

The trainings use the study's datasets of a new connector: up to 504 pictures of its first design, tested at pins that
training never shows defective. The study's own trainings with these datasets (studies/results.parquet) and documented
ones with 1,514 pictures are points of the curves too. A repeated command continues, and finished trainings are not
repeated. --write puts their results into trainer/vit/learning_curves.csv and the table in docs/explanation/vit.md;
trainings in the table that this work folder has not done stay there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from studies.execution import CommandFailed, Execution
from studies.locks import Busy
from studies.page import marked
from studies.plan import NEW, all_runs
from studies.results import TABLE, Document
from studies.run import BASE_CONNECTORS, BASE_SPECS, ROOT, Data, Design, Run, Take
from studies.tables import table
from trainer.core.errors import InputError
from trainer.core.options import main_of, number
from trainer.core.run_folder import write_text
from trainer.vit import forecast
from trainer.vit.forecast import CURVES

PAGE = ROOT / "docs" / "explanation" / "vit.md"
KEYS = ["pictures", "init", "epochs", "options"]
# Smallest defect: multiple of the tolerance. Balanced accuracy: on test pictures, with its 95 % interval.
COLUMNS = [*KEYS, "seed", "picture_px", "smallest_defect", "minutes", "balanced_accuracy", "low", "high"]
_KIND = ("256x128", 0.5)
# Pictures and epochs of the trainings that begin with a base.
BEGUN = ((504, 28), (150, 60))
_TAUGHT = ("--measure-weight", "1", "--no-check")
_SEEDS = 2
Shares = tuple[float, float, float]
# Runs of docs/explanation/vit.md: pictures, epochs, options, seed, minutes; shares of right pictures at held-out pins
# (two classes NG), and of OK pictures, each with its interval, whose bounds are those of both shares.
_RUNS = (
    (1514, 30, "--batch-size 16 --ema 0.995", 0, 60.0, (0.812, 0.746, 0.877), (0.970, 0.949, 0.991)),
    (1514, 30, "--measure-weight 1", 0, 36.8, (0.833, 0.768, 0.891), (0.966, 0.94, 0.987)),
    (1514, 30, "--measure-weight 1", 1, 37.2, (0.841, 0.775, 0.899), (0.962, 0.936, 0.983)),
    (1514, 30, "--measure-weight 1", 2, 32.2, (0.862, 0.797, 0.913), (0.953, 0.923, 0.979)),
)


def _documented(
    pictures: int, epochs: int, options: str, seed: int, minutes: float, *shares: Shares
) -> tuple[object, ...]:
    """Return a documented training as a row of the curves: two classes NG, of which the first share is, and OK."""
    mean = (round((2 * at_held_out + at_ok) / 3, 3) for at_held_out, at_ok in zip(*shares, strict=True))
    return (pictures, forecast.RANDOM, epochs, options, seed, *_KIND, minutes, *mean)


DOCUMENTED = [_documented(*each) for each in _RUNS]


def datasets() -> dict[int, Data]:
    """Return the study's datasets of a new connector, by number of training pictures."""
    return {run.data.rows("train"): run.data for run in all_runs() if run.variant.startswith(NEW[0])}


def base() -> Run:
    """Return the training of a base as by `make base`, but without the connector on which it is then tested."""
    design = Design("base", BASE_SPECS, random_connectors=BASE_CONNECTORS)
    takes = ((split, (Take(design, split, without="connector_3x9"),)) for split in ("train", "validation"))
    options = ("--epochs", "20", "--image-size", "256x128", *_TAUGHT)
    return Run(5, "base without connector_3x9", 0, Data("base", tuple(takes)), "vit", options)


def plan() -> list[Run]:
    """List the trainings beyond the study's, in their order."""
    scratch = [(504, 16, 0, _TAUGHT[:2], None), (504, 28, 0, _TAUGHT, None), (150, 120, 0, _TAUGHT, None)]
    scratch += [(504, 60, seed, _TAUGHT, None) for seed in range(_SEEDS)]
    begun = [(count, epochs, seed, _TAUGHT, base()) for seed in range(_SEEDS) for count, epochs in BEGUN]
    return [
        Run(5, f"{pictures} pictures", seed, datasets()[pictures], "vit", ("--epochs", str(epochs), *more), init)
        for pictures, epochs, seed, more, init in begun + scratch
    ]


def studied() -> list[Run]:
    """List the study's trainings that are points of the curves: those with RGB pictures and augmentation."""
    left_out = {"nsoart", "image+nsoart", "--no-augment", "--patch-weight"}
    data = datasets().values()
    return [run for run in all_runs() if run.question in (3, 5) and run.data in data and not left_out & {*run.options}]


def curves(documents: Mapping[str, Document]) -> pd.DataFrame:
    """Make the table of the curves, with `COLUMNS`, from those trainings that have a result in `documents`, by key."""
    rows: list[tuple[object, ...]] = [*DOCUMENTED]
    for key in dict.fromkeys(run.key for run in (*studied(), *plan())):
        if (found := documents.get(key)) is None:
            continue
        _, epochs, *options = found["config"]["options"]  # --epochs comes first
        shown = " ".join(word for word in options if word not in ("--input", "image", "--no-check"))
        measured = found["result"]["splits"]["test"]["balanced_accuracy"]
        shares = [round(float(share), 3) for share in (measured["share"], *measured["interval"])]
        init = found["config"]["init"]
        start = forecast.RANDOM if not init else forecast.BASE if init == base().key else forecast.RUN
        what = (found["data"]["rows"]["train"], start, int(epochs), shown, found["seed"])
        rows.append((*what, *_KIND, round(found["seconds"]["training_cpu"] / 60, 1), *shares))
    return pd.DataFrame(rows, columns=COLUMNS).sort_values([*KEYS, "seed"], ignore_index=True)


def joined(new: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Add to the trainings of `new` those of `known` that it lacks (done in another work folder), in order."""
    rows = pd.concat([new, known]).drop_duplicates([*KEYS, "seed"])
    return rows.sort_values([*KEYS, "seed"], ignore_index=True)


def page_table(rows: pd.DataFrame) -> str:
    """Write the curves as a Markdown table, one row for the seeds of a training."""
    lines = []
    for (pictures, init, epochs, options), found in rows.groupby(KEYS):
        shares = ", ".join(f"{share:.3f}" for share in found.balanced_accuracy)
        more = f"`{options}`" if options else ""
        lines.append([pictures, init, epochs, more, f"{found.minutes.max():.0f}", shares])
    header = ["pictures", "first weights", "epochs", "other options", "minutes", "balanced accuracy of each seed"]
    return table(header, lines)


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = argparse.ArgumentParser(
        prog="python -m studies.vit_learning",
        description="Train ViTs on different numbers of pictures and make the learning curves of the forecasts.",
        allow_abbrev=False,
    )
    p.add_argument("--time", type=number(float, 0, 1e6), metavar="MIN", help="start no training after so many minutes")
    work = "folder of renders, datasets, runs and results, which the study can share (default: out/study)"
    p.add_argument("--work", type=Path, default=ROOT / "out" / "study", metavar="DIR", help=work)
    write = "write the curves: trainer/vit/learning_curves.csv, and the table in docs/explanation/vit.md"
    p.add_argument("--write", action="store_true", help=write)
    return p


def run(args: argparse.Namespace) -> int:
    """Do the trainings that have no result yet, and print the curves; returns the exit code."""
    execution, began = Execution(args.work, TABLE, workers=1), time.monotonic()
    for training in plan():
        if args.time is not None and time.monotonic() - began > 60 * args.time:
            break
        try:
            if not execution.is_done(training):
                execution.do(training)
        except Busy:
            print(f"{training.name}: skipped, as another process is doing this training")
        except CommandFailed as error:
            raise InputError(str(error)) from None
    rows = joined(curves(execution.results.documents()), pd.read_csv(CURVES, keep_default_na=False))
    print(page_table(rows))
    if args.write:
        write_text(CURVES, rows.to_csv(index=False, lineterminator="\n"))
        write_text(PAGE, marked(PAGE.read_text("utf-8"), "learning curves", page_table(rows)))
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
