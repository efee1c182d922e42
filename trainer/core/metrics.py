"""What a classifier's answers are worth: from the confusion matrix, and from its probabilities.

Shares are taken from the matrix, not by scikit-learn from labels: the bootstrap of `trainer.core.intervals` draws
matrices. scikit-learn and SciPy take a second to import, so only the functions that need them do.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

BINS = 10
COLLAPSE_SHARE = 0.9


def confusion_matrix(
    truth: Sequence[int] | np.ndarray, predicted: Sequence[int] | np.ndarray, classes: int
) -> np.ndarray:
    """Counts (K, K): row = true label, column = predicted label."""
    from sklearn import metrics

    if not len(truth):  # scikit-learn refuses
        return np.zeros((classes, classes), dtype=np.int64)
    return np.asarray(metrics.confusion_matrix(truth, predicted, labels=np.arange(classes)))


def accuracy(matrix: np.ndarray) -> float:
    """Share of right answers; NaN for an empty matrix."""
    return float(np.trace(matrix) / matrix.sum()) if matrix.sum() else math.nan


def _shares(hits: np.ndarray, of: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.divide(hits, of, out=np.full(len(hits), math.nan), where=of > 0)
    return shares


def recall(matrix: np.ndarray) -> np.ndarray:
    """Per class, the share of its pictures that were found (K,); NaN where the class has none."""
    return _shares(np.diag(matrix).astype(float), matrix.sum(1))


def precision(matrix: np.ndarray) -> np.ndarray:
    """Per class, the share of its predictions that were right (K,); NaN where it was never predicted."""
    return _shares(np.diag(matrix).astype(float), matrix.sum(0))


def balanced_accuracy(matrix: np.ndarray) -> float:
    """Mean recall of the classes that occur."""
    return float(np.nanmean(recall(matrix))) if matrix.sum() else math.nan


def mean_prediction_entropy(probabilities: np.ndarray) -> float:
    """Entropy in bits of the mean predicted distribution: 0 when one class takes all, log2 K when all share alike.

    Args:
        probabilities: (N, K), each row summing to 1.
    """
    from scipy import stats

    return float(stats.entropy(np.asarray(probabilities, dtype=np.float64).mean(axis=0), base=2))


def reliability(confidence: np.ndarray, right: np.ndarray, counted: str, true: str) -> dict[str, Any]:
    """Confidence against the share of right answers in ten equal ranges, and the mean gap weighted by count (ECE).

    scikit-learn's `calibration_curve` lacks the counts of the ranges.

    Args:
        confidence: (N,) in [0, 1].
        right: (N,) bool.
        counted, true: What a range's count and share of right answers are called.
    """
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    rows = [
        {
            "from": index / BINS,
            "to": (index + 1) / BINS,
            counted: int(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            true: float(right[inside].mean()),
        }
        for index in range(BINS)
        if (inside := place == index).any()
    ]
    gap = sum(abs(row["confidence"] - row[true]) * row[counted] for row in rows)
    return {"bins": rows, "ece": gap / len(place) if len(place) else None}


def collapse_warning(matrix: np.ndarray, classes: Sequence[str]) -> str | None:
    """Plain words when one class takes more than 90 % of the predictions though the truth does not; else None.

    Args:
        matrix: (K, K) confusion counts.
        classes: Class names.
    """
    total = matrix.sum()
    if not total:
        return None
    predicted = matrix.sum(0) / total
    top = int(predicted.argmax())
    truth = float(matrix[top].sum() / total)
    if predicted[top] <= COLLAPSE_SHARE or truth > COLLAPSE_SHARE:
        return None
    return (
        f"the model says {classes[top]} for {predicted[top]:.0%} of the validation pictures, "
        f"but only {truth:.0%} are {classes[top]}: it has collapsed to one class"
    )


COLLAPSE_ADVICE = (
    "What helps: more epochs (a small set needs some hundred steps before it leaves one class), a lower --lr, "
    "boxes in the dataset with --patch-weight above 0, pictures in which a person can see the defect."
)
