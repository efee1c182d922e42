"""Flat facets in view coordinates (u, v, w), in which it is easy to see which of two facets is in front.

u and v are px of the picture without lens distortion; w is the inverse depth in 1/mm, or for a telecentric camera,
whose rays are parallel, the negative depth in mm. In these coordinates lines stay straight and planes stay flat, and of
two points on one ray the one with larger w is nearer. For speed, coordinates are the first axis of all arrays: corners
(3, K, F) of F facets with K corners, planes (3, F), extents (6, F).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Facets whose image is narrower than this hide nothing and show nothing.
_FLAT_PX2 = 1e-12
_SAME_DEPTH = 1e-8


class Facets(NamedTuple):
    """F facets, each a convex polygon.

    Attributes:
        corners: (3, K, F) u, v and w of the corners; facets with fewer than K corners repeat the last one.
        planes: (3, F) coefficients of each facet's plane: w = planes[0] * u + planes[1] * v + planes[2].
        extents: (6, F) smallest u and v, largest u and v, smallest w, largest w of each facet.
    """

    corners: np.ndarray
    planes: np.ndarray
    extents: np.ndarray

    @property
    def size(self) -> int:
        """Number of facets, F."""
        return int(self.planes.shape[1])

    def take(self, numbers: np.ndarray) -> Facets:
        """Return the N facets with the indices `numbers` (N,)."""
        return Facets(*(np.take(array, numbers, axis=-1) for array in self))

    @classmethod
    def of(cls, corners: np.ndarray) -> tuple[Facets, np.ndarray]:
        """Make facets from their corners (3, K, F), which run counter-clockwise seen from outside.

        Returns:
            The facets, each with the plane of its first three corners, and twice the signed area (F,), px^2, of the
            triangle of these corners; it is negative for a facet that faces the camera.
        """
        ones, others = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        area = ones[0] * others[1] - others[0] * ones[1]
        safe = np.where(np.abs(area) > _FLAT_PX2, area, np.inf)
        across = (ones[2] * others[1] - others[2] * ones[1]) / safe
        down = (ones[0] * others[2] - others[0] * ones[2]) / safe
        u, v, w = corners[:, 0]
        low, high = corners.min(axis=1), corners.max(axis=1)
        extents = np.concatenate([low[:2], high[:2], low[2:], high[2:]])
        return cls(corners, np.stack([across, down, w - across * u - down * v]), extents), area

    @classmethod
    def joined(cls, parts: Sequence[Facets]) -> Facets:
        """Join several sets of facets into one; facets with fewer corners repeat their last one."""
        most = max(part.corners.shape[1] for part in parts)
        ends = [np.repeat(part.corners[:, -1:], most - part.corners.shape[1], axis=1) for part in parts]
        corners = [np.concatenate([part.corners, end], axis=1) for part, end in zip(parts, ends, strict=True)]
        return cls(
            np.concatenate(corners, axis=2),
            np.concatenate([part.planes for part in parts], axis=1),
            np.concatenate([part.extents for part in parts], axis=1),
        )


def facing(corners: np.ndarray) -> tuple[Facets, np.ndarray]:
    """Select the facets that face the camera.

    Args:
        corners: (3, K, F) the K corners of each of F facets, in the axes of `Facets.corners`; counter-clockwise seen
            from outside.

    Returns:
        The selected facets, and their indices into the F facets.
    """
    facets, area = Facets.of(corners)
    numbers = np.flatnonzero(area < -_FLAT_PX2)
    return facets.take(numbers), numbers


def triangles_near(boxes: np.ndarray, vertices: np.ndarray, corners: np.ndarray) -> Facets:
    """Select those triangles of a mesh whose own bounding boxes in the picture overlap at least one of N boxes.

    Args:
        boxes: (4, N) smallest u and v, largest u and v, px.
        vertices: (3, V) the mesh's vertices, as (u, v, w).
        corners: (T, 3) vertex indices of its triangles.

    Returns:
        The selected triangles, without those that are seen edge-on.
    """
    flat = vertices[:2][:, corners.T]
    around = np.concatenate([flat.min(axis=1), flat.max(axis=1)])
    whole = np.concatenate([boxes[:2].min(axis=1), boxes[2:].max(axis=1)])[:, None]
    near = np.flatnonzero(overlap(whole, around)[0])
    near = near[overlap(boxes, around[:, near]).any(axis=0)]
    facets, area = Facets.of(vertices[:, corners[near].T])
    return facets.take(np.flatnonzero(np.abs(area) > _FLAT_PX2))


def overlap(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return (N, M) bool: whether each of N boxes overlaps each of M others.

    Args:
        ones, others: (4, N) and (4, M): smallest u, smallest v, largest u and largest v of each box; the first axis may
            be longer, as in `Facets.extents`.
    """
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = ones[:4, :, None], others[:4, None]
    found: np.ndarray = (ax1 < bx2) & (bx1 < ax2) & (ay1 < by2) & (by1 < ay2)
    return found


def in_front(facets: Facets, numbers: np.ndarray, own: Facets, owns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compare the depths of two facets, for R pairs, in the area of the picture in which their bounding boxes overlap.

    Args:
        facets, numbers: the first facets of the pairs are those with the indices `numbers` (R,) in `facets`.
        own, owns: the second facets of the pairs are those with the indices `owns` (R,) in `own`.

    Returns:
        Two arrays (R,) of bool: whether a part of the first facet may be in front of the second, and whether a part of
        it may be behind the second.
    """
    ones, others = facets.extents[:, numbers], own.extents[:, owns]
    slopes = facets.planes[:, numbers] - own.planes[:, owns]
    low, high = np.maximum(ones[:2], others[:2]), np.minimum(ones[2:4], others[2:4])
    middle = slopes[2] + 0.5 * (slopes[0] * (low[0] + high[0]) + slopes[1] * (low[1] + high[1]))
    reach = 0.5 * (np.abs(slopes[0]) * (high[0] - low[0]) + np.abs(slopes[1]) * (high[1] - low[1]))
    room = _SAME_DEPTH * np.abs(others[5])
    return (
        np.minimum(middle + reach, ones[5] - others[4]) > room,
        np.maximum(middle - reach, ones[4] - others[5]) <= room,
    )


def ranges(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Concatenate ranges of integers.

    Args:
        starts, counts: (N,) first number of each range, and how many numbers it has.

    Returns:
        The numbers of all ranges, one range after the other, and the index of the range of each number.
    """
    which = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(which)) + (starts - np.cumsum(counts) + counts)[which], which
