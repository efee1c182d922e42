"""The place of one point of a part, such as a pin's tip, from its pixels in one or several views of known pose.

It is found by weighted least squares. Its covariance has two parts: from the errors of its own pixels, and from the
error of the pose, which all points of the part share. Directions that the views do not determine, such as the height in
a single centre view, are marked (`Place.determined`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from generator.locating.pose import Pose, View, motion_derivative

_STEPS = 30
_SMALL_MM = 1e-7
_DERIVATIVE_STEP = 1e-5
# A direction is determined by the views if they leave at most this share of the prior's standard deviation.
_DETERMINED = 0.5


@dataclass(frozen=True)
class Sight:
    """The point as one view shows it.

    Attributes:
        view: the camera.
        pixel: (2,) its place in the picture, px.
        covariance: (2, 2) covariance of `pixel`, px^2.
    """

    view: View
    pixel: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class ViewSights:
    """Where one view shows n points: `pixels` (n, 2) with `covariances` (n, 2, 2) in px^2."""

    view: View
    pixels: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class Prior:
    """What is known of the point's place before it is measured.

    Attributes:
        mean: (3,) mm in the part's datum axes.
        covariance: (3, 3) mm^2.
    """

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Place:
    """A point's place in the part's datum axes.

    Attributes:
        mean: (3,) mm.
        covariance: (3, 3) mm^2; it includes the error of the pose.
        determined: (3,) bool: whether the views, and not the prior, determine x, y and z.
    """

    mean: np.ndarray
    covariance: np.ndarray
    determined: np.ndarray


def triangulate(sights: Sequence[Sight], pose: Pose, prior: Prior) -> Place:
    """Find a point's place from all views that show it.

    Args:
        sights: the point in each view; if empty, the prior is returned.
        pose: pose of the part, common to all views.
        prior: where the point may be; wide enough that it has no effect in directions that the views determine.
    """
    seen = [ViewSights(one.view, one.pixel[None], one.covariance[None]) for one in sights]
    return triangulate_all(seen, pose, np.asarray(prior.mean, float)[None], prior.covariance)[0]


def triangulate_all(sights: Sequence[ViewSights], pose: Pose, means: np.ndarray, covariance: np.ndarray) -> list[Place]:
    """Find the places of n points at once, all of which all views show; see `triangulate`.

    Args:
        sights: of each view.
        pose: of the part.
        means: (n, 3) mm, what is known of the points beforehand.
        covariance: (3, 3) mm^2 of that, the same for all points.
    """
    prior_information = np.linalg.inv(covariance)
    places = np.array(means, float)
    for _ in range(_STEPS):
        information = np.repeat(prior_information[None], len(places), axis=0)
        right = (means - places) @ prior_information
        for sight in sights:
            slope, weights, off = _linear(sight, pose, places)
            information += np.swapaxes(slope, 1, 2) @ weights @ slope
            right += np.einsum("nia,nij,nj->na", slope, weights, off)
        step = np.linalg.solve(information, right[..., None])[..., 0]
        places = places + step
        if np.abs(step).max() < _SMALL_MM:
            break
    own = np.linalg.inv(information)
    # What a motion of the part within the pose's uncertainty moves the points by.
    drag = np.zeros((len(places), 3, 6))
    for sight in sights:
        slope, weights, _ = _linear(sight, pose, places)
        moved = motion_derivative(sight.view, pose.to_station(places))
        drag -= own @ np.swapaxes(slope, 1, 2) @ weights @ moved
    deviations = np.sqrt(np.diagonal(own, axis1=1, axis2=2))
    determined = deviations <= _DETERMINED * np.sqrt(np.diag(covariance))
    whole = own + drag @ pose.covariance @ np.swapaxes(drag, 1, 2)
    return [Place(*each) for each in zip(places, whole, determined, strict=True)]


def _linear(sight: ViewSights, pose: Pose, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives (n, 2, 3) of pixels by the points' places, weights (n, 2, 2), found minus expected pixels (n, 2)."""
    steps = _DERIVATIVE_STEP * np.concatenate([np.eye(3), -np.eye(3), np.zeros((1, 3))])
    pixels = sight.view.project(pose.to_station(places[:, None] + steps))
    slope = np.swapaxes((pixels[:, :3] - pixels[:, 3:6]) / (2.0 * _DERIVATIVE_STEP), 1, 2)
    return slope, np.linalg.inv(sight.covariances), sight.pixels - pixels[:, 6]
