"""Measure how well `generator match` finds hidden stations: `python -m benchmarks.bench_match --stations 3`.

Each station is drawn by a seed: camera, light, sensor, lens, colours, and housings off nominal (shrinkage, depth,
opening, pattern of pins). Twenty parts are rendered on it, and matched from the scene file that the station began from.
The errors are printed, and at the end a table of all stations; the goals: focal length over distance 0.3 %, pins
0.3 px, noise and blur 15 %, 15 minutes. With --keep, a repeated command continues.
"""

import argparse
import json
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.geometry.optics import Camera
from blender_scripts.manifest.record import read_record
from generator.__main__ import main as generator
from generator.dataset.connectors import nominal_connector
from generator.io.csv_text import csv_text
from generator.matching.scene_text import Key, with_values

SCENES = Path(__file__).resolve().parents[1] / "scenes"
SCENE = "connector_3x9"
# Dimensions of this scene, by which the ranges of another scene are scaled; a housing is not blacker than _BLACK.
_DISTANCE_MM, _DEPTH_MM, _BLACK = 118.0, 7.5, 0.02
# A key of a station's errors that kept files of earlier versions lack.
_NEWEST = "focal_over_distance_u_percent"


def shown_part(scene: str) -> tuple[Connector, str, str]:
    """Return a scene's connector, its first housing that has one colour, and its first terminal."""
    connector = read_connector(SCENES / f"{scene}.toml")
    housing = next(name for name, each in connector.housings.items() if len(each.walls.colors) == 1)
    return connector, housing, next(iter(connector.terminals))


def hidden(seed: int, width: int, scene: str = SCENE) -> tuple[dict[Key, Any], str, str]:
    """Draw a station: the values in which it differs from the scene file, its view, and its light set-up."""
    source = random.Random(seed)
    connector, housing, _ = shown_part(scene)
    rig = connector.cameras["center"]
    scale, deep = rig.distance_mm / _DISTANCE_MM, connector.shell.depth_mm / _DEPTH_MM
    view = source.choice(["center", "center", "left", "top"])
    lighting = source.choice(["ring", "side", "dome"])

    def about(value: float, share: float) -> float:
        return value * (1.0 + source.uniform(-share, share))

    distance = about(125.0 * scale, 0.15)
    height = round(width * connector.height / connector.width / 2) * 2
    shell = tomllib.loads((SCENES / f"{scene}.toml").read_text("utf-8"))["shell"]
    resin = connector.housings[housing].walls.colors[0]
    values: dict[Key, Any] = {
        ("picture", "width"): width,
        ("picture", "height"): height,
        ("picture", "samples"): 12,
        ("camera", "distance_mm"): distance,
        ("camera", "focal_mm"): about(35.0, 0.05) * distance / (125.0 * scale),
        ("camera", "angle_deg"): about(28.0, 0.1),
        ("camera", "target_mm"): [scale * source.uniform(-each, each) for each in (1.0, 0.7)] + [rig.target_mm[2]],
        ("sensor", "full_well_e"): 10.0 ** source.uniform(3.5, 4.3),
        ("sensor", "read_noise_e"): source.uniform(5.0, 20.0),
        ("sensor", "white_balance"): [about(1.0, 0.1), 1.0, about(1.0, 0.1)],
        ("lighting", lighting, "power"): about(1.0, 0.2),
        ("fixture", "color"): [about(0.32, 0.2), about(0.33, 0.2), about(0.35, 0.2)],
        ("housings", housing, "color"): [min(1.0, about(max(each, _BLACK), 0.4)) for each in resin],
        ("shell", "depth_mm"): connector.shell.depth_mm + deep * source.gauss(0.0, 0.03),
        ("shell", "opening_mm"): [each + source.gauss(0.0, 0.05) for each in shell["opening_mm"]],
        ("scatter", "shrinkage"): 0.002,
        ("scatter", "pattern_shift_mm"): 0.05,
        ("finish", "shade_stops"): 0.15,
        ("finish", "roughness"): 0.1,
    }
    if shell.get("shape") == "circle":
        values[("shell", "opening_mm")] = values[("shell", "opening_mm")][:1] * 2
    blur = source.choice(["none", "defocus", "motion"])
    if blur == "defocus":
        values[("camera", "f_number")] = source.uniform(2.0, 5.0)
        values[("camera", "focus_z_mm")] = deep * source.uniform(-6.0, 2.0)
    elif blur == "motion":
        values[("camera", "motion_mm")] = scale * source.uniform(0.15, 0.5)
        values[("camera", "motion_azimuth_deg")] = source.uniform(0.0, 90.0)
    return values, view, lighting


