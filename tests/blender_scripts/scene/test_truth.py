"""Records against an independent render at 8 times the size; the long version is truth_reference.py itself."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from blender_scripts.geometry.hulls import convex_hulls, polygon_areas, silhouette_area
from tests.conftest import ROOT, blender_executable

SCENES = [path.stem for path in sorted((ROOT / "scenes").glob("*.toml"))]
REFERENCE = Path(__file__).with_name("truth_reference.py")


HYBRID = str(Path(__file__).parent.parent / "hybrid.toml")


def check_boxes(*arguments: str, engine: str = "bpy") -> dict:
    """Run truth_reference.py and check what it found; returns it."""
    start = [sys.executable] if engine == "bpy" else [blender_executable(), "-b", "-P"]
    done = subprocess.run([*start, str(REFERENCE), "--", *arguments], capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stderr
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"rows"')))
    for kind in ("visible", "flaw_visible"):
        if kind in found:
            assert found[kind]["p95"] <= 0.25 and found[kind]["max"] <= 0.5, found
    for kind in ("visible_percent", "mouth_percent"):
        assert kind not in found or found[kind]["max"] <= 2.0, found
    for kind in ("amodal", "expected"):
        assert found[kind]["max"] <= 0.25, found
    assert found.get("mask_pixels_in_1000", {"max": 0.0})["max"] <= 0.5, found
    assert found["intact_pins_in_pieces"] == []
    return found


@pytest.mark.parametrize(("engine", "scene", "rows"), [("bpy", "connector_3x9", 4), ("blender", HYBRID, 3)])
def test_boxes_are_true_to_a_fraction_of_a_pixel(engine: str, scene: str, rows: int) -> None:
    found = check_boxes("--rows", str(rows), "--seed", "7", "--scene", scene, engine=engine)
    assert found["visible"]["count"] > 20 and found["amodal"]["count"] > 5 and found["expected"]["count"] > 5


@pytest.mark.soak
@pytest.mark.parametrize(
    ("scene", "rows", "widths"),
    [
        *((scene, 29, "96,128,192,256") for scene in (*SCENES, HYBRID)),
        *((scene, 3, "512") for scene in (*SCENES, HYBRID)),
        ("connector_3x9", 10, "1024"),
        ("auto_2x11", 10, "2048"),
    ],
)
def test_boxes_at_length(scene: str, rows: int, widths: str) -> None:
    check_boxes("--rows", str(rows), "--seed", "25", "--scene", scene, "--widths", widths)


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
