"""Set limits for measures of good pictures from a small number of pictures.

A new value exceeds the largest of n values with probability 1 / (n + 1), so a false alarm rate below 0.5 % cannot be
estimated from 50 pictures alone. `upper_limit` therefore assumes the shape of the distribution's tail, adds a margin,
and returns the larger of two limits:

- median + k sigma, with sigma from the distance between median and 90 % point, and k Student's quantile for a
  probability of 1 in 10,000 and n values: 3.9 for n = 100, 4.4 for 24, 7 for 6;
- the largest value plus half its distance from the median, as values of several views and housings have several modes.

For the second limit, values more than 1.25 k sigma above the median are left out, so that single unsuitable pictures do
not widen it: at most 1 + n // 50 of the n values. docs/explanation/gates.md gives measured rates.
"""

from __future__ import annotations

import math

import numpy as np

FEWEST = 3
# Fewest values for which a limit is moved; how far it is moved beyond the largest one, as a share of the room.
FEWEST_TO_MOVE, SPARE = 8, 0.1
# Normal quantiles of 1 - 1/10,000 and of the 90 % point.
Z, Z_90 = 3.719, 1.2816
MARGIN = 0.5
ASIDE = 1.25


def student_quantile(z: float, degrees: int) -> float:
    """Return the quantile of Student's t distribution at a probability, by Cornish and Fisher's expansion.

    Args:
        z: the normal distribution's quantile at this probability.
        degrees: degrees of freedom, at least 1.
    """
    return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)


def factor(count: int) -> float:
    """Return k of the limit "median + k sigma" from `count` values: Student's t quantile at 1 - 1/10,000."""
    return student_quantile(Z, count)


def upper_limit(values: np.ndarray, least: float = 0.0) -> float:
    """Compute the limit above which a value is unlike those of good pictures; infinite for fewer than 3 values.

    Args:
        values: (n,) values of good pictures, each measured without the picture itself as a reference.
        least: smallest distance of the limit from the median, for measures that hardly vary.
    """
    found = np.sort(values[np.isfinite(values)])
    if len(found) < FEWEST:
        return math.inf
    middle = float(np.median(found))
    sigma = (float(np.quantile(found, 0.9)) - middle) / Z_90
    reach = factor(len(found)) * sigma
    doubtful = int((found > middle + ASIDE * reach).sum())
    largest = float(found[-1 - min(doubtful, 1 + len(found) // 50)])
    reach = max(reach, (1 + MARGIN) * (largest - middle))
    return middle + max(reach, least)


def limits(values: np.ndarray, least: float = 0.0) -> tuple[float, float]:
    """Return the limits between which a value is like those of good pictures; arguments as for `upper_limit`."""
    return -upper_limit(-values, least), upper_limit(values, least)


def moved(limit: float, values: np.ndarray, room: float) -> float:
    """Return an upper limit that allows further values of good pictures, moved only if one of them exceeds it.

    Args:
        limit: the limit.
        values: (n,) the further values; fewer than 8 move nothing.
        room: how far the limit may move, at most. It moves to the largest value and a tenth of this beyond it.
    """
    if len(values) < FEWEST_TO_MOVE or not (values > limit).any():
        return limit
    return min(float(values.max()) + SPARE * room, limit + room)


def moved_pair(limits_now: tuple[float, float], values: np.ndarray, room: tuple[float, float]) -> tuple[float, float]:
    """Return lower and upper limit, each moved as by `moved`; `room`: for each how far."""
    (low, high), (below, above) = limits_now, room
    return -moved(-low, -values, below), moved(high, values, above)
