"""The limits of the gates of `generator.verdict.gates`, learned from training pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from generator.verdict.measures import MEASURE_NAMES


@dataclass(frozen=True)
class GateLimits:
    """The limits of the gates, learned from training pictures.

    Attributes:
        pictures: number of the training pictures.
        grid: (W, H) px to which a picture is stretched to compare its appearance.
        diagonal_px: diagonal, px, of the smallest and of the largest training picture.
        aspect: smallest and largest ratio of width to height of a training picture.
        measures: by name of a measure, lower and upper limit of its difference from similar training pictures.
        appearance: upper limit of a picture's distance from the training pictures, see `generator.verdict.appearance`.
        turn: upper limit of the similarity that a picture gains if it is turned, see `Comparison.turns`.
        colour: upper limit of the distance of a picture's colours, see `generator.verdict.colours`.
    """

    pictures: int
    grid: tuple[int, int]
    diagonal_px: tuple[float, float]
    aspect: tuple[float, float]
    measures: Mapping[str, tuple[float, float]]
    appearance: float
    turn: float
    colour: float = math.inf


def limits_of(held: Mapping[str, Any]) -> GateLimits:
    """Return the limits that a file's header states, as `dataclasses.asdict` gave them."""

    def pair(ends: Sequence[Any]) -> tuple[float, float]:
        low, high = ends
        return float(low), float(high)

    width, height = held["grid"]
    return GateLimits(
        pictures=int(held["pictures"]),
        grid=(int(width), int(height)),
        diagonal_px=pair(held["diagonal_px"]),
        aspect=pair(held["aspect"]),
        measures={name: pair(held["measures"][name]) for name in MEASURE_NAMES},
        appearance=float(held["appearance"]),
        turn=float(held["turn"]),
        colour=float(held.get("colour", math.inf)),
    )
