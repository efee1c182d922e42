"""Photographs with drawn parts, and a finder that measures drawn edges: no network, no renderer."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from blender_scripts.contract.connector import read_connector
from generator.dataset.connectors import connectors_json, nominal_connector
from generator.locating.cameras import StationCamera
from generator.locating.covariances import covariances
from generator.locating.crops import Crops
from generator.locating.drawings import StatedDrawing, parse_drawings
from generator.locating.edges import Similarity
from generator.locating.landmarks import PIN
from generator.locating.locate import FoundPoints
from generator.locating.scaling import pitch_px
from tests.generator.locating.exact_finder import PITCH_PX, SCENE

# Subpixels per pixel and axis.
_FINE = 3
_REACH_PX, _SIGMA_PX, _BRIGHT = 9.0, 0.4, 190


def drawing_of(scene: str) -> StatedDrawing:
    connector = read_connector(SCENE.with_name(f"{scene}.toml"))
    first = nominal_connector(connector, "plain", next(iter(connector.terminals)))
    (found,) = parse_drawings(connectors_json([first]), "test").values()
    return found


def camera_of(drawing: StatedDrawing) -> StationCamera:
    """The centre camera at the gauge's scale; the part's middle is near 0, 0 px."""
    entry = drawing.cameras["center"]
    factor = PITCH_PX / pitch_px(drawing, StationCamera.nominal(entry, 1000, 1000))
    camera = StationCamera.nominal(entry, 1000, 1000).resized(factor, factor)
    return StationCamera(camera.matrix, camera.fx, camera.fy, 0.0, 0.0, camera.distortion)


def tips_of(drawing: StatedDrawing, pose: np.ndarray) -> np.ndarray:
    """Px (n, 2) of the tips in the picture of `camera_of`."""
    places = np.array([(each.x_mm, each.y_mm, each.z_mm) for each in drawing.positions])
    return camera_of(drawing).project(places @ pose[:3, :3].T + pose[:3, 3])


def background(size: tuple[int, int], seed: int) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(90, 200, (size[1] // 40, size[0] // 40), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def draw_part(photograph: Image.Image, drawing: StatedDrawing, pose: np.ndarray, similarity: Similarity) -> Image.Image:
    """Draw a part over a grey photograph: walls, opening, and a bright disc at each tip."""
    fine = photograph.resize((photograph.width * _FINE, photograph.height * _FINE))
    draw, camera = ImageDraw.Draw(fine), camera_of(drawing)
    for edge, grey in ((drawing.outline_mm, 110), (drawing.opening_mm, 20)):
        places = np.pad(np.array(edge), ((0, 0), (0, 1))) @ pose[:3, :3].T + pose[:3, 3]
        draw.polygon([tuple(each) for each in (_FINE * similarity.apply(camera.project(places))).tolist()], fill=grey)
    radius = 0.16 * PITCH_PX * similarity.scale * _FINE
    for x, y in _FINE * similarity.apply(tips_of(drawing, pose)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=240)
    return fine.resize(photograph.size, Image.Resampling.BOX)


class EdgeFinder:
    """Finds each edge at the steepest place across it, and a pin where it is bright."""

    side = 48

    def find(self, crops: Crops) -> FoundPoints:
        grey = crops.pixels.mean(axis=3)
        inwards = crops.besides - crops.marks
        normal = inwards / np.linalg.norm(inwards, axis=1, keepdims=True)
        steps = np.arange(-_REACH_PX, _REACH_PX, 0.25)
        at = crops.marks[:, None] + steps[:, None] * normal[:, None]
        columns, rows = (np.clip(np.floor(at[..., axis]).astype(int), 0, self.side - 1) for axis in (0, 1))
        profile = grey[np.arange(len(grey))[:, None], rows, columns]
        steep = np.abs(profile[:, 4:] - profile[:, :-4])
        # The middle of the steepest stretch.
        off = np.array([steps[2:-2][each >= 0.9 * each.max()].mean() for each in steep])
        is_pin = crops.kinds == PIN
        marks = crops.marks + np.where(is_pin, 0.0, off)[:, None] * normal
        middle = np.floor(crops.marks).astype(int).clip(0, self.side - 1)
        bright = grey[np.arange(len(grey)), middle[:, 1], middle[:, 0]] > _BRIGHT
        sharpness = np.broadcast_to([-np.log(_SIGMA_PX), -np.log(_SIGMA_PX), 0.0], (len(grey), 2, 3))
        found = covariances(sharpness, inwards, crops.kinds, (1.0, 1.0, 1.0))
        return FoundPoints(np.stack([marks, crops.besides], axis=1), found, np.where(bright, 0.999, 0.001))


class ShiftedEdges(EdgeFinder):
    """Finds all edges 0.8 px too far right, and tips where the discs are; each foot is as far off as its tip."""

    def find(self, crops: Crops) -> FoundPoints:
        found = super().find(crops)
        places = np.stack(np.meshgrid(np.arange(self.side), np.arange(self.side)), axis=-1) + 0.5
        near = np.linalg.norm(places - crops.marks[:, None, None], axis=-1) < 0.4 * PITCH_PX
        weights = near * np.clip(crops.pixels.mean(axis=3) - 120.0, 0.0, None) + 1e-9
        middles = np.einsum("nyx,yxi->ni", weights, places) / weights.sum(axis=(1, 2))[:, None]
        off = np.where(
            (crops.kinds == PIN)[:, None], middles - crops.marks, found.points[:, 0] - crops.marks + (0.8, 0)
        )
        return found._replace(points=np.stack([crops.marks + off, crops.besides + off], axis=1))
