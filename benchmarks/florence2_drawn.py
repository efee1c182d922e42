"""Check that the tiny Florence-2 learns: drawn pins at 64 x 32 px, two of eight positions held out, one core.

    python -m benchmarks.florence2_drawn --out out/drawn

Writes 600 training, 120 validation and 120 test pictures, trains `--model tiny` on them, and prints the results on the
test pictures as JSON. Further options are passed to the trainer.
"""

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from PIL import Image

from generator.dataset.rows import MANIFEST_COLUMNS, ObjectRow, PictureRow, answer, columns_of, features

CLASSES = ("BENDNG", "NUKENG", "OK")
SEEN, HELD_OUT = (0, 1, 3, 4, 6, 7), (2, 5)
SPLITS: tuple[tuple[str, int, tuple[int, ...]], ...] = (
    ("train", 600, SEEN),
    ("validation", 60, SEEN),
    ("validation", 60, HELD_OUT),
    ("test", 60, SEEN),
    ("test", 60, HELD_OUT),
)


def draw(rng: np.random.Generator, kind: str, target: int) -> tuple[np.ndarray, list[list[float]], list[int]]:
    """Draw 2 x 4 pins, pin `target` (from 0, by rows) with the defect `kind`.

    Returns the picture (32, 64, 3) uint8, and for each pin its box (x, y, width, height) in px and its index in
    `CLASSES`.
    """
    grey = np.full((32, 64), 30.0)
    y, x = np.mgrid[0:32, 0:64] + 0.5
    boxes, categories = [], []
    for index in range(8):
        tip = np.array([8.0 + 16 * (index % 4), 8.0 + 16 * (index // 4)])
        category, value = 2, 200 + rng.normal(0, 4)
        if index == target and kind == "bent":
            category, tip = 0, tip + rng.choice([-4, 4], size=2)
        if index == target and kind == "missing":
            category, value = 1, 5.0
        grey[np.hypot(x - tip[0], y - tip[1]) < 3] = value
        boxes.append([float(tip[0] - 3), float(tip[1] - 3), 6.0, 6.0])
        categories.append(category)
    grey += rng.normal(0, 2, grey.shape)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2), boxes, categories


def pins_of(boxes: list[list[float]], categories: list[int], kind: str) -> tuple[ObjectRow, ...]:
    """Make the objects of a picture from `draw`, with its boxes and categories; `kind` is that of the defective pin."""
    return tuple(
        ObjectRow(
            id=index + 1,
            box=(x, y, x + width, y + height),
            category=CLASSES[category],
            kinds=() if category == 2 else (kind,),
            in_answer=category != 2,
            address=f"r{index // 4 + 1}c{index % 4 + 1}",
            cavity=str(index + 1),
            visible=1.0,
            true_position_mm=None if category == 1 else 0.1,
            retraction_mm=None if category == 1 else 0.0,
            # 10 px are 1 mm.
            dx_mm=None if category == 1 else (x + 3 - foot[0]) / 10,
            dy_mm=None if category == 1 else (foot[1] - y - 3) / 10,
            tip_px=None if category == 1 else (x + 3, y + 3),
            base_px=foot,
        )
        for index, ((x, y, width, height), category) in enumerate(zip(boxes, categories, strict=True))
        for foot in [(8.0 + 16 * (index % 4), 8.0 + 16 * (index // 4))]
    )


def row(run: str, split: str, part: int, kind: str, target: int, rng: np.random.Generator) -> dict[str, Any]:
    """Draw a picture by `draw(rng, kind, target)`; returns its dataset row, whose nsoart is the picture's negative."""
    picture, boxes, categories = draw(rng, kind, target)
    pins = pins_of(boxes, categories, kind)
    manifest: dict[str, Any] = {name: "" if of == "string" else None for name, of in MANIFEST_COLUMNS.items()}
    manifest |= {"run": run, "split": split, "part": part, "camera": "center", "marking": "none"}
    made = PictureRow(
        label=CLASSES[min(categories)],
        kinds=() if kind == "ok" else (kind,),
        observable=True,
        grey=False,
        bbox_str=answer(pins, (64, 32)),
        objects=pins,
        synthetic=True,
        width=64,
        height=32,
        manifest=manifest,
    )
    pictures = {"image": picture, "nsoart": 255 - picture}
    return {**{name: {"bytes": png_bytes(each), "path": None} for name, each in pictures.items()}, **columns_of(made)}


def png_bytes(picture: np.ndarray) -> bytes:
    """Return a picture (H, W, 3) uint8 as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def write_dataset(folder: Path) -> None:
    """Write the drawn dataset as Parquet."""
    (folder / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows: dict[str, list[dict[str, Any]]] = {}
    for split, count, positions in SPLITS:
        held = rows.setdefault(split, [])
        for number in range(count):
            kind, target = ("bent", "missing", "ok")[number % 3], int(rng.choice(positions))
            part = sum(map(len, rows.values()))
            held.append(row(f"{split}_{len(held):04d}", split, part, kind, target, rng))
    for split, some in rows.items():
        data = Dataset.from_list(some, features=features(other=False))
        data.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")


def main() -> int:
    """Draw the dataset, train, and print the results on the test pictures; returns the trainer's exit code."""
    from trainer.florence2 import command

    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--out", type=Path, required=True, help="folder to write dataset and run into")
    args, others = p.parse_known_args()
    write_dataset(args.out / "dataset")
    words = ["--data", str(args.out / "dataset"), "--out", str(args.out / "run"), "--model", "tiny"]
    code = command.main(
        [*words, "--epochs", "12", "--lr", "2e-3", "--close-ups", "0", "--evaluate-every", "4", *others]
    )
    if code == 0:
        summary = json.loads((args.out / "run" / "summary.json").read_text("utf-8"))
        test = summary["splits"]["test"]
        parts = {"all": test, **test["positions"]}
        keys = ("pictures", "map", "map50", "map50_interval", "right_address_and_mode", "false_boxes_per_ok_picture")
        print(json.dumps({name: {key: part[key] for key in keys} for name, part in parts.items()}, indent=2))
    return code


if __name__ == "__main__":
    sys.exit(main())
