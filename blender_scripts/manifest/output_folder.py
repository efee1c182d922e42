"""The folder that a manifest is rendered into: names, finished rows, and writing that a crash cannot spoil.

Picture, then mask, then record are each written to a temporary name and renamed, so a record vouches for the other two.
Nothing is written through a symbolic link.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.reader import Manifest, Run, conflicts, run_names
from blender_scripts.manifest.record import encode_record, read_record

EXTRAS = ("depth", "normal")
FOLDERS = ("images", "masks", "records", "manifests")
# A file name holds 255 bytes, of which a character takes four at most.
_LONGEST_PART = 60


def check_own(root: Path, manifest: Manifest) -> None:
    """Refuse a folder that was never rendered into where a row would replace a file of it.

    After a crash a picture may lie there without its record, but the copy of its manifest was there before it.

    Raises:
        InputError: names such a file.
    """
    if any((root / "manifests").glob("*.csv")) or any((root / "records").glob("*.json")):
        return
    names = {run.run for run in manifest.runs}
    files = (path for kind in ("images", "masks", *EXTRAS) for path in sorted((root / kind).glob("*.*")))
    strange = [path for path in files if path.suffix in (".png", ".npy") and path.stem in names]
    if strange:
        more = f" and {len(strange) - 1} more" if len(strange) > 1 else ""
        raise InputError(
            f"--out {root}: expected a new folder or one that was rendered into, got one whose own files would be "
            f"replaced ({strange[0].relative_to(root)}{more}): choose another, or give --force"
        )


class OutputFolder:
    """Where rows go.

    Args:
        root: the folder; made if it is not there.

    Raises:
        InputError: it, or a folder in it, is a file or a symbolic link.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._make(root)
        for name in FOLDERS:
            self._make(root / name)

    def _make(self, folder: Path) -> None:
        if folder != self.root and folder.is_symlink():
            raise InputError(f"{folder}: expected a folder of the output's own, got a symbolic link")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{folder}: expected a folder that can be written, got: {error.strerror}"
            ) from None

    def image(self, run: str) -> Path:
        return self.root / "images" / f"{run}.png"

    def mask(self, run: str) -> Path:
        return self.root / "masks" / f"{run}.png"

    def record(self, run: str) -> Path:
        return self.root / "records" / f"{run}.json"

    def adopt(self, manifest: Manifest, scenes: Path) -> None:
        """Keep a copy of the manifest.

        Raises:
            InputError: another manifest of this folder has a run of the same name that is another picture; or the
                copy of this name is another manifest's, whose rendered runs nothing would name any more.
        """
        name = f"{manifest.path.stem}.csv"
        problems = []
        for other in sorted((self.root / "manifests").glob("*.csv")):
            if other.name == name:
                continue
            problems += [
                f"{manifest.path.name}: expected run {run} as {other.name} has it in {self.root}, got another row"
                for run in conflicts(other, scenes, manifest.runs)
            ]
        if problems:
            raise InputError(problems)
        kept = self.root / "manifests" / name
        try:
            if not kept.is_file() or kept.read_bytes() != manifest.content:
                self._check_replaced(kept, manifest)
                self._write(kept, manifest.content)
        except OSError as error:
            raise InputError(
                f"{kept}: expected a file that can be written, got: {error.strerror or error}"
            ) from None

    def _check_replaced(self, kept: Path, manifest: Manifest) -> None:
        """An edited manifest replaces its copy, whatever was edited; one that shares no run with it is another."""
        try:
            known = run_names(kept) if kept.is_file() else []
        except InputError:
            return  # damaged: it names nothing
        if {run.run for run in manifest.runs}.isdisjoint(known):
            rendered = [run for run in known if self.record(run).is_file()]
            if rendered:
                raise InputError(
                    f"{manifest.path.name}: expected some run of the manifest of this name that was rendered into "
                    f"{self.root} (such as {rendered[0]}), got none: rename this one, or choose another folder"
                )

    def is_finished(self, run: Run, row_sha256: str) -> bool:
        """Whether the row's picture, mask and record are there and whole; a changed label column is put right."""
        path = self.record(run.run)
        try:
            record = read_record(path)
        except InputError:
            return False
        if record["row_sha256"] != row_sha256 or record["run"] != run.run:
            return False
        files = {self.image(run.run): record["image_sha256"], self.mask(run.run): record["mask_sha256"]}
        files |= {self.extra(kind, run.run): known for kind, known in record.get("extras_sha256", {}).items()}
        for file, known in files.items():
            try:
                if hashlib.sha256(file.read_bytes()).hexdigest() != known:
                    return False
            except OSError:
                return False
        if record["row"] != run.row():
            self._write(path, encode_record({**record, "row": run.row()}))
        return True

    def extra(self, kind: str, run: str) -> Path:
        """The array of a kind that was asked for, such as depth/<run>.npy."""
        return self.root / kind / f"{run}.npy"

    def write(
        self, run: str, image: bytes, mask: bytes, record: dict[str, Any], extras: dict[str, bytes]
    ) -> None:
        """Write one row; the record gets the hashes of its files.

        Args:
            run: the row's name.
            image, mask: the PNG files' bytes.
            record: the truth, whose hashes are filled in.
            extras: the bytes of NPY files by kind, of EXTRAS; those of other kinds are of another picture, and go.

        Raises:
            OSError: a file is not on the disk as it was written.
        """
        hashes = {
            "image_sha256": hashlib.sha256(image).hexdigest(),
            "mask_sha256": hashlib.sha256(mask).hexdigest(),
        }
        filled = {key: hashes.get(key, value) for key, value in record.items()}
        if extras:
            filled["extras_sha256"] = {
                kind: hashlib.sha256(data).hexdigest() for kind, data in extras.items()
            }
        # While picture and mask are replaced, no record may vouch for them.
        self.record(run).unlink(missing_ok=True)
        for kind in EXTRAS:
            folder = self.root / kind
            if kind not in extras and folder.is_dir() and not folder.is_symlink():
                self.extra(kind, run).unlink(missing_ok=True)
        self._write(self.image(run), image)
        self._write(self.mask(run), mask)
        for kind, data in extras.items():
            self._make(self.root / kind)
            self._write(self.extra(kind, run), data)
        self._write(self.record(run), encode_record(filled))

    def _write(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name[-_LONGEST_PART:]}.{os.getpid()}.tmp")
        temporary.unlink(missing_ok=True)
        handle = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o644
        )
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        if path.stat().st_size != len(content):
            raise OSError(f"{path}: expected {len(content)} bytes on the disk, got {path.stat().st_size}")

    def sweep(self, process: int | None = None) -> None:
        """Remove what a process left half-written; of all of them only where nobody else is at work in the folder."""
        for leftover in self.root.glob(f"*/.*.{process or '*'}.tmp"):
            if not leftover.parent.is_symlink():
                leftover.unlink(missing_ok=True)
