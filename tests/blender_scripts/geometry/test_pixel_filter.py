"""Reducing a finer picture: light is kept, nothing is moved, at any scale and size."""

import numpy as np
import pytest

from blender_scripts.geometry.pixel_filter import reduce_picture

SIZES = [((13, 7), (13, 7)), ((13, 7), (16, 9)), ((20, 10), (30, 15)), ((21, 33), (42, 66)), ((5, 3), (8, 5))]


@pytest.mark.parametrize(("size", "fine"), SIZES)
def test_even_light_stays_as_it_is(size: tuple[int, int], fine: tuple[int, int]) -> None:
    light = np.full((fine[1], fine[0], 3), 0.37, np.float32)
    reduced = reduce_picture(light, *size)
    assert reduced.shape == (size[1], size[0], 3)
    assert reduced.dtype == np.float32
    np.testing.assert_allclose(reduced, 0.37, rtol=1e-6)


@pytest.mark.parametrize(("size", "fine"), SIZES)
def test_a_slope_keeps_its_place_about_the_centre(size: tuple[int, int], fine: tuple[int, int]) -> None:
    scale = fine[0] / size[0]
    y, x = np.mgrid[: fine[1], : fine[0]] + 0.5
    light = np.stack([(x - 0.5 * fine[0]) / scale, (y - 0.5 * fine[1]) / scale, x + y], axis=-1).astype(np.float32)
    reduced = reduce_picture(light, *size)[2:-2, 2:-2]
    y, x = (np.mgrid[: size[1], : size[0]] + 0.5)[:, 2:-2, 2:-2]
    # A filter of few taps is not exactly symmetric about a pixel that lies between fine pixels.
    np.testing.assert_allclose(reduced[..., 0], x - 0.5 * size[0], atol=0.03)
    np.testing.assert_allclose(reduced[..., 1], y - 0.5 * size[1], atol=0.03)


def test_a_point_becomes_the_filter_of_blackman_and_harris() -> None:
    light = np.zeros((26, 26, 3), np.float32)
    light[12:14, 12:14] = 1.0
    reduced = reduce_picture(light, 13, 13)[..., 0]
    assert reduced[6, 6] == pytest.approx(0.63, abs=0.02)
    assert (
        reduced[6, 5] == pytest.approx(reduced[6, 7]) == pytest.approx(reduced[5, 6]) == pytest.approx(0.08, abs=0.02)
    )
    np.testing.assert_array_equal(reduced[:, :4], 0.0)
