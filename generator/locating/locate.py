"""Locate a connector in pictures of known cameras: find its pose on the station from the edges of its housing.

First, a network looks for points of the edges near the places to which the nominal pose projects them, and the pose
that fits the found points best is computed. Starting from this pose, the network then looks for the edges and the pins,
and the pose is computed again. This time, the pins' feet, which stand on the cavity floor, count for height and tilt
only: X and Y are measured from the housing. A housing from CAD, whose edges the drawing does not state, is located by
the feet alone, both times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from generator.locating.cameras import StationCamera
from generator.locating.crops import Crops, cut, inside
from generator.locating.fit import Fit, fit_of
from generator.locating.landmarks import PIN, Queries
from generator.locating.pose import NotDeterminedError, Points, Pose, find_pose

# Number of edge points, over all views, for the rough pose and for the final one; least number in each view. The least
# are the same points for any number of views, so that their features can be compared.
_ROUGH, _FINE, _LEAST = 24, 48, 8
# Probability above which a pin counts as present. Scatter of a foot about its place in the pattern, mm.
THERE, _FOOT_MM = 0.9, 0.05
# Deviations of a part's placing where none are stated: turn about X and Y, turn about Z, shift in X and Y, shift in Z.
_TILT_DEG, _TURN_DEG, _SHIFT_MM, _LIFT_MM = 1.0, 2.0, 2.0, 2.0
# Standard deviation of a point that is not seen, px: larger than any picture.
_UNSEEN_PX = 1e5


class FoundPoints(NamedTuple):
    """A network's answers for N crops of a picture; each crop's query asks for a mark and the point beside it.

    Attributes:
        points: (N, 2, 2) x and y of the two points, px from the crop's upper left corner.
        covariances: (N, 2, 2, 2) covariance of each of these points, px^2.
        present: (N,) probability that the position has a pin; without meaning if the query is for an edge.
        features: (N, F) numbers from which the network computed these answers; None: unknown.
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
    """A network that finds, in crops (square cut-outs) of a picture, the points for which queries ask."""

    @property
    def side(self) -> int:
        """Side of a crop, px."""

    def find(self, crops: Crops) -> FoundPoints:
        """Find in each crop the two points for which its query asks, and the probability that a pin is present."""


@dataclass(frozen=True)
class View:
    """One picture of a part: name of the view, `pixels` (H, W, 3) uint8, and the camera that took these pixels."""

    name: str
    pixels: np.ndarray
    camera: StationCamera


