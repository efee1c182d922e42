import numpy as np
import pytest

from generator.io.srgb import coded, linear


def test_codes_come_back_and_half_of_the_light_is_188():
    codes = np.arange(256, dtype=np.uint8)
    assert np.rint(coded(linear(codes))).astype(int).tolist() == codes.tolist()
    assert linear(np.array([0, 255])).tolist() == [0.0, 1.0]
    assert coded(np.array(0.5)) == pytest.approx(187.5, abs=0.1)
