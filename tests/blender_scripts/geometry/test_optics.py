"""The camera's pose and projection, against computations by hand."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.station import CAMERAS
from blender_scripts.geometry.lens import NO_DISTORTION, Lens
from blender_scripts.geometry.optics import Camera, look_at, set_up_station
from blender_scripts.manifest.make_part import make_part

SCENE = read_connector(Path(__file__).resolve().parents[3] / "scenes" / "connector_3x9.toml")
UP = np.array([0.0, 1.0, 0.0])


def still(connector: Connector = SCENE) -> Connector:
    """A scene without variation between captures and without distortion."""
    calm = dict.fromkeys(vars(connector.nuisance), 0.0)
    cameras = {name: replace(rig, distortion=NO_DISTORTION) for name, rig in connector.cameras.items()}
    return replace(connector, nuisance=replace(connector.nuisance, **calm), cameras=cameras)


STILL = still()


def camera(name: str, width: int = 256, height: int = 128, seed: int = 1, connector: Connector = STILL) -> Camera:
    return set_up_station(connector, name, seed, width, height).camera


def test_a_point_by_hand() -> None:
    # 100 mm above the origin; 50 px focal length: 3 mm aside at 100 mm is 1.5 px right, 4 mm up is 2 px up.
    view = Camera("center", look_at(np.array([0.0, 0.0, 100.0]), np.zeros(3), UP), Lens(64, 32, 50.0, NO_DISTORTION))
    assert view.project(np.array([0.0, 0.0, 0.0])) == pytest.approx([32.0, 16.0])
    assert view.project(np.array([3.0, 4.0, 0.0])) == pytest.approx([33.5, 14.0])
    # Half as far away everything is twice as large.
    assert view.project(np.array([3.0, 4.0, 50.0])) == pytest.approx([35.0, 12.0])


def test_the_edge_convention() -> None:
    # The field of view is sensor width over focal length: its edges are the picture's edges 0 and W, not pixel centres.
    rig = STILL.cameras["center"]
    half = 0.5 * rig.sensor_width_mm / rig.focal_mm * (rig.distance_mm + rig.target_mm[2])
    left, right = camera("center", 200, 100).project(np.array([[-half, 0.0, 0.0], [half, 0.0, 0.0]]))
    assert left == pytest.approx([0.0, 50.0]) and right == pytest.approx([200.0, 50.0])
    assert camera("center", 400, 200).project(np.array([half, 0.0, 0.0])) == pytest.approx([400.0, 100.0])


def test_shapes_are_kept() -> None:
    points = np.random.default_rng(0).uniform(-5, 5, (4, 3, 3))
    found = camera("left").project(points)
    assert found.shape == (4, 3, 2)
    assert found[2, 1] == pytest.approx(camera("left").project(points[2, 1]))


@pytest.mark.parametrize(("azimuth", "expected"), [(0.0, (1.0, 0.0)), (90.0, (0.0, -1.0)), (180.0, (-1.0, 0.0))])
def test_motion_in_px_by_hand(azimuth: float, expected: tuple[float, float]) -> None:
    rig = replace(STILL.cameras["center"], motion_mm=0.5, motion_azimuth_deg=azimuth, distortion=(0.1, 0, 0, 0, 0))
    moving = replace(STILL, cameras={**STILL.cameras, "center": rig})
    # The target lies 118 mm away: 0.5 mm x 256 px x 35 / 14.8 / 118.
    found = set_up_station(moving, "center", 1, 256, 128).motion_px
    assert found == pytest.approx(np.array(expected) * 2.5653, abs=1e-3)
    assert set_up_station(STILL, "center", 1, 256, 128).motion_px == (0.0, 0.0)


def test_motion_is_drawn_for_each_capture_and_changes_no_other_draw() -> None:
    moving = replace(SCENE, nuisance=replace(SCENE.nuisance, motion_mm=0.5))
    stations = [set_up_station(moving, "center", seed, 256, 128) for seed in range(60)]
    lengths = [float(np.hypot(*station.motion_px)) for station in stations]
    # Around no motion, half of the draws stand still.
    assert 15 < lengths.count(0.0) < 45 and 2.3 < max(lengths) < 2.7
    for seed, station in enumerate(stations):
        at_rest = set_up_station(SCENE, "center", seed, 256, 128)
        assert np.array_equal(station.camera.matrix_world, at_rest.camera.matrix_world)
        assert (station.capture, station.focus_mm) == (at_rest.capture, at_rest.focus_mm)


def test_the_target_is_in_the_middle_of_every_view() -> None:
    for name in CAMERAS:
        rig = STILL.cameras[name]
        view = camera(name)
        assert view.project(np.array(rig.target_mm)) == pytest.approx([128.0, 64.0])
        assert np.linalg.norm(view.matrix_world[:3, 3] - rig.target_mm) == pytest.approx(rig.distance_mm)


@pytest.mark.parametrize(("name", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("top", 1, 1), ("bottom", 1, -1)])
def test_a_camera_stands_on_the_side_of_its_name(name: str, axis: int, sign: int) -> None:
    rig, view = STILL.cameras[name], camera(name)
    away = view.matrix_world[:3, 3] - np.array(rig.target_mm)
    assert away[axis] * sign == pytest.approx(rig.distance_mm * math.sin(math.radians(rig.angle_deg)))
    assert away[1 - axis] == pytest.approx(0.0)
    assert away[2] > 0.0
    # A point above the plane shifts away from the camera's side: seen from the left, to the right.
    low, high = view.project(np.array([[0.0, 0.0, -5.0], [0.0, 0.0, 0.0]]))
    moved = high - low
    assert moved[axis] * (-sign if axis == 0 else sign) > 5.0
    assert moved[1 - axis] == pytest.approx(0.0, abs=1e-9)


def test_from_every_camera_x_is_right_and_y_is_up() -> None:
    for name in CAMERAS:
        middle, right, up = camera(name).project(np.array([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, 5.0, 0.0]]))
        assert right[0] - middle[0] > 10 and up[1] - middle[1] < -10
        assert abs(right[1] - middle[1]) < 1.0 and abs(up[0] - middle[0]) < 1.0


def test_a_side_view_by_hand() -> None:
    # From the target, seen from the left at angle a: across = x cos a + z sin a, depth = distance + x sin a - z cos a.
    rig = STILL.cameras["left"]
    a, focal = math.radians(rig.angle_deg), rig.focal_mm / rig.sensor_width_mm * 256
    for x, y, z in ((4.0, 4.6, -1.2), (-16.0, -4.6, -7.5)):
        dx, dy, dz = x - rig.target_mm[0], y - rig.target_mm[1], z - rig.target_mm[2]
        depth = rig.distance_mm + dx * math.sin(a) - dz * math.cos(a)
        across = dx * math.cos(a) + dz * math.sin(a)
        expected = [128.0 + focal * across / depth, 64.0 - focal * dy / depth]
        assert camera("left").project(np.array([x, y, z])) == pytest.approx(expected)


@given(
    st.tuples(*[st.floats(-50, 50)] * 3),
    st.tuples(st.floats(-1, 1), st.floats(-0.9, 0.9), st.floats(-1, 1)).filter(lambda v: math.hypot(v[0], v[2]) > 0.1),
    st.floats(1.0, 500.0),
)
def test_look_at_is_a_rotation_that_looks_at_its_target(target, direction, distance) -> None:
    target, direction = np.array(target), np.array(direction)
    position = target + distance * direction / np.linalg.norm(direction)
    matrix = look_at(position, target, UP)
    rotation = matrix[:3, :3]
    assert rotation.T @ rotation == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(rotation) == pytest.approx(1.0)
    # Along -Z by the distance lies the target; Y is as near to up as it can be; X is level.
    assert (matrix @ [0.0, 0.0, -distance, 1.0])[:3] == pytest.approx(target, abs=1e-6)
    assert rotation[1, 1] >= 0.0 and rotation[1, 0] == pytest.approx(0.0, abs=1e-12)
    assert matrix[3].tolist() == [0.0, 0.0, 0.0, 1.0]


@given(st.integers(0, 2**63 - 1), st.sampled_from(CAMERAS), st.tuples(*[st.floats(-15, 15)] * 2, st.floats(-7, 3)))
def test_a_record_has_what_it_takes_to_project(seed: int, name: str, point: tuple[float, float, float]) -> None:
    view = camera(name, 320, 200, seed, replace(SCENE, cameras=STILL.cameras))
    record = view.as_record()
    local = np.linalg.inv(np.array(record["matrix_world"])) @ [*point, 1.0]
    x = record["cx"] + record["fx"] * local[0] / -local[2]
    y = record["cy"] + record["fy"] * local[1] / local[2]
    assert view.project(np.array(point)) == pytest.approx([x, y], abs=1e-6)
    assert record["name"] == name and len(record["distortion"]) == 5


def test_distortion_in_the_record_is_opencvs() -> None:
    lens = (-0.1, 0.02, 0.003, -0.002, 0.01)
    cameras = {name: replace(rig, distortion=lens) for name, rig in SCENE.cameras.items()}
    view = camera("top", 320, 200, 5, replace(SCENE, cameras=cameras))
    record = view.as_record()
    assert record["distortion"] == list(lens)
    for point in ([12.0, 4.0, -2.0], [-15.0, -6.0, -7.0]):
        local = np.linalg.inv(np.array(record["matrix_world"])) @ [*point, 1.0]
        x, y = local[0] / -local[2], -local[1] / -local[2]
        r2, (k1, k2, p1, p2, k3) = x * x + y * y, record["distortion"]
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        bent = (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )
        expected = [record["cx"] + record["fx"] * bent[0], record["cy"] + record["fy"] * bent[1]]
        assert view.project(np.array(point)) == pytest.approx(expected)


def test_captures_stay_within_their_ranges_and_differ() -> None:
    nuisance = SCENE.nuisance
    stations = [set_up_station(SCENE, "center", seed, 256, 128) for seed in range(300)]
    shifts = []
    for station in stations:
        rotation, shift = station.matrix[:3, :3], station.matrix[:3, 3]
        assert rotation.T @ rotation == pytest.approx(np.eye(3), abs=1e-12)
        # The station is the inverse of the part's motion.
        shifts.append(-rotation.T @ shift)
        assert abs(station.light_power - 1.0) <= nuisance.light_power
        assert abs(station.light_azimuth_deg) <= nuisance.light_azimuth_deg
        assert abs(math.log2(station.capture.exposure)) <= nuisance.exposure
    shifts = np.array(shifts)
    assert np.abs(shifts[:, :2]).max() <= nuisance.shift_mm and np.abs(shifts[:, 2]).max() < 1e-12
    heights = np.array([relative(station.matrix, station.camera.matrix_world)[2, 3] for station in stations])
    raised = heights - STILL.cameras["center"].distance_mm - STILL.cameras["center"].target_mm[2]
    assert 0.95 * nuisance.distance_mm < np.abs(raised).max() <= nuisance.distance_mm
    assert np.abs(shifts[:, :2]).max() > 0.95 * nuisance.shift_mm
    assert len({station.camera.matrix_world.tobytes() for station in stations}) == 300


def relative(frame: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """A pose (4, 4) as seen from another frame (4, 4)."""
    return np.linalg.inv(frame) @ pose


def test_all_cameras_of_a_fixture_have_one_rig_pose_and_one_light() -> None:
    rigs = {name: relative(camera("center").matrix_world, camera(name).matrix_world) for name in CAMERAS}
    for fixture in range(4):
        stations = {name: set_up_station(SCENE, name, fixture, 256, 128) for name in CAMERAS}
        middle = stations["center"]
        for name, station in stations.items():
            pose = relative(middle.camera.matrix_world, station.camera.matrix_world)
            assert pose == pytest.approx(rigs[name], abs=1e-9)
            assert np.array_equal(station.matrix, middle.matrix)
            light = (station.light_power, station.light_azimuth_deg, station.fixture_shade)
            assert light == (middle.light_power, middle.light_azimuth_deg, middle.fixture_shade)
        assert len({station.capture.exposure for station in stations.values()}) == len(CAMERAS)


def test_a_placing_belongs_to_its_fixture() -> None:
    first, again = (set_up_station(SCENE, "left", 7, 256, 128) for _ in range(2))
    assert np.array_equal(first.camera.matrix_world, again.camera.matrix_world) and first.capture == again.capture
    assert not np.array_equal(first.matrix, set_up_station(SCENE, "left", 8, 256, 128).matrix)
    # The picture's size does not change the draw.
    assert np.array_equal(first.camera.matrix_world, set_up_station(SCENE, "left", 7, 64, 32).camera.matrix_world)


def triangulated(views: list[Camera], pixels: list[np.ndarray]) -> np.ndarray:
    """Points (N, 3) that lie nearest to the rays of their pixels (N, 2) in several views, by least squares."""
    left, right = np.zeros((len(pixels[0]), 3, 3)), np.zeros((len(pixels[0]), 3))
    for view, seen in zip(views, pixels, strict=True):
        origins, directions = view.rays(seen)
        across = np.eye(3) - directions[:, :, None] * directions[:, None]
        left, right = left + across, right + (across @ origins[:, :, None])[..., 0]
    return np.linalg.solve(left, right[:, :, None])[..., 0]


@pytest.mark.parametrize("field_mm", [None, 45.0])
def test_three_views_of_a_fixture_give_the_millimetres_of_the_pins(field_mm: float | None) -> None:
    """Only the mounting of the cameras is known, as of a calibrated rig: the part's pose is found from the points."""
    lens = (-0.05, 0.01, 0.001, -0.001, 0.0) if field_mm is None else (2e-5, 0.0, 1e-5, 0.0, 0.0)
    cameras = {name: replace(rig, field_mm=field_mm, distortion=lens) for name, rig in SCENE.cameras.items()}
    scene, calm = replace(SCENE, cameras=cameras), replace(STILL, cameras=cameras)
    tips = np.array([pin.tip_mm for pin in make_part(scene, "plain", "round", "none", 3, ()).pins])
    names = ("center", "left", "top")
    pixels = [set_up_station(scene, name, 11, 256, 128).camera.project(tips).round(6) for name in names]
    found = triangulated([camera(name, connector=calm) for name in names], pixels)
    offset = found - found.mean(axis=0)
    u, _, v = np.linalg.svd(offset.T @ (tips - tips.mean(axis=0)))
    turned = offset @ (u @ np.diag([1.0, 1.0, np.linalg.det(u @ v)]) @ v) + tips.mean(axis=0)
    assert np.abs(turned - tips).max() < 1e-4
    # The pose is not that of the rig's drawing, or the test would show nothing.
    assert np.abs(found - tips).max() > 0.1


