"""Make the before-and-after sheet of an augmentation: originals at the left, each followed by its copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from generator.io.drawing import Box, Cell, draw_boxes, fit, grid

LINES = 8
_PER_KIND = 2
_CELL = 300, 220


@dataclass
class Sheet:
    """The before-and-after sheet: each line shows an original and, beside it, its copies.

    It has at most LINES (8) originals, two of each group and operations: ask `wants` first, then call `add`.

    Attributes:
        lines: the cells of each line: the original, then its copies.
        seen: number of originals on the sheet, by group (folder or class) and operations.
    """

    lines: list[list[Cell]] = field(default_factory=list)
    seen: Counter[tuple[str, tuple[str, ...]]] = field(default_factory=Counter)

    def wants(self, group: str, operations: Sequence[str]) -> bool:
        """Return whether the sheet has room for another original of this group with these operations; if so, count it.

        Args:
            group: folder or class of the picture.
            operations: how its copies were made; empty (it has no copies): the result is False.
        """
        key = group, tuple(operations)
        if not operations or len(self.lines) >= LINES or self.seen[key] >= _PER_KIND:
            return False
        self.seen[key] += 1
        return True

    def add(self, pictures: Sequence[tuple[str, Image.Image, Sequence[Box]]]) -> None:
        """Add a line to the sheet: an original, then its copies, each as (name, picture, boxes to draw)."""
        self.lines.append(
            [Cell(draw_boxes(picture, boxes, fit(picture.size, _CELL)), [name]) for name, picture, boxes in pictures]
        )

    def save(self, path: Path) -> None:
        """Draw the sheet and write it in the format of the path's suffix; without a line, remove an earlier sheet."""
        if self.lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            grid(self.lines).save(path, quality=90)
        else:
            path.unlink(missing_ok=True)
