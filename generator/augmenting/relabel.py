"""Label an augmented copy: the objects that remain in it, their boxes, and the class of the picture.

A copy is OK if no part of any defect remains in it. The remaining part of an object is measured in its mask if the
dataset has masks, otherwise in its box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blender_scripts.contract.tolerance import Tolerance
from generator.augmenting.orientation import Naming
from generator.augmenting.transforms import Move
from generator.dataset.labels import (
    ANSWER_LABELS,
    NUKENG,
    OBSERVABLE_PX,
    OK,
    can_be_seen,
    is_grey,
    is_in_answer,
    observable_px_of,
    shows_a_pin,
    worst_class,
)
from generator.dataset.rows import Box, ObjectRow, PictureRow, Point, answer, clipped, shown_part


@dataclass(frozen=True)
class Settings:
    """The settings in a dataset's card by which its pictures are labelled.

    Attributes:
        tolerance: limits in mm, by scene.
        grey: a picture is marked grey if a measure differs from its limit by at most this fraction of the limit.
        answer: how `bbox_str`, the Florence-2 answer, names the classes: `short`, `words` or `hyphenated`.
        observable_px: a bend or a wrong height counts as visible in a picture if it moves the tip by at least this, px.
    """

    tolerance: Mapping[str, Mapping[str, Any]]
    grey: float
    answer: str
    observable_px: float = OBSERVABLE_PX

    @classmethod
    def of_card(cls, settings: Mapping[str, Any]) -> Settings:
        """Make the settings from the result of `card_header.read_settings`.

        Where the card lacks them: no tolerance, no grey zone (0), `short` names of the classes, and OBSERVABLE_PX.
        """
        style = settings.get("answer", "short")
        return cls(
            settings.get("tolerance") or {},
            settings.get("grey") or 0.0,
            style if style in ANSWER_LABELS else "short",
            observable_px_of(settings),
        )


def moved_objects(
    objects: Sequence[ObjectRow], move: Move, mask: np.ndarray | None, moved_mask: np.ndarray | None
) -> list[ObjectRow]:
    """Return the objects of which a part remains in a copy, with their boxes, points, visible shares and `moved_px`.

    The box of a missing or retracted pin, and every box if there is no mask, is moved and clipped. With a mask, a
    visible object's box follows its pixels: after a crop, sides whose pixels were cut off lie where the mask now ends,
    and the other sides are moved; after a warp, the box encloses the mask's pixels, scaled to the old box and moved. A
    defect that was outside the original picture is always kept, since no part of it was cut away.

    Args:
        objects: objects of the original.
        move: transform from the original's pixels to the copy's.
        mask: instance mask (H, W) of the original; None: none.
        moved_mask: instance mask (H, W) of the copy; None: none.
    """
    before, after = _extents(mask), _extents(moved_mask)
    found = []
    for each in objects:
        box = clipped(move.box(each.box), move.out)
        share = _share(box, move.box(each.box))
        is_out = each.category != OK and each.area == 0
        if is_out and not move.exact:  # turning its box (a point or line) would give it an area
            x1, y1, x2, y2 = each.box
            box = clipped(2 * move.point(((x1 + x2) / 2, (y1 + y2) / 2)), move.out)
        elif mask is not None and each.id in before and "missing" not in (each.kinds or ()):
            old, many = before[each.id]
            new, left = after.get(each.id, (None, 0))
            if move.exact:
                share = left / many
                followed = new and _followed(box, clipped(move.box(old), move.out), new)
            else:
                followed, share = _warped(each, mask, old, move)
            if each.category != NUKENG:
                if followed is None:
                    continue
                box = followed
        if is_out or (box[2] > box[0] and box[3] > box[1]):
            found.append(_moved(each, box, share, move))
    return found


def _moved(each: ObjectRow, box: Box, share: float, move: Move) -> ObjectRow:
    """Return the object with this box and moved points; `share`: of its visible part, how much remains, 0 to 1."""
    visible = None if each.visible is None else each.visible * share
    moved = replace(
        each,
        box=box,
        visible=visible,
        tip_px=_inside(move, each.tip_px),
        base_px=_inside(move, each.base_px),
        moved_px=None if each.moved_px is None else each.moved_px * move.scale,
    )
    return replace(moved, in_answer=is_in_answer(each.category, visible, moved.area))


def moved_housing(box: Box | None, move: Move) -> Box | None:
    """Return the housing's box in the copy, clipped to the picture; None if no part of it remains.

    Args:
        box: the housing's box in the original, xyxy in px; None: not known.
        move: transform from the original's pixels to the copy's.
    """
    return None if box is None else shown_part(move.box(box), move.out)


def renamed(objects: Sequence[ObjectRow], names: Naming) -> list[ObjectRow]:
    """Return the objects with the addresses, cavity labels, `dx_mm` and `dy_mm` that a flip or a turn gives them."""
    found = []
    for each in objects:
        dx, dy = each.dx_mm, each.dy_mm
        if dx is not None and dy is not None:
            dx, dy = names.direction(dx, dy)
        address, cavity = names.address(each.address), names.cavity(each.address, each.cavity)
        found.append(replace(each, address=address, cavity=cavity, dx_mm=dx, dy_mm=dy))
    return found


def relabelled(row: PictureRow, left: Sequence[ObjectRow], settings: Settings) -> PictureRow:
    """Return the row of a copy: its class, kinds, flags and `bbox_str` follow from the objects that remain in it.

    Args:
        row: row of the copy, complete but for the values named above, which are still those of the original.
        left: the objects that remain in the copy.
        settings: labelling settings in the dataset's card.
    """
    label = worst_class(each.category for each in left)
    observable = row.observable
    if observable is not None:
        # A defect that was not visible in the original is not visible in a copy. A good part is observable if a pin is
        # visible, unless the original was a good one and showed nothing: then its copy does not either.
        if label != OK:
            seen = (each.in_answer and can_be_seen(each.moved_px, settings.observable_px) for each in left)
            observable = observable and any(seen)
        else:
            shown = shows_a_pin([each.visible for each in left if each.address])
            observable = shown and (observable or row.label != OK)
    return replace(
        row,
        label=label,
        kinds=_kinds(row, left),
        observable=observable,
        grey=_grey(row, left, settings),
        bbox_str=answer(left, (row.width, row.height), settings.answer),
        objects=tuple(left),
    )


def _kinds(row: PictureRow, left: Sequence[ObjectRow]) -> tuple[str, ...] | None:
    """Return the kinds of defect that remain; None if some defects are gone and the others' kinds are not known."""
    bad = [each for each in left if each.category != OK]
    if not bad:
        return ()
    if len(bad) == sum(each.category != OK for each in row.objects or ()):
        return row.kinds
    if any(each.kinds is None for each in bad):
        return None
    return tuple(sorted({kind for each in bad for kind in each.kinds or ()}))


