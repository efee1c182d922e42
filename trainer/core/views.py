"""`--views`: several pictures of one part, from different cameras, as one example.

A station with several cameras judges the part, not the single picture. Rows of a dataset with equal `scene` and `part`
show one part; the column `camera` names the view. Every part needs exactly one picture from each view, because a
network trained on all views cannot judge without one of them. The pictures of an example are in the order of the views.

A part's class is the gravest of its pictures' classes, so a part is NG if at least one picture is. The true boxes
belong to the single picture: patches are trained on the defects that their own view shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from generator.dataset.labels import PRECEDENCE
from generator.io import view_names
from trainer.core.errors import InputError
from trainer.core.split import Split
from trainer.vit.network.model import OK_CLASS

ALL = ("all",)
# What --views gives for `single`: pictures one by one.
SINGLE: tuple[str, ...] = ()
MOST_NAMED = 5


def view_list(text: str) -> tuple[str, ...]:
    """Parse --views: two or more different cameras, such as `center,left`; `all`, returned as ALL; `single`, as SINGLE.

    Whether there are such cameras is not checked.

    Raises:
        ArgumentTypeError: the text names fewer than two cameras, or one twice.
    """
    named = {ALL[0]: ALL, "single": SINGLE}.get(text.strip())
    return view_names.view_list(text, ", or all, or single") if named is None else named


def cameras_of(splits: Mapping[str, Split]) -> tuple[str, ...]:
    """Return the cameras for `--views all`: those of the training split, sorted by name.

    Raises:
        InputError: The split has fewer than two cameras.
    """
    found = sorted({str(row["camera"]) for row in splits["train"].rows if row.get("camera")})
    if len(found) < 2:
        raise InputError(
            f"--views all: expected pictures of two or more cameras in the split train, got the cameras {found}"
        )
    return tuple(found)


def common_cameras(splits: Mapping[str, Split]) -> tuple[str, ...]:
    """Return the cameras, sorted by name, if every part has one picture from each, all in one split; else SINGLE."""
    cameras = {row.get("camera") for split in splits.values() for row in split.rows}
    if len(cameras) < 2 or None in cameras or "" in cameras:
        return SINGLE
    seen: dict[tuple[str, str], tuple[str, set[Any]]] = {}
    for name, split in splits.items():
        for row in split.rows:
            if row.get("part") in (None, ""):
                return SINGLE
            home, found = seen.setdefault(_part(row), (name, set()))
            if home != name or row["camera"] in found:
                return SINGLE
            found.add(row["camera"])
    return tuple(sorted(map(str, cameras))) if all(found == cameras for _, found in seen.values()) else SINGLE


def _part(row: Mapping[str, Any]) -> tuple[str, str]:
    return str(row.get("scene") or ""), str(row["part"])


def _words(part: tuple[str, str]) -> str:
    return f"part {part[1]}" + (f" of the scene {part[0]}" if part[0] else "")


def _gathered(split: Split, views: Sequence[str]) -> tuple[dict[tuple[str, str], dict[str, int]], list[str]]:
    """Return picture indices by part and view, parts in the order of their first rows; and messages on problems."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    problems = []
    for index, row in enumerate(split.rows):
        part, camera = row.get("part"), row.get("camera")
        if part in (None, "") or camera in (None, ""):
            problems.append(
                f"row {split.runs[index]}: expected a part and a camera in its columns, got part {part!r} and camera "
                f"{camera!r}"
            )
            continue
        pictures = found.setdefault(_part(row), {})
        if camera not in views:
            continue
        if camera in pictures:
            problems.append(
                f"{_words(_part(row))}: expected one picture from the camera {camera}, got the rows "
                f"{split.runs[pictures[camera]]} and {split.runs[index]}"
            )
        pictures[camera] = index
    for part, pictures in found.items():
        if missing := [view for view in views if view not in pictures]:
            problems.append(f"{_words(part)}: expected a picture from each view, got none from {', '.join(missing)}")
    return found, problems


def by_part(splits: Mapping[str, Split], views: Sequence[str], classes: Sequence[str], place: str) -> dict[str, Split]:
    """Group the pictures of each split by part: one example per part; pictures of other cameras are left out.

    Args:
        splits: Splits by name, with one picture per example.
        views: Cameras, in the order of the pictures in an example.
        classes: Class names, in the order of the labels.
        place: Beginning of messages, such as `--data FOLDER`.

    Raises:
        InputError: A row has no part or no camera, a view has no picture or several pictures of a part, or a part has
            pictures in two splits.
    """
    # The gravest class first, in the order of PRECEDENCE; classes that are not in it follow.
    graver = [name for name in PRECEDENCE if name in classes and name != OK_CLASS]
    graver += [name for name in classes if name not in PRECEDENCE]
    rank = torch.tensor([graver.index(name) if name in graver else len(graver) for name in classes])
    label_of = torch.tensor([classes.index(name) for name in (*graver, OK_CLASS)])
    problems: list[str] = []
    home: dict[tuple[str, str], str] = {}
    grouped = {}
    for name, split in splits.items():
        parts, wrong = _gathered(split, views)
        wrong += [
            f"{_words(part)}: expected all its pictures in one split, got some in {home[part]} too"
            for part in parts
            if home.setdefault(part, name) != name
        ]
        if wrong:
            more = [f"and {len(wrong) - MOST_NAMED} more"] if len(wrong) > MOST_NAMED else []
            problems += [f"{place} split {name}: {one}" for one in (*wrong[:MOST_NAMED], *more)]
            continue
        order = split.subset([pictures[view] for pictures in parts.values() for view in views])
        labels = label_of[rank[order.labels].view(-1, len(views)).amin(1)]
        grouped[name] = replace(order, labels=labels, views=len(views))
    if problems:
        raise InputError(problems)
    return grouped
