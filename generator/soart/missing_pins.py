"""Find the pins that would not be missed: at which a picture without the pin would not be above the limits.

This happens where the OK pictures differ much, as at a pin that is bent or missing in some of them, and where a pin is
small or dim. To find such pins, the pin is cut out of OK pictures, and the place is judged as in an inspection.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from generator.soart.aligned import grey
from generator.soart.estimator import SoartC
from generator.soart.pins import LEAST_LIMIT, PRINT, Pin, PinMeasure, PinTable
from generator.soart.saved_space import UNNOTICED_PINS

# The pin is cut out of at most so many OK pictures.
PICTURES = 8
# A pin reaches from its brightest (or darkest) point to where it differs from its surroundings by this share.
REACHES = 0.3
# A missing pin is noticed if its score, 1 at the limit, is at least NOTICED in most pictures, as a real one often has a
# higher score, because it shows what lies behind it. If no OK picture lacks the contrast of the pin, this is enough.
# Otherwise the pin may be missing in some of them, and the score must be APART times that of the pin in any of them.
NOTICED, APART = 0.75, 1.25
# Number of the rule by which such pins are sought; pins that a file states by another rule are sought again.
_METHOD = 1


def unnoticed(model: SoartC, table: PinTable, picture_limit: float, pin_limit: float) -> list[str]:
    """Return the addresses of the pins that would not be missed; with the same limits they are sought only once.

    Args:
        model: the fitted unit space; in its notes, which are saved with it, the result is kept.
        table: its pins.
        picture_limit: limit of the anomaly degree.
        pin_limit: limit of a pin's degree.

    Raises:
        ValueError: the pins must be sought, and the limits were set with features, which are not given.
    """
    limits, kept = [picture_limit, pin_limit], model.notes.get(UNNOTICED_PINS)
    if kept is None or kept["limits"] != limits or kept["method"] != _METHOD:
        addresses = _sought(model, table, picture_limit, pin_limit)
        kept = {"method": _METHOD, "limits": limits, "addresses": addresses}
        model.notes[UNNOTICED_PINS] = kept
    return list(kept["addresses"])


def _sought(model: SoartC, table: PinTable, picture_limit: float, pin_limit: float) -> list[str]:
    """Seek the pins that would not be missed, as `unnoticed`."""

    def scores(picture: np.ndarray) -> np.ndarray:
        measures = table.measure(grey(picture), model.degrees_of_aligned(picture))
        return np.array([score_of(one, picture_limit, pin_limit) for one in measures])

    count = len(model.members_)
    chosen = np.unique(np.linspace(0, count - 1, min(count, PICTURES)).round().astype(int))
    groups = _apart(table.parts)
    is_shown = table.least_contrast >= LEAST_LIMIT
    usual = 0.0 if is_shown.all() else np.max([scores(one) for one in model.members_], axis=0)
    missing = np.zeros((len(chosen), len(table.pins)))
    for row, member in enumerate(chosen):
        for group in groups:
            cut = without_pins(model.members_[member], grey(model.reference_), table, group)
            missing[row, group] = scores(cut)[group]
    found = np.median(missing, axis=0)
    is_noticed = (found >= NOTICED) & (is_shown | (found >= APART * usual))
    return [pin.address for pin, noticed in zip(table.pins, is_noticed, strict=True) if not noticed]


def score_of(pin: PinMeasure, picture_limit: float, pin_limit: float) -> float:
    """Return a pin's largest score, 1 at the limit."""
    return max(pin.anomaly / picture_limit, pin.score(pin_limit))


def without_pins(picture: np.ndarray, reference: np.ndarray, table: PinTable, numbers: Sequence[int]) -> np.ndarray:
    """Return an aligned picture (h, w[, C]) without some of its pins, whose shapes are those in the reference (h, w).

    The pixels of a pin get the median of the other pixels of its box. Print is cut out as a whole, all its letters.
    """
    out = picture.copy()
    for number in numbers:
        part = table.parts[number]
        pin = table.pins[number]
        shape = _shape(reference[part], _inner(pin, part), pin.address == PRINT)
        box = out[part]
        box[shape] = np.median(box[~shape] if not shape.all() else box.reshape(shape.size, -1), axis=0)
    return out


def _inner(pin: Pin, part: tuple[slice, slice]) -> np.ndarray:
    """Return which pixels of a pin's widened box lie in the box itself, (rows, columns) bool."""
    x1, y1, x2, y2 = pin.box
    rows, columns = np.arange(part[0].start, part[0].stop) + 0.5, np.arange(part[1].start, part[1].stop) + 0.5
    return np.outer((rows > y1) & (rows < y2), (columns > x1) & (columns < x2))


def _shape(box: np.ndarray, inner: np.ndarray, is_print: bool) -> np.ndarray:
    """Find the pixels of a pin in its box (rows, columns), and those around it: connected, bright or dark.

    Those of print are all such pixels of the inner box, as letters are not connected.
    """
    border = np.concatenate([box[0], box[-1], box[1:-1, 0], box[1:-1, -1]])
    away = box - np.median(border)
    top = np.unravel_index(np.where(inner, np.abs(away), 0.0).argmax(), box.shape)
    like = away / (away[top] or 1.0) > REACHES
    shape = like & inner if is_print else np.zeros_like(like)
    shape[top] = True
    while True:
        grown = _grown(shape) & (like | shape)
        if (grown == shape).all():
            return _grown(shape)
        shape = grown


def _grown(shape: np.ndarray) -> np.ndarray:
    """Add the upper, lower, left and right neighbours of marked pixels."""
    grown = shape.copy()
    grown[1:] |= shape[:-1]
    grown[:-1] |= shape[1:]
    grown[:, 1:] |= shape[:, :-1]
    grown[:, :-1] |= shape[:, 1:]
    return grown


def _apart(parts: Sequence[tuple[slice, slice]]) -> list[list[int]]:
    """Group boxes so that those of a group do not overlap."""
    groups: list[list[int]] = []
    for number, part in enumerate(parts):
        for group in groups:
            if not any(_overlap(part, parts[other]) for other in group):
                group.append(number)
                break
        else:
            groups.append([number])
    return groups


def _overlap(one: tuple[slice, slice], other: tuple[slice, slice]) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))
