"""Records against an independent render at 8 times the size; the long version is truth_reference.py itself."""

import json
import subprocess
import sys
from pathlib import Path

REFERENCE = Path(__file__).with_name("truth_reference.py")


def test_boxes_are_true_to_a_fraction_of_a_pixel() -> None:
    done = subprocess.run(
        [sys.executable, str(REFERENCE), "--rows", "5", "--seed", "7"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["visible"]["pins"] > 80 and found["amodal"]["pins"] > 8 and found["expected"]["pins"] > 8
    assert found["visible"]["p95_px"] <= 0.5 and found["visible"]["max_px"] <= 1.0
    assert found["amodal"]["max_px"] <= 0.25 and found["expected"]["max_px"] <= 0.25
    assert found["intact_pins"] > 40 and found["intact_pins_in_pieces"] == 0
