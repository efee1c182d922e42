"""Fit the focal length, and the camera's pose in every photograph, to the distances of edges from those in renders.

Unknown are the focal length, the depth of the part as a share of the drawing's, and the camera's pose in each
photograph. A part that is larger by a share looks the same as a camera that is nearer by that share, so its size is
not fitted. It adds to the uncertainty (`ranges`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import OptimizeResult, least_squares
from threadpoolctl import threadpool_limits

from blender_scripts.geometry.optics import Camera
from generator.locating.pose import motion
from generator.matching.ranges import jackknife_sd
from generator.matching.shifts import Edges

# Standard deviation of the part's depth, as a share of the drawing's: 0.05 mm of a 7.5 mm deep housing.
DEPTH_SHARE = 0.007
# Standard deviations of a pose's step: rotation in rad and shift in mm. They only keep what edges do not determine.
_STEP = np.array([0.1, 0.1, 0.1, 20.0, 20.0, 20.0])
_SMALL = 1e-4
# Groups of edge points that are left out in turn, to see how far the result depends on one kind of edge.
_GROUPS = 8
# Blur and shading shift whole edges by some hundredths of a px, alike in all photographs; the focal length alone, which
# is found from the perspective of a flat part, is then wrong by this, divided by the width of the photographs.
_SYSTEMATIC_PX = 10.0


@dataclass(frozen=True)
class Fitted:
    """The fitted camera.

    Attributes:
        focal_px: focal length, px (telecentric: px per mm).
        poses: (4, 4) pose of the camera in each photograph: from its axes to the housing's, mm.
        depth: depth of the part divided by the drawing's.
        log_focal_sd: standard deviation of the logarithm of the focal length.
        turn_sd: (3,) median standard deviations of the poses' rotations about the camera's axes, rad.
        residual_px: median distance of an edge in a photograph from where the fit puts it.
        points: number of edge points.
    """

    focal_px: float
    poses: list[np.ndarray]
    depth: float
    log_focal_sd: float
    turn_sd: np.ndarray
    residual_px: float
    points: int


def fit(cameras: Sequence[Camera], edges: Sequence[Edges], known_sd: float | None = None) -> Fitted:
    """Fit one focal length, one depth of the part, and a pose for each photograph.

    Args:
        cameras: the cameras of the renders with which the photographs were compared; all have one lens.
        edges: the edges found in each photograph.
        known_sd: standard deviation of the logarithm of the lens's focal length; None: unknown.
    """
    prior_f = 1e3 if known_sd is None else max(known_sd, 1e-6)
    spread = max(1.4826 * float(np.median(np.abs(np.concatenate([each.shifts for each in edges])))), 0.02)
    solved = _solve(cameras, edges, prior_f, spread)
    residuals = _residuals(solved.x, cameras, edges)
    spread = max(1.4826 * float(np.median(np.abs(residuals))), 0.02)
    solved = _solve(cameras, edges, prior_f, spread)
    residuals = _residuals(solved.x, cameras, edges)
    information = solved.jac.T @ solved.jac
    covariance = np.linalg.inv(information)
    groups = _by_group(solved, edges)
    lens = cameras[0].lens
    systematic = _SYSTEMATIC_PX / lens.width if known_sd is None else 0.0
    poses = [camera.matrix_world @ motion(step) for camera, step in zip(cameras, _steps(solved.x), strict=True)]
    return Fitted(
        focal_px=lens.focal_px * float(np.exp(solved.x[0])),
        poses=poses,
        depth=float(np.exp(solved.x[1])),
        log_focal_sd=float(np.sqrt(covariance[0, 0] + groups**2 + systematic**2)),
        turn_sd=np.median(np.sqrt(np.diag(covariance)[2:].reshape(-1, 6)[:, :3]), axis=0),
        residual_px=float(np.median(np.abs(residuals))),
        points=len(residuals),
    )


def _steps(x: np.ndarray) -> np.ndarray:
    return x[2:].reshape(-1, 6)


def _moved(camera: Camera, places: np.ndarray, log_focal: float, log_depth: float, step: np.ndarray) -> np.ndarray:
    """Pixels (n, 2) of points after a change of focal length, depth of the part, and pose."""
    deep = places * (1.0, 1.0, np.exp(log_depth))
    lens = replace(camera.lens, focal_px=camera.lens.focal_px * float(np.exp(log_focal)))
    return replace(camera, lens=lens, matrix_world=camera.matrix_world @ motion(step)).project(deep)


def _residuals(x: np.ndarray, cameras: Sequence[Camera], edges: Sequence[Edges]) -> np.ndarray:
    """Distance (n,), px, of each edge in a photograph from where the parameters put it, across the edge."""
    found = []
    for camera, each, step in zip(cameras, edges, _steps(x), strict=True):
        off = _moved(camera, each.places, x[0], x[1], step) - camera.project(each.places)
        found.append((off * each.normals).sum(axis=1) - each.shifts)
    return np.concatenate(found)


def _jacobian(x: np.ndarray, cameras: Sequence[Camera], edges: Sequence[Edges]) -> np.ndarray:
    """Derivatives (n, parameters) of `_residuals`: those of a pose only for the points of its photograph."""
    rows = np.cumsum([0, *(len(each.shifts) for each in edges)])
    found = np.zeros((rows[-1], len(x)))
    for number, (camera, each, step) in enumerate(zip(cameras, edges, _steps(x), strict=True)):
        own = np.concatenate([x[:2], step])
        for column in range(8):
            change = np.zeros(8)
            change[column] = _SMALL
            ends = [
                _moved(camera, each.places, place[0], place[1], place[2:]) for place in (own - change, own + change)
            ]
            slope = ((ends[1] - ends[0]) * each.normals).sum(axis=1) / (2.0 * _SMALL)
            found[rows[number] : rows[number + 1], column if column < 2 else 6 * number + column] = slope
    return found


def _solve(cameras: Sequence[Camera], edges: Sequence[Edges], prior_f: float, spread: float) -> OptimizeResult:
    weights = np.concatenate([each.weights for each in edges]) / spread
    prior = np.concatenate([[prior_f, DEPTH_SHARE], np.tile(_STEP, len(cameras))])

    def off(x: np.ndarray) -> np.ndarray:
        return np.concatenate([weights * _residuals(x, cameras, edges), x / prior])

    def slope(x: np.ndarray) -> np.ndarray:
        return np.concatenate([weights[:, None] * _jacobian(x, cameras, edges), np.diag(1.0 / prior)])

    # On busy cores, threads of the linear algebra wait for one another a hundred times as long as they compute.
    with threadpool_limits(1):
        return least_squares(off, np.zeros(len(prior)), slope, loss="soft_l1", x_scale="jac", max_nfev=30)


def _by_group(solved: OptimizeResult, edges: Sequence[Edges]) -> float:
    """Standard deviation of the logarithm of the focal length by a jackknife over groups of edges.

    A group is a range of depths and directions: what makes the edges of one kind appear elsewhere in photographs than
    in renders does so in all photographs, and would not show in the scatter of single points.
    """
    kinds = []
    for each in edges:
        turn = np.mod(np.arctan2(each.normals[:, 1], each.normals[:, 0]), np.pi)
        low = each.places[:, 2] < np.median(each.places[:, 2])
        kinds.append(4 * low + np.minimum((turn / (np.pi / 4)).astype(int), 3))
    kind = np.concatenate(kinds)
    count = len(kind)
    points, prior = solved.jac[:count], solved.jac[count:]
    # scipy scales the derivatives for the robust loss, but not the errors.
    scaled = solved.fun * (1.0 + solved.fun**2) ** 0.25
    errors = scaled[:count]
    steps = []
    for group in range(_GROUPS):
        kept = kind != group
        if kept.all():
            continue
        information = points[kept].T @ points[kept] + prior.T @ prior
        gradient = points[kept].T @ errors[kept] + prior.T @ scaled[count:]
        steps.append(-np.linalg.solve(information, gradient)[0])
    if len(steps) < 2:
        return 0.0
    return float(jackknife_sd(steps))
