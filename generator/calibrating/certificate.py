"""The calibration certificate: a JSON file with the geometry of a camera, or of all cameras of a rig.

Keys: docs/how_to/calibrate_cameras.md.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from blender_scripts.contract.errors import InputError, shown

SCHEMA = "pinsight-camera/1"
# Blender's camera looks along -Z with Y up, OpenCV's along +Z with Y down.
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
_NUMBERS = ("width", "height", "fx", "fy", "cx", "cy")


@dataclass(frozen=True)
class CalibratedCamera:
    """One camera of a certificate.

    Attributes:
        width, height: picture size in px.
        fx, fy, cx, cy: focal lengths and principal point in px; pixel centres are at half integers.
        distortion: k1, k2, p1, p2, k3 as OpenCV defines them.
        matrix_rig: (4, 4) from this camera's axes to those of the rig's first camera, mm; axes as in Blender (X right,
            Y up, looking along -Z).
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float]
    matrix_rig: np.ndarray


@dataclass(frozen=True)
class Certificate:
    """A calibration that was read from its file.

    Attributes:
        cameras: the cameras by name; the axes of the first one are those of the rig.
        parameters: names of the parameters in `covariance`, such as `center.f`.
        covariance: (N, N) covariance of the N parameters.
        made, expires: date and time in UTC.
        temperature_c: temperature at calibration; None: not stated.
    """

    cameras: Mapping[str, CalibratedCamera]
    parameters: tuple[str, ...]
    covariance: np.ndarray
    made: datetime
    expires: datetime
    temperature_c: float | None

    def is_expired(self, now: datetime | None = None) -> bool:
        return (now or datetime.now(UTC)) > self.expires


def to_rig(pose: np.ndarray) -> list[list[float]]:
    """Convert the pose of a camera to `matrix_rig` of the certificate.

    Args:
        pose: (4, 4) from the first camera's axes to this camera's, mm; axes as in OpenCV (y down, z forwards).
    """
    matrix: list[list[float]] = (_FLIP @ np.linalg.inv(pose) @ _FLIP).tolist()
    return matrix


def dates(valid_days: int) -> dict[str, str]:
    """Return the certificate's keys `made` (now) and `expires` (`valid_days` later), in UTC."""
    now = datetime.now(UTC).replace(microsecond=0)
    return {"made": _text(now), "expires": _text(now + timedelta(days=valid_days))}


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def read_certificate(path: Path) -> Certificate:
    """Read a calibration certificate.

    Raises:
        InputError: the file cannot be read, or is no complete certificate.
    """
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: expected a calibration certificate, got {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path}: expected a calibration certificate in JSON, got: {error}") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        found = f"schema {shown(document.get('schema'))}" if isinstance(document, dict) else type(document).__name__
        raise InputError(f"{path}: expected a calibration certificate of schema {SCHEMA}, got {found}")
    try:
        cameras = {str(name): _camera(camera) for name, camera in document["cameras"].items()}
        parameters = tuple(str(name) for name in document["parameters"])
        covariance = np.array(document["covariance"], float)
        if not cameras or covariance.shape != (len(parameters),) * 2 or not np.isfinite(covariance).all():
            counts = f"{len(cameras)} cameras and {len(parameters)} parameters"
            raise ValueError(f"{counts} with a covariance of shape {covariance.shape}, or one that is not finite")
        temperature = document["temperature_c"]
        return Certificate(
            cameras,
            parameters,
            covariance,
            datetime.fromisoformat(document["made"]),
            datetime.fromisoformat(document["expires"]),
            None if temperature is None else float(temperature),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: expected a complete calibration certificate, got {got}") from None


def _camera(camera: Mapping[str, Any]) -> CalibratedCamera:
    width, height, *lens = (float(camera[name]) for name in _NUMBERS)
    k1, k2, p1, p2, k3 = (float(term) for term in camera["distortion"])
    matrix = np.array(camera["matrix_rig"], float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not all(map(math.isfinite, lens)):
        raise ValueError(f"a camera without finite numbers: {shown(camera)}")
    fx, fy, cx, cy = lens
    return CalibratedCamera(int(width), int(height), fx, fy, cx, cy, (k1, k2, p1, p2, k3), matrix)
