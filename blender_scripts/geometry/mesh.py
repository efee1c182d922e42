"""Meshes as plain arrays in mm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Mesh(NamedTuple):
    """Polygons, counter-clockwise seen from outside.

    Attributes:
        vertices: (V, 3) mm.
        corners: (C,) int32, the vertex of every face's corners, one face after the other.
        sizes: (F,) int32, corners per face.
        smooth: (F,) bool, which faces shade smooth.
    """

    vertices: np.ndarray
    corners: np.ndarray
    sizes: np.ndarray
    smooth: np.ndarray

    @classmethod
    def of(cls, vertices: np.ndarray, faces: Sequence[Sequence[int]], smooth: Sequence[bool] | bool = False) -> Mesh:
        """From faces as tuples of vertex indices."""
        shading = [smooth] * len(faces) if isinstance(smooth, bool) else smooth
        return cls(
            vertices,
            np.array([index for face in faces for index in face], np.int32),
            np.array([len(face) for face in faces], np.int32),
            np.array(shading, bool),
        )

    @property
    def faces(self) -> list[tuple[int, ...]]:
        """Vertex indices of every face."""
        pieces = np.split(self.corners, np.cumsum(self.sizes)[:-1])
        return [tuple(piece.tolist()) for piece in pieces] if len(self.sizes) else []

    @property
    def bounds(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The lowest and the highest corner, mm."""
        return tuple(self.vertices.min(axis=0).tolist()), tuple(self.vertices.max(axis=0).tolist())

    @property
    def starts(self) -> np.ndarray:
        """(F,) int32, where each face begins in `corners`."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int32)

    def moved(self, offset: Sequence[float]) -> Mesh:
        """The same mesh elsewhere, by (x, y, z) mm."""
        return self._replace(vertices=self.vertices + np.asarray(offset, float))


def join(meshes: Sequence[Mesh]) -> Mesh:
    """Several meshes as one."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.corners + np.int32(start) for mesh, start in zip(meshes, starts, strict=False)]),
        np.concatenate([mesh.sizes for mesh in meshes]),
        np.concatenate([mesh.smooth for mesh in meshes]),
    )
