"""The progress of a rendering on stderr: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import contextlib
import sys

from tqdm import tqdm

from blender_scripts.contract.progress_lines import ProgressLines, WhileRead


class PictureProgress:
    """Shows how many pictures are done, in a `with` block: by a bar or, in a file or a pipe, by `ProgressLines`.

    Args:
        total: number of pictures.
    """

    def __init__(self, total: int) -> None:
        self._bar = tqdm(total=total, unit="picture", disable=not sys.stderr.isatty())
        self._lines, self._done, self._while_read = ProgressLines(total), 0, WhileRead()

    def __enter__(self) -> PictureProgress:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._bar.close()

    def update(self) -> None:
        """Count one more picture as done."""
        self._done += 1
        with contextlib.suppress(OSError):
            self._bar.update()
        if self._bar.disable and (line := self._lines.line(self._done)) is not None:
            self.write(line)

    def write(self, line: str) -> None:
        """Print a line above the bar. If nobody reads it any more, no other follows, and the rendering continues."""
        self._while_read(lambda: self._bar.write(line, file=sys.stderr))
