"""Boxes, convex hulls and silhouettes of points in a picture, px."""

from __future__ import annotations

import numpy as np

# x1, y1, x2, y2.
Box = list[float]
_DIRECTIONS = np.stack([wave(np.pi * np.arange(16) / 8.0) for wave in (np.cos, np.sin)], axis=1)
_SPAN_DIRECTIONS = 48


def box_of(points: np.ndarray) -> Box:
    """The bounding box [x1, y1, x2, y2] of points (N, 2)."""
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def boxes_of(points: np.ndarray) -> list[Box]:
    """The bounding boxes, one row each, of N sets of points (N, V, 2)."""
    across = np.ascontiguousarray(points.swapaxes(1, 2))
    boxes: list[Box] = np.concatenate([across.min(axis=2), across.max(axis=2)], axis=1).tolist()
    return boxes


def polygon_areas(corners: np.ndarray) -> np.ndarray:
    """Areas (N,) of N polygons (N, C, 2) that do not cross themselves."""
    x, y = corners[..., 0], corners[..., 1]
    return 0.5 * np.abs(np.sum(x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y, axis=1))


def convex_hulls(points: np.ndarray) -> np.ndarray:
    """Compute the convex hulls of N sets of points (N, V, 2).

    It begins with the points farthest in a few directions; while points lie outside an edge, the farthest of them
    becomes a corner (W. F. Eddy's CONVEX, 1977, for all sets and edges at once).

    Returns:
        (N, C, 2) corners in order round each hull; hulls with fewer than C corners repeat some.
    """
    across = points.swapaxes(1, 2)
    corners = np.take_along_axis(points, np.argmax(_DIRECTIONS @ across, axis=2)[..., None], axis=1)
    while True:
        step = np.roll(corners, -1, axis=1) - corners
        outwards = np.stack([step[..., 1], -step[..., 0]], axis=2)
        beyond = outwards @ across - np.sum(outwards * corners, axis=2)[..., None]
        farthest = np.argmax(beyond, axis=2)[..., None]
        outside = np.take_along_axis(beyond, farthest, axis=2) > 1e-9
        if not np.any(outside):
            return corners
        further = np.where(outside, np.take_along_axis(points, farthest, axis=1), corners)
        corners = np.stack([corners, further], axis=2).reshape(len(points), -1, 2)
        # Points inside the hull so far cannot become corners and are dropped.
        left = beyond.max(axis=1) > 1e-9
        kept = np.argsort(~left, axis=1, kind="stable")[:, : np.count_nonzero(left, axis=1).max(), None]
        points = np.take_along_axis(points, kept, axis=1)
        across = points.swapaxes(1, 2)


def segments_of(points: np.ndarray, sides: int) -> np.ndarray:
    """Group the projected points of a pin by segment.

    Args:
        points: (V, 2) rings of `sides` points each, along the pin; points after the last whole ring are left out.
        sides: number of points in a ring.

    Returns:
        (S, 2 * sides, 2) the points of each segment, which lies between two neighbouring rings.
    """
    rings = points[: len(points) // sides * sides].reshape(-1, sides, 2)
    return np.concatenate([rings[:-1], rings[1:]], axis=1)


def silhouette_area(points: np.ndarray, sides: int, step_px: float = 0.125) -> float:
    """Compute the area, px^2, that a projected tube covers in the picture, end caps not counted.

    Two neighbouring rings cover their common convex hull. All hulls are cut by lines `step_px` apart, and the length
    that the hulls cover on each line is summed.

    Args:
        points: (V, 2) rings of `sides` points each, along the tube, px.
        sides: number of points in a ring.
        step_px: distance of the lines.
    """
    low, high = points[:, 1].min(), points[:, 1].max()
    lines = low + step_px * (np.arange(np.ceil((high - low) / step_px)) + 0.5)
    segments = segments_of(points, sides)
    # Directions without a vertical one, whose bounds would be infinite.
    angles = np.pi * (2.0 * np.arange(_SPAN_DIRECTIONS) + 1.0) / _SPAN_DIRECTIONS
    across, down = np.cos(angles), np.sin(angles)
    support = (segments @ np.stack([across, down])).max(axis=1)
    bounds = (support[..., None] - down[:, None] * lines) / across[:, None]
    start = bounds[:, across < 0.0].max(axis=1)
    end = bounds[:, across > 0.0].min(axis=1)
    inside = (segments[..., 1].min(axis=1)[:, None] <= lines) & (lines <= segments[..., 1].max(axis=1)[:, None])
    # An empty span gets length 0 at the far left.
    start = np.where(inside & (end > start), start, -1e9)
    end = np.where(inside & (end > start), end, -1e9)
    order = np.argsort(start, axis=0)
    start, end = np.take_along_axis(start, order, axis=0), np.take_along_axis(end, order, axis=0)
    reached = np.maximum.accumulate(np.vstack([np.full(len(lines), -1e9), end[:-1]]), axis=0)
    return float(np.clip(end - np.maximum(start, reached), 0.0, None).sum()) * step_px