def test_a_telecentric_camera_by_hand() -> None:
    # 8 px per mm at any distance: 3 mm aside is 24 px right, 1 mm up is 8 px up.
    pose = look_at(np.array([0.0, 0.0, 100.0]), np.zeros(3), UP)
    view = Camera("center", pose, Lens(64, 32, 8.0, NO_DISTORTION), telecentric=True)
    for height in (0.0, 50.0):
        assert view.project(np.array([3.0, 1.0, height])) == pytest.approx([56.0, 8.0])
        assert view.px_per_mm(np.array([3.0, 1.0, height])) == 8.0
    bent = replace(view, lens=replace(view.lens, distortion=(0.01, 0.0, 0.0, 0.0, 0.0)))
    # r^2 = 10 mm^2, so both are 1 + 0.01 x 10 times as far from the centre.
    assert bent.project(np.array([3.0, 1.0, 0.0])) == pytest.approx([58.4, 7.2])
    origins, directions = bent.rays(np.array([[58.4, 7.2]]))
    assert origins == pytest.approx(np.array([[3.0, 1.0, 100.0]])) and directions == pytest.approx(
        np.array([[0.0, 0.0, -1.0]])
    )


def test_the_field_of_a_telecentric_camera_is_as_wide_as_the_picture() -> None:
    rigs = {name: replace(rig, field_mm=44.0) for name, rig in STILL.cameras.items()}
    view = camera("center", 200, 100, connector=replace(STILL, cameras=rigs))
    left, right = view.project(np.array([[-22.0, 0.0, -7.0], [22.0, 0.0, 3.0]]))
    assert left == pytest.approx([0.0, 50.0]) and right == pytest.approx([200.0, 50.0])
    record = {"width": 200, "height": 100, "camera": view.as_record()}
    assert record["camera"]["model"] == "telecentric" and record["camera"]["fx"] == pytest.approx(200 / 44)
    assert np.array_equal(Camera.of_record(record).project(np.eye(3)), view.project(np.eye(3)))


