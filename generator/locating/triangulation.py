"""Compute where points of a part, such as tips of pins, lie in space, from their pixels in one or several views.

The cameras and the part's pose are known; weighted least squares are used. A point's covariance has two parts: one from
the errors of its own pixels, and one from the error of the pose, which all points of the part share. Coordinates that
the views do not determine, such as the height in a single centre view, are marked (`Place.determined`).
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
class ViewSights:
    """Where the camera `view` shows n points: `pixels` (n, 2), x and y, with `covariances` (n, 2, 2) in px^2."""

    view: View
    pixels: np.ndarray
    covariances: np.ndarray


@dataclass(frozen=True)
class Place:
    """A point's place in the part's datum axes, with its uncertainty.

    Attributes:
        mean: (3,) x, y and z, mm.
        covariance: (3, 3) covariance of x, y and z, mm^2; it includes the error of the pose.
        determined: (3,) bool: whether the views determine x, y and z; else the value is mainly the prior's.
        disagreement: chi-square of the differences between found and expected pixels; about 2 V - 3 for V >= 2 views,
            if the covariances are right. With one view it means nothing.
    """

    mean: np.ndarray
    covariance: np.ndarray
    determined: np.ndarray
    disagreement: float


def triangulate(sights: Sequence[ViewSights], pose: Pose, means: np.ndarray, covariance: np.ndarray) -> list[Place]:
    """Find the places of n points, all of which every view shows; returns them in the points' order.

    Args:
        sights: the points' pixels in each view; without any view, the prior places are returned.
        pose: pose of the part, common to all views.
        means: (n, 3) prior places of the points, mm in the part's datum axes.
        covariance: (3, 3) covariance of each prior place, mm^2; large, so that the views decide where they can.
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
    drag, disagreement = np.zeros((len(places), 3, 6)), np.zeros(len(places))
    for sight in sights:
        slope, weights, off = _linear(sight, pose, places)
        disagreement += np.einsum("ni,nij,nj->n", off, weights, off)
        moved = motion_derivative(sight.view, pose.to_station(places))
        drag -= own @ np.swapaxes(slope, 1, 2) @ weights @ moved
    deviations = np.sqrt(np.diagonal(own, axis1=1, axis2=2))
    determined = deviations <= _DETERMINED * np.sqrt(np.diag(covariance))
    whole = own + drag @ pose.covariance @ np.swapaxes(drag, 1, 2)
    return [Place(*each) for each in zip(places, whole, determined, disagreement.tolist(), strict=True)]


def _linear(sight: ViewSights, pose: Pose, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Derivatives (n, 2, 3) of pixels by the points' places, weights (n, 2, 2), found minus expected pixels (n, 2)."""
    steps = _DERIVATIVE_STEP * np.concatenate([np.eye(3), -np.eye(3), np.zeros((1, 3))])
    pixels = sight.view.project(pose.to_station(places[:, None] + steps))
    slope = np.swapaxes((pixels[:, :3] - pixels[:, 3:6]) / (2.0 * _DERIVATIVE_STEP), 1, 2)
    return slope, np.linalg.inv(sight.covariances), sight.pixels - pixels[:, 6]
