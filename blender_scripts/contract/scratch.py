"""A temporary folder for Blender's raw files. If its process is killed, the next process removes it.

Each folder holds a locked file. The lock ends with the process, so that abandoned folders are recognised.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "pinsight-"
_LOCK = "in-use"


class Scratch:
    """Makes an empty folder in the system's temporary folder, and removes the folders of ended processes there.

    Args:
        parent: folder to make it in; None: the system's temporary folder.

    Attributes:
        folder: path of the new folder; `close` removes it.
    """

    def __init__(self, parent: Path | None = None) -> None:
        _sweep(parent or Path(tempfile.gettempdir()))
        while True:
            self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
            self._lock = os.open(self.folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            if self.folder.is_dir():
                return
            os.close(self._lock)  # another process removed the folder before it was locked

    def close(self) -> None:
        """Remove the folder and release its lock."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _sweep(folder: Path) -> None:
    for left in folder.glob(f"{_PREFIX}*/{_LOCK}"):
        if left.parent.is_symlink():
            continue
        try:
            handle = os.open(left, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue  # another user's folder, or already removed
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent, ignore_errors=True)
        except OSError:
            pass
        finally:
            os.close(handle)
