"""SOART3: three numbers that describe how a signal differs from its reference; for vectors and windows of pictures.

    beta      = (x.y + 1e-4) / (x.x + 1e-4)          x the reference, y the signal
    log_beta  = ln beta                               amount: brighter or darker
    log_yita  = ln(sum |y - beta x| + 1)              shape: the residual without the difference in amount
    log_gamma = ln(max |y - beta x| + 1) - log_yita   concentration: near 0 if one element has the whole residual

The method is that of QEUR23_VTFDEV12. Because of the +1 the numbers depend on the scale of the grey values, so pictures
must be floats in [0, 1]; others are refused, not rescaled.

    from generator.soart import soart3_map
    maps = soart3_map(grey, None, window=16)                          # (3, gh, gw) float32
    maps = soart3_map(grey, golden, window=16, similarity="gram")     # of S = A A^T of each window A

The loops are in `generator.soart.kernels` (pixels) and `generator.soart.gram` (self-similarity).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from generator.soart.gram import gram_golden_maps, gram_patch_maps
from generator.soart.kernels import EPSILON, golden_maps, parallel_section, patch_maps

CHANNELS = ("log_beta", "log_yita", "log_gamma")
SIMILARITIES = ("pixels", "gram")
CODE_KNEE = 2.0
SD_FLOOR = 1e-6


def soart3(y: np.ndarray, x: np.ndarray) -> tuple[float, float, float]:
    """Compute SOART3, three numbers that state how a signal y differs from a reference x.

    Args:
        y: signal, a vector of finite numbers.
        x: reference, a vector of the same length.

    Returns:
        log_beta, the log of the least-squares factor beta in y = beta x; log_yita, the log of 1 + the sum of |y - beta
        x|; log_gamma, the log of 1 + the largest |y - beta x|, minus log_yita. The module's docstring has the formulas.

    Raises:
        ValueError: the shapes differ, a vector is empty or not finite, or beta is not above 0 (which cannot happen for
            vectors without negative numbers).
    """
    y = np.asarray(y, dtype=np.float64)
    x = np.asarray(x, dtype=np.float64)
    if y.ndim != 1 or y.shape != x.shape or y.size == 0:
        raise ValueError(f"y and x must be vectors of one length >= 1, got shapes {y.shape} and {x.shape}")
    for name, vector in (("y", y), ("x", x)):
        if not np.isfinite(vector).all():
            raise ValueError(f"{name} must have finite numbers, got {vector[~np.isfinite(vector)][0]}")
    beta = (float(x @ y) + EPSILON) / (float(x @ x) + EPSILON)
    if beta <= 0:
        raise ValueError(f"y must not point away from x: beta must be > 0, got {beta:.6g}")
    residual = np.abs(y - beta * x)
    log_yita = np.log1p(residual.sum())
    return float(np.log(beta)), float(log_yita), float(np.log1p(residual.max()) - log_yita)


def soart3_map(
    image: np.ndarray, reference: np.ndarray | None, window: int = 16, stride: int = 1, similarity: str = "pixels"
) -> np.ndarray:
    """Compute SOART3 of every square window of a picture against a reference.

    Args:
        image: (H, W) grey or (H, W, C) colour, floats in [0, 1]; converted to single precision.
        reference: a golden picture of the image's shape, whose windows are compared at equal positions; or one patch
            (window, window[, C]) for all windows; both floats in [0, 1]. None: the mean of the image's own windows.
        window: side of the windows in px, 1 to min(H, W).
        stride: step from one window to the next in px, across and down, >= 1.
        similarity: "pixels" compares the windows' pixels, "gram" their row-Gram matrices S = A A^T.

    Returns:
        (3, gh, gw) float32, the maps log_beta, log_yita, log_gamma; gh = (H - window) // stride + 1, gw likewise. For
        colour (C, 3, gh, gw), each channel separately. The result is bit-identical for any number of threads.

    Raises:
        ValueError: a picture has a wrong dtype, shape or range, contains NaN, or is smaller than the window.
    """
    image = _checked_picture("image", image)
    height, width = image.shape[:2]
    window = _checked_count("window", window)
    stride = _checked_count("stride", stride)
    if similarity not in SIMILARITIES:
        raise ValueError(f"similarity must be one of {', '.join(SIMILARITIES)}, got {similarity!r}")
    if window > min(height, width):
        raise ValueError(
            f"image must be at least as large as a window, {window} x {window} px, got {size_of(image.shape)}"
        )
    if reference is not None:
        reference = _checked_picture("reference", reference)
        patch_shape = (window, window, *image.shape[2:])
        if reference.shape not in (image.shape, patch_shape):
            raise ValueError(
                f"reference must have the image's size, {size_of(image.shape)}, "
                f"or the window's, {size_of(patch_shape)}, got {size_of(reference.shape)}"
            )
    if image.ndim == 2:
        return _grey_maps(image, reference, window, stride, similarity)
    return np.stack(
        [
            _grey_maps(image[..., c], None if reference is None else reference[..., c], window, stride, similarity)
            for c in range(image.shape[2])
        ]
    )


def _grey_maps(
    image: np.ndarray, reference: np.ndarray | None, window: int, stride: int, similarity: str
) -> np.ndarray:
    image = np.ascontiguousarray(image)
    height, width = image.shape
    out = np.empty((3, (height - window) // stride + 1, (width - window) // stride + 1), dtype=np.float32)
    double = image.astype(np.float64)
    is_patch = reference is None or reference.shape == (window, window)
    against = mean_window(double, window, stride) if reference is None else reference
    with parallel_section:
        if similarity == "gram" and is_patch:
            patch = against.astype(np.float64)
            gram_patch_maps(double, patch @ patch.T, window, stride, out)
        elif similarity == "gram":
            gram_golden_maps(double, against.astype(np.float64), window, stride, out)
        elif is_patch:
            phases = _phases(image, stride)
            patch_maps(phases.astype(np.float64), phases, against.astype(np.float64), stride, out)
        else:
            golden = np.ascontiguousarray(against)
            phases, golden_phases = _phases(image, stride), _phases(golden, stride)
            golden_maps(image, golden, phases, golden_phases, window, stride, out)
    return out


def mean_window(image: np.ndarray, window: int, stride: int = 1) -> np.ndarray:
    """Return the mean of all windows of a picture (H, W): (window, window) float64; see `soart3_map`."""
    height, width = image.shape
    gh = (height - window) // stride + 1
    gw = (width - window) // stride + 1
    # The mean is separable: first along rows of windows, then along columns.
    beside = _sums_over_windows(image, gw, window, stride)
    mean: np.ndarray = _sums_over_windows(beside, gh, window, stride) / (gh * gw)
    return mean


def _sums_over_windows(values: np.ndarray, count: int, window: int, stride: int) -> np.ndarray:
    """Sum the elements at each offset in a window over `count` windows along axis 1: (n, m) to (window, n)."""
    span = (count - 1) * stride + 1
    sums = [values[:, c : c + span : stride].sum(axis=1) for c in range(min(stride, window))]
    # One stride further, the first window's element leaves the sum, and a new one enters.
    for c in range(stride, window):
        sums.append(sums[-stride] - values[:, c - stride] + values[:, c - stride + count * stride])
    return np.stack(sums)


def encode_nsoart(maps: np.ndarray, params: Mapping[str, Any]) -> np.ndarray:
    """Standardise SOART3 maps by a unit space and code them in 8 bits (NSOART), as a picture of the image's size.

    For each map z = (map - mean) / sd, and byte = floor(127.5 (1 + z / (|z| + 2)) + 0.5). The byte grows with z, is 128
    at the unit space's mean, and leaves half of its range to values beyond 2 standard deviations. Only + - * / are
    used, so the bytes are the same on every machine.

    Pixel (y, x) shows the window whose middle is nearest to it: the outermost window at the border.

    Args:
        maps: (3, gh, gw) from `soart3_map`.
        params: `mean` and `sd` (standard deviation) of each map over the unit space, three numbers each; `window` and
            `stride` in px; `size` = (H, W) of the image in px, which may be left out at stride 1.

    Returns:
        (H, W, 3) uint8, channels log_beta, log_yita, log_gamma.

    Raises:
        ValueError: maps, statistics and size do not match each other.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3 or maps.shape[0] != 3 or min(maps.shape) < 1:
        raise ValueError(f"maps: expected an array of shape (3, rows, columns), got {maps.shape}")
    mean = np.asarray(params["mean"], dtype=np.float64)
    sd = np.asarray(params["sd"], dtype=np.float64)
    if mean.shape != (3,) or sd.shape != (3,) or not np.isfinite(mean).all() or not (sd >= 0).all():
        raise ValueError(f"mean and sd must be three finite numbers each, sd >= 0, got {mean} and {sd}")
    window = _checked_count("window", params["window"])
    stride = _checked_count("stride", params["stride"])
    grid = maps.shape[1:]
    size = params.get("size") or tuple((n - 1) * stride + window for n in grid)
    if tuple((n - window) // stride + 1 for n in size) != grid:
        raise ValueError(f"maps must have the grid of windows of a picture of (H, W) = {tuple(size)} px, got {grid}")
    z = (maps.astype(np.float64) - mean[:, None, None]) / np.maximum(sd, SD_FLOOR)[:, None, None]
    coded = np.floor(127.5 * (1.0 + z / (np.abs(z) + CODE_KNEE)) + 0.5).astype(np.uint8)
    rows, columns = (_nearest_window(n, g, window, stride) for n, g in zip(size, grid, strict=True))
    return np.ascontiguousarray(coded[:, rows][:, :, columns].transpose(1, 2, 0))


def _nearest_window(pixels: int, windows: int, window: int, stride: int) -> np.ndarray:
    """Find the index of the window that each pixel shows, along one axis: (pixels,)."""
    start = np.arange(pixels) - window // 2
    return np.clip((start + stride // 2) // stride, 0, windows - 1)


def size_of(shape: Sequence[int]) -> str:
    """Return the size of a picture as text, such as "64 x 48 px", from the shape of its array: (H, W) or (H, W, C)."""
    height, width, *channels = shape
    return f"{width} x {height} px{f' in {channels[0]} channels' if channels else ''}"


def _checked_picture(name: str, picture: np.ndarray) -> np.ndarray:
    """Convert a picture to float32; ValueError unless it has floats in [0, 1]."""
    picture = np.asarray(picture)
    if picture.ndim not in (2, 3) or picture.size == 0:
        raise ValueError(f"{name} must be a picture of shape (H, W) or (H, W, C), got shape {picture.shape}")
    if not np.issubdtype(picture.dtype, np.floating):
        raise ValueError(f"{name} must be floats in [0, 1], got {picture.dtype}")
    low, high = float(picture.min()), float(picture.max())
    if not (low >= 0.0 and high <= 1.0):  # written so that NaN fails too
        raise ValueError(f"{name} must be in [0, 1] without NaN, got {low:.6g} to {high:.6g}")
    return picture.astype(np.float32, copy=False)


def _checked_count(name: str, value: int) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number >= 1, got {value!r}")
    return int(value)


def _phases(picture: np.ndarray, stride: int) -> np.ndarray:
    """Split a picture's columns (H, W) by their number modulo stride: (stride, H, ceil(W / stride)).

    The pixels of neighbouring windows become neighbours in memory.
    """
    if stride == 1:
        return picture[None]
    height, width = picture.shape
    padded = np.zeros((height, -(-width // stride) * stride), dtype=picture.dtype)
    padded[:, :width] = picture
    return np.ascontiguousarray(padded.reshape(height, -1, stride).transpose(2, 0, 1))
