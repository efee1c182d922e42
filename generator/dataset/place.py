"""The place where a dataset appears: held by one command at a time, and what may be replaced there.

A dataset is made beside its place in `.<name>.building`, whose lock the command holds; what it replaces is moved to
`.<name>.replaced` and removed when the new one is there.
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


class Place:
    """Where a dataset appears.

    Attributes:
        path: of the dataset.
        building: the folder to make it in.
        option: what a message calls the place.

    Args:
        to: the dataset.
        option: that gave it.
        overwrite: replace what no command of ours has written, too.
        replace: replace a dataset of ours; False: nothing but an empty folder.
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
        """Look at what is there, which is what may be replaced.

        Raises:
            InputError: something that may not be.
        """
        if self._overwrite and self.path.is_dir():
            self._strange = frozenset(_strange_entries(self.path))
        if os.path.lexists(self.path) and (problem := self._problem(self.path)):
            raise InputError(problem)

    def hold(self) -> None:
        """Keep other commands out until `release`, and put right what a command that was stopped has left.

        Raises:
            InputError: another command holds it, or what is there may not be replaced.
        """
        try:
            self._lock = self._locked()
            self._restore()
            self.check()
            if self._replaced.exists():
                shutil.rmtree(self._replaced)
        except OSError as error:
            self.release()
            raise self.unusable(error) from None
        except InputError:
            self.release()
            raise

    def release(self) -> None:
        """Let other commands in."""
        if self._lock is not None:
            with suppress(OSError):  # it holds something that the next command takes up, or has moved
                if self._is_building(self._lock):
                    self.building.rmdir()
            os.close(self._lock)
        self._lock = None

    def restore(self) -> None:
        """Put back what a command moved away that was stopped before it had moved the new dataset in.

        Raises:
            InputError: a command is at work there.
        """
        if self._replaced.exists() and not self.path.exists():
            self.hold()
            self.release()

    def move_in(self) -> None:
        """Let what was made appear.

        Raises:
            InputError: what has appeared there meanwhile may not be replaced; both stay.
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
            raise InputError(f"{self.unusable(error)}; {self._kept()}") from None
        shutil.rmtree(self._replaced, ignore_errors=True)

    def unusable(self, error: OSError) -> InputError:
        """What to raise where nothing can be written."""
        return InputError(f"{self.option}: expected a place to write to, got: {error.strerror}")

    def _kept(self) -> str:
        return f"the dataset that was made stays in {self.building} until the next command for this place"

    def _refuse(self, folder: Path) -> None:
        if problem := self._problem(folder):
            raise InputError(f"{problem}; {self._kept()}")

    def _problem(self, folder: Path) -> str:
        """Why a folder may not be replaced, "" where it may."""
        if folder.is_symlink() or not folder.is_dir():
            return f"{self.option}: expected a folder, got a file"
        if not self._replace and any(folder.iterdir()):
            return f"{self.option}: expected a new or empty folder, got one that holds something: choose another"
        if strange := [name for name in _strange_entries(folder) if name not in self._strange]:
            return (
                f"{self.option}: expected a new or empty folder or a dataset to replace, got one with "
                f"{', '.join(strange[:5])}: choose another, or give --overwrite"
            )
        return ""

    def _restore(self) -> None:
        if self._replaced.exists() and not self.path.exists():
            self._replaced.rename(self.path)

    def _is_building(self, handle: int) -> bool:
        return self.building.exists() and os.path.samestat(os.fstat(handle), self.building.stat())

    def _locked(self) -> int:
        """A handle of the folder to build in, with its lock, which ends with the process at the latest."""
        while True:
            self.building.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.building, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Between the two lines above, another command may have moved the folder to its place.
                if self._is_building(handle):
                    return handle
            except BlockingIOError:
                os.close(handle)
                raise InputError(
                    f"{self.option}: expected a place where no command is at work, got one where another one makes "
                    "a dataset: wait for it, or choose another"
                ) from None
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)


def _strange_entries(folder: Path) -> list[str]:
    """What in a folder no command of ours has written."""
    if not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir())
    try:
        ours = json.loads((folder / NSOART).read_text(encoding="utf-8"))["made_by"] == "pinsight"
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    known = {CARD, NSOART, CONNECTORS, SHEET, DATA} if ours else set()
    strange = [name for name in names if name not in known]
    if ours and (folder / DATA).is_dir():
        strange += [
            f"{DATA}/{path.name}" for path in sorted((folder / DATA).iterdir()) if not re.fullmatch(SHARD, path.name)
        ]
    return strange
