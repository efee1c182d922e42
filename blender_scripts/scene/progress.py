"""A progress bar with rate and time left, as Blender's Python has no tqdm; lines if stderr is not a terminal."""

from __future__ import annotations

import sys
from typing import TextIO

from blender_scripts.contract.progress_lines import LEAST_S, ProgressLines, RecentRate, WhileRead

_CELLS = 28


class Progress:
    """Shows the progress over `total` rows on stderr, until nobody reads it: that must not end a rendering."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.total = total
        self.done = 0
        self.stream = stream or sys.stderr
        self.enabled = self.stream.isatty()
        self._while_read = WhileRead()
        self._rate, self._lines = RecentRate(), ProgressLines(total)

    def advance(self) -> None:
        """Count one more row as done, and redraw the bar or, now and then, print a line."""
        self.done += 1
        if self.enabled:
            rate = self._rate.per_s(self.done, LEAST_S)
            left = round((self.total - self.done) / rate)
            filled = _CELLS * self.done // max(self.total, 1)
            bar = "#" * filled + "." * (_CELLS - filled)
            self._write(
                f"\r[{bar}] {self.done}/{self.total}  {rate:.2f} pictures/s  {left // 60}:{left % 60:02d} left "
            )
        elif (line := self._lines.line(self.done)) is not None:
            self._write(f"{line}\n")

    def close(self) -> None:
        """End the line of the bar."""
        if self.enabled:
            self._write("\n")

    def _write(self, text: str) -> None:
        def write() -> None:
            self.stream.write(text)
            self.stream.flush()

        self._while_read(write)
