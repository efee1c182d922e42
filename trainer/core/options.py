"""Options and exit codes of all commands: options made from settings, numbers with limits, device and precision."""

import argparse
import ctypes
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol, get_origin

import torch
from pydantic import Field
from pydantic.fields import FieldInfo

from blender_scripts.contract import errors as contract
from blender_scripts.contract.errors import check_none_is_empty, grouped
from generator.io.given_once import GivenOnce
from generator.io.number_option import whole_number
from trainer.core.console import speaks
from trainer.core.errors import DifferentResultsError, InputError
from trainer.core.settings import Setting, fields_of


class Main(Protocol):
    """A command: runs with the arguments `argv` (None: those of the process) and returns its exit code."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


def exit_code(command: Callable[[], int], interrupted: Callable[[], str] = lambda: "interrupted") -> int:
    """Run a command and return its exit code, with a message on stderr if it is not the command's own.

    Args:
        command: Does the work and returns its exit code. It reports a user's mistake (2) by InputError, PermissionError
            or NotADirectoryError, and a check of its results that failed (1) by DifferentResultsError; its other errors
            are raised again. After Ctrl-C the exit code is 1.
        interrupted: Returns the line to print after Ctrl-C.
    """
    try:
        return command()
    except (InputError, contract.InputError) as error:
        for problem in grouped(error.problems) if speaks() else ():
            sys.stderr.write(f"error: {problem}\n")
        return 2
    except (NotADirectoryError, PermissionError) as error:
        if speaks():
            sys.stderr.write(
                f"error: {error.filename or 'a file'}: expected access to this path, got the error: {error.strerror}\n"
            )
        return 2
    except DifferentResultsError as error:
        if speaks():
            sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        if speaks():
            sys.stderr.write(f"{interrupted()}\n")
        return 1


def checked(
    run: Callable[[argparse.Namespace], int], args: argparse.Namespace, argv: Sequence[str] | None
) -> Callable[[], int]:
    """Return a command for `exit_code`: it refuses empty arguments in `argv`, then calls `run` with `args`."""

    def command() -> int:
        check_none_is_empty(sys.argv[1:] if argv is None else argv)
        return run(args)

    return command


def main_of(parser: Callable[[], argparse.ArgumentParser], run: Callable[[argparse.Namespace], int]) -> Main:
    """Return the function that parses a command's arguments by the parser made, and calls `run`."""

    def main(argv: Sequence[str] | None = None) -> int:
        """Run the command with the arguments `argv` (None: those of the process); returns its exit code."""
        args = parser().parse_args(argv)
        return exit_code(checked(run, args, argv))

    return main


def parser_with_example(command: str, description: str, example: str) -> argparse.ArgumentParser:
    """Make the parser of `python -m trainer.COMMAND`; its --help shows description and example line by line."""
    return argparse.ArgumentParser(
        prog=f"python -m trainer.{command}",
        description=description,
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def number(kind: type, low: float, high: float, above: bool = False) -> Callable[[str], Any]:
    """Return a parser for an option's text: an int or float (`kind`) from `low`, or above it (`above`), to `high`."""
    limits: Any = {"gt" if above else "ge": low, "le": high}
    return Setting("", FieldInfo.from_annotation(Annotated[kind, Field(**limits)]), {}).parse  # type: ignore[arg-type]


def add_options(groups: Mapping[str, argparse._ActionsContainer], model: type) -> None:
    """Add the options of a model's settings to a parser; the value None means that an option was not given.

    Args:
        groups: Argument group by name; "" for settings without a group.
        model: A class of settings: see `fields_of`.
    """
    for name, one in fields_of(model).items():
        if not one.option:
            continue
        words: dict[str, Any] = {"dest": name}
        if one.asked.get("either"):
            words["action"] = argparse.BooleanOptionalAction
        elif one.kind is bool:
            words |= {"action": "store_const", "const": not one.field.default}
        else:
            words |= {"metavar": one.asked.get("metavar"), "choices": one.choices or None}
            if get_origin(one.kind) is tuple:
                words["action"] = GivenOnce
            if one.kind is int or (not one.choices and one.kind is not str):
                words["type"] = whole_number if one.choices else one.parse
        default = f" (default: {one.default})" if one.default else ""
        words["help"] = f"{one.field.description}{default}".replace("%", "%%")
        groups[one.asked.get("group", "")].add_argument(one.option, **words)


def add_device(p: argparse._ActionsContainer) -> None:
    """Add --device."""
    p.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="device; auto: a GPU if there is one (default: auto)",
    )


def device_of(name: str) -> torch.device:
    """Return the device for --device `auto`, `cpu` or `cuda`; under `accelerate launch --cpu` no GPU is usable.

    Raises:
        InputError: `cuda` without a usable GPU.
    """
    usable = torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "").lower() != "true"
    if name == "cuda" and not usable:
        raise InputError("--device cuda: expected a GPU that PyTorch can use, got none; give --device cpu or auto")
    return torch.device("cuda" if name != "cpu" and usable else "cpu")


def amp_of(name: str, device: torch.device) -> str:
    """Return the precision for --amp `name`: `auto` is `bf16` if `device` is a GPU that has bfloat16, otherwise `off`.

    Raises:
        InputError: `bf16` on a GPU that does not compute in bfloat16.
    """
    has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "bf16" and device.type == "cuda" and not has_it:
        raise InputError(
            f"--amp bf16: expected a GPU that computes in bfloat16, got {torch.cuda.get_device_name()}; "
            "give --amp off or auto"
        )
    return {"auto": "bf16" if has_it else "off"}.get(name, name)


def repeatable(device: torch.device, threads: int) -> None:
    """Make results repeatable: set the number of CPU threads and, on a CPU, use deterministic algorithms only."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    # By default PyTorch then fills new tensors with NaN, to find reads of unset memory: 2 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    _keep_freed_memory()


# Parameters of mallopt and their values here, bytes: larger blocks than the first get memory of their own; free memory
# above the second goes back to the system.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = (-3, 2**30), (-1, 2**31 - 1)


def _keep_freed_memory() -> None:
    """Let the C library keep freed memory for the next step, on Linux with glibc.

    It hands large blocks back to the system otherwise, which then fills them with zeros again: on two cores a quarter
    of a gauge's step.
    """
    if sys.platform == "linux":
        for parameter in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            getattr(ctypes.CDLL(None), "mallopt", lambda *_: 0)(*parameter)
