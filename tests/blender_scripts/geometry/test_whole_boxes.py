"""Unoccluded boxes under a lens that bends straight edges."""

import math

import numpy as np
import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry import solids
from blender_scripts.geometry.lens import Lens
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.geometry.optics import Camera, look_at
from blender_scripts.geometry.pin import Form
from blender_scripts.geometry.whole_boxes import edges_box, pin_boxes_of
from blender_scripts.manifest.make_part import make_part
from tests.conftest import SCENES


def bent_view(angle_deg: float, target: tuple[float, float, float]) -> Camera:
    """A telecentric camera from the left, 40 px per mm, with a strong barrel distortion, aimed at a point."""
    away = np.array([-math.sin(math.radians(angle_deg)), 0.0, math.cos(math.radians(angle_deg))])
    pose = look_at(target + 100.0 * away, np.array(target), np.array([0.0, 1.0, 0.0]))
    return Camera("left", pose, Lens(2048, 1024, 40.0, (-2.5e-4, 0.0, 0.0, 0.0, 0.0)), telecentric=True)


def box_between(view: Camera, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The box of 2,000 points on each line from a start to an end (N, 3)."""
    share = np.linspace(0.0, 1.0, 2001)[:, None, None]
    points = view.project((1.0 - share) * starts + share * ends).reshape(-1, 2)
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def test_an_edge_that_a_lens_bends_is_in_the_box_as_a_whole() -> None:
    view = bent_view(0.0, (0.0, 0.0, 0.0))
    corners = np.array([(-22.0, -9.0, 0.0), (22.0, -9.0, 0.0), (22.0, 9.0, 0.0), (-22.0, 9.0, 0.0)])
    plate = Mesh.of(corners, [(0, 1, 2, 3)])
    assert plate.edges.tolist() == [[0, 1], [1, 2], [2, 3], [3, 0]]
    exact = box_between(view, corners, np.roll(corners, -1, axis=0))
    assert edges_box(corners, plate.edges, view) == pytest.approx(exact, abs=0.02)
    assert np.abs(edges_box(corners, plate.edges[:0], view) - exact).max() > 5.0


def test_a_pins_boxes_hold_its_sides_between_their_ends() -> None:
    part = make_part(read_connector(SCENES / "connector_3x9.toml"), "plain", "round", "none", 4, ())
    pin = part.pin("r1c5")
    # The pin lies across the middle of the picture, above it.
    view = bent_view(60.0, (pin.position.x_mm, 0.0, 0.5 * pin.nominal_base_mm[2]))
    whole, frame, sides = pin_boxes_of([pin], view)[0], solids.pin_matrix(pin), solids.sides(pin.nominal)
    drawn = solids.pin_mesh(Form(pin.nominal)).vertices + pin.nominal_base_mm
    stands = solids.pin_mesh(pin.form).vertices @ frame[:3, :3].T + frame[:3, 3]
    for box, vertices in ((whole.expected, drawn), (whole.amodal, stands)):
        exact = box_between(view, vertices[: -1 - sides], vertices[sides:-1])
        assert box == pytest.approx(exact, abs=0.02)
        assert np.abs(exact - box_between(view, vertices, vertices)).max() > 0.1
