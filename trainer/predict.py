"""`python -m trainer.predict --model RUN IMAGE...`: judge pictures, or parts from several pictures, by a network.

RUN is the run folder of a ViT, a Florence-2 or a gauge. Verdicts are printed and, with options, written as JSON and
drawn into the pictures. Only a Florence-2 finds boxes, and only a gauge measures in mm. `generator.verdict.envelope`,
`trainer.vit.verdicts`, `trainer.florence2.verdicts` and `trainer.gauge.prediction` describe the content of a verdict.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from generator.io.given_once import GivenOnce
from generator.io.number_option import number, whole_number
from generator.io.view_names import view_list
from generator.io.wording import on_one_line
from trainer.core import run_folder
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.options import main_of
from trainer.core.prediction import (
    PREDICTIONS,
    Predictions,
    check_json,
    check_sheets,
    find_pictures,
    remove_earlier,
    sheet_names,
    write_sheet,
)
from trainer.run_kinds import RunKind, run_kind

VIT, FLORENCE, GAUGE = RunKind.VIT, RunKind.FLORENCE2, RunKind.GAUGE
# Kinds of run to which an option applies, by the option's name; options that are not here apply to all.
OPTIONS_OF = {
    "weights": (VIT,),
    "positions": (FLORENCE,),
    "locate": (FLORENCE,),
    "views": (FLORENCE,),
    "batch_size": (FLORENCE,),
    "threshold": (VIT, FLORENCE),
    "allow_unfit": (VIT, FLORENCE),
    **dict.fromkeys(("judge", "calibration", "find"), (GAUGE,)),
    "marking": (VIT, FLORENCE),
}
# Of a gauge, and of runs of the other kinds that make NSOART pictures: `trainer.core.golden_input` refuses others.
PART = ("scene", "housing", "terminal", "camera")


def parser() -> argparse.ArgumentParser:
    """Make the parser of the command's options."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.predict",
        description="Judge pictures with a trained network. Verdicts: OK; NG, if there is a defect; UNSURE, between "
        "the limits of OK and NG; INVALID, if the picture or the run cannot be used. A ViT adds class, confidence and "
        "a heat map of where the defect may be; Florence-2 adds a box around each defect, with class and confidence; "
        "a gauge adds every pin's measures in mm. Classes: BENDNG bent pin, NUKENG pin missing or not seated, OTHERNG "
        "any other defect.",
        epilog="exit codes: 0 done, whatever the verdicts; 2 a picture or the run cannot be read, a part lacks a view "
        "that the run needs, or an option is wrong; 1 anything else",
        allow_abbrev=False,
    )
    p.add_argument("--model", type=Path, required=True, metavar="RUN", help="run folder of a ViT, Florence-2 or gauge")
    p.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of pictures")
    p.add_argument("--json", type=Path, metavar="FILE", help="write all verdicts to this file, as JSON")
    p.add_argument("-o", "--out", type=Path, metavar="OUT", help="folder for predictions.json and marked pictures")
    weights = "ViT only: weights of the best or of the last epoch (default: best)"
    p.add_argument("--weights", choices=("best", "last"), default=None, help=weights)
    _of_florence2(p)
    p.add_argument(
        "--threshold",
        type=number,
        metavar="P",
        help="the verdict is NG if a ViT's probability of NG, or the confidence of a Florence-2's box, is at least P; "
        "OK if it is below P, below the run's escape threshold and below 0.5; else UNSURE (default: the run's "
        "thresholds)",
    )
    p.add_argument(
        "--allow-unfit",
        action="store_true",
        help="judge even if the run was not better than chance on validation, its files do not state whether it was, "
        "or it lacks limits by which pictures are refused (gates.npz, gates.safetensors); without this option all "
        "verdicts of such a run are INVALID",
    )
    p.add_argument(
        "--tolerance",
        action=GivenOnce,
        metavar="LIMITS",
        help="limits in mm such as true_position_mm=0.6,r1c2.retraction_mm=0.5. A gauge judges by these limits; a ViT "
        "or Florence-2 only warns if it was trained under other limits (default: the run's)",
    )
    _of_part(p)
    _of_gauge(p)
    p.add_argument(
        "--batch-size", type=whole_number, metavar="N", help="Florence-2 only: pictures per batch (default: 8)"
    )
    p.add_argument(
        "--threads", type=whole_number, default=None, help="number of CPU threads (default: number of cores)"
    )
    return p


