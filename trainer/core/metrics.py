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
    """Return each class's share of right predictions among its pictures: (K,) from (K, K); NaN without pictures."""
    return _shares(np.diag(matrix).astype(float), matrix.sum(1))


def precision(matrix: np.ndarray) -> np.ndarray:
    """Return each class's share of right predictions among its predictions: (K,) from (K, K); NaN without any."""
    return _shares(np.diag(matrix).astype(float), matrix.sum(0))


def balanced_accuracy(matrix: np.ndarray) -> float:
    """Return the mean recall of the classes that occur in truth, from a confusion matrix (K, K); NaN if it is empty."""
    return float(np.nanmean(recall(matrix))) if matrix.sum() else math.nan


def mean_prediction_entropy(probabilities: np.ndarray) -> float:
    """Return the entropy in bits of the mean of all predictions: 0 for a single class, log2 K for K equal classes.

    Args:
        probabilities: (N, K), each row summing to 1.
    """
    from scipy import stats

    return float(stats.entropy(np.asarray(probabilities, dtype=np.float64).mean(axis=0), base=2))


def reliability(confidence: np.ndarray, right: np.ndarray, counted: str, true: str) -> dict[str, Any]:
    """Measure calibration: the share right in each tenth of [0, 1], and the expected calibration error (ECE).

    Tenths in which no confidence lies are left out; the ECE is None without predictions. (`calibration_curve` of
    scikit-learn does not return the tenths' counts.)

    Args:
        confidence: (N,) predicted probabilities in [0, 1].
        right: (N,) whether the prediction was right.
        counted, true: Names of the result's keys for the number of predictions in a tenth and for its share right.
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
    """Return a warning if over 90 % of the predictions, and fewer of the true labels, are one class; otherwise None.

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
        f"the model predicts {classes[top]} for {predicted[top]:.0%} of the validation pictures, "
        f"but only {truth:.0%} are {classes[top]}: it has collapsed to one class"
    )


COLLAPSE_ADVICE = (
    "What helps: more epochs (with a small dataset the first hundreds of steps predict one class), a lower --lr, "
    "boxes in the dataset and --patch-weight above 0, pictures in which a person can see the defect."
)
