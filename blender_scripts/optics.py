"""The camera as an inspector's lens: where it stands, and where it puts a point of the part.

Pixels follow the edge convention: the picture is [0, W] x [0, H], a pixel's centre at half integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import draws
from .connector import CameraRig, Nuisance

_DIRECTIONS = {
    "center": (0.0, 0.0),
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "top": (0.0, 1.0),
    "bottom": (0.0, -1.0),
}


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: `matrix_world` (4, 4) is Blender's camera to world (looks along -Z, Y up), fx..cy in px."""

    name: str
    matrix_world: np.ndarray
    fx: float
    fy: float
    cx: float
    cy: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (..., 3) in mm to pixels (..., 2)."""
        rotation, origin = self.matrix_world[:3, :3], self.matrix_world[:3, 3]
        local = (points - origin) @ rotation
        depth = -local[..., 2]
        return np.stack(
            [self.cx + self.fx * local[..., 0] / depth, self.cy - self.fy * local[..., 1] / depth], axis=-1
        )

    def as_record(self) -> dict[str, object]:
        return {
            "name": self.name,
            "matrix_world": self.matrix_world.tolist(),
            "fx": self.fx,
            "fy": self.fy,
            "cx": self.cx,
            "cy": self.cy,
            "distortion": [0.0] * 5,
        }


@dataclass(frozen=True)
class Station:
    """The inspection station as the part sees it in one capture: a rigid motion of camera and light, mm.

    The part stays at the world's origin, so that world coordinates are those of the housing's datum.
    """

    matrix: np.ndarray
    camera: Camera
    light_power: float
    light_azimuth_deg: float
    exposure: float


def _rotation(x_deg: float, y_deg: float, z_deg: float) -> np.ndarray:
    """Z after Y after X, (3, 3)."""
    (cx, sx), (cy, sy), (cz, sz) = (
        (math.cos(a), math.sin(a)) for a in map(math.radians, (x_deg, y_deg, z_deg))
    )
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def look_at(position: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """A matrix (4, 4) whose -Z looks from position to target with Y as near to `up` as it can be."""
    backward = (position - target) / np.linalg.norm(position - target)
    right = np.cross(up, backward)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = (
        right,
        np.cross(backward, right),
        backward,
        position,
    )
    return matrix


def set_up_station(
    rig: CameraRig, nuisance: Nuisance, camera: str, seed: int, width: int, height: int
) -> Station:
    """Draw one capture: how the part lies under the camera, how the light burns.

    Args:
        rig, nuisance: of the scene.
        camera: view; pose and light draw from generators keyed by it too.
        seed: the row's seed.
        width, height: picture size in px.
    """
    pose = draws.generator(seed, "pose", camera)
    shift = [draws.symmetric(pose, nuisance.shift_mm) for _ in range(2)]
    turn = draws.symmetric(pose, nuisance.rotation_deg)
    lean = [draws.symmetric(pose, nuisance.tilt_deg) for _ in range(2)]
    distance = rig.distance_mm + draws.symmetric(pose, nuisance.distance_mm)
    light = draws.generator(seed, "light", camera)
    power = 1.0 + draws.symmetric(light, nuisance.light_power)
    azimuth = draws.symmetric(light, nuisance.light_azimuth_deg)
    exposure = 2.0 ** draws.symmetric(light, nuisance.exposure)

    motion = np.eye(4)
    motion[:3, :3] = _rotation(lean[0], lean[1], turn)
    motion[:3, 3] = [*shift, 0.0]
    station = np.linalg.inv(motion)

    towards_x, towards_y = _DIRECTIONS[camera]
    angle = math.radians(rig.angle_deg)
    away = math.sin(angle)
    upright = math.cos(angle) if (towards_x or towards_y) else 1.0
    target = np.array(rig.target_mm)
    position = target + distance * np.array([towards_x * away, towards_y * away, upright])
    matrix = station @ look_at(position, target, np.array([0.0, 1.0, 0.0]))
    focal_px = rig.focal_mm / rig.sensor_width_mm * width
    view = Camera(camera, matrix, focal_px, focal_px, 0.5 * width, 0.5 * height)
    return Station(station, view, power, azimuth, exposure)
