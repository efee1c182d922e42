"""The calibration certificate: a JSON file with the geometry of a camera, or of all cameras of a rig.

Its keys are described in docs/how_to/calibrate_cameras.md.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from blender_scripts.contract.errors import InputError, shown
from generator.io.json_text import parse_json
from generator.io.wording import some_of

SCHEMA = "pinsight-camera/1"
# Blender's camera looks along -Z with Y up, OpenCV's along +Z with Y down.
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
_NUMBERS = ("width", "height", "fx", "fy", "cx", "cy")
# Parameters of a camera in a covariance: of LENS the first three (those of the distortion only if they were fitted); of
# all cameras but the first, which has the rig's axes, also PLACE, see `to_rig`.
LENS = ("f", "cx", "cy", "k1", "k2", "p1", "p2", "k3")
PLACE = ("rx_rad", "ry_rad", "rz_rad", "x_mm", "y_mm", "z_mm")
# Deviations from a rotation, and from a correlation matrix (which comes from the inverse of one), that are rounding.
_TURN_ROUNDING, _ROUNDING = 1e-5, 1e-3
# Two computers' clocks differ by at most this.
_CLOCK = timedelta(days=1)


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
        parameters: names of the N parameters in `covariance`, such as `center.f`: a camera's name, and a name in LENS
            (the lens) or in PLACE (the camera's pose, as `to_rig` takes it: rotation vector, rad, and shift, mm).
        covariance: (N, N) covariance of the N parameters.
        made, expires: date and time in UTC.
        temperature_c: temperature at calibration; None: not stated.
        path, sha256: the file, and its SHA-256 in hex.
    """

    cameras: Mapping[str, CalibratedCamera]
    parameters: tuple[str, ...]
    covariance: np.ndarray
    made: datetime
    expires: datetime
    temperature_c: float | None
    path: Path
    sha256: str

    def is_expired(self, now: datetime | None = None) -> bool:
        """Whether the calibration has expired at the time `now`, which has a time zone; None: the present."""
        return (now or datetime.now(UTC)) > self.expires

    @property
    def expiry(self) -> str:
        """The words "expired on" and the date, if the calibration has expired; else an empty text."""
        return f"expired on {self.expires:%Y-%m-%d}" if self.is_expired() else ""


def to_rig(pose: np.ndarray) -> list[list[float]]:
    """Convert the pose of a camera to the certificate's `matrix_rig`; the same formula converts `matrix_rig` back.

    Args:
        pose: (4, 4) from the first camera's axes to this camera's, mm; axes as in OpenCV (y down, z forwards).

    Returns:
        (4, 4) from this camera's axes to those of the first camera, mm; axes as in Blender (y up, looking along -z).
    """
    matrix: list[list[float]] = (_FLIP @ np.linalg.inv(pose) @ _FLIP).tolist()
    return matrix


