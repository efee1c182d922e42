"""Lines that say how far a long rendering is, for output into a file or a pipe, where a progress bar is unreadable."""

from __future__ import annotations

import time

# A line follows the one before after so many seconds or, if that is longer, after this share of the time so far: a
# rendering of ten hours prints about seventy lines.
LEAST_S, SHARE = 30.0, 0.1


class ProgressLines:
    """Says now and then how many of `total` pictures are done.

    Args:
        total: number of pictures.
    """

    def __init__(self, total: int) -> None:
        self._total, self._start = total, time.monotonic()
        self._due_s = LEAST_S

    def line(self, done: int) -> str | None:
        """Return the line to print after `done` pictures, without line break; None: none is due, or all are done."""
        passed_s = time.monotonic() - self._start
        if passed_s < self._due_s or not 0 < done < self._total:
            return None
        self._due_s = passed_s + max(LEAST_S, SHARE * passed_s)
        left = round((self._total - done) * passed_s / done)
        clock = f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
        return f"{done} of {self._total} pictures ({done / self._total:.0%}), {done / passed_s:.2f}/s, {clock} left"
