"""Random differences between captures of one part: place, light, exposure and focus."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from blender_scripts.contract.toml_section import TomlSection


@dataclass(frozen=True)
class Nuisance:
    """Random differences between captures; each value is the largest deviation, to either side, of uniform draws.

    Attributes:
        shift_mm: shift of the part, in X and in Y.
        rotation_deg, tilt_deg: turn of the part about Z, and about X and Y.
        distance_mm: height of the cameras above the part.
        light_power: power of the lamps, as a share of their nominal power.
        light_azimuth_deg: direction of a `side` lamp.
        exposure, fixture_shade: brightness of the picture and of the table, in photographic stops.
        focus_mm: distance of the plane in focus from the camera.
        white_balance: share by which red rises while blue falls.
        motion_mm: distance that the part moves during the exposure, around the camera's `motion_mm`.
    """

    shift_mm: float
    rotation_deg: float
    tilt_deg: float
    distance_mm: float
    light_power: float
    light_azimuth_deg: float
    exposure: float
    focus_mm: float
    white_balance: float
    fixture_shade: float
    motion_mm: float = 0.0


def read_nuisance(section: TomlSection) -> Nuisance:
    """Read the scene file's table `[nuisance]`."""
    half = partial(section.number, low=0.0)
    return Nuisance(
        shift_mm=half("shift_mm", high=50.0),
        rotation_deg=half("rotation_deg", high=45.0),
        tilt_deg=half("tilt_deg", high=20.0),
        distance_mm=half("distance_mm", high=500.0),
        light_power=half("light_power", high=0.9),
        light_azimuth_deg=half("light_azimuth_deg", high=180.0),
        exposure=half("exposure", high=2.0),
        focus_mm=half("focus_mm", high=100.0, default=0.0),
        white_balance=half("white_balance", high=0.5, default=0.0),
        fixture_shade=half("fixture_shade", high=3.0, default=0.0),
        motion_mm=half("motion_mm", high=10.0, default=0.0),
    )
