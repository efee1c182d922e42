"""Check where an output folder would be made, so that a wrong path, or a disk that is not mounted, is not created."""

from __future__ import annotations

import os
from pathlib import Path

from blender_scripts.contract.errors import InputError

# Folders in which disks are mounted: nothing but a mount point belongs directly into them.
_MOUNTS = ("/mnt", "/media", "/run/media", "/Volumes")


def check_parents(folder: Path, option: str, most: int = 1) -> None:
    """Check that at most one parent folder would have to be created with an output folder.

    Args:
        folder: the output folder, which may exist or not.
        option: how messages call it.
        most: number of missing parent folders that are created too.

    Raises:
        InputError: more parents are missing; the message names the folder that is to be created first.
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
            f"{option} {folder}: expected a path that exists up to {needed}, got no folder {path[missing - 1]}: "
            f"create {needed}, or mount its disk"
        )
