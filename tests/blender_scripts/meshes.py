"""What is asked of every mesh: finite, closed, turned outwards."""

from collections import Counter
from itertools import pairwise

import numpy as np

from blender_scripts.mesh import Mesh


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
    """With a lid over one of its rings of `count` points, seen from outside below."""
    lid = tuple(level * count + i for i in range(count - 1, -1, -1))
    return Mesh.of(mesh.vertices, [*mesh.faces, lid], [*mesh.smooth, False])


def assert_sound(mesh: Mesh, borders: int) -> None:
    """Finite, without slivers, every edge shared by two faces in opposite senses but those of `borders`."""
    assert np.all(np.isfinite(mesh.vertices))
    assert len(mesh.faces) == len(mesh.smooth)
    assert {i for face in mesh.faces for i in face} == set(range(len(mesh.vertices)))
    edges = Counter((a, b) for face in mesh.faces for a, b in zip(face, face[1:] + face[:1], strict=True))
    assert max(edges.values()) == 1
    assert sum((b, a) not in edges for a, b in edges) == borders
    assert min(np.linalg.norm(area_vector(corners(mesh, face))) for face in mesh.faces) > 1e-9
