"""Places of the pins in the mean picture of a unit space, from boxes that lie in one of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from generator.io.pin_boxes import PinBox
from generator.soart.estimator import SoartC
from generator.soart.pins import Pin, as_box, parts_of

# A box that covers more than this share of the picture is hardly that of one pin.
LARGEST_SHARE = 0.25


def align_on_pins(
    model: SoartC, images: Iterable[np.ndarray], pins: Sequence[Pin | PinBox], picture: np.ndarray
) -> list[Pin]:
    """Fit a model again, to the same pictures aligned on pins; return the pins, in px of the new mean picture.

    Args:
        model: the model, last fitted to `images`, whose alignment as a whole it keeps.
        images: the OK pictures, as for `SoartC.fit`, in the same order.
        pins: the pins, with boxes in px of `picture`.
        picture: (H, W) or (H, W, C) floats in [0, 1].

    Raises:
        ValueError: a box lies outside the mean picture; or the last fit was to other pictures, as far as their number
            and size say.
    """
    model.fit(images, pins_in_unit_space(model, pins, picture), again=True)
    return pins_in_unit_space(model, pins, picture)


def pins_in_unit_space(model: SoartC, pins: Sequence[Pin | PinBox], picture: np.ndarray) -> list[Pin]:
    """Return pins with their boxes converted from px of a picture to px of the unit space's mean picture.

    Args:
        model: the fitted unit space.
        pins: the pins, with boxes in px of `picture`.
        picture: (H, W) or (H, W, C) floats in [0, 1].
    """
    placed = model.placed(picture)
    moved = []
    for pin in pins:
        x1, y1, x2, y2 = pin.box
        corners = np.array([[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) * placed.reduction
        middle = placed.pose.back(corners.mean(axis=0)[None], placed.reference, placed.small)[0]
        half = (corners[3] - corners[0]) / 2
        moved.append(Pin(pin.address, as_box((*(middle - half), *(middle + half)))))
    return moved


def unusable_boxes(model: SoartC, pins: Sequence[PinBox], picture: np.ndarray, name: str) -> list[str]:
    """List the boxes in which no pin can be judged: outside the picture, or too small. Each is one message.

    Args:
        model: the fitted unit space.
        pins: the pins, with boxes in px of `picture`.
        picture: (H, W) or (H, W, C) floats in [0, 1].
        name: the picture's name in messages.
    """
    (height, width), (rows, columns) = picture.shape[:2], model.reference_.shape[:2]
    problems = []
    for pin, moved in zip(pins, pins_in_unit_space(model, pins, picture), strict=True):
        try:
            parts_of([moved], (rows, columns))
        except ValueError:
            x1, y1, x2, y2 = pin.box
            is_inside = x1 < width and y1 < height and x2 > 0 and y2 > 0
            reduced = f"with at least 4 pixels of the picture as it is compared, reduced to {columns} x {rows} px"
            expected = reduced if is_inside else f"in the picture {name}, which has {width} x {height} px"
            problems.append(f"{pin.place}: expected a box {expected}, got {pin}")
    return problems


def large_boxes(pins: Sequence[PinBox], size: tuple[int, int], name: str) -> list[str]:
    """Warn of boxes that are hardly those of single pins: one line, or none if there is no such box.

    Args:
        pins: the pins, with boxes in px of the picture.
        size: height and width of the picture, px.
        name: the picture's name in messages.
    """
    shares = [(x2 - x1) * (y2 - y1) / (size[0] * size[1]) for x1, y1, x2, y2 in (pin.box for pin in pins)]
    large = [number for number, share in enumerate(shares) if share > LARGEST_SHARE]
    if not large:
        return []
    pin, more = pins[large[0]], f"; {len(large)} boxes are so large" if len(large) > 1 else ""
    covered = f"which covers {100 * shares[large[0]]:.0f} % of the picture {name}"
    return [f"warning: {pin.place}: expected a box around one pin, got {pin}, {covered}{more}"]
