"""The curve of detection: recovered from made data, its bound holding as often as it says."""

import math

import numpy as np
import pytest

from trainer.core.detection_probability import curve, probability


def made(seed: int, count: int, a50: float = 0.5, slope: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = rng.uniform(0.2, 2.0, count)
    return sizes, rng.random(count) < 1 / (1 + (sizes / a50) ** -slope)


TRUE_A90 = 0.5 * 9 ** (1 / 4)


def test_many_defects_give_the_curve_back():
    fitted = curve(*made(0, 5000))
    assert fitted["a90_mm"] == pytest.approx(TRUE_A90, rel=0.04)
    assert fitted["slope"] == pytest.approx(4, rel=0.1)
    assert TRUE_A90 < fitted["a90_95_mm"] < 1.1 * TRUE_A90
    assert probability(fitted, np.array([fitted["a90_mm"]]))[0] == pytest.approx(0.9)


def test_the_bound_holds_in_about_95_of_100():
    above = [curve(*made(seed, 120))["a90_95_mm"] for seed in range(60)]
    held = [a is None or a >= TRUE_A90 for a in above]
    assert 0.90 <= np.mean(held) <= 0.99


def test_the_bound_has_the_likelihood_that_it_should():
    sizes, found = made(3, 150)
    fitted = curve(sizes, found)
    x, hit = np.log(sizes), found.astype(float)

    def likelihood(offset: float, slope: float) -> float:
        linear = offset + slope * x
        return float(-(hit * np.logaddexp(0, -linear) + (1 - hit) * np.logaddexp(0, linear)).sum())

    at = math.log(fitted["a90_95_mm"])
    best = max(likelihood(math.log(9) - slope * at, slope) for slope in np.geomspace(0.05, 50, 4000))
    assert likelihood(fitted["offset"], fitted["slope"]) - best == pytest.approx(2.7055 / 2, abs=2e-3)


@pytest.mark.parametrize(
    ("sizes", "found", "said"),
    [
        ([], [], "at least 10 defects are needed"),
        ([0.5] * 9, [True] * 9, "at least 10 defects are needed"),
        (np.linspace(0.3, 2, 30), [True] * 30, "all defects were found"),
        (np.linspace(0.3, 2, 30), [False] * 30, "no defect was found"),
        (np.linspace(0.3, 2, 30), [False] * 15 + [True] * 15, "do not overlap"),
        ([1.0] * 20, [True] * 16 + [False] * 4, "have the same size"),
        (np.linspace(0.3, 2, 30), [True, True, False] * 5 + [True, False, False] * 5, "not found more often"),
    ],
)
def test_what_the_data_cannot_say_is_not_said(sizes, found, said):
    fitted = curve(sizes, found)
    assert fitted["a90_95_mm"] is None and said in fitted["note"]


def test_an_extrapolated_point_is_called_one():
    sizes = np.linspace(0.3, 1, 60)
    found = np.random.default_rng(0).random(60) < 1 / (1 + (sizes / 0.9) ** -3)
    fitted = curve(sizes, found)
    assert fitted["a90_95_mm"] is None or fitted["a90_95_mm"] > 1
    assert fitted["note"]
