"""How the trainers read a dataset's row: its objects as `generator.dataset.rows` has them, how it may be mirrored, and
which columns an earlier version did not write.

The row type is imported within functions: it takes seconds, and a prediction does without.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from generator.dataset.rows import ObjectRow

# A box whose object is hidden shows something else: it teaches nothing. The dataset's own rule for `bbox_str`.
MIN_VISIBLE = 0.1
# Cameras whose view is again one of the same camera when mirrored.
LEFT_RIGHT = ("center", "top", "bottom")
UP_DOWN = ("center", "left", "right")
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


def objects_in(row: Mapping[str, Any], classes: Sequence[str]) -> "tuple[ObjectRow, ...] | None":
    """The objects of a stored row; None where it is not known what the picture shows, or of one not where or what.

    Args:
        row: As stored: classes as numbers of `classes`.
        classes: The dataset's class names.
    """
    from generator.dataset.rows import objects_of

    return objects_of(row, classes)


def lacking(features: Mapping[str, Any], also: Sequence[str] = ()) -> tuple[str, ...]:
    """Columns of `READ`, and of `also`, that a dataset has not."""
    from generator.dataset.rows import missing_columns

    missing = missing_columns(features)
    # Without boxes there are none to say anything of.
    return tuple(
        name for name in (*READ, *also) if name in missing and ("." not in name or features.get("objects"))
    )


def lacking_line(names: Sequence[str]) -> str:
    """What is said of missing columns, in one line."""
    return (
        f"the dataset has no column {', '.join(names)}: made by an earlier version, or elsewhere; not guessed"
    )
