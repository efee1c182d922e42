"""Before and after: originals at the left, each followed by its copies, on one sheet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

LINES = 8
_PER_KIND = 2
_WIDE, _HIGH, _GAP, _TEXT = 300, 220, 10, 18
_INK, _PAPER = (26, 31, 38), (255, 255, 255)
COLOURS = {"BENDNG": (255, 167, 38), "NUKENG": (255, 79, 163), "OTHERNG": (179, 156, 255)}

Boxes = Sequence[tuple[Sequence[float], str]]


@dataclass
class Sheet:
    """Collects some pictures of each folder and operation while they go by."""

    lines: list[list[tuple[str, Image.Image]]] = field(default_factory=list)
    seen: Counter[tuple[str, tuple[str, ...]]] = field(default_factory=Counter)

    def wants(self, group: str, operations: Sequence[str]) -> bool:
        """Whether there is room for one more of this group with these operations; it is then counted."""
        key = group, tuple(operations)
        if not operations or len(self.lines) >= LINES or self.seen[key] >= _PER_KIND:
            return False
        self.seen[key] += 1
        return True

    def add(self, pictures: Sequence[tuple[str, Image.Image]]) -> None:
        """An original and its copies, each with its name."""
        self.lines.append([(name, _fitted(picture)) for name, picture in pictures])

    def save(self, path: Path) -> None:
        """Draw the sheet; without a line there is none."""
        if not self.lines:
            return
        columns = max(map(len, self.lines))
        heights = [max(picture.height for _, picture in line) + _TEXT + _GAP for line in self.lines]
        sheet = Image.new("RGB", (columns * (_WIDE + _GAP) + _GAP, sum(heights) + _GAP), _PAPER)
        draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
        top = _GAP
        for line, height in zip(self.lines, heights, strict=True):
            for column, (name, picture) in enumerate(line):
                left = _GAP + column * (_WIDE + _GAP)
                # The built-in font has Latin letters only.
                text = name.encode("latin-1", "replace").decode("latin-1")
                draw.text((left, top), text if len(text) < 46 else f"…{text[-44:]}", _INK, font)
                sheet.paste(picture, (left, top + _TEXT))
            top += height
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path, quality=90)


def boxed(picture: Image.Image, boxes: Boxes) -> Image.Image:
    """A picture, enlarged where it is small, with boxes xyxy in px in the colours of their classes."""
    scale = max(1, min(_WIDE // picture.width, _HIGH // picture.height))
    large = picture.convert("RGB").resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(large)
    for (x1, y1, x2, y2), label in boxes:
        edges = (x1 * scale - 1, y1 * scale - 1, x2 * scale, y2 * scale)
        draw.rectangle(edges, outline=COLOURS.get(label, (102, 187, 106)))
    return large


def _fitted(picture: Image.Image) -> Image.Image:
    scale = min(_WIDE / picture.width, _HIGH / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST)
