"""The errors to raise where a renderer cannot be started, refuses the input, or fails."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence

from blender_scripts.contract.errors import InputError

ENVIRONMENT = "PINSIGHT_BLENDER"


class RenderError(Exception):
    """A renderer failed, through no mistake of the input. Commands print the message and exit with code 1."""


def no_blender(place: str, got: str) -> InputError:
    """Return the error to raise if a program is no Blender; `place`: what names the program, such as `--blender F`."""
    return InputError(f"{place}: expected an executable Blender, got {got}")


def not_started(command: Sequence[str], error: OSError) -> InputError:
    """Return the error to raise if the system refuses to start a renderer's command."""
    got = f"a file that cannot be executed: {error.strerror or error}"
    if isinstance(error, FileNotFoundError) and os.path.exists(command[0]):
        got = "a program whose interpreter (first line of a script) or loader is missing on this machine"
    return _no_renderer(command[0], got)


def refusal(command: Sequence[str], lines: Sequence[str]) -> InputError:
    """Return the error to raise after a renderer ended with exit code 2 (wrong input).

    Args:
        command: command that started it.
        lines: its standard error.
    """
    if expected := [line for line in lines if "expected" in line]:
        return InputError(expected)
    return _no_renderer(command[0], f"a program that ended with {_ended(2, lines)}")


def no_plan(command: Sequence[str], lines: Sequence[str]) -> InputError:
    """Return the error to raise if a program ended well, but did not print the plan for which it was asked."""
    return _no_renderer(command[0], f"a program that gives no answer, but ended with {_ended(0, lines)}")


def ending(code: int, lines: Sequence[str]) -> str:
    """Return a phrase on how a renderer ended, from exit code (-N: signal N) and the lines of its standard error."""
    return f"the renderer ended with {_ended(code, lines)}"


def failure(place: str, expected: str, got: str, output: str) -> RenderError:
    """Return the error to raise if rendering cannot go on; what a renderer wrote is kept in a file that it names.

    Args:
        place: what failed, such as the renderer's program.
        expected: what it should have done.
        got: what happened, on one line.
        output: all that it wrote.
    """
    handle, log = tempfile.mkstemp(".log", "pinsight-renderer-")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(output)
    return RenderError(f"{place}: expected {expected}, got: {got} (whole output: {log})")


def _ended(code: int, lines: Sequence[str]) -> str:
    ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    return ended + (f": {lines[-1]}" if lines else "")


def _no_renderer(program: str, got: str) -> InputError:
    if program == sys.executable:
        return InputError(f"{program}: expected a Python that can render, got {got}")
    wanted = os.environ.get(ENVIRONMENT)
    if wanted and shutil.which(wanted) == program:
        return no_blender(f"{ENVIRONMENT}={wanted}", got)
    return no_blender(f"--blender {program}", got)
