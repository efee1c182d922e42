"""Take a station's cameras from a calibration certificate, and add their uncertainty to that of the measured pins.

A certificate states where the cameras stand relative to each other. Where they stand on the station is fixed by the
certificate's first camera that connectors.json states as well: it is taken to stand at its nominal place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.station import is_telecentric
from generator.io.certificate import LENS, PLACE, CalibratedCamera, Certificate, to_rig
from generator.locating.cameras import StationCamera
from generator.locating.landmarks import Queries
from generator.locating.locate import Located
from generator.locating.measure import NOT_CORRECTED, Correction, MeasuredPin, measure
from generator.locating.pose import NotDeterminedError, find_pose, motion, small_motion

NOMINAL = "nominal millimetres, as there is no calibration certificate: no conformity is stated"
# Components of a smaller variance, in those of the parameters, are rounding. Last step of a pose's search, rad and mm.
_SMALL, _STEP = 1e-12, 1e-6

# Entries of connectors.json by camera, and width and height of pictures in px by view.
Entries = Mapping[str, Mapping[str, Any]]
Sizes = Mapping[str, tuple[int, int]]


def scale_note(certificate: Certificate | None) -> str:
    """Return a text with name, SHA-256 and dates of the cameras' calibration certificate.

    If the certificate is missing (None) or has expired, the text says that no conformity is stated.
    """
    if certificate is None:
        return NOMINAL
    made, ends = (f"{moment:%Y-%m-%d}" for moment in (certificate.made, certificate.expires))
    said = f"calibration certificate {certificate.path.name}, SHA-256 {certificate.sha256}, made {made}"
    if certificate.is_expired():
        return f"{said}, expired {ends}: no conformity is stated"
    return f"{said}, expires {ends}"


def expiry_warning(certificate: Certificate | None) -> str:
    """Return the warning that every verdict carries if the certificate has expired; an empty text otherwise."""
    if certificate is None or not certificate.expiry:
        return ""
    return f"calibration: certificate {certificate.path.name} {certificate.expiry}, so no conformity is stated"


def check_views(certificate: Certificate, nominal: Entries, sizes: Mapping[str, tuple[int, int] | None]) -> None:
    """Check that a certificate contains the cameras that took the pictures.

    Args:
        certificate: the calibration certificate of the cameras.
        nominal: entries of the station's cameras in connectors.json, by camera.
        sizes: width and height of the pictures in px, by view (name of the camera); None: not known and not checked.

    Raises:
        InputError: a camera is missing or telecentric, or a picture has another ratio of width to height than those of
            the calibration.
    """
    problems = []
    for view, size in sizes.items():
        place, camera = f"{certificate.path} camera {view}", certificate.cameras.get(view)
        if camera is None:
            names = ", ".join(certificate.cameras)
            problems.append(f"{place}: expected this camera in the certificate, got only cameras {names}")
        elif is_telecentric(nominal[view]):
            problems.append(f"{place}: expected a pinhole camera in the gauge's connectors.json, got a telecentric one")
        # The size of a resampled picture is rounded to whole pixels.
        elif size and abs(size[1] * camera.width - size[0] * camera.height) >= max(size[0], camera.width):
            problems.append(
                f"{place}: expected pictures with the calibration's ratio of width to height, {camera.width} x "
                f"{camera.height} px, got {size[0]} x {size[1]} px; calibrate with uncropped pictures of the same size"
            )
    if problems:
        raise InputError(problems)


def station_cameras(
    certificate: Certificate, nominal: Entries, sizes: Sizes, off: Mapping[str, float] | None = None
) -> dict[str, StationCamera]:
    """Return the camera of each view, by view, with pose and lens from a certificate.

    Args:
        certificate: the calibration certificate, checked by `check_views`.
        nominal: entries of the station's cameras in connectors.json, by camera.
        sizes: width and height of the pictures in px, by view; the cameras are scaled to them.
        off: numbers to add to the certificate's parameters, by name of the parameter, such as `left.x_mm`; None:
            nothing.
    """
    off = off or {}
    first = _first(certificate, nominal)
    cameras = {name: _moved(name, certificate.cameras[name], off) for name in {first, *sizes}}
    station = np.array(nominal[first]["matrix"], float) @ np.linalg.inv(cameras[first].matrix_rig)
    found = {}
    for view, (width, height) in sizes.items():
        camera = cameras[view]
        lens = camera.fx, camera.fy, camera.cx, camera.cy, camera.distortion
        whole = StationCamera(station @ camera.matrix_rig, *lens)
        found[view] = whole.resized(width / camera.width, height / camera.height)
    return found


def with_camera_errors(
    pins: Sequence[MeasuredPin],
    part: Located,
    queries: Queries,
    certificate: Certificate,
    nominal: Entries,
    deviations: np.ndarray,
    correction: Correction = NOT_CORRECTED,
) -> list[MeasuredPin]:
    """Return the measured pins with the uncertainty of the cameras added to their covariances.

    For each principal component of the certificate's covariance, the cameras are moved by one standard deviation, and
    pose and pins are computed anew from the same found points.

    Args:
        pins: the pins as measured with the certificate's cameras.
        part: the located part.
        queries: queries of the part's connector.
        certificate: the calibration certificate of the cameras.
        nominal: entries of the station's cameras in connectors.json, by camera.
        deviations: (6,) standard deviations of the part's placing, from `locate.placing_deviations`.
        correction: that with which `pins` were measured.

    Raises:
        NotDeterminedError: the found points do not determine a pose with moved cameras.
    """
    sizes = {each.view.name: (each.view.pixels.shape[1], each.view.pixels.shape[0]) for each in part.pins}
    bare = replace(correction, factors=NOT_CORRECTED.factors)
    start, added = _offsets(pins), np.zeros((len(pins), 3, 3))
    for off in _components(certificate, {_first(certificate, nominal), *sizes}):
        cameras = station_cameras(certificate, nominal, sizes, off)
        points = [replace(each, view=cameras[view]) for view, own in part.points.items() for each in own]
        pose = find_pose(points, part.pose.matrix, deviations, _STEP)
        seen = [each._replace(view=replace(each.view, camera=cameras[each.view.name])) for each in part.pins]
        moved = _offsets(measure(seen, queries, pose, bare)) - start
        added += moved[:, :, None] * moved[:, None, :]
    if not np.isfinite(added).all():
        raise NotDeterminedError(f"{certificate.path}: the cameras are too uncertain to measure with; calibrate again")
    return [replace(pin, covariance=pin.covariance + more) for pin, more in zip(pins, added, strict=True)]


def _first(certificate: Certificate, nominal: Entries) -> str:
    return next(name for name in certificate.cameras if name in nominal)


def _offsets(pins: Sequence[MeasuredPin]) -> np.ndarray:
    return np.stack([pin.offsets_mm for pin in pins])


def _components(certificate: Certificate, cameras: Collection[str]) -> Iterator[dict[str, float]]:
    """Deviations by parameter of these cameras, whose outer products sum to the covariance.

    The components are those of the correlation matrix, as px, rad and mm differ by orders of magnitude.
    """
    variances = np.diag(certificate.covariance)
    names = certificate.parameters
    which = [i for i, name in enumerate(names) if variances[i] > 0.0 and name.rpartition(".")[0] in cameras]
    deviations = np.sqrt(variances[which])
    correlation = certificate.covariance[np.ix_(which, which)] / np.outer(deviations, deviations)
    shares, vectors = np.linalg.eigh(correlation)
    for share, vector in zip(shares, vectors.T, strict=True):
        if share > _SMALL:
            yield dict(zip([names[i] for i in which], (np.sqrt(share) * deviations * vector).tolist(), strict=True))


def _moved(name: str, camera: CalibratedCamera, off: Mapping[str, float]) -> CalibratedCamera:
    """Move the parameters of the camera of this name by deviations."""
    focal, right, down, *terms = (off.get(f"{name}.{own}", 0.0) for own in LENS)
    k1, k2, p1, p2, k3 = (value + more for value, more in zip(camera.distortion, terms, strict=True))
    step = np.array([off.get(f"{name}.{own}", 0.0) for own in PLACE])
    matrix = camera.matrix_rig
    if step.any():
        pose = np.array(to_rig(matrix))
        small = small_motion(pose)
        matrix = np.array(to_rig(motion(small + step) @ np.linalg.inv(motion(small)) @ pose))
    lens = camera.fx + focal, camera.fy + focal, camera.cx + right, camera.cy + down
    return CalibratedCamera(camera.width, camera.height, *lens, (k1, k2, p1, p2, k3), matrix)
