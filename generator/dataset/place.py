"""The target folder of a dataset: locked by one command at a time, and replaced only if that is allowed.

A dataset is written in `.<name>.building` beside its target, which the command locks. The folder that it replaces is
moved to `.<name>.replaced`, and removed when the new dataset has its final name.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from blender_scripts.contract.errors import InputError
from generator.dataset.connectors import CONNECTORS
from generator.dataset.folder import CARD, DATA, NSOART, SHARD, SHEET
from generator.io.output_file import write_error
from generator.soart.golden_reference import FILE, FOLDER


class DatasetPlace:
    """The folder that a dataset is written to (the target).

    Attributes:
        path: absolute path of the target.
        building: folder beside it in which the dataset is written until it is complete.
        option: command-line option and path of the target, for messages.

    Args:
        to: path of the target.
        option: command-line option by which the user named it.
        overwrite: also replace a folder that is not a Pinsight dataset.
        replace: replace a Pinsight dataset; False: accept only a new or empty folder.
    """

    def __init__(self, to: Path, option: str = "--to", overwrite: bool = False, replace: bool = True) -> None:
        self.option = f"{option} {to}"
        self.path = to.resolve()
        self.building = self.path.with_name(f".{self.path.name}.building")
        self._replaced = self.path.with_name(f".{self.path.name}.replaced")
        self._overwrite = overwrite
        self._replace = replace
        self._strange: frozenset[str] = frozenset()
        self._lock: int | None = None

    def check(self) -> None:
        """Check that the target may be replaced.

        With --overwrite, the target may hold files that are not a dataset's. Their names are noted, so that `move_in`
        can refuse to remove files that were added later.

        Raises:
            InputError: the target holds files that may not be replaced.
        """
        if self._overwrite and self.path.is_dir():
            self._strange = frozenset(_foreign_entries(self.path))
        if os.path.lexists(self.path) and (problem := self._problem(self.path)):
            raise InputError(problem)

    def hold(self) -> None:
        """Lock the target against other commands until `release` is called.

        If a command was killed between moving the old dataset away and the new one in, the old one is moved back.

        Raises:
            InputError: another command has locked the target, or the target may not be replaced.
        """
        try:
            self._lock = self._locked()
            self._restore()
            self.check()
            if self._replaced.exists():
                shutil.rmtree(self._replaced)
        except OSError as error:
            self.release()
            raise self.write_error(error) from None
        except InputError:
            self.release()
            raise

    def release(self) -> None:
        """Unlock the target; removes the folder `building` if it is empty."""
        if self._lock is not None:
            with suppress(OSError):  # fails if the folder holds chunks, which the next command reuses
                if self._is_building(self._lock):
                    self.building.rmdir()
            os.close(self._lock)
        self._lock = None

    def restore(self) -> None:
        """Move the old dataset back, if a command was killed between moving it away and moving the new one in.

        Raises:
            InputError: another command has locked the target.
        """
        if self._replaced.exists() and not self.path.exists():
            self.hold()
            self.release()

    def move_in(self) -> None:
        """Move the finished dataset from `building` to the target.

        Raises:
            InputError: files that may not be replaced were put into the target, or a folder cannot be renamed; both are
                kept.
        """
        try:
            if os.path.lexists(self.path):
                self._refuse(self.path)
                self.path.rename(self._replaced)
                try:
                    self._refuse(self._replaced)
                except InputError:
                    self._replaced.rename(self.path)
                    raise
            self.building.rename(self.path)
        except OSError as error:
            raise InputError(f"{self.write_error(error)}; {self._kept()}") from None
        shutil.rmtree(self._replaced, ignore_errors=True)

    def write_error(self, error: OSError) -> InputError:
        """Return an InputError that names the target, to be raised in place of an OSError from writing."""
        return write_error(self.option, error)

    def _kept(self) -> str:
        return f"the new dataset is in {self.building}: move it away, or the next command with this target deletes it"

    def _refuse(self, folder: Path) -> None:
        if problem := self._problem(folder):
            raise InputError(f"{problem}; {self._kept()}")

    def _problem(self, folder: Path) -> str:
        """Return why a folder may not be replaced; "" if it may."""
        if folder.is_symlink() or not folder.is_dir():
            return f"{self.option}: expected a folder, got a file or a symbolic link"
        if not self._replace and any(folder.iterdir()):
            return f"{self.option}: expected a new or empty folder, got one with files in it: choose another folder"
        if strange := [name for name in _foreign_entries(folder) if name not in self._strange]:
            return (
                f"{self.option}: expected a new or empty folder or a Pinsight dataset to replace, got one with other "
                f"files in it ({', '.join(strange[:5])}): choose another folder, or delete them (`build` "
                "and `merge` do so with --overwrite)"
            )
        return ""

    def _restore(self) -> None:
        if self._replaced.exists() and not self.path.exists():
            self._replaced.rename(self.path)

    def _is_building(self, handle: int) -> bool:
        return self.building.exists() and os.path.samestat(os.fstat(handle), self.building.stat())

    def _locked(self) -> int:
        """Create and lock the folder `building`; returns its file descriptor. The lock ends when the process ends."""
        while True:
            self.building.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.building, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Before the lock was taken, another command may have moved the folder to the target.
                if self._is_building(handle):
                    return handle
            except BlockingIOError:
                os.close(handle)
                raise InputError(
                    f"{self.option}: expected a folder that no other command is writing to, got one in use: wait for "
                    "the other command to end, or choose another folder"
                ) from None
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)


def _foreign_entries(folder: Path) -> list[str]:
    """Return the names of the files in a folder that do not belong to a Pinsight dataset."""
    if not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir())
    try:
        ours = json.loads((folder / NSOART).read_text(encoding="utf-8"))["made_by"] == "pinsight"
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    known = {CARD, NSOART, CONNECTORS, SHEET, DATA, FOLDER} if ours else set()
    strange = [name for name in names if name not in known]
    for inner, form in ((DATA, SHARD), (FOLDER, FILE)):
        if ours and (folder / inner).is_dir():
            paths = sorted((folder / inner).iterdir())
            strange += [f"{inner}/{path.name}" for path in paths if not re.fullmatch(form, path.name)]
    return strange
