"""Composites for `studies.gauge_search`: a rendered connector, cut out, turned and scaled, over another picture."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from blender_scripts.contract.connector import Connector
from generator.locating.cameras import StationCamera
from generator.locating.drawings import Key, StatedDrawing
from generator.locating.edges import Similarity
from generator.locating.scaling import pitch_px

# Size of the renders, px: more than any composite needs.
WIDTH, HEIGHT = 512, 256
_LIGHTS = ("ring", "side", "dome")
_CAMERAS = ("center", "left", "center", "right", "center", "top", "center", "bottom")
# Widths and heights of the photographs, px; least distance of the part from their border.
_SIZES, _BORDER = ((560, 800), (540, 700)), 6.0
BACKGROUNDS = ("photograph", "another connector", "noise", "gradient", "shapes")


@dataclass(frozen=True)
class Part:
    """A rendered part: RGB `picture`, its `camera` (pose in the part's axes), and the part's `drawing`.

    `height_mm` is the distance from the housing's mating face down to its back; `is_tilted`: whether the camera is any
    other than `center`.
    """

    picture: Image.Image
    camera: StationCamera
    drawing: StatedDrawing
    height_mm: float
    is_tilted: bool


@dataclass(frozen=True)
class Composite:
    """A composed photograph: a background, with or without a rendered part pasted over it.

    Attributes:
        picture: the photograph, RGB.
        background: kind of background, one of BACKGROUNDS.
        drawing: drawing of the part; without a part, that of the part to be searched for.
        scale: the part's px per mm in the photograph divided by those at which the gauge works; 0 without a part.
        is_tilted: whether the part was rendered by any other camera than `center`.
        tips: (n, 2) px of the photograph: nominal tips of the part's n pins; None without a part.
    """

    picture: Image.Image
    background: str
    drawing: StatedDrawing
    scale: float = 0.0
    is_tilted: bool = False
    tips: np.ndarray | None = None


def manifest(connector: Connector, keys: Sequence[Key], others: Mapping[str, Connector], count: int) -> str:
    """Make the manifest, as CSV text, of the renders from which photographs are composed.

    Args:
        connector: the gauge's connector; in each part, one pin is missing and two are bent.
        keys: (scene, housing, terminal), which its parts get in turn.
        others: other connectors by name; each gets count // 10 pictures (at least 1), to be used as backgrounds.
        count: number of parts of `connector`.
    """
    rows = []
    addresses = [each.address for each in connector.positions]
    source = np.random.default_rng(3)
    for number in range(count):
        _, housing, terminal = keys[number % len(keys)]
        first, second, third = (addresses[index] for index in source.permutation(len(addresses))[:3])
        defects = f"missing@{first};bent@{second}:tip_offset_mm=0.4;bent@{third}:tip_offset_mm=0.3,azimuth_deg=200"
        rows.append((f"part{number}", number, connector.name, housing, terminal, defects))
    for name, other in others.items():
        housing, terminal = next(iter(other.housings)), next(iter(other.terminals))
        rows += [(f"{name}{n}", 1000 + len(rows) + n, name, housing, terminal, "") for n in range(max(1, count // 10))]
    text = io.StringIO()
    writer = csv.writer(text)
    head = ("run", "seed", "scene", "housing", "terminal", "defects", "split", "camera", "lighting", "marking")
    writer.writerow((*head, "width", "height"))
    for row in rows:
        look = (str(source.choice(some)) for some in (_CAMERAS, _LIGHTS, ("none", "numbers")))
        writer.writerow((*row, "test", *look, WIDTH, HEIGHT))
    return text.getvalue()


def read_parts(
    renders: Path, drawings: Mapping[Key, StatedDrawing], connector: Connector
) -> tuple[list[Part], list[Image.Image]]:
    """Read the render folder `renders`; returns the parts of `connector`, and the pictures of other connectors.

    `renders` was made from a manifest of the function `manifest`. `drawings`: by (scene, housing, terminal).
    """
    parts, others = [], []
    for path in sorted((renders / "records").glob("*.json")):
        record = json.loads(path.read_text("utf-8"))
        picture = Image.open(renders / "images" / f"{record['run']}.png").convert("RGB")
        row, seen = record["row"], record["camera"]
        if row["scene"] != connector.name:
            others.append(picture)
            continue
        camera = StationCamera(
            np.array(seen["matrix_world"]), seen["fx"], seen["fy"], seen["cx"], seen["cy"], tuple(seen["distortion"])
        )
        drawing = drawings[row["scene"], row["housing"], row["terminal"]]
        parts.append(Part(picture, camera, drawing, connector.shell.height_mm, seen["name"] != "center"))
    return parts, others


def composite(
    parts: Sequence[Part],
    others: Sequence[Image.Image],
    photographs: Sequence[Image.Image],
    pitch: float,
    number: int,
    is_shown: bool,
) -> Composite:
    """Compose one photograph; equal arguments give the same photograph.

    Args:
        parts: rendered parts, one of which is pasted.
        others: pictures of other connectors, used as backgrounds.
        photographs: photographs, used as backgrounds; may be empty.
        pitch: px between neighbouring pins at the gauge's scale.
        number: number of the photograph; it chooses the kind of background and, with `is_shown`, seeds all draws.
        is_shown: whether a part is pasted.
    """
    source = np.random.default_rng([number, int(is_shown)])
    size = source.integers(*_SIZES[0]), source.integers(*_SIZES[1])
    names = [name for name in BACKGROUNDS if name != "photograph" or photographs]
    name = names[number % len(names)]
    picture = _background(name, (int(size[0]), int(size[1])), others, photographs, source)
    part = parts[int(source.integers(len(parts)))]
    if not is_shown:
        return Composite(_captured(picture, source), name, part.drawing)
    own = pitch_px(part.drawing, StationCamera.nominal(part.drawing.cameras["center"], *part.picture.size))
    while True:
        scale = float(np.exp(source.uniform(np.log(0.5), np.log(2.0))))
        factor = scale * pitch / own * np.exp(2j * np.pi * source.random())
        around = _silhouette(part)
        points = factor * (around @ (1.0, 1.0j))
        room = np.array(picture.size) - 2.0 * _BORDER - (np.ptp(points.real), np.ptp(points.imag))
        if room.min() > 0.0:
            break
    corner = _BORDER + room * source.random(2) - (points.real.min(), points.imag.min())
    similarity = Similarity(complex(factor), complex(*corner))
    picture.paste(_moved(part.picture, similarity, picture.size), (0, 0), _mask(similarity.apply(around), picture.size))
    places = np.array([(each.x_mm, each.y_mm, each.z_mm) for each in part.drawing.positions], float)
    tips = similarity.apply(part.camera.project(places))
    return Composite(_captured(picture, source), name, part.drawing, scale, part.is_tilted, tips)


def _silhouette(part: Part) -> np.ndarray:
    """The convex hull (n, 2), px, of the housing's outline at the mating face and at its lower end."""
    assert part.drawing.outline_mm is not None
    edge = np.array(part.drawing.outline_mm, float)
    ends = [np.pad(edge, ((0, 0), (0, 1)), constant_values=z) for z in (0.0, -part.height_mm)]
    return _hull(part.camera.project(np.concatenate(ends)))


def _hull(points: np.ndarray) -> np.ndarray:
    """Convex hull of points (n, 2), by Andrew's monotone chain."""

    def chain(ordered: np.ndarray) -> list[np.ndarray]:
        kept: list[np.ndarray] = []
        for point in ordered:
            while len(kept) > 1:
                (ax, ay), (bx, by) = kept[-1] - kept[-2], point - kept[-2]
                if ax * by - ay * bx > 0.0:
                    break
                kept.pop()
            kept.append(point)
        return kept[:-1]

    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    return np.array(chain(ordered) + chain(ordered[::-1]))


def _mask(polygon: np.ndarray, size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", (2 * size[0], 2 * size[1]))
    ImageDraw.Draw(mask).polygon([(2.0 * x, 2.0 * y) for x, y in polygon], fill=255)
    return mask.resize(size, Image.Resampling.BOX)


def _moved(picture: Image.Image, similarity: Similarity, size: tuple[int, int]) -> Image.Image:
    """The picture moved by a similarity, on a canvas of `size`."""
    shrunk, ratio = picture, min(1.0, similarity.scale)
    if ratio < 1.0:
        new = round(picture.width * ratio), round(picture.height * ratio)
        shrunk = picture.resize(new, Image.Resampling.LANCZOS)
    across, down = shrunk.width / picture.width, shrunk.height / picture.height
    inverse = Similarity(1.0 / similarity.factor, -similarity.shift / similarity.factor)
    matrix = np.array([[across], [down]]) * np.column_stack([inverse.linear, [inverse.shift.real, inverse.shift.imag]])
    return shrunk.transform(size, Image.Transform.AFFINE, matrix.ravel().tolist(), Image.Resampling.BICUBIC)


def _captured(picture: Image.Image, source: np.random.Generator) -> Image.Image:
    """The picture with another exposure, a little blur in half of them, and noise."""
    if source.random() < 0.5:
        picture = picture.filter(ImageFilter.GaussianBlur(float(source.uniform(0.0, 0.6))))
    pixels = np.asarray(picture, float) * source.uniform(0.7, 1.3)
    noisy = pixels + source.normal(0.0, source.uniform(0.0, 4.0), pixels.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _background(
    name: str,
    size: tuple[int, int],
    others: Sequence[Image.Image],
    photographs: Sequence[Image.Image],
    source: np.random.Generator,
) -> Image.Image:
    if name in ("photograph", "another connector"):
        some = photographs if name == "photograph" else others
        return _cropped(some[int(source.integers(len(some)))], size, source)
    if name == "noise":
        cells = int(source.integers(8, 80))
        coarse = Image.fromarray(source.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        return coarse.resize(size, Image.Resampling.BICUBIC)
    if name == "gradient":
        return Image.fromarray(source.integers(0, 256, (2, 2, 3), dtype=np.uint8)).resize(
            size, Image.Resampling.BILINEAR
        )
    return _shapes(size, source)


def _cropped(picture: Image.Image, size: tuple[int, int], source: np.random.Generator) -> Image.Image:
    """A random part of a picture, enlarged as needed, turned by a multiple of 90° and mirrored at random."""
    picture = picture.transpose(Image.Transpose(int(source.integers(7))))
    factor = source.uniform(1.0, 2.0) * max(size[0] / picture.width, size[1] / picture.height)
    new = int(np.ceil(picture.width * factor)), int(np.ceil(picture.height * factor))
    left, top = (int(source.integers(0, most + 1)) for most in (new[0] - size[0], new[1] - size[1]))
    box = (left / factor, top / factor, (left + size[0]) / factor, (top + size[1]) / factor)
    box = (box[0], box[1], min(box[2], picture.width), min(box[3], picture.height))
    return picture.resize(size, Image.Resampling.BICUBIC, box)


def _shapes(size: tuple[int, int], source: np.random.Generator) -> Image.Image:
    """Rectangles and ellipses of any colour, full or empty, over one another."""

    def colour() -> tuple[int, int, int]:
        red, green, blue = source.integers(0, 256, 3).tolist()
        return red, green, blue

    picture = Image.new("RGB", size, colour())
    draw = ImageDraw.Draw(picture)
    for _ in range(40):
        corner = source.uniform((0.0, 0.0), size)
        box: Any = (*corner, *(corner + source.uniform(10.0, (300.0, 200.0))))
        shape = draw.rectangle if source.random() < 0.5 else draw.ellipse
        shape(box, fill=colour() if source.random() < 0.5 else None, outline=colour(), width=3)
    return picture
