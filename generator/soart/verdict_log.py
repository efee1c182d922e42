"""The append-only log of verdicts, OUT/verdicts.jsonl, and the names of the files written for each picture or part.

The log gets one line per verdict: the JSON document of the file OUT/NAME.json. A picture is identified by its file name
and the SHA-256 of its bytes, a part by its name and the SHA-256 of each view's picture. The files for a picture are
written before its line. If the program is killed in between, the line is added when the log is next opened with
`resume`; a picture without NAME.json is judged again.

    with VerdictLog(out, resume=True) as log:
        if (path.name, sha256) not in log:
            name = log.name_for(path, sha256)          # p, or p-3f2a91c0 if p.json is another picture's
            write_whole(out / f"{name}.json", ...)
            log.append(document)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from blender_scripts.contract.errors import InputError
from generator.io.output_file import LONGEST_NAME
from generator.io.pictures import pictures_in
from generator.io.png_mark import has_mark
from generator.verdict.envelope import SCHEMA

try:
    import fcntl
except ImportError:  # not on Windows, where two programs on one log are not detected
    fcntl = None  # type: ignore[assignment]

NAME = "verdicts.jsonl"
# Mark of every picture of a verdict, to know our own: a program that is stopped may leave a picture alone.
MARK = "Pinsight generator inspect"
# Name of a picture's file or of a part, and SHA-256 (of a part: of its views' SHA-256).
Picture = tuple[str, str]


class VerdictLog:
    """The log of verdicts in an output folder, open for appending.

    Args:
        folder: the output folder; made if it does not exist.
        resume: whether to read which pictures have a verdict already; else the log is only appended to.

    Raises:
        InputError: another program has this log open.
    """

    def __init__(self, folder: Path, resume: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder / NAME
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
        self._file = os.open(self.path, flags, 0o666)
        if fcntl is not None:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._file)
                raise InputError(
                    f"{self.path}: expected a log that no other program uses, got one that another program has open"
                ) from None
        self._owners: dict[str, Picture] = {}
        self._done: set[Picture] = set()
        self._views: set[tuple[str, str, str]] = set()
        self._parts: dict[str, str] = {}
        self._end_last_line()
        if resume:
            self.read()
            self._add_missing()

    def __enter__(self) -> VerdictLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if os.fstat(self._file).st_size == 0:  # nothing was judged
            self.path.unlink(missing_ok=True)
        os.close(self._file)

    def __contains__(self, picture: Picture) -> bool:
        return picture in self._done

    def append(self, document: dict[str, Any]) -> None:
        """Append one verdict to the log, and wait until it is on the disk.

        `document` has the keys `picture` (file name) or `part`, `sha256`, and `report` (name of the JSON file).
        """
        line = f"{json.dumps(document)}\n".encode()
        if os.write(self._file, line) != len(line):
            raise OSError(f"{self.path}: expected space on the disk for a verdict, got a full disk")
        os.fsync(self._file)
        self._note(document)
        self._note_pictures(document)

    def name_for(self, path: Path, sha256: str) -> str:
        """Return the name, without suffix, for a picture's output files: that of the picture's file `path`.

        If files of this name belong to another picture or program, `sha256` (hex), or its first 8 digits, is appended.
        """
        return self._name(path.stem, (path.name, sha256))

    def name_for_part(self, part: str, sha256: Mapping[str, str]) -> str:
        """Return the name for a part's output files, like `name_for`; `sha256`: that of each view's picture, in hex."""
        return self._name(part, (part, _digest(sha256)))

    def has_view(self, part: str, view: str, sha256: str) -> bool:
        """Whether a verdict on the part has judged this picture of the view."""
        return (part, view, sha256) in self._views

    def part_with(self, sha256: str) -> str | None:
        """Return the part of the first verdict with this picture, in any view; None if there is none."""
        return self._parts.get(sha256)

    def _name(self, stem: str, picture: Picture) -> str:
        stem, sha256 = _shortened(stem), picture[1]
        for name in (stem, f"{stem}-{sha256[:8]}"):
            files = files_of(name)
            is_free = all(self._owners.get(file, picture) == picture for file in files)
            if is_free and not foreign_files(self.folder, files):
                break
        else:
            name = f"{stem}-{sha256}"
        self._owners |= dict.fromkeys(files_of(name), picture)
        return name

    def remove_earlier(self, name: str) -> None:
        """Remove the files that an earlier program wrote for a picture, so that no old verdict stays beside a new one.

        `name` is that of the files without suffix. The lines of the log stay. If there is no earlier verdict NAME.json,
        nothing is removed.
        """
        report, drawn, maps = (self.folder / file for file in files_of(name))
        document = _document_in(report)
        if document is None:
            return
        for sha256 in document["sha256"].values() if isinstance(document["sha256"], dict) else ():
            if self._parts.get(sha256) == document["part"]:
                del self._parts[sha256]
        # NAME_maps.png is the overlay of a picture NAME_maps, if that has a verdict of its own.
        is_of_another = _document_in(maps.with_suffix(".json")) is not None
        for file in (drawn, *(() if is_of_another else (maps,)), report):
            file.unlink(missing_ok=True)

    def remove_earlier_on(self, pictures: Iterable[Path], of_parts: bool) -> None:
        """Remove, like `remove_earlier`, the files of verdicts on these pictures, as parts or each on its own.

        A picture is identified by the names of its file and folder, as the folder itself may have been moved.
        """
        whole = [one for path in pictures for one in (path.absolute(), path.resolve())]
        ends = {path.parts[-count:] for path in whole for count in (1, 2)}
        for report in sorted(self.folder.glob("*.json")):
            document = _document_in(report)
            if document is None or isinstance(document["sha256"], dict) != of_parts:
                continue
            files = [Path(file) for file in _files_in(document)]
            if any({file.parts[-2:], file.resolve().parts[-2:]} & ends for file in files):
                self.remove_earlier(report.stem)

    def _note(self, document: dict[str, Any]) -> None:
        picture = _identity(document)
        self._done.add(picture)
        if isinstance(document["sha256"], dict):
            self._views |= {(document["part"], view, sha256) for view, sha256 in document["sha256"].items()}
        self._owners |= dict.fromkeys(files_of(document["report"].removesuffix(".json")), picture)

    def _note_pictures(self, document: dict[str, Any]) -> None:
        for sha256 in document["sha256"].values() if isinstance(document["sha256"], dict) else ():
            self._parts.setdefault(sha256, document["part"])

    def _end_last_line(self) -> None:
        """End a line that was cut off when the program was killed, so that the next one is whole."""
        if os.lseek(self._file, 0, os.SEEK_END):
            os.lseek(self._file, -1, os.SEEK_END)
            if os.read(self._file, 1) != b"\n":
                os.write(self._file, b"\n")

    def read(self) -> None:
        """Read from the log which pictures have a verdict, as `resume` does."""
        latest: dict[str, dict[str, Any]] = {}
        with self.path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                # Without its file, an earlier verdict was removed by a call that then did not judge the picture.
                if (document := _document(line)) and (self.folder / document["report"]).is_file():
                    self._note(document)
                    if isinstance(document["sha256"], dict):
                        latest[document["report"]] = {key: document[key] for key in ("part", "sha256")}
        for document in latest.values():
            self._note_pictures(document)

    def _add_missing(self) -> None:
        """Add verdicts to the log that have a JSON file but no line."""
        for file in sorted(self.folder.glob("*.json")):
            document = _document_in(file)
            if document is None:
                self._owners.setdefault(file.name, ("", ""))  # a file of another program or version stays as it is
            elif _identity(document) not in self._done:
                self.append(document)


def files_of(name: str) -> tuple[str, str, str]:
    """Return the output files of a picture or part: NAME.json (verdict), NAME.png (overlay), NAME_maps.png."""
    return f"{name}.json", f"{name}.png", f"{name}_maps.png"


def foreign_files(folder: Path, names: Iterable[str]) -> list[str]:
    """List which of these output files are there already without belonging to a verdict, such as photographs."""
    return [name for name in names if os.path.lexists(folder / name) and not _is_of_verdict(folder / name)]


def other_pictures(folder: Path, most: int) -> list[str]:
    """List pictures in a folder, up to `most`, beside which lies no JSON file, and which are no marked pictures."""
    found: list[str] = []
    for path in pictures_in(folder) if folder.is_dir() else ():
        stems = path.stem, path.stem.removesuffix("_maps")
        if not any(path.with_name(f"{stem}.json").is_file() for stem in stems) and not has_mark(path):
            found.append(path.name)
        if len(found) == most:
            break
    return found


def _is_of_verdict(file: Path) -> bool:
    """Whether a file is a verdict, is a picture beside its verdict, or has the mark of the pictures of verdicts."""
    if file.suffix == ".json":
        return _document_in(file) is not None
    reports = {file.with_name(f"{stem}.json") for stem in (file.stem, file.stem.removesuffix("_maps"))}
    return any(_document_in(report) is not None for report in reports) or has_mark(file, MARK)


def _document_in(file: Path) -> dict[str, Any] | None:
    """Read a verdict's file; None if it is missing or something else."""
    return _document(file.read_text("utf-8", errors="replace")) if file.is_file() else None


