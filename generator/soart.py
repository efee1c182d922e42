"""SOART3: how a signal differs from its reference, in three numbers, for vectors and for every window of a picture.

    beta      = (x.y + 1e-4) / (x.x + 1e-4)          x the reference, y the signal
    log_beta  = ln beta                               amount: brighter or darker
    log_yita  = ln(sum |y - beta x| + 1)              shape: how much is left after the amount is taken out
    log_gamma = ln(max |y - beta x| + 1) - log_yita   concentration: near 0 when one element carries it all

The method is that of QEUR23_VTFDEV12. The +1 makes the numbers depend on the grey scale, so pictures are always
floats in [0, 1] here; anything else is refused rather than rescaled.

The map kernels walk along a row of windows: the innermost loop runs over neighbouring windows with unit stride, so
it vectorises although every window has its own beta, and needs no memory of windows x pixels. A row of windows is
computed by one thread from start to end, without fastmath: any number of threads gives the same bits.

    from generator.soart import soart3_map
    maps = soart3_map(grey, None, window=16)          # (3, gh, gw) float32: log_beta, log_yita, log_gamma
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numba
import numpy as np

CHANNELS = ("log_beta", "log_yita", "log_gamma")
EPSILON = 1e-4
CODE_KNEE = 2.0
SD_FLOOR = 1e-6
# Windows per tile: three accumulators of float64 for one tile stay in the first-level cache.
TILE = 512

# Numba's fallback threading layer stops the process when two Python threads enter parallel code at once.
_parallel_section = threading.Lock()


def _compiled(**options: bool) -> Callable[[Any], Any]:
    """numba.njit with the compiled code kept on disk where that is possible (a package folder may be read-only)."""

    def decorate(function: Any) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # numba found no folder that it may write its cache to
            return numba.njit(**options)(function)

    return decorate


def soart3(y: np.ndarray, x: np.ndarray) -> tuple[float, float, float]:
    """SOART3 of one signal against one reference.

    Args:
        y: signal, one dimension, finite numbers of any scale.
        x: reference, same length.

    Returns:
        (log_beta, log_yita, log_gamma).

    Raises:
        ValueError: another shape, empty, NaN or infinite, or beta <= 0. The last cannot happen for non-negative
            vectors; a signal that points away from its reference has no amount whose logarithm could be taken.
    """
    y = np.asarray(y, dtype=np.float64)
    x = np.asarray(x, dtype=np.float64)
    if y.ndim != 1 or y.shape != x.shape or y.size == 0:
        raise ValueError(f"y and x must be vectors of one length >= 1, got shapes {y.shape} and {x.shape}")
    for name, vector in (("y", y), ("x", x)):
        if not np.isfinite(vector).all():
            raise ValueError(f"{name} must be finite, got {vector[~np.isfinite(vector)][0]}")
    beta = (float(x @ y) + EPSILON) / (float(x @ x) + EPSILON)
    if beta <= 0:
        raise ValueError(f"y must not point away from x: beta must be > 0, got {beta:.6g}")
    residual = np.abs(y - beta * x)
    log_yita = np.log1p(residual.sum())
    return float(np.log(beta)), float(log_yita), float(np.log1p(residual.max()) - log_yita)


def soart3_map(
    image: np.ndarray, reference: np.ndarray | None, window: int = 16, stride: int = 1
) -> np.ndarray:
    """SOART3 of every window of a grey picture against a reference.

    Args:
        image: (H, W) floats in [0, 1].
        reference: golden picture (H, W), each window compared with the same place; or one patch
            (window, window); or None for the mean over all windows of the image itself. Floats in [0, 1].
        window: side of the square windows in px, 1 to min(H, W).
        stride: step of the grid of windows in px, >= 1.

    Returns:
        (3, gh, gw) float32, the maps log_beta, log_yita, log_gamma; gh = (H - window) // stride + 1, gw likewise.

    Raises:
        ValueError: another dtype, shape or range, NaN, or a picture smaller than the window.
    """
    image = _checked_grey("image", image)
    height, width = image.shape
    window = _checked_count("window", window)
    stride = _checked_count("stride", stride)
    if window > min(height, width):
        raise ValueError(
            f"image must be at least window x window = {window} x {window}, got {height} x {width}"
        )
    gh = (height - window) // stride + 1
    gw = (width - window) // stride + 1
    out = np.empty((3, gh, gw), dtype=np.float32)
    if reference is None:
        # A mean of values in [0, 1] may leave the range by a rounding error: it is not checked again.
        patch = mean_window(image, window, stride)
    else:
        reference = _checked_grey("reference", reference)
        if reference.shape not in (image.shape, (window, window)):
            raise ValueError(
                f"reference must have the image's shape {image.shape} or the window's {(window, window)}, "
                f"got {reference.shape}"
            )
        patch = reference if reference.shape == (window, window) else None
    with _parallel_section:
        if patch is not None:
            _patch_maps(_phases(image, stride), patch, stride, out)
        else:
            _golden_maps(
                image, reference, _phases(image, stride), _phases(reference, stride), window, stride, out
            )
    return out


def mean_window(image: np.ndarray, window: int, stride: int = 1) -> np.ndarray:
    """Mean over all windows of a picture: the self reference.

    Args:
        image: (H, W) floats.
        window, stride: as in `soart3_map`, in px.

    Returns:
        (window, window) float64.
    """
    height, width = image.shape
    gh = (height - window) // stride + 1
    gw = (width - window) // stride + 1
    # Separable: first over the windows beside each other, then over those below each other.
    beside = np.stack([image[:, c : c + (gw - 1) * stride + 1 : stride].mean(axis=1) for c in range(window)])
    return np.stack([beside[:, r : r + (gh - 1) * stride + 1 : stride].mean(axis=1) for r in range(window)])


def encode_nsoart(maps: np.ndarray, params: Mapping[str, Any]) -> np.ndarray:
    """NSOART: SOART3 maps standardised by a unit space and coded to 8 bits, as a picture of the image's size.

    z = (map - mean) / sd for each map, and byte = floor(127.5 (1 + z / (|z| + 2)) + 0.5): strictly monotone in z,
    128 at the unit space's mean, half of the range left for what lies beyond 2 s.d. It uses only + - * /, so it
    gives the same bytes on every machine.

    Pixel (y, x) shows the window that starts nearest to (y - window // 2, x - window // 2), that is the window
    centred on it; at the border, where no window is centred, the outermost one is repeated.

    Args:
        maps: (3, gh, gw) from `soart3_map`.
        params: `mean` and `sd` (three numbers each), `window` and `stride` in px, and `size` = (H, W) in px, which
            may be left out when the grid covers the picture exactly (as it does at stride 1).

    Returns:
        (H, W, 3) uint8, channels log_beta, log_yita, log_gamma.

    Raises:
        ValueError: maps, statistics or size that do not fit each other.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or maps.shape[0] != 3 or min(maps.shape) < 1:
        raise ValueError(f"maps must have shape (3, gh, gw), got {maps.shape}")
    mean = np.asarray(params["mean"], dtype=np.float64)
    sd = np.asarray(params["sd"], dtype=np.float64)
    if mean.shape != (3,) or sd.shape != (3,) or not np.isfinite(mean).all() or not (sd >= 0).all():
        raise ValueError(f"mean and sd must be three finite numbers each, sd >= 0, got {mean} and {sd}")
    window = _checked_count("window", params["window"])
    stride = _checked_count("stride", params["stride"])
    grid = maps.shape[1:]
    size = params.get("size") or tuple((n - 1) * stride + window for n in grid)
    if tuple((n - window) // stride + 1 for n in size) != grid:
        raise ValueError(f"maps of grid {grid} do not belong to a picture of size {tuple(size)}")
    z = (maps.astype(np.float64) - mean[:, None, None]) / np.maximum(sd, SD_FLOOR)[:, None, None]
    coded = np.floor(127.5 * (1.0 + z / (np.abs(z) + CODE_KNEE)) + 0.5).astype(np.uint8)
    rows, columns = (_nearest_window(n, g, window, stride) for n, g in zip(size, grid, strict=True))
    return np.ascontiguousarray(coded[:, rows][:, :, columns].transpose(1, 2, 0))


def _nearest_window(pixels: int, windows: int, window: int, stride: int) -> np.ndarray:
    """Index of the window that each pixel along one axis shows."""
    start = np.arange(pixels) - window // 2
    return np.clip((start + stride // 2) // stride, 0, windows - 1)


def _checked_grey(name: str, picture: np.ndarray) -> np.ndarray:
    """The picture as contiguous float64, or a ValueError that says what is wrong with it."""
    picture = np.asarray(picture)
    if picture.ndim != 2 or picture.size == 0:
        raise ValueError(f"{name} must be a grey picture of shape (H, W), got shape {picture.shape}")
    if not np.issubdtype(picture.dtype, np.floating):
        raise ValueError(f"{name} must be floats in [0, 1], got {picture.dtype}")
    low, high = float(picture.min()), float(picture.max())
    if not (low >= 0.0 and high <= 1.0):  # written so that NaN fails too
        raise ValueError(f"{name} must lie in [0, 1] without NaN, got {low:.6g} to {high:.6g}")
    return np.ascontiguousarray(picture, dtype=np.float64)


def _checked_count(name: str, value: int) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number >= 1, got {value!r}")
    return int(value)


def _phases(picture: np.ndarray, stride: int) -> np.ndarray:
    """(stride, H, ceil(W / stride)): every stride-th column apart, so that neighbouring windows are neighbours."""
    if stride == 1:
        return picture[None]
    height, width = picture.shape
    padded = np.zeros((height, -(-width // stride) * stride), dtype=picture.dtype)
    padded[:, :width] = picture
    return np.ascontiguousarray(padded.reshape(height, -1, stride).transpose(2, 0, 1))


@_compiled()
def _finish(beta, total, peak, log_beta, log_yita, log_gamma):
    """The logarithms of one tile. Single precision is enough for them: their arguments are at least 1, or beta."""
    for j in range(beta.size):
        log_beta[j] = np.log(np.float32(beta[j]))
        yita = np.log(np.float32(total[j] + 1.0))
        log_yita[j] = yita
        log_gamma[j] = np.log(np.float32(peak[j] + 1.0)) - yita


@_compiled(parallel=True)
def _patch_maps(phases, patch, stride, out):
    window = patch.shape[0]
    gh, gw = out.shape[1:]
    power = EPSILON
    for r in range(window):
        for c in range(window):
            power += patch[r, c] * patch[r, c]
    for gi in numba.prange(gh):
        beta = np.empty(TILE)
        total = np.empty(TILE)
        peak = np.empty(TILE)
        for start in range(0, gw, TILE):
            n = min(TILE, gw - start)
            _patch_beta(phases, patch, stride, power, gi, start, beta[:n])
            total[:n] = 0.0
            peak[:n] = 0.0
            _patch_residual(phases, patch, stride, gi, start, beta[:n], total[:n], peak[:n])
            end = start + n
            _finish(
                beta[:n],
                total[:n],
                peak[:n],
                out[0, gi, start:end],
                out[1, gi, start:end],
                out[2, gi, start:end],
            )


@_compiled()
def _patch_beta(phases, patch, stride, power, gi, start, beta):
    """beta of one tile: the dot products of its windows with the patch, four columns of the patch at a time."""
    window = patch.shape[0]
    n = beta.size
    beta[:] = EPSILON
    for r in range(window):
        for p in range(min(stride, window)):
            line = phases[p, gi * stride + r, start:]
            x = patch[r, p::stride]
            k = 0
            while k + 4 <= x.size:
                # One base pointer for all four columns: with more, LLVM gives up on proving that nothing overlaps.
                y = line[k : k + n + 3]
                x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
                for j in range(n):
                    beta[j] += (x0 * y[j] + x1 * y[j + 1]) + (x2 * y[j + 2] + x3 * y[j + 3])
                k += 4
            while k < x.size:
                y = line[k : k + n]
                x0 = x[k]
                for j in range(n):
                    beta[j] += x0 * y[j]
                k += 1
    for j in range(n):
        beta[j] /= power


@_compiled()
def _patch_residual(phases, patch, stride, gi, start, beta, total, peak):
    """Sum and maximum of |y - beta x| of one tile of windows."""
    window = patch.shape[0]
    n = beta.size
    for r in range(window):
        for p in range(min(stride, window)):
            line = phases[p, gi * stride + r, start:]
            x = patch[r, p::stride]
            k = 0
            while k + 4 <= x.size:
                y = line[k : k + n + 3]
                x0, x1, x2, x3 = x[k], x[k + 1], x[k + 2], x[k + 3]
                for j in range(n):
                    b = beta[j]
                    d0 = abs(y[j] - b * x0)
                    d1 = abs(y[j + 1] - b * x1)
                    d2 = abs(y[j + 2] - b * x2)
                    d3 = abs(y[j + 3] - b * x3)
                    total[j] += (d0 + d1) + (d2 + d3)
                    d0 = d1 if d1 > d0 else d0
                    d2 = d3 if d3 > d2 else d2
                    d0 = d2 if d2 > d0 else d0
                    peak[j] = d0 if d0 > peak[j] else peak[j]
                k += 4
            while k < x.size:
                y = line[k : k + n]
                x0 = x[k]
                for j in range(n):
                    d0 = abs(y[j] - beta[j] * x0)
                    total[j] += d0
                    peak[j] = d0 if d0 > peak[j] else peak[j]
                k += 1


@_compiled(parallel=True)
def _golden_maps(image, golden, phases, golden_phases, window, stride, out):
    gh, gw = out.shape[1:]
    width = image.shape[1]
    for gi in numba.prange(gh):
        signal_column = np.empty(width)
        power_column = np.empty(width)
        row_beta = np.empty(gw)
        total = np.empty(TILE)
        peak = np.empty(TILE)
        _golden_beta(image, golden, gi * stride, window, stride, signal_column, power_column, row_beta)
        for start in range(0, gw, TILE):
            n = min(TILE, gw - start)
            end = start + n
            beta = row_beta[start:end]
            total[:n] = 0.0
            peak[:n] = 0.0
            _golden_residual(phases, golden_phases, window, stride, gi, start, beta, total[:n], peak[:n])
            _finish(
                beta, total[:n], peak[:n], out[0, gi, start:end], out[1, gi, start:end], out[2, gi, start:end]
            )


@_compiled()
def _golden_beta(image, golden, top, window, stride, signal_column, power_column, beta):
    """beta of one row of windows from running sums of the product images."""
    signal_column[:] = 0.0
    power_column[:] = 0.0
    for r in range(window):
        y = image[top + r]
        x = golden[top + r]
        for u in range(y.size):
            signal_column[u] += x[u] * y[u]
            power_column[u] += x[u] * x[u]
    signal = 0.0
    power = 0.0
    for u in range(window):
        signal += signal_column[u]
        power += power_column[u]
    beta[0] = (signal + EPSILON) / (power + EPSILON)
    for j in range(1, beta.size):
        for u in range((j - 1) * stride, j * stride):
            signal += signal_column[u + window] - signal_column[u]
            power += power_column[u + window] - power_column[u]
        beta[j] = (signal + EPSILON) / (power + EPSILON)


@_compiled()
def _golden_residual(phases, golden_phases, window, stride, gi, start, beta, total, peak):
    """As `_patch_residual`, with the reference moving along with the window."""
    n = beta.size
    for r in range(window):
        for p in range(min(stride, window)):
            line = phases[p, gi * stride + r, start:]
            golden_line = golden_phases[p, gi * stride + r, start:]
            columns = (window - p + stride - 1) // stride
            k = 0
            while k + 4 <= columns:
                y = line[k : k + n + 3]
                x = golden_line[k : k + n + 3]
                for j in range(n):
                    b = beta[j]
                    d0 = abs(y[j] - b * x[j])
                    d1 = abs(y[j + 1] - b * x[j + 1])
                    d2 = abs(y[j + 2] - b * x[j + 2])
                    d3 = abs(y[j + 3] - b * x[j + 3])
                    total[j] += (d0 + d1) + (d2 + d3)
                    d0 = d1 if d1 > d0 else d0
                    d2 = d3 if d3 > d2 else d2
                    d0 = d2 if d2 > d0 else d0
                    peak[j] = d0 if d0 > peak[j] else peak[j]
                k += 4
            while k < columns:
                y = line[k : k + n]
                x = golden_line[k : k + n]
                for j in range(n):
                    d0 = abs(y[j] - beta[j] * x[j])
                    total[j] += d0
                    peak[j] = d0 if d0 > peak[j] else peak[j]
                k += 1
