"""The middle and the half range of uniform random draws, of which noisy measurements are known.

A scene file states its random differences as uniform ranges. The middle of some draws is known far better from their
extremes than from their mean, as long as the measurements are less noisy than the range is wide. Both follow from the
likelihood of middle and half range, which is summed on a grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import norm

from generator.matching.scene_text import Key

_GRID = 161
# Spread of the prior of a half range about the one in the scene file, in logarithms.
_PRIOR = 0.7


@dataclass(frozen=True)
class Range:
    """Middle and half range of uniform draws, with the standard deviation of each."""

    middle: float
    middle_sd: float
    half: float
    half_sd: float


@dataclass(frozen=True)
class Quantity:
    """A value of a scene file, as the photographs determine it.

    Attributes:
        key: its place in the scene file.
        before: the value in the scene file; None: it has none.
        value: the fitted value; None: not determined, so that the scene file keeps its own.
        u: expanded uncertainty (k = 2) of a number; None: not stated.
        reason: what it was determined from, or why it was not.
    """

    key: Key
    before: Any
    value: Any
    u: float | None
    reason: str

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        interval = None
        if self.u is not None and isinstance(self.value, float):
            interval = [self.value - self.u, self.value + self.u]
        return {
            "key": ".".join(self.key),
            "before": self.before,
            "value": self.value,
            "u": self.u,
            "interval": interval,
            "determined": self.value is not None,
            "reason": self.reason,
        }


def jackknife_sd(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """Return the standard deviation (...) of an estimate by a jackknife.

    Args:
        values: (n, ...) the estimate from all data but one part, for each of n parts.
    """
    found = np.asarray(values)
    spread: np.ndarray = np.sqrt((len(found) - 1) / len(found) * ((found - found.mean(axis=0)) ** 2).sum(axis=0))
    return spread


def uniform_range(measured: Sequence[float] | np.ndarray, noise_sd: float, nominal: float) -> Range:
    """Return the middle and half range of uniform draws.

    Args:
        measured: the draws as measured.
        noise_sd: standard deviation of the measurements' errors, which are normal.
        nominal: the half range that the scene file states, in the same unit.
    """
    values = np.asarray(measured, float)
    extent = max(float(np.ptp(values)), 0.0)
    noise = max(noise_sd, 1e-3 * max(extent, nominal, 1e-9))
    reach = 0.5 * extent + 4.0 * noise + 1.5 * nominal
    centre = 0.5 * float(values.min() + values.max())
    middles = centre + np.linspace(-reach, reach, _GRID)
    halves = np.linspace(0.0, 2.0 * reach, _GRID + 1)[1:]
    middle, half = np.meshgrid(middles, halves, indexing="ij")
    total = np.zeros_like(middle)
    for value in values:
        above, below = (value - middle + half) / noise, (value - middle - half) / noise
        share = norm.cdf(above) - norm.cdf(below)
        total += np.log(np.maximum(share, 1e-300) / (2.0 * half))
    if nominal > 0.0:
        total -= 0.5 * (np.log(half / nominal) / _PRIOR) ** 2
    weight = np.exp(total - total.max())
    weight /= weight.sum()

    def moments(grid: np.ndarray) -> tuple[float, float]:
        mean = float((weight * grid).sum())
        return mean, float(np.sqrt((weight * (grid - mean) ** 2).sum()))

    return Range(*moments(middle), *moments(half))