def dates(valid_days: int) -> dict[str, str]:
    """Return the certificate's keys `made` (now) and `expires` (`valid_days` later), in UTC."""
    now = datetime.now(UTC).replace(microsecond=0)
    return {"made": _text(now), "expires": _text(now + timedelta(days=valid_days))}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_certificate(path: Path) -> Certificate:
    """Read a calibration certificate, even an expired one (see `Certificate.is_expired`).

    Raises:
        InputError: the file cannot be read, is no complete certificate, or states values that no calibration has.
    """
    try:
        content = path.read_bytes()
        document = parse_json(content.decode())
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
        covariance = _covariance(document["covariance"], parameters, cameras)
        made, expires = _moment(document["made"]), _moment(document["expires"])
        temperature = None if document["temperature_c"] is None else float(document["temperature_c"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        got = f"no key {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path}: expected a complete calibration certificate, got {got}") from None
    if problems := list(_impossible(parameters, list(cameras), covariance, made, expires, temperature)):
        raise InputError([f"{path} {problem}" for problem in problems])
    digest = hashlib.sha256(content).hexdigest()
    return Certificate(cameras, parameters, covariance, made, expires, temperature, path, digest)


def _impossible(
    parameters: Sequence[str],
    cameras: Sequence[str],
    covariance: np.ndarray,
    made: datetime,
    expires: datetime,
    temperature: float | None,
) -> Iterator[str]:
    """List values that no calibration has, and parameters without which U (the uncertainty) would be too small."""
    needed = [f"{camera}.{own}" for camera in cameras for own in LENS[:3]]
    needed += [f"{camera}.{own}" for camera in cameras[1:] for own in PLACE]
    if missing := [name for name in needed if name not in parameters]:
        yield (
            f"parameters: expected {', '.join(LENS[:3])} of every camera and {', '.join(PLACE)} of every camera but "
            f"the first, got a list without {some_of(missing)}"
        )
    if certain := [name for name, each in zip(parameters, np.diag(covariance), strict=True) if each <= 0.0]:
        yield f"covariance: expected a variance above 0 of every parameter, got none for {some_of(certain)}"
    if made > datetime.now(UTC) + _CLOCK:
        yield f"made: expected a date that is not in the future, got {_text(made)}"
    if expires < made:
        yield f"expires: expected a date after {_text(made)} (made), got {_text(expires)}"
    if temperature is not None and not math.isfinite(temperature):
        yield f"temperature_c: expected a finite number or null, got {temperature}"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a date that lacks its time zone: {shown(text)}")
    return moment


def _camera(camera: Mapping[str, Any]) -> CalibratedCamera:
    width, height, fx, fy, cx, cy = (float(camera[name]) for name in _NUMBERS)
    k1, k2, p1, p2, k3 = (float(term) for term in camera["distortion"])
    numbers = [width, height, fx, fy, cx, cy, k1, k2, p1, p2, k3]
    if not np.isfinite(numbers).all() or min(width, height, fx, fy) <= 0.0:
        raise ValueError(f"a camera with a number that is not finite, or a size or focal length 0: {shown(camera)}")
    matrix = np.array(camera["matrix_rig"], float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not _is_motion(matrix):
        raise ValueError(f"a matrix_rig that is not a rotation and a shift (4 x 4): {shown(camera['matrix_rig'])}")
    return CalibratedCamera(int(width), int(height), fx, fy, cx, cy, (k1, k2, p1, p2, k3), matrix)


def _is_motion(matrix: np.ndarray) -> bool:
    """Whether a matrix (4, 4) is a rotation and a shift."""
    turn = matrix[:3, :3]
    is_turn = np.allclose(turn @ turn.T, np.eye(3), 0.0, _TURN_ROUNDING) and np.linalg.det(turn) > 0.0
    return bool(is_turn and np.allclose(matrix[3], [0.0, 0.0, 0.0, 1.0], 0.0, _TURN_ROUNDING))


def _covariance(rows: Any, parameters: Sequence[str], cameras: Mapping[str, CalibratedCamera]) -> np.ndarray:
    known = {f"{camera}.{own}" for camera in cameras for own in LENS + PLACE}
    if not cameras or not set(parameters) <= known or len(set(parameters)) < len(parameters):
        unknown = sorted(set(parameters) - known)
        raise ValueError(f"no cameras, or parameters that are unknown or listed twice: {shown(unknown or parameters)}")
    if not parameters:
        raise ValueError("no parameters, so that the cameras' uncertainty is not stated")
    covariance = np.array(rows, float)
    if covariance.shape != (len(parameters),) * 2 or not np.isfinite(covariance).all():
        shape = " x ".join(map(str, covariance.shape))
        raise ValueError(f"a covariance of {shape} numbers, not of {len(parameters)} x {len(parameters)} finite ones")
    deviations = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    scale = np.where(deviations > 0.0, deviations, 1.0)
    correlation = covariance / np.outer(scale, scale)
    is_symmetric = np.allclose(correlation, correlation.T, 0.0, _ROUNDING)
    if not (is_symmetric and np.linalg.eigvalsh(correlation)[0] > -_ROUNDING):
        raise ValueError("a covariance that is not symmetric, or has a negative variance along some direction")
    return covariance
