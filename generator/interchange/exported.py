"""The interface of an export format: the pictures that it gets, and the functions that it has to provide."""

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
    """The settings of an export.

    Attributes:
        dataset: folder of the dataset.
        folder: folder to write into.
        format: name of the format: `coco`, `yolo` or `imagefolder`.
        classes: classes of the objects to write; a class's index here is its number in the export.
        hidden: also write objects of which less than OBSERVABLE_SHARE (a tenth) is visible.
    """

    dataset: Path
    folder: Path
    format: str
    classes: tuple[str, ...]
    hidden: bool

    def is_wanted(self, each: ObjectRow) -> bool:
        """Whether an object's box is written: its class is in `classes`, its area is above 0, and enough is visible.

        Enough is OBSERVABLE_SHARE (a tenth); any share if `hidden` is true or the object's visible share is not known.
        """
        is_seen = self.hidden or each.visible is None or each.visible >= OBSERVABLE_SHARE
        return each.category in self.classes and each.area > 0 and is_seen


@dataclass(frozen=True)
class Exported:
    """A picture whose file has been written, with its annotations.

    Attributes:
        path: path of its file, relative to the export folder.
        split, label: split and class of the picture.
        size: (W, H) px.
        about: further values of the picture's dataset row, by column.
        objects: objects to write; None where they are not known.
        segments: result of `Writer.segment` for each object; empty without a mask, or if the format stores none.
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
    """The functions and properties of an export format.

    Attributes:
        place: returns the folder in which a picture is written, relative to `Export.folder`, given its split and class.
        finish: writes the files about all pictures, given the settings and the pictures by split, when all are written.
        annotate: writes the label file of one picture, in the process that wrote the picture; None: no such file.
        segment: encodes an object's pixels for the format, given the mask (H, W) and the object; None: not stored.
        columns: the columns of a row that the format stores beside class and objects.
        keeps_class: whether the format stores a picture's class, so that an NG picture without boxes is not taken for
            a good one.
        keeps_unplaced: whether the format can store a picture of which only the class is known, and not the boxes.
    """

    place: Callable[[str, str], Path]
    finish: Callable[[Export, Mapping[str, Sequence[Exported]]], None]
    annotate: Callable[[Export, Exported], None] | None = None
    segment: Callable[[np.ndarray, ObjectRow], Any] | None = None
    columns: tuple[str, ...] = ()
    keeps_class: bool = False
    keeps_unplaced: bool = False