def placing_deviations(placing: Mapping[str, float] | None) -> np.ndarray:
    """Return the standard deviations (6,) of a part's placing: turns about X, Y and Z in rad, then shifts in mm.

    They are set to the largest deviations that the scene states.

    Args:
        placing: largest deviations to either side from connectors.json: `tilt_deg` (about X and Y), `rotation_deg`
            (about Z), `shift_mm` (along X and Y), `distance_mm` (along Z). None: 1 degree, 2 degrees, 2 mm, 2 mm.
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
    """The network's answers for n queries in one view.

    Attributes:
        view: the picture, with its camera.
        which: (n,) indices of the queries in `Queries`.
        found: the answers; their points are in px of the picture.
        scale: (n,) px per mm at each query's mark.
    """

    view: View
    which: np.ndarray
    found: FoundPoints
    scale: np.ndarray

    def sees(self, end: int) -> np.ndarray:
        """Return for which queries (n,) the mark (`end` 0) or the point beside it (1) is not beyond the picture."""
        found: np.ndarray = self.found.covariances[:, end, 0, 0] < (0.5 * _UNSEEN_PX) ** 2
        return found

    def only(self, keep: np.ndarray) -> Sighting:
        """Return the answers for those queries for which `keep`, (n,) bool, is true."""
        return Sighting(self.view, self.which[keep], self.found.only(keep), self.scale[keep])


class Located(NamedTuple):
    """A located part.

    Attributes:
        pose: pose of the part on the station, common to all views.
        fits: how well the pose fits each view, by name of the view.
        pins: the network's answers for all pins, one `Sighting` per view, without weight beyond the picture's edge.
        points: points from which the pose was computed, by name of the view.
        features: by name of the view, (F,) mean of the network's features over 8 edge points, whose choice does not
            depend on the number of views, or over the pins if the drawing states no edges; None: no features.
    """

    pose: Pose
    fits: dict[str, Fit]
    pins: list[Sighting]
    points: dict[str, list[Points]]
    features: dict[str, np.ndarray | None]


def located(views: Sequence[View], queries: Queries, finder: Finder, deviations: np.ndarray) -> Located:
    """Find the pose of a part on the station from all its views together, how well it fits each view, and the pins.

    Args:
        views: pictures that were taken while the part lay at one place.
        queries: queries of the part's connector.
        finder: the gauge's network.
        deviations: (6,) standard deviations of the part's placing, from `placing_deviations`.

    Raises:
        NotDeterminedError: the found points do not determine a pose; or the drawing does not state the housing's edges,
            and one of the views shows no pin.
    """
    matrix = np.eye(4)
    pins, edges = np.arange(queries.pins), np.arange(queries.pins, len(queries.kinds))
    count = len(views)
    rough = spread(edges, max(_LEAST, _ROUGH // count)) if len(edges) else pins
    least = spread(edges, _LEAST) if len(edges) else pins
    fine = np.unique(np.concatenate([pins, least, spread(edges, _FINE // count)]))
    # The first pose, from edges alone, is good enough to place the crops of the pins.
    for which in (rough, fine):
        seen = [sight(view, queries, finder, matrix, which) for view in views]
        observed = [_points(each, queries) for each in seen]
        pose = find_pose([points for each in observed for points in each], matrix, deviations)
        matrix = pose.matrix
    fits = {view.name: fit_of(each[0], pose) for view, each in zip(views, observed, strict=True)}
    points = {view.name: each for view, each in zip(views, observed, strict=True)}
    features = {each.view.name: _features(each, least) for each in seen}
    of_pins = [shown(each.only(each.which < queries.pins), queries, matrix) for each in seen]
    return Located(pose, fits, of_pins, points, features)


def spread(which: np.ndarray, most: int) -> np.ndarray:
    """Choose at most `most` of the indices `which` (n,), at equal steps through the array; all n if n <= `most`."""
    chosen: np.ndarray = which[np.unique(np.linspace(0, len(which) - 1, min(most, len(which))).round().astype(int))]
    return chosen


def sight(view: View, queries: Queries, finder: Finder, matrix: np.ndarray, which: np.ndarray) -> Sighting:
    """Let the network look for points of a connector in one view, and return its answers.

    Args:
        view: the picture, with its camera.
        queries: queries of the part's connector.
        finder: the network.
        matrix: (4, 4) supposed pose of the part on the station, which says where the crops are cut.
        which: (n,) indices of the queries for which the network looks.
    """
    crops = cut(view.pixels, view.camera, queries, matrix, finder.side, which)
    found = finder.find(crops)
    return Sighting(view, which, found._replace(points=found.points + crops.corners[:, None]), crops.scale)


def shown(seen: Sighting, queries: Queries, matrix: np.ndarray) -> Sighting:
    """Return answers in which points beyond the picture's edge have no weight, as nothing shows them.

    A point counts as beyond the edge if it was expected or found there. Its covariance becomes larger than any
    picture, see `Sighting.sees`.

    Args:
        seen: the network's answers.
        queries: queries of the part's connector.
        matrix: (4, 4) pose of the part on the station.
    """
    ends = np.stack([queries.marks[seen.which], queries.besides[seen.which]], axis=1)
    expected = seen.view.camera.project(ends @ matrix[:3, :3].T + matrix[:3, 3])
    there = inside(seen.found.points, seen.view.pixels) & inside(expected, seen.view.pixels)
    covariances = np.where(there[..., None, None], seen.found.covariances, _UNSEEN_PX**2 * np.eye(2))
    return seen._replace(found=seen.found._replace(covariances=covariances))


def _features(seen: Sighting, which: np.ndarray) -> np.ndarray | None:
    """Mean of the network's features (F,) over the queries with the indices `which` (n,); None without features."""
    if seen.found.features is None:
        return None
    mean: np.ndarray = seen.found.features[np.isin(seen.which, which)].mean(axis=0)
    return mean


def _points(seen: Sighting, queries: Queries) -> list[Points]:
    """Points of the edges, and the feet of the pins that are there: on the floor, at their pattern's places."""
    edges = seen.only(seen.which >= queries.pins)
    pins = seen.only((seen.which < queries.pins) & (seen.found.present > THERE))
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
        raise NotDeterminedError(f"view {seen.view.name} shows no pin to locate the part by")
    return observed
