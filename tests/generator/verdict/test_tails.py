import math

import numpy as np
import pytest
from scipy import stats

from generator.verdict.tails import moved, moved_pair, student_quantile


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        (np.linspace(-1.0, 0.99, 20), 1.0),  # none exceeds it, however much they scatter
        (np.full(7, 1.2), 1.0),  # too few
        (np.array([1.2] + [0.0] * 7), 1.25),
        (np.full(8, 9.0), 1.5),
    ],
)
def test_a_limit_moves_only_for_values_beyond_it_and_hardly_farther(values, limit):
    assert moved(1.0, values, 0.5) == pytest.approx(limit)
    assert moved_pair((-1.0, 3.0), -values, (0.5, 0.5)) == (pytest.approx(-limit), 3.0)


def test_an_infinite_limit_stays():
    assert moved(math.inf, np.full(8, 9.0), math.inf) == math.inf


@pytest.mark.parametrize(("degrees", "within"), [(10, 0.03), (30, 0.003), (200, 0.0003)])
def test_student_s_quantile_is_that_of_the_distribution(degrees, within):
    for share in (0.005, 0.05):
        z = float(stats.norm.isf(share))
        assert student_quantile(z, degrees) == pytest.approx(float(stats.t.isf(share, degrees)), abs=within)
