"""`python -m trainer.evaluate --model RUN --data DATASET`: measure how well a trained network judges a dataset.

With `--photos FOLDER --reference FILE` in place of `--data`, a gauge's measures and verdicts are compared with those of
a reference that measured the photographed parts: see `trainer.gauge.against_reference`.

A ViT or Florence-2 decides between OK and NG with the threshold that its training chose on the validation split. A
gauge compares its measures with the dataset's tolerance, or with each --tolerance. `trainer.vit.evaluation`,
`trainer.florence2.evaluation` and `trainer.gauge.evaluation` describe the numbers and the files in OUT.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from generator.io.given_once import GivenOnce
from trainer.core import settings
from trainer.core.errors import InputError
from trainer.core.options import add_device, device_of, main_of, number, parser_with_example
from trainer.core.run_folder import check_place
from trainer.florence2.run import DRAWN_TEXTS
from trainer.run_kinds import RunKind, run_kind

OUT, REFERENCE_OUT, BATCH = "evaluation", "reference", 16
# Options, beside --photos, that apply only with --reference, and options that do not apply with it.
OF_REFERENCE = ("scene", "housing", "terminal", "camera", "judge", "calibration")
NOT_OF_REFERENCE = ("split", "rows", "max_escape", "digits", "beside", "batch_size")
DIGITS_HELP = (
    "Florence-2 only: measure again with texts drawn on the pictures, as long as without; may be repeated. overlaid: "
    "the cavity's number above each pin; edges: texts along the picture's edges; varied: as --digits varied trains"
)
EXAMPLE = """example:
  python -m trainer.evaluate --model out/run --data out/dataset --split test --out out/evaluation
  python -m trainer.evaluate --model out/gauge --data out/dataset --tolerance true_position_mm=0.5 \\
      --tolerance true_position_mm=1.2
  python -m trainer.evaluate --model out/gauge --photos station --reference measured.csv --out out/proof

