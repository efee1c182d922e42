"""What a dataset's row says beside its objects: how its picture may be mirrored, and which columns are not there.

Objects are read by `generator.dataset.rows`, which is imported within functions: it takes seconds, and a prediction
does without.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.core.augmentation import LEFT_RIGHT, UP_DOWN

# Columns that every training or its evaluation makes use of.
READ = (
    *("kinds", "observable", "grey", "scene", "part", "camera", "marking", "width", "height"),
    *(f"objects.{name}" for name in ("kinds", "address", "visible", "true_position_mm", "retraction_mm")),
)
ANSWER_READ = ("objects.in_answer", "objects.cavity")  # and those of `<OD>`


def may_flip(row: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a picture may be mirrored left-right and up-down.

    A mirrored print is a false print; a view from the left mirrored left-right is one from the right.
    """
    plain = row.get("marking") == "none"
    return plain and row.get("camera") in LEFT_RIGHT, plain and row.get("camera") in UP_DOWN


def lacking(features: Mapping[str, Any], also: Sequence[str] = ()) -> tuple[str, ...]:
    """Columns of `READ`, and of `also`, that a dataset has not."""
    from generator.dataset.rows import missing_columns

    missing = missing_columns(features)
    # Without boxes there are none to say anything of.
    return tuple(name for name in (*READ, *also) if name in missing and ("." not in name or features.get("objects")))


def lacking_line(names: Sequence[str]) -> str:
    """What is said of missing columns, in one line."""
    return f"the dataset has no column {', '.join(names)}: made by an earlier version, or elsewhere; not guessed"
