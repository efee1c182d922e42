"""The inspection station for one placement of the part: camera pose, light, and settings of lens and sensor.

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
from blender_scripts.contract.nuisance import Nuisance
from blender_scripts.contract.photographs import Photograph
from blender_scripts.contract.station import MODELS, SceneCamera, is_telecentric
from blender_scripts.contract.world import World, tint
from blender_scripts.geometry.lens import NO_DISTORTION, Lens
from blender_scripts.geometry.sensor import Capture

_DIRECTIONS = {"center": (0.0, 0.0), "left": (-1.0, 0.0), "right": (1.0, 0.0), "top": (0.0, 1.0), "bottom": (0.0, -1.0)}


@dataclass(frozen=True)
class Camera:
    """A camera: its pose and its lens.

    Attributes:
        matrix_world: (4, 4) from Blender's camera axes (looks along -Z, Y up) to world, mm.
        lens: its pixel geometry. The normalised coordinates of a point (X, Y, Z) in camera axes, to the right and
            downwards, are X / -Z and Y / Z; for a telecentric camera they are X and -Y in mm.
        telecentric: whether rays are parallel, so that the scale does not depend on the distance.
    """

    name: str
    matrix_world: np.ndarray
    lens: Lens
    telecentric: bool = False

    def depth(self, points: np.ndarray) -> np.ndarray:
        """Distances (...) of world points (..., 3) from the camera, along its optical axis, mm; negative behind it."""
        found: np.ndarray = (self.matrix_world[:3, 3] - points) @ self.matrix_world[:3, 2]
        return found

    def px_per_mm(self, points: np.ndarray) -> np.ndarray:
        """Scale (...), px per mm across the optical axis, at world points (..., 3), mm, in front of the camera."""
        far = np.maximum(self.depth(points), 1e-3)
        return np.full(far.shape, self.lens.focal_px) if self.telecentric else self.lens.focal_px / far

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project world points (..., 3) in mm to pixels (..., 2) of the picture."""
        x, y, z = self.matrix_world[:3, :3].T @ (points.reshape(-1, 3) - self.matrix_world[:3, 3]).T
        # Blender's camera looks along -Z with Y up; the lens has y downwards.
        flat = np.stack([x, -y] if self.telecentric else [x / -z, y / z], axis=-1)
        return self.lens.to_pixels(flat.reshape(*points.shape[:-1], 2))

    def rays(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The rays in the world through pixels (..., 2) of the picture: all points of a ray project to its pixel.

        Returns:
            Origins (..., 3), mm: the camera's centre; for a telecentric camera, points in the plane through the centre
            perpendicular to the axis. Unit directions (..., 3), away from the camera.
        """
        x, y = np.moveaxis(self.lens.to_normalised(pixels), -1, 0)
        nothing, axes = np.zeros_like(x), self.matrix_world[:3, :3].T
        aside, ahead = np.stack([x, -y, nothing], axis=-1), np.stack([nothing, nothing, nothing - 1.0], axis=-1)
        start, direction = (aside, ahead) if self.telecentric else (np.zeros_like(aside), aside + ahead)
        direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True)
        return start @ axes + self.matrix_world[:3, 3], direction @ axes

    def at_depth(self, pixels: np.ndarray, depth_mm: np.ndarray) -> np.ndarray:
        """The points (..., 3) in the world, mm, at pixels (..., 2) and distances (...) along the optical axis, mm."""
        origins, directions = self.rays(pixels)
        ahead = directions @ -self.matrix_world[:3, 2]
        found: np.ndarray = origins + directions * (depth_mm / ahead)[..., None]
        return found

    def undistorted(self) -> Camera:
        """The distortion-free camera with which Blender renders; its picture adds the lens's margin on each side."""
        lens, margin = self.lens, 2 * self.lens.margin
        return replace(self, lens=Lens(lens.width + margin, lens.height + margin, lens.focal_px, NO_DISTORTION))

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Camera:
        """Build the camera that is stated under `camera` in the record of a picture.

        Raises:
            KeyError, TypeError, ValueError: the record has no valid camera.
        """
        camera = record["camera"]
        lens = Lens(int(record["width"]), int(record["height"]), float(camera["fx"]), tuple(camera["distortion"]))
        matrix = np.array(camera["matrix_world"], float)
        if matrix.shape != (4, 4):
            raise ValueError(f"camera.matrix_world must be 4 x 4 numbers, got shape {matrix.shape}")
        return cls(str(camera["name"]), matrix, lens, is_telecentric(camera))

    def as_record(self) -> dict[str, object]:
        """The camera as the record of a picture states it under `camera`."""
        return {
            "name": self.name,
            "model": MODELS[self.telecentric],
            "matrix_world": self.matrix_world.tolist(),
            "fx": self.lens.focal_px,
            "fy": self.lens.focal_px,
            "cx": 0.5 * self.lens.width,
            "cy": 0.5 * self.lens.height,
            "distortion": list(self.lens.distortion),
        }


@dataclass(frozen=True)
class Station:
    """The inspection station as one camera sees it, for one placement of the part (the manifest's column `fixture`).

    The part stays at the world's origin and the station moves, so that world coordinates are those of the housing.

    Attributes:
        matrix: (4, 4) rigid motion from station axes to world, mm.
        camera: the camera's pose and lens.
        view_direction: unit vector, in station axes, that points from the part to the camera.
        light_power: factor on the lamps' power.
        light_azimuth_deg: angle added to the direction of `side` lamps.
        focus_mm: distance of the plane in focus from the camera along its axis.
        f_number: the lens's f-number; 0 = everything is in focus; for a telecentric lens, that on the sensor's side.
        fixture_shade: factor on the colour of the table under the part.
        motion_px: px by which the undistorted picture moves, right and down, during the exposure. `matrix` is
            the pose in the middle of the exposure.
        photograph: picture of the table under the part, the same for all cameras; None: plain colour.
        capture: settings of the sensor.
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


def away_from_part(view: str, angle_deg: float) -> np.ndarray:
    """Return the direction (3,) from the part to the camera `view`, on the station.

    `angle_deg` is the angle between its axis and that of the center camera; that of the center camera itself is 0.
    """
    towards_x, towards_y = _DIRECTIONS[view]
    angle = math.radians(angle_deg) if (towards_x or towards_y) else 0.0
    return np.array([towards_x * math.sin(angle), towards_y * math.sin(angle), math.cos(angle)])


def look_at(position: np.ndarray, target: np.ndarray, up: np.ndarray) -> np.ndarray:
    """Return the pose (4, 4) of a camera whose -Z axis points to `target` and whose Y axis is closest to `up`.

    Args:
        position, target: (3,) mm.
        up: (3,) a direction.
    """
    backward = (position - target) / np.linalg.norm(position - target)
    right = np.cross(up, backward)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = (right, np.cross(backward, right), backward, position)
    return matrix


def _photograph(connector: Connector, fixture: int) -> Photograph | None:
    offered = connector.backdrop.photographs if connector.backdrop else ()
    return offered[int(draws.generator(fixture, "photograph").random() * len(offered))] if offered else None


def placing_draws(nuisance: Nuisance, fixture: int) -> tuple[float, float, float, float, float, float]:
    """Draw a placing: shifts in X and Y, mm; rotation about Z, tilts about X and Y, degrees; distance, mm."""
    pose = draws.generator(fixture, "pose")
    shift_x, shift_y = (draws.symmetric(pose, nuisance.shift_mm) for _ in range(2))
    turn = draws.symmetric(pose, nuisance.rotation_deg)
    lean_x, lean_y = (draws.symmetric(pose, nuisance.tilt_deg) for _ in range(2))
    return shift_x, shift_y, turn, lean_x, lean_y, draws.symmetric(pose, nuisance.distance_mm)


def _placing(nuisance: Nuisance, fixture: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw how a part lies on the station: station to world (4, 4), and the shift (3,) of its rig of cameras, mm."""
    shift_x, shift_y, turn, lean_x, lean_y, distance = placing_draws(nuisance, fixture)
    motion = np.eye(4)
    motion[:2, 3] = shift_x, shift_y
    motion[:3, :3] = _rotation(lean_x, lean_y, turn)
    return np.linalg.inv(motion), np.array([0.0, 0.0, distance])


def _motion_px(rig: SceneCamera, view: Camera, station: np.ndarray, moved_mm: float) -> tuple[float, float]:
    """How far the undistorted picture moves, right and down, while part and table move by `moved_mm`."""
    belt, target = math.radians(rig.motion_azimuth_deg), np.array(rig.target_mm)
    step = 0.5 * moved_mm * np.array([math.cos(belt), math.sin(belt), 0.0])
    ends = np.stack([target - step, target + step]) @ station[:3, :3].T + station[:3, 3]
    first, last = view.undistorted().project(ends).tolist()
    return last[0] - first[0], last[1] - first[1]


def set_up_station(connector: Connector, camera: str, fixture: int, width: int, height: int) -> Station:
    """Draw one placement of the part on the station at random, and return the station as one camera sees it.

    All cameras of a placement share the part's pose, the light and the table, as they are mounted on one rig. Focus,
    exposure and white balance are drawn for each camera.

    Args:
        connector: the scene.
        camera: name of the view.
        fixture: seed of the placement (the manifest's column `fixture`).
        width, height: picture size in px.
    """
    rig, nuisance, sensor = connector.cameras[camera], connector.nuisance, connector.sensor
    station, lift = _placing(nuisance, fixture)
    light = draws.generator(fixture, "light")
    power = 1.0 + draws.symmetric(light, nuisance.light_power)
    azimuth = draws.symmetric(light, nuisance.light_azimuth_deg)
    shade = 2.0 ** draws.symmetric(draws.generator(fixture, "fixture"), nuisance.fixture_shade)
    exposure = 2.0 ** draws.symmetric(draws.generator(fixture, "exposure", camera), nuisance.exposure)
    defocus = draws.symmetric(draws.generator(fixture, "focus", camera), nuisance.focus_mm)
    warmth = draws.symmetric(draws.generator(fixture, "white balance", camera), nuisance.white_balance)

    away = away_from_part(camera, rig.angle_deg)
    target = np.array(rig.target_mm)
    position = target + rig.distance_mm * away
    px_per_unit = width / rig.field_mm if rig.field_mm else rig.focal_mm / rig.sensor_width_mm * width
    red, green, blue = sensor.white_balance
    view = Camera(
        camera,
        station @ look_at(position + lift, target + lift, np.array([0.0, 1.0, 0.0])),
        Lens(width, height, px_per_unit, rig.distortion),
        telecentric=bool(rig.field_mm),
    )
    moved = max(0.0, rig.motion_mm + draws.symmetric(draws.generator(fixture, "motion"), nuisance.motion_mm))
    return Station(
        matrix=station,
        camera=view,
        view_direction=away,
        light_power=power,
        light_azimuth_deg=azimuth,
        focus_mm=max(1.0, (position[2] - rig.focus_z_mm) / away[2] + defocus),
        f_number=rig.f_number,
        fixture_shade=shade,
        motion_px=_motion_px(rig, view, station, moved),
        photograph=_photograph(connector, fixture),
        capture=Capture(
            exposure=exposure,
            white_balance=(red * (1.0 + warmth), green, blue * (1.0 - warmth)),
            vignetting=rig.vignetting,
            full_well_e=sensor.full_well_e,
            read_noise_e=sensor.read_noise_e,
            hot_pixels=sensor.hot_pixels,
        ),
    )


def widened(station: Station, world: World) -> Station:
    """Return the station of a row in the wide world, whose pose and camera are the same.

    Args:
        station: the station in the world of the scene.
        world: the row's draws.
    """
    capture, motion = station.capture, world.motion_px(station.camera.lens.width)
    red, green, blue = capture.white_balance
    cast = tint(world.value("cast_warmth"), world.value("cast_green"))
    return replace(
        station,
        light_power=station.light_power * world.stops("lamp_stops"),
        light_azimuth_deg=station.light_azimuth_deg + world.value("lamp_azimuth_deg"),
        fixture_shade=station.fixture_shade * world.stops("table_stops"),
        motion_px=(station.motion_px[0] + motion[0], station.motion_px[1] + motion[1]),
        capture=replace(
            capture,
            exposure=capture.exposure * world.stops("exposure_stops"),
            white_balance=(red * cast[0], green * cast[1], blue * cast[2]),
            vignetting=max(capture.vignetting, world.value("vignetting")),
            full_well_e=world.full_well_e(capture.full_well_e),
            read_noise_e=max(capture.read_noise_e, world.value("read_noise_e")),
        ),
    )
