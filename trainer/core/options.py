"""What the training commands share: numbers with limits, the folder of a run, the device, and talking to a person."""

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from trainer.core import checkpoint, distributed
from trainer.core.card import dataset_facts
from trainer.core.errors import InputError
from trainer.florence2.run import kind_of


def exit_code(command: Callable[[], int], interrupted: str = "interrupted") -> int:
    """What a command returns; 2 after a user's mistake and 1 after Ctrl-C, each told on stderr without a traceback.

    Args:
        command: does the work and returns its exit code.
        interrupted: what Ctrl-C is answered with.
    """
    try:
        return command()
    except InputError as error:
        for problem in error.problems if distributed.speaks() else ():
            sys.stderr.write(f"error: {problem}\n")
        return 2
    except (NotADirectoryError, PermissionError) as error:
        if distributed.speaks():
            sys.stderr.write(
                f"error: {error.filename or 'a file'}: expected a place that can be used, got: {error.strerror}\n"
            )
        return 2
    except KeyboardInterrupt:
        if distributed.speaks():
            sys.stderr.write(f"{interrupted}\n")
        return 1


def number(kind: type, low: float, high: float, above: bool = False) -> Callable[[str], float]:
    """A parser of numbers of `kind` in a `checkpoint.Range`."""
    limits = checkpoint.Range(low, high, above)

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not limits.holds(value):
            raise argparse.ArgumentTypeError(
                f"expected {'a whole number' if kind is int else 'a number'} {limits}, got {text!r}"
            )
        return value  # type: ignore[no-any-return]

    return parse


def check_place(out: Path) -> None:
    """Whether `out` is a folder, or can become one.

    Raises:
        InputError: It is a file, or lies below one.
    """
    for place in (out, *out.parents):
        if place.is_dir():
            return
        if place.exists() or place.is_symlink():
            got = "a file" if place == out else f"the file {place} in its path"
            raise InputError(f"--out {out}: expected a folder, got {got}")


def check_folder(run: Path, resume: bool, overwrite: bool, kind: str) -> None:
    """Whether a run's folder can be taken; nothing in it is changed.

    Args:
        run: The folder.
        resume, overwrite: Whether these options were given.
        kind: The `format` of the trainer's runs.

    Raises:
        InputError: It is a file; or it holds files, and neither --resume nor --overwrite was given; or --overwrite was,
            and it holds no run of this trainer.
    """
    check_place(run)
    if resume or not run.is_dir() or not any(run.iterdir()):
        return
    if not overwrite:
        raise InputError(
            f"--out {run}: expected a new or empty folder, got one with files; --resume or --overwrite?"
        )
    if not (run / checkpoint.CONFIG).is_file():
        raise InputError(
            f"--overwrite {run}: expected the folder of an earlier run, got one without config.json"
        )
    # Many programs keep a config.json: what lies beside one of theirs is not ours to remove.
    if (found := kind_of(run)) != kind:
        raise InputError(
            f"--overwrite {run}: expected an earlier run, whose config.json has the format {kind!r}, got {found!r}"
        )


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


def take_folder(
    run: Path, overwrite: bool, files: Sequence[str], folders: Sequence[str], kept: Sequence[str] = ()
) -> None:
    """Make a run's folder, or take it over: what a killed run had begun to write goes.

    The configuration stays until the new run's replaces it: killed before, the folder is still known as a run's.

    Args:
        run: The folder, found fit by `check_folder`.
        overwrite: Whether an earlier run's own `files` and `folders` go too.
        files, folders: Their names in `run`.
        kept: Those of the files that are the new run's already.
    """
    if overwrite:
        for name in set(files) - {checkpoint.CONFIG, *kept}:
            (run / name).unlink(missing_ok=True)
        for name in folders:
            shutil.rmtree(run / name, ignore_errors=True)
    run.mkdir(parents=True, exist_ok=True)
    for name in files:
        for left in run.rglob(f".{name}.*.tmp"):
            left.unlink(missing_ok=True)


def device_of(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda`.

    Raises:
        InputError: `cuda` where there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: expected a GPU that PyTorch can use, got none")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def amp_of(name: str, device: torch.device) -> str:
    """`auto`, `bf16` or `off` to one of the latter two: auto is bf16 on a GPU that computes in it.

    Raises:
        InputError: `bf16` on a GPU that does not.
    """
    has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "bf16" and device.type == "cuda" and not has_it:
        raise InputError(
            f"--amp bf16: expected a GPU that computes in bfloat16, got {torch.cuda.get_device_name()}"
        )
    return {"auto": "bf16" if has_it else "off"}.get(name, name)


def repeatable(device: torch.device, threads: int) -> None:
    """Let results depend on nothing but the settings: that many CPU threads, and on a CPU only ways that repeat."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    # Else every new tensor is first filled with NaN, against programs that read what nobody wrote: 2 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def say(text: str) -> None:
    """One line for a person, above a progress bar; from the first process of a shared training only."""
    if (
        torch.distributed.is_available()
        and torch.distributed.is_initialized()
        and torch.distributed.get_rank()
    ):
        return
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()
