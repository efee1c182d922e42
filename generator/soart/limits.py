"""What a threshold set from good parts alone promises: its rate of false alarms, and how sure that is.

If the threshold is the (k + 1)-th largest of n exchangeable scores, the chance that a fresh good part lies above it is
distributed as Beta(k + 1, n - k) over the draws of those n (Wilks 1941). With k = 0 that is the rule behind "none seen
in 299 shows 1 % at 95 %": 1 - 0.05^(1/299) = 1.0 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.95
# Good parts, none above the limit, by the number of limits: the smallest n whose interval ends at 1 %.
TO_SHOW_1_PERCENT = {1: 299, 2: 473}


@dataclass(frozen=True)
class Threshold:
    """A limit for a score, and what it promises.

    Attributes:
        value: a score above it is an alarm; 1 where it stands for several limits, scores being taken over theirs.
        rate: expected share of good parts that raise an alarm; at most, where it stands for several limits.
        interval: two shares, 95 % sure; from 0 where none of the good parts is left above the limit.
        count: number of good parts that it was set from.
        above: how many of them lie above it.
        limits: of how many scores; 1, or 2 with pins.
    """

    value: float
    rate: float
    interval: tuple[float, float]
    count: int
    above: int
    limits: int = 1

    @property
    def promise(self) -> str:
        """The promise in a sentence, and what it would take to promise 1 %."""
        most = " at most" if self.limits > 1 else ""
        text = (
            f"set from {self.count} OK pictures, {self.above} of them above it: {100 * self.rate:.1f} % false alarms "
            f"expected{most}, {100 * self.interval[0]:.1f} to {100 * self.interval[1]:.1f} % at 95 %"
        )
        if self.interval[1] > 0.01 and self.limits in TO_SHOW_1_PERCENT:
            text += f"; to promise 1 % it takes {TO_SHOW_1_PERCENT[self.limits]} OK pictures with none above the limit"
        return text

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "interval": list(self.interval)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Threshold:
        return cls(**{**data, "interval": tuple(data["interval"])})


def threshold(scores: Sequence[float] | np.ndarray, above: int = 0) -> Threshold:
    """The limit that leaves `above` of these scores above it.

    Args:
        scores: of good parts, each judged by a model that did not see it (leave-one-out).
        above: 0 sets the limit at the largest score; more makes it less sensitive to a single odd part.

    Raises:
        ValueError: no scores, or fewer than above + 1.
    """
    count = len(scores)
    if not 0 <= above < count:
        raise ValueError(f"above must be from 0 to the number of scores - 1 = {count - 1}, got {above}")
    value = float(np.sort(np.asarray(scores, dtype=np.float64))[count - 1 - above])
    if above == 0:
        interval = (0.0, 1.0 - (1.0 - CONFIDENCE) ** (1.0 / count))
    else:
        tail = (1.0 - CONFIDENCE) / 2.0
        interval = (beta_quantile(tail, above, count), beta_quantile(1.0 - tail, above, count))
    return Threshold(value, (above + 1) / (count + 1), interval, count, above)


def joint_threshold(scores: Sequence[Sequence[float] | np.ndarray], above: int = 0) -> tuple[list[float], Threshold]:
    """A limit for each of several scores of the same good parts, and what all of them together promise.

    Each limit cuts off one of Tukey's (1947) statistically equivalent blocks per part at or above it, so the share of
    fresh good parts that lie above any of them is at most Beta(r, n + 1 - r), r = scores x (above + 1).

    Args:
        scores: of each kind, those of the n good parts.
        above: of each kind, how many lie above its limit.

    Raises:
        ValueError: fewer good parts than blocks.
    """
    if len(scores) == 1:
        only = threshold(scores[0], above)
        return [only.value], only
    count, blocks = len(scores[0]), len(scores) * (above + 1)
    if blocks > count:
        raise ValueError(f"{above} above each of {len(scores)} limits takes {blocks} good parts, got {count}")
    limits = [threshold(one, above).value for one in scores]
    over = np.max([np.asarray(one) > limit for one, limit in zip(scores, limits, strict=True)], axis=0)
    interval = (0.0, beta_quantile(CONFIDENCE, blocks - 1, count))
    return limits, Threshold(1.0, blocks / (count + 1), interval, count, int(over.sum()), len(scores))


def beta_quantile(probability: float, above: int, count: int) -> float:
    """Quantile of Beta(above + 1, count - above): the rate p at which P(Binomial(count, p) > above) = probability."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        below = sum(math.comb(count, k) * middle**k * (1.0 - middle) ** (count - k) for k in range(above + 1))
        low, high = (low, middle) if 1.0 - below > probability else (middle, high)
    return (low + high) / 2.0
