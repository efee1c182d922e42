"""Fit models of cameras to the points of a calibration target found in their pictures (bundle adjustment).

The model is a pinhole camera with square pixels, a principal point and OpenCV's distortion k1, k2, p1, p2, k3. OpenCV's
calibrateCamera gives starting values for each camera. Then all cameras, their poses in the rig and all poses of the
target are refined together by SciPy's least squares, whose Jacobian gives the covariance of the parameters (by linear
propagation, with residuals assumed independent and of equal variance).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import cv2
import numpy as np
from scipy.optimize import OptimizeResult, least_squares
from scipy.spatial.transform import Rotation

from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.lens import distort

# Which of k1, k2, p1, p2, k3 are fitted; the others stay 0.
DISTORTIONS: Mapping[str, tuple[int, ...]] = {
    "none": (),
    "k1": (0,),
    "k1k2": (0, 1),
    "k1k2p1p2": (0, 1, 2, 3),
    "full": (0, 1, 2, 3, 4),
}
NAMES = ("k1", "k2", "p1", "p2", "k3")
_WORST_CONDITION = 1e6


@dataclass(frozen=True)
class Sighting:
    """The target's points in one picture.

    Attributes:
        camera: name of the camera.
        placing: name of the target's placement, shared by pictures of several cameras that show the same placement.
        points: (n, 3) places of the points on the target, mm.
        pixels: (n, 2) x and y of the points in the picture, px; pixel centres are at half integers.
    """

    camera: str
    placing: str
    points: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class CameraModel:
    """The calibrated geometry of one camera of a rig.

    Attributes:
        width, height: picture size in px.
        focal: focal length in px.
        centre: principal point x, y in px from the picture's upper left corner, not from the first pixel's centre.
        distortion: k1, k2, p1, p2, k3 as OpenCV defines them.
        fitted: which terms of the distortion were fitted: a key of DISTORTIONS.
        pose: (4, 4) from the first camera's axes to this camera's, mm; axes as in OpenCV: x right, y down, z forwards.
    """

    width: int
    height: int
    focal: float
    centre: tuple[float, float]
    distortion: tuple[float, float, float, float, float]
    fitted: str
    pose: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project points (..., 3), mm in this camera's OpenCV axes, to pixels (..., 2)."""
        pixels: np.ndarray = self.focal * distort(points[..., :2] / points[..., 2:], self.distortion) + np.array(
            self.centre
        )
        return pixels


@dataclass(frozen=True)
class Solution:
    """The result of a calibration with S sightings (pictures that show the target).

    Attributes:
        cameras: the calibrated cameras by name; the axes of the first one are those of the rig.
        names: names of the N parameters in `covariance`, such as `center.f` in px or `left.x_mm`.
        covariance: (N, N) covariance of these parameters.
        rms: (S,) root mean square distance, px, of found points from the projected ones.
        tilt_deg: (S,) angle between the target and the picture plane, degrees.
    """

    cameras: dict[str, CameraModel]
    names: tuple[str, ...]
    covariance: np.ndarray
    rms: np.ndarray
    tilt_deg: np.ndarray


def solve(sightings: Sequence[Sighting], sizes: Mapping[str, tuple[int, int]], model: str = "auto") -> Solution:
    """Calibrate one camera, or the cameras of a rig together.

    Args:
        sightings: the target's points in each picture.
        sizes: picture width and height in px, by camera; the axes of the first camera become those of the rig.
        model: terms of distortion to fit, a key of DISTORTIONS; `auto`: for each camera those with the smallest
            Bayesian information criterion.

    Raises:
        InputError: the pictures do not determine the cameras.
    """
    cameras: dict[str, CameraModel] = {}
    for name, size in sizes.items():
        own = [sighting for sighting in sightings if sighting.camera == name]
        fits = [_one_camera(own, name, size, choice) for choice in ([model] if model != "auto" else DISTORTIONS)]
        cameras[name] = min(fits, key=lambda fit: fit[1])[0]
    poses = {
        (sighting.camera, sighting.placing): _target_pose(sighting, cameras[sighting.camera]) for sighting in sightings
    }
    cameras = _placed(cameras, poses)
    placings = _placings(cameras, poses)
    bundle = _Bundle(sightings, cameras, tuple(placings))
    found = _refine(bundle, bundle.packed(cameras, placings))
    cameras, placings = bundle.unpacked(found.x)
    residuals = found.fun.reshape(-1, 2)
    ends = list(accumulate(len(sighting.pixels) for sighting in sightings))
    squared = [
        float((residuals[end - len(s.pixels) : end] ** 2).sum(axis=1).mean())
        for s, end in zip(sightings, ends, strict=True)
    ]
    facing = [(cameras[s.camera].pose @ placings[s.placing])[2, 2] for s in sightings]
    names, covariance = bundle.covariance(found)
    return Solution(
        cameras, names, covariance, np.sqrt(squared), np.degrees(np.arccos(np.clip(np.abs(facing), 0.0, 1.0)))
    )


