"""Write the manifests for tuning and evaluating SOARTC: `python -m benchmarks.soart_plan --to DIR`.

All rows are of one station: one housing, terminal, camera, lighting and printed word. SOARTC's options were chosen on
`soart_tuning.csv`. The other manifests have other parts: `soart_defects.csv` has one defect per picture, `soart_ok.csv`
a pool of OK pictures from which SOARTC learns, and fresh OK pictures for counting false alarms.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import sys
from pathlib import Path

STATION = {
    "scene": "connector_3x9",
    "housing": "plain",
    "terminal": "round",
    "camera": "center",
    "lighting": "ring",
    "marking": "text=Quality",
}
COLUMNS = ("run", "split", "part", "seed", *STATION, "defects", "cell", "role")
# Text of column `defects`, with {pin} and {azimuth} to fill in, by cell: one kind of defect at one size.
CELLS = {
    "bent_0.5mm": "bent@{pin}:tip_offset_mm=0.5,azimuth_deg={azimuth}",
    "bent_1mm": "bent@{pin}:tip_offset_mm=1,azimuth_deg={azimuth}",
    "bent_2mm": "bent@{pin}:tip_offset_mm=2,azimuth_deg={azimuth}",
    "retracted_0.8mm": "retracted@{pin}:depth_mm=0.8",
    "retracted_1.6mm": "retracted@{pin}:depth_mm=1.6",
    "retracted_3mm": "retracted@{pin}:depth_mm=3",
    "missing": "missing@{pin}",
    "print_missing": "print@print:type=missing",
    "print_wrong": "print@print:type=wrong",
    "print_misplaced_0.8mm": "print@print:type=misplaced,shift_mm=0.8,azimuth_deg={azimuth}",
    "foreign_ball_0.5mm": "foreign@{pin}:type=ball,size_mm=0.5,azimuth_deg={azimuth}",
    "foreign_ball_0.9mm": "foreign@{pin}:type=ball,size_mm=0.9,azimuth_deg={azimuth}",
    "foreign_ball_1.5mm": "foreign@{pin}:type=ball,size_mm=1.5,azimuth_deg={azimuth}",
    "foreign_fibre_3mm": "foreign@{pin}:type=fibre,size_mm=3,azimuth_deg={azimuth}",
}
TUNING_OK, TUNING_EACH = 160, 10
POOL, FRESH, EACH = 200, 500, 20


def rows_ok(count: int, role: str, prefix: str, first: int) -> list[dict[str, object]]:
    """Make `count` manifest rows of OK parts with a `role`; names are `prefix` + number, seeds count from `first`."""
    return [
        {"run": f"{prefix}{n:03d}", "split": "test", "part": first + n, "seed": first + n, **STATION, "role": role}
        for n in range(count)
    ]


def rows_defects(each: int, role: str, prefix: str, first: int) -> list[dict[str, object]]:
    """Make `each` manifest rows with a `role` for every cell (a defect at a size), at different pins.

    Names are `prefix` + number; seeds of part and noise count from `first`, which also seeds the choice of pins.
    """
    rows: list[dict[str, object]] = []
    draws = random.Random(first)
    for cell, text in CELLS.items():
        pins = draws.sample([f"r{row}c{position}" for row in (1, 2, 3) for position in range(1, 10)], each)
        for n, pin in enumerate(pins):
            defects = text.format(pin=pin, azimuth=draws.randrange(360))
            part = first + len(rows)
            row = {"run": f"{prefix}{len(rows):03d}", "split": "test", "part": part, "seed": part, **STATION}
            rows.append({**row, "defects": defects, "cell": cell, "role": role})
            assert n < each
    return rows


def manifests() -> dict[str, list[dict[str, object]]]:
    """Make the rows of all manifests, by the manifest's name without .csv."""
    return {
        "soart_tuning": [
            *rows_ok(TUNING_OK, "tuning", "to", 100_000),
            *rows_defects(TUNING_EACH, "tuning", "td", 200_000),
        ],
        "soart_defects": rows_defects(EACH, "judged", "jd", 300_000),
        "soart_ok": [*rows_ok(POOL, "pool", "jp", 400_000), *rows_ok(FRESH, "fresh", "jf", 500_000)],
    }


def manifest_text(name: str) -> str:
    """Return the CSV text of the manifest `name`."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(manifests()[name])
    return file.getvalue()


def main() -> int:
    """Write the manifests; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, required=True, help="output folder; created if missing")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    for name, rows in manifests().items():
        (options.to / f"{name}.csv").write_text(manifest_text(name), encoding="utf-8", newline="")
        print(f"{name}.csv: {len(rows)} rows")
    return 0


if __name__ == "__main__":
    sys.exit(main())
