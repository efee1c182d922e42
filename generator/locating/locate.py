"""Locate a connector in pictures of known cameras: its pose in the station, from the edges of its housing.

A network finds the points of the edges near where a supposed pose projects them; the pose that fits them best is the
next supposed pose. A housing without drawn edges (from CAD) is located by its pins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from generator.locating.cameras import StationCamera
from generator.locating.crops import Crops, cut
from generator.locating.fit import Fit, fit_of
from generator.locating.landmarks import Queries
from generator.locating.pose import Points, Pose, find_pose

# Edge points looked for in all views together, at most: for a rough pose, and from it for the final one; at least so
# many in each view.
_ROUGH, _FINE, _LEAST = 24, 48, 8
# Standard deviations of a part's placing where nothing is stated: degrees about X and Y, about Z, and mm.
_TILT_DEG, _TURN_DEG, _SHIFT_MM, _LIFT_MM = 1.0, 2.0, 2.0, 2.0


class FoundPoints(NamedTuple):
    """A network's answers for N crops.

    Attributes:
        points: (N, 2, 2) px in the crop: mark and point beside it, x and y.
        covariances: (N, 2, 2, 2) of these, px^2.
        present: (N,) probability that there is a pin.
    """

    points: np.ndarray
    covariances: np.ndarray
    present: np.ndarray


class Finder(Protocol):
    """A network that finds points in crops; `side` is that of a crop in px."""

    @property
    def side(self) -> int: ...

    def find(self, crops: Crops) -> FoundPoints: ...


@dataclass(frozen=True)
class View:
    """One picture of a part: `pixels` (H, W, 3) uint8, and its camera."""

    name: str
    pixels: np.ndarray
    camera: StationCamera


def placing_deviations(placing: Mapping[str, float] | None) -> np.ndarray:
    """Standard deviations (6,) of a part's placing, rad and mm, from the half ranges that connectors.json states."""
    stated = placing or {
        "tilt_deg": _TILT_DEG,
        "rotation_deg": _TURN_DEG,
        "shift_mm": _SHIFT_MM,
        "distance_mm": _LIFT_MM,
    }
    tilt, turn = (max(np.radians(stated[name]), 1e-4) for name in ("tilt_deg", "rotation_deg"))
    shift, lift = (max(stated[name], 0.01) for name in ("shift_mm", "distance_mm"))
    return np.array([tilt, tilt, turn, shift, shift, lift])


class Located(NamedTuple):
    """A part's pose, and how well it fits each view, by name."""

    pose: Pose
    fits: dict[str, Fit]


def locate(views: Sequence[View], queries: Queries, finder: Finder, deviations: np.ndarray) -> Pose:
    """Find the pose of a part, common to all its views; see `located`."""
    return located(views, queries, finder, deviations).pose


def located(views: Sequence[View], queries: Queries, finder: Finder, deviations: np.ndarray) -> Located:
    """Find the pose of a part, common to all its views, and how well it fits each.

    Args:
        views: pictures of one placing.
        queries: of the part's connector.
        finder: the network.
        deviations: see `placing_deviations`.

    Raises:
        NotDeterminedError: the found points do not determine a pose.
    """
    which = np.arange(len(queries.kinds))[queries.edges]
    if not len(which):
        which = np.arange(queries.pins)
    matrix = np.eye(4)
    for most in (_ROUGH, _FINE):
        some = spread(which, max(_LEAST, most // len(views)))
        found = [_found(view, queries, finder, matrix, some) for view in views]
        pose = find_pose(found, matrix, deviations)
        matrix = pose.matrix
    return Located(pose, {view.name: fit_of(points, pose) for view, points in zip(views, found, strict=True)})


def spread(which: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the indices, spread evenly."""
    chosen: np.ndarray = which[np.unique(np.linspace(0, len(which) - 1, min(most, len(which))).round().astype(int))]
    return chosen


def _found(view: View, queries: Queries, finder: Finder, matrix: np.ndarray, which: np.ndarray) -> Points:
    crops = cut(view.pixels, view.camera, queries, matrix, finder.side, which)
    found = finder.find(crops)
    return Points(view.camera, queries.marks[which], found.points[:, 0] + crops.corners, found.covariances[:, 0])