exit codes: 0 done, whatever the numbers; 2 the run, the dataset, a photograph or an option is wrong; 1 anything else"""


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = parser_with_example(
        "evaluate",
        "Measure how well a trained network judges a dataset. A ViT or Florence-2 decides between OK and "
        "NG with the threshold that its training chose on the validation split, a gauge by a tolerance. A gauge can "
        "also be compared with a reference that measured photographed parts.",
        EXAMPLE,
    )
    p.add_argument("--model", type=Path, required=True, metavar="RUN", help="run folder of a ViT, Florence-2 or gauge")
    p.add_argument(
        "--data", type=Path, metavar="DATASET", help="folder of the dataset; needed unless there is --reference"
    )
    p.add_argument(
        "--out",
        type=Path,
        metavar="OUT",
        help="folder for the results (default: RUN/evaluation; with --reference RUN/reference)",
    )
    p.add_argument(
        "--split", action="append", metavar="NAME", help="split to measure; may be repeated (default: all but train)"
    )
    p.add_argument(
        "--rows",
        choices=settings.ROWS,
        help="ViT and Florence-2 only: rows to measure. all: all rows; observable: without pictures that show nothing, "
        "or none of their defects; clear: in addition without pictures that have a measure in the grey zone, close to "
        "its limit (default: observable; Florence-2: all)",
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
        "--batch-size",
        type=number(int, 1, 65_536),
        help="ViT and Florence-2 only: pictures (of a ViT with --views: parts) per batch (default: 16)",
    )
    p.add_argument("--threads", type=number(int, 1, 1024), help="number of CPU threads (default: number of cores)")
    add_device(p)
    _of_gauges(p)
    _of_reference(p)
    return p


def _of_gauges(p: argparse.ArgumentParser) -> None:
    """Add the options that only gauges have."""
    p.add_argument(
        "--tolerance",
        action="append",
        metavar="LIMITS",
        help="gauges only: limits in mm that replace the dataset's, such as true_position_mm=0.5,retraction_mm=0.4. If "
        "repeated, parts are judged by each set of limits separately; with --reference it is given once (default: the "
        "dataset's; with --reference the run's)",
    )
    p.add_argument(
        "--beside",
        type=Path,
        metavar="OUT",
        help="gauges only: results folder of this command for a ViT on the same dataset, such as runs/VIT/evaluation, "
        "whose verdicts are compared with the gauge's",
    )


def _of_reference(p: argparse.ArgumentParser) -> None:
    """Add the options of a comparison with a reference."""
    p.add_argument(
        "--photos",
        type=Path,
        metavar="FOLDER",
        help="gauges only, with --reference, in place of --data: photographs of the measured parts, named as for "
        "trainer.predict",
    )
    p.add_argument(
        "--reference",
        type=Path,
        metavar="FILE.csv",
        help="gauges only, with --photos: measures of parts in FOLDER by a reference: columns part, address, dx_mm, "
        "dy_mm and, if known, height_mm, u_mm (their expanded uncertainty, k = 2) and present (no: the pin is "
        "missing). The gauge's measures and verdicts are compared with it",
    )
    for name in ("scene", "housing", "terminal"):
        p.add_argument(
            f"--{name}", metavar="NAME", help=f"with --reference: {name} of the parts, if the gauge knows several"
        )
    p.add_argument(
        "--camera",
        metavar="VIEW",
        help="with --reference: view of photographs whose names state none (default: center, if the gauge knows it)",
    )
    p.add_argument(
        "--judge",
        action=GivenOnce,
        metavar="NAMES",
        help="with --reference: characteristics that verdicts cover, separated by commas: presence, true_position, "
        "height (default: all three)",
    )
    p.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE.json",
        help="with --reference: calibration certificate of the station's cameras (default: nominal cameras)",
    )


def _of_florence2(args: argparse.Namespace, splits: tuple[str, ...], out: Path) -> None:
    _refuse_options_of_gauges(args)
    # Imported here: each kind of run needs its own modules only.
    from trainer.florence2.evaluation import ROWS, evaluate

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
        rows=args.rows or ROWS,
    )


def _of_vit(args: argparse.Namespace, splits: tuple[str, ...], out: Path) -> None:
    from trainer.vit import run_page
    from trainer.vit.evaluation import ROWS, EvaluationOptions, evaluate

    _refuse_options_of_gauges(args)
    rows, batch = args.rows or ROWS, args.batch_size or BATCH
    device = device_of(args.device)
    asked = EvaluationOptions(args.model, args.data, device, splits, rows, batch, args.max_escape or 0.0)
    evaluate(asked, out, own_folder=args.out is None)
    run_page.refresh(args.model, out, OUT)


def _of_gauge(args: argparse.Namespace, splits: tuple[str, ...], out: Path) -> None:
    from trainer.gauge.evaluation import EvaluationOptions, evaluate

    for option in ("rows", "max_escape", "batch_size"):
        if getattr(args, option) is not None:
            name = f"--{option.replace('_', '-')}"
            raise InputError(f"{name} applies to ViT and Florence-2 runs only; {args.model} is the run of a gauge")
    evaluate(
        EvaluationOptions(
            args.model, args.data, device_of(args.device), splits, _tolerances(args.tolerance), args.beside
        ),
        out,
        own_folder=args.out is None,
    )


def _by_reference(args: argparse.Namespace, kind: RunKind, out: Path) -> None:
    """Compare a gauge with a reference."""
    from trainer.gauge import against_reference
    from trainer.gauge.prediction import Options, parse_judge

    if kind is not RunKind.GAUGE:
        raise InputError(f"--reference applies to gauges only; {args.model} is the run of a {kind}")
    part = {name: getattr(args, name) for name in ("scene", "housing", "terminal", "camera")}
    tolerance = next(iter(_tolerances(args.tolerance).values()), {})
    options = Options(**part, judged=parse_judge(args.judge), tolerance=tolerance, calibration=args.calibration)
    against_reference.evaluate(
        against_reference.ComparisonOptions(args.model, args.photos, args.reference, options),
        out,
        own_folder=args.out is None,
    )


def _check_reference(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other: those of a dataset and those of a reference."""
    if (args.photos is None) != (args.reference is None):
        alone, missing = ("--photos", "--reference") if args.reference is None else ("--reference", "--photos")
        raise InputError(f"{alone}: expected together with {missing}, got {alone} alone")
    has_reference = args.reference is not None
    if (args.data is None) != has_reference:
        got = "both" if has_reference else "neither"
        raise InputError(f"--data: expected either --data or --photos with --reference, got {got}")
    wrong = NOT_OF_REFERENCE if has_reference else OF_REFERENCE
    if given := ", ".join(f"--{name.replace('_', '-')}" for name in wrong if getattr(args, name) is not None):
        where = ("with --data", "--reference") if has_reference else ("with --reference", "--data")
        raise InputError(f"{given}: expected only {where[0]}, got {where[1]}")
    if has_reference and len(args.tolerance or ()) > 1:
        raise InputError(f"--tolerance: expected once with --reference, got {len(args.tolerance)} times")
    if has_reference and args.device == "cuda":
        raise InputError("--device cuda: expected auto or cpu with --reference, as trainer.predict measures on the CPU")


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
    """Measure the run on the dataset, or against a reference, as the options say; returns the exit code."""
    _check_reference(args)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    out = args.out or args.model / (OUT if args.reference is None else REFERENCE_OUT)
    check_place(out, args.data if args.out else None)
    splits = tuple(dict.fromkeys(args.split or ()))
    kind = run_kind(args.model)
    if args.reference is not None:
        _by_reference(args, kind, out)
        return 0
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
