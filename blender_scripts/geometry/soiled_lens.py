"""What a lens out of focus, and dirt on it, do to a picture in the wide world, in linear light.

The picture is not shifted, so that boxes and masks stay right.
"""

from __future__ import annotations

import math

import numpy as np

from blender_scripts.contract.world import Spot

# A pixel of the disc of confusion is sampled at this many places along each axis.
_FINE = 4


def defocus(light: np.ndarray, radius_px: float) -> np.ndarray:
    """Blur a picture as a lens out of focus does: each point becomes a disc, the same in the whole picture.

    Args:
        light: (H, W, 3) linear RGB.
        radius_px: radius of the disc, px; below a quarter of a pixel nothing changes.

    Returns:
        (H, W, 3) linear RGB. Beyond the picture's edges, its border pixels are repeated.
    """
    if radius_px < 0.25:
        return light
    reach = math.ceil(radius_px - 0.5)
    places = (np.arange((2 * reach + 1) * _FINE) + 0.5) / _FINE - reach - 0.5
    inside = places[:, None] ** 2 + places**2 <= radius_px**2
    side = 2 * reach + 1
    weights = inside.reshape(side, _FINE, side, _FINE).mean(axis=(1, 3))
    weights /= weights.sum()
    padded = np.pad(light, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width = light.shape[:2]
    total = np.zeros_like(light)
    for (y, x), weight in np.ndenumerate(weights):
        if weight:
            total += np.float32(weight) * padded[y : y + height, x : x + width]
    return total


def through_dirt(light: np.ndarray, veil: float, spots: list[Spot]) -> np.ndarray:
    """Show a picture through a lens with a film that scatters light, and with specks that take some of it.

    Args:
        light: (H, W, 3) linear RGB.
        veil: share of the light that the film spreads evenly over the picture.
        spots: the specks.

    Returns:
        (H, W, 3) linear RGB.
    """
    height, width = light.shape[:2]
    veiled = (1.0 - veil) * light + veil * light.mean(axis=(0, 1), dtype=np.float64)
    y, x = (np.arange(height) + 0.5)[:, None], np.arange(width) + 0.5
    kept = np.ones((height, width))
    for spot in spots:
        away = np.hypot(x - spot.x * width, y - spot.y * height) / (spot.radius * width)
        kept *= 1.0 - spot.loss * np.clip(1.5 - away, 0.0, 1.0)
    dirty: np.ndarray = (veiled * kept[..., None]).astype(np.float32)
    return dirty
