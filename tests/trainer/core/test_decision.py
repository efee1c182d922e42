"""Which verdict a score gets, and that OK is said only where the score allows it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.verdict.envelope import Verdict
from trainer.core.decision import Thresholds, choose_limits, choose_threshold, verdict_of, verdicts_of

SCORES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60)


@pytest.mark.parametrize(
    ("score", "limits", "expected"),
    [
        (0.1, Thresholds(0.4, 0.2, 0.7), "OK"),
        (0.2, Thresholds(0.4, 0.2, 0.7), "UNSURE"),
        (0.4, Thresholds(0.4, 0.2, 0.7), "UNSURE"),
        (0.7, Thresholds(0.4, 0.2, 0.7), "NG"),
        # P(NG) = 0.67 is the largest probability: as printed in green by a network near chance.
        (0.67, Thresholds.at(0.9), "UNSURE"),
        (0.5, Thresholds.at(0.9), "UNSURE"),
        (0.49, Thresholds.at(0.9), "OK"),
        (0.3, Thresholds.at(0.3), "NG"),
    ],
)
def test_verdicts(score, limits, expected):
    verdict, reasons = verdict_of(score, limits)
    assert verdict == expected and bool(reasons) == (expected != "OK")
    assert all(reason.partition(": ")[0] in ("threshold", "defect") for reason in reasons)
    assert verdicts_of(np.array([score]), limits).tolist() == [expected]


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_what_cannot_be_judged_has_no_other_verdict(score):
    assert verdict_of(score, Thresholds.at(0.5), ["exposure: too dark"]) == (Verdict.INVALID, ["exposure: too dark"])


@given(SCORES)
def test_few_errors_lie_outside_the_limits(rows):
    scores, ng = np.array([s for s, _ in rows]), np.array([n for _, n in rows])
    limits = choose_limits(scores, ng, choose_threshold(scores, ng))
    assert 0 <= limits.escape <= limits.threshold <= limits.overkill <= 1
    assert (scores[ng] < limits.escape).sum() <= 0.05 * ng.sum()
    if limits.overkill < 1:
        assert (scores[~ng] >= limits.overkill).sum() <= 0.05 * (~ng).sum()


def test_scores_that_do_not_overlap_leave_nothing_unsure():
    scores, ng = np.array([0.1, 0.2, 0.8, 0.9]), np.array([False, False, True, True])
    assert choose_limits(scores, ng, 0.5) == Thresholds.at(0.5)


def test_the_option_threshold_keeps_the_limit_of_ok():
    limits = Thresholds(0.4, 0.2, 0.7)
    assert limits.with_threshold(None) == limits
    assert limits.with_threshold(0.9) == Thresholds(0.9, 0.2, 0.9)
    assert limits.with_threshold(0.1) == Thresholds(0.1, 0.1, 0.1)
