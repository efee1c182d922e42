"""The comparison of several views with one: its manifest never changes, and its figures are right."""

import hashlib

import numpy as np
import pytest

from benchmarks import soart_views


def test_the_plan_writes_the_manifest_that_was_measured(tmp_path):
    soart_views.plan(tmp_path / "plan.csv")
    assert (
        hashlib.sha256((tmp_path / "plan.csv").read_bytes()).hexdigest()
        == "2fe905ca201dd8cf34f5c9ba4a9ccd849ff2c933e66b4d42b5f8712360df4a54"
    )


def test_the_gain_is_that_over_the_best_view():
    cells = np.array(["", "", "bent", "bent", "bent", "bent"])
    scores = {
        "center": np.array([0.5, 0.9, 1.2, 0.8, 0.7, 0.6]),
        "left": np.array([0.7, 0.8, 0.4, 1.1, 1.3, 0.9]),
        "top": np.array([0.1, 0.1, 0.2, 0.2, 0.2, 0.2]),
        "together": np.array([0.7, 1.1, 1.2, 1.1, 1.3, 0.9]),
    }
    found = soart_views.figures(scores, cells)
    assert found["together: found at the limit"] == 0.75 and found["together: false alarms at the limit"] == 0.5
    assert found["gain over the best view: found at the limit"] == pytest.approx(0.25)
    assert found["top: AUROC"] == 1.0 and found["gain over the best view: AUROC"] == pytest.approx(0.8125 - 1)
