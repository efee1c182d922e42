"""Records against an independent render at 8 times the size; the long version is truth_reference.py itself."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from blender_scripts.geometry.hulls import convex_hulls, polygon_areas, silhouette_area
from blender_scripts.geometry.lens import Window
from blender_scripts.geometry.outlines import Outline
from blender_scripts.scene.instance_mask import Mask, mask_bands
from tests.conftest import blender_executable

REFERENCE = Path(__file__).with_name("truth_reference.py")


@pytest.mark.parametrize("engine", ["bpy", "blender"])
def test_boxes_are_true_to_a_fraction_of_a_pixel(engine: str) -> None:
    start = [sys.executable] if engine == "bpy" else [blender_executable(), "-b", "-P"]
    done = subprocess.run(
        [*start, str(REFERENCE), "--", "--rows", "5", "--seed", "7"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"rows"')))
    assert found["visible"]["pins"] > 80 and found["amodal"]["pins"] > 8 and found["expected"]["pins"] > 8
    assert found["visible"]["p95_px"] <= 0.5 and found["visible"]["max_px"] <= 1.0
    assert found["amodal"]["max_px"] <= 0.25 and found["expected"]["max_px"] <= 0.25
    assert found["intact_pins"] > 40 and found["intact_pins_in_pieces"] == []


def test_a_silhouette_is_the_union_of_its_segments() -> None:
    # A tube of radius 2 px along a quarter circle of radius 12 px: a quarter of an annulus and two half discs.
    sides = 40
    turns = np.linspace(0.0, 0.5 * np.pi, 30)
    section = 2.0 * np.stack([np.cos(a := 2.0 * np.pi * np.arange(sides) / sides), np.sin(a)], axis=1)
    middles = 12.0 * np.stack([np.cos(turns), np.sin(turns)], axis=1) + 50.0
    points = np.concatenate([*(section + middle for middle in middles), middles[-1:]])
    exact = 0.25 * np.pi * (14.0**2 - 10.0**2) + np.pi * 2.0**2
    assert silhouette_area(points, sides) == pytest.approx(exact, rel=0.005)
    # Where a tube overlaps itself the area counts once.
    there_and_back = np.concatenate([points[:-1], *(section + middle for middle in middles[::-1]), middles[:1]])
    assert silhouette_area(there_and_back, sides) == pytest.approx(exact, rel=0.005)


def test_polygon_areas() -> None:
    square = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 2.0], [0.0, 2.0]])
    assert polygon_areas(np.array([square, square[::-1] + 7.0])) == pytest.approx([6.0, 6.0])


@pytest.mark.parametrize("seed", range(5))
def test_convex_hulls_are_those_of_qhull(seed: int) -> None:
    source = np.random.default_rng(seed)
    flat = source.normal(size=(4, 80, 2)) * [[30.0, 0.4]]
    turns = 2.0 * np.pi * np.arange(80) / 80
    circle = 5.0 * np.stack([np.cos(turns), np.sin(turns)], axis=1) + source.uniform(0, 300, 2)
    # A long body that narrows by 3 degrees towards its end: no corner is left out.
    narrowing = np.array([[0, 0], [0, 4], [15, 4], [20, 3.7], [20, 0.3], [15, 0], [7, 2], [3, 3]]).repeat(10, 0)
    points = np.concatenate([flat, circle[None], narrowing[None]])
    for mine, hull in zip(convex_hulls(points), map(ConvexHull, points), strict=True):
        assert polygon_areas(mine[None])[0] == pytest.approx(hull.volume, rel=1e-9)
        corners = np.unique(mine, axis=0)
        assert np.abs(corners[:, None] - hull.points[hull.vertices]).sum(axis=2).min(axis=1).max() < 1e-9
        step = np.roll(mine, -1, axis=0) - mine
        turned = step[:, 0] * np.roll(step[:, 1], -1) - step[:, 1] * np.roll(step[:, 0], -1)
        assert turned.min() > -1e-9


def mask_of(indices: np.ndarray) -> Mask:
    """At 4 mask pixels per px, the band's corner at (10, 20) px."""
    height, width = (size // 4 for size in indices.shape)
    return Mask(4, [(Window(10, 20, 10 + width, 20 + height), indices.astype(np.uint16))])


def rectangles(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    return np.array([[(x1, y1), (x2, y1), (x2, y2), (x1, y2)] for x1, y1, x2, y2 in boxes])


def test_a_visible_box_leaves_slivers_out_gradually() -> None:
    everywhere = [10.0, 20.0, 30.0, 30.0]

    def right_side(length: int, thick: int = 1) -> float:
        indices = np.zeros((40, 80))
        indices[8:20, 12:40] = 7
        indices[12 : 12 + thick, 40 : 40 + length] = 7
        box, count = mask_of(indices).seen(7, everywhere, rectangles((13.0, 22.0, 30.0, 25.0)))
        assert count == 12 * 28 + length * thick
        assert box is not None and box[:2] == [13.0, 22.0] and box[3] == 25.0
        return box[2]

    assert right_side(0) == 20.0
    # A strip of a quarter of a pixel: its two square pixels end in the body, and the side moves by 0.3 and 1.5 px.
    assert right_side(1) == pytest.approx(20.25 - 2.0 * (0.75 - 0.6))
    assert right_side(4) == pytest.approx(21.0 - 1.5)
    assert right_side(20) == pytest.approx(20.0)
    # A pixel thick: they end after two pixels less a mask pixel.
    assert right_side(20, thick=4) == pytest.approx(25.0 - 1.75)
    # Without hidden area there is no sliver.
    indices = np.zeros((40, 80))
    indices[8:20, 12:40] = 7
    indices[12, 40:60] = 7
    unhidden = rectangles((13.0, 22.0, 20.0, 25.0), (20.0, 23.0, 25.0, 23.25))
    assert mask_of(indices).seen(7, everywhere, unhidden) == ([13.0, 22.0, 25.0, 25.0], 12 * 28 + 20)
    assert mask_of(indices).seen(7, everywhere) == ([13.0, 22.0, 25.0, 25.0], 12 * 28 + 20)
    assert mask_of(np.zeros((40, 80))).seen(7, everywhere) == (None, 0)


def test_a_box_that_hangs_on_a_sliver_is_taken_from_a_finer_mask() -> None:
    near = [10.0, 20.0, 30.0, 30.0]
    blunt, sliver = np.zeros((40, 80)), np.zeros((40, 80))
    blunt[8:20, 12:40] = 1
    sliver[8:20, 12:40] = sliver[12:14, 40:70] = 1
    outline = Outline(near, near, near, 40.0, rectangles((13.0, 22.0, 30.0, 25.0)))
    assert mask_of(blunt).doubtful([outline]) == []
    assert mask_of(sliver).doubtful([outline]) == [0]
    assert mask_of(sliver).doubtful([replace(outline, hulls=None)]) == []
    assert mask_of(sliver).doubtful([replace(outline, amodal=None)]) == []
    # The coarse mask shows 0.5 px of thickness where it is 0.4 px: the outermost 2 px^2 are 5.3 px long, not 4.
    fine = np.repeat(np.repeat(sliver, 4, axis=0), 4, axis=1)
    fine[48:50, 160:] = 0
    both = replace(mask_of(sliver), closer={1: Mask(16, [(Window(10, 20, 30, 30), fine.astype(np.uint16))])})
    box, _ = mask_of(sliver).seen(1, near, outline.hulls)
    assert box == [13.0, 22.0, 27.5 - 4.0 + 0.25, 25.0]
    box, count = both.seen(1, near, outline.hulls)
    assert count == np.count_nonzero(sliver)
    assert box == pytest.approx([13.0, 22.0, 27.5 - 2.0 / 0.375, 25.0], abs=1 / 16)


def test_bands_hold_every_pin_and_do_not_overlap() -> None:
    def outline(x: float, y: float) -> Outline:
        box = [x, y, x + 8.0, y + 12.0]
        return Outline(box, box, box, 90.0)

    pins = [outline(20.0 * i + 10.3, y) for y in (10.0, 60.4, 200.0) for i in range(8)]
    bands = mask_bands(pins, [], 256, 256, 4)
    assert [(band.y1, band.y2) for band in bands] == [(8, 24), (58, 75), (198, 214)]
    assert {(band.x1, band.x2) for band in bands} == {(8, 161)}
    # At scale 1 a second call costs more than the pixels between two rows.
    assert [(band.y1, band.y2) for band in mask_bands(pins, [], 256, 256, 1)] == [(8, 75), (198, 214)]
    assert mask_bands([outline(-30.0, 4.0)], [], 256, 256, 4) == []
