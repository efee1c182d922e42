"""Bounding boxes of points in a picture: [x1, y1, x2, y2] in px."""

from __future__ import annotations

import numpy as np

# x1, y1, x2, y2.
Box = list[float]


def box_of(points: np.ndarray) -> Box:
    """Return the bounding box [x1, y1, x2, y2] of points (N, 2)."""
    return [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]


def boxes_of(points: np.ndarray) -> list[Box]:
    """Return the bounding box [x1, y1, x2, y2] of each of N sets of V points (N, V, 2)."""
    across = np.ascontiguousarray(points.swapaxes(1, 2))
    boxes: list[Box] = np.concatenate([across.min(axis=2), across.max(axis=2)], axis=1).tolist()
    return boxes
