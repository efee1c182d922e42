"""Check that an output can be written and is not among the inputs; write files atomically."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.output_path import check_parents

# Longest file name in bytes: the file system's limit, less the `.` and `.part` added to an unfinished file's name.
LONGEST_NAME = 255 - len("..part")


def check_file(path: Path, option: str, suffixes: Sequence[str], inputs: Iterable[Path] = ()) -> None:
    """Raise InputError if an output file cannot be written, or is one of the inputs or lies in one.

    Args:
        path: the output file.
        option: how messages call the file.
        suffixes: suffixes that its name may have, in lower case; empty: any.
        inputs: input files and folders, which must not change.

    Raises:
        InputError: the first fault found.
    """
    if os.path.isdir(path):  # not Path.is_dir, which may raise if a name is too long
        raise InputError(f"{option} {path}: expected the name of a file, got a folder")
    for source in inputs:
        if path.resolve().is_relative_to(source.resolve()):
            raise InputError(f"{option} {path}: expected a file apart from {source}, which stays as it is")
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{option}: expected a name that ends in {' or '.join(suffixes)}, got {path}")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise InputError(f"{option}: expected a name of at most {LONGEST_NAME} bytes, got {path.name}")
    check_folder(path.parent, option, parents=0)


def check_folder(folder: Path, option: str, parents: int = 1) -> None:
    """Raise InputError if an output folder cannot be made or written; `parents`: see `check_parents`.

    Raises:
        InputError: the path is a file, lies inside one, more of its parents are missing than are created with it, or
            permissions do not allow writing.
    """
    place = folder.resolve()
    # Not Path.exists, which raises if a name is too long.
    there = next(path for path in (place, *place.parents) if os.path.exists(path))
    if not there.is_dir():
        raise InputError(f"{option} {folder}: expected a folder, got the file {there}")
    check_parents(folder, option, parents)
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{option} {folder}: expected a folder that can be written, got {there}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically (readers see the old or the new content); its folder is created if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
