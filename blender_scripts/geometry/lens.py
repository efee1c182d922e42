"""Lens distortion of pictures and of the points and boxes in them.

Cycles renders the undistorted view with a margin; the picture is then resampled to the distorted view, and points are
projected by the same formula, so that boxes fit what they label.

Formula: OpenCV's k1, k2, p1, p2, k3 ("Camera Calibration and 3D Reconstruction", docs.opencv.org) on normalised image
coordinates, x to the right, y downwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_ITERATIONS = 30
# Accepted error of `undistort`, in focal lengths: 0.01 px at a focal length of a million px.
_EXACT = 1e-8
_STAGES = 64
_BORDER_STEPS = 64
_EXTRA_PX = 3
# A lens bends a line between its ends: its place is computed at least this often, px.
BENT_PX = 16.0

Distortion = tuple[float, float, float, float, float]
NO_DISTORTION: Distortion = (0.0, 0.0, 0.0, 0.0, 0.0)


def distort(points: np.ndarray, distortion: Distortion) -> np.ndarray:
    """Map normalised image coordinates (..., 2) (OpenCV's x, y) of the undistorted view to the distorted picture."""
    k1, k2, p1, p2, k3 = distortion
    x, y = points[..., 0], points[..., 1]
    square = x * x + y * y
    radial = 1.0 + square * (k1 + square * (k2 + square * k3))
    across = x * radial + 2.0 * p1 * x * y + p2 * (square + 2.0 * x * x)
    down = y * radial + p1 * (square + 2.0 * y * y) + 2.0 * p2 * x * y
    return np.stack([across, down], axis=-1)


def undistort(points: np.ndarray, distortion: Distortion) -> np.ndarray:
    """The inverse of `distort`, with an error far below a pixel if `distort` maps no two points to one.

    It uses fixed-point iteration, and Newton's method for points where that does not converge (strong pincushion).
    """
    found = points.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_ITERATIONS):
            found += points - distort(found, distortion)
        lost = ~np.all(np.abs(distort(found, distortion) - points) < _EXACT, axis=-1)
    found[lost] = _by_newton(points[lost], distortion)
    return found


def _by_newton(points: np.ndarray, distortion: Distortion) -> np.ndarray:
    """Undistort points (N, 2) by Newton's method, in small steps from the centre outwards so that it converges."""
    k1, k2, p1, p2, k3 = distortion
    found = np.zeros_like(points)
    for stage in range(1, _STAGES + _ITERATIONS + 1):
        x, y = found.T
        square = x * x + y * y
        radial = 1.0 + square * (k1 + square * (k2 + square * k3))
        steeper = 2.0 * (k1 + square * (2.0 * k2 + square * 3.0 * k3))
        # The symmetric matrix of derivatives.
        xx = radial + x * x * steeper + 2.0 * p1 * y + 6.0 * p2 * x
        yy = radial + y * y * steeper + 6.0 * p1 * y + 2.0 * p2 * x
        xy = x * y * steeper + 2.0 * p1 * x + 2.0 * p2 * y
        off_x, off_y = (min(stage / _STAGES, 1.0) * points - distort(found, distortion)).T
        step = np.stack([yy * off_x - xy * off_y, xx * off_y - xy * off_x], axis=-1)
        found += step / (xx * yy - xy * xy)[:, None]
    return found


@dataclass(frozen=True)
class Window:
    """A rectangle of whole pixels in a picture: columns x1..x2 and rows y1..y2, ends exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def area(self) -> int:
        """Number of pixels in the window."""
        return (self.x2 - self.x1) * (self.y2 - self.y1)

    def around(self, other: Window) -> Window:
        """The smallest window that holds this one and the other."""
        return Window(min(self.x1, other.x1), min(self.y1, other.y1), max(self.x2, other.x2), max(self.y2, other.y2))


@dataclass(frozen=True)
class Lens:
    """The pixel geometry of one camera.

    Attributes:
        width, height: picture size in px.
        focal_px: px per unit of normalised coordinates: the focal length in px; for a telecentric camera, whose
            normalised coordinates are in mm, px per mm.
        distortion: OpenCV's k1, k2, p1, p2, k3.
    """

    width: int
    height: int
    focal_px: float
    distortion: Distortion

    @property
    def is_straight(self) -> bool:
        """Whether the lens has no distortion."""
        return self.distortion == NO_DISTORTION

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Convert normalised coordinates (..., 2) (see `Camera`; y downwards) to px of the final, distorted picture."""
        if not self.is_straight:
            points = distort(points, self.distortion)
        return self.focal_px * points + 0.5 * np.array([self.width, self.height])

    def to_normalised(self, pixels: np.ndarray) -> np.ndarray:
        """Convert pixels (..., 2) of the final picture to normalised coordinates: the inverse of `to_pixels`."""
        points = (pixels - 0.5 * np.array([self.width, self.height])) / self.focal_px
        return points if self.is_straight else undistort(points, self.distortion)

    def to_pinhole(self, pixels: np.ndarray) -> np.ndarray:
        """Convert pixels (..., 2) of the final picture to pixels of the undistorted view of the same size."""
        if self.is_straight:
            return pixels
        return self.focal_px * self.to_normalised(pixels) + 0.5 * np.array([self.width, self.height])

    @property
    def margin(self) -> int:
        """Number of px by which the undistorted view that is rendered is larger on each side than the final picture."""
        if self.is_straight:
            return 0
        along = np.linspace(0.0, 1.0, _BORDER_STEPS)
        sides = [
            np.stack([along * self.width, np.full_like(along, edge * self.height)], axis=-1) for edge in (0.0, 1.0)
        ]
        sides += [
            np.stack([np.full_like(along, edge * self.width), along * self.height], axis=-1) for edge in (0.0, 1.0)
        ]
        border = self.to_pinhole(np.concatenate(sides))
        beyond = np.maximum(-border, border - np.array([self.width, self.height])).max()
        return max(0, int(np.ceil(beyond))) + _EXTRA_PX


