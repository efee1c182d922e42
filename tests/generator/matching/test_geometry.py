"""Focal length and poses are found from shifts of edges that other cameras give, without renders."""

import numpy as np
import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry.lens import NO_DISTORTION, Lens
from blender_scripts.geometry.optics import Camera, look_at
from generator.locating.pose import motion
from generator.matching.fitted_camera import _angle
from generator.matching.geometry import Fitted, fit
from generator.matching.renders import in_station
from generator.matching.shifts import Edges
from tests.conftest import SCENES

SHELL = read_connector(SCENES / "connector_3x9.toml").shell
LENS = Lens(512, 256, 1200.0, NO_DISTORTION)


def pose_at(distance):
    return look_at(np.array([0.0, 0.0, distance]), np.zeros(3), np.array([0.0, 1.0, 0.0]))


def sighting(random, focal, distance, step):
    """The camera of a render, and the shifts of edges in the photograph of another camera."""
    places = np.column_stack(
        [random.uniform(-19, 19, 300), random.uniform(-8, 8, 300), random.choice([-7.5, 0.0], 300)]
    )
    angle = random.uniform(0.0, 2 * np.pi, 300)
    normals = np.column_stack([np.cos(angle), np.sin(angle)])
    camera = Camera("center", pose_at(118.0), LENS)
    other = Camera("center", pose_at(distance) @ motion(step), Lens(512, 256, focal, NO_DISTORTION))
    shifts = ((other.project(places) - camera.project(places)) * normals).sum(axis=1) + random.normal(0.0, 0.05, 300)
    # What is no edge of the part, such as a stain.
    shifts[:10] += random.uniform(1.0, 3.0, 10)
    return camera, Edges(camera.project(places), normals, places, shifts, np.ones(300), np.zeros(300, bool), 1.0), other


def test_focal_length_and_distance_are_found_apart():
    random = np.random.default_rng(2)
    steps = [np.append(random.normal(0.0, 0.01, 3), random.normal(0.0, 0.4, 3)) for _ in range(6)]
    made = [sighting(random, 1280.0, 124.0, step) for step in steps]
    found = fit([camera for camera, _, _ in made], [edges for _, edges, _ in made], SHELL)
    assert abs(np.log(found.focal_px / 1280.0)) < 2.0 * found.log_focal_sd < 0.08
    for pose, (_, _, other) in zip(found.poses, made, strict=True):
        ratio = found.focal_px / pose[2, 3] / (1280.0 / other.matrix_world[2, 3])
        assert ratio == pytest.approx(1.0, abs=0.001)


def test_a_calibrated_focal_length_is_kept():
    random = np.random.default_rng(3)
    camera, edges, _ = sighting(random, 1200.0, 125.0, np.zeros(6))
    found = fit([camera], [edges], SHELL, known_sd=1e-4)
    assert found.focal_px == pytest.approx(1200.0, rel=1e-3)
    assert found.poses[0][2, 3] == pytest.approx(125.0, abs=0.2)


SIDES = {"left": (-1, 0), "right": (1, 0), "top": (0, 1), "bottom": (0, -1)}


@pytest.mark.parametrize(("view", "away"), [("center", (0, 0)), *SIDES.items()])
def test_a_pose_on_the_station(view, away):
    angle = np.radians(28.0)
    tilted = np.array([away[0] * np.sin(angle), away[1] * np.sin(angle), np.cos(angle) if any(away) else 1.0])
    target = np.array([0.5, -0.3, -2.5])
    camera = look_at(target + 118.0 * tilted, target, np.array([0.0, 1.0, 0.0]))
    turn, found, distance = in_station(camera, view, 28.0, -2.5)
    assert np.allclose(turn, np.eye(3)) and np.allclose(found, target)
    assert distance == pytest.approx(118.0)
    fitted = Fitted(1200.0, [camera] * 5, 1.0, 0.01, 0.001, np.full(3, 1e-4), 0.1, 10)
    assert _angle(fitted, view, 26.0, 0.6)[0] == pytest.approx(28.0 if any(away) else 26.0)