def _of_florence2(p: argparse.ArgumentParser) -> None:
    """Add the options that only a Florence-2 has, but for --batch-size."""
    p.add_argument(
        "--positions",
        type=Path,
        metavar="FILE",
        help="Florence-2 only: file with a box around each pin, by which the boxes of the answer get the pins' "
        "addresses: a render's record (.json), or CSV with columns address, x1, y1, x2, y2 in px and, if known, cavity",
    )
    p.add_argument(
        "--locate",
        type=Path,
        metavar="FILE.onnx",
        help="Florence-2 only, in place of --positions: a gauge's ONNX file (see trainer.export), which locates the "
        "part in each picture, so that the boxes get the addresses of the pins where they lie; a picture in which the "
        "part is not located is INVALID",
    )
    p.add_argument(
        "--views",
        action=GivenOnce,
        type=view_list,
        metavar="C,C,…",
        help="Florence-2 only: cameras that show each part: its pictures, named after part and view such as "
        "part7_left.png, get one verdict, the first of NG, INVALID, UNSURE, OK that one of them has (default: a "
        "verdict for each picture; a ViT trained with --views and a gauge judge parts by themselves)",
    )


def _of_part(p: argparse.ArgumentParser) -> None:
    """Add the options on the part, which a gauge and networks with golden NSOART have."""
    for name in ("scene", "housing", "terminal"):
        p.add_argument(
            f"--{name}",
            metavar="NAME",
            help=f"{name} of the part. Needed by a gauge (also that of --locate) that knows several which differ in a "
            "position, wall or camera that it uses, and by a network trained on NSOART pictures with golden references "
            f"of more than one {name}",
        )
    p.add_argument(
        "--camera",
        metavar="VIEW",
        help="name of the camera (view) that took the pictures. Needed for pictures whose file names do not end in it, "
        "with --find for all, by a gauge (also that of --locate), and by a network trained on NSOART pictures (how "
        "pictures differ from good parts) with golden references (default: center for a gauge that has this view)",
    )
    marking = "name of the marking (print) on the part, for a network trained on NSOART pictures with golden references"
    p.add_argument("--marking", metavar="NAME", help=marking)


def _of_gauge(p: argparse.ArgumentParser) -> None:
    """Add the options that only a gauge has."""
    p.add_argument(
        "--find",
        action="store_true",
        help="gauges only: search each photograph for one part, turned by any angle, at 0.5 to 2 times the run's "
        "scale, tilted by at most about 10°; its mm are right only if the camera was as far away as the station's",
    )
    p.add_argument(
        "--judge",
        action=GivenOnce,
        metavar="NAMES",
        help="gauges only: characteristics that the verdict covers, separated by commas: presence, true_position, "
        "height; the verdict lists those that it does not cover (default: all three)",
    )
    p.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE.json",
        help="gauges only: calibration certificate of the station's cameras, made by `python -m generator calibrate` "
        "(default: nominal cameras)",
    )


def _check_options(args: argparse.Namespace, kind: RunKind) -> None:
    """Refuse options that do not apply to this kind of run, and numbers out of range."""
    problems = [
        f"--{name.replace('_', '-')} applies to {' and '.join(kinds)} runs only, got a run of {kind}"
        for name, kinds in OPTIONS_OF.items()
        if kind not in kinds and getattr(args, name) is not None and getattr(args, name) is not False
    ]
    if args.threshold is not None and not 0 <= args.threshold <= 1:
        problems.append(f"--threshold: expected a number from 0 to 1, got {args.threshold}")
    problems += [
        f"--{name.replace('_', '-')}: expected 1 or more, got {getattr(args, name)}"
        for name in ("batch_size", "threads")
        if getattr(args, name) is not None and getattr(args, name) < 1
    ]
    if args.views and args.positions is not None:
        problems.append("--views: expected without --positions, because pins lie elsewhere in each view's pictures")
    if args.locate is not None and args.positions is not None:
        problems.append("--locate: expected without --positions, as the gauge finds the pins")
    if args.find and args.calibration is not None:
        problems.append("--find: expected without --calibration, because --find takes photographs of any camera")
    if problems:
        raise InputError(problems)