@lru_cache(maxsize=16)
def _corners(lens: Lens) -> np.ndarray:
    """Where the corners of the final picture's pixels lie in the view with its margin: (H + 1, W + 1, 2) px."""
    x, y = np.meshgrid(np.arange(lens.width + 1.0), np.arange(lens.height + 1.0))
    return lens.to_pinhole(np.stack([x, y], axis=-1)) + lens.margin


def _sources(lens: Lens, scale: int, x1: int, y1: int, x2: int, y2: int) -> np.ndarray:
    """Points in the undistorted view, px, of a window's scale x scale subpixels: (h * scale, w * scale, 2).

    Interpolated linearly between the corners of a pixel.
    """
    corners = _corners(lens)[y1 : y2 + 1, x1 : x2 + 1]
    part = (np.arange(scale) + 0.5) / scale
    rows = corners[:-1, None] + part[:, None, None] * (corners[1:, None] - corners[:-1, None])
    rows = rows.reshape((y2 - y1) * scale, x2 - x1 + 1, 2)
    cells = rows[:, :-1, None] + part[:, None] * (rows[:, 1:, None] - rows[:, :-1, None])
    places: np.ndarray = cells.reshape((y2 - y1) * scale, (x2 - x1) * scale, 2)
    return places


def bend_samples(samples: np.ndarray, lens: Lens, scale: int, window: Window, source: Window) -> np.ndarray:
    """Resample a window of the undistorted view to a window of the final picture, by nearest neighbour.

    Args:
        samples: values (h * scale, w * scale, ...) in the window `source`.
        lens: the camera's lens.
        scale: samples per pixel along each axis.
        window: the wanted window of the final picture; pixels that lie outside `source` are 0.
        source: the window of the undistorted view that `samples` covers, in px of the view with its margin.

    Returns:
        Values for the wanted window, with `scale` samples per pixel along each axis.
    """
    place = _sources(lens, scale, window.x1, window.y1, window.x2, window.y2) - [source.x1, source.y1]
    column, row = np.moveaxis(np.floor(place * scale).astype(int), -1, 0)
    inside = (column >= 0) & (row >= 0) & (column < samples.shape[1]) & (row < samples.shape[0])
    result = np.zeros((*column.shape, *samples.shape[2:]), samples.dtype)
    result[inside] = samples[row[inside], column[inside]]
    return result


@lru_cache(maxsize=8)
def _taps(lens: Lens) -> tuple[np.ndarray, np.ndarray]:
    """The 16 pixels of the view that are mixed into each picture pixel: flat indices and weights, (16, H * W) each."""
    place = _sources(lens, 1, 0, 0, lens.width, lens.height).reshape(-1, 2) - 0.5
    corner = np.floor(place).astype(np.int64)
    across, down = (_catmull_rom(place[:, axis] - corner[:, axis]) for axis in (0, 1))
    columns, rows = lens.width + 2 * lens.margin, lens.height + 2 * lens.margin
    indices, weights = [], []
    for j in range(4):
        y = (corner[:, 1] + j - 1).clip(0, rows - 1)
        for i in range(4):
            x = (corner[:, 0] + i - 1).clip(0, columns - 1)
            indices.append(y * columns + x)
            weights.append(across[i] * down[j])
    return np.array(indices), np.array(weights, np.float32)


def bend_picture(view: np.ndarray, lens: Lens) -> np.ndarray:
    """Resample the undistorted view to the final, distorted picture by Catmull-Rom interpolation.

    Args:
        view: (H + 2 m, W + 2 m, 3) the view with the margin m of `Lens.margin`.
        lens: the camera's lens.

    Returns:
        (H, W, 3) the picture.
    """
    if lens.is_straight:
        return view
    flat = view.reshape(-1, view.shape[2])
    result = np.zeros((lens.height * lens.width, view.shape[2]), np.float32)
    for indices, weights in zip(*_taps(lens), strict=True):
        result += weights[:, None] * flat[indices]
    return np.maximum(result, 0.0).reshape(lens.height, lens.width, view.shape[2])


def _catmull_rom(t: np.ndarray) -> list[np.ndarray]:
    """Catmull-Rom weights of the samples at -1, 0, 1, 2 for a point at t in [0, 1)."""
    return [
        0.5 * (-t + 2 * t**2 - t**3),
        0.5 * (2 - 5 * t**2 + 3 * t**3),
        0.5 * (t + 4 * t**2 - 3 * t**3),
        0.5 * (-(t**2) + t**3),
    ]
