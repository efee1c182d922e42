"""The columns that Pinsight's own exports state of a picture, which an import takes back into the new dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blender_scripts.contract.errors import shown
from blender_scripts.contract.station import CAMERAS
from generator.dataset.rows import MANIFEST_COLUMNS

LARGEST = 2**63 - 1
_NAMES = {"bool": "true or false", "string": "text", "int64": f"a whole number from 0 to {LARGEST}"}
_TYPES: dict[str, type] = {"bool": bool, "string": str, "int64": int}
# The columns of a row that formats may store beside a picture's class and objects, and their types.
ABOUT = {
    **dict.fromkeys(("observable", "grey", "synthetic"), "bool"),
    **dict.fromkeys(("original", "augmentation"), "string"),
    **MANIFEST_COLUMNS,
}
# An import finds run names and splits by itself.
_STATED = {name: kind for name, kind in ABOUT.items() if name not in ("run", "split")}
# Columns that no format stores.
_NEVER = ("camera_json", "tolerance_json", "housing_bbox")


def own_columns(entry: Mapping[str, Any], where: str, problems: list[str]) -> dict[str, Any]:
    """Return the columns that a picture's entry states, if it has the keys of Pinsight's exports; otherwise none.

    Args:
        entry: what a COCO file or a metadata file states of the picture, by key.
        where: place in the file, for messages.
        problems: list to which messages on values of a wrong type are added.
    """
    is_own = all(isinstance(entry.get(name), str) for name in ("run", "label"))
    if not is_own or not isinstance(entry.get("synthetic"), bool):
        return {}
    found: dict[str, Any] = {}
    for name, kind in _STATED.items():
        value = entry.get(name)
        if value is None:
            continue
        is_typed = type(value) is _TYPES[kind]
        if not is_typed or (isinstance(value, int) and not 0 <= value <= LARGEST):
            problems.append(f"{where} {name}: expected {_NAMES[kind]}, got {shown(value)}")
        elif name == "camera" and value not in CAMERAS:
            problems.append(f"{where} camera: expected one of {', '.join(CAMERAS)}, got {shown(value)}")
        else:
            found[name] = value
    return found


def columns_note(stated: Sequence[Mapping[str, Any]]) -> str:
    """Return a line on the columns that come from Pinsight's own export; empty if the source is none.

    Args:
        stated: the columns that each picture's entry states, as `own_columns` returns them.
    """
    have = {name for each in stated for name in each}
    if not have:
        return ""
    taken = [name for name in _STATED if name in have]
    lost = [*(name for name in _STATED if name not in have), *_NEVER]
    return (
        f"an export of Pinsight: taken from it are the columns {', '.join(taken)}; null, or as an option states, are "
        f"{', '.join(lost)}; columns of your own are left out"
    )


def not_written(names: Sequence[str]) -> str:
    """Return a line on the columns that a format does not store; `names`: those that it stores."""
    lost = [*(name for name in _STATED if name not in names), *_NEVER]
    return f"not written, as the format has no place for them: the columns {', '.join(lost)}, and those of your own"
