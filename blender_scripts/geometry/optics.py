"""The station of one capture: pose of camera and light, settings of lens and sensor.

Pixels follow the edge convention: the picture is [0, W] x [0, H], a pixel's centre at half integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blender_scripts.contract import draws
from blender_scripts.contract.connector import Connector
from blender_scripts.contract.photographs import Photograph
from blender_scripts.geometry.lens import NO_DISTORTION, Lens
from blender_scripts.geometry.sensor import Capture

_DIRECTIONS = {
    "center": (0.0, 0.0),
    "left": (-1.0, 0.0),
    "right": (1.0, 0.0),
    "top": (0.0, 1.0),
    "bottom": (0.0, -1.0),
}


@dataclass(frozen=True)
class Camera:
    """A camera: `matrix_world` (4, 4) from Blender's camera axes (looks along -Z, Y up) to world, and its `lens`."""

    name: str
    matrix_world: np.ndarray
    lens: Lens

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project world points (..., 3) in mm to pixels (..., 2) of the picture."""
        x, y, z = self.matrix_world[:3, :3].T @ (points.reshape(-1, 3) - self.matrix_world[:3, 3]).T
        # Blender's camera looks along -Z with Y up; the lens has y downwards.
        return self.lens.to_pixels(np.stack([x / -z, y / z], axis=-1).reshape(*points.shape[:-1], 2))

    def undistorted(self) -> Camera:
        """The pinhole view that is rendered: the picture's size plus the lens's margin on each side."""
        lens, margin = self.lens, 2 * self.lens.margin
        return replace(self, lens=Lens(lens.width + margin, lens.height + margin, lens.focal_px, NO_DISTORTION))

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Camera:
        """Build the camera that a picture's record states.

        Raises:
            KeyError, TypeError, ValueError: the record has no valid camera.
        """
        camera = record["camera"]
        lens = Lens(int(record["width"]), int(record["height"]), float(camera["fx"]), tuple(camera["distortion"]))
        matrix = np.array(camera["matrix_world"], float)
        if matrix.shape != (4, 4):
            raise ValueError(f"camera.matrix_world must be 4 x 4 numbers, got shape {matrix.shape}")
        return cls(str(camera["name"]), matrix, lens)

    def as_record(self) -> dict[str, object]:
        return {
            "name": self.name,
            "matrix_world": self.matrix_world.tolist(),
            "fx": self.lens.focal_px,
            "fy": self.lens.focal_px,
            "cx": 0.5 * self.lens.width,
            "cy": 0.5 * self.lens.height,
            "distortion": list(self.lens.distortion),
        }


@dataclass(frozen=True)
class Station:
    """The inspection station relative to the part in one capture, mm.

    The part stays at the world's origin, so that world coordinates are those of the housing's datum.

    Attributes:
        matrix: (4, 4) station to world, a rigid motion.
        view_direction: from the part to the camera, a unit vector in the station's own axes.
        focus_mm: distance of the plane in focus from the camera along its axis.
        light_power: factor on the lamps' power.
        f_number: 0 = everything is in focus.
        fixture_shade: factor on the colour of the table under the part.
        motion_px: how far the undistorted picture moves, right and down, during the exposure, in whose middle the part
            has the pose stated here.
        photograph: lies on the table; the same in every view of a capture.
    """

    matrix: np.ndarray
    camera: Camera
    view_direction: np.ndarray
    light_power: float
    light_azimuth_deg: float
    focus_mm: float
    f_number: float
    fixture_shade: float
    motion_px: tuple[float, float]
    photograph: Photograph | None
    capture: Capture


def _rotation(x_deg: float, y_deg: float, z_deg: float) -> np.ndarray:
    """Rotation matrix (3, 3): about X first, then Y, then Z."""
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(a), math.sin(a)) for a in map(math.radians, (x_deg, y_deg, z_deg)))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turned: np.ndarray = about_z @ about_y @ about_x
    return turned


def look_at(position: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """A matrix (4, 4) whose -Z axis looks from position to target, its Y axis as near to `up` as it can be."""
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


def _photograph(connector: Connector, seed: int) -> Photograph | None:
    offered = connector.backdrop.photographs if connector.backdrop else ()
    return offered[int(draws.generator(seed, "photograph").random() * len(offered))] if offered else None


def set_up_station(connector: Connector, camera: str, seed: int, width: int, height: int) -> Station:
    """Draw one capture at random from its seed: the part's pose under the camera, light, focus and exposure.

    Args:
        connector: the scene.
        camera: name of the view; each view has its own draws.
        seed: the row's seed.
        width, height: picture size in px.
    """
    rig, nuisance, sensor = connector.cameras[camera], connector.nuisance, connector.sensor
    pose = draws.generator(seed, "pose", camera)
    shift = [draws.symmetric(pose, nuisance.shift_mm) for _ in range(2)]
    turn = draws.symmetric(pose, nuisance.rotation_deg)
    lean = [draws.symmetric(pose, nuisance.tilt_deg) for _ in range(2)]
    distance = rig.distance_mm + draws.symmetric(pose, nuisance.distance_mm)
    light = draws.generator(seed, "light", camera)
    power = 1.0 + draws.symmetric(light, nuisance.light_power)
    azimuth = draws.symmetric(light, nuisance.light_azimuth_deg)
    exposure = 2.0 ** draws.symmetric(light, nuisance.exposure)
    defocus = draws.symmetric(draws.generator(seed, "focus", camera), nuisance.focus_mm)
    warmth = draws.symmetric(draws.generator(seed, "white balance", camera), nuisance.white_balance)
    shade = 2.0 ** draws.symmetric(draws.generator(seed, "fixture", camera), nuisance.fixture_shade)

    motion = np.eye(4)
    motion[:3, :3] = _rotation(lean[0], lean[1], turn)
    motion[:3, 3] = [*shift, 0.0]
    station = np.linalg.inv(motion)

    towards_x, towards_y = _DIRECTIONS[camera]
    angle = math.radians(rig.angle_deg) if (towards_x or towards_y) else 0.0
    away = np.array([towards_x * math.sin(angle), towards_y * math.sin(angle), math.cos(angle)])
    target = np.array(rig.target_mm)
    position = target + distance * away
    red, green, blue = sensor.white_balance
    view = Camera(
        camera,
        station @ look_at(position, target, np.array([0.0, 1.0, 0.0])),
        Lens(width, height, rig.focal_mm / rig.sensor_width_mm * width, rig.distortion),
    )
    moved = max(0.0, rig.motion_mm + draws.symmetric(draws.generator(seed, "motion", camera), nuisance.motion_mm))
    belt = math.radians(rig.motion_azimuth_deg)
    step = 0.5 * moved * np.array([math.cos(belt), math.sin(belt), 0.0])
    ends = np.stack([target - step, target + step]) @ station[:3, :3].T + station[:3, 3]
    first, last = view.undistorted().project(ends).tolist()
    return Station(
        matrix=station,
        camera=view,
        view_direction=away,
        light_power=power,
        light_azimuth_deg=azimuth,
        focus_mm=max(1.0, (position[2] - rig.focus_z_mm) / away[2] + defocus),
        f_number=rig.f_number,
        fixture_shade=shade,
        motion_px=(last[0] - first[0], last[1] - first[1]),
        photograph=_photograph(connector, seed),
        capture=Capture(
            exposure=exposure,
            white_balance=(red * (1.0 + warmth), green, blue * (1.0 - warmth)),
            vignetting=rig.vignetting,
            full_well_e=sensor.full_well_e,
            read_noise_e=sensor.read_noise_e,
            hot_pixels=sensor.hot_pixels,
        ),
    )
