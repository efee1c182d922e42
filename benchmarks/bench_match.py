"""Measure how well `generator match` finds hidden stations: `python -m benchmarks.bench_match --stations 3`.

Each station is drawn by a seed: camera, light, sensor, lens, colours, and housings off nominal (shrinkage, depth,
opening, pattern of pins). Twenty parts are rendered on it, and matched from the scene file that the station began from.
The errors are printed beside the goals: focal length over distance 0.3 %, pins 0.3 px, noise and blur 15 %, 15 minutes.
"""

import argparse
import csv
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from blender_scripts.contract.connector import read_connector
from blender_scripts.geometry.optics import Camera
from blender_scripts.manifest.record import read_record
from generator.__main__ import main as generator
from generator.dataset.connectors import nominal_connector
from generator.matching.scene_text import Key, with_values

SCENES = Path(__file__).resolve().parents[1] / "scenes"
SCENE, HOUSING, TERMINAL = "connector_3x9", "plain", "round"


def hidden(seed: int, width: int) -> tuple[dict[Key, Any], str, str]:
    """Draw a station: the values in which it differs from the scene file, its view, and its light set-up."""
    source = random.Random(seed)
    view = source.choice(["center", "center", "left", "top"])
    lighting = source.choice(["ring", "side", "dome"])

    def about(value: float, share: float) -> float:
        return value * (1.0 + source.uniform(-share, share))

    distance = about(125.0, 0.15)
    values: dict[Key, Any] = {
        ("picture", "width"): width,
        ("picture", "height"): width // 2,
        ("camera", "distance_mm"): distance,
        ("camera", "focal_mm"): about(35.0, 0.05) * distance / 125.0,
        ("camera", "angle_deg"): about(28.0, 0.1),
        ("camera", "target_mm"): [source.uniform(-1.0, 1.0), source.uniform(-0.7, 0.7), -2.5],
        ("sensor", "full_well_e"): 10.0 ** source.uniform(3.5, 4.3),
        ("sensor", "read_noise_e"): source.uniform(5.0, 20.0),
        ("sensor", "white_balance"): [about(1.0, 0.1), 1.0, about(1.0, 0.1)],
        ("lighting", lighting, "power"): about(1.0, 0.2),
        ("fixture", "color"): [about(0.32, 0.2), about(0.33, 0.2), about(0.35, 0.2)],
        ("housings", HOUSING, "color"): [about(0.02, 0.4), about(0.02, 0.4), about(0.02, 0.4)],
        ("shell", "depth_mm"): 7.5 + source.gauss(0.0, 0.03),
        ("shell", "opening_mm"): [38.4 + source.gauss(0.0, 0.05), 15.6 + source.gauss(0.0, 0.05)],
        ("scatter", "shrinkage"): 0.002,
        ("scatter", "pattern_shift_mm"): 0.05,
        ("finish", "shade_stops"): 0.15,
        ("finish", "roughness"): 0.1,
    }
    blur = source.choice(["none", "defocus", "motion"])
    if blur == "defocus":
        values[("camera", "f_number")] = source.uniform(4.0, 8.0)
        values[("camera", "focus_z_mm")] = source.uniform(-6.0, 2.0)
        values[("picture", "samples")] = 12
    elif blur == "motion":
        values[("camera", "motion_mm")] = source.uniform(0.15, 0.4)
        values[("camera", "motion_azimuth_deg")] = source.uniform(0.0, 90.0)
    return values, view, lighting


def render_station(seed: int, width: int, folder: Path, count: int) -> tuple[Path, str, str]:
    """Render good parts on a hidden station; returns the render folder, the view and the light set-up."""
    values, view, lighting = hidden(seed, width)
    name = f"hidden_{seed}"
    base = SCENES / f"{SCENE}.toml"
    (folder / f"{name}.toml").write_text(with_values(base.read_text("utf-8"), values, name), encoding="utf-8")
    rows = [
        {"run": f"photo{i:02d}", "split": "train", "part": 1000 * seed + i, "seed": 1000 * seed + i, "scene": name}
        | {"housing": HOUSING, "terminal": TERMINAL, "defects": "", "camera": view, "lighting": lighting}
        | {"marking": "none"}
        for i in range(count)
    ]
    manifest = folder / f"{name}.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    out = folder / name
    if generator(["render", str(manifest), "--out", str(out), "--scenes", str(folder)]):
        raise RuntimeError("the hidden station could not be rendered")
    return out, view, lighting
