"""A dataset of drawn parts with exact geometry: 2 x 3 pins as bright strokes in a dark opening, from two cameras."""

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.florence2_drawn import png_bytes
from blender_scripts.contract.nominal_position import NominalPosition
from blender_scripts.geometry.optics import look_at
from generator.dataset.connectors import CONNECTORS, NominalConnector, connectors_json
from generator.dataset.rows import MANIFEST_COLUMNS, CameraRow, ObjectRow, PictureRow, columns_of
from generator.locating.cameras import StationCamera
from generator.locating.pose import motion
from tests.trainer.conftest import write_dataset

SIZE = (96, 64)
TIP_Z, STANDING = -1.0, 5.0
OPENING = ((9.0, 6.0), (-9.0, 6.0), (-9.0, -6.0), (9.0, -6.0))
OUTLINE = ((11.0, 8.0), (-11.0, 8.0), (-11.0, -8.0), (11.0, -8.0))
PLACES = [(x, y) for y in (2.5, -2.5) for x in (-5.0, 0.0, 5.0)]
KEY = ("drawn", "plain", "round")
LIMIT = {"true_position_mm": 0.8, "retraction_mm": 0.6, "protrusion_mm": 0.6}
# Subpixels per pixel and axis.
_FINE = 4


def camera_entry(angle_deg: float) -> dict:
    """A camera 100 mm away, `angle_deg` above the centre view."""
    angle = math.radians(angle_deg)
    place = 100.0 * np.array([0.0, math.sin(angle), math.cos(angle)])
    matrix = look_at(place, np.zeros(3), np.array([0.0, 1.0, 0.0]))
    return {"matrix": matrix.tolist(), "fx_per_width": 3.6, "distortion": [0.0] * 5, "model": "pinhole"}


CAMERAS = {"center": camera_entry(0.0), "top": camera_entry(30.0)}
DRAWING = NominalConnector(
    scene=KEY[0],
    housing=KEY[1],
    terminal=KEY[2],
    scene_sha256="0" * 64,
    outline_mm=OUTLINE,
    symmetries=("half_turn",),
    positions=tuple(
        NominalPosition(f"r{1 + index // 3}c{1 + index % 3}", str(index + 1), x, y, TIP_Z, STANDING, 1.2, 1.2)
        for index, (x, y) in enumerate(PLACES)
    ),
    opening_mm=OPENING,
    cameras=CAMERAS,
    placing={"shift_mm": 0.4, "rotation_deg": 1.0, "tilt_deg": 0.5, "distance_mm": 0.5},
)


def drawn(camera: StationCamera, pose: np.ndarray, tips: np.ndarray, source: np.random.Generator) -> np.ndarray:
    """Draw one view (H, W, 3) uint8 of a part: its edges, and a stroke from foot to tip of each pin; nan: no pin."""
    image = Image.new("L", (SIZE[0] * _FINE, SIZE[1] * _FINE), 70)
    draw = ImageDraw.Draw(image)

    def places(points: np.ndarray) -> list[tuple[float, float]]:
        pixels = camera.project(points @ pose[:3, :3].T + pose[:3, 3]) * _FINE
        return [tuple(each) for each in pixels.tolist()]

    for edge, grey in ((OUTLINE, 130), (OPENING, 20)):
        draw.polygon(places(np.array([(*each, 0.0) for each in edge])), fill=grey)
    for (x, y), tip in zip(PLACES, tips, strict=True):
        if np.isfinite(tip).all():
            foot, top = places(np.array([(x, y, TIP_Z - STANDING), tip]))
            draw.line([foot, top], fill=150, width=3 * _FINE)
            draw.ellipse([top[0] - 8, top[1] - 8, top[0] + 8, top[1] + 8], fill=240)
    grey = np.asarray(image.resize(SIZE, Image.Resampling.BOX), float) + source.normal(0.0, 2.0, SIZE[::-1])
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def part_rows(split: str, part: int) -> list[dict]:
    """The rows of a part's two pictures, in one placing."""
    source = np.random.default_rng([part, 7])
    size = np.array([0.005, 0.005, 0.015, 0.3, 0.3, 0.3])
    pose = motion(source.uniform(-size, size))
    off = source.uniform(-0.8, 0.8, (len(PLACES), 3))
    tips = np.array([(*each, TIP_Z) for each in PLACES]) + off
    if part % 3 == 0:
        tips[part % len(PLACES)] = np.nan
    return [_row(split, part, name, pose, tips, source) for name in CAMERAS]


def _row(split: str, part: int, name: str, pose: np.ndarray, tips: np.ndarray, source: np.random.Generator) -> dict:
    camera = StationCamera.nominal(CAMERAS[name], *SIZE)
    picture = drawn(camera, pose, tips, source)
    rotation, shift = pose[:3, :3].T, pose[:3, 3]
    objects = []
    for index, ((x, y), tip) in enumerate(zip(PLACES, tips, strict=True)):
        is_there = bool(np.isfinite(tip).all())
        ends = camera.project(np.array([tip, (x, y, TIP_Z - STANDING)]) @ rotation + shift)
        dx, dy, up = (float(each) for each in tip - (x, y, TIP_Z))
        # As in records, retraction is that of the terminal: without what a bend lowers the tip.
        measures = {
            "dx_mm": dx,
            "dy_mm": dy,
            "true_position_mm": 2.0 * math.hypot(dx, dy),
            "retraction_mm": -up - 0.65 * (dx**2 + dy**2) / STANDING,
            "tip_px": tuple(ends[0].tolist()),
            "base_px": tuple(ends[1].tolist()),
        }
        objects.append(
            ObjectRow(
                id=index + 1,
                box=(0.0, 0.0, 8.0, 8.0),
                category="OK",
                kinds=(),
                in_answer=False,
                address=DRAWING.positions[index].address,
                cavity=str(index + 1),
                visible=1.0,
                **(measures if is_there else {}),
            )
        )
    seen = camera.matrix
    world = np.linalg.inv(pose) @ seen
    manifest = {name: "" if of == "string" else None for name, of in MANIFEST_COLUMNS.items()}
    manifest |= {"run": f"{split}{part}{name}", "split": split, "part": part, "fixture": part, "camera": name}
    manifest |= dict(zip(("scene", "housing", "terminal"), KEY, strict=True))
    row = PictureRow(
        label="OK",
        kinds=(),
        observable=True,
        grey=False,
        bbox_str="",
        objects=tuple(objects),
        camera=CameraRow(tuple(map(tuple, world.tolist())), camera.fx, camera.fy, camera.cx, camera.cy),
        tolerance=LIMIT,
        synthetic=True,
        width=SIZE[0],
        height=SIZE[1],
        manifest=manifest,
    )
    pictures = {each: {"bytes": png_bytes(picture), "path": None} for each in ("image", "nsoart")}
    return {**pictures, **columns_of(row)}


def write_drawn(folder: Path, counts: dict[str, int]) -> Path:
    """Write a dataset of drawn parts: `counts` of parts by split."""
    first, splits = 0, {}
    for name, count in counts.items():
        splits[name] = [row for part in range(first, first + count) for row in part_rows(name, part)]
        first += count
    write_dataset(folder, splits)
    (folder / "README.md").write_text("---\npinsight:\n  content_sha256: drawn\n---\n")
    (folder / CONNECTORS).write_text(connectors_json([DRAWING]))
    return folder
