"""The row of a moved picture: what of its objects is left, where, and what the picture is then called.

A defect that is cut away is no defect of the picture: it is OK when nothing of any defect remains. What remains of an
object is told by its mask where the dataset has masks, and by its box where it has none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blender_scripts.manifest.defects import KINDS, parse_defects
from generator.augmenting.orientation import Naming
from generator.augmenting.transforms import Box, Move
from generator.dataset.features import class_names
from generator.dataset.labels import (
    ANSWER_LABELS,
    BENDNG,
    MEASURED_KINDS,
    NUKENG,
    OK,
    OTHERNG,
    ObjectTruth,
    PictureTruth,
    clipped,
    coco_box,
    worst_class,
)


@dataclass(frozen=True)
class Settings:
    """What the dataset's card says: tolerance in mm by scene, grey fraction, names in answers."""

    tolerance: Mapping[str, Mapping[str, float]]
    grey: float
    answer: str

    @classmethod
    def of_card(cls, settings: Mapping[str, Any]) -> Settings:
        """Of what `card_header.read_settings` gives; a dataset without it has none of them."""
        answer = settings.get("answer", "short")
        return cls(
            settings.get("tolerance") or {},
            settings.get("grey") or 0.0,
            answer if answer in ANSWER_LABELS else "short",
        )


def objects_of(row: Mapping[str, Any]) -> list[ObjectTruth] | None:
    """A row's objects with boxes xyxy; None where it is not known what the picture shows."""
    things = row["objects"]
    if things is None or things.get("bbox") is None:
        return None
    classes = class_names(True)
    count = len(things["bbox"])

    def column(name: str) -> list[Any]:
        return things.get(name) or [None] * count

    numbers = column("id")
    found = []
    for at, (x, y, width, height) in enumerate(things["bbox"]):
        tip, base = column("tip_px")[at], column("base_px")[at]
        found.append(
            ObjectTruth(
                id=at + 1 if numbers[at] is None else numbers[at],
                category=classes[things["category"][at]],
                box=(x, y, x + width, y + height),
                visible=column("visible")[at],
                address=column("address")[at],
                cavity=column("cavity")[at],
                true_position_mm=column("true_position_mm")[at],
                retraction_mm=column("retraction_mm")[at],
                kinds=(),
                tip_px=None if tip is None else tuple(tip),
                base_px=None if base is None else tuple(base),
            )
        )
    return found


def moved_objects(
    things: Sequence[ObjectTruth], move: Move, mask: np.ndarray | None, moved_mask: np.ndarray | None
) -> list[ObjectTruth]:
    """What of the objects the moved picture shows.

    The box of what is seen follows the mask: a side that a crop leaves alone moves with the pixels, another one ends
    where the mask now ends; a warp moves the mask's shape, fitted to the box. The box of what is not there (a missing
    pin's place, the place of a retracted one) is moved and clipped. A defect that was out of the picture stays one:
    nothing of it was cut away.

    Args:
        things: the objects before.
        move: what was done to the picture.
        mask: instance indices (H, W), None where there is no mask.
        moved_mask: the mask after the move.
    """
    before, after = _extents(mask), _extents(moved_mask)
    found = []
    for thing in things:
        box = clipped(move.box(thing.box), move.out)
        share = _share(box, move.box(thing.box))
        is_out = thing.category != OK and thing.area == 0
        if is_out and not move.exact:  # whose turn would give it an area
            x1, y1, x2, y2 = thing.box
            box = clipped(2 * move.point(((x1 + x2) / 2, (y1 + y2) / 2)), move.out)
        elif mask is not None and thing.id in before and not _is_missing(thing):
            old, many = before[thing.id]
            new, left = after.get(thing.id, (None, 0))
            if move.exact:
                share = left / many
                followed = new and _followed(box, clipped(move.box(old), move.out), new)
            else:
                followed, share = _warped(thing, mask, old, move)
            if thing.category != NUKENG:
                if followed is None:
                    continue
                box = followed
        if not is_out and (box[2] <= box[0] or box[3] <= box[1]):
            continue
        found.append(
            replace(
                thing,
                box=box,
                visible=None if thing.visible is None else thing.visible * share,
                tip_px=_inside(move, thing.tip_px),
                base_px=_inside(move, thing.base_px),
            )
        )
    return found


