"""Operating points: against a recount of the verdicts, and by the promise of each row of the table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.core import operating_points, operating_tables, plots
from trainer.core.decision import Thresholds, choose_limits, choose_threshold, verdicts_of
from trainer.core.verdict_shares import verdict_shares

SCORES = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60)


def drawn(count: int, seed: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Parts of two pictures each, whether each picture is NG, and overlapping scores."""
    ng = np.arange(count) % 3 != 0
    logits = np.where(ng, 2.0, -2.0) + np.random.default_rng(seed).normal(0, 1.7, count)
    return [str(index // 2) for index in range(count)], ng, 1 / (1 + np.exp(-logits))


@given(SCORES)
def test_thresholds_keep_the_accepted_share_and_can_be_typed(rows):
    scores, ng = np.array([s for s, _ in rows]), np.array([n for _, n in rows])
    limits = choose_limits(scores, ng, choose_threshold(scores, ng))
    for each in operating_points.choose(scores, ng, limits):
        at, accepted = each["threshold"], each["rate"] * (ng if each["of"] == "escapes" else ~ng).sum()
        assert 0 <= at <= 1 and (at >= 0.5 or at == float(f"{at:.3g}"))
        if each["of"] == "escapes":
            assert at <= min(limits.escape, 0.5) and (scores[ng] < at).sum() <= accepted
        elif at < 1:
            assert (scores[~ng] >= at).sum() <= accepted


def test_points_are_the_verdicts_of_their_threshold():
    parts, ng, scores = drawn(240, 0)
    limits = choose_limits(scores, ng, choose_threshold(scores, ng))
    chosen = operating_points.choose(scores, ng, limits)
    parts, ng, scores = drawn(300, 1)
    invalid = np.arange(300) % 50 == 0
    measured = operating_points.measure(parts, ng, scores, limits, invalid, chosen)
    assert measured["chosen_on"] == "validation"
    assert [point["threshold"] for point in measured["points"]] == [None, *(each["threshold"] for each in chosen)]
    for point in measured["points"]:
        reasons = [["exposure: too dark"] if wrong else [] for wrong in invalid]
        shares = verdict_shares(ng, verdicts_of(scores, limits.with_threshold(point["threshold"]), reasons))
        for name in ("escapes", "overkill"):
            assert (point[name]["count"], point[name]["of"]) == (shares[name]["count"], shares[name]["of"])
            assert point[name]["interval"][0] <= point[name]["share"] <= point[name]["interval"][1]
        for name in ("unsure", "invalid"):
            assert point[name]["count"] == sum(shares[name][truth]["count"] for truth in ("ok", "ng"))
    counts = [point["overkill"]["count"] for point in measured["points"][1:]]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[-1]


def test_the_curve_passes_the_points_of_single_thresholds():
    parts, ng, scores = drawn(120, 2)
    measured = operating_points.measure(parts, ng, scores, Thresholds.at(0.3))
    curve, own = measured["curve"], measured["points"][0]
    at = curve["threshold"].index(0.3)
    for name in ("escapes", "overkill"):
        assert curve[name]["share"][at] == pytest.approx(own[name]["share"], abs=1e-6)
        assert (curve[name]["low"][at], curve[name]["high"][at]) == pytest.approx(own[name]["interval"], abs=1e-6)
    assert curve["escapes"]["share"] == sorted(curve["escapes"]["share"])


def test_a_split_of_good_parts_has_a_table_and_no_figure(tmp_path):
    measured = operating_points.measure(["a", "b"], np.zeros(2, bool), np.array([0.1, 0.2]), Thresholds.at(0.5))
    reports = {"test": {"operating_points": measured}, "earlier": {}}
    rows = operating_tables.table(measured)
    assert [row[0] for row in rows] == ["the run's thresholds", "overkill at most 1, 2, 5 %"]
    assert rows[0][2:4] == [None, "0.0 %"] and rows[0][6:] == [None, "0.0 to 84.2 %"]
    shown = operating_tables.view(reports)
    assert list(shown["tables"]) == ["test"] and "on the split itself (test;" in shown["explanation"]
    assert not plots.operating_points(reports, "P(NG)", tmp_path / "points.png")
    assert operating_tables.view({"earlier": {}}) is None
