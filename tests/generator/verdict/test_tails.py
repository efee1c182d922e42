import math

import numpy as np
import pytest

from generator.verdict.tails import moved, moved_pair


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
