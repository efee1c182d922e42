"""Stations of the study `reality_gap`: the runs' own one, changes of it, and foreign ones that a seed draws.

Every station is a scene file made from scenes/connector_3x9.toml. A foreign station differs from it in camera, light,
materials, noise, blur, table, JPEG, and in housings that are a little off the drawing. A scenario of the shop floor
changes the own station in one respect. A dirty window is no scene: it is laid over the pictures of the own station.
"""

from __future__ import annotations

import math
import random
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.bench_match import hidden
from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.world import Spot
from blender_scripts.geometry.soiled_lens import through_dirt
from generator.io.csv_text import csv_text
from generator.io.srgb import coded, linear
from generator.matching.scene_text import Key, with_values

SCENES = Path(__file__).parents[1] / "scenes"
SCENE, HOUSING, TERMINAL, LIGHTING = "connector_3x9", "plain", "round", "ring"
CAMERAS = ("center", "left", "top")
# The camera of the pictures that networks and inspections of single pictures judge.
FRONT = "center"
OWN, GOLDEN = "own", "golden"
_GOLDEN_PARTS, _FIRST_GOLDEN = 20, 690_001
# Good parts of a foreign station by which a run may be fitted to it; they are not judged.
PHOTOGRAPHS = 20
# Number of the own station's first part; its first part with a defect, and its first photograph, counted from there.
_FIRST_PART, _BAD, _PHOTOGRAPH, _SEED = 700_001, 5_000, 8_000, 20_261
_KNOCK_DEG = 0.2
# Sizes of the defects, in multiples of the limits.
_LEAST_SIZE, _LARGEST_SIZE, _GOLDEN_RATIO = 1.1, 5.0, 0.618034
# Light paths per pixel, which an open lens needs more of.
_SAMPLES, _OF_OPEN_LENS = 8, 12


@dataclass(frozen=True)
class Station:
    """A station whose pictures are measured.

    Attributes:
        name: name of its scene file and of its folder of pictures.
        title: what it is, for the tables.
        values: the values in which its scene differs from the own one, by key.
        lighting: the light set-up.
        window: veil (share of the light) and specks of a dirty window in front of the cameras; None: no window.
        foreign: whether it is a foreign station, not a change of the own one.
    """

    name: str
    title: str
    values: Mapping[Key, Any] = field(default_factory=dict)
    lighting: str = LIGHTING
    window: tuple[float, tuple[Spot, ...]] | None = None
    foreign: bool = False


def scenarios() -> list[Station]:
    """Return the own station, and the changes of it that a shop floor brings."""
    return [
        Station(OWN, "own station, nothing changed"),
        Station("lamp", "lamp 30 % weaker", {("lighting", LIGHTING, "power"): 0.7}),
        Station("window", "dirty window: veil of 8 %, 14 specks", window=(0.08, _specks())),
        Station(
            "defocus",
            "out of focus: f/5.6, focused 6 mm before the part's middle",
            {("camera", "f_number"): 5.6, ("camera", "focus_z_mm"): 3.5},
        ),
        Station("oil", "film of oil on the housing", {("finish", "oil"): 1.0}),
        Station(
            "resin",
            "another resin: grey instead of black, glossier",
            {("housings", HOUSING, "color"): [0.045, 0.043, 0.040], ("housings", HOUSING, "roughness"): 0.35},
        ),
        Station(
            "plating",
            "another plating lot: darker, glossier",
            {("terminals", TERMINAL, "color"): [0.82, 0.80, 0.76], ("terminals", TERMINAL, "roughness"): 0.25},
        ),
        Station("knock", f"left camera turned by {_KNOCK_DEG}° about its own centre", _knocked("left")),
    ]


def _specks() -> tuple[Spot, ...]:
    source = random.Random(_SEED)
    return tuple(
        Spot(source.random(), source.random(), source.uniform(0.01, 0.05), source.uniform(0.1, 0.4)) for _ in range(14)
    )


def _knocked(view: str) -> dict[Key, Any]:
    """The camera `left` or `right` turned by _KNOCK_DEG about its centre, in the plane of its tilt."""
    camera = tomllib.loads((SCENES / f"{SCENE}.toml").read_text("utf-8"))["camera"]
    side = -1.0 if view == "left" else 1.0
    x, y, z = camera["target_mm"]

    def away(angle_deg: float) -> tuple[float, float]:
        angle = math.radians(angle_deg)
        return side * camera["distance_mm"] * math.sin(angle), camera["distance_mm"] * math.cos(angle)

    angle = camera["angle_deg"] + _KNOCK_DEG
    (old_x, old_z), (new_x, new_z) = away(camera["angle_deg"]), away(angle)
    target = [x + old_x - new_x, y, z + old_z - new_z]
    return {("camera", view, "angle_deg"): angle, ("camera", view, "target_mm"): target}