def _one_camera(sightings: list[Sighting], name: str, size: tuple[int, int], model: str) -> tuple[CameraModel, float]:
    """Fit one camera alone; returns it and its Bayesian information criterion (smaller is better)."""
    objects = [s.points.astype(np.float32) for s in sightings]
    images = [(s.pixels - 0.5).astype(np.float32) for s in sightings]
    start = np.array([[2.0 * size[0], 0.0, 0.5 * size[0] - 0.5], [0.0, 2.0 * size[0], 0.5 * size[1] - 0.5], [0, 0, 1]])
    flags = cv2.CALIB_FIX_ASPECT_RATIO | cv2.CALIB_USE_INTRINSIC_GUESS | cv2.CALIB_FIX_PRINCIPAL_POINT
    flags |= cv2.CALIB_FIX_K1 | cv2.CALIB_FIX_K2 | cv2.CALIB_FIX_K3 | cv2.CALIB_ZERO_TANGENT_DIST
    try:
        _, matrix, *_ = cv2.calibrateCamera(objects, images, size, start, np.zeros(5), flags=flags)
    except cv2.error:
        raise InputError(
            f"camera {name}: expected pictures of the target at several tilts, got ones that OpenCV cannot fit"
        ) from None
    focal = float(matrix[0, 0])
    middle = (0.5 * size[0], 0.5 * size[1])
    camera = CameraModel(*size, focal, middle, (0.0,) * 5, model, np.eye(4))
    placings = {s.placing: _target_pose(s, camera) for s in sightings}
    bundle = _Bundle(sightings, {name: camera}, tuple(placings))
    found = _refine(bundle, bundle.packed({name: camera}, placings))
    count = found.fun.size
    criterion = count * math.log(max(2.0 * found.cost, 1e-12) / count) + len(found.x) * math.log(count)
    return bundle.unpacked(found.x)[0][name], criterion


def _target_pose(sighting: Sighting, camera: CameraModel) -> np.ndarray:
    """The pose (4, 4) of the target in a camera's axes, by OpenCV's solvePnP."""
    matrix = np.array([[camera.focal, 0.0, camera.centre[0]], [0.0, camera.focal, camera.centre[1]], [0.0, 0.0, 1.0]])
    _, turn, shift = cv2.solvePnP(
        sighting.points, sighting.pixels, matrix, np.array(camera.distortion), flags=cv2.SOLVEPNP_ITERATIVE
    )
    return _matrix(np.concatenate([turn.ravel(), shift.ravel()]))


def _placed(cameras: dict[str, CameraModel], poses: Mapping[tuple[str, str], np.ndarray]) -> dict[str, CameraModel]:
    """Give each camera its pose relative to the first, through placings of the target that two cameras share."""
    first = next(iter(cameras))
    placed = {first: np.eye(4)}
    while len(placed) < len(cameras):
        links = [
            (name, known, placing)
            for name, placing in poses
            if name not in placed
            for known in placed
            if (known, placing) in poses
        ]
        if not links:
            apart = ", ".join(name for name in cameras if name not in placed)
            raise InputError(
                f"camera {apart}: expected at least one picture with the same file name as a picture of camera "
                f"{' or '.join(placed)}, with the target unmoved between the two, got none"
            )
        name, known, placing = links[0]
        placed[name] = poses[name, placing] @ np.linalg.inv(poses[known, placing]) @ placed[known]
    return {name: replace(camera, pose=placed[name]) for name, camera in cameras.items()}


def _placings(cameras: Mapping[str, CameraModel], poses: Mapping[tuple[str, str], np.ndarray]) -> dict[str, np.ndarray]:
    """The target's pose (4, 4) in the rig's axes, by placing."""
    found: dict[str, np.ndarray] = {}
    for (name, placing), pose in poses.items():
        found.setdefault(placing, np.linalg.inv(cameras[name].pose) @ pose)
    return found


