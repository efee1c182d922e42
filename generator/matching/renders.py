"""Render a scene with other values, and with the part where photographs show it.

A scene file does not state the pose of a single placing: a placing is drawn from a seed, within the ranges in
`[nuisance]`. So each render gets a scene of its own, with ranges for which a chosen seed draws the wanted pose.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import shutil
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.nuisance import Nuisance
from blender_scripts.geometry.optics import Camera, away_from_part, placing_draws
from blender_scripts.manifest.output_folder import OutputFolder
from blender_scripts.manifest.record import read_record
from generator.io.csv_text import csv_text
from generator.io.pictures import open_picture
from generator.matching.scene_text import Key, with_values
from generator.rendering import render
from generator.rendering.failures import failure

# Seeds of placings that are searched for one that draws a wanted pose.
_SEEDS = 4000
_TILT, _TURN = "tilt_deg", "rotation_deg"
# Largest deviations of a placing, for draws from -1 to 1.
_UNIT = Nuisance(**{each.name: 1.0 for each in fields(Nuisance)})


@dataclass(frozen=True)
class Wanted:
    """What is to be rendered.

    Attributes:
        values: values of the scene file that replace its own.
        pose: (4, 4) pose of the camera: from its axes (as Blender's) to those of the housing, mm; None: the scene's
            nominal pose.
        part: seed of the part's scatter and the sensor's noise; None: a part as on the drawing, without noise.
        lighting: name of the light set-up; None: that of the `Shot`.
        samples: light paths per pixel; None: as in the scene.
    """

    values: Mapping[Key, Any] = field(default_factory=dict)
    pose: np.ndarray | None = None
    part: int | None = None
    lighting: str | None = None
    samples: int | None = None


@dataclass(frozen=True)
class Rendered:
    """A render.

    Attributes:
        pixels: (H, W, 3) uint8, sRGB.
        depth: (H, W) distance of each pixel's surface from the camera along the optical axis, mm.
        mask: (H, W) number of the position whose pin each pixel shows, counted from 1; 0: none.
        camera: the camera.
    """

    pixels: np.ndarray
    depth: np.ndarray
    mask: np.ndarray
    camera: Camera


@dataclass(frozen=True)
class Shot:
    """The connector that the photographs show, and how; names as in the manifest.

    Attributes:
        path: the scene file.
        text: its text, with the picture size of the photographs.
        view: name of the camera.
    """

    path: Path
    text: str
    housing: str
    terminal: str
    view: str
    lighting: str
    marking: str
    folder: Path
    workers: int

    def connector(self, values: Mapping[Key, Any] | None = None) -> Connector:
        """Read the scene with other values.

        Raises:
            InputError: a value is not one that a scene file may have.
        """
        return read_connector(write_scene(self, "checked", with_values(self.text, values or {}, self.path.name)))


def view_key(shot: Shot, name: str) -> Key:
    """Return the key of a value of the photographs' camera; it then holds for this view only."""
    return ("camera", shot.view, name)


def render_all(shot: Shot, wanted: Sequence[Wanted], name: str) -> list[Rendered]:
    """Render some pictures of the connector; `name` is that of a folder for them, new for each call.

    Raises:
        InputError: a value or pose is not one that a scene file may have.
        RenderError: a render failed.
    """
    rows = []
    for number, each in enumerate(wanted):
        values, seed = _still(shot, each)
        scene = f"{name}{number:03d}"
        write_scene(shot, scene, with_values(shot.text, values, shot.path.name))
        rows.append({"run": scene, "split": "train", "part": each.part or 0, "scene": scene})
        rows[-1] |= {"seed": each.part or 0, "fixture": seed}
        rows[-1] |= {"housing": shot.housing, "terminal": shot.terminal, "defects": "", "camera": shot.view}
        rows[-1] |= {"lighting": each.lighting or shot.lighting, "marking": shot.marking, "samples": each.samples or ""}
    manifest = shot.folder / f"{name}.csv"
    manifest.write_text(csv_text(list(rows[0]), rows), "utf-8", newline="")
    parser = argparse.ArgumentParser()
    render.add_arguments(parser)
    out = shot.folder / f"{name}_out"
    options = [str(manifest), "--out", str(out), "--scenes", str(shot.folder), "--depth"]
    options += ["--workers", str(shot.workers)] if shot.workers else []
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = render.run(parser.parse_args(options))
    if code:
        lines = [line for line in said.getvalue().splitlines() if line.startswith("failed: ")]
        got = f"exit code {code}"
        if lines:
            got = f"{len(lines)} of {len(wanted)} failed (first: {lines[0].removeprefix('failed: ')})"
        raise failure(f"{shot.path.name}: rendering for the match", "every render to succeed", got, said.getvalue())
    return [_read(OutputFolder(out), str(row["run"])) for row in rows]


def _read(output: OutputFolder, run: str) -> Rendered:
    pixels = np.asarray(open_picture(output.image(run), run).convert("RGB"))
    depth = np.load(output.root / "depth" / f"{run}.npy")
    mask = np.asarray(Image.open(output.mask(run)))
    return Rendered(pixels, depth, mask, Camera.of_record(read_record(output.record(run))))


def write_scene(shot: Shot, scene: str, text: str) -> Path:
    """Write the text of a scene into the folder of the renders, with the files that it names; returns its path."""
    path = shot.folder / f"{scene}.toml"
    path.write_text(text, encoding="utf-8")
    data = tomllib.loads(text)
    named = [housing["mesh"]["file"] for housing in data.get("housings", {}).values() if "mesh" in housing]
    named += [data["fixture"]["photographs"]] if "photographs" in data.get("fixture", {}) else []
    for each in named:
        source, copy = shot.path.parent / str(each), shot.folder / str(each)
        if source.exists() and not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy)
    return path


