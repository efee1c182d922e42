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
    prior_information = np.linalg.inv(prior.covariance)
    mean = np.array(prior.mean, float)
    information = prior_information
    for _ in range(_STEPS):
        information, right = prior_information.copy(), prior_information @ (prior.mean - mean)
        for sight in sights:
            slope, weights, off = _linear(sight, pose, mean)
            information += slope.T @ weights @ slope
            right += slope.T @ weights @ off
        step = np.linalg.solve(information, right)
        mean = mean + step
        if np.abs(step).max() < _SMALL_MM:
            break
    own = np.linalg.inv(information)
    # What a motion of the part within the pose's uncertainty moves the point by.
    drag = np.zeros((3, 6))
    for sight in sights:
        slope, weights, _ = _linear(sight, pose, mean)
        drag -= own @ slope.T @ weights @ motion_derivative(sight.view, pose.to_station(mean[None]))[0]
    determined = np.sqrt(np.diag(own)) <= _DETERMINED * np.sqrt(np.diag(prior.covariance))
    return Place(mean, own + drag @ pose.covariance @ drag.T, determined)


def _linear(sight: Sight, pose: Pose, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixel's derivative (2, 3) by the point's place, its weights (2, 2), and found minus expected pixel (2,)."""
    steps = _DERIVATIVE_STEP * np.concatenate([np.eye(3), -np.eye(3), np.zeros((1, 3))])
    pixels = sight.view.project(pose.to_station(mean + steps))
    slope = ((pixels[:3] - pixels[3:6]) / (2.0 * _DERIVATIVE_STEP)).T
    return slope, np.linalg.inv(sight.covariance), sight.pixel - pixels[6]
