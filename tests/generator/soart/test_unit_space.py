"""The statistics of the unit space: bad pictures among the good ones, noise, few pictures."""

from __future__ import annotations

import numpy as np
import pytest

from generator.soart.anomaly_degree import distance
from generator.soart.pins import Pin, PinTable
from generator.soart.soart3_maps import soart3_map
from generator.soart.unit_space import UnitSpace, _medians_of_others, _noise, weights_of

SETTINGS = {"window": 5, "tolerance": 0.25, "noise": 2 / 255, "shrinkage": 0.1, "neighbourhood": 2}
PIN = (slice(16, 25), slice(26, 35))


def part(seed: int, moved: int = 0, noise: float = 0.02) -> np.ndarray:
    """A drawn part with three pins, the middle one displaced by `moved` px, with its own noise."""
    y, x = np.mgrid[0:40, 0:60].astype(float)
    picture = np.full(x.shape, 0.1)
    for column in (15, 30 + moved, 45):
        picture += 0.3 * np.exp(-((x - column) ** 2 + (y - 20) ** 2) / 6)
    return np.clip(picture + np.random.default_rng(seed).normal(0, noise, x.shape), 0, 1).astype(np.float32)


def compare(picture: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return soart3_map(picture, reference, 5, 1, "pixels")


def space_of(*members: np.ndarray) -> UnitSpace:
    return UnitSpace(np.stack(members), compare, SETTINGS)


def worst(space: UnitSpace, picture: np.ndarray) -> float:
    """The largest anomaly degree at the middle pin."""
    degrees = distance(compare(picture, space.reference), space.mean, space.precision)
    return float(degrees[12:25, 22:35].max())


@pytest.mark.parametrize(("count", "bad"), [(5, 1), (8, 2), (12, 3)])
def test_a_bent_pin_in_a_quarter_of_the_good_pictures_is_still_found(count: int, bad: int) -> None:
    """The bad ones barely show in the mean picture, and hide the same defect by at most a third."""
    clean = space_of(*(part(n) for n in range(count)))
    mixed = space_of(*(part(n, moved=3 if n < bad else 0) for n in range(count)))
    plain = np.mean([part(n, moved=3 if n < bad else 0) for n in range(count)], axis=0)
    away, by_mean = (np.abs(one - clean.reference)[PIN].max() for one in (mixed.reference, plain))
    assert away < 0.5 * by_mean
    assert worst(mixed, part(99, moved=3)) > worst(clean, part(99, moved=3)) * 2 / 3
    assert worst(mixed, part(99, moved=3)) > 2 * worst(mixed, part(98))


def test_a_good_part_is_usual_in_a_unit_space_of_five_noisy_pictures() -> None:
    space = space_of(*(part(n, noise=0.06) for n in range(5)))
    degrees = distance(compare(part(50, noise=0.06), space.reference), space.mean, space.precision)
    assert 0.4 < np.median(degrees) < 1.5
    assert space.leave_one_out().max() < 6


def test_the_noise_is_that_of_each_grey_level() -> None:
    middle = np.tile(np.linspace(0.1, 0.9, 120), (80, 1))
    draws = np.random.default_rng(0)
    members = np.stack([middle + 0.1 * middle * draws.standard_normal(middle.shape) for _ in range(8)])
    found = _noise(members, middle)
    assert found[:, [20, 60, 100]] == pytest.approx((0.1 * middle)[:, [20, 60, 100]], rel=0.25)


def test_at_most_a_quarter_is_left_out_and_only_what_lies_far_away() -> None:
    distances = np.array([1.0, 1.1, 0.9, 1.0, 1.1, 60, 70, 1.2])[:, None]
    assert weights_of(distances)[:, 0] == pytest.approx([1, 1, 1, 1, 1, 0, 0, 1], abs=0.01)
    distances[4] = 50  # more than a quarter: good parts differ as much
    assert weights_of(distances).min() > 0.85
    assert weights_of(np.array([1.0, 1.1, 0.9, 1.0, 1.3])[:, None]).min() > 0.95
    assert weights_of(np.array([1.0, 1.0, 90.0])[:, None]).min() == 1


@pytest.mark.parametrize("count", [3, 4, 5, 8])
def test_the_median_of_the_others_is_that_of_numpy(count: int) -> None:
    members = np.random.default_rng(count).integers(0, 5, (count, 6, 7)).astype(np.float32)  # with equal values
    expected = [np.median(np.delete(members, n, axis=0), axis=0) for n in range(count)]
    assert _medians_of_others(members) == pytest.approx(np.stack(expected))


def test_a_bent_pin_among_the_good_ones_does_not_hide_another_by_the_rt_method() -> None:
    pins = [Pin("r1c1", (11, 16, 20, 25)), Pin("r1c2", (26, 16, 35, 25)), Pin("r1c3", (41, 16, 50, 25))]
    members = np.stack([part(n, moved=3 if n == 0 else 0) for n in range(8)])
    table = PinTable(pins, members, space_of(*members).reference)
    degrees = table.degrees(part(99, moved=3))
    assert degrees.argmax() == 1 and degrees[1] > 5
