"""List the photographs of a folder for a command that needs some there."""

from __future__ import annotations

import sys
from pathlib import Path

from blender_scripts.contract.errors import InputError
from generator.io.pictures import READ_SUFFIXES, passed_over, pictures_in


def photographs_in(folder: Path) -> list[Path]:
    """Return the paths of the pictures in a folder, not in its subfolders, sorted by name; at least one.

    What else the folder holds is noted on stderr.

    Raises:
        InputError: the folder has no picture; the message counts the other files, by suffix.
    """
    found, note = pictures_in(folder), passed_over(folder, below=False)
    if not found:
        others = f": {note.removeprefix(f'{folder}: ')}" if note else ""
        raise InputError(f"{folder}: expected at least one picture ({', '.join(READ_SUFFIXES)}), got none{others}")
    if note:
        sys.stderr.write(f"{note}\n")
    return found
