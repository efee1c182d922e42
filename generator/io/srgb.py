"""The sRGB coding of linear light (IEC 61966-2-1), for arrays of any shape."""

from __future__ import annotations

import numpy as np


def linear(pixels: np.ndarray) -> np.ndarray:
    """Convert sRGB, uint8 or float from 0 to 255, to linear light, 0 to 1."""
    share = np.asarray(pixels, np.float64) / 255.0
    light: np.ndarray = np.where(share <= 0.04045, share / 12.92, ((np.maximum(share, 0.0) + 0.055) / 1.055) ** 2.4)
    return light


def coded(light: np.ndarray) -> np.ndarray:
    """Convert linear light from 0 to 1 to sRGB, from 0 to 255, not rounded."""
    share: np.ndarray = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.power(light, 1.0 / 2.4) - 0.055)
    return 255.0 * share
