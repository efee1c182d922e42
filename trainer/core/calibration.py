"""Calibration of a detector's confidences: how probable is it that a box of this confidence is right?

Platt scaling (Platt 1999, Probabilistic outputs for support vector machines) of the logit of the confidence c:

    probability = 1 / (1 + exp(-(slope * log(c / (1 - c)) + intercept)))

The slope is above 0, so the order of boxes stays. Slope and intercept are fitted on the boxes of validation that count,
those from the run's threshold on: boxes below it follow another map, and nobody is shown them. Few boxes never give 0
or 1, because of Platt's targets ((R + 1) / (R + 2) for each of R right boxes, 1 / (W + 2) for each of W wrong ones) and
of a weak prior: log slope normal about 0, standard deviation 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Standard deviation of log slope in the prior: 95 % between 0.14 and 7.4. A detector's confidences lie closer together
# than a classifier's probabilities (`decision.PRIOR_DEVIATION`), as they are means over the edges of a box.
_PRIOR_DEVIATION = 1.0
# Fewer boxes are not calibrated.
LEAST = 20
# Confidences closer than this to 0 or 1 have the logit of this distance.
_EDGE = 1e-6


def _logit(confidence: float) -> float:
    inside = min(max(confidence, _EDGE), 1 - _EDGE)
    return math.log(inside / (1 - inside))


@dataclass(frozen=True)
class Calibration:
    """Content of the key `calibration` in RUN/frozen.json.

    Args:
        lowest: Confidence from which boxes are calibrated.
        boxes, right: Number of such boxes found in validation, and of the right ones among them.
        slope, intercept: See above; None: not calibrated, as there were too few boxes or all were right or all wrong.
    """

    lowest: float
    boxes: int
    right: int
    slope: float | None = None
    intercept: float | None = None

    @classmethod
    def from_json(cls, document: Any) -> "Calibration":
        """Read a JSON object with the names of the fields as keys.

        Raises:
            TypeError, ValueError: It is not such an object, or the slope is not a number above 0.
        """
        held = cls(**document)
        if held.slope is None or held.intercept is None:
            return cls(float(held.lowest), int(held.boxes), int(held.right))
        slope, intercept = float(held.slope), float(held.intercept)
        if not (0 < slope < math.inf and math.isfinite(intercept)):
            raise ValueError(f"expected a calibration of a slope above 0 and an intercept, got {slope} and {intercept}")
        return cls(float(held.lowest), int(held.boxes), int(held.right), slope, intercept)

    def probability(self, confidence: float) -> float | None:
        """Return the probability that a box of a confidence in [0, 1] is right, from 1 / (W + 2) to (R + 1) / (R + 2).

        None: not calibrated, or the confidence is below `lowest`.
        """
        if self.slope is None or self.intercept is None or confidence < self.lowest:
            return None
        # In this form no exponential overflows. Platt's targets are the most that so many boxes can show.
        probability = (1 + math.tanh((self.slope * _logit(confidence) + self.intercept) / 2)) / 2
        return min(max(probability, 1 / (self.boxes - self.right + 2)), (self.right + 1) / (self.right + 2))


def fit(confidences: Sequence[float], right: Sequence[bool], lowest: float = 0.0) -> Calibration:
    """Fit a calibration to boxes found in validation.

    Args:
        confidences, right: (N,) confidence of each box, and whether it is right.
        lowest: Confidence from which boxes count; the others are left out.
    """
    counted = [(one, hit) for one, hit in zip(confidences, right, strict=True) if one >= lowest]
    true = np.array([hit for _, hit in counted], dtype=bool)
    count, hits = len(true), int(true.sum())
    if count < LEAST or hits in (0, count):
        return Calibration(lowest, count, hits)
    from scipy.optimize import minimize  # takes half a second; prediction does not need it

    logits = np.array([_logit(one) for one, _ in counted])
    target = np.where(true, (hits + 1) / (hits + 2), 1 / (count - hits + 2))

    def loss(numbers: np.ndarray) -> float:
        score = math.exp(numbers[0]) * logits + numbers[1]
        surprise = np.logaddexp(0, -score) * target + np.logaddexp(0, score) * (1 - target)
        return float(surprise.sum() + (numbers[0] / _PRIOR_DEVIATION) ** 2 / 2)

    bound = math.log(100)
    log_slope, intercept = minimize(loss, np.zeros(2), bounds=[(-bound, bound), (None, None)]).x
    return Calibration(lowest, count, hits, math.exp(log_slope), float(intercept))


def said(calibration: Calibration | None) -> str:
    """Return a sentence without full stop on whether a run's confidences are calibrated; None: an earlier version's."""
    if calibration is None:
        return "Confidences are not calibrated: the run is of an earlier version"
    of = (
        f"{calibration.boxes} boxes found in validation with a confidence of at least {calibration.lowest:.3f}, "
        f"{calibration.right} of them right"
    )
    if calibration.slope is None:
        return f"Confidences are not calibrated: expected at least {LEAST} boxes, right and wrong ones, got {of}"
    return (
        f"Confidences are calibrated on {of}: probability = 1 / (1 + exp(-({calibration.slope:.2f} log(c / (1 - c)) "
        f"{calibration.intercept:+.2f}))) for the confidence c"
    )
