"""Mesh: a mesh of polygons as numpy arrays, mm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Mesh(NamedTuple):
    """A mesh of F polygons whose corners run counter-clockwise seen from outside.

    Attributes:
        vertices: (V, 3) mm.
        corners: (C,) int32, vertex indices of the faces' corners, one face after the other.
        sizes: (F,) int32, corners per face.
        smooth: (F,) bool, which faces are shaded smooth.
    """

    vertices: np.ndarray
    corners: np.ndarray
    sizes: np.ndarray
    smooth: np.ndarray

    @classmethod
    def of(cls, vertices: np.ndarray, faces: Sequence[Sequence[int]], smooth: Sequence[bool] | bool = False) -> Mesh:
        """A mesh of faces, given as tuples of vertex indices; `smooth`: whether all, or each, are shaded smooth."""
        shading = [smooth] * len(faces) if isinstance(smooth, bool) else smooth
        return cls(
            vertices,
            np.array([index for face in faces for index in face], np.int32),
            np.array([len(face) for face in faces], np.int32),
            np.array(shading, bool),
        )

    @property
    def faces(self) -> list[tuple[int, ...]]:
        """Every face as a tuple of vertex indices."""
        pieces = np.split(self.corners, np.cumsum(self.sizes)[:-1])
        return [tuple(piece.tolist()) for piece in pieces] if len(self.sizes) else []

    @property
    def bounds(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The bounding box: least (x, y, z) and greatest (x, y, z), mm."""
        return tuple(self.vertices.min(axis=0).tolist()), tuple(self.vertices.max(axis=0).tolist())

    @property
    def starts(self) -> np.ndarray:
        """Index in `corners` at which each face begins, (F,) int32."""
        return np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int32)

    @property
    def edges(self) -> np.ndarray:
        """Vertex indices (C, 2) of the sides of all faces, one face after the other."""
        after = np.arange(1, len(self.corners) + 1)
        after[self.starts + self.sizes - 1] = self.starts
        return np.stack([self.corners, self.corners[after]], axis=1)

    def moved(self, offset: Sequence[float]) -> Mesh:
        """A copy shifted by (x, y, z) mm."""
        return self._replace(vertices=self.vertices + np.asarray(offset, float))


def join(meshes: Sequence[Mesh]) -> Mesh:
    """Join several meshes into one; their vertices stay separate."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.corners + np.int32(start) for mesh, start in zip(meshes, starts, strict=False)]),
        np.concatenate([mesh.sizes for mesh in meshes]),
        np.concatenate([mesh.smooth for mesh in meshes]),
    )
