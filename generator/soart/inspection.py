"""An inspection station: the verdict on a picture by a unit space and, if given, the boxes of the connector's pins.

With pins, two scores are compared with limits: the picture's largest anomaly degree and the largest degree of a pin.
Each limit comes from leave-one-out; the promised false alarm rate is that of the verdict, not of one score. A pin is
NG if its own degree is above the limit, or if the peak of an anomaly lies in its box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from generator.io.pictures import open_picture
from generator.io.pin_boxes import PinBox
from generator.soart.estimator import Look, SoartC
from generator.soart.kernels import compiled
from generator.soart.limits import joint_threshold
from generator.soart.pins import Pin, PinMeasure, PinTable, as_box
from generator.soart.registration import Placed

# An anomaly is a connected region above HALO x the limit whose peak is above the limit.
HALO = 0.5


@dataclass(frozen=True)
class Finding:
    """The verdict on one picture.

    Attributes:
        verdict: "OK" or "NG".
        score: the larger of the picture's and the pins' largest degree, each divided by its limit; above 1 is NG.
        boxes: [x1, y1, x2, y2, degree] of each anomaly, px of the picture, largest degree first.
        pins: the measures of every pin, and whether it is NG.
        pin_boxes: x1, y1, x2, y2 of each pin, px of the picture.
        anomaly: (H, W) float32, anomaly degree divided by the limit.
        maps: (K, gh, gw) the SOART3 maps of the aligned picture (stage 1).
    """

    verdict: str
    score: float
    boxes: tuple[tuple[float, ...], ...]
    pins: tuple[tuple[PinMeasure, bool], ...]
    pin_boxes: tuple[tuple[float, ...], ...]
    anomaly: np.ndarray
    maps: np.ndarray

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "score": round(self.score, 4),
            "boxes": [[round(v, 2) for v in box] for box in self.boxes],
            "pins": [
                {
                    **pin.to_json(),
                    "verdict": "NG" if is_bad else "OK",
                    "box": [round(v, 2) for v in box],
                }
                for (pin, is_bad), box in zip(self.pins, self.pin_boxes, strict=True)
            ],
        }


class Station:
    """A fitted SOARTC model with the connector's pins.

    Args:
        model: a fitted model.
        pins: boxes in px of the unit space's mean picture; may be empty.

    Attributes:
        table: the pins' statistics over OK parts; None without pins.
        picture_limit, pin_limit: limits of the anomaly degree and of a pin's degree.
        limit: both limits together, with the false alarm rate that they promise.

    Raises:
        ValueError: the OK pictures are copies of each other.
    """

    def __init__(self, model: SoartC, pins: Sequence[Pin] = ()) -> None:
        self.model = model
        members = model.members_ if model.members_.ndim == 3 else model.members_.mean(axis=3)
        self.table = PinTable(pins, members) if pins else None
        scores = [model.scores_, *([self.table.leave_one_out()] if self.table else [])]
        above = min(model.settings["above"], len(model.scores_) // len(scores) - 1)
        limits, self.limit = joint_threshold(scores, above)
        if not min(limits) > 0:
            raise ValueError("OK pictures must differ from each other, as limits are set from their differences")
        self.picture_limit, self.pin_limit = limits[0], limits[-1]
        model.notes["positions"] = [[pin.address, *pin.box] for pin in pins]

    @classmethod
    def load(cls, path: Path) -> Station:
        """Load a station from a file that `model.save` wrote."""
        model = SoartC.load(path)
        pins = [Pin(address, as_box(box)) for address, *box in model.notes.get("positions", [])]
        return cls(model, pins)

    def inspect(self, image: np.ndarray) -> Finding:
        """Judge a picture: (H, W) or (H, W, C) floats in [0, 1]."""
        limit = self.picture_limit
        look = self.model.look(image)
        score = float(look.degrees.max()) / limit
        pins = self._judged_pins(look)
        if pins:
            score = max(score, max(pin.degree for pin, _ in pins) / self.pin_limit)
        if not math.isfinite(score):  # a comparison with it would say OK
            raise ValueError(f"expected anomaly degrees that are finite numbers, got {score}")
        boxes = self._pin_boxes(look.placed)
        relative = look.anomaly / np.float32(limit)
        verdict = "NG" if score > 1 else "OK"
        return Finding(verdict, score, _boxes(relative), pins, boxes, relative, look.maps)

    def _judged_pins(self, look: Look) -> tuple[tuple[PinMeasure, bool], ...]:
        """Measure every pin and judge whether it is NG; NG pins get a hint at how they differ."""
        if self.table is None:
            return ()
        seen = look.seen if look.seen.ndim == 2 else look.seen.mean(axis=2)
        peaks = _standing_out(look.degrees / np.float32(self.picture_limit))[:, 5:]
        judged = []
        for number, pin in enumerate(self.table.measure(seen, look.degrees)):
            is_bad = pin.degree > self.pin_limit or _holds(self.table.parts[number], peaks)
            judged.append((replace(pin, hint=self.table.hint(seen, number)) if is_bad else pin, is_bad))
        return tuple(judged)

    def _pin_boxes(self, placed: Placed) -> tuple[tuple[float, ...], ...]:
        pins = self.table.pins if self.table else ()
        corners = (placed.to_picture(np.array(pin.box).reshape(2, 2)) for pin in pins)
        return tuple(tuple(float(v) for v in corner.ravel()) for corner in corners)


def read_picture(path: Path, colour: bool = False) -> np.ndarray:
    """Read a picture as floats in [0, 1], (H, W) grey or (H, W, 3) RGB, turned upright by its EXIF orientation.

    Raises:
        InputError: not a picture, or a damaged one.
    """
    picture = open_picture(path, str(path))
    return np.asarray(picture.convert("RGB" if colour else "L"), dtype=np.float32) / np.float32(255)


def pins_in_unit_space(model: SoartC, pins: Sequence[Pin | PinBox], picture: np.ndarray) -> list[Pin]:
    """Convert boxes from px of a picture to px of the unit space's mean picture."""
    placed = model.placed(picture)
    moved = []
    for pin in pins:
        x1, y1, x2, y2 = pin.box
        corners = np.array([[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) * placed.reduction
        middle = placed.pose.back(corners.mean(axis=0)[None], placed.reference, placed.small)[0]
        half = (corners[3] - corners[0]) / 2
        moved.append(Pin(pin.address, as_box((*(middle - half), *(middle + half)))))
    return moved


def _boxes(relative: np.ndarray) -> tuple[tuple[float, ...], ...]:
    """List [x1, y1, x2, y2, degree] of each anomaly, px, largest degree first."""
    boxes = (tuple(float(v) for v in box[:5]) for box in _standing_out(relative))
    return tuple(sorted(boxes, key=lambda box: -box[4]))


def _standing_out(relative: np.ndarray) -> np.ndarray:
    """Find components above HALO with a peak above 1, as rows of `_components`; HALO joins a word's letters to one."""
    found = _components(np.ascontiguousarray(relative > HALO), relative)
    standing: np.ndarray = found[found[:, 4] > 1]
    return standing


def _holds(part: tuple[slice, slice], places: np.ndarray) -> bool:
    """Whether one of these points (n, 2), x and y in px, lies in this part of a picture (rows, columns)."""
    rows, columns = part
    x, y = places.T
    return bool(((columns.start <= x) & (x < columns.stop) & (rows.start <= y) & (y < rows.stop)).any())


@compiled()
def _components(above: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """List box x1, y1, x2, y2, peak degree and the peak's x, y of each 8-connected region of `above`: (n, 7)."""
    height, width = above.shape
    left = above.copy()
    stack = np.empty((height * width, 2), np.int32)
    found = np.empty((256, 7), np.float64)
    count = 0
    for v in range(height):
        for u in range(width):
            if not left[v, u]:
                continue
            top, bottom, first, last, worst = v, v, u, u, 0.0
            worst_x, worst_y = u, v
            left[v, u] = False
            stack[0, 0], stack[0, 1] = v, u
            depth = 1
            while depth:
                depth -= 1
                y, x = stack[depth, 0], stack[depth, 1]
                top, bottom, first, last = min(top, y), max(bottom, y), min(first, x), max(last, x)
                if degrees[y, x] > worst:
                    worst, worst_x, worst_y = degrees[y, x], x, y
                for b in range(max(0, y - 1), min(height, y + 2)):
                    for a in range(max(0, x - 1), min(width, x + 2)):
                        if left[b, a]:
                            left[b, a] = False
                            stack[depth, 0], stack[depth, 1] = b, a
                            depth += 1
            if count == found.shape[0]:
                more = np.empty((2 * count, 7), np.float64)
                more[:count] = found
                found = more
            found[count, 0], found[count, 1], found[count, 2], found[count, 3] = (
                first,
                top,
                last + 1,
                bottom + 1,
            )
            found[count, 4], found[count, 5], found[count, 6] = worst, worst_x, worst_y
            count += 1
    return found[:count].copy()
