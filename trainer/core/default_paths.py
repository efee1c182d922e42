"""Where a training reads and writes when nobody says: the only dataset in datasets/, a new run in runs/.

    --data     the only folder in datasets/ that holds a card (README.md) and data/
    --out      runs/<dataset's name>-<kind>/, then -2, -3, …; or the newest of these that was begun with the same
               settings and data and is not finished: it is resumed

A new run appears whole: it is written under another name and renamed. No default ever replaces anything. A training
holds its run's folder until it ends: no other one writes there.
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

from trainer.core.card import PINSIGHT
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.run_folder import CONFIG, REPORT, SUMMARY, check_folder, kind_of

DATASETS, RUNS = Path("datasets"), Path("runs")
# What a dataset has beside its rows that whoever uses a run may need, each where it exists.
DATASET_FILES = ("nsoart.json", "connectors.json")


def dataset_facts(folder: Path) -> dict[str, str]:
    """Name of a dataset's folder, and the digest of its content where its card has one."""
    from huggingface_hub import DatasetCard

    facts = {"name": folder.resolve().name}
    try:
        written = DatasetCard((folder / "README.md").read_text(encoding="utf-8")).data.to_dict()  # type: ignore[no-untyped-call]
        facts["content_sha256"] = str(written[PINSIGHT]["content_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # somebody else's dataset, or one without a card
    return facts


def same_data(data: Path, run: Path, digest: str) -> None:
    """Whether a dataset is the one that a run began with: the best epoch of two validation splits means nothing.

    Args:
        data: The dataset.
        run: The run.
        digest: Of the content that the run began with; empty where nobody knows it.

    Raises:
        InputError: It is another one.
    """
    found = dataset_facts(data).get("content_sha256", "")
    if digest and found != digest:
        raise InputError(
            f"--data {data}: {run} was begun with the content {digest[:16]}, got "
            f"{found[:16] or 'none in its README.md'}; --resume keeps the run's"
        )


def dataset_of(given: Path | None) -> Path:
    """The dataset that was given, else the only one in datasets/, which is said.

    Raises:
        InputError: None was given, and there is none or more than one.
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
            f"--data: expected a dataset, or one in {DATASETS}/ (a folder with README.md and data/), got none; "
            "`python -m generator build` makes one"
        )
    if len(found) > 1:
        names = ", ".join(map(str, found))
        raise InputError(f"--data: expected one of the datasets in {DATASETS}/, got {len(found)}: {names}")
    say(f"--data {found[0]}, the only dataset in {DATASETS}/")
    return found[0]


def base_of(data: Path, kind: str) -> Path:
    """The first name of a dataset's runs of a kind, such as runs/ladder-vit."""
    return RUNS / f"{data.resolve().name}-{kind}"


def _names(base: Path) -> Iterator[Path]:
    yield base
    yield from (base.with_name(f"{base.name}-{number}") for number in itertools.count(2))


def _runs(base: Path) -> list[Path]:
    """The runs under these names, the one begun last first."""
    numbered = re.compile(re.escape(base.name) + r"(-[1-9][0-9]*)?")
    found = base.parent.iterdir() if base.parent.is_dir() else ()
    runs = [run for run in found if numbered.fullmatch(run.name) and (run / CONFIG).is_file()]
    return sorted(runs, key=lambda run: ((run / CONFIG).stat().st_mtime_ns, run.name), reverse=True)


class Hold:
    """Holds the folder of a run against other trainings on this machine, until it is closed or the process ends."""

    def __init__(self) -> None:
        self._descriptor: int | None = None

    def take(self, run: Path) -> None:
        """Hold this folder; it keeps its lock when it is renamed.

        Raises:
            InputError: Another training holds it.
        """
        descriptor = os.open(run, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise InputError(f"{run}: expected a run that nobody is training, got one in training") from None
        self._descriptor = descriptor

    def __enter__(self) -> "Hold":
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def is_in_training(run: Path) -> bool:
    """Whether another training holds a run's folder."""
    try:
        with Hold() as hold:
            hold.take(run)
    except InputError:
        return True
    return False


def is_finished(run: Path) -> bool:
    """Whether a run was trained to its end and has its page; one that ran out of time was not."""
    if not (run / REPORT).is_file():
        return False
    try:
        stopped = json.loads((run / SUMMARY).read_text(encoding="utf-8"))["stopped"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return not str(stopped).startswith("time limit")


def unfinished_run(base: Path, kind: str, is_same: Callable[[Path], bool]) -> Path | None:
    """The newest unfinished run under the names of `base`, of those with the same settings and data.

    Args:
        base: From `base_of`.
        kind: The `format` of the trainer's runs.
        is_same: Whether a run has the settings and data that are asked for.
    """
    for run in _runs(base):
        if kind_of(run) == kind and not is_finished(run) and not is_in_training(run):
            try:
                if is_same(run):
                    return run
            except InputError:
                continue  # of another version, or broken: not one to resume
    return None


def next_run(base: Path) -> Path:
    """The first name of `base` that nothing has."""
    return next(name for name in _names(base) if not os.path.lexists(name))


def settle(args: argparse.Namespace, name: str, kind: str, digest_of: Callable[[Path], str]) -> None:
    """Decide --data, and --out where it is given or follows from --resume; what was decided for the user is said.

    Args:
        args: `data`, `out`, `resume`, `overwrite`; `data` and `out` are set.
        name: What default names of runs end in, such as vit.
        kind: The `format` of the trainer's runs.
        digest_of: The digest of the content that a run began with.

    Raises:
        InputError: There is no such dataset or run, or the folder cannot be taken.
    """
    args.data = dataset_of(args.data)
    if args.out is None and args.overwrite:
        raise InputError("--overwrite: expected --out beside it; no default replaces anything")
    if args.out is None and args.resume:
        base, digest = base_of(args.data, name), dataset_facts(args.data).get("content_sha256", "")
        if not digest:
            raise InputError(f"--resume: expected --out beside it; the card of {args.data} does not tell its runs")
        if (found := unfinished_run(base, kind, lambda run: digest_of(run) == digest)) is None:
            raise InputError(f"--resume: expected an unfinished run of this dataset such as {base}, got none; --out?")
        args.out = found
        say(f"--out {found}, the newest unfinished run")
    if args.out is not None:
        check_folder(args.out, args.resume, args.overwrite, kind)


def adopt(args: argparse.Namespace, name: str, kind: str, digest: str, is_same: Callable[[Path], bool]) -> None:
    """Without --out: resume the newest unfinished run that was begun with these settings and data, if there is one.

    Args:
        args: `out` and `resume` are set.
        name, kind: As in `settle`.
        digest: Of the dataset's content; where it is not known, no run is known to be of the same.
        is_same: Whether a run has the same settings and data.
    """
    if args.out is not None or not digest:
        return
    if (found := unfinished_run(base_of(args.data, name), kind, is_same)) is not None:
        args.out, args.resume = found, True
        say(f"--out {found}: begun with these settings and data, not finished; resumed")


def make_run(base: Path, write: Callable[[Path], None], hold: Hold) -> Path:
    """A new run under the first free name of `base`, whole and held from its first moment on.

    Args:
        base: From `base_of`.
        write: Writes what the run holds before its first epoch into a folder.
        hold: Takes it.
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
                begun.rename(run)  # onto what another training made in the meantime it fails
            except OSError:
                if not os.path.lexists(run):
                    raise
                continue
            return run
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def copy_dataset_files(data: Path, run: Path) -> None:
    """Copy `DATASET_FILES` of a dataset into a run."""
    for name in DATASET_FILES:
        if (data / name).is_file():
            shutil.copyfile(data / name, run / name)
