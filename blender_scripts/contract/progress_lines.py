"""Lines that say how far a long rendering is, for output into a file or a pipe; writing ends where nobody reads."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable

# A line follows the one before after so many seconds or, if that is longer, after this share of the time so far: a
# rendering of ten hours prints about seventy lines.
LEAST_S, SHARE = 30.0, 0.1


class WhileRead:
    """Writes until nobody reads it any more, as after a closed pipe: that must not end a rendering."""

    def __init__(self) -> None:
        self._is_read = True

    def __call__(self, write: Callable[[], object]) -> None:
        """Call `write`, unless an earlier call failed, was interrupted, or has not ended."""
        if self._is_read:
            self._is_read = False
            with contextlib.suppress(OSError):
                write()
                self._is_read = True


class RecentRate:
    """The rate of the last pictures: finished rows that a resumed rendering keeps take no time, and come first."""

    def __init__(self) -> None:
        self._counts = deque([(time.monotonic(), 0)])

    def per_s(self, done: int, window_s: float) -> float:
        """Return how many pictures per second were done of late; to be called after each picture.

        Args:
            done: number of pictures done by now.
            window_s: the rate is that since the last call at least so many seconds ago, or since the start.
        """
        now = time.monotonic()
        while len(self._counts) > 1 and self._counts[1][0] <= now - window_s:
            self._counts.popleft()
        since, before = self._counts[0]
        self._counts.append((now, done))
        return (done - before) / max(now - since, 1e-9)


class ProgressLines:
    """Says now and then how many of `total` pictures are done.

    Args:
        total: number of pictures.
    """

    def __init__(self, total: int) -> None:
        self._total, self._start = total, time.monotonic()
        self._every_s = self._due_s = LEAST_S
        self._rate = RecentRate()

    def line(self, done: int) -> str | None:
        """Return the line to print after `done` pictures, without line break; None: none is due, or all are done.

        To be called after each picture. Rate and time left are those of the second half of the time between lines.
        """
        rate = self._rate.per_s(done, self._every_s / 2)
        passed_s = time.monotonic() - self._start
        if passed_s < self._due_s or not 0 < done < self._total:
            return None
        self._every_s = max(LEAST_S, SHARE * passed_s)
        self._due_s = passed_s + self._every_s
        left = round((self._total - done) / rate)
        clock = f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
        return f"{done} of {self._total} pictures ({done / self._total:.0%}), {rate:.2f}/s, {clock} left"
