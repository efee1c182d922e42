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
    """The sheet: the first few pictures of each group (folder or class) and list of operations, with their copies."""

    lines: list[list[Cell]] = field(default_factory=list)
    seen: Counter[tuple[str, tuple[str, ...]]] = field(default_factory=Counter)

    def wants(self, group: str, operations: Sequence[str]) -> bool:
        """Whether the sheet has room for one more picture of this group with these operations; if so, counts it."""
        key = group, tuple(operations)
        if not operations or len(self.lines) >= LINES or self.seen[key] >= _PER_KIND:
            return False
        self.seen[key] += 1
        return True

    def add(self, pictures: Sequence[tuple[str, Image.Image, Sequence[Box]]]) -> None:
        """Add a line to the sheet: an original and its copies, each as (name, picture, boxes)."""
        self.lines.append(
            [Cell(draw_boxes(picture, boxes, fit(picture.size, _CELL)), [name]) for name, picture, boxes in pictures]
        )

    def save(self, path: Path) -> None:
        """Draw the sheet and write it as JPEG; writes nothing if no line was added."""
        if self.lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            grid(self.lines).save(path, quality=90)
