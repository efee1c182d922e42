"""Convert linear light to the picture of an industrial camera: vignetting, white balance, noise, 8 bits.

Light 1.0 saturates a pixel (fills its well). Noise is shot noise of the collected electrons, as a normal distribution,
and read noise (EMVA Standard 1288). Hot pixels belong to a camera: they are at the same place in all its pictures.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

# Linear light is clipped like a sensor, then coded by the sRGB transfer function (IEC 61966-2-1).
_STEPS = 1 << 14
_LEVELS = np.linspace(0.0, 1.0, _STEPS)
_CODED = np.where(_LEVELS <= 0.0031308, 12.92 * _LEVELS, 1.055 * np.power(_LEVELS, 1.0 / 2.4) - 0.055)
# Moments of an exposure that are added up for each pixel of motion.
_STEPS_PER_PX, _LEAST_STEPS = 4.0, 4
# Neighbours of a place along an axis by which its light is interpolated, px from the one at or before it.
_NEAR = (-1, 0, 1, 2)
_TABLE = np.rint(255.0 * _CODED).astype(np.uint8)


@dataclass(frozen=True)
class Capture:
    """Settings of camera and sensor for one picture.

    Attributes:
        exposure: factor on the linear light.
        white_balance: factors on red, green and blue.
        vignetting: share of the light that is lost in the picture's corners.
        full_well_e: electrons of a full pixel; 0 = neither shot noise nor read noise.
        read_noise_e: standard deviation in electrons.
        hot_pixels: share of pixels that are hot (defective, always bright).
    """

    exposure: float
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    vignetting: float = 0.0
    full_well_e: float = 0.0
    read_noise_e: float = 0.0
    hot_pixels: float = 0.0


def develop(light: np.ndarray, capture: Capture, noise_key: str, camera_key: str) -> np.ndarray:
    """Convert linear light to the camera's picture.

    Args:
        light: (H, W, 3) linear RGB on the sensor; 1.0 saturates a pixel.
        capture: settings of camera and sensor.
        noise_key: text that seeds the noise of this picture.
        camera_key: text that seeds the places of the camera's hot pixels.

    Returns:
        (H, W, 3) uint8, sRGB.
    """
    level = np.nan_to_num(light * capture.exposure, nan=0.0, posinf=1.0, neginf=0.0)
    if capture.vignetting:
        level = level * _falloff(light.shape[0], light.shape[1], capture.vignetting)
    if capture.full_well_e:
        electrons = np.clip(level, 0.0, 1.2) * capture.full_well_e
        spread = np.sqrt(electrons + capture.read_noise_e**2)
        level = (electrons + spread * gaussian(f"noise/{noise_key}", level.shape)) / capture.full_well_e
    if capture.hot_pixels:
        height, width = level.shape[:2]
        chance = uniform(f"hot/{camera_key}", (height, width, 2))
        hot = chance[..., 0] < capture.hot_pixels
        level[hot] = np.maximum(level[hot], (0.3 + 0.7 * chance[hot][:, 1:]))
    level = level * np.array(capture.white_balance, np.float32)
    return _TABLE[(np.clip(level, 0.0, 1.0) * (_STEPS - 1) + 0.5).astype(np.int32)]


def smear(light: np.ndarray, motion_px: tuple[float, float]) -> np.ndarray:
    """Blur a picture as motion at constant speed during the exposure does.

    This is a convolution. Blender's own motion blur costs several times as much and is noisier. The convolution
    ignores that a point 5 % nearer to the camera moves 5 % further. The blur is centred, so that boxes and masks are
    right for the middle of the exposure. Beyond the picture's edges, its border pixels are repeated. The picture at
    each moment is interpolated by Keys' cubic convolution (1981), which adds no blur of its own; linear interpolation
    would blur by up to 0.5 px, across the motion, too.

    Args:
        light: (H, W, 3) linear RGB.
        motion_px: motion during the exposure, px to the right and down.

    Returns:
        (H, W, 3) linear RGB; beside bright pixels it can be a little below 0.
    """
    across, down = motion_px
    if not (across or down):
        return light
    steps = math.ceil(_STEPS_PER_PX * math.hypot(across, down)) + _LEAST_STEPS
    weights: dict[tuple[int, int], float] = {}
    for i in range(steps):
        # Where the light at a pixel comes from at one moment, shared by the 16 pixels round it.
        share = (i + 0.5) / steps - 0.5
        (x, right), (y, below) = ((math.floor(v), v - math.floor(v)) for v in (share * across, share * down))
        for dy, of_row in zip(_NEAR, _keys(below), strict=True):
            for dx, of_column in zip(_NEAR, _keys(right), strict=True):
                weights[y + dy, x + dx] = weights.get((y + dy, x + dx), 0.0) + of_row * of_column / steps
    reach = math.ceil(0.5 * max(abs(across), abs(down))) + 2
    padded = np.pad(light, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width = light.shape[:2]
    total = np.zeros_like(light)
    for (y, x), weight in sorted(weights.items()):
        total += np.float32(weight) * padded[reach + y : reach + y + height, reach + x : reach + x + width]
    return total


def _keys(share: float) -> tuple[float, float, float, float]:
    """Weights of the pixels `_NEAR` for a place at `share` (0 to 1) of the way from a pixel to the next."""
    one, two, three = share, share * share, share * share * share
    before = 0.5 * (-one + 2.0 * two - three)
    here = 0.5 * (2.0 - 5.0 * two + 3.0 * three)
    after = 0.5 * (one + 4.0 * two - 3.0 * three)
    return before, here, after, 1.0 - before - here - after


@lru_cache(maxsize=8)
def _falloff(height: int, width: int, vignetting: float) -> np.ndarray:
    """Relative light (H, W, 1): 1 in the middle, 1 - vignetting in the corners, shaped like cos^4."""
    y = (np.arange(height) + 0.5 - 0.5 * height)[:, None]
    x = np.arange(width) + 0.5 - 0.5 * width
    square = (x**2 + y**2) / (0.25 * (width**2 + height**2))
    # cos^4 of an angle whose tangent grows with the radius: (1 + t r^2)^-2 with t so that the corner gets its share.
    steep = (1.0 - vignetting) ** -0.5 - 1.0
    falloff: np.ndarray = ((1.0 + steep * square) ** -2)[..., None].astype(np.float32)
    return falloff


def _bits(key: str, count: int) -> np.ndarray:
    """`count` random 64-bit words from a counter by SplitMix64 (Steele, Lea, Flood 2014), keyed by SHA-256 of `key`.

    numpy's own generators may change between the versions that ship with Blender.
    """
    start = np.uint64(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
    with np.errstate(over="ignore"):
        word = start + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def uniform(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform random numbers from [0, 1), float64, seeded by the text `key`."""
    return (_bits(key, int(np.prod(shape))) >> np.uint64(11)).astype(np.float64).reshape(shape) * 2.0**-53


def gaussian(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal random numbers, float32, seeded by the text `key`.

    They are quantiles selected by 16 random bits, so that none is beyond 4.2 standard deviations.
    """
    count = int(np.prod(shape))
    drawn = _bits(key, (count + 3) // 4).view(np.uint16)[:count]
    return _quantiles()[drawn].reshape(shape)


@lru_cache(maxsize=1)
def _quantiles() -> np.ndarray:
    """The middles of 65,536 equally likely parts of the standard normal distribution."""
    inverse = NormalDist().inv_cdf
    half = [inverse((i + 0.5) / 65536.0) for i in range(32768)]
    return np.array([*half, *(-value for value in reversed(half))], np.float32)
