"""Compiled loops of SOART3 on pixels, for every window of a picture.

The innermost loop runs over neighbouring windows, whose pixels are neighbours in memory. So the compiler vectorises it,
although every window has its own beta. One thread computes a whole row of windows, without numba's fastmath, so any
number of threads gives the same bits.

Dot products are in double precision. The residual y - beta x is in single precision, in which twice as many windows are
computed at a time. For it, beta is written as the sum of two single-precision numbers. The logarithms differ from those
in double precision by less than 1e-5.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

EPSILON = 1e-4
# Windows per tile: small enough that a tile's accumulators stay in the first-level cache.
TILE = 512

# Numba's fallback threading layer aborts the process when two Python threads run parallel code at once.
parallel_section = threading.Lock()


def compiled(parallel: bool = False) -> Callable[[Any], Any]:
    """Return a decorator that compiles a function with numba; the code is cached if numba finds a writable folder.

    With `parallel`, loops over numba.prange run in several threads.
    """

    def decorate(function: Any) -> Any:
        try:
            return numba.njit(cache=True, parallel=parallel)(function)
        except RuntimeError:  # numba found no writable folder for its cache
            return numba.njit(parallel=parallel)(function)

    return decorate


def _in_llvm(implementation: Callable[..., Any]) -> Any:
    """numba's `intrinsic`, untyped: callers leave out the typing context, contrary to its annotations."""
    return intrinsic(implementation)


