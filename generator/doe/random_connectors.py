"""`python -m generator connectors -o scenes`: write scene files of random connectors, to train networks for many kinds.

A network that shall work on connectors which it has not seen needs many in its training. Each file describes a box
header of plastic, with its pins in a grid. Drawn at random are the numbers of rows and columns, pitch, pins, walls,
depth, colour, keys, notches, ends, and the camera's distance and angle. Lengths follow the pitch; those of the lamps
follow the camera's distance, as in the shipped scenes. Equal seeds and numbers give equal files.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

import tomli_w

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.errors import InputError
from generator.io.number_option import whole_number
from generator.io.output_file import check_folder, write_whole

MOST = 999
_ATTEMPTS = 20
_THINNEST_PX = 4
_PITCHES_MM = (2.0, 2.5, 2.54, 3.0, 3.5, 3.96, 4.0, 4.2, 5.0)
# Linear colours of the plastic: 60 % of the housings are black.
_BLACKS = ([0.012, 0.012, 0.013], [0.014, 0.014, 0.015], [0.02, 0.02, 0.022])
_COLORS = (
    *([0.1, 0.1, 0.105], [0.3, 0.29, 0.27], [0.62, 0.6, 0.55], [0.75, 0.72, 0.62], [0.03, 0.05, 0.11]),
    *([0.02, 0.1, 0.16], [0.03, 0.09, 0.03], [0.1, 0.05, 0.03], [0.25, 0.04, 0.03]),
)
_FOCAL_MM, _SENSOR_MM = 35.0, 14.8
# Distance of the camera for which the lamps' lengths below are stated, mm.
_LAMPS_AT_MM = 77.0
_LAMPS: dict[str, dict[str, float]] = {
    "ring": {"power": 1.0, "ambient": 0.34, "height_mm": 40.3, "radius_mm": 37.7, "width_mm": 14.3},
    "side": {"power": 1.0, "ambient": 0.3, "height_mm": 35.8, "radius_mm": 52.0, "width_mm": 32.5},
    "dome": {"power": 1.0, "ambient": 0.1, "radius_mm": 58.5, "width_mm": 26.0},
    "dim": {"power": 0.35, "ambient": 0.12, "height_mm": 40.3, "radius_mm": 37.7, "width_mm": 14.3},
    "coaxial": {"power": 0.7, "ambient": 0.12, "height_mm": 45.5, "width_mm": 39.0},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `generator connectors` to a parser."""
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="DIR", help="folder for the scene files random_001.toml, …"
    )
    parser.add_argument(
        "--count", type=whole_number, default=48, metavar="N", help=f"how many, 1 to {MOST} (default: 48)"
    )
    parser.add_argument(
        "--seed", type=whole_number, default=1, metavar="S", help="seed of all random draws (default: 1)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace scene files that have another content")


def run(options: argparse.Namespace) -> int:
    """Write the scene files; a file of such a name with another content is replaced only with --overwrite.

    Raises:
        InputError: an option is out of range, a file has another content, or the folder cannot be written.
    """
    if not 1 <= options.count <= MOST:
        raise InputError(f"--count: expected 1 to {MOST}, got {options.count}")
    check_folder(options.out, "-o")
    options.out.mkdir(parents=True, exist_ok=True)
    scratch = options.out / ".random.building.toml"
    try:
        numbers = range(1, options.count + 1)
        texts = {options.out / f"random_{n:03d}.toml": scene_text(options.seed, n, scratch) for n in numbers}
        other = [path for path, text in texts.items() if path.exists() and path.read_text("utf-8", "replace") != text]
        if other and not options.overwrite:
            raise InputError(
                f"{other[0]}: expected no file, or what this command writes, got another content (as in "
                f"{len(other)} of {len(texts)} files): edited, or of another --seed or version; give another folder, "
                "or --overwrite"
            )
        for path, text in texts.items():
            write_whole(path, text.encode())
    finally:
        scratch.unlink(missing_ok=True)
    if left := sorted(set(options.out.glob("random_*.toml")) - set(texts)):
        sys.stderr.write(f"{left[0]}: not of these {options.count} scenes, left as it is (of {len(left)} such files)\n")
    sys.stderr.write(f"{options.count} scenes in {options.out}; each has the housing plain and the terminal pin\n")
    return 0


