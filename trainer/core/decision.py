"""OK, UNSURE or NG by a network: how its thresholds and its temperature are chosen on validation and applied.

The score of a picture, or part, is P(NG) = 1 - P(OK) of a classifier, or the highest confidence of a detector's boxes.
Which pins are NG in truth: generator/dataset/labels.py.

- *Threshold*: from this score on, the predicted class is a class of defect. A classifier's threshold maximises the mean
  of two shares on validation, NG pictures found and OK pictures passed: the classes' frequencies do not move it. Of
  all thresholds with that maximum it is the middle of the widest interval. A detector's threshold is chosen by
  `florence2.metrics`.
- *Escape threshold*: a picture is OK only if its score is lower. It is the highest score, up to the threshold, below
  which at most `ERRORS` (5 %) of validation's NG pictures lie. With `--max-escape`, `trainer.core.max_escape` chooses.
- *Overkill threshold*: a picture is NG from this score on. It is the lowest score, from the threshold on, at or above
  which at most `ERRORS` of validation's OK pictures lie.
- A picture with a score of 0.5 or more is never OK, and its predicted class is a class of defect, wherever the
  thresholds lie.
- Between OK and NG the verdict is UNSURE. If the scores of OK and NG pictures do not overlap in validation, escape and
  overkill threshold equal the threshold; then only scores from 0.5 to a threshold above 0.5 are UNSURE.
- *Temperature* T: divides the logits so that probabilities are calibrated (Guo et al. 2017, On calibration of modern
  neural networks). The thresholds apply to these probabilities. T is the maximum a posteriori under a weak prior: log T
  normal about 0, standard deviation 0.5. Without a prior T would go to 0 if every validation picture were right.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generator.verdict.envelope import Verdict

# Standard deviation of log T in the prior: 95 % between T = 0.38 and 2.7. A few hundred pictures outweigh it.
PRIOR_DEVIATION = 0.5
# Largest share of validation's NG pictures below the escape threshold, and of its OK ones from the overkill threshold.
ERRORS = 0.05
# A picture is OK only where its score is below this number: P(OK) is above one half.
EVEN = 0.5


@dataclass(frozen=True)
class Thresholds:
    """The three thresholds of the score of a picture or part: escape <= threshold <= overkill.

    Args:
        threshold: From this score on (and from 0.5 on, if that is lower) the predicted class is a class of defect.
        escape: Only scores below this, and below 0.5, give the verdict OK.
        overkill: Scores from this on give the verdict NG.
    """

    threshold: float
    escape: float
    overkill: float

    @classmethod
    def at(cls, threshold: float) -> "Thresholds":
        """Return thresholds that all equal `threshold`, so that no score lies between escape and overkill threshold."""
        return cls(threshold, threshold, threshold)

    def with_threshold(self, threshold: float | None) -> "Thresholds":
        """Return those for --threshold: NG from `threshold` on, OK below both it and `escape`; None: no change."""
        return self if threshold is None else Thresholds(threshold, min(self.escape, threshold), threshold)


def verdict_of(
    score: float, limits: Thresholds, invalid: Sequence[str] = (), name: str = "P(NG)"
) -> tuple[Verdict, list[str]]:
    """Return the verdict for a score and the reasons for it (none for OK); all verdicts from scores are made here.

    Args:
        score: P(NG), or the highest confidence of a box.
        limits: The thresholds.
        invalid: Reasons why the picture cannot be judged (the run is unfit, the picture is too dark, …), each beginning
            with a keyword and a colon. With at least one the verdict is INVALID, whatever the score.
        name: Name of the score in the reasons.
    """
    if invalid:
        return Verdict.INVALID, list(invalid)
    if score >= limits.overkill:
        return Verdict.NG, [f"defect: {name} is {score:.3f}, NG from {limits.overkill:.3f} on"]
    if score < min(limits.escape, EVEN):
        return Verdict.OK, []
    ok_below = min(limits.escape, EVEN)
    return Verdict.UNSURE, [
        f"threshold: {name} is {score:.3f}, OK only below {ok_below:.3f} and NG from {limits.overkill:.3f} on"
    ]


def verdicts_of(scores: np.ndarray, limits: Thresholds, invalid: Sequence[Sequence[str]] = ()) -> np.ndarray:
    """Return the verdicts (N,) on N pictures or parts, as text.

    Args:
        scores: (N,) scores: P(NG) of a classifier, or the highest confidence of a detector's boxes.
        limits: The thresholds.
        invalid: For each picture or part the reasons why it cannot be judged; empty: all can be judged.
    """
    reasons = invalid or [()] * len(scores)
    found = [str(verdict_of(float(s), limits, why)[0]) for s, why in zip(scores, reasons, strict=True)]
    return np.array(found, dtype="<U7")


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Compute probabilities (N, K) from logits (N, K) divided by the temperature."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    exponents = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.asarray(exponents / exponents.sum(1, keepdims=True))


def decide(probabilities: np.ndarray, ok_index: int, threshold: float) -> np.ndarray:
    """Return the labels (N,): OK if P(NG) is below both `threshold` and 0.5, otherwise the most probable NG class.

    Args:
        probabilities: (N, K), after the temperature.
        ok_index: Label of OK.
        threshold: Threshold of P(NG) = 1 - P(OK), in [0, 1].
    """
    others = probabilities.copy()
    others[:, ok_index] = -1
    is_ng = 1 - probabilities[:, ok_index] >= min(threshold, EVEN)
    return np.asarray(np.where(is_ng, others.argmax(1), ok_index))


def choose_threshold(scores: np.ndarray, ng: np.ndarray) -> float:
    """Return the threshold with the highest mean of two shares: NG pictures found, and OK pictures passed.

    Without NG or without OK pictures the threshold is 0.5.

    Args:
        scores, ng: (N,) P(NG) = 1 - P(OK), and whether the picture is NG in truth.
    """
    if ng.all() or not ng.any():
        return 0.5
    from sklearn.metrics import roc_curve  # takes a second; prediction does not need it

    alarms, found, cuts = (some[::-1] for some in roc_curve(ng, scores, drop_intermediate=False))
    # Thresholds from above the next lower score to cuts[k] decide alike. With the last cut, infinite, all is OK.
    edges = np.concatenate([[0.0], cuts[:-1], [1.0]])
    gain = found - alarms
    best = np.flatnonzero(np.isclose(gain, gain.max(), rtol=0, atol=1e-12))
    cut = best[np.argmax(edges[best + 1] - edges[best])]
    middle = (edges[cut] + edges[cut + 1]) / 2
    # Between two neighbouring floating-point numbers the middle is rounded to the lower one.
    return float(edges[cut + 1] if middle <= edges[cut] and cut > 0 else middle)


def choose_limits(scores: np.ndarray, ng: np.ndarray, threshold: float, errors: float = ERRORS) -> Thresholds:
    """Choose on validation the escape threshold (OK below it) and the overkill threshold (NG from it on).

    Args:
        scores: (N,) scores: P(NG) of a classifier, or the highest confidence of a detector's boxes.
        ng: (N,) whether the picture is NG in truth.
        threshold: Score from which on a defect is predicted; the result has escape <= threshold <= overkill.
        errors: Largest share of NG pictures below the escape threshold, and of OK pictures at or above the overkill
            threshold, in [0, 1).
    """
    escape = overkill = threshold
    bad, good = np.sort(scores[ng]), np.sort(scores[~ng])
    if len(bad):
        escape = float(bad[math.floor(errors * len(bad) + 1e-9)])
    if len(good):
        highest = good[len(good) - 1 - math.floor(errors * len(good) + 1e-9)]
        overkill = min(1.0, float(np.nextafter(highest, math.inf)))
    return Thresholds(threshold, min(escape, threshold), max(overkill, threshold))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Return the temperature T that maximises likelihood times prior (log T normal, mean 0, standard deviation 0.5).

    Args:
        logits, labels: (N, K), not divided by a temperature, and (N,) true labels.
    """
    from scipy.optimize import minimize_scalar  # takes half a second; prediction does not need it

    def loss(log_temperature: float) -> float:
        p = softmax(logits, math.exp(log_temperature))
        surprise = -np.log(p[np.arange(len(labels)), labels].clip(1e-300)).sum()
        return float(surprise + (log_temperature / PRIOR_DEVIATION) ** 2 / 2)

    bound = math.log(100)
    return math.exp(float(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))
