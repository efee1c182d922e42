"""A motion that the renderer's sensor model adds to drawn edges is found from them; without one, none is found."""

import numpy as np
import pytest
from PIL import Image

from blender_scripts.geometry.lens import NO_DISTORTION, Lens
from blender_scripts.geometry.optics import Camera, look_at
from blender_scripts.geometry.sensor import Capture, develop, smear
from generator.matching.blur import fit_blur, spreads, widening
from generator.matching.renders import Rendered
from generator.matching.shifts import measure

WIDTH, HEIGHT, FINE = 240, 160, 8
CAPTURE = Capture(1.0, full_well_e=8000.0, read_noise_e=10.0)
CAMERA = Camera(
    "center",
    look_at(np.array([0.0, 0.0, 100.0]), np.zeros(3), np.array([0.0, 1.0, 0.0])),
    Lens(WIDTH, HEIGHT, 600.0, NO_DISTORTION),
)


def light(turn):
    """Turned dark squares on a bright table, (H, W, 3) linear."""
    y, x = np.mgrid[0 : HEIGHT * FINE, 0 : WIDTH * FINE] / FINE
    angle = np.radians(turn)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    dark = ((u % 40.0) < 20.0) & ((v % 40.0) < 20.0)
    shade = np.where(dark, 0.08, 0.5).reshape(HEIGHT, FINE, WIDTH, FINE).mean(axis=(1, 3))
    return np.repeat(shade[..., None], 3, axis=2).astype(np.float32)


def spread(motion_px, first):
    renders, pictures = [], []
    for number, turn in enumerate((10.0, 27.0, 50.0, 65.0, 80.0)):
        drawn = light(turn)
        clean = develop(drawn, Capture(1.0), "", "camera")
        renders.append(Rendered(clean, np.full((HEIGHT, WIDTH), 100.0), np.zeros((HEIGHT, WIDTH), int), CAMERA))
        pictures.append(develop(smear(drawn, motion_px), CAPTURE, str(first + number), "camera"))
    edges = [measure(picture, render, 1.5) for picture, render in zip(pictures, renders, strict=True)]
    return spreads(pictures, renders, edges)


@pytest.fixture(scope="module")
def sharp():
    return spread((0.0, 0.0), 100)


def test_length_and_direction_of_a_motion(sharp):
    found = fit_blur(widening(spread((1.73, -1.0), 0), sharp), 600.0)
    assert found.kind == "motion"
    assert found.first == pytest.approx(2.0, rel=0.15)
    assert np.degrees(found.second) % 180.0 == pytest.approx(30.0, abs=10.0)
    assert found.u[0] < 0.6


def test_no_blur(sharp):
    found = fit_blur(widening(spread((0.0, 0.0), 50), sharp), 600.0)
    assert found.kind == "none" and abs(found.variance) < 0.03


def test_the_drawn_squares_are_where_they_are_drawn():
    clean = develop(light(10.0), Capture(1.0), "", "camera")
    render = Rendered(clean, np.full((HEIGHT, WIDTH), 100.0), np.zeros((HEIGHT, WIDTH), int), CAMERA)
    moved = Image.fromarray(clean).transform((WIDTH, HEIGHT), Image.Transform.AFFINE, (1, 0, -0.5, 0, 1, 0.25), 3)
    edges = measure(np.asarray(moved), render, 2.0)
    assert np.median(np.abs(edges.normals @ (0.5, -0.25) - edges.shifts)) < 0.05
    assert np.allclose(edges.places[:, 2], 0.0)