def scene_text(seed: int, number: int, scratch: Path) -> str:
    """Draw the scene file of the connector with this number: one that `read_connector` accepts.

    Args:
        seed, number: what all draws of this connector depend on.
        scratch: path of a file to which the text is written, to be checked.

    Raises:
        InputError: no attempt gave a scene file without mistakes.
    """
    problems: list[str] = []
    for attempt in range(_ATTEMPTS):
        document = connector(random.Random(f"connector/{seed}/{number}/{attempt}"), number)
        text = tomli_w.dumps(_rounded(document))
        scratch.write_text(text, "utf-8")
        try:
            read_connector(scratch)
        except InputError as error:
            problems = list(error.problems)
            continue
        if _pin_px(document) >= _THINNEST_PX:
            return text
        problems = [f"random connector {number}: expected pins of at least {_THINNEST_PX} px"]
    raise InputError(problems)


def _pin_px(document: dict[str, Any]) -> float:
    """Return the thickness of a pin in the middle of the picture, px."""
    seen_mm = document["camera"]["distance_mm"] * _SENSOR_MM / _FOCAL_MM
    return float(document["terminals"]["pin"]["width_mm"] * document["picture"]["width"] / seen_mm)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 3) if isinstance(value, float) else value


def connector(draw: random.Random, number: int) -> dict[str, Any]:
    """Draw a connector; returns the content of its scene file (docs/reference/scenes.md), which may have mistakes."""
    pitch = draw.choice(_PITCHES_MM)
    step = (pitch, pitch * draw.uniform(0.95, 1.3))
    rows = draw.choices((1, 2, 3, 4), (2, 4, 3, 1))[0]
    columns = draw.randint(3 if rows > 1 else 4, 12)
    width = pitch * draw.uniform(0.2, 0.4)
    # Space between the outer pins and the walls, along X and Y.
    space = [pitch * draw.uniform(0.3, 0.95) for _ in range(2)]
    opening = [
        (count - 1) * apart + width + 2 * gap for count, apart, gap in zip((columns, rows), step, space, strict=True)
    ]
    wall = pitch * draw.uniform(0.22, 0.85)
    depth = pitch * draw.uniform(1.3, 2.6)
    height = depth + draw.uniform(2.0, 6.0)
    shell = {
        "opening_mm": opening,
        "corner_mm": max(0.01, min(opening) * draw.uniform(0.0, 0.2)),
        "wall_mm": wall,
        "depth_mm": depth,
        "height_mm": height,
        "fillet_mm": min(0.1 * pitch, wall / 4) * draw.uniform(0.4, 1.0),
    }
    has_ends = draw.random() < 0.4
    return {
        "schema": 1,
        "description": f"random connector {number}: {rows} x {columns} pins, pitch {pitch} mm",
        "picture": {"width": 256, "height": 128, "samples": 2},
        "positions": {"rule": "grid", "rows": rows, "columns": columns, "pitch_mm": list(step), "cavities": "rows"},
        "tolerance": {"true_position_mm": 0.2 * pitch, "retraction_mm": 0.15 * pitch},
        "scatter": {"position_mm": 0.01 * pitch, "tilt_deg": 0.4, "height_mm": 0.02 * pitch},
        "shell": shell,
        "cavity": {
            "clearance_mm": 0.03 * pitch,
            "depth_mm": 0.8 * min(height - depth, 2.0),
            "chamfer_mm": 0.05 * pitch,
        },
        "housings": {"plain": _housing(draw, shell, step[0], columns, space[1], has_ends)},
        "terminals": {
            "pin": {
                "section": draw.choice(("square", "round")),
                "width_mm": width,
                "standing_mm": depth * draw.uniform(0.7, 0.96),
                "tip_mm": width * draw.uniform(0.6, 1.2),
                "tip_share": draw.uniform(0.4, 0.6),
                "plating": draw.choice(("gold", "tin", "nickel")),
            }
        },
        "finish": {"shade_stops": 0.25, "roughness": 0.15, "scratches": 0.2, "mould_marks": 0.3, "dust": 0.004},
        "marking": _marking(opening, wall),
        **_station(draw, [side + 2 * wall for side in opening], 1.16 if has_ends else 1.0),
    }


