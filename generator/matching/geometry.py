"""Fit the focal length, and the camera's pose in every photograph, to the distances of edges from those in renders.

Unknown are the focal length, the camera's pose in each photograph, and by how much the part differs from its drawing:
the depth of the housing, the width and height of its outline and of its opening, the height of the pins, and in each
photograph the place of the pin pattern in the housing. All these have a tolerance, and are fitted within it. What then
states the size of a pixel is mostly the pitch of the pins. A part that is larger in all dimensions looks the same as a
camera that is nearer, so its size as a whole is not fitted. It adds to the uncertainty (`fitted_camera`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares
from threadpoolctl import threadpool_limits

from blender_scripts.contract.housings import Shell
from blender_scripts.geometry.optics import Camera
from generator.locating.pose import motion
from generator.matching.ranges import jackknife_sd
from generator.matching.shifts import Edges

# Standard deviations of the part from its drawing: depth of the housing as a share (0.05 mm of 7.5 mm); width and
# height of outline and opening (moulded parts of this size: +-0.2 mm), height of the pins, place of the pattern, mm.
DEPTH_SHARE = 0.007
DIMENSION_MM, PIN_HEIGHT_MM, PATTERN_MM = 0.1, 0.1, 0.1
# Unknowns of all photographs: logarithms of focal length and depth; outline X, Y and opening X, Y, each as a share;
# height of the pins. Unknowns of each photograph: rotation and shift of the camera; place of the pattern X, Y.
_FOCAL, _DEPTH, _PINS, _COMMON, _OWN = 0, 1, 6, 7, 8
_OUTLINE, _OPENING = slice(2, 4), slice(4, 6)
# Standard deviations of a pose's step: rotation in rad and shift in mm. They only keep what edges do not determine.
_STEP = np.array([0.1, 0.1, 0.1, 20.0, 20.0, 20.0])
_SMALL = 1e-4
# Kinds of edges, which are left out in turn, to see how far the result depends on one kind.
_KINDS = 8
# Blur and shading shift all edges of one kind alike by about this, px, in all photographs (1 standard deviation). Rim
# and floor of a flat part appear close to each other, so that the focal length alone, which is found from their
# perspective, is then wrong by a share of the other number, divided by the width of the photographs.
_ALIKE_PX, _SYSTEMATIC_PX = 0.05, 10.0
# Fewest points of a kind of edge whose scatter is estimated apart; least scatter, px.
_FEWEST, _LEAST_PX = 50, 0.02


@dataclass(frozen=True)
class Fitted:
    """The fitted camera.

    Attributes:
        focal_px: focal length, px (telecentric: px per mm).
        poses: (4, 4) pose of the camera in each photograph: from its axes to the housing's, mm.
        depth: depth of the part divided by the drawing's.
        log_focal_sd: standard deviation of the logarithm of the focal length.
        log_ratio_sd: that of the focal length divided by the mean distance of the photographs.
        turn_sd: (3,) median standard deviations of the poses' rotations about the camera's axes, rad.
        mean_turn_sd: (3,) those of the mean rotation of all poses, with what makes edges of one kind err alike, rad.
        residual_px: median distance of an edge in a photograph from where the fit puts it.
        points: number of edge points.
    """

    focal_px: float
    poses: list[np.ndarray]
    depth: float
    log_focal_sd: float
    log_ratio_sd: float
    turn_sd: np.ndarray
    mean_turn_sd: np.ndarray
    residual_px: float
    points: int


@dataclass(frozen=True)
class _Sighting:
    """The camera of a render, and the edges of a photograph.

    Attributes:
        on_outline: (n,) whether a point that is on no pin is on the outer part of the walls.
    """

    camera: Camera
    edges: Edges
    on_outline: np.ndarray

    def moved(self, common: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Pixels (n, 2) of the points for values of the unknowns (_COMMON,) and (_OWN,)."""
        share = np.where(self.on_outline[:, None], common[_OUTLINE], common[_OPENING])
        z = self.edges.places[:, 2:]
        housing = self.edges.places + np.hstack([share * self.edges.places[:, :2], z * np.expm1(common[_DEPTH])])
        pins = self.edges.places + np.array([*own[6:], common[_PINS]])
        lens = replace(self.camera.lens, focal_px=self.camera.lens.focal_px * float(np.exp(common[_FOCAL])))
        camera = replace(self.camera, lens=lens, matrix_world=self.camera.matrix_world @ motion(own[:6]))
        return camera.project(np.where(self.edges.on_pins[:, None], pins, housing))


class _Solution(NamedTuple):
    """The unknowns (m,); derivatives (n, m) and errors (n,) of the edges' points, and those (m, m), (m,) of the prior.

    Attributes:
        fewer: by how many times fewer the points count than there are.
    """

    x: np.ndarray
    slopes: np.ndarray
    errors: np.ndarray
    prior: np.ndarray
    pull: np.ndarray
    fewer: float


