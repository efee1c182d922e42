"""Make a render folder with NumPy instead of Blender: valid manifests, PNG files and records."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.manifest.reader import Run, read_manifest

SCENES = Path(__file__).resolve().parents[2] / "scenes"
WIDTH, HEIGHT = 96, 48
COLUMNS = (
    *("run", "split", "part", "seed", "scene", "housing", "terminal", "defects"),
    *("camera", "lighting", "marking", "width", "height", "samples"),
)


def row(run: str, split: str = "train", defects: str = "", **columns: Any) -> dict[str, Any]:
    """A manifest row of a small picture; the digits of its name are its part and seed."""
    number = int("".join(filter(str.isdigit, run)) or 0)
    return {
        "run": run,
        "split": split,
        "part": number,
        "seed": number,
        "scene": "connector_3x9",
        "housing": "plain",
        "terminal": "round",
        "defects": defects,
        "camera": "center",
        "lighting": "ring",
        "marking": "none",
        "width": WIDTH,
        "height": HEIGHT,
        "samples": 4,
        **columns,
    }


def write_renders(folder: Path, rows: Iterable[dict[str, Any]], name: str = "design.csv", grain: float = 6.0) -> Path:
    """Write a manifest, and the picture and record of each of its rows.

    A bent pin measures 0.1 mm of true position per degree of tilt; a retracted one is lower by its depth, a
    protruding one higher by its height.
    """
    rows = list(rows)
    for part in ("images", "masks", "records", "manifests"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    manifest = folder / "manifests" / name
    header = list(dict.fromkeys([*COLUMNS, *(column for cells in rows for column in cells)]))
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)
    for run in read_manifest(manifest, SCENES).runs:
        record, picture = make_record(run, grain)
        write_picture(folder, record, picture)
    return folder


def write_picture(folder: Path, record: dict[str, Any], picture: np.ndarray) -> None:
    """Write a picture, and its record with the picture's SHA-256."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    (folder / "images" / f"{record['run']}.png").write_bytes(buffer.getvalue())
    mask = f"mask of {record['run']}".encode()
    (folder / "masks" / f"{record['run']}.png").write_bytes(mask)
    hashes = {
        "image_sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "mask_sha256": hashlib.sha256(mask).hexdigest(),
    }
    write_record(folder, {**record, **hashes})


def write_record(folder: Path, record: dict[str, Any]) -> None:
    (folder / "records" / f"{record['run']}.json").write_text(json.dumps(record), encoding="utf-8")


def read_json(folder: Path, run: str) -> dict[str, Any]:
    """Read a record of the folder."""
    return json.loads((folder / "records" / f"{run}.json").read_text(encoding="utf-8"))


@cache
def _connector(scene: str) -> Connector:
    return read_connector(SCENES / f"{scene}.toml")


def make_record(run: Run, grain: float = 6.0) -> tuple[dict[str, Any], np.ndarray]:
    """The record of a run, and its picture (H, W, 3): bright pins in dark cavities on a grained housing."""
    rng = np.random.default_rng(run.seed)
    picture = rng.normal(90, grain, (run.height, run.width))
    step_x, step_y = run.width / 9, run.height / 3
    defects = {defect.target: defect for defect in run.defects}
    positions = []
    for index in range(27):
        line, column = divmod(index, 9)
        address = f"r{line + 1}c{column + 1}"
        defect = defects.get(address)
        kind = defect.kind if defect else "ok"
        parameters = dict(defect.values) if defect else {}
        x, y = (column + 0.5) * step_x, (line + 0.5) * step_y
        cavity = [x - 4, y - 5, x + 4, y + 5]
        paint(picture, cavity, 25)
        shift = 3.0 if kind == "bent" else 0.0
        low = 2.0 if kind == "retracted" else 0.0
        pin = [x - 1.5 + shift, y - 3 + low, x + 1.5 + shift, y + 3]
        true_position = 0.1 * parameters.get("tilt_deg", 1.0) if kind == "bent" else 0.05 + 0.002 * index
        heights = {"retracted": parameters.get("depth_mm", 1.5), "protruding": -parameters.get("height_mm", 1.2)}
        retraction = heights.get(kind, 0.01)
        there = kind != "missing"
        if there:
            paint(picture, pin, 220)
        positions.append(
            {
                "index": index + 1,
                "address": address,
                "cavity": str(index + 1),
                "terminal": run.terminal,
                "defects": [defect.text] if defect else [],
                "kind": kind,
                "tip_px": [x + shift, y] if there else None,
                "base_px": [x, y],
                "tip_mm": [0.5 * true_position, 0.0, 3.0 - retraction] if there else None,
                "dx_mm": 0.5 * true_position if there else None,
                "dy_mm": 0.0 if there else None,
                "true_position_mm": true_position if there else None,
                "retraction_mm": retraction if there else None,
                "tilt_deg": 0.0 if there else None,
                "azimuth_deg": 0.0 if there else None,
                "length_mm": 6.0 if there else None,
                "visible_fraction": 0.9,
                "boxes": {
                    "visible": pin if there else None,
                    "amodal": pin if there else None,
                    "expected": [x - 1.5, y - 3, x + 1.5, y + 3],
                },
            }
        )
    housing = [-2.0, -2.0, run.width + 2.0, run.height + 2.0]
    record = {
        "schema": 1,
        "run": run.run,
        "row": run.row(),
        "row_sha256": "0" * 64,
        "renderer": "1",
        "blender": "5.2.0",
        "image_sha256": "",
        "mask_sha256": "0" * 64,
        "mask_scale": 4,
        "width": run.width,
        "height": run.height,
        "scene_sha256": _connector(run.scene).sha256,
        "camera": {
            "name": run.camera,
            "model": "pinhole",
            "matrix_world": np.eye(4).tolist(),
            "fx": 100.0,
            "fy": 100.0,
            "cx": run.width / 2,
            "cy": run.height / 2,
            "distortion": [0.0] * 5,
        },
        "tolerance": {"true_position_mm": 0.8, "retraction_mm": 0.6},
        "housing": {"boxes": {"visible": housing, "amodal": housing, "expected": housing}},
        "positions": positions,
        "other": [],
    }
    grey = np.clip(picture, 0, 255).astype(np.uint8)
    return record, np.stack([grey, grey, np.clip(grey * 0.95, 0, 255).astype(np.uint8)], axis=-1)


def paint(picture: np.ndarray, box: list[float], value: float) -> None:
    x1, y1, x2, y2 = (round(edge) for edge in box)
    picture[max(y1, 0) : y2, max(x1, 0) : x2] = value
