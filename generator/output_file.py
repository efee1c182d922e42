"""The name of a file that a command writes, checked before its work begins: none is lost at its end, no input either."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from blender_scripts.errors import InputError


def check_output(option: str, path: Path, suffix: str, inputs: Sequence[Path] = ()) -> None:
    """Refuse a name that cannot be written, or that would replace what the command reads.

    Args:
        option: what gave the name, such as `-o`.
        path: the file; it need not be there, nor its folder.
        suffix: what its name ends in.
        inputs: the files that the command reads.

    Raises:
        InputError: says which.
    """
    if path.is_dir():
        raise InputError(f"{option} {path}: expected the name of a file, got a folder")
    for given in inputs:
        if path.exists() and given.exists() and path.samefile(given):
            raise InputError(f"{option} {path}: expected a file of its own, got the input {given}")
    if path.suffix.lower() != suffix:
        raise InputError(f"{option} {path}: expected a name that ends in {suffix}, got {path.name!r}")
    check_place(option, path)


def check_place(option: str, path: Path) -> None:
    """Refuse a place that no file or folder can be made in.

    Raises:
        InputError: the nearest folder that is there is none, or not ours to write in.
    """
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise InputError(f"{option} {path}: expected a place in a folder, got one below the file {above}")
    if not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"{option} {path}: expected a folder that can be written, got {above}, which cannot")
