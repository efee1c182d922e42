"""Find the pose of a part on its station: the rigid motion with which its points project to where pictures show them.

All pictures of a part that was not moved between them share one pose. It is found by Gauss-Newton steps with Huber
weights, which limit the influence of outliers such as the foot of a displaced pin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

_STEPS = 50
_SMALL = 1e-9
# A point further off than 90 % of good ones, in standard deviations of two dimensions, gets a smaller weight; one
# further off than 99 % counts as an outlier.
_HUBER, OUTLIER = 2.15, 3.03
_DERIVATIVE_STEP = 1e-6
# Standard deviation of the pin pattern's shift in the housing, along X and along Y.
_PATTERN_MM = 0.5


class NotDeterminedError(ValueError):
    """The points found in the pictures do not determine a pose."""


class View(Protocol):
    """A camera that projects points of the station to pixels."""

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project points (..., 3), mm in station axes, to pixels (..., 2)."""


@dataclass(frozen=True)
class Points:
    """Points with known places on the part that were found in the picture of one view.

    Attributes:
        view: the camera that took the picture.
        places: (n, 3) places of the points on the part, mm in the axes of its datum.
        pixels: (n, 2) x and y of the points in the picture, px.
        covariances: (n, 2, 2) covariances of `pixels`, px^2.
        is_pattern: whether the points are feet of pins. The whole pin pattern may be shifted in the housing along X and
            Y, so feet do not determine the housing's X and Y.
    """

    view: View
    places: np.ndarray
    pixels: np.ndarray
    covariances: np.ndarray
    is_pattern: bool = False


@dataclass(frozen=True)
class Pose:
    """A part's pose on its station, and how well it fits the points from which it was computed.

    Attributes:
        matrix: (4, 4) rigid motion from the part's datum axes to station axes, mm.
        covariance: (6, 6) covariance of the pose's error, as a small motion in station axes: rotation vector in rad
            about the station's origin, then shift in mm.
        residual: sqrt(S / (2 n - 6)), with S the sum of the n points' squared distances from where the pose projects
            them, in standard deviations (above OUTLIER, 3.03: OUTLIER); about 1 if the points' covariances are right.
        inliers: share of the points, 0 to 1, at a distance of at most OUTLIER; about 0.99 if the covariances are right.
    """

    matrix: np.ndarray
    covariance: np.ndarray
    residual: float
    inliers: float

    def to_station(self, points: np.ndarray) -> np.ndarray:
        """Convert points (..., 3), mm, from the part's datum axes to station axes."""
        moved: np.ndarray = points @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return moved


def find_pose(
    observed: Sequence[Points],
    start: np.ndarray | None = None,
    deviations: np.ndarray | None = None,
    small: float = _SMALL,
) -> Pose:
    """Find the pose of a part from points in one or several views.

    Unknown are the pose, and the shift of the whole pin pattern in the housing.

    Args:
        observed: the points found; a view may have several entries.
        start: (4, 4) first guess of `Pose.matrix`; None: the part is at its nominal place.
        deviations: (6,) standard deviations of the part's placing about its nominal place, in the order of
            `Pose.covariance`. They matter where the points determine little; None: the points alone determine the pose.
        small: the search ends when a step changes no unknown by this much, in rad or mm.

    Raises:
        NotDeterminedError: the points do not determine the pose; without `deviations`: fewer than 3, or all on a line.
    """
    matrix = np.eye(4) if start is None else np.array(start, float)
    prior = np.zeros((8, 8))
    if deviations is not None:
        prior[:6, :6] = np.diag(1.0 / np.asarray(deviations, float) ** 2)
    prior[6:, 6:] = np.eye(2) / _PATTERN_MM**2
    shift = np.zeros(2)
    for _ in range(_STEPS):
        information, gradient, _ = _normal_equations(observed, matrix, shift)
        known = np.concatenate([small_motion(matrix), shift])
        step = _solve(information + prior, gradient - prior @ known)
        matrix, shift = motion(step[:6]) @ matrix, shift + step[6:]
        if np.abs(step).max() < small:
            break
    information, _, sizes = _normal_equations(observed, matrix, shift)
    free = max(2 * len(sizes) - 6, 1)
    return Pose(
        matrix=matrix,
        covariance=np.linalg.inv(information + prior)[:6, :6],
        residual=float(np.sqrt(np.sum(np.minimum(sizes, OUTLIER) ** 2) / free)),
        inliers=float(np.mean(sizes <= OUTLIER)),
    )


