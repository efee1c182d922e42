"""What a number of parts can show of the rate of escapes."""

from dataclasses import asdict

import numpy as np
import pytest

from trainer.core.max_escape import choose, parts_needed, prospect, said, upper_bound


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def test_bounds():
    assert upper_bound(0, 24) == pytest.approx(0.117, abs=5e-4)
    assert upper_bound(0, 299) <= 0.01 < upper_bound(0, 298)
    assert (parts_needed(0.01), parts_needed(0.1)) == (299, 29)
    assert upper_bound(3, 3) == upper_bound(0, 0) == 1


def test_what_cannot_be_shown_is_said_before():
    text = prospect(names(56), np.arange(56) < 48, 0.01)
    assert (
        "cannot be shown" in text
        and "rate is 11.7%" in text
        and "598 NG parts in validation, of which 299 check" in text
    )
    assert "can be shown" in prospect(names(100), np.arange(100) < 80, 0.1)


@pytest.mark.parametrize("seed", range(5))
def test_the_threshold_is_chosen_and_checked_on_different_parts(seed):
    rng = np.random.default_rng(seed)
    ng = np.arange(2000) < 1600
    scores = np.where(ng, rng.beta(8, 2, 2000), rng.beta(2, 8, 2000))
    found = choose(names(2000), ng, scores, 0.02, 0.5)
    assert (found.chosen_on, found.checked_on) == (800, 800)
    assert found.threshold <= 0.5 and found.escapes / 800 <= found.bound < 0.04
    assert (scores[ng] < found.threshold).mean() < 0.02
    assert said(asdict(found)).startswith(f"--max-escape 0.02 is {'shown' if found.bound <= 0.02 else 'NOT shown'}")


def test_one_missed_part_is_enough_to_show_nothing_on_few():
    scores, ng = np.array([0.9] * 39 + [0.01] + [0.05] * 10), np.arange(50) < 40
    found = choose(names(50), ng, scores, 0.1, 0.5, 0.6)
    assert (found.escapes, found.checked_on) == (1, 20) and found.bound > 0.1
    assert (
        "to hold: of 20 NG parts that check it, 1 judged OK (escapes), 0 UNSURE (no gates are" in said(asdict(found))
        and said(None) == ""
    )


def test_a_part_escapes_if_any_of_its_pictures_does():
    scores = np.array([0.9] * 30 + [0.55] * 9 + [0.2] + [0.05] * 10)
    unsure = choose(names(50), np.arange(50) < 40, scores, 0.1, 0.5, 0.6)
    assert unsure.unsure == sum(0.5 <= score < 0.6 for score in scores[1:40:2]) + (unsure.threshold <= 0.2)
    earlier = {name: value for name, value in asdict(unsure).items() if name != "unsure"}
    assert "UNSURE" not in said(earlier)
    parts, ng = ["a", "b", "a", "b"], np.ones(4, dtype=bool)
    found = choose(parts, ng, np.array([0.9, 0.9, 0.9, 0.1]), 0.1, 0.5)
    assert (found.chosen_on, found.checked_on, found.escapes) == (1, 1, 1)
