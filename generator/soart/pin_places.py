"""Places of the pins in the mean picture of a unit space, from boxes that lie in one of its pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from generator.io.pin_boxes import PinBox
from generator.soart.estimator import SoartC
from generator.soart.pins import Pin, as_box


def align_on_pins(
    model: SoartC, images: Iterable[np.ndarray], pins: Sequence[Pin | PinBox], picture: np.ndarray
) -> list[Pin]:
    """Fit a model again, to the same pictures aligned on pins; return the pins, in px of the new mean picture.

    Args:
        model: the model, fitted to `images`.
        images: the OK pictures, as for `SoartC.fit`.
        pins: the pins, with boxes in px of `picture`.
        picture: (H, W) or (H, W, C) floats in [0, 1].

    Raises:
        ValueError: a box lies outside the mean picture.
    """
    model.fit(images, pins_in_unit_space(model, pins, picture))
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
