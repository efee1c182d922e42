"""`python -m studies.vit_learning`: the learning curves by which `trainer.vit` forecasts the result of a training.

    python -m studies.vit_learning --time 60 --write

The trainings use the study's datasets of a new connector: up to 504 pictures of its first design, tested at pins that
training never shows defective. The study's own trainings with these datasets (studies/results.parquet) and a documented
one with 1,514 pictures are points of the curves too. A repeated command continues, and finished trainings are not
repeated. --write replaces trainer/vit/learning_curves.csv and the table in docs/explanation/vit.md.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from studies.execution import CommandFailed, Execution
from studies.page import marked
from studies.plan import NEW, all_runs
from studies.results import TABLE, Document
from studies.run import ROOT, Data, Run
from studies.tables import table
from trainer.core.errors import InputError
from trainer.core.options import number, run_command
from trainer.core.run_folder import write_text
from trainer.vit.forecast import CURVES

PAGE = ROOT / "docs" / "explanation" / "vit.md"
TAUGHT = ("--measure-weight", "1")
Row = dict[str, object]
# Run 1 of docs/explanation/vit.md: shares of right pictures at held-out pins (two classes NG), and of OK pictures; the
# bounds are those of both shares' intervals.
_NG, _OK = (0.812, 0.746, 0.877), (0.970, 0.949, 0.991)
_SHARES = ("balanced_accuracy", "low", "high")
DOCUMENTED: Row = {
    "pictures": 1514,
    "init": 0,
    "epochs": 30,
    "options": "--batch-size 16 --ema 0.995",
    "seed": 0,
    "minutes": 60,
    **{name: round((2 * ng + ok) / 3, 3) for name, ng, ok in zip(_SHARES, _NG, _OK, strict=True)},
}


def datasets() -> dict[int, Data]:
    """Return the study's datasets of a new connector, by number of training pictures."""
    return {run.data.rows("train"): run.data for run in all_runs() if run.variant.startswith(NEW[0])}


def plan() -> list[Run]:
    """List the trainings beyond the study's, in their order."""
    wanted = ((504, 16, TAUGHT), (150, 120, ()), (504, 40, ()))
    return [
        Run(5, f"{pictures} pictures", 0, datasets()[pictures], "vit", ("--epochs", str(epochs), *more))
        for pictures, epochs, more in wanted
    ]


def studied() -> list[Run]:
    """List the study's trainings that are points of the curves: those with RGB pictures and augmentation."""
    hidden = {"nsoart", "image+nsoart", "--no-augment", "--patch-weight"}
    data = datasets().values()
    return [run for run in all_runs() if run.question in (3, 5) and run.data in data and not hidden & {*run.options}]


def point(document: Document) -> Row:
    """Select a row of the curves from the result of a training."""
    config, measured = document["config"], document["result"]["splits"]["test"]["balanced_accuracy"]
    _, epochs, *options = config["options"]  # --epochs comes first
    shares = (measured["share"], *measured["interval"])
    return {
        "pictures": document["data"]["rows"]["train"],
        "init": int(bool(config["init"])),
        "epochs": int(epochs),
        "options": " ".join(word for word in options if word not in ("--input", "image")),
        "seed": document["seed"],
        "minutes": round(document["seconds"]["training_cpu"] / 60, 1),
        **{name: round(float(share), 3) for name, share in zip(_SHARES, shares, strict=True)},
    }


def curves(documents: Mapping[str, Document]) -> list[Row]:
    """List the rows of the curves: of the study's trainings and of `plan` those that have a result in `documents`."""
    keys = dict.fromkeys(run.key for run in (*studied(), *plan()))
    rows = [point(documents[key]) for key in keys if key in documents]
    return sorted([*rows, DOCUMENTED], key=lambda row: tuple(str(row[name]).zfill(40) for name in DOCUMENTED))


def written(rows: Iterable[Row]) -> str:
    """Write the curves as CSV."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(DOCUMENTED), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def page_table(rows: Iterable[Row]) -> str:
    """Write the curves as a Markdown table, one row for the seeds of a training."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in ("pictures", "init", "epochs", "options")), []).append(row)
    lines = []
    for (pictures, init, epochs, options), found in groups.items():
        shares = ", ".join(f"{float(str(row['balanced_accuracy'])):.3f}" for row in found)
        minutes = max(float(str(row["minutes"])) for row in found)
        begun = "other connectors" if str(init) == "1" else "random"
        lines.append([pictures, begun, epochs, f"`{options}`" if options else "", f"{minutes:.0f}", shares])
    header = [
        "pictures",
        "weights at the start",
        "epochs",
        "other options",
        "minutes",
        "balanced accuracy of each seed",
    ]
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
    workers = "number of processes that render pictures and build datasets (default: 1)"
    p.add_argument("--workers", type=number(int, 1, 1024), default=1, metavar="N", help=workers)
    write = "write the curves: trainer/vit/learning_curves.csv, and the table in docs/explanation/vit.md"
    p.add_argument("--write", action="store_true", help=write)
    return p


def run(args: argparse.Namespace) -> int:
    """Do the trainings that have no result yet, and print the curves; returns the exit code."""
    execution, began = Execution(args.work, TABLE, args.workers), time.monotonic()
    for training in plan():
        if args.time is not None and time.monotonic() - began > 60 * args.time:
            break
        if not execution.is_done(training):
            print(f"{training.name}: {' '.join(training.options)}", flush=True)
            try:
                execution.do(training)
            except CommandFailed as error:
                raise InputError(str(error)) from None
    rows = curves(execution.results.documents())
    print(page_table(rows))
    if args.write:
        write_text(CURVES, written(rows))
        PAGE.write_text(marked(PAGE.read_text("utf-8"), "learning curves", page_table(rows)), "utf-8")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    return run_command(parser(), run, argv)


if __name__ == "__main__":
    sys.exit(main())
