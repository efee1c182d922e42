"""A dataset's pictures as the writers of foreign formats get them, and what a format has to say of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from generator.dataset.labels import OBSERVABLE_SHARE
from generator.dataset.rows import ObjectRow


@dataclass(frozen=True)
class Export:
    """What to write of which dataset, and where.

    Attributes:
        dataset: its folder.
        folder: the one to fill.
        format: its name.
        classes: of the objects to write; their place here is their number.
        hidden: objects of which less than a tenth can be seen too.
    """

    dataset: Path
    folder: Path
    format: str
    classes: tuple[str, ...]
    hidden: bool

    def is_wanted(self, each: ObjectRow) -> bool:
        """Whether an object has a box to write."""
        is_seen = self.hidden or each.visible is None or each.visible >= OBSERVABLE_SHARE
        return each.category in self.classes and each.area > 0 and is_seen


@dataclass(frozen=True)
class Exported:
    """One picture, whose file is written.

    Attributes:
        path: of its file, below the folder.
        split, label: its split and class.
        size: (W, H) px.
        about: what else is known of it, by column.
        objects: those to write; None where it is not known what the picture shows.
        segments: what the format makes of the mask of each; empty without a mask.
    """

    path: Path
    split: str
    label: str
    size: tuple[int, int]
    about: Mapping[str, Any]
    objects: tuple[ObjectRow, ...] | None
    segments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Writer:
    """How a format is written.

    Attributes:
        place: folder of a picture, from its split and class.
        finish: writes what stands beside the pictures, when all are there; by split.
        annotate: writes what stands beside one picture, in the process that wrote it.
        segment: what stands for an object's pixels, from the mask (H, W) and the object.
        keeps_class: a picture's class stands beside its boxes, so that one without a box is not taken for good.
        keeps_unplaced: so it is where nobody knows what the picture shows.
    """

    place: Callable[[str, str], Path]
    finish: Callable[[Export, Mapping[str, Sequence[Exported]]], None]
    annotate: Callable[[Export, Exported], None] | None = None
    segment: Callable[[np.ndarray, ObjectRow], Any] | None = None
    keeps_class: bool = False
    keeps_unplaced: bool = False
