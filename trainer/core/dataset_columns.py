"""Columns of a dataset beside its objects: whether a picture may be mirrored, which columns are missing, a limit.

`generator.dataset.rows` is imported inside functions: it takes seconds, and prediction does not need it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.core.augmentation import LEFT_RIGHT, UP_DOWN
from trainer.core.card import dataset_settings

# Columns that training or evaluation uses where they exist.
READ = (
    *("kinds", "observable", "grey", "scene", "part", "camera", "marking", "width", "height"),
    *(f"objects.{name}" for name in ("kinds", "address", "visible", "true_position_mm", "retraction_mm")),
)
ANSWER_READ = ("objects.in_answer", "objects.cavity", "objects.moved_px")  # Florence-2 uses these too


def may_flip(row: Mapping[str, Any]) -> tuple[bool, bool]:
    """Return whether the picture of a dataset row may be mirrored left-right, and whether up-down.

    A picture with print on the housing may not be mirrored at all: the print would be wrong. A picture by a camera on
    the left may not be mirrored left-right: it would become a view from the right. Without a known marking or
    camera it may not be mirrored either.
    """
    plain = row.get("marking") == "none"
    return plain and row.get("camera") in LEFT_RIGHT, plain and row.get("camera") in UP_DOWN


def observable_px(folder: Path) -> float:
    """Return by how many px a bend or wrong height must move a tip to be visible, from a dataset's card; else 1."""
    from generator.dataset.labels import observable_px_of

    return observable_px_of(dataset_settings(folder))


def lacking(features: Mapping[str, Any], also: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of the useful columns (in `READ` or `also`) that a dataset with these `features` lacks."""
    from generator.dataset.rows import missing_columns

    missing = missing_columns(features)
    # A dataset without objects lacks no column of objects.
    return tuple(name for name in (*READ, *also) if name in missing and ("." not in name or features.get("objects")))


def lacking_line(names: Sequence[str]) -> str:
    """Return the message that a dataset lacks the columns `names`."""
    return (
        f"the dataset lacks the columns {', '.join(names)} (it was written by an earlier version or by another "
        "program); their values are taken as unknown"
    )


def part_name(row: Mapping[str, Any], run: str) -> str:
    """Return the part that a dataset row shows: `scene/part`, or `run RUN` (the row's name) if no part is named."""
    part = row.get("part")
    return f"{row.get('scene') or ''}/{part}" if part not in (None, "") else f"run {run}"
