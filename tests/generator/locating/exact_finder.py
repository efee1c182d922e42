"""A finder that knows the truth: it projects true points in place of looking for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from blender_scripts.contract.connector import read_connector
from generator.dataset.connectors import connectors_json, nominal_connector
from generator.locating.cameras import StationCamera
from generator.locating.covariances import covariances
from generator.locating.crops import Crops
from generator.locating.drawings import StatedDrawing, parse_drawings
from generator.locating.factors import Factors
from generator.locating.fit import FitLimits
from generator.locating.gauge import Gauge
from generator.locating.landmarks import queries
from generator.locating.locate import FoundPoints
from generator.locating.pose import motion
from generator.locating.scaling import scaled

SCENE = Path(__file__).resolve().parents[3] / "scenes" / "connector_3x9.toml"
SIGMA_PX, PITCH_PX = 0.05, 20.7
POSE = motion(np.array([0.005, -0.004, 0.008, 0.3, -0.2, 0.5]))


def connectors_text(*pairs: tuple[str, str]) -> str:
    """connectors.json of the scene with these housings and terminals."""
    connector = read_connector(SCENE)
    return connectors_json([nominal_connector(connector, *pair) for pair in pairs])


def drawing_of(housing: str = "plain", terminal: str = "round") -> StatedDrawing:
    (found,) = parse_drawings(connectors_text((housing, terminal)), "test").values()
    return found


class ExactFinder:
    """A finder for pictures of one grey value each, by which it tells the view.

    Args:
        drawing: of the part.
        views: names of the pictures' cameras, in the order of their grey values.
        displaced: (dx, dy, retraction) in mm by address; None: missing.
        poses: true pose by view, where it is not POSE.
    """

    side = 48

    def __init__(self, drawing, views, displaced=None, poses=None):
        self.queries, self.displaced = queries(drawing), displaced or {}
        self.addresses = [each.address for each in drawing.positions]
        nominal = [StationCamera.nominal(drawing.cameras[view], *grey(0).size) for view in views]
        self.cameras = [scaled(grey(0), drawing, camera, PITCH_PX)[1] for camera in nominal]
        self.poses = [(poses or {}).get(view, POSE) for view in views]

    def find(self, crops: Crops) -> FoundPoints:
        index = int(crops.pixels[0, 0, 0, 0])
        which = crops.which
        places = np.stack([self.queries.marks[which], self.queries.besides[which]], axis=1)
        present = np.ones(len(places))
        for number, query in enumerate(which):
            if query < self.queries.pins:
                off = self.displaced.get(self.addresses[query], (0.0, 0.0, 0.0))
                if off is None:
                    present[number] = 1e-6
                else:
                    places[number, 0] += (off[0], off[1], -off[2])
        pose = self.poses[index]
        pixels = self.cameras[index].project(places @ pose[:3, :3].T + pose[:3, 3]) - crops.corners[:, None]
        sharpness = np.broadcast_to([-np.log(SIGMA_PX), -np.log(SIGMA_PX), 0.0], (len(places), 2, 3))
        found = covariances(sharpness, crops.besides - crops.marks, crops.kinds, (1.0, 1.0, 1.0))
        return FoundPoints(pixels, found, present)


def grey(value: int) -> Image.Image:
    return Image.new("RGB", (256, 128), (value, value, value))


def pictures_of(views) -> dict[str, Image.Image]:
    return {view: grey(number) for number, view in enumerate(views)}


def gauge_of(finder, limits: FitLimits | None = None) -> Gauge:
    return Gauge(finder, PITCH_PX, Factors(), limits or FitLimits(1.5, 0.9, 0.2), {})
