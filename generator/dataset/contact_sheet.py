"""Make the contact sheet of a dataset card: a small JPEG with pictures of each class and boxes around their defects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from pathlib import Path
from typing import Any

from PIL import Image

from generator.dataset.folder import SHEET, read_rows, split_files
from generator.dataset.labels import OK
from generator.dataset.rows import objects_of
from generator.io.drawing import Box, Cell, draw_boxes, fit, grid
from generator.io.pictures import open_picture

PER_CLASS = 4
_OF_A_GROUP = 2
LONGEST_PX = 320


@dataclass
class SheetRows:
    """Chooses the contact sheet's rows, at most PER_CLASS of each class, while the rows of a dataset are written.

    Attributes:
        chosen: (split, number of the row in it, from 0) of the chosen rows, by class.
        seen: by class, number of chosen rows of each group (scene, housing, terminal, camera, marking).
    """

    chosen: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    seen: dict[str, Counter[tuple[str, ...]]] = field(default_factory=dict)

    def offer(self, split: str, number: int, label: str, group: tuple[str, ...]) -> None:
        """Choose a row for the sheet, unless 4 rows of its class, or 2 rows of its class and group, are chosen already.

        Args:
            split, number: the row's split, and its number in the split, counted from 0.
            label: its class.
            group: (scene, housing, terminal, camera, marking) of the row.
        """
        rows, seen = self.chosen.setdefault(label, []), self.seen.setdefault(label, Counter())
        if len(rows) < PER_CLASS and seen[group] < _OF_A_GROUP:
            rows.append((split, number))
            seen[group] += 1


def write_sheet(folder: Path, rows: SheetRows, classes: Sequence[str]) -> None:
    """Draw the contact sheet into the dataset's folder.

    Args:
        folder: the dataset's folder, with complete Parquet files.
        rows: the chosen rows.
        classes: names of the classes, in the order of their numbers.
    """
    splits = split_files(folder)
    cells = []
    for label in classes:
        for split, number in rows.chosen.get(label, []):
            (row,) = read_rows(splits[split], ["run", "image", "kinds", "objects"], {number})
            cells.append(Cell(_drawn(row), [f"{label}  {row['run']}"]))
    grid(batched(cells, PER_CLASS)).save(folder / SHEET, "JPEG", quality=88, subsampling=0)


def _drawn(row: Mapping[str, Any]) -> Image.Image:
    picture = open_picture(row["image"]["bytes"], f"row {row['run']}, column image")
    boxes = [Box(o.box, o.category) for o in objects_of(row) or () if o.category != OK and o.area > 0]
    return draw_boxes(picture, boxes, min(1.0, fit(picture.size, (LONGEST_PX, LONGEST_PX))))
