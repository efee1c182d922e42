"""The cameras of copies: a pin's nominal position and measures, projected, give its points in the picture."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry.lens import distort
from blender_scripts.geometry.optics import set_up_station
from generator.augmenting.camera import moved_camera
from generator.augmenting.copied_rows import Rules, copied_row
from generator.augmenting.copies import copies
from generator.augmenting.orientation import REVERSE, TURN, naming
from generator.augmenting.plan import OPERATIONS, Options
from generator.augmenting.relabel import Settings
from generator.augmenting.transforms import Move, cropped, mirrored, turned, warped
from generator.dataset.rows import CameraRow, ObjectRow, PictureRow
from tests.conftest import SCENES

NAMES = sorted(path.stem for path in SCENES.glob("*.toml"))
VIEWS = ("center", "left", "right", "top", "bottom")
SIZE = (256, 130)
BARREL = (-0.21, 0.06, 0.004, -0.007, 0.01)
OPENED = Options(trim=True, mirror_text=True)


def project(camera: CameraRow, points):
    """World points (N, 3) in mm to pixels (N, 2)."""
    matrix = np.array(camera.matrix_world)
    x, y, z = matrix[:3, :3].T @ (np.asarray(points) - matrix[:3, 3]).T
    bent = distort(np.stack([x / -z, y / z], axis=-1), camera.distortion)
    return bent * [camera.fx, camera.fy] + [camera.cx, camera.cy]


def is_motion(camera: CameraRow):
    turn = np.array(camera.matrix_world)[:3, :3]
    return np.allclose(turn @ turn.T, np.eye(3), atol=1e-5) and np.linalg.det(turn) > 0.99


def camera_of(connector, view, seed, **changes) -> CameraRow:
    """As a record has it, for a picture of SIZE."""
    return replace(CameraRow.of(set_up_station(connector, view, seed, *SIZE).camera.as_record()), **changes)


def row_of(connector, scene, camera, view):
    """A picture with a displaced pin at each position; the heights of their tips by index, mm."""
    rng = np.random.default_rng(7)
    heights, objects = {}, []
    for number, place in enumerate(connector.positions, 1):
        dx, dy = rng.normal(0, 0.5, 2)
        heights[number] = -1.2 - rng.uniform(0, 2)
        (tip,) = project(camera, [[place.x_mm + dx, place.y_mm + dy, heights[number]]]).tolist()
        box = (tip[0] - 2, tip[1] - 2, tip[0] + 2, tip[1] + 2)
        pin = ObjectRow(number, box, "OK", (), False, place.address, place.cavity, 1.0, dx, dy, tip_px=tuple(tip))
        objects.append(pin)
    manifest = {"run": "a", "scene": scene, "camera": view, "marking": "none", "defects": ""}
    row = PictureRow(
        label="OK",
        kinds=(),
        observable=True,
        bbox_str="",
        objects=tuple(objects),
        camera=camera,
        synthetic=True,
        width=SIZE[0],
        height=SIZE[1],
        manifest=manifest,
    )
    return row, heights


def made_copies(row, scenes: Path, operations=OPERATIONS):
    rules = Rules(scenes, {}, OPENED, Settings({}, 0.0, "short"), {}, (), False, Path())
    for copy in copies(operations, SIZE, 3, "a", OPENED.trim):
        yield copied_row(row, copy, None, None, rules)


@pytest.mark.parametrize("scene", NAMES)
def test_measures_of_copies_project_onto_their_points(scene):
    connector = read_connector(SCENES / f"{scene}.toml")
    drawn = {place.address: place for place in connector.positions}
    checked: Counter[str] = Counter()
    for seed, view in enumerate(VIEWS):
        for camera in (
            camera_of(connector, view, seed),
            camera_of(connector, view, seed, fx=300.0, fy=340.0, cx=140.0, cy=50.0, distortion=BARREL),
        ):
            row, heights = row_of(connector, scene, camera, view)
            for copy in made_copies(row, SCENES):
                if copy.camera is None:
                    # A warp shears pixels; the drawing has no grid on its side, but a circle is counted from its key.
                    assert copy.augmentation == "warp" or (copy.augmentation == "plus90" and scene != "circular_5")
                    continue
                assert is_motion(copy.camera)
                for pin in copy.objects:
                    place = drawn[pin.address]
                    tip = [place.x_mm + pin.dx_mm, place.y_mm + pin.dy_mm, heights[pin.id]]
                    if pin.tip_px is not None:
                        assert project(copy.camera, [tip])[0] == pytest.approx(pin.tip_px, abs=1e-3)
                        checked[copy.augmentation] += 1
    expected = {"left", "right", "reverse", "light", *(["plus90"] if scene == "circular_5" else [])}
    assert set(checked) == expected and min(checked.values()) > 10


def test_where_the_drawing_has_the_turned_grid_its_camera_turns():
    connector = read_connector(SCENES / "header_2x8.toml")
    middle = [replace(p, position=p.position - 3) for p in connector.positions if p.position in (4, 5)]
    square = replace(connector, positions=tuple(middle))
    names = naming(TURN, [], [], square.positions)
    assert names.world is not None and names.address("r1c2") == "r1c1"
    assert names.direction(0.3, 0.1) == (-0.1, 0.3)
    camera = camera_of(connector, "left", 1, distortion=BARREL)
    move = turned(SIZE)
    found = moved_camera(camera, move, names.world)
    by_address = {p.address: p for p in square.positions}
    for place in square.positions:
        there = by_address[names.address(place.address)]
        before = project(camera, [[place.x_mm + 0.3, place.y_mm + 0.1, -2.0]])[0]
        after = project(found, [[there.x_mm - 0.1, there.y_mm + 0.3, -2.0]])[0]
        assert after == pytest.approx(move.point(before), abs=1e-6)


def test_a_drawing_that_is_off_its_middle_is_mirrored_about_its_own():
    connector = read_connector(SCENES / "connector_3x9.toml")
    moved = replace(connector, positions=tuple(replace(p, x_mm=p.x_mm + 2.0) for p in connector.positions))
    names = naming(REVERSE, [], [], moved.positions)
    assert names.shift_mm == pytest.approx((4.0, 0.0))
    assert names.defects("foreign@housing:x_mm=3,y_mm=1") == "foreign@housing:x_mm=1,y_mm=1"
    first, *rest = connector.positions
    uneven = replace(connector, positions=(replace(first, x_mm=first.x_mm + 0.1), *rest))
    assert naming(REVERSE, [], [], uneven.positions).world is None
    assert naming(REVERSE, ["r1c1"], ["1"], None).world is None


def test_a_circle_that_is_turned_keeps_what_is_counted_from_its_key():
    names = naming(TURN, [], [], read_connector(SCENES / "circular_5.toml").positions)
    assert names.defects("bent@r1c2:tilt_deg=9,azimuth_deg=30") == "bent@r1c2:tilt_deg=9,azimuth_deg=30"
    assert names.direction(0.3, 0.1) == (0.3, 0.1) and names.camera("left") == "left"


def test_only_what_fx_fy_cx_cy_can_say_is_said():
    camera = camera_of(read_connector(SCENES / "connector_3x9.toml"), "right", 4, distortion=BARREL)
    points = np.random.default_rng(0).uniform([-15, -5, -4], [15, 5, 0], (50, 3))
    cosine, sine = np.cos(0.3), np.sin(0.3)
    turn = Move(SIZE, SIZE, (cosine, -sine, 9, sine, cosine, -4), exact=False)
    larger = Move(SIZE, (512, 195), (2, 0, 3, 0, 1.5, 1), exact=False)
    for move in (turn, larger, cropped(SIZE, (10, 5, 99, 60)), turned(SIZE), turned(SIZE).then(mirrored((130, 256)))):
        world = np.diag([-1.0, 1, 1, 1]) if np.linalg.det(np.reshape(move.matrix, (2, 3))[:, :2]) < 0 else np.eye(4)
        found = moved_camera(camera, move, world)
        expected = [move.point(place) for place in project(camera, points)]
        assert is_motion(found) and np.allclose(project(found, points @ world[:3, :3]), expected, atol=1e-9)
    oblong = replace(camera, fy=camera.fy * 1.1)
    assert moved_camera(oblong, turn, np.eye(4)) is None
    assert moved_camera(camera, warped(SIZE, np.random.default_rng(0)), np.eye(4)) is None
    # A mirror image of a part that is not mirrored: no camera sees it.
    assert moved_camera(camera, mirrored(SIZE), np.eye(4)) is None
    assert moved_camera(camera, mirrored(SIZE), None) is None and moved_camera(None, turn, np.eye(4)) is None
