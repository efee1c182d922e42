"""Noise that the sensor model of the renderer adds is found again from the pictures alone."""

import numpy as np
import pytest

from blender_scripts.geometry.sensor import Capture, develop
from generator.matching.noise import Sample, noise_quantities, transfer

WELL, READ = 6000.0, 15.0


def picture(seed, well):
    light = np.repeat(np.linspace(0.02, 0.6, 16)[:, None], 256, axis=0).reshape(16, 256)
    light = np.repeat(light, 8, axis=0)[..., None] * np.ones(3)
    capture = Capture(1.0, (0.9, 1.0, 1.1), full_well_e=well, read_noise_e=READ)
    return develop(light.astype(np.float32), capture, str(seed), "camera")


def flat():
    rows = np.arange(128) % 8
    return np.repeat(((rows > 2) & (rows < 5))[:, None], 256, axis=1)


@pytest.mark.parametrize("is_repeat", [False, True])
def test_electrons_and_read_noise(is_repeat):
    clean = [picture(10 + seed, WELL if is_repeat else 0.0) for seed in range(4)]
    samples = [Sample(picture(seed, WELL), clean[seed], flat(), is_repeat) for seed in range(4)]
    found = transfer(samples, (0.9, 1.0, 1.1))
    electrons, read = noise_quantities(found, (12000.0, 12.0), is_jpeg=False)
    assert electrons.value == pytest.approx(WELL, rel=0.15)
    light = np.array([0.05, 0.4])
    true = np.sqrt(light / WELL + (READ / WELL) ** 2)
    assert found.deviation(light) == pytest.approx(true, rel=0.08)
    assert abs(read.value - READ) < 2.0 * read.u


def test_what_cannot_be_told_keeps_its_value():
    samples = [Sample(picture(1, WELL), picture(2, 0.0), flat())]
    for found, is_jpeg in ((None, False), (transfer(samples, (1.0, 1.0, 1.0)), True)):
        assert [each.value for each in noise_quantities(found, (12000.0, 12.0), is_jpeg)] == [None, None]
