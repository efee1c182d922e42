"""What the commands share: exit codes, options of settings, numbers with limits, the device and its precision."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic.fields import FieldInfo

from trainer.core.console import speaks
from trainer.core.errors import InputError
from trainer.core.settings import Setting, fields_of


def exit_code(command: Callable[[], int], interrupted: Callable[[], str] = lambda: "interrupted") -> int:
    """What a command returns; 2 after a user's mistake and 1 after Ctrl-C, each told on stderr without a traceback.

    Args:
        command: does the work and returns its exit code.
        interrupted: what Ctrl-C is answered with.
    """
    try:
        return command()
    except InputError as error:
        for problem in error.problems if speaks() else ():
            sys.stderr.write(f"error: {problem}\n")
        return 2
    except (NotADirectoryError, PermissionError) as error:
        if speaks():
            sys.stderr.write(
                f"error: {error.filename or 'a file'}: expected a place that can be used, got: {error.strerror}\n"
            )
        return 2
    except KeyboardInterrupt:
        if speaks():
            sys.stderr.write(f"{interrupted()}\n")
        return 1


def number(kind: type, low: float, high: float, above: bool = False) -> Callable[[str], Any]:
    """A parser of numbers of `kind` from `low`, or above it, to `high`."""
    limits: Any = {"gt" if above else "ge": low, "le": high}
    return Setting("", FieldInfo.from_annotation(Annotated[kind, Field(**limits)]), {}).parse  # type: ignore[arg-type]


def add_options(groups: Mapping[str, argparse._ActionsContainer], model: type) -> None:
    """Add an option for each setting of a model that has one; its default is None, which says that it was not given.

    Args:
        groups: Where the options of each group go; at "" those of settings that name no group.
        model: See `fields_of`.
    """
    for name, one in fields_of(model).items():
        if not one.option:
            continue
        words: dict[str, Any] = {"dest": name}
        if one.kind is bool:
            words |= {"action": "store_const", "const": not one.field.default}
        else:
            words |= {"metavar": one.asked.get("metavar"), "choices": one.choices or None}
            if one.kind is int or (not one.choices and one.kind is not str):
                words["type"] = int if one.choices else one.parse
        default = f" ({one.default})" if one.default else ""
        words["help"] = f"{one.field.description}{default}".replace("%", "%%")
        groups[one.asked.get("group", "")].add_argument(one.option, **words)


def device_of(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda`; `accelerate launch --cpu` hides the GPUs.

    Raises:
        InputError: `cuda` where there is none.
    """
    usable = torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "").lower() != "true"
    if name == "cuda" and not usable:
        raise InputError("--device cuda: expected a GPU that PyTorch can use, got none")
    return torch.device("cuda" if name != "cpu" and usable else "cpu")


def amp_of(name: str, device: torch.device) -> str:
    """`auto`, `bf16` or `off` to one of the latter two: auto is bf16 on a GPU that computes in it.

    Raises:
        InputError: `bf16` on a GPU that does not.
    """
    has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if name == "bf16" and device.type == "cuda" and not has_it:
        raise InputError(f"--amp bf16: expected a GPU that computes in bfloat16, got {torch.cuda.get_device_name()}")
    return {"auto": "bf16" if has_it else "off"}.get(name, name)


def repeatable(device: torch.device, threads: int) -> None:
    """Let results depend on nothing but the settings: that many CPU threads, and on a CPU only ways that repeat."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(device.type == "cpu")
    # Else every new tensor is first filled with NaN, against programs that read what nobody wrote: 2 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
