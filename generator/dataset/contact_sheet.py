"""The card's contact sheet: some rows of each class with the boxes of their defects, as one small JPEG."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from generator.dataset.folder import SHEET, read_rows, split_files

PER_CLASS = 4
_OF_A_GROUP = 2
LONGEST_PX = 320
_INK, _PAPER, _GAP, _LINE = (26, 31, 38), (255, 255, 255), 8, 18
_COLOURS = {"BENDNG": (255, 167, 38), "NUKENG": (255, 79, 163), "OTHERNG": (179, 156, 255)}


@dataclass
class SheetRows:
    """Chooses rows while they go by: of each class some, of as many views and housings as there are."""

    chosen: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    seen: dict[str, Counter[tuple[str, ...]]] = field(default_factory=dict)

    def offer(self, split: str, number: int, label: str, group: tuple[str, ...]) -> None:
        """Take a row in while its class has few, and few of its group.

        Args:
            split, number: where it stands in the dataset.
            label: its class.
            group: scene, housing, terminal, camera and marking.
        """
        rows, seen = self.chosen.setdefault(label, []), self.seen.setdefault(label, Counter())
        if len(rows) < PER_CLASS and seen[group] < _OF_A_GROUP:
            rows.append((split, number))
            seen[group] += 1


def write_sheet(folder: Path, rows: SheetRows, classes: Sequence[str]) -> None:
    """Draw the rows into the dataset's folder.

    Args:
        folder: of the dataset, whose Parquet files are complete.
        rows: which to show.
        classes: in the order of their numbers.
    """
    splits = split_files(folder)
    tiles = []
    for label in classes:
        for split, number in rows.chosen.get(label, []):
            (row,) = read_rows(splits[split], ["run", "image", "kinds", "objects"], {number})
            tiles.append((f"{label}  {row['run']}", _drawn(row, classes)))
    columns = min(PER_CLASS, len(tiles))
    wide = max(picture.width for _, picture in tiles)
    high = max(picture.height for _, picture in tiles)
    lines = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (wide + _GAP) + _GAP, lines * (high + _LINE + _GAP) + _GAP), _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for place, (title, picture) in enumerate(tiles):
        x, y = _GAP + place % columns * (wide + _GAP), _GAP + place // columns * (high + _LINE + _GAP)
        sheet.paste(picture, (x, y))
        draw.text((x, y + picture.height + 2), title, _INK, font)
    sheet.save(folder / SHEET, "JPEG", quality=88, subsampling=0)


def _drawn(row: dict, classes: Sequence[str]) -> Image.Image:
    picture = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
    scale = min(1.0, LONGEST_PX / max(picture.size))
    picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    draw = ImageDraw.Draw(picture)
    things = row["objects"]
    if things is None or things["bbox"] is None:
        return picture  # only the picture's class is known
    for category, (x, y, width, height) in zip(things["category"], things["bbox"], strict=True):
        colour = _COLOURS.get(classes[category])
        if colour is not None and width * height > 0:
            edges = (x * scale - 2, y * scale - 2, (x + width) * scale + 1, (y + height) * scale + 1)
            draw.rectangle(edges, outline=colour)
    return picture
