"""Where a command may write, never where its inputs lie; and files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from blender_scripts.contract.errors import InputError

# Bytes that a file system takes for a name, less the dot and the ending of a file that is not finished.
LONGEST_NAME = 255 - len("..part")


def check_file(path: Path, option: str, suffixes: Sequence[str], inputs: Iterable[Path] = ()) -> None:
    """Refuse a file that cannot be written, or that would lie among what is read.

    Args:
        path: the file.
        option: what a message calls it.
        suffixes: what its name may end in, in small letters; none: anything.
        inputs: files, and folders with all below them, that stay as they are.

    Raises:
        InputError: the first of these.
    """
    if os.path.isdir(path):  # not Path.is_dir, which may raise where a name is too long
        raise InputError(f"{option} {path}: expected the name of a file, got a folder")
    for source in inputs:
        if path.resolve().is_relative_to(source.resolve()):
            raise InputError(f"{option} {path}: expected a file apart from {source}, which stays as it is")
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{option}: expected a name that ends in {' or '.join(suffixes)}, got {path}")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise InputError(f"{option}: expected a name of at most {LONGEST_NAME} bytes, got {path.name}")
    check_folder(path.parent, option)


def check_folder(folder: Path, option: str) -> None:
    """Refuse a folder that cannot be made or written: it is a file, lies below one, or is another user's.

    Raises:
        InputError: says which.
    """
    place = folder.resolve()
    # Not Path.exists, which raises where a name is too long.
    there = next(path for path in (place, *place.parents) if os.path.exists(path))
    if not there.is_dir():
        raise InputError(f"{option} {folder}: expected a folder, got the file {there}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{option} {folder}: expected a folder that can be written, got {there}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)