def _housing(
    draw: random.Random, shell: dict[str, Any], pitch: float, columns: int, space: float, has_ends: bool
) -> dict[str, Any]:
    """Draw colour, chamfer, notch, blocks at both ends, and keys or ribs at the upper and lower wall.

    Args:
        draw: the random numbers.
        shell: the section `[shell]`.
        pitch, columns: distance of the columns, mm, and their number.
        space: space between the outer rows of pins and the walls, mm.
        has_ends: whether the housing has a block at both ends.
    """
    (long, high), wall, depth = shell["opening_mm"], shell["wall_mm"], shell["depth_mm"]
    colors = _BLACKS if draw.random() < 0.6 else _COLORS
    housing: dict[str, Any] = {"color": draw.choice(colors), "roughness": draw.uniform(0.4, 0.6)}
    if draw.random() < 0.3:
        housing["lead_in_mm"] = wall * draw.uniform(0.2, 0.5)
    if draw.random() < 0.5:
        notch = {"width_mm": long * draw.uniform(0.1, 0.3), "depth_mm": depth * draw.uniform(0.2, 0.9)}
        housing["notches"] = [{"azimuth_deg": draw.choice((90.0, 270.0)), **notch}]
    blocks = []
    if has_ends:
        length, height = long + 2 * wall, high + 2 * wall
        size = [0.06 * length, height * draw.uniform(0.3, 0.7)]
        x = length / 2 + 0.01 * length
        places = {"center_mm": [-x, 0.0], "size_mm": size, "repeat": [2, 1], "step_mm": [2 * x, 0.0]}
        blocks.append({**places, "bottom_mm": -0.9 * shell["height_mm"], "top_mm": -depth * draw.uniform(0.0, 0.6)})
    if draw.random() < 0.5 and space > 0.45 * pitch:
        count = draw.choice((1, 2, 3, columns - 1))
        ribs = count == columns - 1  # between the columns
        width = long * draw.uniform(0.1, 0.3) if count == 1 else min(0.35 * pitch, long / (2 * count + 2))
        apart = pitch if ribs else 0.8 * long / max(count - 1, 1)
        size = [width, 0.25 * space + 0.1]
        y = (high - size[1]) / 2 + 0.1
        places = {"center_mm": [-(count - 1) * apart / 2, y], "size_mm": size}
        repeat = {"repeat": [count, 2], "step_mm": [apart, -2 * y]}
        blocks.append({**places, **repeat, "bottom_mm": -depth - 0.1, "top_mm": -depth * draw.uniform(0.08, 0.5)})
    return {**housing, "blocks": blocks} if blocks else housing


def _marking(opening: list[float], wall: float) -> dict[str, Any]:
    """Return the section on the print, which lies on the rim."""
    x, y = (side / 2 + wall / 2 for side in opening)
    height = min(0.7 * wall, 1.4)
    return {
        "height_mm": height,
        "stroke_mm": 0.14 * height,
        "row_numbers_x_mm": -x,
        "position_numbers_y_mm": y,
        "text_at_mm": [-opening[0] / 4, -y],
        "color": [0.86, 0.86, 0.84],
    }


def _station(draw: random.Random, outer: list[float], longer: float) -> dict[str, Any]:
    """Draw the sections on camera, sensor, lamps and nuisance.

    Args:
        draw: the random numbers.
        outer: length and height of the housing, mm.
        longer: factor on the length, for blocks at both ends.
    """
    seen = max(longer * outer[0], 2 * outer[1]) * draw.uniform(1.12, 1.3)
    distance = seen * _FOCAL_MM / _SENSOR_MM
    scale = distance / _LAMPS_AT_MM
    lamps: dict[str, dict[str, Any]] = {}
    for name, lamp in _LAMPS.items():
        sizes = {key: value * scale if key.endswith("_mm") else value for key, value in lamp.items()}
        lamps[name] = {"kind": "ring" if name == "dim" else name, **sizes}
    lamps["side"]["azimuth_deg"] = draw.uniform(0.0, 360.0)
    lamps["mixed"] = {"kind": "mixed", "power": 1.0, "ambient": 0.3, "shares": {"ring": 0.5, "side": 0.6}}
    return {
        "camera": {
            "distance_mm": distance,
            "angle_deg": draw.uniform(24.0, 32.0),
            "focal_mm": _FOCAL_MM,
            "sensor_width_mm": _SENSOR_MM,
            "target_mm": [0.0, 0.0, -2.0],
            "f_number": 0.0,
            "vignetting": 0.08,
        },
        "sensor": {"full_well_e": 12000.0, "read_noise_e": 12.0},
        "lighting": lamps,
        "nuisance": {
            "shift_mm": 0.33 * scale,
            "rotation_deg": 1.0,
            "tilt_deg": 0.6,
            "distance_mm": 0.98 * scale,
            "light_power": 0.12,
            "light_azimuth_deg": 12.0,
            "exposure": 0.12,
            "focus_mm": 0.33 * scale,
            "white_balance": 0.03,
            "fixture_shade": 0.3,
        },
    }
