"""Runs that guess are unfit, whatever their threshold; good ones are fit, even on few parts."""

import numpy as np
import pytest
from scipy import stats

from trainer.core.decision import choose_threshold
from trainer.core.fitness import Fitness, cross_decided, fitness_of, lower_bound, part_groups


def fitness_at(scores: np.ndarray, ng: np.ndarray) -> Fitness:
    parts = [str(number) for number in range(len(ng))]
    return fitness_of(parts, ng, cross_decided(parts, ng, scores, choose_threshold))


@pytest.mark.parametrize(("found", "passed"), [((4, 0), (2, 0)), ((16, 3), (7, 5)), ((0, 9), (40, 0))])
def test_the_bound_is_that_of_many_draws(found, passed):
    rng = np.random.default_rng(0)
    drawn = sum(stats.beta.rvs(1 + r, 1 + w, size=200_000, random_state=rng) for r, w in (found, passed)) / 2
    assert lower_bound(found, passed) == pytest.approx(np.quantile(drawn, 0.05), abs=0.002)


def test_networks_that_guess_are_rarely_fit():
    """The threshold that is best on 60 parts alone would make most of them look better than chance."""
    fit = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        fit += not fitness_at(rng.random(60), np.arange(60) < 30).unfit
    assert fit <= 10


@pytest.mark.parametrize(("good", "bad"), [(2, 4), (8, 16), (100, 10)])
def test_a_network_that_is_right_is_fit(good, bad):
    rng = np.random.default_rng(0)
    ng = np.arange(good + bad) < bad
    found = fitness_at(np.where(ng, 0.9, 0.1) + rng.normal(0, 0.01, len(ng)), ng)
    assert not found.unfit and found.balanced_accuracy == 1 and 0.5 < found.lower_bound < 1
    assert found.sentence().startswith("fit: ") and Fitness.from_json(found.to_json()) == found


@pytest.mark.parametrize("said", [True, False])
def test_one_verdict_for_all_is_unfit(said):
    ng = np.arange(200) < 100
    found = fitness_of([str(n) for n in range(200)], ng, np.full(200, said))
    assert found.balanced_accuracy == 0.5 and "is not above chance (0.5)" in found.unfit[0]
    assert found.sentence().startswith("UNFIT, so `trainer.predict` answers INVALID unless --allow-unfit is given: ")


def test_a_validation_of_one_kind_shows_nothing():
    found = fitness_of(["a", "b"], np.array([True, True]), np.array([True, True]))
    assert found.lower_bound is None and "2 NG parts" in found.unfit[0]


def test_a_collapsed_run_is_unfit_though_it_tells_ok_from_ng():
    ng = np.arange(40) < 20
    found = fitness_of([str(n) for n in range(40)], ng, ng, ["it has collapsed"])
    assert found.unfit == ("unfit: it has collapsed",) and found.lower_bound > 0.8


def test_many_pictures_of_few_parts_prove_no_more_than_the_parts():
    ng = np.arange(400) < 200
    parts = [str(number // 100) for number in range(400)]  # two NG parts, two OK
    many = fitness_of([str(n) for n in range(400)], ng, ng).lower_bound
    assert fitness_of(parts, ng, ng).lower_bound < 0.6 < 0.95 < many


def test_a_part_stays_in_one_group_and_each_group_gets_both_kinds():
    parts, ng = [f"p{n // 2}" for n in range(80)], np.arange(80) % 4 < 2
    groups = part_groups(parts, ng, 2)
    assert all(groups[k] == groups[k + 1] for k in range(0, 80, 2))
    for group in (0, 1):
        assert ng[groups == group].sum() == 20
