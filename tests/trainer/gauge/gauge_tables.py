"""Tables of measured pins as `trainer.gauge.measuring.table_of` makes them, and a station with drawn tips."""

import numpy as np
import pandas as pd

from blender_scripts.geometry.lens import NO_DISTORTION
from generator.locating.cameras import StationCamera

PARTS, PINS = 12, 20


def camera(tilt_deg: float = 0.0) -> StationCamera:
    """A camera 120 mm away, 256 x 128 px at 5 px per mm, that looks from above by an angle."""
    angle = np.radians(tilt_deg)
    matrix = np.eye(4)
    matrix[:3, :3] = [[1, 0, 0], [0, np.cos(angle), np.sin(angle)], [0, -np.sin(angle), np.cos(angle)]]
    matrix[:3, :3] = matrix[:3, :3].T
    matrix[:3, 3] = 120.0 * matrix[:3, 2]
    return StationCamera(matrix, 600.0, 600.0, 128.0, 64.0, NO_DISTORTION)


def table(sigma: float = 0.03, stated: float = 0.03, slope: float = 1.0, seed: int = 0) -> pd.DataFrame:
    """Pins displaced by up to 0.8 mm, measured with normal errors of `sigma` mm and a stated deviation."""
    random = np.random.default_rng(seed)
    count = PARTS * PINS
    radius, azimuth = random.uniform(0, 0.8, count), random.uniform(0, 2 * np.pi, count)
    true = {"dx": radius * np.cos(azimuth), "dy": radius * np.sin(azimuth), "retraction": random.normal(0, 0.05, count)}
    part = np.repeat(np.arange(PARTS), PINS)
    rows = {
        "part": part,
        "fixture": part,
        "capture": part,
        "scene": "a",
        "housing": "plain",
        "terminal": "round",
        "lighting": "ring",
        "cameras": "center",
        "address": [f"r1c{number}" for number in np.tile(np.arange(PINS), PARTS) + 1],
        "kind": "bent",
        "there": True,
        "present": 1.0,
        "sigma_px": 0.2,
    }
    for axis, values in true.items():
        rows[f"true_{axis}"] = values
        rows[f"found_{axis}"] = slope * values + random.normal(0, sigma, count)
        rows[f"bright_{axis}"] = values + 0.2
        rows[f"sigma_{axis}"] = stated
        rows[f"determined_{axis}"] = True
    return pd.DataFrame(rows)
