"""Prepare a CAD file's faces: merge equal vertices, drop degenerate faces, choose smooth edges, convert to mm.

Files repeat a vertex for each face (STL) or normal (glTF). Here equal coordinates become one vertex; then vertices are
doubled along sharp edges only, so that interpolated normals make roundings smooth and edges sharp in any Blender.
"""

from __future__ import annotations

import math

import numpy as np

from blender_scripts.contract.cad_file import CadPlacement, FileProblem
from blender_scripts.geometry.mesh import Mesh

MOST_TRIANGLES = 2_000_000
SMOOTH_DEG = 30.0
SMALLEST_MM, LARGEST_MM = 0.5, 1000.0
_FARTHEST = 1e9


def check_count(triangles: int, place: str) -> None:
    """Raise FileProblem if `triangles`, their number, is above MOST_TRIANGLES; `place` begins its message."""
    if triangles > MOST_TRIANGLES:
        raise FileProblem(place, f"at most {MOST_TRIANGLES} triangles", str(triangles))


def weld(name: str, vertices: np.ndarray, corners: np.ndarray, sizes: np.ndarray) -> Mesh:
    """Make a flat-shaded mesh: merge equal vertices, drop faces that then lack three corners, and unused vertices.

    Args:
        name: the file's name, for messages.
        vertices: (V, 3), in the file's units.
        corners: (C,) vertex indices of the faces' corners, one face after the other.
        sizes: (F,) corners per face.

    Raises:
        FileProblem: there are too many triangles, a coordinate is not finite or too large, or no face is left.
    """
    vertices = np.asarray(vertices, np.float64)
    corners, sizes = np.asarray(corners, np.int64), np.asarray(sizes, np.int64)
    check_count(int(np.maximum(sizes - 2, 0).sum()), name)
    far = np.flatnonzero(~(np.abs(vertices) <= _FARTHEST).all(axis=1))
    if len(far):
        found = ", ".join(f"{value:g}" for value in vertices[far[0]])
        expected = f"coordinates between -{_FARTHEST:g} and {_FARTHEST:g}"
        raise FileProblem(f"{name} vertex {far[0] + 1}", expected, found)
    # Compared in single precision, as Blender stores vertices; adding 0 turns -0 into 0.
    places = vertices.astype(np.float32) + np.float32(0.0)
    order = np.lexsort(places.T)
    ordered = places[order]
    fresh = np.ones(len(ordered), bool)
    fresh[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    number = np.empty(len(order), np.int64)
    number[order] = np.cumsum(fresh) - 1
    welded, corners = ordered[fresh], number[corners]
    corners, sizes = _without_doubled_corners(corners, sizes)
    if not len(sizes):
        raise FileProblem(name, "at least one face with three different corners", "none")
    used, corners = np.unique(corners, return_inverse=True)
    return Mesh(
        welded[used].astype(np.float64),
        corners.reshape(-1).astype(np.int32),
        sizes.astype(np.int32),
        np.zeros(len(sizes), bool),
    )


def _following(sizes: np.ndarray) -> np.ndarray:
    """For each corner, the index of the next corner round the same face."""
    ends = np.cumsum(sizes)
    following = np.arange(1, int(ends[-1]) + 1 if len(ends) else 1)
    following[ends - 1] = ends - sizes
    return following


def _without_doubled_corners(corners: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces without corners that repeat the one before, and without faces that then have less than three."""
    corners, sizes = corners[np.repeat(sizes > 0, sizes)], sizes[sizes > 0]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    kept = corners != corners[_following(sizes)]
    left = np.bincount(owner[kept], minlength=len(sizes))
    kept &= (left >= 3)[owner]
    return corners[kept], left[left >= 3]


def smoothed(mesh: Mesh, angle_deg: float = SMOOTH_DEG) -> Mesh:
    """Shade a mesh smooth across edges at which two faces meet at a small angle; other edges stay sharp.

    An edge is smooth if exactly two faces with consistent orientation share it and the angle between their normals is
    below `angle_deg`. Of the faces round a vertex, those connected by smooth edges share one copy of it.

    Args:
        mesh: a mesh that `weld` returned.
        angle_deg: largest angle between the normals at a smooth edge; 0 keeps all faces flat.
    """
    if angle_deg <= 0.0:
        return mesh
    corners, sizes = mesh.corners.astype(np.int64), mesh.sizes
    owner = np.repeat(np.arange(len(sizes)), sizes)
    following = _following(sizes)
    normals = _normals(mesh, owner, following)
    start, end = corners, corners[following]
    keys = np.minimum(start, end) * len(mesh.vertices) + np.maximum(start, end)
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    edge = np.flatnonzero(np.diff(ordered, prepend=-1))
    pairs = edge[np.diff(edge, append=len(ordered)) == 2]
    one, other = order[pairs], order[pairs + 1]
    cosine = np.einsum("ij,ij->i", normals[owner[one]], normals[owner[other]])
    smooth = (start[one] != start[other]) & (cosine > math.cos(math.radians(angle_deg)))
    one, other = one[smooth], other[smooth]
    # If two faces are wound alike, their common edge runs one way in one face and back in the other.
    groups = _connected(len(corners), np.concatenate([one, following[one]]), np.concatenate([following[other], other]))
    first, split = np.unique(groups, return_inverse=True)
    rounded = np.zeros(len(sizes), bool)
    rounded[owner[one]] = rounded[owner[other]] = True
    return Mesh(mesh.vertices[corners[first]], split.reshape(-1).astype(np.int32), mesh.sizes, rounded)


def _normals(mesh: Mesh, owner: np.ndarray, following: np.ndarray) -> np.ndarray:
    """Unit normals of the faces (F, 3), by Newell's sum over their edges; 0 for a face without area."""
    # About each face's first corner: far from the origin the sum would lose its digits.
    points = mesh.vertices[mesh.corners] - mesh.vertices[mesh.corners[mesh.starts]][owner]
    edges = np.cross(points, points[following])
    sums = np.stack([np.bincount(owner, edges[:, axis], len(mesh.sizes)) for axis in range(3)], axis=1)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return sums / np.where(lengths > 0.0, lengths, 1.0)


def _connected(count: int, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each of `count` items the smallest item connected to it; each pair one[i], other[i] is connected."""
    label = np.arange(count)
    while True:
        low, high = np.minimum(label[one], label[other]), np.maximum(label[one], label[other])
        open_ = low < high
        if not open_.any():
            return label
        np.minimum.at(label, high[open_], low[open_])
        while True:
            shorter = label[label]
            if np.array_equal(shorter, label):
                break
            label = shorter


def placed(mesh: Mesh, placement: CadPlacement, name: str) -> Mesh:
    """Convert a mesh from the units and axes of its file to those of the part.

    If that mirrors the mesh, the order of the faces' corners is reversed, so that their outer sides stay outside.

    Args:
        mesh: the mesh in units of the file.
        placement: scale, axes and shift.
        name: the file's name, for messages.

    Raises:
        FileProblem: the largest side of the mesh is not within SMALLEST_MM to LARGEST_MM.
    """
    columns = [sign * mesh.vertices[:, axis] for axis, sign in placement.axes]
    vertices = placement.unit_mm * np.column_stack(columns)
    extent = np.ptp(vertices, axis=0)
    if not SMALLEST_MM <= extent.max() <= LARGEST_MM:
        found = " x ".join(f"{size:.4g}" for size in extent)
        expected = f"a mesh {SMALLEST_MM:g} to {LARGEST_MM:g} mm long with unit_mm = {placement.unit_mm:g}"
        raise FileProblem(name, expected, f"{found} mm")
    vertices += np.array(placement.offset_mm)
    if mirrors(placement):
        corners = _turned_round(mesh.corners, mesh.sizes)
        return Mesh(vertices, corners, mesh.sizes, mesh.smooth)
    return mesh._replace(vertices=vertices)


def mirrors(placement: CadPlacement) -> bool:
    """Whether a placement mirrors the mesh: whether it exchanges or reverses an odd number of axes."""
    matrix = np.zeros((3, 3))
    for row, (axis, sign) in enumerate(placement.axes):
        matrix[row, axis] = sign
    return bool(np.linalg.det(matrix) < 0.0)


def _turned_round(corners: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The same faces with their corners in the opposite order."""
    ends = np.cumsum(sizes)
    starts = ends - sizes
    mirrored = np.repeat(starts + ends - 1, sizes) - np.arange(len(corners))
    return np.ascontiguousarray(corners[mirrored])
