"""What a camera sees of a part: parallel rays hide as those of a camera far away do."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry import solids
from blender_scripts.geometry.lens import NO_DISTORTION, Lens
from blender_scripts.geometry.optics import Camera, look_at, set_up_station
from blender_scripts.geometry.surfaces import points_alone, sight_of
from blender_scripts.manifest.defects import parse_defects
from blender_scripts.manifest.make_part import make_part
from tests.conftest import SCENES

FAR_MM = 30000.0


def test_parallel_rays_hide_as_those_of_a_far_camera_do() -> None:
    part = make_part(read_connector(SCENES / "connector_3x9.toml"), "plain", "round", "none", 4, ())
    away = np.array([-math.sin(math.radians(60)), 0.0, math.cos(math.radians(60))])
    pose = look_at(FAR_MM * away, np.zeros(3), np.array([0.0, 1.0, 0.0]))
    parallel = Camera("left", pose, Lens(512, 256, 10.0, NO_DISTORTION), telecentric=True)
    far = replace(parallel, lens=replace(parallel.lens, focal_px=10.0 * FAR_MM), telecentric=False)
    ones, others = (sight_of(part, camera, []).seen() for camera in (parallel, far))
    points = np.array([[one.points, other.points] for one, other in zip(ones, others, strict=True)])
    whole = points[:, 0].max()
    # In each row the pin nearest to the camera hides a part of the next one, and so on.
    assert (points[:, 0] < 0.9 * whole).sum() >= 20
    assert np.abs(points[:, 0] - points[:, 1]).max() < 0.01 * whole
    boxes = np.array([[one.box, other.box] for one, other in zip(ones, others, strict=True)])
    # A strip of almost nothing beside the pin in front may hold a point for one of them only, and moves a box's edge.
    assert np.median(np.abs(boxes[:, 0] - boxes[:, 1]).max(axis=1)) <= 0.125


@pytest.mark.parametrize("camera", ["center", "left", "top"])
def test_the_points_of_a_pin_on_its_own_are_those_of_its_silhouette_above_the_floor(camera: str) -> None:
    defects, problems = parse_defects("retracted@r1c2:depth_mm=2;protruding@r1c3:height_mm=2;missing@r2c2")
    assert not problems
    part = make_part(read_connector(SCENES / "connector_3x9.toml"), "plain", "round", "none", 4, defects)
    view = set_up_station(part.connector, camera, 3, 1000, 500).camera
    counts = dict(zip((pin.position.address for pin in part.pins), points_alone(part, view), strict=True))
    for address in ("r1c1", "r1c2", "r1c3"):
        pin = part.pin(address)
        frame = solids.pin_matrix(pin)
        standing = solids.pin_mesh(pin.form).vertices[solids.sides(pin.terminal) :]
        silhouette = ConvexHull(view.project(standing @ frame[:3, :3].T + frame[:3, 3]))
        assert counts[address] == pytest.approx(64.0 * silhouette.volume, rel=0.02), address
    gap = part.pin("r2c2")
    rim = part.scale * solids.cavity_outline(gap.nominal, part.connector.cavity, part.connector.cavity.chamfer_mm)
    mouth = ConvexHull(view.project(np.column_stack([rim + gap.cavity_mm, np.full(len(rim), gap.floor_mm)])))
    assert counts["r2c2"] == pytest.approx(64.0 * mouth.volume, rel=0.01)