def fit(cameras: Sequence[Camera], edges: Sequence[Edges], shell: Shell, known_sd: float | None = None) -> Fitted:
    """Fit one focal length, one part that differs from its drawing, and a pose for each photograph.

    Args:
        cameras: the cameras of the renders with which the photographs were compared; all have one lens.
        edges: the edges found in each photograph.
        shell: the drawing's housing.
        known_sd: standard deviation of the logarithm of the lens's focal length; None: unknown.
    """
    seen = [_Sighting(camera, each, _is_outer(each.places, shell)) for camera, each in zip(cameras, edges, strict=True)]
    prior = _prior(shell, len(seen), known_sd)
    solved = _solve(seen, prior, _scatter(np.concatenate([each.shifts for each in edges]), seen))
    solved = _solve(seen, prior, _scatter(_residuals(solved.x, seen), seen), solved.x)
    residuals = _residuals(solved.x, seen)
    covariance = np.linalg.inv(solved.slopes.T @ solved.slopes + solved.prior.T @ solved.prior)
    turn_sd = np.sqrt(_parted(np.diag(covariance))[1][:, :3] / solved.fewer)
    # Without perspective, or with a known focal length, nothing is found from perspective.
    apart = known_sd is None and not cameras[0].telecentric
    systematic = _SYSTEMATIC_PX / cameras[0].lens.width if apart else 0.0
    focal_sd, ratio_sd, *mean_turn_sd = _result_sd(solved, covariance, seen, systematic)
    _, own = _parted(solved.x)
    return Fitted(
        focal_px=cameras[0].lens.focal_px * float(np.exp(solved.x[_FOCAL])),
        poses=[camera.matrix_world @ motion(each[:6]) for camera, each in zip(cameras, own, strict=True)],
        depth=float(np.exp(solved.x[_DEPTH])),
        log_focal_sd=float(focal_sd),
        log_ratio_sd=float(ratio_sd),
        turn_sd=np.median(turn_sd, axis=0),
        mean_turn_sd=np.array(mean_turn_sd),
        residual_px=float(np.median(np.abs(residuals))),
        points=len(residuals),
    )


def _is_outer(places: np.ndarray, shell: Shell) -> np.ndarray:
    """Which points (n, 3) are nearer to the outer than to the inner edge of the walls, seen from the front."""
    far = [shell.opening.distance(x, y) for x, y in places[:, :2].tolist()]
    outer: np.ndarray = np.asarray(far) > 0.5 * shell.wall_mm
    return outer


def _prior(shell: Shell, count: int, known_sd: float | None) -> np.ndarray:
    """Standard deviations of all unknowns, whose expected values are 0."""
    sizes = [np.diff(contour.bounds, axis=0)[0] for contour in (shell.outside, shell.opening)]
    common = [1e3 if known_sd is None else max(known_sd, 1e-6), DEPTH_SHARE]
    common += [*(DIMENSION_MM / np.concatenate(sizes)), PIN_HEIGHT_MM]
    return np.concatenate([common, np.tile([*_STEP, PATTERN_MM, PATTERN_MM], count)])


