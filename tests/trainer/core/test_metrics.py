"""Numbers worked out by hand."""

import math

import numpy as np
import pytest

from trainer.core import metrics

CLASSES = ["BENDNG", "NUKENG", "OK"]


def test_confusion_accuracy_recall_precision_by_hand():
    matrix = metrics.confusion_matrix([0, 0, 0, 1, 2, 2], [0, 0, 2, 2, 2, 0], 3)
    assert matrix.tolist() == [[2, 0, 1], [0, 0, 1], [1, 0, 1]]
    assert metrics.accuracy(matrix) == pytest.approx(3 / 6)
    assert metrics.recall(matrix) == pytest.approx([2 / 3, 0, 1 / 2])
    precision = metrics.precision(matrix)
    assert precision[[0, 2]] == pytest.approx([2 / 3, 1 / 3])
    assert math.isnan(precision[1])  # never predicted
    assert metrics.balanced_accuracy(matrix) == pytest.approx((2 / 3 + 0 + 1 / 2) / 3)


def test_a_class_without_pictures_has_no_recall_and_does_not_count():
    matrix = metrics.confusion_matrix([0, 2], [0, 0], 3)
    assert math.isnan(metrics.recall(matrix)[1])
    assert metrics.balanced_accuracy(matrix) == pytest.approx(0.5)


def test_nothing_predicted_is_nan_not_a_crash():
    matrix = metrics.confusion_matrix([], [], 3)
    assert matrix.tolist() == [[0, 0, 0]] * 3 and math.isnan(metrics.accuracy(matrix))
    assert metrics.collapse_warning(matrix, CLASSES) is None


@pytest.mark.parametrize(
    ("probabilities", "bits"),
    [
        ([[1.0, 0.0], [1.0, 0.0]], 0.0),
        ([[1.0, 0.0], [0.0, 1.0]], 1.0),
        ([[0.25, 0.75]], 0.25 * 2 + 0.75 * math.log2(4 / 3)),
    ],
)
def test_entropy_of_the_mean_prediction(probabilities, bits):
    assert metrics.mean_prediction_entropy(np.array(probabilities)) == pytest.approx(bits)


def test_collapse_is_named_with_its_class_and_shares():
    matrix = metrics.confusion_matrix([0] * 10 + [1] * 10 + [2] * 10, [2] * 30, 3)
    warning = metrics.collapse_warning(matrix, CLASSES)
    assert warning is not None
    assert "OK" in warning and "100%" in warning and "33%" in warning


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [
        ([0] * 10 + [2] * 10, [0] * 2 + [2] * 18),  # 90 % is not more than 90 %
        ([2] * 19 + [0], [2] * 20),  # the truth itself is nearly all OK
    ],
)
def test_no_false_collapse_warning(truth, predicted):
    assert metrics.collapse_warning(metrics.confusion_matrix(truth, predicted, 3), CLASSES) is None