def render_station(seed: int, width: int, scene: str, folder: Path, count: int) -> Path:
    """Render good parts on a hidden station; returns the render folder."""
    values, view, lighting = hidden(seed, width, scene)
    _, housing, terminal = shown_part(scene)
    name = f"hidden_{seed}"
    base = SCENES / f"{scene}.toml"
    (folder / f"{name}.toml").write_text(with_values(base.read_text("utf-8"), values, name), encoding="utf-8")
    rows = [
        {"run": f"photo{i:02d}", "split": "train", "part": 1000 * seed + i, "seed": 1000 * seed + i, "scene": name}
        | {"housing": housing, "terminal": terminal, "defects": "", "camera": view, "lighting": lighting}
        | {"marking": "none"}
        for i in range(count)
    ]
    manifest = folder / f"{name}.csv"
    manifest.write_text(csv_text(list(rows[0]), rows), "utf-8", newline="")
    out = folder / name
    if generator(["render", str(manifest), "--out", str(out), "--scenes", str(folder)]):
        raise RuntimeError("the hidden station could not be rendered")
    return out


def errors(found: Mapping[str, Any], values: Mapping[Key, Any], folder: Path, view: str, scene: str) -> dict[str, Any]:
    """Compare a match's JSON document with the hidden station; `folder` has its renders."""
    told = {each["key"]: each for each in found["quantities"]}
    result = ratio_errors(
        found["focal_over_distance"], values[("camera", "focal_mm")] / values[("camera", "distance_mm")]
    )
    for name in ("focal_mm", "distance_mm"):
        result |= held(name, told[f"camera.{view}.{name}"], values[("camera", name)])
    if view != "center":
        result |= held("angle_deg", told[f"camera.{view}.angle_deg"], values[("camera", "angle_deg")])
    result |= pins(found, folder, scene)
    light = 0.1
    well, read = (told[f"sensor.{name}"]["value"] for name in ("full_well_e", "read_noise_e"))
    if well is None:
        result["noise_percent"] = "not determined"
    else:
        true = (
            light / values[("sensor", "full_well_e")]
            + (values[("sensor", "read_noise_e")] / values[("sensor", "full_well_e")]) ** 2
        )
        result["noise_percent"] = 100.0 * (((light / well + (read / well) ** 2) / true) ** 0.5 - 1.0)
    spread = found["differences"]["edge_spread_px"]
    result["edge_spread_percent"] = 100.0 * (spread["renders"] / spread["photographs"] - 1.0)
    for name in ("f_number", "focus_z_mm", "motion_mm", "motion_azimuth_deg"):
        result[name] = {"true": values.get(("camera", name)), "found": told[f"camera.{view}.{name}"]["value"]}
    return result | {"auroc": found["differences"]["auroc"]}


def ratio_errors(entry: Mapping[str, Any], true: float) -> dict[str, Any]:
    """Say how far focal length over distance is off, its uncertainty, and whether the interval holds `true`."""
    low, high = entry["interval"]
    return {
        "focal_over_distance_percent": 100.0 * (entry["value"] / true - 1.0),
        "focal_over_distance_u_percent": 100.0 * entry["u"] / entry["value"],
        "focal_over_distance": "holds" if low <= true <= high else "MISSES",
    }


def held(name: str, entry: Mapping[str, Any], true: float) -> dict[str, Any]:
    """Say whether an interval holds the true value, or that the value is not determined."""
    if not entry["determined"] or entry["interval"] is None:
        return {name: "not determined"}
    low, high = entry["interval"]
    holds = "holds" if low <= true <= high else "MISSES"
    return {name: f"{entry['value']:.2f} +- {entry['u']:.2f}, true {true:.2f}: {holds}"}


