"""The inspection station of a scene: cameras, sensor, light set-ups."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blender_scripts.contract.toml_section import TomlSection

CAMERAS = ("center", "left", "right", "top", "bottom")
PINHOLE, TELECENTRIC = MODELS = ("pinhole", "telecentric")


@dataclass(frozen=True)
class SceneCamera:
    """One camera: its lens, and its place in the station.

    Attributes:
        distance_mm: distance from the centre of projection to `target_mm`.
        angle_deg: angle between the optical axes of this view and the centre view; the centre view ignores it.
        focal_mm: focal length; not used by a telecentric camera.
        field_mm: width of the field of view of a telecentric camera; None: a camera with perspective (a pinhole).
        sensor_width_mm: width of the image sensor.
        target_mm: (x, y, z) of the point that the camera looks at.
        f_number: 0 = everything is in focus.
        focus_z_mm: z of the point where the optical axis meets the plane in focus.
        distortion: OpenCV's k1, k2, p1, p2, k3.
        vignetting: share of the light that is lost in the picture's corners.
        motion_mm: how far the part and its table move during the exposure, on average.
        motion_azimuth_deg: direction of that motion in the station: 0 = +X, 90 = +Y.
    """

    distance_mm: float
    angle_deg: float
    focal_mm: float
    field_mm: float | None
    sensor_width_mm: float
    target_mm: tuple[float, float, float]
    f_number: float
    focus_z_mm: float
    distortion: tuple[float, float, float, float, float]
    vignetting: float
    motion_mm: float = 0.0
    motion_azimuth_deg: float = 0.0


@dataclass(frozen=True)
class Sensor:
    """The camera's image sensor (EMVA Standard 1288).

    Attributes:
        full_well_e: electrons of a full pixel; 0 = neither shot noise nor read noise.
        read_noise_e: standard deviation in electrons.
        hot_pixels: share of pixels that are hot (defective, always bright).
        white_balance: factors on red, green and blue.
        jpeg_quality: quality 1 to 100 of the JPEG compression in the camera; 0 = none.
    """

    full_well_e: float
    read_noise_e: float
    hot_pixels: float
    white_balance: tuple[float, float, float]
    jpeg_quality: int


@dataclass(frozen=True)
class Lighting:
    """A light set-up; scene/lamps.py describes the kinds.

    Attributes:
        power: relative brightness; at 1, dark to medium plastics are well exposed.
        height_mm, radius_mm, width_mm: place and size of the lamp, by kind as in docs/reference/scenes.md.
        azimuth_deg: direction of a `side` lamp: 0 = +X, 90 = +Y.
        ambient: brightness of the grey room around the station.
        parts: for kind `mixed`, the names of other set-ups and the share of this set-up's `power` that each gets in
            place of its own; else empty. This set-up's `ambient` applies.
    """

    name: str
    kind: str
    power: float
    height_mm: float
    radius_mm: float
    width_mm: float
    azimuth_deg: float
    ambient: float
    parts: tuple[tuple[str, float], ...]


def read_cameras(section: TomlSection) -> dict[str, SceneCamera]:
    """Read the table `[camera]`; returns a camera for each of CAMERAS. `[camera.left]` overrides keys for one view."""
    shared = {key: value for key, value in section.data.items() if key not in CAMERAS}
    read = {"": _camera(section)}
    for name in CAMERAS:
        own = section.table(name, optional=True)
        if own.data:
            own.inherit(shared)
            read[name] = _camera(own)
    return {name: read.get(name, read[""]) for name in CAMERAS}


def _camera(section: TomlSection) -> SceneCamera:
    x, y, z = section.numbers("target_mm", 3, -500.0, 500.0, (0.0, 0.0, 0.0))
    telecentric = section.boolean("telecentric", False)
    # A view may override the model, so a key of the other model may stand in the shared table.
    focal = section.number("focal_mm", 1.0, 1000.0, *([1.0] if telecentric else []))
    field = section.number("field_mm", 0.5, 2000.0, *([] if telecentric else [1.0]))
    k1, k2, p1, p2, k3 = section.numbers("distortion", 5, -10.0, 10.0, (0.0,) * 5)
    return SceneCamera(
        distance_mm=section.number("distance_mm", 5.0, 5000.0),
        angle_deg=section.number("angle_deg", 1.0, 75.0),
        focal_mm=focal,
        field_mm=field if telecentric else None,
        sensor_width_mm=section.number("sensor_width_mm", 1.0, 100.0),
        target_mm=(x, y, z),
        f_number=section.number("f_number", 0.0, 64.0, 0.0),
        focus_z_mm=section.number("focus_z_mm", -500.0, 500.0, z),
        distortion=(k1, k2, p1, p2, k3),
        vignetting=section.number("vignetting", 0.0, 0.9, 0.0),
        motion_mm=section.number("motion_mm", 0.0, 10.0, 0.0),
        motion_azimuth_deg=section.number("motion_azimuth_deg", -360.0, 360.0, 0.0),
    )


def read_sensor(section: TomlSection) -> Sensor:
    """Read the scene file's table `[sensor]`."""
    red, green, blue = section.numbers("white_balance", 3, 0.2, 5.0, (1.0, 1.0, 1.0))
    return Sensor(
        full_well_e=section.number("full_well_e", 0.0, 1e6, 0.0),
        read_noise_e=section.number("read_noise_e", 0.0, 1e4, 0.0),
        hot_pixels=section.number("hot_pixels", 0.0, 0.1, 0.0),
        white_balance=(red, green, blue),
        jpeg_quality=section.integer("jpeg_quality", 0, 100, 0),
    )