@_in_llvm
def fma(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """Compute a * b + c with a single rounding (fused multiply-add), in functions compiled by numba."""
    return a(a, a, a), lambda context, builder, signature, values: builder.fma(*values)


@_in_llvm
def _bits(typing_context: Any, value: Any) -> Any:
    """The bits of a single-precision number as an integer."""
    return types.int32(types.float32), lambda context, builder, signature, values: builder.bitcast(
        values[0], context.get_value_type(types.int32)
    )


@_in_llvm
def _from_bits(typing_context: Any, value: Any) -> Any:
    """The single-precision number that has these bits."""
    return types.float32(types.int32), lambda context, builder, signature, values: builder.bitcast(
        values[0], context.get_value_type(types.float32)
    )


@compiled()
def _log(x: np.float32) -> np.float32:
    """ln of a normal single-precision number > 0, within 1e-7 (1 + |ln x|); no library call, so that it vectorises.

    x = 2^e m with m in [sqrt(1/2), sqrt 2); ln m = 2 artanh((m - 1) / (m + 1)) by its series.
    """
    bits = _bits(x)
    exponent = np.int32(np.int32(bits - np.int32(0x3F3504F3)) >> np.int32(23))
    m = _from_bits(np.int32(bits - np.int32(exponent << np.int32(23))))
    t = (m - np.float32(1.0)) / (m + np.float32(1.0))
    q = t * t
    series = fma(q, np.float32(2.0 / 9.0), np.float32(2.0 / 7.0))
    series = fma(q, series, np.float32(0.4))
    series = fma(q, series, np.float32(2.0 / 3.0))
    series = fma(q, series, np.float32(2.0))
    logarithm: np.float32 = fma(np.float32(exponent), np.float32(0.6931471805599453), t * series)
    return logarithm


@compiled()
def split(beta: np.ndarray, high: np.ndarray, low: np.ndarray) -> None:
    """Write -beta as the sum of two arrays of single-precision numbers, `high` + `low`; all have the same shape."""
    for j in range(beta.size):
        high[j] = -beta[j]
        low[j] = -beta[j] - high[j]


@compiled()
def _logs(values: np.ndarray, offset: float, out: np.ndarray) -> None:
    for j in range(out.size):
        out[j] = _log(np.float32(values[j] + offset))


@compiled()
def finish(
    beta: np.ndarray,
    total: np.ndarray,
    peak: np.ndarray,
    log_beta: np.ndarray,
    log_yita: np.ndarray,
    log_gamma: np.ndarray,
) -> None:
    """Compute log_beta, log_yita and log_gamma of a row of windows from their sums; all arrays are (windows,).

    Args:
        beta: beta of each window.
        total, peak: sum and maximum of |y - beta x| over each window's pixels.
        log_beta, log_yita, log_gamma: filled with the results.
    """
    _logs(beta, 0.0, log_beta)
    _logs(total, 1.0, log_yita)
    _logs(peak, 1.0, log_gamma)
    for j in range(log_gamma.size):
        log_gamma[j] -= log_yita[j]


@compiled()
def window_sums(values: np.ndarray, spare: np.ndarray, window: int, out: np.ndarray) -> None:
    """Compute out[j] = sum of values[j : j + window], by way of sums of 2, 4, 8, ... neighbours.

    Unlike a running sum, it is vectorised, and its rounding does not depend on j.

    Args:
        values: the numbers to be summed; overwritten.
        spare: working memory of the same length, which must not overlap `values`.
        window: number of neighbours in a sum.
        out: filled with the sums.
    """
    n = values.size - window + 1
    out[:n] = 0.0
    offset = 0
    width = 1
    while True:
        if window & width:
            part = values[offset : offset + n]
            for j in range(n):
                out[j] += part[j]
            offset += width
        if 2 * width > window:
            break
        ahead = values[width:]
        for j in range(ahead.size):
            spare[j] = values[j] + ahead[j]
        values, spare = spare, values
        width *= 2


@compiled(parallel=True)
def patch_maps(phases: np.ndarray, phases32: np.ndarray, patch: np.ndarray, stride: int, out: np.ndarray) -> None:
    """Compute SOART3 of all windows of a picture against one reference window.

    Args:
        phases, phases32: (stride, H, ceil(W / stride)) float64 and float32; phases[k] has the picture's columns k,
            k + stride, k + 2 stride, ...
        patch: (window, window) float64, the reference window.
        stride: step of the windows, px.
        out: (3, gh, gw) float32 for gh x gw windows, filled with log_beta (change of brightness), log_yita (change of
            shape) and log_gamma (how concentrated this change is); see `generator.soart.soart3`.
    """
    window = patch.shape[0]
    gh, gw = out.shape[1:]
    power = EPSILON
    for r in range(window):
        for c in range(window):
            power += patch[r, c] * patch[r, c]
    patch32 = patch.astype(np.float32)
    for gi in numba.prange(gh):
        beta = np.empty(TILE)
        total = np.empty(TILE)
        single = np.empty((4, TILE), np.float32)
        for start in range(0, gw, TILE):
            n = min(TILE, gw - start)
            end = start + n
            high, low, part, peak = single[0, :n], single[1, :n], single[2, :n], single[3, :n]
            _patch_beta(phases, patch, stride, power, gi, start, beta[:n])
            split(beta[:n], high, low)
            _patch_rest(phases32, patch32, stride, gi, start, high, low, part, total[:n], peak)
            finish(beta[:n], total[:n], peak, out[0, gi, start:end], out[1, gi, start:end], out[2, gi, start:end])


@compiled()
def _patch_beta(
    phases: np.ndarray, patch: np.ndarray, stride: int, power: float, gi: int, start: int, beta: np.ndarray
) -> None:
    """beta of one tile of windows from their dot products with the patch, four columns of the patch at a time."""
    window = patch.shape[0]
    n = beta.size
    beta[:] = EPSILON
    for r in range(window):
        for p in range(min(stride, window)):
            line = phases[p, gi * stride + r, start:]
            x = patch[r, p::stride]
            k = 0
            while k + 4 <= x.size:
                # One base pointer for all four columns: with more, LLVM cannot prove that nothing overlaps.
                y = line[k : k + n + 3]
                x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
                for j in range(n):
                    beta[j] = fma(x3, y[j + 3], fma(x2, y[j + 2], fma(x1, y[j + 1], fma(x0, y[j], beta[j]))))
                k += 4
            while k < x.size:
                y = line[k : k + n]
                x0 = x[k]
                for j in range(n):
                    beta[j] = fma(x0, y[j], beta[j])
                k += 1
    for j in range(n):
        beta[j] /= power


@compiled()
def _patch_rest(
    phases: np.ndarray,
    patch: np.ndarray,
    stride: int,
    gi: int,
    start: int,
    high: np.ndarray,
    low: np.ndarray,
    part: np.ndarray,
    total: np.ndarray,
    peak: np.ndarray,
) -> None:
    """Sum and maximum of |y - beta x| of one tile of windows; each row of pixels is summed in single precision."""
    window = patch.shape[0]
    n = high.size
    total[:] = 0.0
    peak[:] = 0.0
    for r in range(window):
        part[:] = 0.0
        for p in range(min(stride, window)):
            line = phases[p, gi * stride + r, start:]
            x = patch[r, p::stride]
            k = 0
            while k + 4 <= x.size:
                y = line[k : k + n + 3]
                x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
                for j in range(n):
                    h, e = high[j], low[j]
                    d0 = abs(fma(e, x0, fma(h, x0, y[j])))
                    d1 = abs(fma(e, x1, fma(h, x1, y[j + 1])))
                    d2 = abs(fma(e, x2, fma(h, x2, y[j + 2])))
                    d3 = abs(fma(e, x3, fma(h, x3, y[j + 3])))
                    part[j] += (d0 + d1) + (d2 + d3)
                    d0 = d1 if d1 > d0 else d0
                    d2 = d3 if d3 > d2 else d2
                    d0 = d2 if d2 > d0 else d0
                    peak[j] = d0 if d0 > peak[j] else peak[j]
                k += 4
            while k < x.size:
                y = line[k : k + n]
                x0 = x[k]
                for j in range(n):
                    d0 = abs(fma(low[j], x0, fma(high[j], x0, y[j])))
                    part[j] += d0
                    peak[j] = d0 if d0 > peak[j] else peak[j]
                k += 1
        for j in range(n):
            total[j] += part[j]


@compiled(parallel=True)
def golden_maps(
    image: np.ndarray,
    golden: np.ndarray,
    phases: np.ndarray,
    golden_phases: np.ndarray,
    window: int,
    stride: int,
    out: np.ndarray,
) -> None:
    """Compute SOART3 of every window against the golden picture's window at the same position.

    Args:
        image, golden: (H, W) float32, the picture and the golden picture.
        phases, golden_phases: (stride, H, ceil(W / stride)) float32; phases[k] has the columns k, k + stride, ...
        window, stride: side and step of the windows, px.
        out: (3, gh, gw) float32 for gh x gw windows, filled with log_beta, log_yita and log_gamma.
    """
    gh, gw = out.shape[1:]
    width = image.shape[1]
    for gi in numba.prange(gh):
        signal_column = np.empty(width)
        power_column = np.empty(width)
        row_beta = np.empty(gw)
        total = np.empty(TILE)
        single = np.empty((4, TILE), np.float32)
        _golden_beta(image, golden, gi * stride, window, stride, signal_column, power_column, row_beta)
        for start in range(0, gw, TILE):
            n = min(TILE, gw - start)
            end = start + n
            beta = row_beta[start:end]
            high, low, part, peak = single[0, :n], single[1, :n], single[2, :n], single[3, :n]
            split(beta, high, low)
            _golden_rest(phases, golden_phases, window, stride, gi, start, high, low, part, total[:n], peak)
            finish(beta, total[:n], peak, out[0, gi, start:end], out[1, gi, start:end], out[2, gi, start:end])


@compiled()
def _golden_beta(
    image: np.ndarray,
    golden: np.ndarray,
    top: int,
    window: int,
    stride: int,
    signal_column: np.ndarray,
    power_column: np.ndarray,
    beta: np.ndarray,
) -> None:
    """beta of one row of windows from window sums of the product images."""
    signal_column[:] = 0.0
    power_column[:] = 0.0
    for r in range(window):
        y = image[top + r]
        x = golden[top + r]
        for u in range(y.size):
            xu = np.float64(x[u])
            signal_column[u] = fma(xu, np.float64(y[u]), signal_column[u])
            power_column[u] = fma(xu, xu, power_column[u])
    sums = np.empty((3, signal_column.size))
    window_sums(signal_column, sums[2], window, sums[0])
    window_sums(power_column, sums[2], window, sums[1])
    for j in range(beta.size):
        beta[j] = (sums[0, j * stride] + EPSILON) / (sums[1, j * stride] + EPSILON)


@compiled()
def _golden_rest(
    phases: np.ndarray,
    golden_phases: np.ndarray,
    window: int,
    stride: int,
    gi: int,
    start: int,
    high: np.ndarray,
    low: np.ndarray,
    part: np.ndarray,
    total: np.ndarray,
    peak: np.ndarray,
) -> None:
    """Sum and maximum of |y - beta x| as in `_patch_rest`, with each window's own reference x."""
    n = high.size
    total[:] = 0.0
    peak[:] = 0.0
    for r in range(window):
        part[:] = 0.0
        for p in range(min(stride, window)):
            line = phases[p, gi * stride + r, start:]
            golden_line = golden_phases[p, gi * stride + r, start:]
            columns = (window - p + stride - 1) // stride
            k = 0
            while k + 4 <= columns:
                y = line[k : k + n + 3]
                x = golden_line[k : k + n + 3]
                for j in range(n):
                    h, e = high[j], low[j]
                    d0 = abs(fma(e, x[j], fma(h, x[j], y[j])))
                    d1 = abs(fma(e, x[j + 1], fma(h, x[j + 1], y[j + 1])))
                    d2 = abs(fma(e, x[j + 2], fma(h, x[j + 2], y[j + 2])))
                    d3 = abs(fma(e, x[j + 3], fma(h, x[j + 3], y[j + 3])))
                    part[j] += (d0 + d1) + (d2 + d3)
                    d0 = d1 if d1 > d0 else d0
                    d2 = d3 if d3 > d2 else d2
                    d0 = d2 if d2 > d0 else d0
                    peak[j] = d0 if d0 > peak[j] else peak[j]
                k += 4
            while k < columns:
                y = line[k : k + n]
                x = golden_line[k : k + n]
                for j in range(n):
                    d0 = abs(fma(low[j], x[j], fma(high[j], x[j], y[j])))
                    part[j] += d0
                    peak[j] = d0 if d0 > peak[j] else peak[j]
                k += 1
        for j in range(n):
            total[j] += part[j]
