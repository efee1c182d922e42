"""Wait for pictures that a camera or another program writes into a folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from blender_scripts.contract.errors import InputError
from generator.io.pictures import decoded, files_below, is_picture, pictures_in
from generator.io.view_names import parts_of

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
    watched = _Watched()
    while True:
        yield from watched.complete(pictures_in(folder))
        time.sleep(pause_s)


class Arrival(NamedTuple):
    """Pictures that arrived together.

    Attributes:
        part: path of the part without the view, or of a picture that belongs to no part.
        files: the part's pictures by view; views may be missing, if they did not arrive in time.
        problem: why the picture `part` belongs to no part; empty for a part.
    """

    part: str
    files: dict[str, Path]
    problem: str = ""


def arriving_parts(
    folder: Path,
    views: Sequence[str],
    wait_s: float,
    is_judged: Callable[[str, str, Path], bool],
    pause_s: float = 0.5,
) -> Iterator[Arrival]:
    """Yield the parts whose pictures come into a folder or its subfolders, without end; see `arrivals`.

    A part is yielded as soon as there is a picture of every view; or, with the pictures that there are, `wait_s`
    seconds after the last of them. Pictures that come later are another set: views of two parts are not mixed, even if
    the second part has the name of the first.

    Args:
        folder: the folder, which is read every `pause_s` seconds.
        views: names of the views.
        wait_s: time to wait for a part's missing views, seconds.
        is_judged: whether a picture is passed over; gets the part, the view and the picture's path.
    """
    watched = _Watched()
    waiting: dict[tuple[str, bool], tuple[dict[str, Path], float]] = {}
    while True:
        for path in watched.complete([path for path in files_below(folder) if is_picture(path)]):
            known, problems = parts_of([path], views, all_views=False)
            if not known:
                yield Arrival(str(path), {}, problems[0])
                continue
            ((part, of),) = known.items()
            ((view, _),) = of.items()
            if is_judged(part, view, path):
                continue
            key = part, path.stem == view
            files, _ = waiting.pop(key, ({}, 0.0))
            if files.get(view, path) != path:
                yield Arrival(str(path), {}, f"{path}: expected one picture of view {view}, got {files[view]} too")
            else:
                files = {**files, view: path}
            if len(files) == len(views):
                yield Arrival(part, files)
            else:
                waiting[key] = files, time.monotonic()
        for key, (files, since) in list(waiting.items()):
            if time.monotonic() - since >= wait_s:
                del waiting[key]
                yield Arrival(key[0], files)
        time.sleep(pause_s)


class _Watched:
    """What is known of the pictures in a folder since the first look at it."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}
        self._done: dict[Path, tuple[int, int]] = {}

    def complete(self, paths: Iterable[Path]) -> Iterator[Path]:
        """Yield those of the pictures that have become complete, or were replaced, since the last call."""
        for path in paths:
            try:
                status = path.stat()
            except OSError:  # it is gone
                continue
            state = (status.st_size, status.st_mtime_ns)
            if is_temporary(path) or self._done.get(path) == state:
                continue
            before, since = self._seen.get(path, (None, 0.0))
            if before != state:
                self._seen[path] = (state, time.monotonic())
            elif time.monotonic() - since >= UNFINISHED_S or _is_whole(path):
                self._done[path] = state
                yield path


def _is_whole(path: Path) -> bool:
    try:
        decoded(path, path.name)
    except InputError:
        return False
    return True
