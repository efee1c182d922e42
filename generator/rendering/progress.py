"""The progress of a rendering on stderr: a bar on a terminal, otherwise a line now and then."""

from __future__ import annotations

import sys

from tqdm import tqdm

from blender_scripts.contract.progress_lines import ProgressLines


class PictureProgress:
    """Shows how many pictures are done, in a `with` block: by a bar or, in a file or a pipe, by `ProgressLines`.

    Args:
        total: number of pictures.
    """

    def __init__(self, total: int) -> None:
        self._bar = tqdm(total=total, unit="picture", disable=not sys.stderr.isatty())
        self._lines, self._done = ProgressLines(total), 0

    def __enter__(self) -> PictureProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def update(self) -> None:
        """Count one more picture as done."""
        self._done += 1
        self._bar.update()
        if self._bar.disable and (line := self._lines.line(self._done)) is not None:
            self.write(line)

    def write(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.write(line, file=sys.stderr)
