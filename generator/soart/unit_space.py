"""The statistics of SOARTC's unit space, which a bent pin in a quarter of the OK pictures changes little.

Each OK picture is compared with the mean picture of the others by SOART3. Where it differs much from most others, it
has little weight there, but at most a quarter of the pictures at each window; so a defect is left out at its own place
only. Mean picture, mean and covariance are weighted means.

Few pictures say little about a covariance. It is therefore mixed with a prior: the covariance of SOART3's values when
the mean picture is displaced by `tolerance` and gets the noise of the OK pictures, as estimated for each grey level
from their distances from the median picture. The prior is scaled to the distances of the OK pictures, one factor for
even places, others for places of more contrast, as pins differ more than a flat wall. It has the weight of PRIOR
pictures.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from generator.soart.anomaly_degree import box_mean, distance, inverse, outer_products
from generator.soart.registration import Pose, warp

PRIOR = 24
NOISE_DRAWS = 6
# Weight of a member at a window: 1 / (1 + (d / (FAR usual))^STEEP); d: its distance from the mean; usual: the largest d
# of all but the farthest quarter of the members. So members count fully where OK parts differ much from each other.
FAR, STEEP = 2.0, 6
MOST_LEFT_OUT = 0.25
# Least weight of a pixel: neighbouring windows may leave out different members, together all of them.
LEAST = 1e-3
ROUNDS = 2
# Up to this many members the first comparison is with the median of the others, not of all.
FEW = 12
GREY_LEVELS = 12
# Windows sorted by contrast are divided into groups at these shares.
GROUPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.99)

Compare = Callable[[np.ndarray, np.ndarray], np.ndarray]


class UnitSpace:
    """Mean picture, mean and covariance of the members.

    Args:
        members: (n, h, w[, C]) aligned OK pictures, n >= 3.
        compare: computes the SOART3 maps (K, gh, gw) of a picture and a reference, both (h, w[, C]).
        settings: those of `SoartC`: window, tolerance, noise, shrinkage, neighbourhood.
        whole: a unit space of these members and one more, whose prior and allowance are used, as one member changes
            them little; None: they are computed.

    Attributes:
        reference: (h, w[, C]) the weighted mean picture.
        mean, precision: (K, gh, gw) and (K (K + 1) / 2, gh, gw), as in `SoartC`.
    """

    def __init__(
        self, members: np.ndarray, compare: Compare, settings: Mapping[str, Any], whole: UnitSpace | None = None
    ) -> None:
        self._compare, self._settings = compare, settings
        count = len(members)
        middle = np.median(members, axis=0).astype(np.float32)
        self._prior: np.ndarray = whole._prior if whole else self._expected(middle, _noise(members, middle))
        prior = self._prior
        inverse_prior = inverse(prior, len(compare(middle, middle)))
        seen = _medians_of_others(members) if count <= FEW else [middle] * count
        self._maps = np.stack([compare(one, other) for one, other in zip(members, seen, strict=True)])
        self.mean = np.median(self._maps, axis=0)
        for _ in range(ROUNDS):
            self._weigh(members, _weights(np.stack([distance(m, self.mean, inverse_prior) for m in self._maps])))
        off = self._maps - self.mean
        self._products = _total(w * outer_products(one) for w, one in zip(self._weights, off, strict=True))
        away = np.stack([np.square(distance(one, self.mean, inverse_prior)) for one in self._maps])
        self._prior_scaled = prior * self._scale(away * count / (count - 1))
        self._widening: np.ndarray = whole._widening if whole else self._allowance()
        self.precision = self._precision(self._products, self._weights.sum(axis=0))

    def leave_one_out(self) -> np.ndarray:
        """Compute each member's score by statistics without it, its share of mean picture and weights kept: (n,)."""
        total = self._weights.sum(axis=0)
        scores = np.empty(len(self._maps))
        for i, (weight, maps) in enumerate(zip(self._weights, self._maps, strict=True)):
            off, rest = maps - self.mean, total - weight
            mean = (self.mean - weight / rest * off).astype(np.float32)
            products = self._products - weight * total / rest * outer_products(off)
            scores[i] = distance(maps, mean, self._precision(products, rest)).max()
        return scores

    def _weigh(self, members: np.ndarray, weights: np.ndarray) -> None:
        """Set mean picture, maps and their mean by the members' weights at each window (n, gh, gw)."""
        self._weights = weights
        per_pixel = np.stack([_at_pixels(one, self._settings["window"]) for one in weights])
        per_pixel = per_pixel.reshape(*per_pixel.shape, *[1] * (members.ndim - 3))
        weighted = per_pixel * members
        total, parts = weighted.sum(axis=0, dtype=np.float64), per_pixel.sum(axis=0, dtype=np.float64)
        self.reference = np.clip(total / parts, 0, 1).astype(np.float32)
        # Each member is compared with the mean of the others: a mean that includes it would be too similar.
        others = (
            np.clip((total - own) / (parts - part), 0, 1).astype(np.float32)
            for own, part in zip(weighted, per_pixel, strict=True)
        )
        self._maps = np.stack([self._compare(m, o) for m, o in zip(members, others, strict=True)])
        self.mean = ((weights[:, None] * self._maps).sum(axis=0) / weights.sum(axis=0)).astype(np.float32)

    def _precision(self, products: np.ndarray, total: np.ndarray) -> np.ndarray:
        """Inverse covariance of each window, from the members' outer products, their weight (gh, gw), and the prior."""
        pool, least = self._settings["neighbourhood"], self._settings["shrinkage"]
        freedom = np.maximum(total - 1, 0.5)
        local = box_mean(products / freedom, pool)
        share = least + (1 - least) * PRIOR / (freedom + PRIOR)
        mixed = (1 - share) * local + share * self._prior_scaled + self._widening
        precision: np.ndarray = inverse(mixed, len(self.mean))
        return precision

    def _expected(self, picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Covariance of the maps of `picture` by shift and noise; `noise`: standard deviation of each pixel."""
        drawn = np.stack([self._compare(one, picture) for one in _noisy(picture, noise)])
        usual = box_mean(drawn.mean(axis=0, dtype=np.float64), self._settings["neighbourhood"])
        products = _total(outer_products(one - usual) for one in drawn) / len(drawn)
        prior: np.ndarray = self._shifted(picture) + box_mean(products, self._settings["neighbourhood"])
        return prior

    def _shifted(self, picture: np.ndarray) -> np.ndarray:
        """Outer products of the maps' change when a picture shifts by `tolerance` px: mean over 4 directions."""
        t = self._settings["tolerance"]
        still = self._compare(picture, picture)
        if t <= 0:
            return np.zeros_like(outer_products(still))
        moved = (_moved(picture, pose) for pose in (Pose(0, t, 0), Pose(0, -t, 0), Pose(0, 0, t), Pose(0, 0, -t)))
        return _total(outer_products(self._compare(one, picture) - still) for one in moved) / 4

    def _allowance(self) -> np.ndarray:
        """Outer products of the maps' change by a shift of `tolerance` px and by more noise, that of the setting.

        Without them, uniform areas of OK parts have almost no variance, and a noisier picture is anomalous everywhere.
        """
        shifted = self._shifted(self.reference)
        if self._settings["noise"] <= 0:
            return shifted
        still = self._compare(self.reference, self.reference)
        noise = np.full_like(self.reference, self._settings["noise"])
        products = _total(
            outer_products(self._compare(one, self.reference) - still) for one in _noisy(self.reference, noise)
        )
        allowance: np.ndarray = shifted + box_mean(products / NOISE_DRAWS, self._settings["neighbourhood"])
        return allowance

    def _scale(self, squares: np.ndarray) -> np.ndarray:
        """Factor of the prior at each window, by which the members' squared distances (n, gh, gw) have median 1."""
        side = self._settings["window"]
        grey = self.reference if self.reference.ndim == 2 else self.reference.mean(axis=2)
        sums = np.stack([grey, np.square(grey)]).astype(np.float64)
        for axis in (1, 2):
            sums = np.lib.stride_tricks.sliding_window_view(sums, side, axis=axis).mean(axis=-1)
        contrast = np.maximum(sums[1] - np.square(sums[0]), 0)
        order = np.argsort(contrast, axis=None, kind="stable")
        usual = (1 - 2 / (9 * len(self.mean))) ** 3  # median of chi squared of K degrees of freedom, divided by K
        flat = squares.reshape(len(squares), -1)
        groups = [one for one in np.split(order, [round(share * order.size) for share in GROUPS]) if one.size]
        at = [float(np.median(contrast.ravel()[one])) for one in groups]
        factors = [float(np.median(flat[:, one])) / usual for one in groups]
        scale: np.ndarray = np.interp(contrast, at, factors)
        return scale


def _medians_of_others(members: np.ndarray) -> np.ndarray:
    """Compute for each of n >= 3 members (n, ...) the median of the others: (n, ...)."""
    ordered, count = np.sort(members, axis=0), len(members)
    places = (count // 2 - 1,) if count % 2 == 0 else (count // 2 - 1, count // 2)
    # Without a member that stands at or before a place, the next value moves to it.
    at = [np.where(members <= ordered[place], ordered[place + 1], ordered[place]) for place in places]
    medians: np.ndarray = np.mean(at, axis=0, dtype=np.float32)
    return medians


def _noise(members: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Standard deviation of the members (n, ...) about the median picture, as a function of its grey level."""
    order = np.argsort(middle, axis=None, kind="stable")
    away = np.abs(members - middle).reshape(len(members), -1)
    levels = [one for one in np.array_split(order, GREY_LEVELS) if one.size]
    few = np.sqrt(len(members) / (len(members) - 1))
    found = [1.4826 * few * float(np.median(away[:, one])) for one in levels]
    noise: np.ndarray = np.interp(middle, [float(np.median(middle.ravel()[one])) for one in levels], found)
    return noise


def weights_of(distances: np.ndarray, smooth: Callable[[np.ndarray], np.ndarray] | None = None) -> np.ndarray:
    """Weight of each member at each place, by its distance there; all but the farthest quarter have weight 1.

    Args:
        distances: (n, ...) of each member.
        smooth: averages what is usual at each place (...) over its neighbours; None: not averaged.
    """
    nearer = len(distances) - int(MOST_LEFT_OUT * len(distances))
    if nearer == len(distances):
        return np.ones_like(distances)
    last, first = np.partition(distances, (nearer - 1, nearer), axis=0)[nearer - 1 : nearer + 1]
    usual = np.maximum(smooth(last) if smooth else last, np.median(last))
    weights = 1 / (1 + (distances / (FAR * usual + 1e-12)) ** STEEP)
    return np.where(distances >= first, weights, 1.0)


def _weights(distances: np.ndarray) -> np.ndarray:
    """Weight of each member at each window, by its distance (n, gh, gw) there and at the windows beside it."""
    near = np.sqrt(np.stack([box_mean(np.square(one, dtype=np.float64)[None], 1)[0] for one in distances]))
    return weights_of(near, lambda usual: box_mean(usual[None], 2)[0]).astype(np.float32)


def _at_pixels(weights: np.ndarray, side: int) -> np.ndarray:
    """Smallest weight (gh, gw) of the windows that contain each pixel, at least LEAST: (h, w)."""
    around = np.pad(weights, side - 1, constant_values=1.0)
    down = np.lib.stride_tricks.sliding_window_view(around, side, axis=0).min(axis=-1)
    lowest = np.lib.stride_tricks.sliding_window_view(down, side, axis=1).min(axis=-1)
    found: np.ndarray = np.maximum(lowest, LEAST)
    return found


def _noisy(picture: np.ndarray, noise: np.ndarray) -> Iterable[np.ndarray]:
    for drawn in _draws(picture.shape):
        yield np.clip(picture + noise * drawn, 0, 1).astype(np.float32)


@functools.lru_cache(maxsize=1)
def _draws(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((NOISE_DRAWS, *shape), dtype=np.float32)


def _moved(picture: np.ndarray, pose: Pose) -> np.ndarray:
    shape = (picture.shape[0], picture.shape[1])
    if picture.ndim == 2:
        return warp(picture, pose, shape)
    channels = range(picture.shape[2])
    return np.stack([warp(np.ascontiguousarray(picture[..., c]), pose, shape) for c in channels], axis=2)


def _total(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The sum of the arrays, added in order."""
    total: np.ndarray = functools.reduce(np.add, arrays)
    return total
