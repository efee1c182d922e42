"""The middle of uniform draws lies within its stated uncertainty of the true one, and is better than their mean."""

import numpy as np

from generator.matching.ranges import uniform_range


def test_middle_and_half_range_of_many_draws():
    random = np.random.default_rng(5)
    off, by_mean, held, halves = [], [], 0, []
    for _ in range(60):
        measured = 10.0 + random.uniform(-1.5, 1.5, 20) + random.normal(0.0, 0.1, 20)
        found = uniform_range(measured.tolist(), 0.1, 1.5)
        off.append(found.middle - 10.0)
        by_mean.append(measured.mean() - 10.0)
        held += abs(off[-1]) < 2.0 * found.middle_sd
        halves.append(found.half)
    assert np.std(off) < 0.75 * np.std(by_mean)
    assert held >= 54
    assert abs(np.mean(halves) - 1.5) < 0.1


def test_one_draw_is_known_only_within_the_nominal_range():
    found = uniform_range([3.0], 0.01, 0.5)
    assert found.middle == 3.0 or abs(found.middle - 3.0) < 0.05
    assert 0.15 < found.middle_sd < 0.8
