"""The bright tip: found exactly where bright discs lie, at the located pose."""

import numpy as np
import pytest

from generator.locating.landmarks import PIN, Queries
from generator.locating.pose import Pose
from tests.trainer.gauge.gauge_tables import camera
from trainer.gauge.baseline import bright_tips, centroids
from trainer.gauge.measuring import Capture, MeasuredCapture
from trainer.gauge.picture import Picture

PITCH = 4.0
TIPS = np.array([(-8.0, 0.0, -1.2), (0.0, 4.0, -1.2), (8.0, -4.0, -1.2)])
OFF = np.array([(0.3, -0.2, 0.0), (0.0, 0.0, 0.0), (-0.4, 0.35, 0.0)])


def drawn(view, tips) -> np.ndarray:
    y, x = np.mgrid[0:128, 0:256] + 0.5
    light = np.full((128, 256), 20.0)
    for px in view.project(tips):
        light += 200.0 * np.exp(-((x - px[0]) ** 2 + (y - px[1]) ** 2) / 8.0)
    return np.repeat(np.clip(light, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def picture(tilt_deg, height=0.0) -> Picture:
    view = camera(tilt_deg)
    pixels = drawn(view, TIPS + OFF + (0.0, 0.0, height))
    row = {"camera": f"c{tilt_deg:g}"}
    return Picture(row, (None,) * 3, ("a", "b", "c"), pixels, view, np.eye(4), np.zeros((3, 2, 2)), np.ones(3, bool))


def measured(*pictures) -> MeasuredCapture:
    return MeasuredCapture(Capture(pictures), Pose(np.eye(4), np.zeros((6, 6)), 1.0, 1.0), ())


QUERIES = Queries(np.full(3, PIN), TIPS, TIPS - (0.0, 0.0, 6.3), 3)


def test_offsets_are_those_of_the_bright_discs_and_one_view_has_no_height():
    found = bright_tips(measured(picture(0.0)), QUERIES, PITCH)
    assert found[:, :2] == pytest.approx(OFF[:, :2], abs=0.03)
    assert np.isnan(found[:, 2]).all()


def test_two_views_give_height():
    found = bright_tips(measured(picture(0.0, -0.8), picture(30.0, -0.8)), QUERIES, PITCH)
    assert found[:, :2] == pytest.approx(OFF[:, :2], abs=0.06)
    sag = 0.65 * (OFF[:, 0] ** 2 + OFF[:, 1] ** 2) / 6.3
    assert found[:, 2] + sag == pytest.approx(0.8, abs=0.06)


def test_a_flat_picture_answers_the_middle_of_the_window():
    view = camera()
    flat = np.full((128, 256, 3), 50, np.uint8)
    assert np.abs(centroids(flat, view, TIPS, PITCH) - view.project(TIPS)).max() <= 0.51
