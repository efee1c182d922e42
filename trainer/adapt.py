"""`python -m trainer.adapt --model RUN --data DATASET --photos FOLDER --out NEWRUN`: adapt a run to a station.

Photographs of good parts are enough. `trainer.gauge.adapting` and `trainer.vit.adapting` describe what is fitted,
`trainer.core.adaptation` what makes the result a run of its own.
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

from generator.io.given_once import GivenOnce
from trainer.core import adaptation, adaptation_page
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.options import main_of, number, parser_with_example
from trainer.core.picture_transform import KINDS
from trainer.core.prediction import find_pictures
from trainer.core.run_folder import check_place
from trainer.run_kinds import RunKind, run_kind

EXAMPLE = """example:
  python -m trainer.adapt --model runs/gauge --data datasets/gauge --photos photos --out runs/gauge_line3

exit codes: 0 done; 2 the run, the dataset, the photographs or an option is wrong; 1 anything else"""
PART = ("scene", "housing", "terminal", "camera")


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = parser_with_example(
        "adapt",
        "Adapt a ViT or gauge, trained on renders, to a station by photographs of good parts. The result "
        "is a new run with a hash of its own; what was shown or released for RUN does not hold for it.",
        EXAMPLE,
    )
    p.add_argument("--model", type=Path, required=True, metavar="RUN", help="run folder of a ViT or gauge")
    p.add_argument("--data", type=Path, required=True, metavar="DATASET", help="dataset that RUN was trained on")
    p.add_argument(
        "--photos",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="photographs of at least 8 good parts, named as for trainer.predict, by every camera of NEWRUN",
    )
    p.add_argument("--out", type=Path, required=True, metavar="NEWRUN", help="new folder for the adapted run")
    p.add_argument(
        "--change",
        choices=("auto", *KINDS),
        default="auto",
        help="change of the pictures. smooth: a blur against noise; gain: also exposure and white balance; tone: also "
        "a curve for each colour; fda: also the amplitudes of low frequencies; auto: the simplest that clearly helps, "
        "or none (default: auto)",
    )
    for name in PART:
        of_part = (
            "view of photographs whose names state none"
            if name == "camera"
            else f"{name} of the part, if RUN knows several"
        )
        p.add_argument(f"--{name}", metavar="VIEW" if name == "camera" else "NAME", help=f"gauges only: {of_part}")
    p.add_argument(
        "--judge",
        action=GivenOnce,
        metavar="NAMES",
        help="gauges only: characteristics by which the good parts are judged: see trainer.predict",
    )
    p.add_argument(
        "--scatter",
        type=number(float, 0, 1),
        metavar="MM",
        help="gauges only: standard deviation of the tips of good pins in production, along each axis (default: 0: all "
        "that is measured of good pins counts as error, and U becomes larger)",
    )
    p.add_argument(
        "--reference",
        type=Path,
        metavar="FILE.csv",
        help="gauges only: measures of at least 8 parts in FOLDER, bent ones among them, by a reference: columns part, "
        "address, dx_mm, dy_mm and, if known, height_mm and present (no: the pin is missing, and left out). They "
        "correct the slope and may make U smaller; FOLDER's other parts count as good",
    )
    p.add_argument("--threads", type=number(int, 1, 1024), help="number of CPU threads (default: number of cores)")
    return p


def _of_gauge(args: argparse.Namespace, photos: list[Path], kinds: tuple[str, ...]) -> dict[str, Any]:
    from trainer.gauge import adapting
    from trainer.gauge.prediction import Options, parse_judge

    part = {name: getattr(args, name) for name in PART}
    options = Options(**part, judged=parse_judge(args.judge))
    return adapting.adapt(
        adapting.GaugeAdaptationOptions(
            args.model, args.data, photos, args.out, kinds, options, args.scatter or 0.0, args.reference
        )
    )


def _of_vit(args: argparse.Namespace, photos: list[Path], kinds: tuple[str, ...]) -> dict[str, Any]:
    from trainer.vit import adapting

    given = [f"--{name}" for name in (*PART, "judge", "scatter", "reference") if getattr(args, name) is not None]
    if given:
        raise InputError(f"{', '.join(given)}: expected for gauges only, got the run of a ViT, {args.model}")
    return adapting.adapt(adaptation.AdaptationOptions(args.model, args.data, photos, args.out, kinds))


def run(args: argparse.Namespace) -> int:
    """Make the adapted run as the options say; returns the exit code."""
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    kind = run_kind(args.model)
    if kind is RunKind.FLORENCE2:
        raise InputError(f"--model {args.model}: expected the run of a ViT or gauge, got a run of Florence-2")
    check_place(args.out, args.data)
    if args.out.is_dir() and any(args.out.iterdir()):
        raise InputError(f"--out {args.out}: expected a new or empty folder, got one with files")
    photos = find_pictures([args.photos])
    kinds = KINDS if args.change == "auto" else (args.change,)
    is_new = not args.out.is_dir()
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        document = (_of_gauge if kind is RunKind.GAUGE else _of_vit)(args, photos, kinds)
    except BaseException:
        if is_new:
            shutil.rmtree(args.out, ignore_errors=True)
        raise
    say(adaptation_page.said(document))
    say(f"report: {adaptation_page.write_page(args.out)}")
    say(f"{args.out}: a run of its own; escapes are not shown on this station")
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
