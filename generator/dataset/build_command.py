"""`python -m generator build DIR --to DATASET`: records and pictures to a dataset."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from blender_scripts.contract.errors import InputError
from generator.dataset.build import Options, build, tell
from generator.dataset.card import balance_table
from generator.dataset.labels import ANSWER_LABELS, OBSERVABLE_PX, parse_tolerance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder that was rendered into")
    parser.add_argument(
        "--to", type=Path, required=True, metavar="DATASET", help="folder of the dataset to make"
    )
    parser.add_argument(
        "--tolerance",
        metavar="LIMITS",
        help="limits in mm in place of the scene's, e.g. true_position_mm=0.6,retraction_mm=0.5",
    )
    parser.add_argument(
        "--grey",
        type=float,
        default=0.0,
        metavar="FRACTION",
        help="flag pictures with a measure within FRACTION of its limit (default 0: none)",
    )
    parser.add_argument(
        "--observable-px",
        type=float,
        default=OBSERVABLE_PX,
        metavar="PX",
        help="a bend or a retraction that moves its tip by less in a view does not count as seen there "
        "(default: %(default)g; 0: any that is in view counts)",
    )
    parser.add_argument("--partial", action="store_true", help="leave out rows that have not been rendered")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace DATASET even if it is no dataset of ours"
    )
    parser.add_argument(
        "--answer",
        choices=tuple(ANSWER_LABELS),
        default="short",
        help="how bbox_str names a class: BENDNG, 'bent pin' or BEND-NG (default: %(default)s)",
    )
    parser.add_argument(
        "--masks",
        action="store_true",
        help="add instance masks and key points: for export and for exact boxes of augmented copies",
    )
    parser.add_argument(
        "--workers", type=int, default=None, metavar="N", help="processes (default: one per core)"
    )
    parser.add_argument(
        "--scenes",
        type=Path,
        default=Path(__file__).resolve().parents[2] / "scenes",
        metavar="FOLDER",
        help="folder of the scene files that the manifests name (default: this repository's)",
    )
    parser.add_argument(
        "--license", default="other", metavar="ID", help="licence identifier for the card (default: other)"
    )


def run(args: argparse.Namespace) -> int:
    """Build, and print the balance table."""
    problems = []
    limits: dict[str, float] = {}
    if args.tolerance is not None:
        try:
            limits = parse_tolerance(args.tolerance)
        except ValueError as error:
            problems.append(f"--tolerance: {error}")
    if not 0 <= args.grey < 1:
        problems.append(f"--grey: expected a fraction of at least 0 and below 1, got {args.grey:g}")
    if not 0 <= args.observable_px < math.inf:
        problems.append(f"--observable-px: expected px of at least 0, got {args.observable_px:g}")
    if args.workers is not None and not 1 <= args.workers <= 1024:
        problems.append(f"--workers: expected 1 to 1024, got {args.workers}")
    if problems:
        raise InputError(problems)
    options = Options(
        limits,
        args.grey,
        args.observable_px,
        args.partial,
        args.overwrite,
        args.license,
        args.answer,
        args.workers,
        args.masks,
    )
    facts = build(args.directory, args.to, args.scenes, options)
    if facts.hidden_rows:
        tell(
            f"{facts.hidden_rows} NG rows show none of their defects in their view: observable is false there"
        )
    if facts.ceilings[0]:
        count, total, least = facts.ceilings
        sys.stdout.write(
            f"bbox_str: {count} boxes, of which a perfect answer reaches an IoU of {total / count:.3f} on average and "
            f"{least:.3f} at worst, for its thousand bins\n\n"
        )
    sys.stdout.write(f"{balance_table(facts.counts, facts.classes)}\n{facts.rows} rows in {args.to}\n")
    return 0
