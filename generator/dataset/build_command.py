"""`python -m generator build [DIR] [--to DATASET]`: make a dataset from a render folder.

DIR defaults to the only render folder in renders/, --to to datasets/<DIR's name>. Without --to and --overwrite, no
dataset is replaced: if the one there equals the one to build, nothing is done, else the command stops with an error.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.tolerance import parse_tolerance
from blender_scripts.manifest.claim import RENDERS
from generator.dataset.build import Options, build, source_sha256
from generator.dataset.card import DatasetFacts
from generator.dataset.card_header import balance_table, read_settings, read_splits
from generator.dataset.folder import CARD, is_whole
from generator.dataset.labels import ANSWER_LABELS, OBSERVABLE_PX
from generator.dataset.place import DatasetPlace
from generator.dataset.render_manifests import log
from generator.dataset.shards import build_shard
from generator.io.given_once import GivenOnce
from generator.io.number_option import number, whole_number, worker_problems
from generator.io.shard import shard_of
from generator.io.source_code import code_sha256
from generator.soart.nsoart import REFERENCES, SELF

# Where `build` writes without --to.
DATASETS = Path("datasets")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator build`."""
    parser.add_argument(
        "directory",
        type=Path,
        nargs="?",
        metavar="DIR",
        help=f"render folder: what `generator render` wrote (default: the only one in {RENDERS}/)",
    )
    parser.add_argument(
        "--to",
        type=Path,
        metavar="DATASET",
        help=f"folder of the dataset to make or replace (default: a new folder {DATASETS}/<DIR's name>)",
    )
    _add_labelling(parser)
    parser.add_argument(
        "--partial", action="store_true", help="leave out manifest rows that have not been rendered, without an error"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the folder DATASET even if it contains files that no dataset has; if --to is not given, "
        "replacing an earlier dataset needs this option too",
    )
    parser.add_argument(
        "--masks",
        action="store_true",
        help="add instance masks (images whose pixel values number the objects), for export and for exact boxes of "
        "augmented copies",
    )
    parser.add_argument(
        "--nsoart",
        choices=REFERENCES,
        default=SELF,
        help="what the column nsoart compares each window of a picture with: the mean of the picture's windows (self), "
        "or the same window in the mean picture of good parts (golden) (default: %(default)s)",
    )
    parser.add_argument(
        "--workers", type=whole_number, default=None, metavar="N", help="number of processes (default: one per core)"
    )
    parser.add_argument(
        "--shard",
        metavar="I/N",
        help="build only part I (0 to N - 1) of N parts of the rows, in its own folder in DATASET; needs --to, equal "
        "for all parts; `auto` or `auto/N` takes I from a SLURM job array, an indexed Kubernetes job or an AWS Batch "
        "array job; `generator merge` joins the parts",
    )
    parser.add_argument(
        "--scenes",
        type=Path,
        metavar="FOLDER",
        help="folder of the scene files, whose tolerance applies (default: where they were when rendered, "
        "else their copies in DIR)",
    )
    parser.add_argument(
        "--license", default="other", metavar="ID", help="licence stated in the card, such as mit (default: other)"
    )


