"""Align pictures by their pins, which lie nearer to the camera than most of the housing.

Where parts lie tilted, or elsewhere in the picture, their pins shift against the housing (parallax). A picture that is
aligned as a whole (`generator.soart.registration`) then shows its pins beside those of the mean picture. So it is
shifted further: to where the pins' boxes are most like those of the mean picture. The likeness is the mean over the
boxes of the ZNCC (zero-mean normalised cross-correlation), negative values counted as 0. A pin that is bent or missing
hardly counts, because it is more alike elsewhere, or nowhere. All pins get the same shift. A shift that is larger than
those of OK parts is not made at all: pins that are all bent alike are not put back into their places.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from generator.soart.kernels import compiled
from generator.soart.registration import Pose, warp

# A pin is sought nearer than this share of the distance to the next pin and of its box, so that it is not taken for the
# next one, within this share of the picture's longer side, and within so many px.
OF_DISTANCE, OF_PICTURE, REACH = 0.4, 0.03, 12.0
# Pins may shift so much farther than those of OK parts: by this factor and, px, by this constant.
FARTHER, ALWAYS = 1.25, 0.1
# Variance of grey values (0 to 1) that is added to each box's, so that noise alone resembles nothing; boxes with less
# than CONTRAST times this variance show no pin. Pictures are aligned on at least FEWEST pins.
NOISE, CONTRAST, FEWEST = (2 / 255) ** 2, 4.0, 6
# Of each box about so many pixels are compared, 0.6 to 2.3 times as many, or all of a smaller one, for speed.
COMPARED = 600
ROUNDS = 3
# Weight of a pin: its likeness at the shift of all pins, divided by its best one, to this power.
POWER = 8

Part = tuple[slice, slice]


def usable(parts: Sequence[Part], reference: np.ndarray) -> list[Part]:
    """Return the boxes (rows, columns) of a reference (h, w) on which pictures can be aligned; empty if too few.

    Boxes at the picture's edge, boxes that nearly equal an earlier one, and boxes without contrast are left out.
    """
    height, width = reference.shape
    found: list[Part] = []
    for rows, columns in parts:
        is_whole = rows.start > 0 and columns.start > 0 and rows.stop < height and columns.stop < width
        apart = [math.hypot(rows.start - a.start, columns.start - b.start) for a, b in found]
        if is_whole and min(apart, default=math.inf) > 2 and reference[rows, columns].var() > CONTRAST * NOISE:
            found.append((rows, columns))
    return found if len(found) >= FEWEST else []


def shifts_of_pins(members: np.ndarray, parts: Sequence[Part]) -> tuple[np.ndarray, float]:
    """Find how far the pins of each OK picture lie from their median place.

    Args:
        members: (n, h, w) grey floats in [0, 1], aligned with each other as a whole.
        parts: rows and columns of the pins' boxes.

    Returns:
        x and y of each picture, px, (n, 2), and the largest shift, px, that pins of another picture may have; zeros if
        there are too few pins to align pictures on.
    """
    shifts = np.zeros((len(members), 2))
    reference = np.zeros_like(members[0])
    in_boxes = np.zeros(reference.shape, dtype=bool)
    for part in parts:
        in_boxes[part] = True
    for _ in range(ROUNDS):
        placed = (warp(one, Pose().shifted(by), one.shape) for one, by in zip(members, shifts, strict=True))
        reference[in_boxes] = np.median([one[in_boxes] for one in placed], axis=0)  # elsewhere it is not compared
        if not (seen := usable(parts, reference)):
            return np.zeros_like(shifts), 0.0
        shifts = np.array([_shift(one, reference, seen, _reach(seen, reference.shape)) for one in members])
        shifts -= np.median(shifts, axis=0)
    return shifts, FARTHER * float(np.linalg.norm(shifts, axis=1).max()) + ALWAYS


def shift_of_pins(picture: np.ndarray, reference: np.ndarray, parts: Sequence[Part], largest: float) -> np.ndarray:
    """Find how far the pins of a picture lie from those of the reference.

    Args:
        picture: (h, w) grey floats in [0, 1], aligned with the reference as a whole.
        reference: (h, w) grey floats in [0, 1].
        parts: rows and columns of the pins' boxes.
        largest: length, px, of the largest shift that is made.

    Returns:
        x and y, px, (2,); zeros if the pins lie farther off, if nothing in the boxes resembles the reference, or if
        there are too few pins.
    """
    if not (seen := usable(parts, reference)):
        return np.zeros(2)
    shift = _shift(picture, reference, seen, min(largest + 1.0, _reach(seen, reference.shape)))
    return shift if np.linalg.norm(shift) <= largest else np.zeros(2)


def _reach(parts: Sequence[Part], shape: tuple[int, ...]) -> float:
    """Return the largest shift, px, that is sought in pictures (h, w) with these boxes of pins."""
    middles = np.array([[(rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2] for rows, columns in parts])
    apart = np.linalg.norm(middles[:, None] - middles, axis=2)
    np.fill_diagonal(apart, np.inf)
    sides = [min(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in parts]
    nearest = np.minimum(apart.min(axis=1), sides)
    return float(min(OF_DISTANCE * np.median(nearest), OF_PICTURE * max(shape), REACH))


def _shift(picture: np.ndarray, reference: np.ndarray, parts: Sequence[Part], longest: float) -> np.ndarray:
    """Find the shift, x and y in px, up to `longest` px long, at which the boxes are most alike."""
    reach = math.ceil(longest)
    boxes = np.array([[rows.start, rows.stop, columns.start, columns.stop] for rows, columns in parts], np.int64)
    padded = np.pad(picture.astype(np.float64), reach, mode="edge")
    by_pin = _likeness(padded, reference.astype(np.float64), boxes, reach)
    down, aside = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    by_pin[:, np.hypot(down, aside) > longest + 0.5] = 0.0
    likeness = by_pin.mean(axis=0)
    if likeness.max() <= 0.0:
        return np.zeros(2)
    for _ in range(2):
        y, x = (int(one) for one in np.unravel_index(likeness.argmax(), likeness.shape))
        # A pin that is more alike elsewhere is bent, and would draw the shift of all a little towards it.
        weights = (by_pin[:, y, x] / np.maximum(by_pin.max(axis=(1, 2)), 1e-9)) ** POWER
        likeness = np.average(by_pin, axis=0, weights=weights + 1e-9)
    y, x = (int(one) for one in np.unravel_index(likeness.argmax(), likeness.shape))
    return np.array([x - reach + _vertex(likeness[y], x), y - reach + _vertex(likeness[:, x], y)])


def _vertex(values: np.ndarray, at: int) -> float:
    """Return how far from the largest value's place, -0.5 to 0.5, the parabola through its neighbours is highest."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, here, after = values[at - 1 : at + 2]
    curved = before - 2 * here + after
    return float(0.5 * (before - after) / curved) if curved < 0 else 0.0


