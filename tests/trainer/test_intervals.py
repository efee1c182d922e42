"""Shares with their bounds: against tables, against a plain bootstrap, and by their own promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.intervals import (
    bootstrap,
    clopper_pearson,
    drawn_matrices,
    part_counts,
    part_interval,
    share,
)
from trainer.metrics import accuracy


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),
        (10, 10, 0.6915, 1.0),
        (5, 10, 0.1871, 0.8129),
        (0, 0, 0.0, 1.0),
        (1, 1, 0.025, 1.0),
    ],
)
def test_exact_bounds_are_those_of_the_tables(hits, trials, low, high):
    assert clopper_pearson(hits, trials) == pytest.approx((low, high), abs=1e-4)


def test_a_share_without_trials_says_nothing():
    assert share(0, 0) == {"count": 0, "of": 0, "share": None, "interval": (0.0, 1.0)}


def test_pictures_of_one_part_count_once():
    rng = np.random.default_rng(0)
    right = rng.random(60) < 0.7
    single = part_interval([str(i) for i in range(60)], right)
    repeated = part_interval([str(i) for i in range(60) for _ in range(5)], np.repeat(right, 5))
    assert repeated == pytest.approx(single, abs=0.02)
    as_if_independent = part_interval([str(i) for i in range(300)], np.repeat(right, 5))
    assert as_if_independent[1] - as_if_independent[0] < 0.6 * (single[1] - single[0])


@given(st.integers(1, 40))
def test_all_right_is_no_proof(parts):
    low, high = part_interval([str(i) for i in range(parts)], np.ones(parts, dtype=bool))
    assert high == 1 and low == clopper_pearson(parts, parts)[0] < 1


def test_drawn_matrices_keep_parts_whole():
    truth, said = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    counts = part_counts(["a", "a", "b", "b"], truth, said, 2)
    assert counts.sum(0).tolist() == [[1, 1], [0, 2]]
    drawn = drawn_matrices(counts)
    assert set(drawn.sum((1, 2))) == {4.0}
    assert set(drawn[:, 0, 0]) == {0.0, 1.0, 2.0}
    assert (drawn[:, 0, 0] == drawn[:, 0, 1]).all()
    low, high = bootstrap(drawn, accuracy)
    assert (low, high) == (0.5, 1.0)


def test_coverage_of_the_bootstrap():
    """Of 200 experiments with a known share, the 95 % interval holds it in about 95 %."""
    rng = np.random.default_rng(1)
    names = [str(i) for i in range(80)]
    held = 0
    for _ in range(200):
        low, high = part_interval(names, rng.random(80) < 0.8)
        held += low <= 0.8 <= high
    assert 0.89 <= held / 200 <= 0.99