def foreign(number: int, width: int) -> Station:
    """Draw the foreign station of a number, counted from 1, whose pictures are `width` px wide."""
    values, _, lighting = hidden(_SEED + number, width)
    source = random.Random(f"foreign station {_SEED + number}")

    def about(value: float, share: float) -> float:
        return value * (1.0 + source.uniform(-share, share))

    # A table of another colour and brightness, of another plating and resin; a lamp of another size and place.
    table = 10.0 ** source.uniform(-1.5, -0.2)
    tin = source.uniform(0.80, 0.93)
    values |= {
        ("fixture", "color"): [min(1.0, about(table, 0.4)) for _ in range(3)],
        ("housings", HOUSING, "roughness"): about(0.5, 0.35),
        ("terminals", TERMINAL, "color"): [tin, about(0.98, 0.02) * tin, about(0.93, 0.05) * tin],
        ("terminals", TERMINAL, "roughness"): about(0.34, 0.35),
        ("lighting", lighting, "ambient"): about(0.3, 0.5),
        ("lighting", lighting, "radius_mm"): about(70.0, 0.25),
        ("lighting", lighting, "width_mm"): about(30.0, 0.4),
        ("camera", "distortion"): [source.uniform(-0.05, 0.05), 0.0, 0.0, 0.0, 0.0],
        ("camera", "vignetting"): source.uniform(0.0, 0.25),
        ("sensor", "jpeg_quality"): source.randint(70, 98),
        ("finish", "oil"): source.uniform(0.0, 0.7),
        ("finish", "mould_marks"): source.uniform(0.0, 0.5),
        ("finish", "scratches"): source.uniform(0.0, 0.6),
        ("finish", "dust"): source.uniform(0.0, 0.03),
    }
    return Station(f"foreign_{number}", f"foreign station {number} ({lighting} light)", values, lighting, foreign=True)


def write_scene(station: Station, folder: Path) -> Connector:
    """Write the scene file of a station into a folder; returns its connector.

    Raises:
        InputError: the values do not make a valid scene.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{station.name}.toml"
    text = with_values((SCENES / f"{SCENE}.toml").read_text("utf-8"), station.values, station.name)
    path.write_text(text, "utf-8")
    return read_connector(path)


def manifest(station: Station, connector: Connector, parts: int, width: int, photographs: bool = False) -> str:
    """Make the manifest of a station's pictures, as CSV text: `parts` good parts, and as many with one defect.

    The parts, defects and placings of the own station and of the scenarios are the same; those of each foreign station
    are others. More parts only add rows. The station GOLDEN has good parts only, seen by the camera FRONT.

    Args:
        station: the station.
        connector: the connector of its scene.
        parts: number of good parts, and of parts with a defect.
        width: width of the pictures, px.
        photographs: whether to make, instead, the PHOTOGRAPHS further good parts by which a run is fitted.
    """
    cameras: tuple[str, ...] = CAMERAS
    if station.name == GOLDEN:
        first, cameras, good, bad = _FIRST_GOLDEN, (FRONT,), _GOLDEN_PARTS, 0
    else:
        first = _FIRST_PART + (10_000 * (1 + int(station.name.rpartition("_")[2])) if station.foreign else 0)
        good, bad = parts, parts
    if photographs:
        first, good, bad = first + _PHOTOGRAPH, PHOTOGRAPHS, 0
    facts = {"split": "test", "scene": station.name, "housing": HOUSING, "terminal": TERMINAL, "marking": "none"}
    is_open = float(station.values.get(("camera", "f_number"), 0.0)) > 0.0
    facts |= {"lighting": station.lighting, "width": str(width), "samples": str(_OF_OPEN_LENS if is_open else _SAMPLES)}
    facts["height"] = str(round(width * connector.height / connector.width))
    shown = [(f"good{index:03d}", first + index, "") for index in range(good)]
    shown += [
        (f"bad{index:03d}", first + _BAD + index, _defect(connector, index, first + _BAD + index))
        for index in range(bad)
    ]
    rows = [
        {"run": f"{name}_{camera}", "part": part, "seed": part, "fixture": part, "camera": camera, **facts}
        | {"defects": defects}
        for name, part, defects in shown
        for camera in cameras
    ]
    return csv_text(list(rows[0]), rows)


def _defect(connector: Connector, index: int, seed: int) -> str:
    """The defect of the part `index`: bent, retracted and missing in turn; sizes are spread evenly by log."""
    source = random.Random(seed)
    address = source.choice([position.address for position in connector.positions])
    limits = connector.tolerance.limits(address)
    size = _LEAST_SIZE * (_LARGEST_SIZE / _LEAST_SIZE) ** ((0.5 + index * _GOLDEN_RATIO) % 1.0)
    texts = (
        f"bent@{address}:tip_offset_mm={0.5 * size * limits.true_position_mm:.3f},"
        f"azimuth_deg={source.uniform(0.0, 360.0):.1f}",
        f"retracted@{address}:depth_mm={size * limits.retraction_mm:.3f}",
        f"missing@{address}",
    )
    return texts[index % len(texts)]


def through_window(source: Path, to: Path, window: tuple[float, Sequence[Spot]]) -> None:
    """Write a picture (8-bit sRGB) as a dirty window in front of the camera shows it.

    Args:
        source: the picture's file.
        to: the file to write.
        window: veil (share of the light that the glass spreads over the picture), and specks.
    """
    veil, specks = window
    with Image.open(source) as picture:
        light = linear(np.asarray(picture.convert("RGB"))).astype(np.float32)
    dirty = through_dirt(light, veil, list(specks))
    to.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.rint(coded(np.clip(dirty, 0.0, 1.0))), 0, 255).astype(np.uint8)).save(to)
