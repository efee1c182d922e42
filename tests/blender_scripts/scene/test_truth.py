"""Records against an independent render at 8 times the size; the long version is truth_reference.py itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert found["visible"]["p95"] <= 0.05, found
    for kind in ("visible_percent", "mouth_percent"):
        assert kind not in found or found[kind]["max"] <= 1.0, found
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
        *((scene, 2, width) for width in ("1024", "2048") for scene in SCENES),
    ],
)
def test_boxes_at_length(scene: str, rows: int, widths: str) -> None:
    check_boxes("--rows", str(rows), "--seed", "25", "--scene", scene, "--widths", widths)