def _add_labelling(parser: argparse.ArgumentParser) -> None:
    """Add the options on what counts as a defect and on the names of the classes."""
    parser.add_argument(
        "--tolerance",
        action=GivenOnce,
        metavar="LIMITS",
        help="limits in mm instead of the scene's, for every pin or for one, e.g. true_position_mm=0.6,"
        "retraction_mm=0.5,protrusion_mm=0.3,r1c2.true_position_mm=0.2",
    )
    parser.add_argument(
        "--grey",
        type=number,
        default=0.0,
        metavar="FRACTION",
        help="grey zone: flag pictures with a measure that differs from its limit by at most FRACTION of the limit, "
        "e.g. 0.1 (default: 0, no grey zone)",
    )
    parser.add_argument(
        "--observable-px",
        type=number,
        default=OBSERVABLE_PX,
        metavar="PX",
        help="for the column observable: a bend or a wrong height counts as visible in a picture if it moves the pin's "
        "tip by at least PX pixels (default: %(default)g)",
    )
    parser.add_argument(
        "--answer",
        choices=tuple(ANSWER_LABELS),
        default="short",
        help="names of the classes in bbox_str, the Florence-2 answer: BENDNG (short), 'bent pin' (words) or BEND-NG "
        "(hyphenated) "
        "(default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Build the dataset, or the part that --shard names, and print what it contains; returns the exit code."""
    options = _options(args)
    directory = args.directory or only_rendered_folder(RENDERS)
    if args.shard is not None:
        if args.to is None:
            raise InputError("--to: expected the folder for all shards, which --shard needs, got none")
        sys.stdout.write(f"{build_shard(directory, args.to, args.scenes, options, shard_of(args.shard))}\n")
        return 0
    to = args.to or DATASETS / _name_of(directory)
    if args.directory is None or args.to is None:
        sys.stdout.write(f"building the dataset {to} from {directory}\n")
    replace = args.to is not None or args.overwrite
    if not replace and is_built(to, directory, args.scenes, options):
        sys.stdout.write(f"{to} is already the dataset of these renders: nothing to do\n")
        return 0
    print_facts(build(directory, to, args.scenes, options, replace), to)
    return 0


def print_facts(facts: DatasetFacts, to: Path) -> None:
    """Print the numbers of pictures of the new dataset `to`, by split and class."""
    if facts.hidden_rows:
        log(f"{facts.hidden_rows} NG pictures show no visible defect: their column observable is false")
    if facts.blank_rows:
        log(
            f"WARNING: {facts.blank_rows} pictures show nothing: they are black or white, or no pin is in view. Their "
            "column observable is false, also of OK pictures"
        )
    if facts.unseen_rows:
        log(f"{facts.unseen_rows} OK pictures lack some pins from view, which they say nothing about")
    if facts.ceilings[0]:
        count, total, least = facts.ceilings
        sys.stdout.write(
            f"bbox_str: {count} boxes; their edges are rounded to a thousandth of the picture, so that a perfect "
            f"answer has an IoU of {total / count:.3f} with the exact boxes on average, {least:.3f} at worst\n\n"
        )
    sys.stdout.write(f"{balance_table(facts.counts, facts.classes)}\n{facts.rows} rows in {to}\n")


def _options(args: argparse.Namespace) -> Options:
    """Return the options of the build. Raises one InputError that lists every fault."""
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
        problems.append(f"--observable-px: expected a length in px of at least 0, got {args.observable_px:g}")
    problems += worker_problems(args.workers)
    if problems:
        raise InputError(problems)
    return Options(
        limits=limits,
        grey=args.grey,
        observable_px=args.observable_px,
        partial=args.partial,
        overwrite=args.overwrite,
        license=args.license,
        answer=args.answer,
        workers=args.workers,
        masks=args.masks,
        nsoart=args.nsoart,
    )


def only_rendered_folder(renders: Path) -> Path:
    """Return the only render folder in `renders`: a folder with manifests/*.csv and a name that begins with no dot.

    Raises:
        InputError: there is none, or there are several, which the message lists.
    """
    found = [
        path.parent
        for path in sorted(renders.glob("*/manifests"))
        if not path.parent.name.startswith(".") and any(path.glob("*.csv"))
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(str(path) for path in found[:10]) + (", …" if len(found) > 10 else "")
    got = f"no DIR, and {len(found)} render folders there{': ' if found else ''}{names}"
    raise InputError(f"DIR: expected a render folder, or exactly one in {renders}/ as the default, got {got}")


def is_built(to: Path, directory: Path, scenes: Path | None, options: Options) -> bool:
    """Whether `to` already holds the dataset that this build would make; False if it is empty or missing.

    If a command was killed while it replaced the dataset in `to`, the old dataset is moved back first.

    Args:
        to: the dataset folder.
        directory, scenes, options: as for `build`.

    Raises:
        InputError: `to` holds something else, or the old dataset cannot be moved back, as another command is writing.
    """
    DatasetPlace(to).restore()
    if not to.is_dir() or not any(to.iterdir()):
        return False
    try:
        card = (to / CARD).read_text("utf-8")
        known, splits = read_settings(card), read_splits(card)
    except (OSError, ValueError):
        known, splits = {}, []
    if known.get("source_sha256") != source_sha256(directory, scenes, options):
        found = "one that was not built from these renders with these settings"
    elif not is_whole(to, splits):
        found = "a damaged dataset of these renders"
    elif known.get("code_sha256") != code_sha256():
        found = "one that another version of this program built"
    else:
        return True
    raise InputError(
        f"{to}: expected a new folder, or a dataset built from {directory} with these settings, got {found}: give "
        "another folder with --to, or --overwrite to replace this one"
    )


def _name_of(directory: Path) -> str:
    """Return the default name of the dataset of a render folder."""
    name = directory.resolve().name
    if not name or name.startswith("."):
        raise InputError(f"--to: expected a folder, got none, and no default can be named after {directory}: give --to")
    return name