def _predictions(args: argparse.Namespace, files: Sequence[Path], kind: RunKind) -> Predictions:
    """Return the `Predictions` of the picture files by the run --model, of this kind; pictures are not yet judged."""
    sheets, tolerance = args.out is not None, _tolerance(args)
    named = {name: getattr(args, name) for name in (*PART, "marking")}
    if kind == FLORENCE:
        from trainer.florence2 import prediction as detection

        options = detection.Options(
            positions=args.positions,
            threshold=args.threshold,
            batch_size=args.batch_size,
            allow_unfit=args.allow_unfit,
            sheets=sheets,
            tolerance=tolerance,
            part=named,
            views=args.views or (),
            locate=args.locate,
        )
        return detection.predictions(args.model, files, options)
    if kind == GAUGE:
        from trainer.gauge import prediction as measuring

        of_gauge = measuring.Options(
            scene=args.scene,
            housing=args.housing,
            terminal=args.terminal,
            camera=args.camera,
            judged=measuring.parse_judge(args.judge),
            sheets=sheets,
            tolerance=tolerance,
            calibration=args.calibration,
            find=args.find,
        )
        return measuring.predictions(args.model, files, of_gauge)
    from trainer.vit import prediction

    of_vit = prediction.Options(
        weights=args.weights,
        threshold=args.threshold,
        allow_unfit=args.allow_unfit,
        sheets=sheets,
        tolerance=tolerance,
        part=named,
    )
    return prediction.predictions(args.model, files, of_vit)


def _tolerance(args: argparse.Namespace) -> dict[str, float]:
    """Parse --tolerance; empty if it was not given."""
    from blender_scripts.contract.tolerance import parse_tolerance

    try:
        return parse_tolerance(args.tolerance) if args.tolerance is not None else {}
    except ValueError as e:
        raise InputError(f"--tolerance: {e}") from None


def run(args: argparse.Namespace) -> int:
    """Judge the pictures, print and write all verdicts; then return 0, or raise InputError if files were unreadable."""
    files = find_pictures(args.images)
    kind = run_kind(args.model)
    _check_options(args, kind)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    predictions = _predictions(args, files, kind)
    sheets = sheet_names(predictions.places)
    names = dict(zip(predictions.places, sheets, strict=True))
    if args.json is not None:
        read = [*files, *filter(None, (args.positions, args.locate, args.calibration))]
        check_json(args.json, read, args.model, [args.out / name for name in sheets] if args.out else [])
    if args.out is not None:
        check_sheets(args.out, files, sheets, args.model)
        args.out.mkdir(parents=True, exist_ok=True)
    targets = [path for path in (args.json, args.out / PREDICTIONS if args.out else None) if path is not None]
    verdicts: list[dict[str, Any]] = []
    problems: list[str] = []
    for one in tqdm(predictions.outcomes, total=len(sheets), unit="picture", disable=None):
        if not verdicts:  # the run could be loaded
            remove_earlier(targets, args.out, sheets)
        problems += one.problems
        verdicts.append(one.verdict)
        if one.line:
            say(on_one_line(one.line))
        if args.out is not None and one.sheet is not None:
            write_sheet(one.sheet, args.out / names[one.file])
            verdicts[-1] = {**one.verdict, "sheet": names[one.file]}
    for target in targets:
        run_folder.write_json(target, verdicts)
    if problems:
        raise InputError(list(dict.fromkeys(problems)))  # of a certificate, each part has the same
    return 0


main = main_of(parser, run)

if __name__ == "__main__":
    sys.exit(main())