def _still(shot: Shot, wanted: Wanted) -> tuple[dict[Key, Any], int]:
    """The scene's values for a picture without random differences, with the camera in its pose; seed of the placing."""
    data = tomllib.loads(shot.text)
    values: dict[Key, Any] = {("nuisance", name): 0.0 for name in data["nuisance"]}
    if wanted.part is None:
        values |= {("scatter", name): 0.0 for name in data["scatter"]}
        values |= {("sensor", "full_well_e"): 0.0, ("sensor", "hot_pixels"): 0.0, ("sensor", "jpeg_quality"): 0}
        values |= {("finish", name): 0.0 for name in ("shade_stops", "roughness") if name in data.get("finish", {})}
    values |= wanted.values
    if wanted.pose is None:
        return values, 0
    camera = data["camera"] | data["camera"].get(shot.view, {})
    angle = float(wanted.values.get(view_key(shot, "angle_deg"), camera["angle_deg"]))
    turn, target, distance = in_station(wanted.pose, shot.view, angle, float(camera.get("target_mm", [0, 0, 0])[2]))
    lean_x, lean_y, rotation = Rotation.from_matrix(turn).as_euler("xyz", degrees=True).tolist()
    seed, tilts, turns = _seed(lean_x, lean_y, rotation)
    values |= {("nuisance", _TILT): tilts, ("nuisance", _TURN): turns}
    return values | {view_key(shot, "target_mm"): target, view_key(shot, "distance_mm"): distance}, seed


def in_station(pose: np.ndarray, view: str, angle_deg: float, target_z: float) -> tuple[np.ndarray, list[float], float]:
    """Return how a part with a camera's pose lies on a station.

    Args:
        pose: (4, 4) from the camera's axes to the housing's, mm.
        view: name of the camera.
        angle_deg: angle between the optical axes of this camera and the centre camera.
        target_z: z of the camera's target.

    Returns:
        The part's turn on the station (3, 3); the camera's target and distance, mm, for a part at the station's origin.
    """
    away = away_from_part(view, angle_deg)
    right = np.cross([0.0, 1.0, 0.0], away)
    right /= np.linalg.norm(right)
    turn = np.column_stack([right, np.cross(away, right), away]) @ pose[:3, :3].T
    place = turn @ pose[:3, 3]
    distance = float((place[2] - target_z) / away[2])
    return turn, (place - distance * away).tolist(), distance


def _seed(lean_x: float, lean_y: float, rotation: float) -> tuple[int, float, float]:
    """A seed of a placing whose draws have a tilt's direction and a rotation's sign, and the two half ranges for it."""
    drawn = _drawn()
    size = math.hypot(lean_x, lean_y)
    off = np.abs(np.angle((drawn[:, 1] + 1j * drawn[:, 2]) / complex(lean_x, lean_y))) if size else np.zeros(_SEEDS)
    # A small draw would need a wide range.
    poor = (np.hypot(drawn[:, 1], drawn[:, 2]) < 0.5) | (drawn[:, 0] * math.copysign(1.0, rotation) < 0.3)
    best = int(np.argmin(off + 10.0 * poor))
    tilts = size / float(np.hypot(*drawn[best, 1:]))
    return best, tilts, abs(rotation / float(drawn[best, 0]))


@lru_cache(maxsize=1)
def _drawn() -> np.ndarray:
    """Draws of rotation, tilt about X and tilt about Y of each seed's placing, from -1 to 1 (n, 3)."""
    return np.array([placing_draws(_UNIT, seed)[2:5] for seed in range(_SEEDS)])
