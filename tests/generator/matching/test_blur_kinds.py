"""What a blur says of a scene's camera: lengths and directions of motions in mm, openings of lenses, and doubts."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.nuisance import Nuisance
from blender_scripts.geometry.optics import set_up_station
from generator.matching.blur_kinds import Blur, blur_quantities, px_per_mm
from generator.matching.renders import Shot
from tests.conftest import SCENES

PATH = SCENES / "connector_3x9.toml"
SCENE = read_connector(PATH)


def said(blur, tmp_path: Path, view="center", text=None, placed=(118.0, 1.0)):
    """The values by name: (value, u or None, reason)."""
    text = text or PATH.read_text("utf-8")
    shot = Shot(PATH, text, "plain", "round", view, "ring", "none", tmp_path, 1)
    found = blur_quantities(blur, shot, shot.connector(), 35.0, placed, 0.1)
    return {each.key[-1]: (each.value, each.u, each.reason) for each in found}


@pytest.mark.parametrize("view", ["center", "left", "top"])
@pytest.mark.parametrize("azimuth", [0.0, 30.0, 90.0, 150.0])
def test_a_motion_of_the_scene_is_found_again_from_its_pixels(view, azimuth, tmp_path):
    rig = replace(SCENE.cameras[view], motion_mm=0.4, motion_azimuth_deg=azimuth)
    still = Nuisance(*[0.0] * 11)
    moving = replace(SCENE, cameras={**SCENE.cameras, view: rig}, nuisance=still)
    across, down = set_up_station(moving, view, 0, SCENE.width, SCENE.height).motion_px
    blur = Blur("motion", math.hypot(across, down), math.atan2(-down, across), (0.1, 0.2))
    found = said(blur, tmp_path, view)
    assert found["motion_mm"][0] == pytest.approx(0.4, rel=1e-4)
    assert abs((found["motion_azimuth_deg"][0] - azimuth + 90.0) % 180.0 - 90.0) < 0.01
    assert found["motion_mm"][1] == pytest.approx(0.4 * 0.1 / blur.size, rel=1e-4)
    assert found["f_number"][0] == 0.0 and found["focus_z_mm"][0] is None


def test_the_picture_of_the_center_camera_moves_with_the_part():
    moves = px_per_mm(SCENE, "center")
    assert moves[0, 0] == pytest.approx(-moves[1, 1], rel=1e-6) and moves[0, 0] > 4.0
    assert np.abs(moves[[0, 1], [1, 0]]).max() < 1e-6


def test_a_lens_is_stated_only_if_its_size_and_focus_are_known(tmp_path):
    known = said(Blur("defocus", 10.0, 120.0, (2.0, 2.0)), tmp_path)
    assert known["f_number"][:2] == (pytest.approx(3.5), pytest.approx(0.7))
    assert known["focus_z_mm"][:2] == (pytest.approx(-2.0), 2.0)
    for u in ((6.0, 2.0), (2.0, 5.0), (2.0, math.inf)):
        unknown = said(Blur("defocus", 10.0, 120.0, u), tmp_path)
        assert unknown["f_number"][:2] == (pytest.approx(3.5), None) and unknown["focus_z_mm"][1] is None
        assert "cannot be told apart" in unknown["f_number"][2]
    assert said(Blur("even", 0.001, 150.0), tmp_path)["f_number"][0] == 64.0


def test_the_opening_of_a_telecentric_lens_is_that_of_the_renderer(tmp_path):
    """The renderer blurs by px per mm times (sensor width / field) / f-number times the distance from the focus."""
    text = PATH.read_text("utf-8").replace("[camera]\n", "[camera]\ntelecentric = true\nfield_mm = 50.0\n", 1)
    width = SCENE.cameras["center"].sensor_width_mm
    found = said(Blur("defocus", width / 50.0 / 8.0, 120.0, (0.01, 1.0)), tmp_path, text=text)
    assert found["f_number"][0] == pytest.approx(8.0)


def test_no_blur_is_said_with_the_width_of_edges(tmp_path):
    found = said(Blur("none"), tmp_path)
    assert found["f_number"][0] == found["motion_mm"][0] == 0.0
    assert "as wide as in a sharp render (variance 0.10 px^2 more)" in found["f_number"][2]