def pins(found: Mapping[str, Any], folder: Path, scene: str) -> dict[str, float]:
    """Distances, px, of the nominal tips by the fit from the true tips: root mean squares of means.

    `pins_px` is over positions, each the mean over photographs, in which the scatter of single pins is small;
    `pins_px_single` is over all pins of all photographs, with their own scatter.
    """
    drawing = nominal_connector(*shown_part(scene))
    tips = np.array([(each.x_mm, each.y_mm, each.z_mm) for each in drawing.positions])
    off = []
    for photograph in found["photographs"]:
        if photograph["camera_matrix"] is None:
            continue
        record = read_record(folder / "records" / f"{Path(photograph['file']).stem}.json")
        camera = Camera.of_record(
            record
            | {"camera": record["camera"] | {"matrix_world": photograph["camera_matrix"], "fx": found["focal_px"]}}
        )
        off.append(camera.project(tips) - np.array([each["tip_px"] for each in record["positions"]]))
    apart = np.array(off)
    return {
        "pins_px": float(np.sqrt((apart.mean(axis=0) ** 2).sum(axis=1).mean())),
        "pins_px_single": float(np.sqrt((apart**2).sum(axis=2).mean())),
    }


def matched(seed: int, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Render a hidden station, match it, and return the errors."""
    scene = options.scene
    values, view, lighting = hidden(seed, options.width, scene)
    renders = render_station(seed, options.width, scene, folder, options.photographs)
    _, housing, terminal = shown_part(scene)
    output = folder / f"matched_{seed}.toml"
    begin = time.perf_counter()
    arguments = ["match", renders / "images", "--scene", scene, "--housing", housing]
    arguments += ["--terminal", terminal, "--camera", view, "-o", output, "--workers", options.workers]
    if generator(list(map(str, arguments))):
        return {"station": seed, "scene": scene, "camera": view, "lighting": lighting, "failed": True}
    minutes = (time.perf_counter() - begin) / 60.0
    found = json.loads(output.with_suffix(".json").read_text("utf-8"))
    result = {"station": seed, "scene": scene, "camera": view, "lighting": lighting}
    result |= {"lighting_found": found["lighting"], **errors(found, values, renders, view, scene)}
    return result | {"minutes": minutes}


def summary(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a table of stations, Markdown; `results`: from `matched`."""
    header = ["station", "camera", "light", "focal length over distance, %", "U, %", "interval", "pins, px"]
    header += ["noise, %", "edges, %", "focal length", "distance", "lens, f-number", "motion, mm", "minutes"]

    def number(value: Any, digits: str) -> str:
        return value if isinstance(value, str) else "none" if value is None else f"{value:{digits}}"

    rows = []
    for each in results:
        row = [f"{each['scene']} {each['station']}", each["camera"], each["lighting"]]
        if each.get("failed"):
            rows.append([*row, "not matched", *[""] * (len(header) - 4)])
            continue
        row += [number(each["focal_over_distance_percent"], "+.2f")]
        row += [number(each["focal_over_distance_u_percent"], ".2f"), each["focal_over_distance"]]
        row.append(number(each["pins_px"], ".2f"))
        row += [number(each[f"{name}_percent"], "+.0f") for name in ("noise", "edge_spread")]
        row += [each[name].rpartition(": ")[2] for name in ("focal_mm", "distance_mm")]
        for name in ("f_number", "motion_mm"):
            row.append(" for ".join(number(each[name][key], ".2f") for key in ("found", "true")))
        rows.append([*row, number(each["minutes"], ".1f")])
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Match the stations and print the errors; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--stations", type=int, default=3, help="number of hidden stations (default: 3)")
    parser.add_argument("--first", type=int, default=1, help="seed of the first station (default: 1)")
    parser.add_argument("--photographs", type=int, default=20, help="photographs of each station (default: 20)")
    parser.add_argument("--width", type=int, default=256, help="width of the photographs, px (default: 256)")
    parser.add_argument("--scene", default=SCENE, help=f"connector on the stations (default: {SCENE})")
    parser.add_argument("--workers", type=int, default=2, help="renderer processes (default: 2)")
    parser.add_argument("--keep", type=Path, help="folder for the photographs and results (default: a temporary one)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (options.keep or Path(scratch)) / f"{options.scene}_{options.width}_{options.photographs}"
        folder.mkdir(parents=True, exist_ok=True)
        results = []
        for seed in range(options.first, options.first + options.stations):
            path = folder / f"errors_{seed}.json"
            kept = json.loads(path.read_text("utf-8")) if path.is_file() else None
            if kept is None or not (kept.get("failed") or _NEWEST in kept):  # missing, or of an earlier version
                path.write_text(json.dumps(matched(seed, folder, options), indent=1), encoding="utf-8")
            print(path.read_text("utf-8"), flush=True)
            results.append(json.loads(path.read_text("utf-8")))
    print(summary(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
