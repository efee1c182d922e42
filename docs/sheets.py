"""Make the picture sheets of docs/explanation/optics.md: one per optical effect, one part under several settings.

    python -m docs.sheets [--only aperture]

Each picture is rendered by `render.py` from a copy of a scene with some keys changed, and labelled.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import batched
from pathlib import Path

from PIL import Image

from blender_scripts.contract.world import SCENE as SCENE_WORLD
from blender_scripts.contract.world import WIDE
from generator.io import drawing

ROOT = Path(__file__).resolve().parent.parent
SCENE = ROOT / "scenes" / "connector_3x9.toml"
COLUMNS = "run,split,part,seed,scene,housing,terminal,defects,camera,lighting,marking,width,height,samples"
DEFECTS = '"bent@r2c5:tilt_deg=14,azimuth_deg=60;retracted@r1c3:depth_mm=2.5;missing@r3c7"'
WIDTH, HEIGHT, SAMPLES = 320, 160, 12


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet: its label, changed keys of the scene file, and columns of its manifest row."""

    label: str
    keys: dict[str, str]
    camera: str = "center"
    lighting: str = "ring"
    seed: int = 3
    part: int = 1
    world: str = SCENE_WORLD


def _keys(key: str, values: dict[str, str], camera: str = "center") -> list[Cell]:
    return [Cell(label, {key: value}, camera) for label, value in values.items()]


SHEETS: dict[str, list[Cell]] = {
    "lighting": [Cell(name, {}, lighting=name) for name in ("ring", "side", "dome", "dim", "coaxial", "mixed")],
    "camera": [Cell(name, {}, camera=name) for name in ("center", "left", "right", "top", "bottom")],
    "aperture": _keys("f_number", {"all sharp": "0.0", "f/8": "8.0", "f/2.8": "2.8", "f/1.4": "1.4"}, camera="top"),
    "focus": [
        Cell(f"f/1.4, focus at z = {z} mm", {"f_number": "1.4", "focus_z_mm": z}, camera="top") for z in ("0.0", "-7.5")
    ],
    "distortion": _keys(
        "distortion",
        {
            "straight": "[0.0, 0.0, 0.0, 0.0, 0.0]",
            "barrel, k1 = -0.6": "[-0.6, 0.0, 0.0, 0.0, 0.0]",
            "pincushion, k1 = 0.6": "[0.6, 0.0, 0.0, 0.0, 0.0]",
            "decentred, p1 = 0.03": "[0.0, 0.0, 0.03, 0.0, 0.0]",
        },
    ),
    "vignetting": _keys("vignetting", {"0": "0.0", "0.3": "0.3", "0.6": "0.6"}),
    "noise": _keys("full_well_e", {"no noise": "0.0", "12000 e": "12000.0", "2000 e": "2000.0", "400 e": "400.0"}),
    "hot_pixels": _keys("hot_pixels", {"0": "0.0", "0.001": "0.001"}),
    "white_balance": _keys(
        "white_balance",
        {"1, 1, 1": "[1.0, 1.0, 1.0]", "1.25, 1, 0.8": "[1.25, 1.0, 0.8]", "0.8, 1, 1.25": "[0.8, 1.0, 1.25]"},
    ),
    "jpeg": _keys("jpeg_quality", {"never a JPEG": "0", "quality 50": "50", "quality 10": "10"}),
    "captures": [Cell(f"seed {seed}", {"fixture_shade": "1.0", "exposure": "0.5"}, seed=seed) for seed in (1, 2, 3, 4)],
    "wide": [Cell("world: scene", {}), *(Cell("world: wide", {}, seed=n, part=n, world=WIDE) for n in range(41, 48))],
}


def scene_with(keys: dict[str, str]) -> str:
    """Return the text of the scene file SCENE with some keys changed; a key that it lacks is added to [sensor]."""
    lines = SCENE.read_text("utf-8").splitlines()
    left = dict(keys)
    for number, line in enumerate(lines):
        key = line.split("=")[0].strip()
        if key in left:
            lines[number] = f"{key} = {left.pop(key)}"
    at = lines.index("[sensor]") + 1
    return "\n".join([*lines[:at], *(f"{key} = {value}" for key, value in left.items()), *lines[at:]]) + "\n"


def make_sheet(name: str, cells: list[Cell]) -> Path:
    """Render a sheet's pictures and save them as one picture; returns its path."""
    with tempfile.TemporaryDirectory() as folder:
        scenes = Path(folder)
        rows = []
        for number, cell in enumerate(cells):
            (scenes / f"scene_{number}.toml").write_text(scene_with(cell.keys), "utf-8")
            rows.append(
                f"cell_{number},train,{cell.part},{cell.seed},scene_{number},plain,round,{DEFECTS},{cell.camera},{cell.lighting},"
                f"numbers,{WIDTH},{HEIGHT},{SAMPLES},{cell.world}"
            )
        manifest = scenes / "sheet.csv"
        manifest.write_text("\n".join([f"{COLUMNS},world", *rows]) + "\n", "utf-8")
        command = ["-m", "generator", "render", str(manifest), "--out", f"{folder}/out", "--scenes", folder]
        subprocess.run([sys.executable, *command, "--mask-scale", "1"], check=True, cwd=ROOT)
        pictures = [Image.open(f"{folder}/out/images/cell_{number}.png") for number in range(len(cells))]
        path = ROOT / "docs" / "images" / f"optics_{name}.jpg"
        save_labelled([(cell.label, picture) for cell, picture in zip(cells, pictures, strict=True)], 2, path)
    return path


def save_labelled(cells: list[tuple[str, Image.Image]], columns: int, path: Path) -> None:
    """Save pictures of one size, each under its label, as one picture with `columns` columns."""
    sheet = drawing.grid(batched((drawing.Cell(picture, [label]) for label, picture in cells), columns))
    sheet.save(path, quality=88, optimize=True)


def main() -> int:
    """Make all sheets, or the one that --only names; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=sorted(SHEETS), default=None, help="make only this sheet (default: all)")
    only = parser.parse_args().only
    for name, cells in SHEETS.items():
        if only in (None, name):
            print(make_sheet(name, cells).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