def _grey(row: PictureRow, left: Sequence[ObjectRow], settings: Settings) -> bool | None:
    if not row.grey or not row.tolerance:
        return row.grey
    tolerance = Tolerance(**row.tolerance)
    return any(is_grey(vars(each), tolerance.limits(each.address), settings.grey) for each in left)


def _extents(mask: np.ndarray | None) -> dict[int | None, tuple[Box, int]]:
    """Return box (xyxy, px) and number of pixels of each object's index in a mask; {} without a mask."""
    if mask is None:
        return {}
    from scipy import ndimage

    counts = np.bincount(mask.ravel())
    found: dict[int | None, tuple[Box, int]] = {}
    for index, place in enumerate(ndimage.find_objects(mask.astype(np.int32)), 1):
        if place is not None:
            rows, columns = place
            box = (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
            found[index] = box, int(counts[index])
    return found


def _followed(box: Box, whole: Box, now: Box) -> Box:
    """Move the sides of a box to `now`, the extent of its mask, where that differs from `whole`, the extent before."""
    x1, y1, x2, y2 = (side if new == old else new for side, old, new in zip(box, whole, now, strict=True))
    return x1, y1, x2, y2


def _warped(each: ObjectRow, mask: np.ndarray, whole: Box, move: Move) -> tuple[Box | None, float]:
    """Return an object's box after a warp, and the share of its pixels that remain in the picture.

    The mask's pixels are scaled to the box, which the renderer measured on a finer mask, and moved as points. Warping
    the mask itself would lose up to a pixel at each side, which is most of the width of a thin fibre.

    Args:
        each: the object, with its box.
        mask: instance mask (H, W) of the original.
        whole: extent of the object's pixels in the mask, xyxy in px.
        move: transform from the original's pixels to the copy's.
    """
    x1, y1, x2, y2 = map(int, whole)
    ys, xs = np.nonzero(mask[y1:y2, x1:x2] == each.id)
    left, top, right, bottom = each.box
    # The middles of each pixel's four sides and of the pixel: with corners, the box of a slanted shape is too large.
    across = (np.array([0.0, 1.0, 0.5, 0.5, 0.5])[:, None] + xs) * (right - left) / (x2 - x1) + left
    down = (np.array([0.5, 0.5, 0.0, 1.0, 0.5])[:, None] + ys) * (bottom - top) / (y2 - y1) + top
    a, b, c, d, e, f = move.matrix
    u, v = a * across + b * down + c, d * across + e * down + f
    inside = (u >= 0) & (u <= move.out[0]) & (v >= 0) & (v <= move.out[1])
    share = float(inside[4].mean())
    if not share:
        return None, share
    # All five points of pixels on the border, clipped below.
    partly = inside.any(axis=0)
    u, v = u[:, partly], v[:, partly]
    return clipped((u.min(), v.min(), u.max(), v.max()), move.out), share


def _share(box: Box, whole: Box) -> float:
    area = (whole[2] - whole[0]) * (whole[3] - whole[1])
    return (box[2] - box[0]) * (box[3] - box[1]) / area if area > 0 else 1.0


def _inside(move: Move, place: Point | None) -> Point | None:
    if place is None:
        return None
    x, y = move.point(place)
    return (x, y) if 0 <= x <= move.out[0] and 0 <= y <= move.out[1] else None
