"""`python -m generator augment`: make more pictures of a folder or a dataset, by a plan that a person can edit.

    python -m generator augment plan photos -o plan.csv
    python -m generator augment apply plan.csv --to more

The plan has one line per picture, with yes or no per operation: `cut` (left and right halves), `reverse` (left-right
flip), `plus90` (turn by 90 degrees), and optionally `light` (other exposure, colours and noise) and `warp` (slightly
turned, zoomed and shifted). `plan` takes a folder of pictures or a dataset; `apply` makes a new one of the same form.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from blender_scripts.contract.errors import InputError
from generator.dataset.folder import split_files
from generator.io.number_option import check_workers, whole_number
from generator.io.output_file import check_file, check_folder
from generator.io.source_code import SCENES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands `plan` and `apply` to the parser of `generator augment`."""
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    plan = steps.add_parser("plan", help="write a plan: a CSV file with the operations proposed for each picture")
    plan.add_argument("folder", type=Path, metavar="FOLDER", help="folder of pictures, or dataset folder")
    plan.add_argument("-o", "--output", type=Path, required=True, metavar="PLAN", help="CSV file to write")
    each = "of each picture (of a dataset: of each training picture that is no copy and has no copies)"
    plan.add_argument("--light", action="store_true", help=f"plan a copy with changed light {each}")
    plan.add_argument("--warp", action="store_true", help=f"plan a copy, slightly turned, zoomed and shifted, {each}")
    plan.add_argument(
        "--skip-broken",
        action="store_true",
        help="leave out pictures that cannot be read instead of stopping with an error",
    )
    apply = steps.add_parser("apply", help="make the copies that a plan asks for")
    apply.add_argument("plan", type=Path, metavar="PLAN", help="CSV file of the plan")
    apply.add_argument(
        "--to",
        type=Path,
        required=True,
        metavar="OUT",
        help="folder for the result. Of a plan of pictures: a new or empty folder. Of a plan of a dataset: OUT becomes "
        "the new dataset; if OUT is a dataset already, it is replaced",
    )
    apply.add_argument("--folder", type=Path, help="folder of the pictures, or dataset, instead of that in the plan")
    apply.add_argument(
        "--seed", type=whole_number, default=0, metavar="N", help="seed of all random choices (default: 0)"
    )
    trim = "do not cut strips of random width off the edges of halves, flipped and turned copies: use it "
    trim += "if strips would cut the part, or if cutting must not change the shape of pictures"
    apply.add_argument("--no-trim", action="store_true", help=trim)
    apply.add_argument("--only-copies", action="store_true", help="leave the originals out of OUT")
    apply.add_argument(
        "--mirror-text",
        action="store_true",
        help="of a dataset, also mirror pictures in which the housing has print, or in which this is not known "
        "(pictures of a folder are mirrored without this option)",
    )
    apply.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE",
        help="picture to write: some originals, each beside its copies (default: OUT_before_after.jpg)",
    )
    apply.add_argument(
        "--scenes",
        type=Path,
        default=SCENES,
        metavar="FOLDER",
        help="folder of the scene files, read if a dataset's connectors.json lacks a scene (default: Pinsight's own)",
    )
    for step in (plan, apply):
        step.add_argument(
            "--workers", type=whole_number, metavar="N", help="number of processes (default: one per core)"
        )


def run(args: argparse.Namespace) -> int:
    """Write or apply a plan; returns the exit code."""
    check_workers(args.workers)
    return _plan(args) if args.step == "plan" else _apply(args)


def _plan(args: argparse.Namespace) -> int:
    from generator.augmenting.plan import plan_folder, write_plan

    check_file(args.output, "-o", (".csv",), [args.folder])
    more = tuple(name for name in ("light", "warp") if getattr(args, name))
    plan, problems = plan_folder(args.folder, more, args.workers)
    if problems and not args.skip_broken:
        raise InputError(
            [
                *problems,
                f"{args.folder}: expected pictures that can be read, got {len(problems)} that cannot: correct or "
                "remove them, or give --skip-broken",
            ]
        )
    if not plan.lines:
        raise InputError([*problems, f"{args.folder}: expected pictures that can be read, got none"])
    write_plan(plan, args.output)
    for problem in problems:
        sys.stderr.write(f"left out: {problem}\n")
    counts = Counter(name for line in plan.lines for name in line.operations)
    operations = ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
    sys.stdout.write(f"{args.output}: {len(plan.lines)} pictures; operations: {operations}\n")
    return 0


def _apply(args: argparse.Namespace) -> int:
    from generator.augmenting.of_dataset import apply_to_dataset
    from generator.augmenting.of_folder import apply_to_folder, check_place
    from generator.augmenting.plan import Options, read_plan

    if args.seed < 0:
        raise InputError(f"--seed: expected a whole number of at least 0, got {args.seed}")
    check_folder(args.to, "--to")
    if not args.scenes.is_dir():
        raise InputError(f"--scenes {args.scenes}: expected a folder of scene files, got no such folder")
    plan = read_plan(args.plan, args.folder)
    check_place(plan.folder, args.to)
    sheet = args.sheet or args.to.resolve().with_name(f"{args.to.resolve().name}_before_after.jpg")
    check_file(sheet, "--sheet", (".jpg", ".jpeg", ".png"), [plan.folder, args.to])
    options = Options(args.seed, not args.no_trim, not args.only_copies, args.mirror_text, args.workers)
    if split_files(plan.folder):
        done = apply_to_dataset(plan, args.to, sheet, args.scenes, options)
        for why, count in sorted(done.skipped.items()):
            sys.stderr.write(f"{count} copies not made: {why}\n")
        sys.stdout.write(
            f"{args.to}: {done.rows} rows, {done.copies} of them copies; {done.became_ok} copies of NG pictures are "
            f"OK, since no part of a defect remains in them\n{_named(sheet)}"
        )
        return 0
    made = apply_to_folder(plan, args.to, sheet, options)
    for problem in made.problems:
        sys.stderr.write(f"{problem}\n")
    kept = f", {made.kept} were there already" if made.kept else ""
    sys.stdout.write(f"{args.to}: {made.written} files written{kept}\n{_named(sheet)}")
    if made.problems:
        raise InputError(
            f"{plan.folder}: expected pictures that can be copied, got {len(made.problems)} of {made.pictures} with "
            "the faults above; all others are copied"
        )
    return 0


def _named(sheet: Path) -> str:
    """Return the output's line on the sheet; empty if no copy was made, so that there is none."""
    return f"{sheet}: originals beside their copies\n" if sheet.is_file() else ""
