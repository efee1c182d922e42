"""Defaults of a training's --data and --out: the only dataset in datasets/, a new run in runs/.

    --data     the only folder in datasets/ that has a card (README.md) and data/
    --out      the newest unfinished run runs/<dataset's name>-<kind>[-2, -3, …] that was started with the same settings
               and data, to be resumed; if there is none, a new run with the first of these names that is free

A new run is written under a temporary name and renamed, so it is complete from the start. A default never replaces a
file. A training locks its run's folder until it ends, so that no other training writes there.
"""

import argparse
import fcntl
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from generator.io.file_names import dataset_name
from trainer.core.card import dataset_settings
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.run_folder import CONFIG, REPORT, SUMMARY, check_folder, format_of

DATASETS, RUNS = Path("datasets"), Path("runs")
# Files of a dataset that are copied into a run, where they exist: needed to use it on new pictures.
DATASET_FILES = ("nsoart.json", "connectors.json")
DATASET_FOLDER = "nsoart"  # its golden references, where it has them


def dataset_facts(folder: Path) -> dict[str, str]:
    """Return the `name` of a dataset's folder and, if its card (README.md) states it, its `content_sha256`."""
    facts = {"name": dataset_name(folder)}
    if "content_sha256" in (settings := dataset_settings(folder)):
        facts["content_sha256"] = str(settings["content_sha256"])
    return facts


def same_data(data: Path, run: Path, digest: str) -> None:
    """Check that a run is resumed with the dataset that it was started with, so that its scores can be compared.

    Args:
        data, run: Folders of the dataset to resume with, and of the run.
        digest: SHA-256 of the content of the dataset that the run was started with; empty (not known): no check.

    Raises:
        InputError: The dataset has another content.
    """
    found = dataset_facts(data).get("content_sha256", "")
    if digest and found != digest:
        other = f"with {found[:16]}…" if found else "without content_sha256"
        raise InputError(
            f"--data {data}: expected the dataset that {run} was started with (whose README.md has content_sha256 "
            f"{digest[:16]}…), got one {other}; give the run's dataset"
        )


def dataset_of(given: Path | None) -> Path:
    """Return the dataset's folder: --data, or without it the only dataset in datasets/, which is then printed.

    Raises:
        InputError: --data was not given, and datasets/ has no dataset or several.
    """
    if given is not None:
        return given
    candidates = sorted(DATASETS.iterdir()) if DATASETS.is_dir() else []
    found = [
        folder
        for folder in candidates
        if not folder.name.startswith(".") and (folder / "README.md").is_file() and (folder / "data").is_dir()
    ]
    if not found:
        raise InputError(
            f"--data: expected --data DATASET, or a dataset in {DATASETS}/ (a folder with README.md and data/); got "
            "neither: make a dataset with `python -m generator build`"
        )
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise InputError(f"--data: expected --data DATASET, because {DATASETS}/ has {len(found)} datasets ({names})")
    say(f"--data {found[0]}: chosen as the only dataset in {DATASETS}/")
    return found[0]


def base_of(data: Path, kind: str) -> Path:
    """Return the default folder of the first run on the dataset `data`; runs/ladder-vit for ladder and `kind` vit."""
    return RUNS / f"{data.resolve().name}-{kind}"


def _names(base: Path) -> Iterator[Path]:
    yield base
    yield from (base.with_name(f"{base.name}-{number}") for number in itertools.count(2))


def _runs(base: Path) -> list[Path]:
    """List the run folders `base`, `base`-2, …, the one started last first."""
    numbered = re.compile(re.escape(base.name) + r"(-[1-9][0-9]*)?")
    found = base.parent.iterdir() if base.parent.is_dir() else ()
    runs = [run for run in found if numbered.fullmatch(run.name) and (run / CONFIG).is_file()]
    return sorted(runs, key=lambda run: ((run / CONFIG).stat().st_mtime_ns, run.name), reverse=True)


class Hold:
    """Context manager that can lock a run's folder against other trainings on this machine while the block lasts."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def take(self, run: Path) -> None:
        """Lock a run's folder; the lock stays when the folder is renamed.

        Raises:
            InputError: Another training has locked the folder.
        """
        descriptor = os.open(run, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise InputError(
                f"{run}: expected a run that no other command is training, got one in use: wait until it ends, or give "
                "another --out"
            ) from None
        self._descriptor = descriptor

    def __enter__(self) -> "Hold":
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_in_training(run: Path) -> bool:
    """Return whether a training has locked a run's folder."""
    try:
        with Hold() as hold:
            hold.take(run)
    except InputError:
        return True
    return False


