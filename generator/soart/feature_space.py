"""The unit space of a network's features: how far the features at each place lie from those of the OK parts.

Each OK picture, aligned with the others, has D features at each of gh x gw places. Its members' features have a mean at
each place, one covariance for all places, and a spread at each place, which is what is usual there:

- Mean: weighted as in `unit_space`, so that a member that differs much from most others has little weight there.
- Covariance: of all features around their means. A dozen pictures say nothing about the covariance of a hundred
  features at one place, but much about that of all places together. It is mixed with equal variances (SHRINKAGE).
- Spread: root mean square distance of the members at a place and beside it, mixed with that of all places, which has
  the weight of PRIOR members.

The degree of a place is its distance from the mean, divided by the spread: about 1 for OK parts. Each member is judged
by mean, covariance and spread of the others.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping

import numpy as np

from generator.soart.anomaly_degree import box_mean
from generator.soart.unit_space import PRIOR, weights_of

SHRINKAGE = 0.3
ARRAYS = ("mean", "whitening", "spread")
FLOOR = 1e-6


class FeatureSpace:
    """Mean, covariance and spread of the features of OK parts.

    Args:
        mean: (D, gh, gw) mean features at each place.
        whitening: (D, D) matrix that makes the features' deviations uncorrelated, of variance 1.
        spread: (gh, gw) usual distance of OK parts at each place, > 0.
    """

    def __init__(self, mean: np.ndarray, whitening: np.ndarray, spread: np.ndarray) -> None:
        self.mean, self.whitening, self.spread = mean, whitening, spread

    @classmethod
    def fit(cls, members: np.ndarray) -> tuple[FeatureSpace, np.ndarray]:
        """Make the unit space from the features of OK parts.

        Args:
            members: (n, D, gh, gw) features of n >= 3 aligned OK pictures.

        Returns:
            The unit space, and the degrees (n, gh, gw) of each member by the unit space of the others.
        """
        middle = np.median(members, axis=0).astype(np.float32)
        first = _whitening(_total(_scatter(one - middle) for one in members), len(members) * middle[0].size)
        weights = weights_of(np.stack([_lengths(one - middle, first) for one in members]), _smooth).astype(np.float32)
        total = weights.sum(axis=0)
        mean = (np.einsum("nyx,ndyx->dyx", weights, members) / total).astype(np.float32)
        scatter = _total(_scatter(one - mean, weight) for one, weight in zip(members, weights, strict=True))
        whitening = _whitening(scatter, float(total.sum()))
        distances = np.stack([_lengths(one - mean, whitening) for one in members]) * _alone(weights, total)
        squares = weights * np.square(distances, dtype=np.float64)
        spread = _spread(squares.sum(axis=0), total)
        own = np.empty(distances.shape, np.float32)
        for n, (one, weight) in enumerate(zip(members, weights, strict=True)):
            # A covariance that has seen a member brings it nearer: by 3 % with 150 features and 40 members.
            alone = _alone(weight, total)
            rest = _whitening(scatter - _scatter(one - mean, weight * alone), (total - weight).sum())
            away = _lengths(one - mean, rest) * alone
            own[n] = away / _spread(squares.sum(axis=0) - squares[n], total - weight)
        return cls(mean, whitening, spread), own

    def degrees(self, features: np.ndarray) -> np.ndarray:
        """Compute the degree of each place: (D, gh, gw) to (gh, gw) float32, about 1 for OK parts."""
        found: np.ndarray = (_lengths(features - self.mean, self.whitening) / self.spread).astype(np.float32)
        return found

    def hash(self) -> str:
        """Return the SHA-256 (hex) of the arrays."""
        digest = hashlib.sha256()
        for array in self.arrays().values():
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of `from_arrays` by name."""
        return {name: getattr(self, name) for name in ARRAYS}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> FeatureSpace:
        """Restore a unit space from its arrays.

        Raises:
            ValueError: an array is missing, or has a wrong shape or values.
        """
        if missing := [name for name in ARRAYS if name not in arrays]:
            raise ValueError(f"no array {missing[0]} of features")
        mean, whitening, spread = (arrays[name] for name in ARRAYS)
        if mean.ndim != 3 or whitening.shape != (len(mean), len(mean)) or spread.shape != mean.shape[1:]:
            raise ValueError(
                f"arrays of features of wrong shapes: mean {mean.shape}, whitening {whitening.shape}, "
                f"spread {spread.shape}"
            )
        if not all(one.dtype.kind == "f" and np.isfinite(one).all() for one in (mean, whitening, spread)):
            raise ValueError("arrays of features with values that are not finite numbers")
        if not (spread > 0).all():
            raise ValueError("an array spread of features with values that are not above 0")
        return cls(mean, whitening, spread)


def _scatter(off: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Sum the outer products of deviations (D, gh, gw) over all places, weighted by (gh, gw) weights: (D, D)."""
    flat = off.reshape(len(off), -1).astype(np.float64)
    scatter: np.ndarray = (flat if weights is None else flat * weights.ravel()) @ flat.T
    return scatter


def _total(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The sum of the arrays, without all of them in memory together."""
    total: np.ndarray = functools.reduce(np.add, arrays)
    return total


def _whitening(scatter: np.ndarray, weight: float) -> np.ndarray:
    """Compute W (D, D) with W W^T = the inverse covariance, from the sum of outer products and the sum of weights."""
    covariance = scatter / weight
    variance = np.trace(covariance) / len(covariance) + FLOOR
    mixed = (1 - SHRINKAGE) * covariance + SHRINKAGE * variance * np.eye(len(covariance))
    factor: np.ndarray = np.linalg.cholesky(np.linalg.inv(mixed)).astype(np.float32)
    return factor


def _alone(weights: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Compute the factor by which a member lies farther from the mean of the others than from the mean of all."""
    factor: np.ndarray = total / np.maximum(total - weights, 1.0)
    return factor


def _lengths(off: np.ndarray, whitening: np.ndarray) -> np.ndarray:
    """Compute the root mean square of whitened deviations: (D, gh, gw) to (gh, gw)."""
    white = whitening.T @ off.reshape(len(off), -1)
    lengths: np.ndarray = np.sqrt(np.square(white).mean(axis=0)).reshape(off.shape[1:])
    return lengths


def _smooth(values: np.ndarray) -> np.ndarray:
    mean: np.ndarray = box_mean(values[None].astype(np.float64), 1)[0]
    return mean


def _spread(squares: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Compute the spread from the weighted sum of squared distances at each place and the sum of weights (gh, gw)."""
    usual = _smooth(squares / total)
    share = PRIOR / (total + PRIOR)
    spread: np.ndarray = np.sqrt((1 - share) * usual + share * usual.mean() + FLOOR)
    return spread
