"""What a classifier's answers are worth: from the confusion matrix, and from the mean of its predictions."""

import math
from collections.abc import Sequence

import numpy as np

COLLAPSE_SHARE = 0.9


def confusion_matrix(
    truth: Sequence[int] | np.ndarray, predicted: Sequence[int] | np.ndarray, classes: int
) -> np.ndarray:
    """Counts (K, K): row = true label, column = predicted label."""
    matrix = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix, (np.asarray(truth, dtype=int), np.asarray(predicted, dtype=int)), 1)
    return matrix


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
    mean = np.asarray(probabilities, dtype=np.float64).mean(axis=0)
    mean = mean[mean > 0]
    return float(-(mean * np.log2(mean)).sum())


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
