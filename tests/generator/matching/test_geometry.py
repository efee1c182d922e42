"""Focal length and poses are found from shifts of edges that other cameras give, without renders."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry.lens import NO_DISTORTION, Lens
from blender_scripts.geometry.optics import Camera, look_at
from generator.locating.pose import motion
from generator.matching.fitted_camera import _angle, fitted_camera
from generator.matching.geometry import DEPTH_SHARE, Fitted, fit
from generator.matching.renders import Shot, in_station
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


def part_seen(random, wider_mm=(0.0, 0.0), floor_off_px=0.0, focal=1250.0):
    """As `sighting`, of a part with walls, a floor and 27 pins, 125 mm from the lens.

    Args:
        wider_mm: by how much outline and opening are wider (X) and higher (Y) than on the drawing; the pitch is not.
        floor_off_px: by how much the floor's edges appear further out than they are.
    """
    turns = np.tile([(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)], (102, 1))
    pins = np.array([(4.0 * column, 4.6 * row) for column in range(-4, 5) for row in (-1, 0, 1)])
    tips = np.column_stack([np.repeat(pins, 4, axis=0) + 0.65 * turns[:108], np.full(108, -1.2)])
    half = np.repeat([(22.2, 10.8), (19.2, 7.8), (19.2, 7.8)], 100, axis=0)
    out = turns[108:]
    along = np.abs(out[:, ::-1]) * random.uniform(-0.9, 0.9, (300, 1))
    walls = np.column_stack([(out + along) * half, np.repeat([0.0, 0.0, -7.5], 100)])
    on_pins, on_floor = np.arange(408) < 108, np.arange(408) >= 308
    places = np.vstack([tips, walls])
    real = places.copy()
    real[108:, :2] *= 1.0 + np.divide(wider_mm, 2.0 * half)
    normals = turns * (1.0, -1.0)  # y is down in pixels
    camera = Camera("center", pose_at(118.0), LENS)
    step = np.append(random.normal(0.0, 0.01, 3), random.normal(0.0, 0.4, 3))
    other = Camera("center", pose_at(125.0) @ motion(step), Lens(512, 256, focal, NO_DISTORTION))
    shifts = ((other.project(real) - camera.project(places)) * normals).sum(axis=1) + random.normal(0.0, 0.05, 408)
    shifts += floor_off_px * on_floor
    return camera, Edges(camera.project(places), normals, places, shifts, np.ones(408), on_pins, 1.0), other


def motion_of(other, pose):
    """The rotation (3,), rad, from the true pose of a camera to the fitted one."""
    return Rotation.from_matrix(other.matrix_world[:3, :3].T @ pose[:3, :3]).as_rotvec()


def ratio_errors(found, made):
    """Logarithms of the fitted focal length over the distance of each photograph, divided by the true ones."""
    fitted = [found.focal_px / pose[2, 3] for pose in found.poses]
    return np.log(fitted) - np.log([other.lens.focal_px / other.matrix_world[2, 3] for _, _, other in made])


@pytest.mark.parametrize("wider_mm", [(0.0, 0.0), (0.15, 0.15), (-0.05, 0.2)], ids=["as drawn", "wider", "higher"])
def test_the_pitch_of_pins_and_not_the_housing_states_the_scale(wider_mm):
    """A housing that is 0.15 mm larger than its drawing looks like a camera that is 0.3 to 0.7 % nearer."""
    random = np.random.default_rng(4)
    made = [part_seen(random, wider_mm) for _ in range(6)]
    found = fit([camera for camera, _, _ in made], [edges for _, edges, _ in made], SHELL)
    turns = [motion_of(other, pose) for pose, (_, _, other) in zip(found.poses, made, strict=True)]
    assert (np.abs(np.mean(turns, axis=0)) < 3.0 * found.mean_turn_sd).all() and (found.mean_turn_sd < 0.01).all()
    error = abs(ratio_errors(found, made).mean())
    assert error < 0.002 and error < 2.0 * found.log_ratio_sd < 0.006


@pytest.mark.parametrize("width", [256, 512])
def test_the_scale_of_a_telecentric_camera_is_as_sure_as_its_edges(width):
    """Nothing is found from perspective, so that its weakness does not enter the uncertainty."""
    random = np.random.default_rng(4)
    made = []
    for _ in range(6):
        camera, edges, other = part_seen(random)
        nominal, real = (
            replace(each, lens=Lens(width, width // 2, scale, NO_DISTORTION), telecentric=True)
            for each, scale in ((camera, 6.0), (other, 6.06))
        )
        shifts = ((real.project(edges.places) - nominal.project(edges.places)) * edges.normals).sum(axis=1)
        shifts += random.normal(0.0, 0.05, 408)
        made.append((nominal, replace(edges, shifts=shifts, pixels=nominal.project(edges.places))))
    found = fit([camera for camera, _ in made], [edges for _, edges in made], SHELL)
    assert abs(np.log(found.focal_px / 6.06)) < 2.0 * found.log_ratio_sd < 0.01


def test_edges_that_all_err_alike_do_not_make_the_part_another():
    """The prior of the part's depth holds, however many edges of the floor appear further out than they are."""
    random = np.random.default_rng(5)
    made = [part_seen(random, floor_off_px=0.15, focal=LENS.focal_px) for _ in range(8)]
    found = fit([camera for camera, _, _ in made], [edges for _, edges, _ in made], SHELL, known_sd=1e-4)
    assert abs(np.log(found.depth)) < 2.0 * DEPTH_SHARE
    assert abs(ratio_errors(found, made).mean()) < 2.0 * found.log_ratio_sd


def test_the_uncertainty_of_the_ratio_contains_that_of_the_fit(tmp_path):
    path = SCENES / "connector_3x9.toml"
    shot = Shot(path, path.read_text("utf-8"), "plain", "round", "center", "ring", "none", tmp_path, 1)
    exact = Fitted(1200.0, [pose_at(118.0)] * 20, 1.0, 0.01, 0.0, np.full(3, 1e-4), np.zeros(3), 0.1, 10)
    u = [fitted_camera(replace(exact, log_ratio_sd=sd), shot.connector(), shot, 512).ratio_u for sd in (0.0, 0.003)]
    assert u[1] ** 2 - u[0] ** 2 == pytest.approx(0.006**2)


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
    fitted = Fitted(1200.0, [camera] * 5, 1.0, 0.01, 0.001, np.full(3, 1e-4), np.full(3, 1e-3), 0.1, 10)
    found, sd = _angle(fitted, view, 26.0, 0.6)
    assert found == pytest.approx(28.0 if any(away) else 26.0)
    exact = _angle(replace(fitted, mean_turn_sd=np.zeros(3)), view, 26.0, 0.6)[1]
    assert sd**2 - exact**2 == pytest.approx(np.degrees(1e-3) ** 2 if any(away) else 0.0)