@given(st.sampled_from(CAMERAS), st.booleans(), st.tuples(*[st.floats(-15, 15)] * 2, st.floats(-7, 3)))
def test_the_ray_of_a_pixel_passes_through_what_it_shows(name: str, parallel: bool, point: tuple[float, ...]) -> None:
    rig = replace(SCENE.cameras[name], field_mm=40.0 if parallel else None)
    rig = replace(rig, distortion=(1e-5, 0.0, 1e-6, 0.0, 0.0) if parallel else (-0.1, 0.02, 0.003, -0.002, 0.01))
    view = camera(name, connector=replace(SCENE, cameras={name: rig}))
    origin, direction = view.rays(view.project(np.array(point)))
    assert np.linalg.norm(np.cross(direction, np.array(point) - origin)) < 1e-5
    assert direction @ (np.array(point) - origin) > 0.0 and np.linalg.norm(direction) == pytest.approx(1.0)
    assert view.depth(origin) == pytest.approx(0.0, abs=1e-9)
    assert view.at_depth(view.project(np.array(point)), view.depth(np.array(point))) == pytest.approx(point, abs=1e-5)


def test_records_of_before_are_pinholes_and_other_models_are_refused() -> None:
    record: dict[str, Any] = {"width": 64, "height": 32, "camera": camera("left").as_record()}
    del record["camera"]["model"]
    assert not Camera.of_record(record).telecentric
    record["camera"]["model"] = "fisheye"
    with pytest.raises(ValueError, match=r"camera.model must be one of pinhole, telecentric, got 'fisheye'"):
        Camera.of_record(record)
