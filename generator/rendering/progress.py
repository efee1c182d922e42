"""The progress of a rendering on stderr: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import sys

from tqdm import tqdm

from blender_scripts.contract.progress_lines import ProgressLines


class PictureProgress(tqdm):  # type: ignore[type-arg]
    """A progress bar over pictures; where stderr is a file or a pipe, lines by `ProgressLines`.

    Args:
        total: number of pictures.
    """

    def __init__(self, total: int) -> None:
        super().__init__(total=total, unit="picture", disable=not sys.stderr.isatty())
        self._lines, self._done = ProgressLines(total), 0

    def update(self, n: float | None = 1) -> bool | None:
        """Count `n` more pictures as done; returns whether the bar was drawn again, as tqdm does."""
        self._done += int(n or 0)
        if self.disable and (line := self._lines.line(self._done)) is not None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
        return super().update(n)