class _Bundle:
    """The parameters of cameras and placings as one vector, and the residuals of all points.

    Order: for each camera f, cx, cy and the fitted distortion; for each but the first its pose; for each placing its
    pose. A pose is a rotation vector and a shift in mm.
    """

    def __init__(
        self, sightings: Sequence[Sighting], cameras: Mapping[str, CameraModel], placings: tuple[str, ...]
    ) -> None:
        self.cameras, self.placings, self.sightings = dict(cameras), placings, sightings

    def packed(self, cameras: Mapping[str, CameraModel], placings: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return cameras and the target's poses (4, 4), both by name, as one vector; the class states its order."""
        parts: list[Any] = []
        for camera in cameras.values():
            parts += [[camera.focal, *camera.centre], [camera.distortion[i] for i in DISTORTIONS[camera.fitted]]]
        parts += [_vector(camera.pose) for camera in list(cameras.values())[1:]]
        parts += [_vector(placings[name]) for name in self.placings]
        return np.concatenate(parts)

    def unpacked(self, x: np.ndarray) -> tuple[dict[str, CameraModel], dict[str, np.ndarray]]:
        """Return the cameras and the target's poses, by name, from a vector of parameters: the inverse of `packed`."""
        at, cameras = 0, {}
        for name, camera in self.cameras.items():
            terms, distortion = DISTORTIONS[camera.fitted], [0.0] * 5
            for term, value in zip(terms, x[at + 3 : at + 3 + len(terms)].tolist(), strict=True):
                distortion[term] = value
            focal, right, down = x[at : at + 3].tolist()
            k1, k2, p1, p2, k3 = distortion
            cameras[name] = replace(camera, focal=focal, centre=(right, down), distortion=(k1, k2, p1, p2, k3))
            at += 3 + len(terms)
        for name in list(cameras)[1:]:
            cameras[name] = replace(cameras[name], pose=_matrix(x[at : at + 6]))
            at += 6
        poses = x[at:].reshape(-1, 6)
        return cameras, {name: _matrix(pose) for name, pose in zip(self.placings, poses, strict=True)}

    def residuals(self, x: np.ndarray) -> np.ndarray:
        """Return projected minus found pixels of all points, x and y in turn, for a vector of parameters."""
        cameras, placings = self.unpacked(x)
        found = []
        for sighting in self.sightings:
            camera = cameras[sighting.camera]
            pose = camera.pose @ placings[sighting.placing]
            found.append(camera.project(sighting.points @ pose[:3, :3].T + pose[:3, 3]) - sighting.pixels)
        return np.concatenate(found).ravel()

    def names(self) -> tuple[str, ...]:
        """Return the names of the cameras' parameters, which come first in the vector of parameters."""
        names = []
        for name, camera in self.cameras.items():
            names += [f"{name}.{own}" for own in ("f", "cx", "cy", *(NAMES[i] for i in DISTORTIONS[camera.fitted]))]
        for name in list(self.cameras)[1:]:
            names += [f"{name}.{own}" for own in ("rx_rad", "ry_rad", "rz_rad", "x_mm", "y_mm", "z_mm")]
        return tuple(names)

    def covariance(self, found: OptimizeResult) -> tuple[tuple[str, ...], np.ndarray]:
        """Return the names of the cameras' parameters, and their covariance (N, N) after all parameters were fitted.

        Raises:
            InputError: the pictures do not determine the parameters.
        """
        scale = np.linalg.norm(found.jac, axis=0)
        scaled = found.jac / np.where(scale > 0.0, scale, 1.0)
        singular = np.linalg.svd(scaled, compute_uv=False)
        if singular[-1] * _WORST_CONDITION < singular[0]:
            raise InputError(
                "expected pictures of the target at several places and tilts (15 to 45 degrees, in all directions), "
                "got ones that do not determine the focal length"
            )
        variance = 2.0 * found.cost / max(found.fun.size - len(found.x), 1)
        names = self.names()
        whole = variance * np.linalg.inv(scaled.T @ scaled) / np.outer(scale, scale)
        return names, whole[: len(names), : len(names)]


def _refine(bundle: _Bundle, start: np.ndarray) -> OptimizeResult:
    return least_squares(
        bundle.residuals, start, method="trf", x_scale="jac", xtol=1e-12, ftol=1e-12, gtol=1e-12, max_nfev=200
    )


def _matrix(pose: np.ndarray) -> np.ndarray:
    """A rigid motion (4, 4) from a rotation vector in rad and a shift in mm, (6,)."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(pose[:3]).as_matrix()
    matrix[:3, 3] = pose[3:]
    return matrix


def _vector(matrix: np.ndarray) -> np.ndarray:
    return np.concatenate([Rotation.from_matrix(matrix[:3, :3]).as_rotvec(), matrix[:3, 3]])
