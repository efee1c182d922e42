"""Flat facets as a camera sees them: (u, v) in px of the undistorted view, and a nearness w.

w is the inverse depth in 1/mm; of a telecentric camera, whose rays are parallel, the negative depth in mm.

There lines and planes stay straight, and of two points on one ray the one with larger w is nearer. Arrays hold one
coordinate after the other, which is fast: corners (3, K, F) of F facets with K corners, planes (3, F), extents (6, F).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Facets whose image is narrower than this hide nothing and show nothing.
_FLAT_PX2 = 1e-12
_SAME_DEPTH = 1e-8


class Facets(NamedTuple):
    """Facets, each a convex polygon.

    Attributes:
        corners: (3, K, F) u, v and w of the corners; a corner may be repeated at the end.
        planes: (3, F) w = planes[0] * u + planes[1] * v + planes[2].
        extents: (6, F) least u, v, greatest u, v, least w, greatest w.
    """

    corners: np.ndarray
    planes: np.ndarray
    extents: np.ndarray

    @property
    def size(self) -> int:
        return int(self.planes.shape[1])

    def take(self, numbers: np.ndarray) -> Facets:
        return Facets(*(np.take(array, numbers, axis=-1) for array in self))

    @classmethod
    def of(cls, corners: np.ndarray) -> tuple[Facets, np.ndarray]:
        """Facets from their corners, and their signed areas (F,) in px^2, below 0 where they face the camera.

        Corners run counter-clockwise seen from outside; the plane is that of the first three.
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
        """All facets of several, which get the same number of corners."""
        most = max(part.corners.shape[1] for part in parts)
        ends = [np.repeat(part.corners[:, -1:], most - part.corners.shape[1], axis=1) for part in parts]
        corners = [np.concatenate([part.corners, end], axis=1) for part, end in zip(parts, ends, strict=True)]
        return cls(
            np.concatenate(corners, axis=2),
            np.concatenate([part.planes for part in parts], axis=1),
            np.concatenate([part.extents for part in parts], axis=1),
        )


def facing(corners: np.ndarray) -> tuple[Facets, np.ndarray]:
    """The facets of corners (3, K, F) that face the camera, and their numbers."""
    facets, area = Facets.of(corners)
    numbers = np.flatnonzero(area < -_FLAT_PX2)
    return facets.take(numbers), numbers


def triangles_near(boxes: np.ndarray, vertices: np.ndarray, corners: np.ndarray) -> Facets:
    """The triangles of a mesh whose box overlaps one of some boxes (4, N).

    Args:
        boxes: least u, v and greatest u, v.
        vertices: (3, V) the mesh's vertices.
        corners: (T, 3) the vertices of its triangles.
    """
    flat = vertices[:2][:, corners.T]
    around = np.concatenate([flat.min(axis=1), flat.max(axis=1)])
    whole = np.concatenate([boxes[:2].min(axis=1), boxes[2:].max(axis=1)])[:, None]
    near = np.flatnonzero(overlap(whole, around)[0])
    near = near[overlap(boxes, around[:, near]).any(axis=0)]
    facets, area = Facets.of(vertices[:, corners[near].T])
    return facets.take(np.flatnonzero(np.abs(area) > _FLAT_PX2))


def overlap(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which boxes (4, N) overlap which others (4, M): (N, M)."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = ones[:4, :, None], others[:4, None]
    found: np.ndarray = (ax1 < bx2) & (bx1 < ax2) & (ay1 < by2) & (by1 < ay2)
    return found


def in_front(facets: Facets, numbers: np.ndarray, own: Facets, owns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether some of a facet is in front of another one, and whether some may be behind it, where their boxes overlap.

    Args:
        facets, numbers: the facets, and which of them (R,).
        own, owns: the others, and which of them (R,).
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
    """The numbers of several ranges, one after the other, and which range each belongs to."""
    which = np.repeat(np.arange(len(counts)), counts)
    return np.arange(len(which)) + (starts - np.cumsum(counts) + counts)[which], which
