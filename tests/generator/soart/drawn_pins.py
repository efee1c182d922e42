"""Drawn pictures of a housing with pins that shift against it, and inspection models of them."""

import numpy as np

from generator.soart.estimator import SoartC
from generator.soart.inspection import InspectionModel
from generator.soart.pin_places import align_on_pins
from generator.soart.pins import Pin

SIZE = 96, 160
PINS = [Pin(f"r{row + 1}c{column + 1}", (x - 5, y - 5, x + 5, y + 5))
        for row, y in enumerate((34, 62)) for column, x in enumerate(range(30, 140, 20))]  # fmt: skip


def drawn(seed: int, shift=(0.0, 0.0), bent=(), housing=(0.0, 0.0)) -> np.ndarray:
    """A picture: a housing with bright walls and pins, which are shifted; numbers and (dx, dy) px of bent pins."""
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] + 0.5
    grey = np.full(SIZE, 0.12)
    for left, top, right, bottom in ((8, 6, 14, 90), (146, 6, 152, 90), (8, 6, 152, 12), (8, 84, 152, 90)):
        u, v = x - housing[0], y - housing[1]
        inside = np.clip(np.minimum(u - left, right - u), 0, 1) * np.clip(np.minimum(v - top, bottom - v), 0, 1)
        grey += 0.4 * inside
    moved = dict(bent)
    for number, pin in enumerate(PINS):
        middle = np.array([pin.box[0] + 5, pin.box[1] + 5]) + shift + housing + moved.get(number, (0, 0))
        grey += 0.6 * np.clip(3 - np.hypot(x - middle[0], y - middle[1]), 0, 1)
    grey += np.random.default_rng(seed).normal(0, 0.01, SIZE)
    return np.clip(grey, 0, 1).astype(np.float32)


def tilted(count: int, most: float) -> list[np.ndarray]:
    """Pictures of good parts whose pins are shifted by up to `most` px."""
    shifts = np.random.default_rng(0).uniform(-most, most, (count, 2))
    return [drawn(seed, tuple(shift), housing=(0.2 * seed % 1, -0.3 * seed % 1)) for seed, shift in enumerate(shifts)]


def model_of(pictures: list[np.ndarray], on_pins: bool = True) -> InspectionModel:
    model = SoartC(window=5).fit(pictures)
    first = drawn(99)
    return InspectionModel(model, align_on_pins(model, pictures, PINS, first) if on_pins else PINS)
