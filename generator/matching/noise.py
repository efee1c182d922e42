"""The sensor's noise by photon transfer: variance over mean of the light in flat areas of photographs.

The variance of each pixel comes from a second difference along both axes, which a shading does not change. That of a
render without noise is subtracted, as what the surfaces' texture adds; where two photographs show the part at the same
place, their difference takes the render's place, in which the texture of the part itself cancels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import convolve, maximum_filter, uniform_filter
from scipy.optimize import nnls

from generator.io.srgb import linear
from generator.matching.ranges import Quantity, jackknife_sd
from generator.matching.scene_text import Key
from generator.matching.shifts import grey_of

_KERNEL = np.outer([1.0, -2.0, 1.0], [1.0, -2.0, 1.0]) / 6.0
# A render is flat where its grey values change by at most this much per px nearby.
_FLAT = 1.0
# Bins of the mean light, on a logarithmic scale, and least pixels of one.
_BINS = np.geomspace(0.002, 0.8, 17)
_FEWEST = 400
# Two photographs show the part at the same place if no pin is further apart, px.
SAME_PX = 0.1
# Expanded uncertainty of the variance, as a share, that all photographs have in common: the texture of surfaces.
_TEXTURE_U = 0.1
# Folds of the jackknife over photographs.
_FOLDS = 5


@dataclass(frozen=True)
class Sample:
    """A photograph, and a picture of the same without its noise.

    Attributes:
        photograph: (H, W, 3) uint8.
        clean: (H, W, 3) uint8, a render in the same pose; or another photograph of the same place, if `is_repeat`.
        flat: (H, W) where surfaces are flat.
    """

    photograph: np.ndarray
    clean: np.ndarray
    flat: np.ndarray
    is_repeat: bool = False


@dataclass(frozen=True)
class Transfer:
    """The photon transfer curve of linear light before white balance: variance = `shot` x light + `read`.

    Attributes:
        light, variance, counts: means over bins (n,), and their numbers of values.
        shot: 1 / electrons of a full pixel.
        read: square of the read noise over that of a full pixel's electrons.
        shot_u, read_u: expanded uncertainties (k = 2).
    """

    light: np.ndarray
    variance: np.ndarray
    counts: np.ndarray
    shot: float
    read: float
    shot_u: float
    read_u: float

    def deviation(self, light: np.ndarray) -> np.ndarray:
        """Return the standard deviation of linear light, as fitted."""
        found: np.ndarray = np.sqrt(self.shot * light + self.read)
        return found


def flat_areas(render: np.ndarray, reach: int = 5) -> np.ndarray:
    """Return where a render (H, W, 3) shows flat surfaces: (H, W) bool."""
    down, across = np.gradient(uniform_filter(grey_of(render), 3))
    flat: np.ndarray = maximum_filter(np.hypot(across, down), reach) < _FLAT
    return flat


def transfer(samples: Sequence[Sample], balance: Sequence[float]) -> Transfer | None:
    """Fit the photon transfer curve; None: too few flat pixels.

    Args:
        samples: the photographs.
        balance: the sensor's white balance: factors on red, green and blue after the noise.
    """
    sums = np.stack([_sums(each, balance) for each in samples])
    if not (found := _fit(sums.sum(axis=0))):
        return None
    folds = [np.arange(len(sums)) % _FOLDS != fold for fold in range(_FOLDS)]
    others = [other for kept in folds if kept.any() and (other := _fit(sums[kept].sum(axis=0)))]
    spread = np.zeros(2)
    if len(samples) >= 2 and len(others) > 1:
        spread = jackknife_sd([other[:2] for other in others])
    shot, read, light, variance, counts = found
    u = np.hypot(2.0 * spread, _TEXTURE_U * np.array([shot, read]))
    return Transfer(light, variance, counts, shot, read, float(u[0]), float(u[1]))


def _sums(sample: Sample, balance: Sequence[float]) -> np.ndarray:
    """Sums of light and of its variance, and counts, by bin of the light: (3, bins)."""
    total = np.zeros((3, len(_BINS) - 1))
    ours, theirs = linear(sample.photograph), linear(sample.clean)
    for channel, factor in enumerate(balance):
        light = uniform_filter(ours[..., channel], 5) / factor
        clean = uniform_filter(theirs[..., channel], 5) / factor
        step = (linear(sample.photograph + 1.0) - linear(sample.photograph - 1.0))[..., channel] / (2.0 * factor)
        rounding = step**2 / 12.0
        if sample.is_repeat:
            square = 0.5 * convolve((ours - theirs)[..., channel] / factor, _KERNEL) ** 2 - rounding
        else:
            # The render's texture, as bright as the photograph.
            texture = convolve(theirs[..., channel] / factor, _KERNEL) * light / np.maximum(clean, 1e-4)
            square = convolve(ours[..., channel] / factor, _KERNEL) ** 2 - texture**2 - rounding
        clipped = maximum_filter(((sample.photograph < 1) | (sample.photograph > 252))[..., channel], 5)
        kept = sample.flat & ~clipped
        at = np.digitize(light[kept], _BINS) - 1
        for values, row in ((light[kept], 0), (square[kept], 1), (np.ones(kept.sum()), 2)):
            inside = (at >= 0) & (at < total.shape[1])
            total[row] += np.bincount(at[inside], values[inside], total.shape[1])
    return total


def _fit(sums: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray, np.ndarray] | None:
    kept = sums[2] >= _FEWEST
    if not kept.any():
        return None
    light, variance = sums[0, kept] / sums[2, kept], np.maximum(sums[1, kept] / sums[2, kept], 1e-12)
    weight = np.sqrt(sums[2, kept]) / variance
    # A floor in the weights: all bins are systematically wrong by a few percent.
    weight = 1.0 / np.hypot(1.0 / weight, 0.05 * variance)
    columns = np.stack([light, np.ones_like(light)], axis=1) * weight[:, None]
    (shot, read), _ = nnls(columns, variance * weight)
    return float(shot), float(read), light, variance, sums[2, kept]


def noise_quantities(found: Transfer | None, before: tuple[float, float], is_jpeg: bool) -> list[Quantity]:
    """Return what a photon transfer curve says of a scene's sensor; `before`: its electrons and read noise."""
    keys: tuple[Key, Key] = ("sensor", "full_well_e"), ("sensor", "read_noise_e")
    if found is None or is_jpeg or found.shot <= 0.0 or found.shot_u > 0.6 * found.shot:
        reason = "JPEG compression changes noise" if is_jpeg else "too few flat areas at different brightness"
        if found is not None and not is_jpeg:
            reason = "the variance does not rise with the light as that of photons does"
        return [Quantity(key, old, None, None, reason) for key, old in zip(keys, before, strict=True)]
    well = 1.0 / found.shot
    said = "photon transfer: variance over mean of the light in flat areas"
    electrons = Quantity(keys[0], before[0], well, well * found.shot_u / found.shot, said)
    read = np.sqrt(found.read) * well
    if found.read_u > found.read:
        top = np.sqrt(found.read + found.read_u) * well
        return [electrons, Quantity(keys[1], before[1], float(read), float(max(top - read, read)), said)]
    return [electrons, Quantity(keys[1], before[1], float(read), float(0.5 * read * found.read_u / found.read), said)]
