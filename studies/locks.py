"""File locks, by which several processes share the study's work folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Busy(Exception):
    """Another process holds the lock, and the caller does not wait."""


@contextmanager
def locked(path: Path, wait: bool = True, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a file lock for the time of a `with` block, against other processes of this machine.

    The system releases the lock when the process ends. Child processes inherit the lock: if the study is killed and
    its training still runs, no other process writes into that training's folder until the training has ended.

    Args:
        path: The lock file.
        wait: Whether to wait if another process holds the lock.
        waiting: Called once before a wait.

    Raises:
        Busy: Another process holds the lock, and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not wait:
                raise Busy(f"{path}: expected a free lock, got one that another process holds") from error
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
