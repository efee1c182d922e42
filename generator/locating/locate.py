"""Locate a connector in pictures of known cameras: find its pose on the station from the edges of its housing.

A network looks for points of the edges near the places to which a supposed pose projects them. The pose that fits the
found points best is the next supposed pose; from there the network finds every pin, too. The feet of the pins, which
stand on the cavity floor, also determine height and tilt. They do not determine X and Y, as these are measured from the
housing. Only a housing from CAD, whose edges the drawing does not state, is located in X and Y by the pins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from generator.locating.cameras import StationCamera
from generator.locating.crops import Crops, cut
from generator.locating.fit import Fit, fit_of
from generator.locating.landmarks import PIN, Queries
from generator.locating.pose import NotDeterminedError, Points, Pose, find_pose

# Number of edge points, over all views, for the rough pose and for the final one; least number in each view.
_ROUGH, _FINE, _LEAST = 24, 48, 8
# Probability above which a pin counts as present. Scatter of a foot about its place in the pattern, mm.
_THERE, _FOOT_MM = 0.9, 0.05
# Deviations of a part's placing where none are stated: turn about X and Y, turn about Z, shift in X and Y, shift in Z.
_TILT_DEG, _TURN_DEG, _SHIFT_MM, _LIFT_MM = 1.0, 2.0, 2.0, 2.0


class FoundPoints(NamedTuple):
    """A network's answers for N crops.

    Attributes:
        points: (N, 2, 2) x and y of the mark and of the point beside it, px from the crop's upper left corner.
        covariances: (N, 2, 2, 2) covariance of each of these points, px^2.
        present: (N,) probability that the position has a pin; without meaning for an edge.
        features: (N, F) what the network computed them from; None: unknown.
    """

    points: np.ndarray
    covariances: np.ndarray
    present: np.ndarray
    features: np.ndarray | None = None

    def only(self, keep: np.ndarray) -> FoundPoints:
        """Return the answers for the crops of which `keep` (N,) is True."""
        features = None if self.features is None else self.features[keep]
        return FoundPoints(self.points[keep], self.covariances[keep], self.present[keep], features)


class Finder(Protocol):
    """A network that finds points in crops of `side` x `side` px."""

    @property
    def side(self) -> int: ...

    def find(self, crops: Crops) -> FoundPoints: ...


@dataclass(frozen=True)
class View:
    """One picture of a part: name of the view, `pixels` (H, W, 3) uint8, and the camera for these pixels."""

    name: str
    pixels: np.ndarray
    camera: StationCamera


def placing_deviations(placing: Mapping[str, float] | None) -> np.ndarray:
    """Return the standard deviations (6,) of a part's placing: turns about X, Y and Z in rad, then shifts in mm.

    Args:
        placing: half ranges by name, from connectors.json; None: not stated, and common values are assumed.
    """
    stated = placing or {
        "tilt_deg": _TILT_DEG,
        "rotation_deg": _TURN_DEG,
        "shift_mm": _SHIFT_MM,
        "distance_mm": _LIFT_MM,
    }
    tilt, turn = (max(np.radians(stated[name]), 1e-4) for name in ("tilt_deg", "rotation_deg"))
    shift, lift = (max(stated[name], 0.01) for name in ("shift_mm", "distance_mm"))
    return np.array([tilt, tilt, turn, shift, shift, lift])


class Sighting(NamedTuple):
    """A view, and the network's answers for the queries `which` (n,) with their points in px of its picture."""

    view: View
    which: np.ndarray
    found: FoundPoints
    scale: np.ndarray

    def only(self, keep: np.ndarray) -> Sighting:
        """Return the answers for some of the queries (n,) bool."""
        return Sighting(self.view, self.which[keep], self.found.only(keep), self.scale[keep])


class Located(NamedTuple):
    """A located part.

    Attributes:
        pose: on the station, common to all views.
        fits: how well it fits each view, by name of the view.
        pins: every pin as found in each view.
        points: those that the pose was computed from, by view.
        features: by view, (F,) mean of the network's features over the edges, or over the pins of a housing without
            stated edges; None if the network states no features.
    """

    pose: Pose
    fits: dict[str, Fit]
    pins: list[Sighting]
    points: dict[str, list[Points]]
    features: dict[str, np.ndarray | None]


