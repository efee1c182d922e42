"""Check the path of an output folder: that it is not mistyped or on a disk that is not mounted, and takes files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from blender_scripts.contract.errors import InputError

# Folders in which disks are mounted: nothing but a mount point belongs directly into them.
_MOUNTS = ("/mnt", "/media", "/run/media", "/Volumes")


def check_parents(folder: Path, option: str, most: int = 1) -> None:
    """Check that no more than `most` parent folders of an output folder are missing.

    Args:
        folder: the output folder, which may exist or not.
        option: name of the option in messages, such as `--out`.
        most: largest number of parent folders that may be missing; below a folder of mounts, such as /mnt, one fewer.

    Raises:
        InputError: more parents are missing; the message names the folder that the user has to create.
    """
    place = folder.resolve()
    path = (place, *place.parents)
    # Not Path.exists, which raises if a name is too long.
    missing = next(number for number, each in enumerate(path) if os.path.exists(each))
    in_mounts = str(path[missing]) in _MOUNTS
    made = most if in_mounts else most + 1
    if missing > made:
        needed = path[missing - 1] if in_mounts else path[made]
        raise InputError(
            f"{option} {folder}: expected that the folder {needed} exists, got no folder {path[missing - 1]}: "
            f"create {needed}, or mount its disk"
        )


def check_writable(folder: Path, place: str) -> None:
    """Check that a file can be made in a folder, or in the nearest one above it that exists; leaves none there.

    Permissions alone do not tell it: a disk may be read-only, and /proc takes no files.

    Args:
        folder: the output folder, which may exist or not.
        place: the beginning of the message: option and path.

    Raises:
        InputError: no file can be made.
    """
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if os.path.exists(path))
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise InputError(
            f"{place}: expected a folder that can be written, got an error in {there}: {error.strerror}"
        ) from None
