"""`python -m trainer.evaluate --model RUN --data DATASET`: measure how well a trained network judges a dataset.

A ViT or Florence-2 decides between OK and NG with the threshold that its training chose on the validation split. A
gauge compares its measures with the dataset's tolerance, or with each --tolerance. `trainer.vit.evaluation`,
`trainer.florence2.evaluation` and `trainer.gauge.evaluation` describe the numbers and the files in OUT.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from trainer.core import settings
from trainer.core.errors import InputError
from trainer.core.options import add_device, device_of, main_of, number, parser_with_example
from trainer.core.run_folder import check_place
from trainer.florence2.run import DRAWN_TEXTS
from trainer.run_kinds import RunKind, run_kind

OUT, BATCH = "evaluation", 16
DIGITS_HELP = (
    "Florence-2 only: measure again with texts drawn on the pictures, as long as without; may be repeated. overlaid: "
    "the cavity's number above each pin; edges: texts along the picture's edges; varied: as --digits varied trains"
)
EXAMPLE = """example:
  python -m trainer.evaluate --model out/run --data out/dataset --split test --out out/evaluation
  python -m trainer.evaluate --model out/gauge --data out/dataset --tolerance true_position_mm=0.5 \\
      --tolerance true_position_mm=1.2

exit codes: 0 done, whatever the numbers; 2 the run or the dataset cannot be used; 1 anything else"""


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = parser_with_example(
        "evaluate",
        "Measure how well a trained network judges a dataset. A ViT or Florence-2 decides between OK and "
        "NG with the threshold that its training chose on the validation split, a gauge by a tolerance.",
        EXAMPLE,
    )
    p.add_argument("--model", type=Path, required=True, metavar="RUN", help="run folder of a ViT, Florence-2 or gauge")
    p.add_argument("--data", type=Path, required=True, metavar="DATASET", help="folder of the dataset")
    p.add_argument("--out", type=Path, metavar="OUT", help="folder for the results (default: RUN/evaluation)")
    p.add_argument(
        "--split", action="append", metavar="NAME", help="split to measure; may be repeated (default: all but train)"
    )
    p.add_argument(
        "--rows",
        choices=settings.ROWS,
        help="ViT only: rows to measure. all: all rows; observable: without pictures that show nothing, or none of "
        "their defects; clear: in addition without pictures that have a measure in the grey zone, close to its limit "
        "(default: observable)",
    )
    p.add_argument(
        "--max-escape",
        type=number(float, 0, 0.5, True),
        metavar="RATE",
        help="ViT and Florence-2 only: choose a new escape threshold, below which a part is OK, for this accepted "
        "share of NG parts that are judged OK, and save it in RUN with whether validation shows that the share holds; "
        "needs the dataset of the training "
        "(default: the threshold in RUN)",
    )
    p.add_argument("--digits", action="append", choices=DRAWN_TEXTS, help=DIGITS_HELP)
    p.add_argument(
        "--tolerance",
        action="append",
        metavar="LIMITS",
        help="gauges only: limits in mm that replace the dataset's, such as true_position_mm=0.5,retraction_mm=0.4. If "
        "repeated, parts are judged by each set of limits separately (default: the dataset's)",
    )
    p.add_argument(
        "--beside",
        type=Path,
        metavar="OUT",
        help="gauges only: results folder of this command for a ViT on the same dataset, such as runs/VIT/evaluation, "
        "whose verdicts are compared with the gauge's",
    )
    p.add_argument(
        "--batch-size",
        type=number(int, 1, 65_536),
        help="ViT and Florence-2 only: pictures (of a ViT with --views: parts) per batch (default: 16)",
    )
    p.add_argument("--threads", type=number(int, 1, 1024), help="number of CPU threads (default: number of cores)")
    add_device(p)
    return p


def _of_florence2(args: argparse.Namespace, splits: tuple[str, ...], out: Path) -> None:
    if args.rows:
        raise InputError(f"--rows applies to ViT runs only; {args.model} is the run of a Florence-2")
    _refuse_options_of_gauges(args)
    # Imported here: each kind of run needs its own modules only.
    from trainer.florence2.evaluation import evaluate

    device = device_of(args.device)
    evaluate(
        args.model,
        args.data,
        out,
        splits,
        args.batch_size or BATCH,
        device,
        own_folder=args.out is None,
        max_escape=args.max_escape or 0.0,
        texts=tuple(dict.fromkeys(args.digits or ())),
    )


def _of_vit(args: argparse.Namespace, splits: tuple[str, ...], out: Path) -> None:
    from trainer.vit import run_page
    from trainer.vit.evaluation import ROWS, Asked, evaluate

    _refuse_options_of_gauges(args)
    rows, batch = args.rows or ROWS, args.batch_size or BATCH
    asked = Asked(args.model, args.data, device_of(args.device), splits, rows, batch, args.max_escape or 0.0)
    evaluate(asked, out, own_folder=args.out is None)
    run_page.refresh(args.model, out, OUT)


def _of_gauge(args: argparse.Namespace, splits: tuple[str, ...], out: Path) -> None:
    from trainer.gauge.evaluation import Asked, evaluate

    for option in ("rows", "max_escape", "batch_size"):
        if getattr(args, option) is not None:
            name = f"--{option.replace('_', '-')}"
            kinds = "ViT" if option == "rows" else "ViT and Florence-2"
            raise InputError(f"{name} applies to {kinds} runs only; {args.model} is the run of a gauge")
    evaluate(
        Asked(args.model, args.data, device_of(args.device), splits, _tolerances(args.tolerance), args.beside),
        out,
        own_folder=args.out is None,
    )


def _refuse_options_of_gauges(args: argparse.Namespace) -> None:
    if args.tolerance:
        raise InputError(
            f"--tolerance applies to gauges only; {args.model} is no gauge, and has learned labels of one tolerance"
        )
    if args.beside:
        raise InputError(f"--beside applies to gauges only; {args.model} is no gauge")


def _tolerances(texts: Sequence[str] | None) -> dict[str, dict[str, float]]:
    """Parse each --tolerance; the text itself is its label."""
    from blender_scripts.contract.tolerance import parse_tolerance

    found = {}
    for text in texts or ():
        try:
            found[text.replace(" ", "")] = parse_tolerance(text)
        except ValueError as error:
            raise InputError(f"--tolerance: {error}") from None
    return found


def run(args: argparse.Namespace) -> int:
    """Measure the run on the dataset as the options say; returns the exit code."""
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    out = args.out or args.model / OUT
    check_place(out, args.data if args.out else None)
    splits = tuple(dict.fromkeys(args.split or ()))
    kind = run_kind(args.model)
    if args.digits and kind is not RunKind.FLORENCE2:
        raise InputError(f"--digits applies to Florence-2 runs only; {args.model} is the run of another network")
    if kind is RunKind.FLORENCE2:
        _of_florence2(args, splits, out)
    elif kind is RunKind.GAUGE:
        _of_gauge(args, splits, out)
    else:
        _of_vit(args, splits, out)
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