def moved_housing(bbox: Sequence[float] | None, move: Move) -> list[float] | None:
    """The column `housing_bbox` of the moved picture, clipped to it; None where nothing of the housing is left."""
    if bbox is None:
        return None
    x, y, width, height = bbox
    return coco_box(move.box((x, y, x + width, y + height)), move.out)


def renamed(things: Sequence[ObjectTruth], names: Naming) -> list[ObjectTruth]:
    """The objects with the addresses and cavities that they have in a flipped or turned picture."""
    return [
        replace(
            thing,
            address=names.address(thing.address),
            cavity=names.cavity(thing.address, thing.cavity),
        )
        for thing in things
    ]


def relabelled(
    row: Mapping[str, Any],
    before: Sequence[ObjectTruth],
    things: Sequence[ObjectTruth],
    size: tuple[int, int],
    settings: Settings,
) -> dict[str, Any]:
    """The columns of a row that follow from its objects.

    Args:
        row: the original; its `defects` name the kinds of what stands where.
        before: the original's objects.
        things: those that are left, in the same frame of names.
        size: (W, H) of the new picture in px.
        settings: of the dataset.
    """
    classes = class_names(True)
    left = {thing.id for thing in things}
    bad = [thing for thing in things if thing.category != OK]
    kinds = row["kinds"]
    if kinds is not None and any(t.category != OK and t.id not in left for t in before):
        kinds = _kinds(before, left, row, settings)
    truth = PictureTruth(
        label=worst_class(thing.category for thing in things),
        kinds=(),
        grey=False,
        observable=True,
        objects=tuple(replace(t, visible=1.0) if t.visible is None else t for t in things),
    )
    observable = row["observable"]
    if observable is not None:
        # What could not be seen in the original cannot be seen in a copy, unless all of it was cut away.
        observable = not bad or (observable and bool(truth.found))
    return {
        "label": classes.index(truth.label),
        "verdict": int(bool(bad)),
        "kinds": kinds,
        "observable": observable,
        "grey": _grey(row, things, settings),
        "bbox_str": truth.answer(*size, settings.answer),
        "objects": as_columns(things),
        "width": size[0],
        "height": size[1],
    }


def as_columns(things: Sequence[ObjectTruth]) -> dict[str, list[Any]]:
    """Objects as a dataset's column `objects` stores them."""
    classes = class_names(True)
    return {
        "id": [t.id for t in things],
        "bbox": [[t.box[0], t.box[1], t.box[2] - t.box[0], t.box[3] - t.box[1]] for t in things],
        "category": [classes.index(t.category) for t in things],
        "area": [t.area for t in things],
        **{
            name: [getattr(t, name) for t in things]
            for name in (
                *("address", "cavity", "visible", "true_position_mm", "retraction_mm"),
                *("tip_px", "base_px"),
            )
        },
    }


def _kinds(
    things: Sequence[ObjectTruth], left: Collection[int], row: Mapping[str, Any], settings: Settings
) -> list[str] | None:
    """The kinds of defect of those of a row's objects that are left; None where the row does not tell whose they are.

    An imported row has its labeller's words, and not which object each stands for.
    """
    bad = [thing for thing in things if thing.category != OK]
    defects, problems = parse_defects(row["defects"] or "")
    # In the order of the row's text, as the renderer numbers what is no pin.
    flaws = [defect.kind for defect in defects if KINDS[defect.kind].add]
    others = sorted(t.id for t in bad if t.category == OTHERNG and t.true_position_mm is None)
    is_told = row["defects"] is not None and not problems and len(flaws) == len(others)
    of_flaw = dict(zip(others, flaws, strict=True)) if is_told else {}
    limit = settings.tolerance.get(row["scene"] or "", {}).get("true_position_mm")
    found: set[str] = set()
    for thing in bad:
        if thing.id not in left:
            continue
        if not is_told:
            return None
        named = {d.kind for d in defects if d.target == thing.address and not KINDS[d.kind].add}
        kinds = {of_flaw[thing.id]} if thing.id in of_flaw else _kinds_of_pin(thing, named, limit)
        if not kinds:
            return None
        found |= kinds
    return sorted(found)


