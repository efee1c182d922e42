"""The place of one point, such as a pin's tip, from where pictures of known pose show it: weighted least squares.

The covariance has two parts: the pixels' errors, which are each point's own, and the pose's, which all points share.
A direction that the views do not determine, such as the height in a single centre view, is said to be so.
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
    """Where one view shows the point: `pixel` (2,) with `covariance` (2, 2) in px^2."""

    view: View
    pixel: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Prior:
    """What is known of the point beforehand: `mean` (3,) mm in the part's datum axes, `covariance` (3, 3) mm^2."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Place:
    """A point's place in the part's datum axes.

    Attributes:
        mean: (3,) mm.
        covariance: (3, 3) mm^2, with the pose's share.
        determined: (3,) for x, y, z: the views, not the prior, fix it.
    """

    mean: np.ndarray
    covariance: np.ndarray
    determined: np.ndarray


def triangulate(sights: Sequence[Sight], pose: Pose, prior: Prior) -> Place:
    """Find a point's place from all views that show it.

    Args:
        sights: where the views show it; without any, the prior is returned.
        pose: of the part, common to all views.
        prior: where the point may be. In a direction that the views determine it should be wide enough not to matter.
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
