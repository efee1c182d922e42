"""Lens distortion: points and pixels move by one formula."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_scripts.contract.station import SceneCamera, lens_folds
from blender_scripts.geometry.lens import NO_DISTORTION, Lens, bend_picture, distort, undistort

BARREL = (-0.25, 0.08, 0.001, -0.0015, 0.01)
PINCUSHION = (0.2, 0.05, -0.001, 0.0005, 0.0)


def reference(x: float, y: float, k1: float, k2: float, p1: float, p2: float, k3: float) -> tuple[float, float]:
    """OpenCV's formula, written out for one point."""
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    return (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y)


@pytest.mark.parametrize("distortion", [NO_DISTORTION, BARREL, PINCUSHION])
def test_distort_is_the_formula_and_undistort_its_inverse(distortion: tuple) -> None:
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (200, 2))
    bent = distort(points, distortion)
    for point, found in zip(points, bent, strict=True):
        assert found == pytest.approx(reference(*point, *distortion), abs=1e-12)
    assert np.abs(undistort(bent, distortion) - points).max() < 1e-9


@pytest.mark.parametrize("distortion", [BARREL, PINCUSHION])
def test_undistort_is_a_fixed_point_to_the_last_bit_where_there_is_one(distortion: tuple) -> None:
    points = np.random.default_rng(3).uniform(-0.4, 0.4, (200, 2))
    found = points.copy()
    for _ in range(30):
        found += points - distort(found, distortion)
    assert np.array_equal(undistort(points, distortion), found)


# k1, k2 and k3 bend a ray at the picture's corner by as much, p1 and p2 by a tenth.
BENDS = st.tuples(*(st.floats(-size, size) for size in (3.0, 3.0, 0.1, 0.1, 3.0)))


def off_px(bends: tuple[float, ...], focal_mm: float, width: int, height: int) -> float:
    """Error of distort(undistort()) on a picture's border and diagonal, px; 0 where the lens folds."""
    reach = 0.5 * np.hypot(width, height) / width * 14.8 / focal_mm
    distortion = tuple(bend / reach**power for bend, power in zip(bends, (2, 4, 1, 1, 6), strict=True))
    if lens_folds(
        SceneCamera(118.0, 25.0, focal_mm, None, 14.8, (0.0, 0.0, 0.0), 0.0, 0.0, distortion, 0.0), width, height
    ):
        return 0.0
    lens = Lens(width, height, focal_mm / 14.8 * width, distortion)
    along = np.linspace(0.0, 1.0, 33)[:, None]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height], [0, 0], [width, height]])
    pixels = np.concatenate([a + along * (b - a) for a, b in pairwise(corners)])
    centre = 0.5 * corners[2]
    back = lens.to_pixels((lens.to_pinhole(pixels) - centre) / lens.focal_px)
    return float(np.abs(back - pixels).max())


@given(BENDS, st.floats(2.0, 1000.0), st.sampled_from([(256, 192), (4096, 2048), (32, 96)]))
def test_any_lens_that_does_not_fold_is_undone(bends: tuple, focal_mm: float, size: tuple[int, int]) -> None:
    assert off_px(bends, focal_mm, *size) < 0.01


@pytest.mark.parametrize(("k1", "focal_mm"), [(4.0, 16.0), (0.6, 8.0), (10.0, 8.0)])
def test_a_strong_pincushion_is_undone(k1: float, focal_mm: float) -> None:
    reach = 0.5 * np.hypot(256, 192) / 256 * 14.8 / focal_mm
    assert off_px((k1 * reach**2, 0.0, 0.0, 0.0, 0.0), focal_mm, 256, 192) < 1e-5


@pytest.mark.parametrize("distortion", [BARREL, PINCUSHION])
def test_pixels_there_and_back_move_less_than_a_twentieth(distortion: tuple) -> None:
    lens = Lens(640, 480, 900.0, distortion)
    pixels = np.random.default_rng(1).uniform([0, 0], [640, 480], (500, 2))
    straight = (lens.to_pinhole(pixels) - [320, 240]) / 900.0
    assert np.abs(lens.to_pixels(straight) - pixels).max() < 0.05
    assert np.abs(lens.to_pinhole(pixels) - pixels).max() > 2.0


@pytest.mark.parametrize("distortion", [BARREL, PINCUSHION])
def test_the_margin_covers_the_picture(distortion: tuple) -> None:
    lens = Lens(320, 200, 500.0, distortion)
    edges = np.array([[x, y] for x in np.linspace(0, 320, 99) for y in (0, 200)])
    seen = lens.to_pinhole(edges) + lens.margin
    assert seen.min() >= 0
    assert np.all(seen <= [320 + 2 * lens.margin, 200 + 2 * lens.margin])


def test_a_straight_lens_leaves_pictures_alone() -> None:
    view = np.random.default_rng(2).random((20, 30, 3)).astype(np.float32)
    lens = Lens(30, 20, 50.0, NO_DISTORTION)
    assert lens.margin == 0
    assert np.array_equal(bend_picture(view, lens), view)


@pytest.mark.parametrize("distortion", [BARREL, PINCUSHION])
def test_a_drawn_dot_lands_where_its_centre_is_projected(distortion: tuple) -> None:
    lens = Lens(320, 200, 500.0, distortion)
    margin = lens.margin
    y, x = np.mgrid[0 : 200 + 2 * margin, 0 : 320 + 2 * margin] + 0.5 - margin
    for place in ([40.3, 30.8], [160.0, 100.0], [290.6, 180.2]):
        dot = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * 3.0**2))
        bent = bend_picture(np.repeat(dot[..., None], 3, axis=2).astype(np.float32), lens)[..., 0]
        rows, columns = np.mgrid[0:200, 0:320] + 0.5
        centre = np.array([(columns * bent).sum(), (rows * bent).sum()]) / bent.sum()
        expected = lens.to_pixels((np.array(place) - [160, 100]) / 500.0)
        assert centre == pytest.approx(expected, abs=0.1)
