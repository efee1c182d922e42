"""The card's contact sheet: some rows of each class with the boxes of their defects, as one small JPEG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from generator.dataset.folder import SHEET, read_rows, split_files
from generator.dataset.rows import objects_of
from generator.io.pictures import open_picture

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
            tiles.append((f"{label}  {row['run']}", _drawn(row)))
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


def _drawn(row: Mapping[str, Any]) -> Image.Image:
    picture = open_picture(row["image"]["bytes"], f"row {row['run']}, column image").convert("RGB")
    scale = min(1.0, LONGEST_PX / max(picture.size))
    picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    draw = ImageDraw.Draw(picture)
    for each in objects_of(row) or ():
        colour = _COLOURS.get(each.category)
        if colour is not None and each.area > 0:
            x1, y1, x2, y2 = (edge * scale for edge in each.box)
            draw.rectangle((x1 - 2, y1 - 2, x2 + 1, y2 + 1), outline=colour)
    return picture
