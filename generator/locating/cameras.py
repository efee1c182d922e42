"""The cameras of a station: their pose in the station's axes, and their lens.

A station holds the part in front of fixed cameras. Its axes are those of a part without placing error: mating face z =
0, X right, Y up, Z towards the centre camera, in mm.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.station import is_telecentric
from blender_scripts.geometry.lens import Distortion, distort
from generator.io.view_names import DEFAULT_VIEW


@dataclass(frozen=True)
class StationCamera:
    """A camera whose pose and lens are known.

    Attributes:
        matrix: (4, 4) transformation of points in mm from the camera's axes to the station's axes. As in Blender, the
            camera looks along its -Z, and its Y is up.
        fx, fy, cx, cy: focal lengths and principal point in px, measured from the picture's upper left corner (not from
            the first pixel's centre). For a telecentric camera, fx and fy are px per mm.
        distortion: OpenCV's k1, k2, p1, p2, k3.
        telecentric: whether the camera's rays are parallel, so that the scale does not depend on the distance.
    """

    matrix: np.ndarray
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: Distortion
    telecentric: bool = False

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project points (..., 3), mm in the station's axes, to pixels (..., 2)."""
        x, y, z = np.moveaxis((points - self.matrix[:3, 3]) @ self.matrix[:3, :3], -1, 0)
        flat = np.stack([x, -y] if self.telecentric else [x / -z, y / z], axis=-1)
        if any(self.distortion):
            flat = distort(flat, self.distortion)
        pixels: np.ndarray = flat * (self.fx, self.fy) + (self.cx, self.cy)
        return pixels

    def px_per_mm(self, points: np.ndarray) -> np.ndarray:
        """Return the scale (...), px per mm across the optical axis, at points (..., 3), mm in the station's axes."""
        far = (self.matrix[:3, 3] - points) @ self.matrix[:3, 2]
        scale: np.ndarray = np.full(far.shape, self.fx) if self.telecentric else self.fx / np.maximum(far, 1e-3)
        return scale

    def resized(self, across: float, down: float) -> StationCamera:
        """Return the camera for pictures resampled to `across` times their width and `down` times their height."""
        return replace(self, fx=self.fx * across, fy=self.fy * down, cx=self.cx * across, cy=self.cy * down)

    @classmethod
    def nominal(cls, entry: Mapping[str, Any], width: int, height: int) -> StationCamera:
        """Return the nominal camera of a view, as connectors.json states it.

        Args:
            entry: the camera's entry in connectors.json.
            width, height: size of its pictures, px.

        Raises:
            KeyError, TypeError, ValueError: the entry is damaged.
        """
        matrix = np.array(entry["matrix"], float)
        if matrix.shape != (4, 4):
            raise ValueError(f"a camera's `matrix` must be 4 x 4 numbers, got shape {matrix.shape}")
        k1, k2, p1, p2, k3 = map(float, entry["distortion"])
        fx = float(entry["fx_per_width"]) * width
        return cls(matrix, fx, fx, 0.5 * width, 0.5 * height, (k1, k2, p1, p2, k3), is_telecentric(entry))


def known_camera(cameras: Collection[str], name: str) -> str:
    """Return the name of a camera (view); InputError if a drawing with these cameras has none of this name."""
    if name not in cameras:
        listed = ", ".join(sorted(cameras))
        raise InputError(f"view {name}: expected a camera of the gauge ({listed}), got one that it lacks")
    return name


def chosen_camera(cameras: Collection[str], named: str | None, place: str) -> str:
    """Return the camera (view) of photographs whose file names state none: the named one, else center or the only one.

    Args:
        cameras: names of the cameras of the gauge's drawing.
        named: name that the user gave; None: none.
        place: the option with which to name it, for the message.

    Raises:
        InputError: there is no camera of this name; or none is named, and there are several, none of which is center.
    """
    if named is not None:
        return known_camera(cameras, named)
    if DEFAULT_VIEW in cameras:
        return DEFAULT_VIEW
    if len(cameras) > 1:
        raise InputError(f"{place}: expected one of the gauge's cameras ({', '.join(sorted(cameras))}), got none")
    return next(iter(cameras))
