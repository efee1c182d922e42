"""Stage 2 of SOARTC: the Mahalanobis distance of each window's SOART3 values from those of the OK parts.

A picture has gh x gw windows (down, across), and each window K = 3 SOART3 values per colour channel. The covariances of
these values are stored as (K (K + 1) / 2, gh, gw): the upper triangle of the K x K matrix of each window.
"""

from __future__ import annotations

import numpy as np

from generator.soart.kernels import compiled

VARIANCE_FLOOR = 1e-10


def outer_products(maps: np.ndarray) -> np.ndarray:
    """Return the upper triangle of v v^T for the K values v of each window: (K, gh, gw) to (K (K + 1) / 2, gh, gw)."""
    rows, columns = np.triu_indices(len(maps))
    products: np.ndarray = maps[rows].astype(np.float64) * maps[columns]
    return products


@compiled()
def box_mean(planes: np.ndarray, radius: int) -> np.ndarray:
    """Return planes (K, gh, gw) averaged over squares of 2 * radius + 1 elements a side, cut off at the border."""
    k, gh, gw = planes.shape
    beside = np.empty((gh, gw))
    out = np.empty_like(planes)
    for plane in range(k):
        for i in range(gh):
            for j in range(gw):
                first, last = max(j - radius, 0), min(j + radius + 1, gw)
                total = 0.0
                for c in range(first, last):
                    total += planes[plane, i, c]
                beside[i, j] = total / (last - first)
        for i in range(gh):
            first, last = max(i - radius, 0), min(i + radius + 1, gh)
            out[plane, i] = 0.0
            for r in range(first, last):
                for j in range(gw):
                    out[plane, i, j] += beside[r, j]
            for j in range(gw):
                out[plane, i, j] /= last - first
    return out


@compiled()
def inverse(covariance: np.ndarray, k: int) -> np.ndarray:
    """Invert the covariance (k x k) of the SOART3 values of each window, with 1e-10 added to each variance.

    Args:
        covariance: (k (k + 1) / 2, gh, gw) upper triangles, for gh x gw windows.
        k: number of values per window.

    Returns:
        Upper triangles of the inverse matrices, in the same shape, float32.
    """
    planes, gh, gw = covariance.shape
    out = np.empty((planes, gh, gw), np.float32)
    full = np.empty((k, 2 * k))
    for i in range(gh):
        for j in range(gw):
            plane = 0
            full[:] = 0.0
            for a in range(k):
                for b in range(a, k):
                    full[a, b] = full[b, a] = covariance[plane, i, j]
                    plane += 1
                full[a, a] += VARIANCE_FLOOR
                full[a, k + a] = 1.0
            _gauss_jordan(full)
            plane = 0
            for a in range(k):
                for b in range(a, k):
                    out[plane, i, j] = full[a, k + b]
                    plane += 1
    return out


@compiled()
def _gauss_jordan(full: np.ndarray) -> None:
    """Turn (A | 1) into (1 | A^-1) in place; no pivoting, as A (k x k) is symmetric and positive definite."""
    k = full.shape[0]
    for a in range(k):
        pivot = full[a, a]
        for c in range(2 * k):
            full[a, c] /= pivot
        for b in range(k):
            if b != a:
                factor = full[b, a]
                for c in range(2 * k):
                    full[b, c] -= factor * full[a, c]


@compiled()
def distance(maps: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Compute the Mahalanobis distance sqrt(d' P d / K) of each window, with d = maps - mean and P = precision.

    Args:
        maps, mean: (K, gh, gw) the picture's map values, and their means over OK parts.
        precision: (K (K + 1) / 2, gh, gw) inverse covariances, as upper triangles.

    Returns:
        (gh, gw) float32, the distances; about 1 for OK parts.
    """
    k, gh, gw = maps.shape
    out = np.zeros((gh, gw), np.float32)
    plane = 0
    for a in range(k):
        for b in range(a, k):
            twice = np.float32(1.0 if a == b else 2.0)
            for i in range(gh):
                for j in range(gw):
                    out[i, j] += (
                        twice
                        * precision[plane, i, j]
                        * (maps[a, i, j] - mean[a, i, j])
                        * (maps[b, i, j] - mean[b, i, j])
                    )
            plane += 1
    for i in range(gh):
        for j in range(gw):
            out[i, j] = np.sqrt(max(out[i, j], np.float32(0.0)) / np.float32(k))
    return out
