"""Set limits of scores from OK parts alone, and estimate the false alarm rate with its confidence interval.

The false alarm rate is the probability that a new OK part scores above the limit. If the limit is the (k + 1)-th
largest of n scores, this probability has, over random samples of n parts, the distribution Beta(k + 1, n - k) (Wilks
1941). With k = 0, 299 OK parts prove a rate of at most 1 % with 95 % confidence: 1 - 0.05^(1/299) = 1.0 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CONFIDENCE = 0.95
# By number of limits: the fewest OK parts, none above a limit, for which the rate's interval ends at 1 % or below.
TO_SHOW_1_PERCENT = {1: 299, 2: 473}
# The mean variance over all kinds of score has the weight of so many OK parts in the variance of one kind.
POOLED = 8


@dataclass(frozen=True)
class ScoreLimit:
    """A limit of a score, or several limits that are applied together, and the false alarm rate.

    Attributes:
        value: a score above it is an alarm; 1 for several limits, as each score is divided by its own limit.
        rate: expected share of OK parts that raise an alarm, 0 to 1; for several limits an upper bound.
        interval: 95 % confidence interval of `rate`; for several limits, or if `above` is 0, it begins at 0.
        count: number of OK parts from which the limit was set.
        above: number of these OK parts whose score is above the limit.
        limits: number of limits: 1, or 2 if pins are judged as well.
    """

    value: float
    rate: float
    interval: tuple[float, float]
    count: int
    above: int
    limits: int = 1

    @property
    def promise(self) -> str:
        """Text for the user: expected false alarm rate, and how many OK pictures would prove that it is at most 1 %."""
        return self.promise_for("OK pictures", self.limits > 1)

    def promise_for(self, what: str, with_pins: bool) -> str:
        """Return the text of `promise`; `what`: name of the OK parts; `with_pins`: whether pins are judged as well."""
        fewer = " or fewer" if self.limits > 1 else ""
        # A pin that is not visible is an alarm by itself (`fading`), without a limit that the OK parts set.
        without = " (without those of pins that are not visible)" if with_pins else ""
        text = (
            f"set from {self.count} {what}, {self.above} of them above it; false alarms{without}: "
            f"{100 * self.rate:.1f} % expected{fewer}, {100 * self.interval[0]:.1f} to {100 * self.interval[1]:.1f} % "
            "with 95 % confidence"
        )
        if self.interval[1] > 0.01 and self.limits in TO_SHOW_1_PERCENT:
            text += f"; to prove at most 1 %, give {TO_SHOW_1_PERCENT[self.limits]} {what}, none above the limit"
        return text

    def to_json(self) -> dict[str, Any]:
        """Return the attributes by name, as JSON values."""
        return {**asdict(self), "interval": list(self.interval)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> ScoreLimit:
        """Restore a limit from the values of `to_json`."""
        return cls(**{**data, "interval": tuple(data["interval"])})


def score_limit(scores: Sequence[float] | np.ndarray, above: int = 0) -> ScoreLimit:
    """Set the limit of a score so that `above` of the given scores lie above it, and estimate the false alarm rate.

    Args:
        scores: scores of OK parts, each by a model that was made without that part (leave-one-out).
        above: 0 sets the limit at the largest score; a higher number keeps unusual OK parts from widening the limit.

    Raises:
        ValueError: fewer than above + 1 scores.
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
    return ScoreLimit(value, (above + 1) / (count + 1), interval, count, above)


def joint_limit(scores: Sequence[Sequence[float] | np.ndarray], above: int = 0) -> tuple[list[float], ScoreLimit]:
    """Set a limit for each of several kinds of score of the same OK parts, and estimate their joint false alarm rate.

    The joint false alarm rate is the share of new OK parts with a score above any of the limits. By Tukey's (1947)
    statistically equivalent blocks, Beta(r, n + 1 - r) bounds it, for n OK parts and r = (number of kinds)(above + 1).

    Args:
        scores: for each kind, the n scores of the OK parts, in the same order.
        above: number of OK parts that score above the limit of each kind.

    Returns:
        The limit of each kind, and a ScoreLimit with the joint rate. With several kinds its `value` is 1, as
        scores are to be divided by their limits; with one kind it is the limit of this kind.

    Raises:
        ValueError: fewer than r OK parts.
    """
    if len(scores) == 1:
        only = score_limit(scores[0], above)
        return [only.value], only
    count, blocks = len(scores[0]), len(scores) * (above + 1)
    if blocks > count:
        raise ValueError(
            f"expected at least {blocks} OK parts to set {len(scores)} limits with above = {above} (the number of OK "
            f"parts above each limit), got {count}"
        )
    limits = [score_limit(one, above).value for one in scores]
    over = np.max([np.asarray(one) > limit for one, limit in zip(scores, limits, strict=True)], axis=0)
    interval = (0.0, beta_quantile(CONFIDENCE, blocks - 1, count))
    return limits, ScoreLimit(1.0, blocks / (count + 1), interval, count, int(over.sum()), len(scores))


def part_scores(scores: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Combine several scores of each OK part, such as one per view, into one, so that one limit holds for the part.

    Of a score's logarithm the mean over the other OK parts is subtracted; the rest is divided by their standard
    deviation. A part's combined score is the largest of these values. A limit z of it is, for a score with mean m and
    standard deviation s over all OK parts, the limit exp(m + s z); a new part exceeds one of these limits if its
    combined score exceeds z. With the mean over all OK parts, each would seem more usual than a new part does, and
    the limit would be too low: in simulations of 3 views, the false alarm rate then was within its interval for 76 to
    94 of 100 sets of 5 to 20 OK parts, instead of 95.

    Args:
        scores: for each kind of score, those of the n OK parts (leave-one-out), in the same order; n >= 3.

    Returns:
        The combined scores (n,), and, for each kind, the score of this kind that stands for a combined score, (n,).
    """
    logs = np.log(np.maximum(np.stack(scores, axis=1), 1e-12))
    away = []
    for number, own in enumerate(logs):
        mean, deviation = _usual(np.delete(logs, number, axis=0))
        away.append(((own - mean) / deviation).max())
    combined = np.array(away)
    mean, deviation = _usual(logs)
    return combined, [np.exp(m + s * combined) for m, s in zip(mean, deviation, strict=True)]


def _usual(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute mean and standard deviation of each column of (n, kinds); few parts take it partly from other kinds."""
    count = len(logs)
    own = logs.var(axis=0, ddof=1)
    variance = ((count - 1) * own + POOLED * own.mean()) / (count - 1 + POOLED)
    return logs.mean(axis=0), np.sqrt(np.maximum(variance, 1e-12))


def beta_quantile(probability: float, above: int, count: int) -> float:
    """Return the quantile of Beta(above + 1, count - above) at `probability`, 0 to 1.

    It is the rate p of alarms at which, with this probability, more than `above` of `count` parts raise an alarm.
    """
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        below = sum(math.comb(count, k) * middle**k * (1.0 - middle) ** (count - k) for k in range(above + 1))
        low, high = (low, middle) if 1.0 - below > probability else (middle, high)
    return (low + high) / 2.0