def _kinds_of_pin(thing: ObjectTruth, named: set[str], limit: float | None) -> set[str]:
    """The kinds of an NG position, as `labels.judge` found them; none where that cannot be told.

    Args:
        thing: the position.
        named: what the row's text says of it.
        limit: of the true position, mm.
    """
    if thing.true_position_mm is None:
        return named & {"missing"}
    others = named - set(MEASURED_KINDS)
    if thing.category == OTHERNG:
        return others
    if thing.category == BENDNG:
        return others | {"bent"}
    if others and "bent" not in named:
        return others | {"retracted"}
    if limit is None:
        return set()
    return others | {"retracted"} | ({"bent"} if thing.true_position_mm > limit else set())


def _grey(row: Mapping[str, Any], things: Sequence[ObjectTruth], settings: Settings) -> bool | None:
    limits = settings.tolerance.get(row["scene"] or "", {})
    if not row["grey"] or not limits:
        return row["grey"]
    return any(
        (value := getattr(thing, name)) is not None and abs(value - limit) <= settings.grey * limit
        for thing in things
        for name, limit in limits.items()
    )


def _extents(mask: np.ndarray | None) -> dict[int, tuple[Box, int]]:
    """Box and number of pixels of each index in a mask."""
    if mask is None:
        return {}
    from scipy import ndimage

    counts = np.bincount(mask.ravel())
    found = {}
    for index, place in enumerate(ndimage.find_objects(mask.astype(np.int32)), 1):
        if place is not None:
            rows, columns = place
            box = (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
            found[index] = box, int(counts[index])
    return found


def _followed(box: Box, whole: Box, now: Box) -> Box:
    """A box whose sides move in where the mask's have: `whole` is where they would be had nothing been cut."""
    x1, y1, x2, y2 = (side if new == old else new for side, old, new in zip(box, whole, now, strict=True))
    return x1, y1, x2, y2


def _warped(thing: ObjectTruth, mask: np.ndarray, whole: Box, move: Move) -> tuple[Box | None, float]:
    """The box of a shape after a move that is not exact, and the share of it that is inside then.

    The mask's pixels are stretched so that they fill the box, which was measured on a finer mask, and moved as points:
    a mask that is moved itself loses up to a pixel at each side, of a fibre most of it.

    Args:
        thing: what it is, with its box.
        mask: instance indices (H, W).
        whole: the extent of its pixels in the mask.
        move: what was done to the picture.
    """
    x1, y1, x2, y2 = map(int, whole)
    ys, xs = np.nonzero(mask[y1:y2, x1:x2] == thing.id)
    left, top, right, bottom = thing.box
    # The middles of each pixel's four sides, and its own: corners would reach too far where a shape is slanted.
    across = (np.array([0.0, 1.0, 0.5, 0.5, 0.5])[:, None] + xs) * (right - left) / (x2 - x1) + left
    down = (np.array([0.5, 0.5, 0.0, 1.0, 0.5])[:, None] + ys) * (bottom - top) / (y2 - y1) + top
    a, b, c, d, e, f = move.matrix
    u, v = a * across + b * down + c, d * across + e * down + f
    inside = (u >= 0) & (u <= move.out[0]) & (v >= 0) & (v <= move.out[1])
    share = float(inside[4].mean())
    if not share:
        return None, share
    # Of a pixel on the border all sides, which the border clips.
    shown = inside.any(axis=0)
    u, v = u[:, shown], v[:, shown]
    return clipped((u.min(), v.min(), u.max(), v.max()), move.out), share


def _is_missing(thing: ObjectTruth) -> bool:
    return thing.category == NUKENG and thing.true_position_mm is None


def _share(box: Box, whole: Box) -> float:
    area = (whole[2] - whole[0]) * (whole[3] - whole[1])
    return (box[2] - box[0]) * (box[3] - box[1]) / area if area > 0 else 1.0


def _inside(move: Move, place: Sequence[float] | None) -> tuple[float, float] | None:
    if place is None:
        return None
    x, y = move.point(place)
    return (x, y) if 0 <= x <= move.out[0] and 0 <= y <= move.out[1] else None
