"""Locks by which several processes share the study's work."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


class Busy(Exception):
    """Another process holds the lock."""


@contextmanager
def locked(path: Path, wait: bool = True, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock against other processes of this machine; it ends with the process, however that ends.

    Commands begun meanwhile inherit it: where the study is killed and a training of it goes on alone, nobody else
    writes into its folder until it has ended.

    Args:
        path: The lock's file.
        wait: Wait for it where another process holds it.
        waiting: Called before such a wait.

    Raises:
        Busy: Another process holds it, and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not wait:
                raise Busy(f"another process is at {path.stem}") from error
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
