"""Coverage of U by part, and Holm's adjustment."""

import warnings

import numpy as np
import pandas as pd
import pytest

from trainer.gauge.coverage import adjust, coverage, holm

PARTS = pd.Series(np.repeat(np.arange(20), 27))


def test_an_interval_over_parts_is_wider_than_one_over_pins():
    whole_parts = np.repeat(np.arange(20) % 5 > 0, 27)  # 80 %, whole parts at a time
    found = coverage(PARTS, whole_parts)
    assert found["share"] == pytest.approx(0.8)
    low, high = found["interval"]
    assert low < 0.65 and high > 0.92
    assert 0.01 < found["p"] < 0.2  # 540 independent pins would make it smaller than 1e-10


def test_a_u_that_is_too_small_is_noticed_and_a_right_one_is_not():
    source = np.random.default_rng(1)
    assert coverage(PARTS, source.random(540) < 0.8)["p"] < 1e-4
    assert coverage(PARTS, source.random(540) < 0.96)["p"] > 0.2
    assert coverage(PARTS, np.ones(540, bool))["p"] == 1.0
    for pins in range(1, 28):  # equal values whose computed scatter is not 0
        with warnings.catch_warnings(action="error"):
            assert coverage(pd.Series(np.repeat(np.arange(300), pins)), np.ones(300 * pins, bool))["p"] == 1.0
    assert coverage(PARTS[:54], np.ones(54, bool))["p"] is None


def test_holm_is_that_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    groups = {"a": {"within_dx": {"p": 0.01}}, "b": {"within_dx": {"p": 0.5}}, "c": {"within_dx": {"p": None}}, "d": {}}
    adjust(groups, ("dx",))
    assert groups["a"]["within_dx"]["p_holm"] == pytest.approx(0.02) and "p_holm" not in groups["c"]["within_dx"]
