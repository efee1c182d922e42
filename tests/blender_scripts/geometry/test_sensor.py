"""Noise, shading and colour of the sensor."""

import numpy as np
import pytest

from blender_scripts.geometry.sensor import Capture, develop, gaussian, smear, uniform


def card(level: float, height: int = 60, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), level, np.float32)


def linear(picture: np.ndarray) -> np.ndarray:
    """sRGB uint8 back to light (IEC 61966-2-1)."""
    code = picture / 255.0
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize(("level", "code"), [(0.0, 0), (1.0, 255), (2.0, 255), (0.2140, 127), (0.0031308, 10)])
def test_known_codes(level: float, code: int) -> None:
    assert np.all(np.abs(develop(card(level), Capture(1.0), "a", "b").astype(int) - code) <= 1)


def test_exposure_and_white_balance_are_factors() -> None:
    found = linear(develop(card(0.2), Capture(1.5, white_balance=(1.2, 1.0, 0.5)), "a", "b"))
    assert found[0, 0] == pytest.approx([0.36, 0.3, 0.15], rel=0.02)


def test_vignetting_takes_its_share_from_the_corner() -> None:
    found = linear(develop(card(0.5, 201, 301), Capture(1.0, vignetting=0.4), "a", "b"))[..., 0]
    assert found[100, 150] == pytest.approx(0.5, rel=0.01)
    assert found[0, 0] == pytest.approx(0.3, rel=0.02)
    assert np.all(np.diff(found[100, 150:]) <= 0)


@pytest.mark.parametrize("level", [0.05, 0.2, 0.6])
def test_noise_is_shot_noise_and_read_noise(level: float) -> None:
    capture = Capture(1.0, full_well_e=5000.0, read_noise_e=12.0)
    found = linear(develop(card(level, 200, 200), capture, "a", "b"))
    expected = np.sqrt(level * 5000.0 + 12.0**2) / 5000.0
    assert found.mean() == pytest.approx(level, rel=0.01)
    assert found.std() == pytest.approx(expected, rel=0.08)


def test_noise_belongs_to_its_key() -> None:
    capture = Capture(1.0, full_well_e=2000.0)
    first, again, other = (develop(card(0.3), capture, key, "b") for key in ("a", "a", "c"))
    assert np.array_equal(first, again)
    assert np.mean(first != other) > 0.8


def test_hot_pixels_stay_where_they_are() -> None:
    capture = Capture(1.0, hot_pixels=0.01)
    pictures = [develop(card(0.05), capture, key, "camera") for key in ("a", "b")]
    assert np.array_equal(*pictures)
    hot = np.mean(pictures[0].max(axis=2) > 120)
    assert 0.004 < hot < 0.02
    assert not np.array_equal(pictures[0], develop(card(0.05), capture, "a", "another camera"))


def test_draws_are_spread_as_they_should_be() -> None:
    numbers = gaussian("key", (100_001,))
    assert abs(numbers.mean()) < 0.02 and numbers.std() == pytest.approx(1.0, abs=0.01)
    assert np.mean(np.abs(numbers) > 1.96) == pytest.approx(0.05, abs=0.005)
    assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.01
    counts = np.histogram(uniform("key", (100_000,)), bins=10, range=(0, 1))[0]
    assert counts.min() > 9_600 and counts.max() < 10_400


@pytest.mark.parametrize("motion", [(4.0, 0.0), (0.3, -0.2), (0.4, 0.4), (-7.5, 3.25), (0.0, 12.0)])
def test_motion_spreads_light_evenly_along_its_path_about_the_middle(motion: tuple[float, float]) -> None:
    light = np.zeros((41, 61, 3), np.float32)
    light[20, 30] = (1.0, 2.0, 4.0)
    found = smear(light, motion)[..., 0].astype(float)
    assert found.sum() == pytest.approx(1.0, abs=1e-5) and found.min() > -0.08
    y, x = np.nonzero(found)
    share = found[y, x]
    assert (share @ x, share @ y) == pytest.approx((30.0, 20.0), abs=1e-3)
    # An even spread over a length has its square over 12 as variance, and none across it.
    along = np.array(motion) / np.hypot(*motion)
    ahead, aside = (x - 30.0) * along[0] + (y - 20.0) * along[1], (x - 30.0) * along[1] - (y - 20.0) * along[0]
    assert share @ ahead**2 == pytest.approx((motion[0] ** 2 + motion[1] ** 2) / 12.0, rel=0.07, abs=1e-3)
    assert share @ aside**2 == pytest.approx(0.0, abs=1e-3) == share @ (ahead * aside)
    assert np.abs(aside).max() < 3.0


def test_an_edge_in_motion_is_a_ramp_and_light_at_rest_is_untouched() -> None:
    light = np.zeros((3, 40, 3), np.float32)
    light[:, 20:] = 1.0
    ramp = smear(light, (8.0, 0.0))[1, :, 0]
    assert ramp[14:26] == pytest.approx([0, 0, *np.linspace(0.0625, 0.9375, 8), 1, 1], abs=0.02)
    assert smear(light, (0.0, 0.0)) is light
    assert smear(card(0.3), (5.0, 9.0)) == pytest.approx(card(0.3), abs=1e-6)
