"""Defocus, veil and specks: the light they keep, and that they shift nothing."""

import numpy as np
import pytest

from blender_scripts.contract.world import Spot
from blender_scripts.geometry.soiled_lens import defocus, through_dirt


def point(size: int = 21) -> np.ndarray:
    light = np.zeros((size, size, 3), np.float32)
    light[size // 2, size // 2] = 1.0
    return light


@pytest.mark.parametrize("radius", [0.4, 0.9, 1.5, 4.0])
def test_a_point_becomes_a_disc_round_itself_with_all_its_light(radius: float) -> None:
    disc = defocus(point(), radius)[..., 0]
    assert disc.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(disc, disc[::-1]) and np.array_equal(disc, disc[:, ::-1]) and np.array_equal(disc, disc.T)
    y, x = np.mgrid[-10:11, -10:11]
    assert np.all(disc[np.hypot(x, y) > radius + 0.75] == 0.0)
    # Mean square distance from the middle of an even disc, and of the pixels that sample it.
    if radius > 1.0:
        assert (disc * (x**2 + y**2)).sum() == pytest.approx(0.5 * radius**2 + 1 / 6, rel=0.15)


def test_in_focus_nothing_changes_and_an_even_picture_stays_even() -> None:
    light = np.random.default_rng(1).random((8, 9, 3), np.float32)
    assert defocus(light, 0.2) is light
    even = np.full((8, 9, 3), 0.25, np.float32)
    assert defocus(even, 2.0) == pytest.approx(even, abs=1e-6)


def test_a_veil_keeps_the_mean_and_lowers_contrast() -> None:
    light = np.random.default_rng(1).random((8, 9, 3), np.float32)
    veiled = through_dirt(light, 0.1, [])
    assert veiled.dtype == np.float32 and veiled.mean() == pytest.approx(light.mean(), rel=1e-5)
    assert veiled.std(axis=(0, 1)) == pytest.approx(0.9 * light.std(axis=(0, 1)), rel=1e-4)
    assert through_dirt(light, 0.0, []) == pytest.approx(light, abs=1e-7)


def test_a_speck_takes_its_share_in_its_disc_only() -> None:
    shown = through_dirt(np.ones((40, 80, 3), np.float32), 0.0, [Spot(0.25, 0.5, 0.05, 0.1)])
    assert shown[20, 20] == pytest.approx([0.9] * 3)
    # Its edge is soft: from half its radius inside to half outside.
    assert shown[20, 20 + 7] == pytest.approx([1.0] * 3) and 0.9 < shown[20, 20 + 4, 0] < 1.0
    assert (shown < 1.0).any(axis=2).mean() < 0.04
