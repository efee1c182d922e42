"""Resample pictures onto the pixels of a mean picture, matched in brightness; grey values and channels of pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from generator.soart.registration import Pose, warp


def moved(picture: np.ndarray, pose: Pose, reference: np.ndarray, gain: bool) -> np.ndarray:
    """Resample a picture onto the pixels of the reference.

    Args:
        picture: (H, W[, C]) floats in [0, 1].
        pose: its alignment with the reference.
        reference: (h, w[, C]) floats in [0, 1].
        gain: whether the picture's brightness is matched to the reference's.
    """
    shape = reference.shape[:2]
    factor = 1.0
    if gain:
        # Only from pixels inside the picture: its border, repeated outside, is not what the part looks like there.
        bare = warp(grey(picture), pose, shape, np.full(shape, np.nan))
        shown = np.isfinite(bare)
        factor = _gain(bare[shown], grey(reference)[shown])
    # Pixels outside the picture are unknown: they take the reference's values, after the gain is applied.
    if picture.ndim == 2:
        return warp(np.clip(factor * picture, 0, 1), pose, shape, reference)
    channels = range(picture.shape[2])
    return np.stack(
        [warp(np.clip(factor * picture[..., c], 0, 1), pose, shape, reference[..., c]) for c in channels], axis=2
    )


def greys(members: np.ndarray) -> np.ndarray:
    """Convert pictures (n, h, w[, C]) to grey (n, h, w), the mean of the channels."""
    values: np.ndarray = members if members.ndim == 3 else members.mean(axis=3, dtype=np.float32)
    return values


def grey(picture: np.ndarray) -> np.ndarray:
    """Convert a picture (h, w[, C]) to grey (h, w), the mean of the channels."""
    values: np.ndarray = greys(picture[None])[0]
    return values


def by_channel(picture: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Apply a function of grey pictures to a picture (h, w) or to each channel of a picture (h, w, C)."""
    if picture.ndim == 2:
        return change(picture)
    return np.stack([change(np.ascontiguousarray(picture[..., c])) for c in range(picture.shape[2])], axis=2)


def _gain(picture: np.ndarray, reference: np.ndarray) -> float:
    """Find the factor that matches a picture's brightness to the reference's; outlier pixels have little weight."""
    y, x = picture.ravel(), reference.ravel()
    weight = np.ones_like(y)
    gain = 1.0
    for _ in range(4):
        gain = float((weight * x * y).sum() + 1e-6) / float((weight * y * y).sum() + 1e-6)
        rest = np.abs(x - gain * y)
        weight = 1.0 / (1.0 + (rest / (2.0 * rest.mean() + 1e-6)) ** 2)
    return gain
