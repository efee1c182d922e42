"""Check that an output can be written and is not among the inputs; write files atomically."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.output_path import check_parents, check_writable

# Longest file name in bytes: the file system's limit, less the `.` and `.part` added to an unfinished file's name.
LONGEST_NAME = 255 - len("..part")
# Errors of a disk, a quota or a limit of a file's size that is reached.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_file(path: Path, option: str, suffixes: Sequence[str], inputs: Iterable[Path] = ()) -> None:
    """Check that an output file can be written, and that it is not an input file or in an input folder.

    Args:
        path: the output file; its folder may be missing, but not that folder's parent.
        option: name of the option in messages, such as `-o`.
        suffixes: suffixes that its name may have, in lower case; empty: any.
        inputs: input files and folders.

    Raises:
        InputError: with the first fault found.
    """
    if os.path.isdir(path):  # not Path.is_dir, which may raise if a name is too long
        raise InputError(f"{option} {path}: expected the name of a file, got a folder")
    for source in inputs:
        if path.resolve().is_relative_to(source.resolve()):
            raise InputError(f"{option}: expected an output file outside the input {source}, got {path}")
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{option}: expected a name that ends in {' or '.join(suffixes)}, got {path}")
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise InputError(f"{option}: expected a name of at most {LONGEST_NAME} bytes, got {path.name}")
    check_folder(path.parent, option, parents=0)


def check_folder(folder: Path, option: str, parents: int = 1) -> None:
    """Check that an output folder can be made and written.

    Args:
        folder: the output folder, which may exist or not.
        option: name of the option in messages, such as `--out`.
        parents: largest number of missing parent folders that may be created with it.

    Raises:
        InputError: the path is a file or leads through one, more than `parents` parent folders are missing, or
            nothing can be written there.
    """
    place = folder.resolve()
    # Not Path.exists, which raises if a name is too long.
    there = next(path for path in (place, *place.parents) if os.path.exists(path))
    if not there.is_dir():
        raise InputError(f"{option} {folder}: expected a folder, got the file {there}")
    check_parents(folder, option, parents)
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{option} {folder}: expected a folder that can be written, got no permission for {there}")
    check_writable(folder, f"{option} {folder}")


def write_error(place: str, error: OSError) -> InputError:
    """Return an InputError that names a place, such as `--to DIR`, to be raised for an OSError from writing there."""
    expected = "enough space for all files" if error.errno in FULL else "a folder that can be written"
    return InputError(f"{place}: expected {expected}, got: {error.strerror}")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically: readers see either the old or the new content. Its folder is created if needed.

    Raises:
        OSError: the file cannot be written; it names the file, and leaves nothing behind.
    """
    write_together({path: content})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together, each atomically, so that no old one stays beside a new one.

    If the command is killed meanwhile, the last ones may be missing.

    Args:
        files: contents by path.

    Raises:
        OSError: a file cannot be written; it names the file. If its content could not be, all are as before.
    """
    unfinished = {path: path.with_name(f".{path.name}.part") for path in files}
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                unfinished[path].write_bytes(content)
            except OSError as error:  # of an open file, Python states no name
                raise OSError(error.errno, error.strerror, str(path)) from None
        for path in list(files)[:0:-1]:
            path.unlink(missing_ok=True)
        for path, made in unfinished.items():
            made.replace(path)
    except BaseException:
        for made in unfinished.values():
            made.unlink(missing_ok=True)
        raise
