"""Calibration of confidences: the map that made the labels is found, few boxes prove little, and the order stays."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.core import calibration
from trainer.core.calibration import LEAST, Calibration
from trainer.core.metrics import reliability


def drawn(count: int, slope: float, intercept: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw confidences, and whether each box is right, with the probability that slope and intercept give."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, count)
    right = rng.random(count) < 1 / (1 + np.exp(-(slope * logits + intercept)))
    return 1 / (1 + np.exp(-logits)), right


@pytest.mark.parametrize("slope, intercept", [(0.5, -1.0), (1.0, 0.0), (1.8, 1.0)])
def test_the_map_that_made_the_labels_is_found_and_calibrates_other_boxes(slope, intercept):
    made = calibration.fit(*drawn(4000, slope, intercept))
    assert (made.slope, made.intercept) == (pytest.approx(slope, rel=0.15), pytest.approx(intercept, abs=0.15))
    confidences, right = drawn(4000, slope, intercept, seed=1)
    stated = np.array([made.probability(one) for one in confidences])
    assert made.boxes == 4000 and reliability(stated, right, "boxes", "true")["ece"] < 0.03


@given(st.lists(st.floats(0, 1), min_size=LEAST, max_size=30), st.floats(0, 1))
def test_few_boxes_that_are_perfectly_told_apart_give_neither_0_nor_1(confidences, cut):
    made = calibration.fit(confidences, [one >= cut for one in confidences])
    stated = [made.probability(one) for one in sorted(confidences)]
    if made.slope is None:
        assert made.right in (0, made.boxes) and stated == [None] * len(confidences)
    else:
        numbers = [one for one in stated if one is not None]
        assert numbers == stated == sorted(numbers) and 0 < numbers[0] <= numbers[-1] < 1
        assert 1 / (made.boxes - made.right + 2) <= made.probability(0.0)
        assert made.probability(1.0) <= (made.right + 1) / (made.right + 2)
    inside = calibration.fit([0.1, 0.9] * 15, [False, True] * 15)
    assert inside.probability(0.05) > 0.01 and inside.probability(0.95) < 0.99


def test_confidences_that_say_nothing_keep_their_order():
    confidences, right = drawn(200, -1.0, 0.0)
    made = calibration.fit(confidences, right)
    assert made.slope > 0 and 0.3 < made.probability(0.1) <= made.probability(0.9) < 0.7


@pytest.mark.parametrize(
    "right", [[True, False] * (LEAST // 2 - 1), [True] * 40, [False] * 40, []], ids=["few", "right", "wrong", "none"]
)
def test_too_few_boxes_are_not_calibrated_and_the_sentence_says_why(right):
    made = calibration.fit([0.9] * len(right), right)
    assert made == Calibration(0.0, len(right), sum(right)) and made.probability(0.9) is None
    assert f"expected at least {LEAST} boxes, right and wrong ones, got {len(right)} boxes" in calibration.said(made)


def test_boxes_below_the_lowest_confidence_neither_count_nor_get_a_probability():
    confidences, right = drawn(2000, 1.5, -1.0)
    kept = confidences >= 0.6
    made = calibration.fit([*confidences, *[0.5] * 500], [*right, *[True] * 500], 0.6)
    assert made == calibration.fit(confidences[kept], right[kept], 0.6) and made.boxes == kept.sum()
    assert made.probability(0.599) is None and made.probability(0.6) is not None


def test_the_sentence_states_the_map():
    said = calibration.said(Calibration(0.4, 120, 80, 0.5, -1.25))
    assert (
        "calibrated on 120 boxes" in said
        and "at least 0.400, 80 of them right" in said
        and "0.50 log(c / (1 - c)) -1.25" in said
    )
    assert Calibration(0.4, 120, 80, 0.5, -1.25).probability(0.9) == pytest.approx(1 / (1 + math.exp(1.25) / 3))
    assert "earlier version" in calibration.said(None)


def test_an_object_of_json_is_read_back_and_a_wrong_one_refused():
    for made in (Calibration(0.4, 120, 80, 0.5, -1.25), Calibration(0.4, 3, 3)):
        assert Calibration.from_json(vars(made)) == made
    for wrong in ({"slope": 0}, {"slope": -1.0}, {"slope": math.inf}, {"intercept": math.nan}, {"other": 1}):
        with pytest.raises((TypeError, ValueError)):
            Calibration.from_json({**vars(Calibration(0.4, 120, 80, 0.5, -1.25)), **wrong})
