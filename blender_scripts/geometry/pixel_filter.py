"""Reduce a picture that was rendered on a finer pixel grid, with Cycles' Blackman-Harris pixel filter."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

FILTER_PX = 1.5  # Cycles' default: the filter reaches 1.5 px to each side
_BLACKMAN_HARRIS = (0.35875, -0.48829, 0.14128, -0.01168)


def reduce_picture(fine: np.ndarray, width: int, height: int) -> np.ndarray:
    """Reduce a picture to fewer pixels.

    Args:
        fine: (H, W, 3) the finer picture; it has W / width pixels per new pixel along both axes, and its centre is the
            centre of the new picture.
        width, height: size of the new picture in px.

    Returns:
        (height, width, 3) float32.
    """
    scale = fine.shape[1] / width
    columns, shares = _taps(width, fine.shape[1], scale)
    narrow = sum(shares[:, tap, None] * fine[:, columns[:, tap]] for tap in range(columns.shape[1]))
    rows, shares = _taps(height, fine.shape[0], scale)
    # Sums tap by tap, not a matrix product: its rounding depends on the number of threads.
    reduced: np.ndarray = sum(shares[:, tap, None, None] * narrow[rows[:, tap]] for tap in range(rows.shape[1]))
    return reduced


@lru_cache(maxsize=16)
def _taps(pixels: int, fine: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the fine pixels under each pixel's filter, and their weights: (pixels, taps), float32."""
    middles = 0.5 * fine + (np.arange(pixels) + 0.5 - 0.5 * pixels) * scale
    first = np.floor(middles - FILTER_PX * scale).astype(int)
    indices = first[:, None] + np.arange(math.ceil(2.0 * FILTER_PX * scale) + 1)
    away = (indices + 0.5 - middles[:, None]) / scale
    phase = 2.0 * np.pi * (0.5 + away / (2.0 * FILTER_PX))
    weights = sum(factor * np.cos(order * phase) for order, factor in enumerate(_BLACKMAN_HARRIS))
    weights = np.where(np.abs(away) < FILTER_PX, weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(indices, 0, fine - 1), weights.astype(np.float32)