def is_finished(run: Path) -> bool:
    """Return whether a run was trained to its end and has report.html; false if it stopped at its time limit."""
    if not (run / REPORT).is_file():
        return False
    try:
        stopped = json.loads((run / SUMMARY).read_text(encoding="utf-8"))["stopped"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return not str(stopped).startswith("time limit")


def unfinished_run(base: Path, run_format: str, is_same: Callable[[Path], bool]) -> Path | None:
    """Find the newest unfinished run that has a default name, is not in training now and passes `is_same`, or None.

    Args:
        base: The first default name, from `base_of`.
        run_format: The `format` in config.json of this trainer's runs.
        is_same: Whether a run has the settings and data that are asked for.
    """
    for run in _runs(base):
        if format_of(run) == run_format and not is_finished(run) and not is_in_training(run):
            try:
                if is_same(run):
                    return run
            except InputError:
                continue  # of another version, or broken: cannot be resumed
    return None


def next_run(base: Path) -> Path:
    """Return the first free folder name of `base`, `base`-2, `base`-3, …"""
    return next(name for name in _names(base) if not os.path.lexists(name))


def settle(args: argparse.Namespace, kind: str, run_format: str, digest_of: Callable[[Path], str]) -> None:
    """Choose --data if it is missing, and --out if --resume is given without --out; then check the folder of --out.

    What is chosen is printed.

    Args:
        args: Options `data`, `out`, `resume`, `overwrite`; `data` and `out` are set here.
        kind: End of default names of runs, such as vit.
        run_format: The `format` in config.json of this trainer's runs.
        digest_of: Returns, for a run's folder, the content SHA-256 of the dataset it was trained on.

    Raises:
        InputError: No dataset or run can be chosen, --overwrite lacks --out, or the run's folder cannot be used.
    """
    args.data = dataset_of(args.data)
    if args.out is None and args.overwrite:
        raise InputError("--overwrite: expected --out RUN with it, the run to overwrite; got no --out")
    if args.out is None and args.resume:
        base, digest = base_of(args.data, kind), dataset_facts(args.data).get("content_sha256", "")
        if not digest:
            raise InputError(
                f"--resume: expected --out RUN with it, because {args.data}/README.md has no content_sha256, by which "
                "the run could be found"
            )
        if (found := unfinished_run(base, run_format, lambda run: digest_of(run) == digest)) is None:
            raise InputError(
                f"--resume: expected an unfinished run of {args.data} with a default name such as {base}, got none; "
                "give --out RUN"
            )
        args.out = found
        say(f"--out {found}: resumed as the newest unfinished run of this dataset")
    if args.out is not None:
        check_folder(args.out, args.resume, args.overwrite, run_format, args.data)


def resume_unfinished(
    args: argparse.Namespace, kind: str, run_format: str, digest: str, is_same: Callable[[Path], bool]
) -> None:
    """Without --out, choose the newest unfinished run with the same settings and data, if there is one, to be resumed.

    Args:
        args: The options; `out` and `resume` are set here.
        kind: End of default names of runs, such as vit.
        run_format: The `format` in config.json of this trainer's runs.
        digest: SHA-256 of the dataset's content; empty (not known): no run is resumed.
        is_same: Whether a run has the same settings and data.
    """
    if args.out is not None or not digest:
        return
    if (found := unfinished_run(base_of(args.data, kind), run_format, is_same)) is not None:
        args.out, args.resume = found, True
        say(f"--out {found}: resumed as an unfinished run with the same settings and dataset")


def make_run(base: Path, write: Callable[[Path], None], hold: Hold) -> Path:
    """Make a new run under the first free default name, complete and locked from the start; returns its folder.

    Args:
        base: The first default name, from `base_of`.
        write: Writes the files that a run has before its first epoch into the given folder.
        hold: Takes the lock on the folder.
    """
    begun = base.with_name(f".{base.name}.{os.getpid()}.tmp")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(parents=True)
    try:
        write(begun)
        hold.take(begun)
        while True:
            run = next_run(base)
            try:
                begun.rename(run)  # fails where another training has taken the name meanwhile
            except OSError:
                if not os.path.lexists(run):
                    raise
                continue
            return run
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def take_place(args: argparse.Namespace, kind: str, save: Callable[[Path], None], hold: Hold) -> tuple[Path, bool]:
    """Make and lock a training's folder: --out as it is or, without --out, a new default run, whose name is printed.

    Args:
        args: Options `data` and `out`.
        kind: End of the default names.
        save: Writes the run's settings into a new default run; the files of its dataset are added.
        hold: Takes the lock on the folder.

    Returns:
        The folder, and whether it is a new default run.
    """

    def write(run: Path) -> None:
        save(run)
        copy_dataset_files(args.data, run)

    if args.out is None:
        made = make_run(base_of(args.data, kind), write, hold)
        say(f"--out {made}")
        return made, True
    args.out.mkdir(parents=True, exist_ok=True)
    hold.take(args.out)
    return args.out, False


def copy_dataset_files(data: Path, run: Path) -> None:
    """Copy nsoart.json, connectors.json and the folder nsoart, where they exist, from dataset `data` to `run`."""
    for name in DATASET_FILES:
        if (data / name).is_file():
            shutil.copyfile(data / name, run / name)
    if (data / DATASET_FOLDER).is_dir():
        shutil.copytree(data / DATASET_FOLDER, run / DATASET_FOLDER, dirs_exist_ok=True)
