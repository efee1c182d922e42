"""What the commands `python -m trainer.vit`, `trainer.florence2` and `trainer.gauge` share: options and main."""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from trainer.core import event_files, run_folder
from trainer.core.console import never_silent
from trainer.core.options import add_device, checked, exit_code, number


def add_places(p: argparse.ArgumentParser, kind: str) -> None:
    """Add --data and --out; `kind` ends the default names of runs."""
    p.add_argument(
        "--data", type=Path, metavar="DATASET", help="folder of the dataset (default: the only one in datasets/)"
    )
    out = f"folder of the run, new or empty (default: unfinished run with these settings, or new runs/DATASET-{kind})"
    p.add_argument("--out", type=Path, metavar="RUN", help=out)


def add_again(p: argparse.ArgumentParser) -> argparse._ActionsContainer:
    """Add --resume and --overwrite, which exclude each other; returns their group."""
    again = p.add_mutually_exclusive_group()
    again.add_argument(
        "--resume",
        action="store_true",
        help="continue the training of RUN after its last finished epoch, with the settings with which it was started",
    )
    again.add_argument(
        "--overwrite", action="store_true", help="delete the files of an earlier run in RUN and start a new one"
    )
    return again


def add_running(p: argparse._ActionsContainer) -> None:
    """Add --time-limit, --device and --tensorboard."""
    p.add_argument(
        "--time-limit",
        type=number(float, 0, 1e6, True),
        metavar="MIN",
        help="minutes from the start of the command: the schedule is shortened to the epochs that fit; with --resume "
        "the training stops after the epoch in which the time ends",
    )
    add_device(p)
    p.add_argument(
        "--tensorboard", action="store_true", help=f"write event files for TensorBoard, in RUN/{event_files.FOLDER}"
    )


def run_training(
    parser: argparse.ArgumentParser,
    run: Callable[[argparse.Namespace], int],
    argv: list[str] | None,
    began: float | None,
) -> int:
    """Parse the arguments `argv` (None: those of the process), and call `run`; returns the exit code.

    --time-limit counts from `began`, a value of `time.monotonic()`; None: from now.
    """
    args = parser.parse_args(argv)
    args.began = time.monotonic() if began is None else began

    def interrupted() -> str:
        if getattr(args, "compare", None) or args.out is None:
            return "interrupted: finished epochs are saved; continue with the same command"
        if not (args.out / run_folder.STATE).is_file():
            again = (
                f"give --resume --out {args.out}" if (args.out / run_folder.CONFIG).is_file() else "repeat the command"
            )
            return f"interrupted before the first epoch was finished; to begin it again, {again}"
        return f"interrupted: finished epochs are saved; continue with --resume --out {args.out}"

    with never_silent():
        return exit_code(checked(run, args, argv), interrupted)
