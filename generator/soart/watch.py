"""Wait for pictures that a camera or another program writes into a folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from blender_scripts.contract.errors import InputError
from generator.io.pictures import decoded, pictures_in

# Programs that copy files give them such a suffix, last or before that of the picture, until they are whole.
TEMPORARY = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".filepart")
# A picture that cannot be decoded is taken for unfinished until it has not changed for this long.
UNFINISHED_S = 5.0


def is_temporary(path: Path) -> bool:
    """Return whether a file's name marks it as not yet complete, such as `a.part`."""
    is_marked = path.name.startswith((".", "~")) or path.stem.endswith("~")
    return is_marked or any(suffix.lower() in TEMPORARY for suffix in path.suffixes[-2:])


def arrivals(folder: Path, pause_s: float = 0.5) -> Iterator[Path]:
    """Yield the pictures in a folder, then new and replaced ones without end, each as soon as it is complete.

    A picture is complete when it has stopped changing and can be decoded. A picture that cannot be decoded is yielded
    when it has not changed for UNFINISHED_S seconds. Files with the name of an incomplete file are ignored. The folder
    is read, without its subfolders, every `pause_s` seconds.
    """
    seen: dict[Path, tuple[tuple[int, int], float]] = {}
    done: dict[Path, tuple[int, int]] = {}
    while True:
        for path in pictures_in(folder):
            try:
                status = path.stat()
            except OSError:  # it is gone
                continue
            state = (status.st_size, status.st_mtime_ns)
            if is_temporary(path) or done.get(path) == state:
                continue
            before, since = seen.get(path, (None, 0.0))
            if before != state:
                seen[path] = (state, time.monotonic())
            elif time.monotonic() - since >= UNFINISHED_S or _is_whole(path):
                done[path] = state
                yield path
        time.sleep(pause_s)


def _is_whole(path: Path) -> bool:
    try:
        decoded(path, path.name)
    except InputError:
        return False
    return True