def locate(views: Sequence[View], queries: Queries, finder: Finder, deviations: np.ndarray) -> Pose:
    """Find the pose of a part as `located` does, without the fits."""
    return located(views, queries, finder, deviations).pose


def located(views: Sequence[View], queries: Queries, finder: Finder, deviations: np.ndarray) -> Located:
    """Find the pose of a part on the station from all its views together, how well it fits each view, and the pins.

    Args:
        views: pictures that were taken while the part lay at one place.
        queries: queries of the part's connector.
        finder: the network.
        deviations: (6,) standard deviations of the part's placing, from `placing_deviations`.

    Raises:
        NotDeterminedError: the found points do not determine a pose; or the housing's edges are not stated, and no pin
            was found in one of the views.
    """
    matrix = np.eye(4)
    pins, edges = np.arange(queries.pins), np.arange(queries.pins, len(queries.kinds))
    count = len(views)
    rough = spread(edges, max(_LEAST, _ROUGH // count)) if len(edges) else pins
    fine = np.concatenate([pins, spread(edges, max(_LEAST, _FINE // count))]) if len(edges) else pins
    # The first pose, from edges alone, is good enough to place the crops of the pins.
    for which in (rough, fine):
        seen = [sight(view, queries, finder, matrix, which) for view in views]
        observed = [_points(each, queries) for each in seen]
        pose = find_pose([points for each in observed for points in each], matrix, deviations)
        matrix = pose.matrix
    fits = {view.name: fit_of(each[0], pose) for view, each in zip(views, observed, strict=True)}
    points = {view.name: each for view, each in zip(views, observed, strict=True)}
    features = {each.view.name: _features(each, queries) for each in seen}
    return Located(pose, fits, [each.only(each.which < queries.pins) for each in seen], points, features)


def spread(which: np.ndarray, most: int) -> np.ndarray:
    """Return the indices (n,) if they are at most `most`, else `most` of them at equal distances."""
    chosen: np.ndarray = which[np.unique(np.linspace(0, len(which) - 1, min(most, len(which))).round().astype(int))]
    return chosen


def sight(view: View, queries: Queries, finder: Finder, matrix: np.ndarray, which: np.ndarray) -> Sighting:
    """Find the queries `which` (n,) in a view, near where a supposed pose (4, 4) projects them."""
    crops = cut(view.pixels, view.camera, queries, matrix, finder.side, which)
    found = finder.find(crops)
    return Sighting(view, which, found._replace(points=found.points + crops.corners[:, None]), crops.scale)


def _features(seen: Sighting, queries: Queries) -> np.ndarray | None:
    """Mean of the network's features (F,) over the edges, or over the pins where there are no edges."""
    if seen.found.features is None:
        return None
    edges = seen.which >= queries.pins
    mean: np.ndarray = seen.found.features[edges if edges.any() else ~edges].mean(axis=0)
    return mean


def _points(seen: Sighting, queries: Queries) -> list[Points]:
    """Points of the edges, and the feet of the pins that are there: on the floor, at their pattern's places."""
    edges = seen.only(seen.which >= queries.pins)
    pins = seen.only((seen.which < queries.pins) & (seen.found.present > _THERE))
    observed = []
    if len(edges.which):
        found = edges.found
        observed.append(
            Points(seen.view.camera, queries.marks[edges.which], found.points[:, 0], found.covariances[:, 0])
        )
    if len(pins.which):
        scatter = (_FOOT_MM * pins.scale)[:, None, None] ** 2 * np.eye(2)
        feet = queries.besides[pins.which], pins.found.points[:, 1], pins.found.covariances[:, 1] + scatter
        observed.append(Points(seen.view.camera, *feet, is_pattern=bool(queries.kinds[-1] != PIN)))
    if not observed:
        raise NotDeterminedError(f"no pin was found in view {seen.view.name}")
    return observed
