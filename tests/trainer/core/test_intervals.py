"""Shares with their bounds: against tables, against a plain bootstrap, and by their own promises."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.core.intervals import (
    balanced_interval,
    bootstrap,
    clopper_pearson,
    drawn_matrices,
    part_counts,
    part_interval,
    share,
)
from trainer.core.metrics import accuracy, balanced_accuracy


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (0, 0, 0.0, 1.0), (1, 1, 0.025, 1.0)],
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


def part_matrices(*classes: tuple[int, int]) -> np.ndarray:
    """(P, K, K) of one picture per part: of each class, how many are found and how many are called the next one."""
    counts = []
    for label, numbers in enumerate(classes):
        for said, number in zip((label, (label + 1) % len(classes)), numbers, strict=True):
            one = np.zeros((len(classes), len(classes)))
            one[label, said] = 1
            counts += [one] * number
    return np.array(counts)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.integers(0, 2**31))
def test_no_lower_mean_recall_leaves_all_right_a_chance(parts, seed):
    low, high = balanced_interval(part_matrices(*((n, 0) for n in parts)))
    assert high == 1 and 0 < low < 1
    if len(set(parts)) == 1:  # as the accuracy's
        assert low == pytest.approx(clopper_pearson(sum(parts), sum(parts))[0])
    # Of recalls with that chance, drawn at random, none has a lower mean.
    shares = np.random.default_rng(seed).dirichlet(np.ones(len(parts)), 500)
    recalls = 0.025 ** (shares / np.array(parts))
    assert recalls.mean(1).min() >= low - 1e-9


def test_classes_never_found_have_an_upper_bound_and_a_collapsed_model_both():
    low, high = balanced_interval(part_matrices((0, 8), (0, 8)))
    assert (low, high) == (0, pytest.approx(1 - clopper_pearson(16, 16)[0]))
    low, high = balanced_interval(part_matrices((8, 0), (0, 8), (0, 8)))
    assert 0 < low < 1 / 3 < high < 1
    assert balanced_interval(np.zeros((0, 2, 2))) == (0, 1)


def test_otherwise_the_bootstrap_says_how_sure_the_mean_recall_is():
    counts = part_matrices((7, 1), (8, 0))
    assert balanced_interval(counts) == bootstrap(drawn_matrices(counts), balanced_accuracy)


def test_a_single_part_that_is_right_in_some_pictures_bounds_nothing():
    assert part_interval(["a"] * 4, np.array([True, True, False, True])) == (0, 1)
    assert balanced_interval(part_counts(["a"] * 2, np.array([0, 0]), np.array([0, 1]), 2)) == (0, 1)