@compiled()
def _likeness(padded: np.ndarray, reference: np.ndarray, boxes: np.ndarray, reach: int) -> np.ndarray:
    """Compute the ZNCC of each box, for each whole shift up to `reach` px down and right: (boxes, rows, columns).

    `padded` is the picture, widened by `reach` px on every side. The innermost loop runs over shifts to the side, whose
    pixels are neighbours in memory, so the compiler vectorises it.
    """
    side = 2 * reach + 1
    found = np.zeros((len(boxes), side, side))
    total, squares, product = np.empty(side), np.empty(side), np.empty(side)
    for number in range(len(boxes)):
        top, bottom, left, right = boxes[number]
        step = max(1, round(np.sqrt((bottom - top) * (right - left) / COMPARED)))
        x = reference[top:bottom:step, left:right:step]
        count = x.size
        middle = x.mean()
        power = ((x - middle) ** 2).sum() / count + NOISE
        for down in range(side):
            total[:], squares[:], product[:] = 0.0, 0.0, 0.0
            for v in range(top, bottom, step):
                for u in range(left, right, step):
                    away = reference[v, u] - middle
                    for aside in range(side):
                        y = padded[v + down, u + aside]
                        total[aside] += y
                        squares[aside] += y * y
                        product[aside] += y * away
            for aside in range(side):
                own = squares[aside] / count - (total[aside] / count) ** 2 + NOISE
                found[number, down, aside] = max(product[aside] / count / np.sqrt(own * power), 0.0)
    return found
