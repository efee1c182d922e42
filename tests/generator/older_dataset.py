"""A dataset of an earlier version: without kinds, offsets, tilts and points of objects, and without cameras."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

PICTURE_COLUMNS = ("camera_json", "tolerance_json")
OBJECT_COLUMNS = ("kinds", "in_answer", "dx_mm", "dy_mm", "tilt_deg", "tip_px", "base_px", "moved_px")


def older_dataset(dataset: Path, to: Path) -> Path:
    """Copy a dataset without these columns, and without connectors.json."""
    shutil.copytree(dataset, to)
    (to / "connectors.json").unlink(missing_ok=True)
    for path in (to / "data").iterdir():
        table = pq.read_table(path).drop_columns(PICTURE_COLUMNS)
        features = Features.from_arrow_schema(table.schema)
        objects = {name: kind for name, kind in features["objects"].items() if name not in OBJECT_COLUMNS}
        features["objects"] = objects
        rows = [
            {**row, "objects": row["objects"] and {name: row["objects"][name] for name in objects}}
            for row in table.to_pylist()
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=features.arrow_schema), path)
    assert json.loads((to / "nsoart.json").read_text())["made_by"] == "pinsight"
    return to
