"""Metrics of a classifier: from its confusion matrix (accuracy, recall) and from its probabilities (calibration).

Shares are computed from the matrix, because the bootstrap of `trainer.core.intervals` draws matrices. scikit-learn and
SciPy take a second to import, so they are imported inside functions.
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
    """Count pictures by true label (row) and predicted label (column); returns (K, K) for K `classes`."""
    from sklearn import metrics

    if not len(truth):  # scikit-learn refuses
        return np.zeros((classes, classes), dtype=np.int64)
    return np.asarray(metrics.confusion_matrix(truth, predicted, labels=np.arange(classes)))


def accuracy(matrix: np.ndarray) -> float:
    """Return the share of right predictions in a confusion matrix (K, K); NaN for an empty one."""
    return float(np.trace(matrix) / matrix.sum()) if matrix.sum() else math.nan


def _shares(hits: np.ndarray, of: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.divide(hits, of, out=np.full(len(hits), math.nan), where=of > 0)
    return shares


def recall(matrix: np.ndarray) -> np.ndarray:
    """Return by true class the share of pictures that are predicted right: (K,) from (K, K); NaN without pictures."""
    return _shares(np.diag(matrix).astype(float), matrix.sum(1))


def precision(matrix: np.ndarray) -> np.ndarray:
    """Return by predicted class the share of right predictions: (K,) from (K, K); NaN without predictions."""
    return _shares(np.diag(matrix).astype(float), matrix.sum(0))


def balanced_accuracy(matrix: np.ndarray) -> float:
    """Return the mean recall of the classes that occur in truth, from a confusion matrix (K, K); NaN if it is empty."""
    return float(np.nanmean(recall(matrix))) if matrix.sum() else math.nan


def mean_prediction_entropy(probabilities: np.ndarray) -> float:
    """Return the entropy in bits of the mean class probabilities: 0 if one class has all, log2 K if all K are equal.

    Args:
        probabilities: (N, K), each row summing to 1.
    """
    from scipy import stats

    return float(stats.entropy(np.asarray(probabilities, dtype=np.float64).mean(axis=0), base=2))


def reliability(confidence: np.ndarray, right: np.ndarray, counted: str, true: str) -> dict[str, Any]:
    """Measure how well predicted probabilities agree with the share of right predictions.

    Args:
        confidence: (N,) predicted probabilities in [0, 1].
        right: (N,) whether the prediction was right.
        counted, true: Keys to use in each bin for the number of predictions and for the share of right ones.

    Returns:
        `bins`, one object per tenth of [0, 1] that has predictions: `from`, `to`, mean `confidence`, and the keys named
        above; `ece`, the expected calibration error, None without predictions.
    """
    # scikit-learn's `calibration_curve` does not return the counts.
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
    """Return a warning if one class has over 90 % of the predictions but not of the true labels; otherwise None.

    Args:
        matrix: (K, K) counts; row = true class, column = predicted class.
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
        f"the model predicts {classes[top]} for {predicted[top]:.0%} of the validation pictures, "
        f"but only {truth:.0%} are {classes[top]}: it has collapsed to one class"
    )


COLLAPSE_ADVICE = (
    "What helps: more epochs (with a small dataset the first hundreds of steps predict one class), a lower --lr, "
    "boxes in the dataset and --patch-weight above 0, pictures in which a person can see the defect."
)
