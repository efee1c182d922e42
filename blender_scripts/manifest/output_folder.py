"""The render folder: names of its files, which rows are finished, and atomic writing.

Each row gives a picture, a mask and a record, a JSON file with the ground truth. They are written in this order, each
under a temporary name and then renamed. The record comes last and holds the SHA-256 of the other two, so that a row
interrupted by a crash does not count as finished. Nothing is written through a symbolic link.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.record import RENDERER, difference, encode_record, is_edited, read_record
from blender_scripts.manifest.run import Run

# Paths of the files that manifests/ and scenes/ hold copies of, relative to the folder, by the copies' names.
PATHS = "manifest_paths.json"
SCENE_PATHS = "scene_paths.json"
SCENES = "scenes"
EXTRAS = ("depth", "normal")
FOLDERS = ("images", "masks", "records", "manifests")
# A record's renderer stands in its first bytes, behind the row, which has columns of the user's own.
_RENDERER, _HEAD = re.compile(rb'^ "renderer": "([^"\n]*)"', re.MULTILINE), 1 << 16
# A file name has at most 255 bytes, a character at most four.
_LONGEST_PART = 60


class OutputFolder:
    """The folder that holds pictures, masks, records and copies of the manifests.

    Args:
        root: path of the folder.
        create: whether to create a missing folder now; if false, call the method `create` before anything is written.
        records_only: whether a row counts as finished by its record alone; its picture and mask are on another machine.

    Raises:
        InputError: with `create`, the folder or a subfolder cannot be created, or a subfolder is a symbolic link.
    """

    def __init__(self, root: Path, create: bool = True, records_only: bool = False) -> None:
        self.root = root
        self.records_only = records_only
        if create:
            self.create()

    def create(self) -> None:
        """Create the folder and its subfolders; raises InputError if that fails or a subfolder is a symbolic link."""
        self._make(self.root)
        for name in FOLDERS:
            self._make(self.root / name)

    def _make(self, folder: Path) -> None:
        if folder != self.root and folder.is_symlink():
            raise InputError(f"{folder}: expected a folder, got a symbolic link")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder}: expected a folder that can be written, got: {error.strerror}") from None

    def image(self, run: str) -> Path:
        """Path of a run's picture, images/<run>.png."""
        return self.root / "images" / f"{run}.png"

    def mask(self, run: str) -> Path:
        """Path of a run's mask, masks/<run>.png."""
        return self.root / "masks" / f"{run}.png"

    def record(self, run: str) -> Path:
        """Path of a run's record, records/<run>.json."""
        return self.root / "records" / f"{run}.json"

    def has_record(self, run: str) -> bool:
        """Whether the folder has a run's record, as the renderer writes them."""
        try:
            return bool(read_record(self.record(run))["run"] == run)
        except InputError:
            return False

    def has_records(self) -> bool:
        """Whether the folder has the record of any run."""
        return any((self.root / "records").glob("*.json"))

    def note_other_renderers(self, runs: Iterable[Run]) -> str | None:
        """Return a sentence for the user about records that another version of the renderer made; None: there are none.

        Args:
            runs: the rows to be rendered, whose records will be replaced.
        """
        names = {run.run for run in runs}
        others: dict[str, str] = {}
        for path in sorted((self.root / "records").glob("*.json")):
            with contextlib.suppress(OSError), path.open("rb") as file:
                found = _RENDERER.search(file.read(_HEAD))
                if found and found[1].decode(errors="replace") != RENDERER:
                    others[path.stem] = found[1].decode(errors="replace")
        if not others:
            return None
        again, versions = sum(name in names for name in others), ", ".join(sorted(set(others.values())))
        left = len(others) - again
        rest = f"; rows that stay as they are: {left} (`build` refuses a folder with both versions)" if left else ""
        return f"{self.root}: rows of renderer version {versions} that version {RENDERER} renders again: {again}{rest}"

    def note_edited(self, rows: Iterable[tuple[Run, Connector]], chosen: Collection[str]) -> str | None:
        """Return a sentence for the user about rendered rows that were edited since and stay as they are; None: none.

        Args:
            rows: rows of the folder's manifests, each with its scene; read until every record's row was found.
            chosen: run names of the rows to be rendered, which are not looked at.
        """
        there = {path.stem for path in (self.root / "records").glob("*.json")}.difference(chosen)
        edited = []
        for run, connector in rows if there else ():
            if run.run not in there:
                continue
            record = self._record_of(run.run)
            if record is not None and is_edited(record, run, connector):
                edited.append(run.run)
            there.discard(run.run)
            if not there:
                break
        if not edited:
            return None
        return (
            f"{self.root}: rows not chosen now whose manifest row or scene was edited since they were rendered: "
            f"{len(edited)} (such as {edited[0]}). They stay as they are (`build` may refuse them): render them, too"
        )

    def finished(self, run: Run, row_sha256: str) -> dict[str, Any] | None:
        """Return a row's record if it and all files that it lists are there, unchanged; else None (not finished).

        Args:
            run: the row.
            row_sha256: the row's hash with its present settings; a record with another hash does not count.
        """
        record = self._record_of(run.run)
        if record is None or record["row_sha256"] != row_sha256 or not self._is_whole(record):
            return None
        return record

    def is_whole(self, run: str) -> bool:
        """Whether a run's picture, mask and record exist and are unchanged, whatever the row's hash is now."""
        record = self._record_of(run)
        return record is not None and self._is_whole(record)

    def refresh(self, record: dict[str, Any], current: dict[str, Any]) -> None:
        """Write a finished row's record anew if keys on which its picture does not depend have changed.

        Args:
            record: the record in the folder.
            current: the keys on which the picture does not depend, with the values that they have now.
        """
        fresh = {**record, **current}
        if encode_record(fresh) != encode_record(record):
            self.replace_file(self.record(record["run"]), encode_record(fresh))

    def check_finished(self, runs: Iterable[Run], head_of: Callable[[Run], dict[str, Any]]) -> None:
        """Check that no finished picture would be replaced by one with other settings (without --out and --force).

        Args:
            runs: the rows to be rendered.
            head_of: function that returns the first keys of the record that a row would get if it was rendered now.

        Raises:
            InputError: how many finished rows have other settings, and how the first of them differs.
        """
        count, first = 0, ""
        for run in runs:
            record, head = self._record_of(run.run), head_of(run)
            if record is None or record["row_sha256"] == head["row_sha256"] or not self._is_whole(record):
                continue
            first = first or f"{run.run}: {difference(record, head)}"
            count += 1
        if count:
            raise InputError(
                f"{self.root}: expected finished rows with the settings of this command, got {count} with other "
                f"settings (such as {first}): to render these rows again, give --out {self.root}; to keep them, give "
                "--out with another folder; to render all rows again, give --force"
            )

    def _record_of(self, run: str) -> dict[str, Any] | None:
        try:
            record = read_record(self.record(run))
        except InputError:
            return None
        return record if record["run"] == run else None

    def _is_whole(self, record: dict[str, Any]) -> bool:
        """Whether a record's files exist and have the SHA-256 that it states."""
        if self.records_only:
            return True
        run = record["run"]
        files = {self.image(run): record["image_sha256"], self.mask(run): record["mask_sha256"]}
        files |= {self.extra(kind, run): known for kind, known in record.get("extras_sha256", {}).items()}
        try:
            return all(hashlib.sha256(file.read_bytes()).hexdigest() == known for file, known in files.items())
        except OSError:
            return False

    def extra(self, kind: str, run: str) -> Path:
        """Path of a run's extra array of the `kind` depth or normal (see EXTRAS), such as depth/<run>.npy."""
        return self.root / kind / f"{run}.npy"

    def write(self, run: str, image: bytes, mask: bytes, record: dict[str, Any], extras: dict[str, bytes]) -> None:
        """Write one row's picture, mask, extra arrays and record.

        Args:
            run: the row's run name.
            image, mask: the PNG files' bytes.
            record: the row's record; the SHA-256 of the files are filled in here.
            extras: bytes of .npy files by kind (one of EXTRAS); older files of other kinds are removed.

        Raises:
            OSError: a file cannot be written, or does not have the size that was written.
        """
        hashes = {"image_sha256": hashlib.sha256(image).hexdigest(), "mask_sha256": hashlib.sha256(mask).hexdigest()}
        filled = {key: hashes.get(key, value) for key, value in record.items()}
        if extras:
            filled["extras_sha256"] = {kind: hashlib.sha256(data).hexdigest() for kind, data in extras.items()}
        # The old record is removed first: a row must not count as finished while its files are replaced.
        self.record(run).unlink(missing_ok=True)
        for kind in EXTRAS:
            folder = self.root / kind
            if kind not in extras and folder.is_dir() and not folder.is_symlink():
                self.extra(kind, run).unlink(missing_ok=True)
        self.replace_file(self.image(run), image)
        self.replace_file(self.mask(run), mask)
        for kind, data in extras.items():
            self._make(self.root / kind)
            self.replace_file(self.extra(kind, run), data)
        self.replace_file(self.record(run), encode_record(filled))

    def replace_file(self, path: Path, content: bytes) -> None:
        """Write a file of the folder atomically: after a crash it has either the old or the new content."""
        temporary = path.with_name(f".{path.name[-_LONGEST_PART:]}.{os.getpid()}.tmp")
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if path.stat().st_size != len(content):
            raise OSError(f"{path}: expected {len(content)} bytes on the disk, got {path.stat().st_size} bytes")

    def keep(self, path: Path, content: bytes) -> None:
        """Write a copy of a user's file into the folder, unless the folder has the same bytes at `path` already."""
        if not path.is_file() or path.read_bytes() != content:
            self._make(path.parent)
            self.replace_file(path, content)

    def keep_paths(self, file: str, paths: dict[str, str]) -> None:
        """Add, to a JSON file of the folder, the paths from which manifests or scene files were copied.

        Args:
            file: name of the JSON file: PATHS for manifests, SCENE_PATHS for scene files.
            paths: path of each original, by the file name of its copy.
        """
        known = original_paths(self.root, file)
        if known != {**known, **paths}:
            # ASCII: a path may hold bytes that are not UTF-8, which JSON keeps as escaped surrogates.
            text = json.dumps({**known, **paths}, indent=1, sort_keys=True) + "\n"
            self.replace_file(self.root / file, text.encode())

    def sweep(self, process: int | None = None) -> None:
        """Remove temporary files that interrupted writes left in the folder.

        Args:
            process: id of the process that wrote them; None: any. None is safe only while no process uses the folder.
        """
        for leftover in list(self.leftovers(process)):
            leftover.unlink(missing_ok=True)

    def leftovers(self, process: int | None = None) -> Iterator[Path]:
        """Yield the temporary files that interrupted writes left in the folder; `process` is as for `sweep`."""
        end = f"{process or '*'}.tmp"
        # The folder itself may hold hidden files of the user.
        for file in (PATHS, SCENE_PATHS):
            yield from self.root.glob(f".{file}.{end}")
        for folder in (self.root / name for name in (*FOLDERS, *EXTRAS, SCENES)):
            if not folder.is_symlink():
                # The copies of scenes have folders of photographs.
                yield from folder.rglob(f".*.{end}") if folder.name == SCENES else folder.glob(f".*.{end}")


def original_path(root: Path, file: str, copy: str) -> Path | None:
    """Return the path of the original of a copy in a render folder; None if it is not known.

    Args:
        root: the render folder.
        file: the file that lists the originals: PATHS for those of manifests, SCENE_PATHS for those of scene files.
        copy: file name of the copy.
    """
    path = original_paths(root, file).get(copy)
    return None if path is None else Path(os.path.normpath(root.resolve() / path))


def original_paths(root: Path, file: str) -> dict[str, str]:
    """Return the paths of the files that a render folder has copies of, by file name of the copy; empty if not stored.

    Args:
        root: the render folder.
        file: PATHS for copied manifests, SCENE_PATHS for copied scene files.
    """
    try:
        paths = json.loads((root / file).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(paths, dict):
        return {}
    return {name: path for name, path in paths.items() if isinstance(path, str)}
