"""Compiled loops of SOART3 on row-Gram matrices: S = A A^T of every window A is compared with S of its reference.

Element S(r, s) of a window of side w is the dot product of the window's rows r and s. The picture's rows are multiplied
pixel by pixel with the rows that lie d = s - r below; for each d from 0 to w - 1, sums of the products over w columns
give S(r, r + d) of every window. As S is symmetric, only its w (w + 1) / 2 different elements are computed, and those
off the diagonal count twice. All arithmetic is in double precision.
"""

from __future__ import annotations

import numba
import numpy as np

from generator.soart.kernels import EPSILON, TILE, compiled, finish, fma, window_sums

STRIP = 16


@compiled()
def _lagged_sums(picture: np.ndarray, top: int, rows: int, window: int, stride: int, out: np.ndarray) -> None:
    """Write out[d, u, j]: sum of picture[top + u] * picture[top + u + d] over `window` columns from j * stride on."""
    width = picture.shape[1]
    product = np.empty(width)
    spare = np.empty(width)
    sums = np.empty(width)
    for lag in range(window):
        for u in range(rows - lag):
            upper = picture[top + u]
            lower = picture[top + u + lag]
            for c in range(width):
                product[c] = upper[c] * lower[c]
            line = out[lag, u]
            if stride == 1:
                window_sums(product, spare, window, line)
            else:
                window_sums(product, spare, window, sums)
                for j in range(line.size):
                    line[j] = sums[j * stride]


@compiled(parallel=True)
def gram_golden_maps(image: np.ndarray, golden: np.ndarray, window: int, stride: int, out: np.ndarray) -> None:
    """Compute SOART3 of each window's row-Gram matrix against that of the golden picture's window at the same place.

    Args:
        image, golden: (H, W) float64, the picture and the golden picture.
        window, stride: side and step of the windows, px.
        out: (3, gh, gw) float32 for gh x gw windows, filled with log_beta, log_yita and log_gamma.
    """
    gh, gw = out.shape[1:]
    strips = (gh + STRIP - 1) // STRIP
    for strip in numba.prange(strips):
        first = strip * STRIP
        last = min(first + STRIP, gh)
        top = first * stride
        rows = (last - 1 - first) * stride + window
        sums = np.empty((window, rows, gw))
        golden_sums = np.empty((window, rows, gw))
        _lagged_sums(image, top, rows, window, stride, sums)
        _lagged_sums(golden, top, rows, window, stride, golden_sums)
        work = np.empty((4, TILE))
        for gi in range(first, last):
            for start in range(0, gw, TILE):
                end = min(start + TILE, gw)
                n = end - start
                beta, power, total, peak = work[0, :n], work[1, :n], work[2, :n], work[3, :n]
                _golden_rest(sums, golden_sums, start, (gi - first) * stride, beta, power, total, peak)
                finish(beta, total, peak, out[0, gi, start:end], out[1, gi, start:end], out[2, gi, start:end])


@compiled()
def _golden_rest(
    sums: np.ndarray,
    golden_sums: np.ndarray,
    start: int,
    top: int,
    beta: np.ndarray,
    power: np.ndarray,
    total: np.ndarray,
    peak: np.ndarray,
) -> None:
    window = sums.shape[0]
    n = beta.size
    beta[:] = EPSILON
    power[:] = EPSILON
    total[:] = 0.0
    peak[:] = 0.0
    for lag in range(window):
        weight = 1.0 if lag == 0 else 2.0
        for r in range(window - lag):
            y = sums[lag, top + r, start : start + n]
            x = golden_sums[lag, top + r, start : start + n]
            for j in range(n):
                twice = weight * x[j]
                beta[j] = fma(twice, y[j], beta[j])
                power[j] = fma(twice, x[j], power[j])
    for j in range(n):
        beta[j] /= power[j]
    for lag in range(window):
        weight = 1.0 if lag == 0 else 2.0
        for r in range(window - lag):
            y = sums[lag, top + r, start : start + n]
            x = golden_sums[lag, top + r, start : start + n]
            for j in range(n):
                rest = abs(fma(-beta[j], x[j], y[j]))
                total[j] = fma(weight, rest, total[j])
                peak[j] = rest if rest > peak[j] else peak[j]


@compiled(parallel=True)
def gram_patch_maps(image: np.ndarray, gram: np.ndarray, window: int, stride: int, out: np.ndarray) -> None:
    """Compute SOART3 of the row-Gram matrix S of every window against one reference matrix.

    Args:
        image: (H, W) float64, the picture.
        gram: (window, window) float64, the reference matrix.
        window, stride: side and step of the windows, px.
        out: (3, gh, gw) float32 for gh x gw windows, filled with log_beta, log_yita and log_gamma.
    """
    gh, gw = out.shape[1:]
    power = EPSILON
    for r in range(window):
        for s in range(window):
            power += gram[r, s] * gram[r, s]
    strips = (gh + STRIP - 1) // STRIP
    for strip in numba.prange(strips):
        first = strip * STRIP
        last = min(first + STRIP, gh)
        top = first * stride
        rows = (last - 1 - first) * stride + window
        sums = np.empty((window, rows, gw))
        _lagged_sums(image, top, rows, window, stride, sums)
        work = np.empty((3, TILE))
        for gi in range(first, last):
            for start in range(0, gw, TILE):
                end = min(start + TILE, gw)
                n = end - start
                beta, total, peak = work[0, :n], work[1, :n], work[2, :n]
                _patch_rest(sums, start, gram, power, (gi - first) * stride, beta, total, peak)
                finish(beta, total, peak, out[0, gi, start:end], out[1, gi, start:end], out[2, gi, start:end])


@compiled()
def _patch_rest(
    sums: np.ndarray,
    start: int,
    gram: np.ndarray,
    power: float,
    top: int,
    beta: np.ndarray,
    total: np.ndarray,
    peak: np.ndarray,
) -> None:
    window = sums.shape[0]
    n = beta.size
    beta[:] = EPSILON
    total[:] = 0.0
    peak[:] = 0.0
    for lag in range(window):
        weight = 1.0 if lag == 0 else 2.0
        for r in range(window - lag):
            y = sums[lag, top + r, start : start + n]
            twice = weight * gram[r, r + lag]
            for j in range(n):
                beta[j] = fma(twice, y[j], beta[j])
    for j in range(n):
        beta[j] /= power
    for lag in range(window):
        weight = 1.0 if lag == 0 else 2.0
        for r in range(window - lag):
            y = sums[lag, top + r, start : start + n]
            x = gram[r, r + lag]
            for j in range(n):
                rest = abs(fma(-beta[j], x, y[j]))
                total[j] = fma(weight, rest, total[j])
                peak[j] = rest if rest > peak[j] else peak[j]
