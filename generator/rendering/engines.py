"""Choose the engine that renders: the package bpy (Blender as a Python module), or a Blender executable."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from blender_scripts.contract.errors import InputError
from generator.rendering.failures import ENVIRONMENT, no_blender

SCRIPT = Path(__file__).resolve().parents[2] / "blender_scripts" / "render.py"


def renderer_command(engine: str | None, blender: str | None) -> list[str]:
    """Return the command that starts a renderer process, to which the arguments of render.py are appended.

    Args:
        engine: "local" (the package bpy of this Python) or "blender" (an executable); None: "local" if bpy is installed
            and `blender` is None, else "blender".
        blender: path of the executable; None: that in the environment variable PINSIGHT_BLENDER, else blender on the
            PATH.

    Raises:
        InputError: this Python has no bpy, or there is no such executable.
    """
    if engine is None:
        engine = "blender" if blender or importlib.util.find_spec("bpy") is None else "local"
    if engine == "local":
        if importlib.util.find_spec("bpy") is None:
            raise InputError(
                "--engine local: expected the package bpy, got none: use Python 3.13 and `pip install '.[render]'` in "
                "this project's folder, or give --engine blender"
            )
        return [sys.executable, str(SCRIPT)]
    wanted = blender or os.environ.get(ENVIRONMENT) or "blender"
    found = shutil.which(wanted)
    if found is None:
        named = f"--blender {wanted}" if blender else f"{ENVIRONMENT}={wanted}"
        raise no_blender(named if blender or os.environ.get(ENVIRONMENT) else wanted, _instead(wanted))
    return [found, "-b", "--factory-startup", "--disable-autoexec", "--python-exit-code", "1", "-P", str(SCRIPT), "--"]


def _instead(wanted: str) -> str:
    """Say what a name is of which no program was found; a name without a folder was looked for on the PATH."""
    if not os.path.dirname(wanted):
        there = f" (for the file in this folder, give ./{wanted})" if os.path.isfile(wanted) else ""
        return f"no program of this name on the PATH{there or ' (--blender FILE names one elsewhere)'}"
    if os.path.isdir(wanted):
        return "a folder"
    return "a file that is not executable" if os.path.exists(wanted) else "no file"
