"""Output of a command on the terminal: lines and progress bars, in the first of several training processes only."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

# Longest time in seconds without a line, where no progress bar is shown.
SILENCE_S = 8.0


class _Stage:
    """What the command is doing, since when, and when it last printed a line."""

    text: Callable[[], str] = staticmethod(lambda: "starting")
    since = spoken = 0.0


def speaks() -> bool:
    """Return whether this process prints errors; of several training processes the first on each machine does."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("LOCAL_RANK", "0") == "0"


def say(text: str) -> None:
    """Print one line above the progress bar; only in the first process of a distributed training."""
    if os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0":
        return
    _Stage.spoken = time.monotonic()
    tqdm.write(_printable(text), file=sys.stdout)
    sys.stdout.flush()


def _printable(text: str) -> str:
    """The text with escapes for what the terminal cannot show, such as bytes of file names that are not UTF-8."""
    if getattr(sys.stdout, "errors", None) != "strict":
        return text
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def stage(text: str | Callable[[], str]) -> None:
    """Set the text that says what the command is doing; `never_silent` prints it.

    Args:
        text: The text, or a function that returns it; the function is called anew for each printed line.
    """
    _Stage.text = staticmethod(text if callable(text) else lambda: text)
    _Stage.since = time.monotonic()


@contextmanager
def never_silent(silence_s: float = SILENCE_S) -> Iterator[None]:
    """In a `with` block, after each `silence_s` seconds without a line or a bar, print what the command is doing."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(min(1.0, silence_s / 4)):
            now = time.monotonic()
            if now - _Stage.spoken >= silence_s and not getattr(tqdm, "_instances", ()):
                say(f"... {_Stage.text()}, {now - _Stage.since:.0f} s")

    stage("starting")
    _Stage.spoken = time.monotonic()
    thread = threading.Thread(target=watch, daemon=True, name="never_silent")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Progress:
    """Context manager that shows how far a stage of work is: a bar on a terminal, else what `never_silent` prints.

    Args:
        what: Name of the stage.
        total: Number of units of work.
        unit: Name of a unit, such as `step`.
        initial: Number of units done before the start.
        hidden: Whether to show no bar, as in processes other than the first.
    """

    def __init__(self, what: str, total: int, unit: str, initial: int = 0, hidden: bool = False) -> None:
        self.what, self.total, self.unit, self.done = what, total, unit, initial
        self._bar = tqdm(
            total=total, initial=initial, unit=unit, desc=what, leave=False, disable=True if hidden else None
        )
        self._before = _Stage.text

    def __enter__(self) -> "Progress":
        stage(lambda: f"{self.what}: {self.done} of {self.total} {self.unit}s")
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        stage(self._before)

    def update(self, count: int = 1) -> None:
        """Count `count` more units as finished."""
        self.done += count
        self._bar.update(count)

    def rename(self, what: str) -> None:
        """Change the stage's name, such as `epoch 3 of 48`."""
        self.what = what
        self._bar.set_description(what, refresh=False)

    def extend(self, total: int) -> None:
        """Change the total number of units of work to `total`, which counts finished ones too."""
        self.total = self._bar.total = total
