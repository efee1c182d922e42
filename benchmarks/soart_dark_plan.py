"""Write manifest and scene of `benchmarks.soart_dark`: `python -m benchmarks.soart_dark_plan --to DIR`.

Every part of a pool, but those called OK, has one to three bent pins, so that unit spaces of such parts are
contaminated. In the pool `weak` all bent pins are 6 of the 27, so that each of these is bent in a third of the parts.
Options were chosen on the roles tuning_ok and tuning only.
"""

from __future__ import annotations

import argparse
import csv
import random
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCENE = "connector_3x9"
# The scene with 6.1 instead of 5.1 px per mm, and room around the part from which displaced pictures are cut.
WIDE = {"width = 256\nheight = 128": "width = 352\nheight = 208", "sensor_width_mm = 14.8": "sensor_width_mm = 17.0"}
STATIONS = {
    "ring": {"housing": "plain", "terminal": "round", "camera": "center", "lighting": "ring", "marking": "numbers"},
    "dome": {"housing": "keyed", "terminal": "square", "camera": "center", "lighting": "dome", "marking": "none"},
}
PINS = [f"r{row}c{position}" for row in (1, 2, 3) for position in range(1, 10)]
WEAK = ("r1c2", "r1c7", "r2c4", "r2c9", "r3c1", "r3c6")
# Role: station, pins that may be bent, number of parts, number of the first part.
POOLS: dict[str, tuple[str, tuple[str, ...], int, int]] = {
    "tuning_ok": ("ring", (), 12, 600_000),
    "tuning": ("ring", tuple(PINS), 42, 610_000),
    "ok": ("ring", (), 30, 620_000),
    "bent": ("ring", tuple(PINS), 84, 630_000),
    "weak": ("ring", WEAK, 48, 640_000),
    "dome_ok": ("dome", (), 12, 650_000),
    "dome": ("dome", tuple(PINS), 42, 660_000),
}
SMALLEST_MM, LARGEST_MM = 0.3, 1.2
COLUMNS = ("run", "split", "part", "seed", "scene", *STATIONS["ring"], "defects", "role")


def rows() -> list[dict[str, object]]:
    """Make the rows of all pools; each part is captured once."""
    made: list[dict[str, object]] = []
    for role, (station, pins, count, first) in POOLS.items():
        draws = random.Random(first)
        for part in range(first, first + count):
            bent = draws.sample(pins, draws.randint(1, 3)) if pins else []
            sizes = [(draws.uniform(SMALLEST_MM, LARGEST_MM), draws.randrange(360)) for _ in bent]
            defects = ";".join(
                f"bent@{pin}:tip_offset_mm={size:.2f},azimuth_deg={azimuth}"
                for pin, (size, azimuth) in zip(bent, sizes, strict=True)
            )
            head = {"run": f"{role}_{part - first:03d}", "split": "test", "part": part, "seed": part, "scene": SCENE}
            made.append({**head, **STATIONS[station], "defects": defects, "role": role})
    return made


def scene_text() -> str:
    """Return the text of the scene file."""
    text = (ROOT / "scenes" / f"{SCENE}.toml").read_text("utf-8")
    for old, new in WIDE.items():
        if old not in text:
            raise ValueError(f"{SCENE}.toml: expected the lines {old!r}, got none; adapt WIDE")
        text = text.replace(old, new, 1)
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, required=True, help="output folder; created if missing")
    to = parser.parse_args().to
    (to / "scenes").mkdir(parents=True, exist_ok=True)
    (to / "scenes" / f"{SCENE}.toml").write_text(scene_text(), encoding="utf-8", newline="")
    with (to / "soart_dark.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows())
    print(f"soart_dark.csv: {len(rows())} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
