"""The pose of a part on its station: the rigid motion that brings its known points onto where pictures show them.

All views of one capture share the motion, since the cameras stand still relative to each other. Gauss-Newton with
Huber weights: a bad point, such as that of a bent pin, pulls with bounded force.
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


class NotDeterminedError(ValueError):
    """The found points do not determine a pose."""


class View(Protocol):
    """A camera of known place: anything that projects points (..., 3) in mm to pixels (..., 2)."""

    def project(self, points: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Points:
    """Points of known place on the part that one view shows.

    Attributes:
        view: the camera, in the station's axes.
        places: (n, 3) on the part, mm, in its datum's axes.
        pixels: (n, 2) where they were found.
        covariances: (n, 2, 2) of these, px^2.
    """

    view: View
    places: np.ndarray
    pixels: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class Pose:
    """A part's pose.

    Attributes:
        matrix: (4, 4) from the part's datum axes to the station's, a rigid motion, mm.
        covariance: (6, 6) of a small further motion in station axes: rotation vector in rad about the station's
            origin, then shift in mm.
        residual: weighted root mean square residual; 1 where points lie as their covariances say.
        inliers: share of the points that are no outliers: within the distance of 99 % of good points.
    """

    matrix: np.ndarray
    covariance: np.ndarray
    residual: float
    inliers: float

    def to_station(self, points: np.ndarray) -> np.ndarray:
        """Move points (..., 3) from the part's datum axes to the station's."""
        moved: np.ndarray = points @ self.matrix[:3, :3].T + self.matrix[:3, 3]
        return moved


def find_pose(
    observed: Sequence[Points], start: np.ndarray | None = None, deviations: np.ndarray | None = None
) -> Pose:
    """Find the pose from points in one or several views.

    Args:
        observed: the points of each view.
        start: (4, 4) first guess; None: the part stands at its nominal place.
        deviations: (6,) standard deviations of the part's placing about its nominal place, as in `Pose.covariance`:
            prior knowledge, for what the points hardly determine; None: nothing is known.

    Raises:
        NotDeterminedError: the points do not determine the pose: fewer than three, or all on a line.
    """
    matrix = np.eye(4) if start is None else np.array(start, float)
    prior = np.zeros((6, 6)) if deviations is None else np.diag(1.0 / np.asarray(deviations, float) ** 2)
    for _ in range(_STEPS):
        information, gradient, _ = _normal_equations(observed, matrix)
        step = _solve(information + prior, gradient - prior @ small_motion(matrix))
        matrix = motion(step) @ matrix
        if np.abs(step).max() < _SMALL:
            break
    information, _, sizes = _normal_equations(observed, matrix)
    free = max(2 * len(sizes) - 6, 1)
    return Pose(
        matrix=matrix,
        covariance=np.linalg.inv(information + prior),
        residual=float(np.sqrt(np.sum(np.minimum(sizes, OUTLIER) ** 2) / free)),
        inliers=float(np.mean(sizes <= OUTLIER)),
    )


def motion(small: np.ndarray) -> np.ndarray:
    """The rigid motion (4, 4) of a rotation vector in rad and a shift in mm, (6,), by Rodrigues' formula."""
    angle = float(np.linalg.norm(small[:3]))
    matrix = np.eye(4)
    if angle > 0.0:
        x, y, z = small[:3] / angle
        cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
        matrix[:3, :3] += np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    matrix[:3, 3] = small[3:]
    return matrix


def small_motion(matrix: np.ndarray) -> np.ndarray:
    """The rotation vector in rad and shift in mm, (6,), of a rigid motion (4, 4): the inverse of `motion`."""
    turned = matrix[:3, :3]
    axis = 0.5 * np.array([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]])
    sine = float(np.linalg.norm(axis))
    angle = float(np.arctan2(sine, 0.5 * (np.trace(turned) - 1.0)))
    return np.concatenate([axis * (angle / sine if sine > _SMALL else 1.0), matrix[:3, 3]])


def motion_derivative(view: View, points: np.ndarray) -> np.ndarray:
    """Derivative (n, 2, 6) of the pixels of station points (n, 3) by a small motion, see `Pose.covariance`."""
    columns = []
    for axis in range(6):
        small = np.zeros(6)
        small[axis] = _DERIVATIVE_STEP
        ahead, behind = (motion(sign * small) for sign in (1.0, -1.0))
        pixels = [view.project(points @ one[:3, :3].T + one[:3, 3]) for one in (ahead, behind)]
        columns.append((pixels[0] - pixels[1]) / (2.0 * _DERIVATIVE_STEP))
    return np.stack(columns, axis=-1)


def residuals(points: Points, matrix: np.ndarray) -> np.ndarray:
    """Distances (n,) of found points from where a pose (4, 4) puts them, in standard deviations."""
    off = points.pixels - points.view.project(points.places @ matrix[:3, :3].T + matrix[:3, 3])
    sizes: np.ndarray = np.sqrt(np.einsum("ni,nij,nj->n", off, np.linalg.inv(points.covariances), off))
    return sizes


def _normal_equations(observed: Sequence[Points], matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Information matrix (6, 6), right-hand side (6,), and each point's residual in standard deviations (n,)."""
    information, right = np.zeros((6, 6)), np.zeros(6)
    sizes = []
    for points in observed:
        placed = points.places @ matrix[:3, :3].T + matrix[:3, 3]
        off = points.pixels - points.view.project(placed)
        inverse = np.linalg.inv(points.covariances)
        size = np.sqrt(np.einsum("ni,nij,nj->n", off, inverse, off))
        weights = inverse * np.minimum(1.0, _HUBER / np.maximum(size, _SMALL))[:, None, None]
        slope = motion_derivative(points.view, placed)
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