def _parted(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The unknowns of all photographs (_COMMON,), and those of each (count, _OWN)."""
    return x[:_COMMON], x[_COMMON:].reshape(-1, _OWN)


def _rows(seen: Sequence[_Sighting]) -> np.ndarray:
    """Where the points of each photograph begin, and the last ones end."""
    return np.cumsum([0, *(len(each.edges.shifts) for each in seen)])


def _scatter(residuals: np.ndarray, seen: Sequence[_Sighting]) -> np.ndarray:
    """Standard deviation (n,), px, of the points: the pins scatter more than the housing's edges."""
    on_pins = np.concatenate([each.edges.on_pins for each in seen])
    found = np.full(len(residuals), 1.4826 * float(np.median(np.abs(residuals))))
    for kind in (on_pins, ~on_pins):
        if kind.sum() >= _FEWEST:
            found[kind] = 1.4826 * float(np.median(np.abs(residuals[kind])))
    scatter: np.ndarray = np.maximum(found, _LEAST_PX)
    return scatter


def _residuals(x: np.ndarray, seen: Sequence[_Sighting]) -> np.ndarray:
    """Distance (n,), px, of each edge in a photograph from where the unknowns put it, across the edge."""
    common, owns = _parted(x)
    found = []
    for each, own in zip(seen, owns, strict=True):
        off = each.moved(common, own) - each.camera.project(each.edges.places)
        found.append((off * each.edges.normals).sum(axis=1) - each.edges.shifts)
    return np.concatenate(found)


def _jacobian(x: np.ndarray, seen: Sequence[_Sighting]) -> np.ndarray:
    """Derivatives (n, unknowns) of `_residuals`: those of a photograph's own unknowns only for its points."""
    rows, (common, owns) = _rows(seen), _parted(x)
    found = np.zeros((rows[-1], len(x)))
    for number, (each, own) in enumerate(zip(seen, owns, strict=True)):
        here = np.concatenate([common, own])
        for column in range(_COMMON + _OWN):
            change = np.zeros(len(here))
            change[column] = _SMALL
            low, high = (each.moved(place[:_COMMON], place[_COMMON:]) for place in (here - change, here + change))
            slope = ((high - low) * each.edges.normals).sum(axis=1) / (2.0 * _SMALL)
            into = column if column < _COMMON else _OWN * number + column
            found[rows[number] : rows[number + 1], into] = slope
    return found


def _solve(
    seen: Sequence[_Sighting], prior: np.ndarray, scatter: np.ndarray, start: np.ndarray | None = None
) -> _Solution:
    points = len(scatter)
    # Edges that err alike are one sample, however many points they have: points count as so many times fewer.
    fewer = 1.0 + points / _KINDS * (_ALIKE_PX / float(np.median(scatter))) ** 2
    weights = np.concatenate([each.edges.weights for each in seen]) / scatter

    def off(x: np.ndarray) -> np.ndarray:
        return np.concatenate([weights * _residuals(x, seen), x / prior])

    def slope(x: np.ndarray) -> np.ndarray:
        return np.concatenate([weights[:, None] * _jacobian(x, seen), np.diag(1.0 / prior)])

    def loss(squares: np.ndarray) -> np.ndarray:
        """Robust (scipy's soft_l1) for edges only: a robust prior would let the part differ from its drawing freely."""
        root = np.sqrt(1.0 + squares)
        found = np.array([2.0 * (root - 1.0), 1.0 / root, -0.5 / root**3]) / fewer
        found[:, points:] = squares[points:], np.ones(len(prior)), np.zeros(len(prior))
        return found

    begin = np.zeros(len(prior)) if start is None else start
    # On busy cores, threads of the linear algebra wait for one another a hundred times as long as they compute.
    with threadpool_limits(1):
        found = least_squares(off, begin, slope, loss=loss, x_scale="jac", max_nfev=30)
    # scipy scales the derivatives for the loss, but not the errors.
    errors = found.fun[:points] * (1.0 + found.fun[:points] ** 2) ** 0.25 / math.sqrt(fewer)
    return _Solution(found.x, found.jac[:points], errors, found.jac[points:], found.fun[points:], fewer)


def _of_results(seen: Sequence[_Sighting]) -> np.ndarray:
    """Derivatives (5, unknowns) of the results.

    They are the logarithms of the focal length and of its ratio to the mean distance, and the mean rotations (3,).
    """
    found = np.zeros((5, _COMMON + _OWN * len(seen)))
    found[:2, _FOCAL] = 1.0
    for number, each in enumerate(seen):
        own = _COMMON + _OWN * number
        found[2:, own : own + 3] = np.eye(3) / len(seen)
        if not each.camera.telecentric:
            distance = float(np.linalg.norm(each.camera.matrix_world[:3, 3]))
            found[1, own + 5] = -1.0 / (len(seen) * distance)
    return found


def _result_sd(solved: _Solution, covariance: np.ndarray, seen: Sequence[_Sighting], systematic: float) -> np.ndarray:
    """Standard deviations (5,) of `_of_results`.

    They are from the scatter of points, photographs, and kinds of edges, and from `systematic`, a standard deviation of
    the logarithm of the focal length alone, with which the other results change, too.
    """
    of_results = _of_results(seen)
    of_points = np.diag(of_results @ covariance @ of_results.T)
    parts = itertools.pairwise(_rows(seen).tolist())
    steps = np.stack([solved.slopes[a:b].T @ solved.errors[a:b] for a, b in parts])
    of_photographs = ((of_results @ covariance @ steps.T) ** 2).sum(axis=1)
    of_kinds = _by_kind(solved, seen, of_results)
    of_focal = systematic * (of_results @ covariance[_FOCAL]) / covariance[_FOCAL, _FOCAL]
    found: np.ndarray = np.sqrt(np.maximum(of_points, of_photographs) + of_kinds**2 + of_focal**2)
    return found


def _by_kind(solved: _Solution, seen: Sequence[_Sighting], of_results: np.ndarray) -> np.ndarray:
    """Standard deviations (5,) of the results by a jackknife over kinds of edges.

    A kind is a range of depths and directions: what makes the edges of one kind appear elsewhere in photographs than
    in renders does so in all photographs, and would not show in the scatter of single points.
    """
    kinds = []
    for each in (sighting.edges for sighting in seen):
        turn = np.mod(np.arctan2(each.normals[:, 1], each.normals[:, 0]), np.pi)
        low = each.places[:, 2] < np.median(each.places[:, 2])
        kinds.append(4 * low + np.minimum((turn / (np.pi / 4)).astype(int), 3))
    kind = np.concatenate(kinds)
    prior, pull = solved.prior.T @ solved.prior, solved.prior.T @ solved.pull
    steps = []
    for group in range(_KINDS):
        kept = kind != group
        if not kept.all():
            slopes = solved.slopes[kept]
            gradient = slopes.T @ solved.errors[kept] + pull
            steps.append(-of_results @ np.linalg.solve(slopes.T @ slopes + prior, gradient))
    return jackknife_sd(steps) if len(steps) > 1 else np.zeros(len(of_results))