def _document(text: str) -> dict[str, Any] | None:
    """Parse a verdict; None if the text is cut off or something else."""
    try:
        document = json.loads(text)
        name, sha256 = _identity(document)
        is_verdict = document["schema"] == SCHEMA and all(
            isinstance(text, str) for text in (name, sha256, document["report"])
        )
    except (ValueError, KeyError, TypeError):
        return None
    return document if is_verdict else None


def _identity(document: Mapping[str, Any]) -> Picture:
    """Return what a verdict is about: name and SHA-256 of the picture or part."""
    if isinstance(document["sha256"], dict):
        return document["part"], _digest(document["sha256"])
    return document["picture"], document["sha256"]


def _files_in(document: Mapping[str, Any]) -> list[str]:
    """Return the paths of the pictures of a verdict, as the command was given them."""
    if isinstance(document["sha256"], dict):
        return list(document.get("files", {}).values())
    return [document.get("file", document["picture"])]


def _digest(sha256: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(dict(sha256), sort_keys=True).encode()).hexdigest()


def _shortened(stem: str) -> str:
    """Cut a file name's stem so that every file made for it has an allowed length."""
    room = LONGEST_NAME - len("_maps.json") - 65
    encoded = os.fsencode(stem)
    return stem if len(encoded) <= room else encoded[:room].decode("utf-8", errors="ignore")