def read_lighting(name: str, section: TomlSection) -> Lighting:
    """Read one of the scene file's tables `[lighting.NAME]`."""
    kind = section.choice("kind", ("ring", "side", "dome", "coaxial", "mixed"))
    ambient = section.number("ambient", 0.0, 100.0)
    power = section.number("power", 0.0, 1e6)
    if kind == "mixed":
        shares = section.table("shares")
        parts = tuple((other, shares.number(other, 0.0, 10.0)) for other in shares.data)
        if not parts and section.data.get("shares") == {}:
            section.wrong("shares", "at least one light set-up and its share, such as ring = 0.5", "none")
        return Lighting(
            name=name,
            kind=kind,
            power=power,
            height_mm=1.0,
            radius_mm=1.0,
            width_mm=1.0,
            azimuth_deg=0.0,
            ambient=ambient,
            parts=parts,
        )
    return Lighting(
        name=name,
        kind=kind,
        power=power,
        height_mm=section.number("height_mm", 1.0, 5000.0, *([1.0] if kind == "dome" else [])),
        radius_mm=section.number("radius_mm", 1.0, 5000.0, *([1.0] if kind == "coaxial" else [])),
        width_mm=section.number("width_mm", 0.5, 5000.0),
        azimuth_deg=section.number("azimuth_deg", -360.0, 360.0, 0.0),
        ambient=ambient,
        parts=(),
    )


def lens_folds(camera: SceneCamera, width: int, height: int) -> bool:
    """Whether a lens maps two directions to one pixel in or near the picture, or no direction to one of its corners.

    The distortion of such a lens cannot be inverted.

    Args:
        camera: the camera.
        width, height: picture size in px.
    """
    k1, k2, p1, p2, k3 = camera.distortion
    across = camera.field_mm or camera.sensor_width_mm / camera.focal_mm
    reach = 0.5 * math.hypot(width, height) / width * across
    before = 0.0
    for step in range(1, 201):
        radius = 1.3 * reach * step / 200
        square = radius * radius
        # The worst direction of the tangential terms takes 3 r^2 of both.
        bent = radius * (1.0 + square * (k1 + square * (k2 + square * k3))) - 3.0 * square * math.hypot(p1, p2)
        if bent <= before:
            return True
        before = bent
    return before < 1.02 * reach


def is_telecentric(camera: Mapping[str, Any]) -> bool:
    """Whether a camera is telecentric; a camera without the key `model` (older versions) is a pinhole.

    Args:
        camera: the key `camera` of a record, or the column `camera_json` of a dataset.

    Raises:
        ValueError: `model` is not one of MODELS.
    """
    model = camera.get("model", PINHOLE)
    if model not in MODELS:
        raise ValueError(f"camera.model must be one of {', '.join(MODELS)}, got {model!r}")
    return bool(model == TELECENTRIC)
