"""Make the sheets of docs/explanation/gallery.md: every scene and housing, random connectors, every kind of defect.

    python -m docs.gallery [--only scenes]

The pictures are rendered by `render.py`; the boxes come from the records.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from PIL import Image

from blender_scripts.contract.connector import read_connector
from blender_scripts.manifest.defects import KINDS
from docs.sheets import COLUMNS, ROOT, save_labelled
from generator.io.drawing import Box, draw_boxes

SIZE = (576, 288)
CROP = (132, 108)
ZOOM = 2
VIEWS = ("center", "bottom")
# Three sizes of each kind of defect (smallest, default, largest), and its shapes, at the pin that shows it best.
SIZES: dict[str, tuple[str, ...]] = {
    "bent": (
        "bent@r2c5:tip_offset_mm=0.1",
        "bent@r2c5:azimuth_deg=30",
        "bent@r2c5:tilt_deg=45,azimuth_deg=40",
        "bent@r2c5:shape=kink,start_mm=2.5,tilt_deg=35,azimuth_deg=200",
        "bent@r2c5:shape=s_bend,tip_offset_mm=1.2,azimuth_deg=200",
    ),
    "retracted": ("retracted@r2c5:depth_mm=0.3", "retracted@r2c5", "retracted@r2c5:depth_mm=6.9"),
    "missing": ("missing@r2c5", "missing@r1c1", "missing@r3c9"),
    "protruding": ("protruding@r2c5:height_mm=0.3", "protruding@r2c5", "protruding@r2c5:height_mm=5"),
    "crushed": ("crushed@r2c5:depth_mm=0.1", "crushed@r2c5", "crushed@r2c5:depth_mm=1.5,azimuth_deg=60"),
    "broken": ("broken@r2c5:lost_mm=0.3,slope_deg=10", "broken@r2c5", "broken@r2c5:lost_mm=6,slope_deg=40"),
    "wrong": ("wrong@r2c5:plating=nickel", "wrong@r2c5", "wrong@r2c5:terminal=blade"),
    "twisted": ("twisted@r2c5:angle_deg=10", "twisted@r2c5", "twisted@r2c5:angle_deg=120"),
    "stained": (
        "stained@r2c5:length_mm=1,strength=0.4",
        "stained@r2c5",
        "stained@r2c5:from_mm=0,length_mm=12,strength=1",
    ),
    "foreign": (
        "foreign@r2c5:size_mm=0.3",
        "foreign@r2c5",
        "foreign@r2c5:size_mm=1.8,azimuth_deg=250",
        "foreign@r2c4-r2c5:type=bridge,size_mm=0.3",
        "foreign@r2c4-r2c5:type=bridge",
        "foreign@r2c5-r2c6:type=bridge,size_mm=1.6,height_mm=4",
        "foreign@r2c5:type=fibre,size_mm=2",
        "foreign@r2c5:type=fibre,size_mm=7,azimuth_deg=30",
        "foreign@housing:type=fibre,size_mm=9,x_mm=-2,y_mm=-2.3",
        "foreign@r2c5:type=burr,size_mm=0.3",
        "foreign@r2c5:type=burr",
        "foreign@r2c5:type=burr,size_mm=1.5",
    ),
    "cracked": (
        "cracked@housing:length_mm=1,width_mm=0.08,azimuth_deg=270",
        "cracked@housing:azimuth_deg=270",
        "cracked@housing:length_mm=7,width_mm=0.8,azimuth_deg=285",
    ),
    "chipped": (
        "chipped@housing:size_mm=0.8,depth_mm=0.4,azimuth_deg=270",
        "chipped@housing:azimuth_deg=270",
        "chipped@housing:size_mm=9,depth_mm=5,azimuth_deg=300",
    ),
    "print": (
        "print@print:item=8",
        "print@print:type=wrong,item=8",
        "print@print:type=misplaced,item=8",
        "print@print:type=mirrored,item=6",
    ),
}


def render(rows: list[list[object]], folder: Path, *options: str) -> Path:
    """Render manifest rows, each with the values of COLUMNS in order; returns the render folder."""
    manifest = folder / "gallery.csv"
    with manifest.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS.split(","))
        writer.writerows(rows)
    command = ["-m", "generator", "render", str(manifest), "--out", str(folder / "out"), *options]
    subprocess.run([sys.executable, *command], check=True, cwd=ROOT)
    return folder / "out"


def scenes_sheet(folder: Path) -> list[tuple[str, Image.Image]]:
    """Render every scene in each of its housings, with its terminals in turn; returns labels and pictures."""
    rows: list[list[object]] = []
    labels = []
    for path in sorted((ROOT / "scenes").glob("*.toml")):
        connector = read_connector(path)
        for number, housing in enumerate(connector.housings):
            names = connector.terminal_names
            terminal = names[number % len(names)]
            n, height = len(rows), 320 if connector.width == connector.height else 160
            part = [f"cell_{n}", "train", n, n, path.stem, housing, terminal, ""]
            rows.append([*part, "center", "ring", "numbers", 320, height, 12])
            labels.append(f"{path.stem}, {housing}, {terminal}")
    out = render(rows, folder)
    cells = []
    for number, label in enumerate(labels):
        picture: Image.Image = Image.open(out / "images" / f"cell_{number}.png")
        square = Image.new("RGB", (320, 160), "white")
        picture = picture if picture.height == 160 else picture.resize((160, 160), Image.Resampling.LANCZOS)
        square.paste(picture, ((320 - picture.width) // 2, 0))
        cells.append((label, square))
    return cells


def random_sheet(folder: Path) -> list[tuple[str, Image.Image]]:
    """Render 24 random connectors from the front; returns their names and pictures."""
    scenes = folder / "scenes"
    command = ["-m", "generator", "connectors", "-o", str(scenes), "--count", "24"]
    subprocess.run([sys.executable, *command], check=True, cwd=ROOT)
    lights = ("ring", "dome", "mixed")
    rows: list[list[object]] = [
        [f"cell_{n}", "train", n, n, path.stem, "plain", "pin", "", "center", lights[n % 3], "numbers", 256, 128, 12]
        for n, path in enumerate(sorted(scenes.iterdir()))
    ]
    out = render(rows, folder, "--scenes", str(scenes))
    return [(str(row[4]), Image.open(out / "images" / f"{row[0]}.png")) for row in rows]


def defect_sheet(kind: str, folder: Path) -> list[tuple[str, Image.Image]]:
    """Render each size of a defect from the front and from below; returns labels and cropped, boxed pictures."""
    rows: list[list[object]] = []
    labels = []
    terminal = "blade" if kind == "twisted" else "round"
    for text in SIZES[kind]:
        for view in VIEWS:
            row = ["train", 7, len(rows), "connector_3x9", "plain", terminal, text, view, "ring", "numbers"]
            rows.append([f"cell_{len(rows)}", *row, *SIZE, 16])
            values = text.partition(":")[2].split(",")
            labels.append(", ".join(v for v in values if v and not v.startswith("azimuth")) or "default size")
    out = render(rows, folder)
    cells = []
    for number, label in enumerate(labels):
        record = json.loads((out / "records" / f"cell_{number}.json").read_text("utf-8"))
        boxes = [
            thing["boxes"]["visible"] or thing["boxes"]["expected"]
            for thing in (*record["positions"], *record["other"])
            if thing.get("defects") or "defect" in thing
        ]
        picture = Image.open(out / "images" / f"cell_{number}.png")
        x, y = (0.5 * (boxes[0][axis] + boxes[0][axis + 2]) for axis in (0, 1))
        left = round(min(max(x - 0.5 * CROP[0], 0), SIZE[0] - CROP[0]))
        top = round(min(max(y - 0.5 * CROP[1], 0), SIZE[1] - CROP[1]))
        cut = picture.crop((left, top, left + CROP[0], top + CROP[1]))
        cut = cut.resize((CROP[0] * ZOOM, CROP[1] * ZOOM), Image.Resampling.BICUBIC)
        inside = [[(edge - start) * ZOOM for edge, start in zip(box, (left, top) * 2, strict=True)] for box in boxes]
        cells.append((label, draw_boxes(cut, [Box(corners, "NG") for corners in inside])))
    return cells


def main() -> int:
    """Make all sheets, or the one that --only names; returns the exit code."""
    sheets = {"scenes": (scenes_sheet, 3), "random": (random_sheet, 4)}
    names = [*sheets, *KINDS]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=names, default=None, help="make only this sheet (default: all)")
    only = parser.parse_args().only
    for name in names:
        if only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                make, columns = sheets.get(name, (partial(defect_sheet, name), 4))
                cells = make(Path(folder))
            path = ROOT / "docs" / "images" / f"gallery_{name}.jpg"
            save_labelled(cells, columns, path)
            print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
