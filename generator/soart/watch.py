"""Wait for pictures that a camera or another program writes into a folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from blender_scripts.contract.errors import InputError
from generator.io.pictures import decoded, files_below, is_picture, pictures_in
from generator.io.view_names import parts_of, view_of

# Programs that copy files give them such a suffix, last or before that of the picture, until they are whole.
TEMPORARY = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".filepart")
# A picture that cannot be decoded is taken for unfinished until it has not changed for this long.
UNFINISHED_S = 5.0
# A part, and whether it is a folder of pictures that are named after the view alone.
_Key = tuple[str, bool]


def is_temporary(path: Path) -> bool:
    """Return whether a file's name marks it as not yet complete, such as `a.part`."""
    is_marked = path.name.startswith((".", "~")) or path.stem.endswith("~")
    return is_marked or any(suffix.lower() in TEMPORARY for suffix in path.suffixes[-2:])


def arrivals(folder: Path, pause_s: float = 0.5) -> Iterator[Path]:
    """Yield the pictures in a folder, then new and replaced ones without end, each as soon as it is complete.

    A picture is complete when it has stopped changing and can be decoded. A picture that cannot be decoded is yielded
    when it has not changed for UNFINISHED_S seconds, and so is a link that leads to no file. Files with the name of an
    incomplete file are ignored. The folder is read, without its subfolders, every `pause_s` seconds.
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
        sha256: SHA-256, in hex, of each view's picture when it arrived, empty for a file that could not be read then;
            without an entry, any bytes are taken for the view's picture.
        wrong: why a view must not be judged, by view.
    """

    part: str
    files: Mapping[str, Path]
    problem: str = ""
    sha256: Mapping[str, str] = MappingProxyType({})
    wrong: Mapping[str, str] = MappingProxyType({})


def arriving_parts(
    folder: Path, views: Sequence[str], wait_s: float, is_judged: Callable[[str, str, str], bool], pause_s: float = 0.5
) -> Iterator[Arrival]:
    """Yield the parts whose pictures come into a folder or its subfolders, without end; see `arrivals`.

    A part is yielded as soon as there is a picture of every view; or, with the pictures that there are, `wait_s`
    seconds after the last of them, when a look at the folder has then found no further picture of it. Pictures that
    come later are another set. So is a second picture of a view, if a second part has the name of the first: it ends
    the wait for the first set. `wrong` tells of pictures in the second set that may be late ones of the first, and of
    two files of a part that show one view.

    Args:
        folder: the folder, which is read every `pause_s` seconds.
        views: names of the views.
        wait_s: time to wait for a part's missing views, seconds.
        is_judged: whether a picture is passed over; gets the part, the view and the picture's SHA-256 in hex.
    """
    watched, sets = _Watched(), _Sets(views)
    while True:
        begun = time.monotonic()
        pictures = [path for path in files_below(folder) if is_picture(path)]
        sets.see(pictures)
        for path in watched.complete(pictures):
            yield from sets.add(path, is_judged)
        yield from sets.expired(begun - wait_s, watched.unfinished)
        time.sleep(pause_s)


@dataclass
class _Waiting:
    """Pictures of a part; `started_by` is the view whose second picture ended the set before, if one did."""

    files: dict[str, Path]
    sha256: dict[str, str]
    started_by: str
    since: float = 0.0


class _Sets:
    """The pictures of parts that wait for other views, in a folder with pictures of these views."""

    def __init__(self, views: Sequence[str]) -> None:
        self._views = views
        self._places: dict[Path, tuple[_Key, str] | None] = {}
        self._files: dict[tuple[_Key, str], list[Path]] = {}
        self._waiting: dict[_Key, _Waiting] = {}

    def see(self, pictures: Iterable[Path]) -> None:
        """Note which files of the folder show which view of which part, whether they are complete or not."""
        for path in pictures:
            if path in self._places or is_temporary(path):
                continue
            found = view_of(path, self._views)
            self._places[path] = place = found and ((found[0], path.stem == found[1]), found[1])
            if place:
                self._files.setdefault(place, []).append(path)

    def add(self, path: Path, is_judged: Callable[[str, str, str], bool]) -> Iterator[Arrival]:
        """Add a picture that has become complete; yields the sets that this ends."""
        place = self._places[path]
        if place is None:
            yield Arrival(str(path), {}, parts_of([path], self._views, all_views=False)[1][0])
            return
        key, view = place
        sha256 = _sha256_of(path)
        started_by = ""
        if key in self._waiting and view in self._waiting[key].files:
            yield self._ended(key)
            started_by = view
        if is_judged(key[0], view, sha256):
            return
        waiting = self._waiting.setdefault(key, _Waiting({}, {}, started_by))
        waiting.files[view], waiting.sha256[view], waiting.since = path, sha256, time.monotonic()
        if len(waiting.files) == len(self._views):
            yield self._ended(key)

    def expired(self, latest: float, unfinished: Iterable[Path]) -> Iterator[Arrival]:
        """Yield the sets whose last picture came at `latest` or before, if no other picture of the part is unfinished.

        `latest` is a time of `time.monotonic`.
        """
        growing = {place[0] for path in unfinished if (place := self._places.get(path))}
        for key, waiting in list(self._waiting.items()):
            if waiting.since <= latest and key not in growing:
                yield self._ended(key)

    def _ended(self, key: _Key) -> Arrival:
        waiting = self._waiting.pop(key)
        wrong = {}
        for view, path in waiting.files.items():
            if waiting.started_by not in ("", view):
                wrong[view] = (
                    f"{path}: expected views of one part, got one that may be of the part before, which lacks it"
                )
            others = [str(other) for other in self._files[key, view] if other != path and other.exists()]
            if others:
                wrong[view] = f"{path}: expected one picture of view {view}, got {', '.join(others)} too"
        return Arrival(key[0], waiting.files, "", waiting.sha256, wrong)


def _sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex; empty if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


class _Watched:
    """What is known of the pictures in a folder since the first look at it.

    Attributes:
        unfinished: the pictures that were still changing, or could not be decoded, at the latest look.
    """

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}
        self._done: dict[Path, tuple[int, int]] = {}
        self.unfinished: set[Path] = set()

    def complete(self, paths: Iterable[Path]) -> Iterator[Path]:
        """Yield those of the pictures that have become complete, or were replaced, since the last call."""
        self.unfinished = set()
        for path in paths:
            state = _state(path)
            if state is None:
                continue
            if is_temporary(path) or self._done.get(path) == state:
                continue
            before, since = self._seen.get(path, (None, 0.0))
            if before != state:
                self._seen[path] = (state, time.monotonic())
                self.unfinished.add(path)
            elif time.monotonic() - since >= UNFINISHED_S or _is_whole(path):
                self._done[path] = state
                yield path
            else:
                self.unfinished.add(path)


def _state(path: Path) -> tuple[int, int] | None:
    """Return size and time of change of a file, size -1 for a link that leads to none; None if it is gone."""
    try:
        status = path.stat()
        return status.st_size, status.st_mtime_ns
    except OSError:
        pass
    try:
        return -1, path.lstat().st_mtime_ns
    except OSError:
        return None


def _is_whole(path: Path) -> bool:
    try:
        decoded(path, path.name)
    except InputError:
        return False
    return True
