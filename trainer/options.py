"""What the training commands share: numbers with limits, the folder of a run, the device, and talking to a person."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from trainer import checkpoint, sharing
from trainer.errors import InputError


def exit_code(command: Callable[[], int], interrupted: str = "interrupted") -> int:
    """What a command returns; 2 after a user's mistake and 1 after Ctrl-C, each told on stderr without a traceback.

    Args:
        command: does the work and returns its exit code.
        interrupted: what Ctrl-C is answered with.
    """
    try:
        return command()
    except InputError as error:
        for problem in error.problems if sharing.speaks() else ():
            sys.stderr.write(f"error: {problem}\n")
        return 2
    except KeyboardInterrupt:
        if sharing.speaks():
            sys.stderr.write(f"{interrupted}\n")
        return 1


def number(kind: type, low: float, high: float, low_open: bool = False) -> Callable[[str], float]:
    """A parser of numbers of `kind` from `low` (or above it) to `high`."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high or (low_open and value == low):
            raise argparse.ArgumentTypeError(
                f"expected {'a whole number' if kind is int else 'a number'} "
                f"{'above' if low_open else 'from'} {low:g} to {high:g}, got {text!r}"
            )
        return value

    return parse


def prepare_folder(run: Path, resume: bool, overwrite: bool, files: Sequence[str]) -> None:
    """Make a run's folder, or take it over; of an earlier run only its own `files` are removed.

    What a killed run had begun to write goes too.

    Raises:
        InputError: It is a file, or holds files and neither --resume nor --overwrite was given.
    """
    if run.exists() and not run.is_dir():
        raise InputError(f"--out {run}: expected a folder, got a file")
    if resume:
        _remove_half_written(run, files)
        return
    if run.is_dir() and any(run.iterdir()):
        if not overwrite:
            raise InputError(
                f"--out {run}: expected a new or empty folder, got one with files; --resume or --overwrite?"
            )
        if not (run / checkpoint.CONFIG).is_file():
            raise InputError(
                f"--overwrite {run}: expected the folder of an earlier run, got one without config.json"
            )
        for name in files:
            (run / name).unlink(missing_ok=True)
        _remove_half_written(run, files)
    run.mkdir(parents=True, exist_ok=True)


def _remove_half_written(run: Path, files: Sequence[str]) -> None:
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
