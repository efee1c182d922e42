"""The sensor's response over its whole range; noise and shading are in test_sensor.py."""

import numpy as np
import pytest

from blender_scripts.geometry.sensor import Capture, develop

PLAIN = Capture(exposure=1.0)


def grey(levels: np.ndarray, capture: Capture = PLAIN) -> np.ndarray:
    """Codes of a row of grey levels."""
    light = np.repeat(np.asarray(levels, np.float32)[None, :, None], 3, axis=2)
    picture = develop(light, capture, "noise", "camera")
    assert picture.dtype == np.uint8 and picture.shape == light.shape
    return picture[0, :, 0].astype(int)


def srgb(level: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1, 0 to 255, not rounded."""
    return 255.0 * np.where(level <= 0.0031308, 12.92 * level, 1.055 * level ** (1 / 2.4) - 0.055)


def test_every_level_is_coded_as_srgb_has_it() -> None:
    levels = np.linspace(0.0, 1.0, 5001)
    # Half a code for rounding, and the table's step where the curve is steepest.
    assert np.abs(grey(levels) - srgb(levels)).max() < 0.62


def test_more_light_is_never_darker_and_every_code_occurs() -> None:
    codes = grey(np.linspace(0.0, 1.0, 20_001))
    assert np.all(np.diff(codes) >= 0)
    assert set(codes) == set(range(256))


def test_a_full_pixel_stays_full_and_nonsense_is_black() -> None:
    assert grey([1.0, 1.5, 1e30, np.inf]).tolist() == [255] * 4
    assert grey([0.0, -1.0, -np.inf, np.nan]).tolist() == [0] * 4


@pytest.mark.parametrize("exposure", [0.25, 0.5, 2.0])
def test_exposure_is_a_factor_on_light(exposure: float) -> None:
    levels = np.linspace(0.0, 0.5, 400)
    assert np.array_equal(grey(levels, Capture(exposure)), grey(levels * exposure))
