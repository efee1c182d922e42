"""Locate a connector in pictures of known cameras: its pose in the station, from the edges of its housing.

A network finds the points of the edges near where a supposed pose projects them; the pose that fits them best is the
next supposed pose. From there it finds every pin, too. The feet, which stand on the floor of the cavity, help to find
height and tilt; where their pattern lies along X and Y is left open, since the housing is the datum. Only a housing
without drawn edges (from CAD) is located by the pattern.
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
from generator.locating.pose import Points, Pose, find_pose

# Edge points looked for in all views together, at most: for a rough pose, and from it for the final one; at least so
# many in each view.
_ROUGH, _FINE, _LEAST = 24, 48, 8
# A pin whose probability is above this is there. Scatter of a foot about its pattern's place, mm.
_THERE, _FOOT_MM = 0.9, 0.05
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


class Sighting(NamedTuple):
    """A view, and the network's answers for the queries `which` (n,) with their points in px of its picture."""

    view: View
    which: np.ndarray
    found: FoundPoints
    scale: np.ndarray

    def only(self, keep: np.ndarray) -> Sighting:
        """Return the answers for some of the queries (n,) bool."""
        return Sighting(
            self.view, self.which[keep], FoundPoints(*(each[keep] for each in self.found)), self.scale[keep]
        )


class Located(NamedTuple):
    """A located part.

    Attributes:
        pose: common to all views.
        fits: how well it fits each view, by name.
        pins: every pin as found in each view.
        points: those that the pose was computed from, by view.
    """

    pose: Pose
    fits: dict[str, Fit]
    pins: list[Sighting]
    points: dict[str, list[Points]]


def locate(views: Sequence[View], queries: Queries, finder: Finder, deviations: np.ndarray) -> Pose:
    """Find the pose of a part, common to all its views; see `located`."""
    return located(views, queries, finder, deviations).pose


def located(views: Sequence[View], queries: Queries, finder: Finder, deviations: np.ndarray) -> Located:
    """Find the pose of a part, common to all its views, how well it fits each, and the pins.

    Args:
        views: pictures of one placing.
        queries: of the part's connector.
        finder: the network.
        deviations: see `placing_deviations`.

    Raises:
        NotDeterminedError: the found points do not determine a pose.
    """
    matrix = np.eye(4)
    pins, edges = np.arange(queries.pins), np.arange(queries.pins, len(queries.kinds))
    count = len(views)
    rough = spread(edges, max(_LEAST, _ROUGH // count)) if len(edges) else pins
    fine = np.concatenate([pins, spread(edges, max(_LEAST, _FINE // count))]) if len(edges) else pins
    # The edges alone bring the crops of the pins near enough.
    for which in (rough, fine):
        seen = [sight(view, queries, finder, matrix, which) for view in views]
        observed = [_points(each, queries) for each in seen]
        pose = find_pose([points for each in observed for points in each], matrix, deviations)
        matrix = pose.matrix
    fits = {view.name: fit_of(each[0], pose) for view, each in zip(views, observed, strict=True)}
    points = {view.name: each for view, each in zip(views, observed, strict=True)}
    return Located(pose, fits, [each.only(each.which < queries.pins) for each in seen], points)


def spread(which: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the indices, spread evenly."""
    chosen: np.ndarray = which[np.unique(np.linspace(0, len(which) - 1, min(most, len(which))).round().astype(int))]
    return chosen


def sight(view: View, queries: Queries, finder: Finder, matrix: np.ndarray, which: np.ndarray) -> Sighting:
    """Find the queries `which` (n,) in a view, near where a supposed pose (4, 4) projects them."""
    crops = cut(view.pixels, view.camera, queries, matrix, finder.side, which)
    found = finder.find(crops)
    return Sighting(view, which, found._replace(points=found.points + crops.corners[:, None]), crops.scale)


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
        raise ValueError(f"no pin was found in view {seen.view.name}")
    return observed
