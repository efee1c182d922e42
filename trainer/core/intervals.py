"""Confidence intervals of shares: exact bounds of a count, and the bootstrap over parts.

Pictures of one part are not independent trials: several cameras see the same bent pin. So intervals of accuracy and
recall come from drawing whole parts with replacement (bootstrap). If all parts are right, or all are wrong, the
bootstrap has no width, and exact bounds are used. For one share these are Clopper and Pearson's (1934, The use of
confidence or fiducial limits illustrated in the case of the binomial), for the mean of several classes' shares
Buehler's (1957, Confidence intervals for the product of two binomial parameters).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trainer.core import metrics

Interval = tuple[float, float]
DRAWS = 1000


def clopper_pearson(hits: int, trials: int, level: float = 0.95) -> Interval:
    """Return lower and upper exact confidence bound of a share (Clopper and Pearson); (0, 1) without trials.

    Args:
        hits, trials: The share is hits / trials; the trials are independent of each other.
        level: Confidence, in (0, 1).
    """
    if trials == 0:
        return 0.0, 1.0
    from scipy import stats  # takes a second; prediction does not need it

    bounds = stats.binomtest(hits, trials).proportion_ci(level, method="exact")
    return float(bounds.low), float(bounds.high)


def share(hits: int, trials: int) -> dict[str, Any]:
    """Return `count` (hits), `of` (trials), `share` (hits / trials, None for 0 trials), its exact 95 % `interval`."""
    return {
        "count": int(hits),
        "of": int(trials),
        "share": hits / trials if trials else None,
        "interval": clopper_pearson(int(hits), int(trials)),
    }


def part_counts(parts: Sequence[str], truth: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """Return the confusion matrix of each of P parts, (P, K, K) counts: row = true label, column = predicted label.

    Args:
        parts: (N,) name of the part that each picture shows.
        truth, said: (N,) true and predicted labels.
        classes: Number of classes K.
    """
    _, index = np.unique(np.asarray(parts, dtype=str), return_inverse=True)
    counts = np.zeros((int(index.max()) + 1 if len(index) else 0, classes, classes))
    np.add.at(counts, (index, truth, said), 1)
    return counts


def drawn_matrices(counts: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Draw bootstrap samples (draws, K, K); each sums P matrices drawn with replacement from `counts` (P, K, K)."""
    parts, classes = len(counts), counts.shape[-1]
    weights = np.random.default_rng(seed).multinomial(parts, np.full(parts, 1 / parts), size=draws)
    drawn: np.ndarray = (weights @ counts.reshape(parts, -1)).reshape(draws, classes, classes)
    return drawn


def bootstrap(drawn: np.ndarray, measure: Callable[[np.ndarray], float], level: float = 0.95) -> Interval:
    """Return the percentile interval of a measure over bootstrap draws; (0, 1) if no draw has a value.

    Args:
        drawn: (draws, K, K) from `drawn_matrices`.
        measure: Function of a confusion matrix to a number in [0, 1]; NaN where it is undefined.
        level: Confidence, in (0, 1).
    """
    values = np.array([measure(matrix) for matrix in drawn])
    values = values[~np.isnan(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _least_mean(trials: np.ndarray, level: float) -> float:
    """Return the lower bound of the mean of K shares whose trials all succeeded (Buehler).

    It is the lowest mean of shares with which all trials succeed with probability (1 - level) / 2. That probability is
    the product of share^trials; with it fixed, shares in proportion to their trials minimise the sum, each at most 1.
    For one class it is Clopper and Pearson's bound.

    Args:
        trials: (K,) number of trials of each share, 1 or more.
        level: Confidence, in (0, 1).
    """
    chance = np.log((1 - level) / 2)
    sure = np.zeros(len(trials), dtype=bool)
    while True:
        free = trials[~sure]
        scale = np.exp((chance - (free * np.log(free)).sum()) / free.sum())
        beyond = ~sure & (trials * scale > 1)
        if not beyond.any():
            return float(np.where(sure, 1.0, trials * scale).mean())
        sure |= beyond


def balanced_interval(counts: np.ndarray, level: float = 0.95) -> Interval:
    """Return the interval of the balanced accuracy (mean recall of the classes that occur), by bootstrap over parts.

    If the recall of every class is 0 or 1, the bootstrap has no width, and Buehler's bounds of the mean are used, with
    each part of a class as one trial. Without pictures, or if the only part has right and wrong ones, the result is
    (0, 1).

    Args:
        counts: (P, K, K) from `part_counts`.
        level: Confidence, in (0, 1).
    """
    whole = counts.sum(0)
    occurs = whole.sum(1) > 0
    if not occurs.any():
        return 0.0, 1.0
    recalls = metrics.recall(whole)[occurs]
    if not np.isin(recalls, (0, 1)).all():
        if len(counts) == 1:
            return 0.0, 1.0
        return bootstrap(drawn_matrices(counts), metrics.balanced_accuracy, level)
    trials = (counts.sum(2) > 0).sum(0)[occurs].astype(float)  # parts that show each class
    found, missed = trials[recalls == 1], trials[recalls == 0]
    low = len(found) * _least_mean(found, level) if len(found) else 0.0
    high = len(recalls) - (len(missed) * _least_mean(missed, level) if len(missed) else 0.0)
    return low / len(recalls), high / len(recalls)


def part_interval(parts: Sequence[str], right: np.ndarray, level: float = 0.95) -> Interval:
    """Return the interval of the share of right pictures: `part_intervals` with one column, `right` (N,)."""
    low, high = part_intervals(parts, np.asarray(right)[:, None], level)[0]
    return float(low), float(high)


def part_intervals(parts: Sequence[str], right: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Return the intervals of T shares of right pictures, by bootstrap over parts with the same draws for each share.

    If all pictures are right, or all are wrong, the bootstrap has no width, and Clopper and Pearson's bounds are used,
    with each part as one trial. Without pictures, or if the only part has right and wrong ones, the result is (0, 1).

    Args:
        parts: (N,) name of the part that each picture shows.
        right: (N, T) whether the picture is counted as right.
        level: Confidence, in (0, 1).

    Returns:
        (T, 2) lower and upper bounds.
    """
    _, index = np.unique(np.asarray(parts, dtype=str), return_inverse=True)
    sizes = np.bincount(index).astype(float)
    hits = np.zeros((len(sizes), right.shape[1]))
    np.add.at(hits, index, np.asarray(right, dtype=int))
    bounds = np.tile([0.0, 1.0], (right.shape[1], 1))
    if not len(sizes):
        return bounds
    whole = hits.sum(0)
    bounds[whole == 0] = clopper_pearson(0, len(sizes), level)
    bounds[whole == len(right)] = clopper_pearson(len(sizes), len(sizes), level)
    mixed = (whole > 0) & (whole < len(right))
    if len(sizes) > 1 and mixed.any():
        weights = np.random.default_rng(0).multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=DRAWS)
        shares = weights @ hits[:, mixed] / (weights @ sizes)[:, None]
        bounds[mixed] = np.quantile(shares, [(1 - level) / 2, (1 + level) / 2], axis=0).T
    return bounds
