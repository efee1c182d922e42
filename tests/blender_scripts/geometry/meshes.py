"""Checks for every mesh: finite, closed, faces outwards."""

from collections import Counter
from itertools import pairwise

import numpy as np

from blender_scripts.geometry.mesh import Mesh


def corners(mesh: Mesh, face: tuple[int, ...]) -> np.ndarray:
    return mesh.vertices[list(face)]


def area_vector(points: np.ndarray) -> np.ndarray:
    """Normal times area of a polygon (N, 3), counter-clockwise."""
    return 0.5 * np.cross(points, np.roll(points, -1, axis=0)).sum(axis=0)


def volume(mesh: Mesh) -> float:
    """Signed volume of a closed mesh: positive where its faces look outwards."""
    total = 0.0
    for face in mesh.faces:
        first, *others = corners(mesh, face)
        for a, b in pairwise(others):
            total += float(first @ np.cross(a, b)) / 6.0
    return total


def closed(mesh: Mesh, count: int, level: int = 0) -> Mesh:
    """The mesh with a lid over one of its rings of `count` points, facing down."""
    lid = tuple(level * count + i for i in range(count - 1, -1, -1))
    return Mesh.of(mesh.vertices, [*mesh.faces, lid], [*mesh.smooth, False])


def assert_sound(mesh: Mesh, borders: int) -> None:
    """Assert: finite, no slivers, every edge except `borders` shared by two faces in opposite senses."""
    assert np.all(np.isfinite(mesh.vertices))
    assert len(mesh.faces) == len(mesh.smooth)
    assert {i for face in mesh.faces for i in face} == set(range(len(mesh.vertices)))
    edges = Counter((a, b) for face in mesh.faces for a, b in zip(face, face[1:] + face[:1], strict=True))
    assert max(edges.values()) == 1
    assert sum((b, a) not in edges for a, b in edges) == borders
    assert min(np.linalg.norm(area_vector(corners(mesh, face))) for face in mesh.faces) > 1e-9


def assert_sound_but_slivers(mesh: Mesh, borders: int) -> None:
    """The same for walls with a cut, whose lowered rings coincide: such faces have no area, but there is no hole."""
    listed = [pair for face in mesh.faces for pair in zip(face, face[1:] + face[:1], strict=True)]
    edges = set(listed)
    assert np.all(np.isfinite(mesh.vertices)) and len(edges) == len(listed)
    assert sum((b, a) not in edges for a, b in edges) == borders


def height_at(mesh: Mesh, x: float, y: float) -> float:
    """Height of the highest face over a place; -inf where there is none."""
    fans = [(face[0], b, c) for face in mesh.faces for b, c in pairwise(face[1:])]
    a, b, c = (mesh.vertices[[fan[i] for fan in fans]] for i in range(3))
    first, second, place = b - a, c - a, np.array([x, y]) - a[:, :2]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    # An upright triangle has no height over a place.
    flat = np.abs(area) > 1e-12
    scale = np.where(flat, area, 1.0)
    u = (place[:, 0] * second[:, 1] - place[:, 1] * second[:, 0]) / scale
    v = (first[:, 0] * place[:, 1] - first[:, 1] * place[:, 0]) / scale
    here = flat & (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1.0 + 1e-9)
    return float(np.where(here, a[:, 2] + u * first[:, 2] + v * second[:, 2], -np.inf).max())