def motion(small: np.ndarray) -> np.ndarray:
    """Return the matrix (4, 4) of a rigid motion (6,): rotation vector in rad, then shift in mm."""
    angle = float(np.linalg.norm(small[:3]))
    matrix = np.eye(4)
    if angle > 0.0:
        x, y, z = small[:3] / angle
        cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
        matrix[:3, :3] += np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = small[3:]
    return matrix


# (12, 4, 4): a small motion along each of the six directions, then backwards.
_SMALL_MOTIONS = np.stack([motion(small) for small in _DERIVATIVE_STEP * np.concatenate([np.eye(6), -np.eye(6)])])


def small_motion(matrix: np.ndarray) -> np.ndarray:
    """Return a rigid motion `matrix` (4, 4) as (6,): the rotation vector (rad) and shift (mm) that `motion` takes."""
    turned = matrix[:3, :3]
    axis = 0.5 * np.array([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]])
    sine = float(np.linalg.norm(axis))
    angle = float(np.arctan2(sine, 0.5 * (np.trace(turned) - 1.0)))
    return np.concatenate([axis * (angle / sine if sine > _SMALL else 1.0), matrix[:3, 3]])


def motion_derivative(view: View, points: np.ndarray) -> np.ndarray:
    """Return the derivatives (n, 2, 6) of the pixels of n points with respect to a small rigid motion of all points.

    Args:
        view: the camera.
        points: (n, 3) mm in station axes.

    Returns:
        On axis 1, the pixel's x and y; on axis 2, px per rad for the three components of the rotation vector, then px
        per mm for those of the shift.
    """
    moved = points @ np.swapaxes(_SMALL_MOTIONS[:, :3, :3], 1, 2) + _SMALL_MOTIONS[:, None, :3, 3]
    pixels = view.project(moved)
    slope: np.ndarray = np.moveaxis((pixels[:6] - pixels[6:]) / (2.0 * _DERIVATIVE_STEP), 0, -1)
    return slope


def residuals(points: Points, matrix: np.ndarray) -> np.ndarray:
    """Return the distance of each found point from the place to which a pose (4, 4) projects it.

    The distances (n,) are in standard deviations of the found point.
    """
    off = points.pixels - points.view.project(points.places @ matrix[:3, :3].T + matrix[:3, 3])
    sizes: np.ndarray = np.sqrt(np.einsum("ni,nij,nj->n", off, np.linalg.inv(points.covariances), off))
    return sizes


def _normal_equations(
    observed: Sequence[Points], matrix: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Information matrix (8, 8), right-hand side (8,) of motion (6) and pattern's shift (2), and residuals (n,)."""
    information, right = np.zeros((8, 8)), np.zeros(8)
    sizes = []
    for points in observed:
        places = points.places + np.pad(shift, (0, 1)) if points.is_pattern else points.places
        placed = places @ matrix[:3, :3].T + matrix[:3, 3]
        off = points.pixels - points.view.project(placed)
        inverse = np.linalg.inv(points.covariances)
        size = np.sqrt(np.einsum("ni,nij,nj->n", off, inverse, off))
        weights = inverse * np.minimum(1.0, _HUBER / np.maximum(size, _SMALL))[:, None, None]
        slope = motion_derivative(points.view, placed)
        by_shift = slope[:, :, 3:] @ matrix[:3, :2] if points.is_pattern else np.zeros((len(placed), 2, 2))
        slope = np.concatenate([slope, by_shift], axis=2)
        information += np.einsum("nia,nij,njb->ab", slope, weights, slope)
        right += np.einsum("nia,nij,nj->a", slope, weights, off)
        sizes.append(size)
    return information, right, np.concatenate(sizes) if sizes else np.zeros(0)


def _solve(information: np.ndarray, right: np.ndarray) -> np.ndarray:
    scale = np.sqrt(np.maximum(np.diag(information), 1e-30))
    scaled = information / np.outer(scale, scale)
    if np.linalg.cond(scaled) > 1e10:
        raise NotDeterminedError(
            "expected at least 3 points that are not on a line, got points that do not determine a pose"
        )
    step: np.ndarray = np.linalg.solve(scaled, right / scale) / scale
    return step
