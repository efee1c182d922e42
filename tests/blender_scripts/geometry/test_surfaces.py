"""What a camera sees of a part: parallel rays hide as those of a camera far away do."""

import math
from dataclasses import replace

import numpy as np

from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry.lens import NO_DISTORTION, Lens
from blender_scripts.geometry.optics import Camera, look_at
from blender_scripts.geometry.surfaces import sight_of
from blender_scripts.manifest.make_part import make_part
from tests.conftest import SCENES

FAR_MM = 3000.0


def test_parallel_rays_hide_as_those_of_a_far_camera_do() -> None:
    part = make_part(read_connector(SCENES / "connector_3x9.toml"), "plain", "round", "none", 4, ())
    away = np.array([-math.sin(math.radians(60)), 0.0, math.cos(math.radians(60))])
    pose = look_at(FAR_MM * away, np.zeros(3), np.array([0.0, 1.0, 0.0]))
    parallel = Camera("left", pose, Lens(512, 256, 10.0, NO_DISTORTION), telecentric=True)
    far = replace(parallel, lens=replace(parallel.lens, focal_px=10.0 * FAR_MM), telecentric=False)
    ones, others = (sight_of(part, camera, []).seen() for camera in (parallel, far))
    areas = np.array([[one.area, other.area] for one, other in zip(ones, others, strict=True)])
    whole = areas[:, 0].max()
    # In each row the pin nearest to the camera hides a part of the next one, and so on.
    assert (areas[:, 0] < 0.9 * whole).sum() >= 20
    assert np.abs(areas[:, 0] - areas[:, 1]).max() < 0.03 * whole
    boxes = np.array([[one.box, other.box] for one, other in zip(ones, others, strict=True)])
    # A sliver of almost nothing beside the pin in front may be seen by one of them only, and then moves a box's edge.
    assert np.median(np.abs(boxes[:, 0] - boxes[:, 1]).max(axis=1)) < 0.4
