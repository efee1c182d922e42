"""Welding, smoothing and placing: each property against its plain definition."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_scripts.contract.cad_file import CadPlacement, FileProblem, parse_axes
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.geometry.welding import placed, smoothed, weld
from tests.blender_scripts.geometry.mesh_bytes import CUBE, SIDES
from tests.blender_scripts.geometry.test_mesh_files import volume
from tests.soak import times

CUBE_MESH = Mesh.of(CUBE, SIDES)


def tube(sides: int, capped: bool = False) -> Mesh:
    angles = 2 * np.pi * np.arange(sides) / sides
    rings = [np.column_stack([np.cos(angles), np.sin(angles), np.full(sides, z)]) for z in (0.0, 3.0)]
    faces = [(i, (i + 1) % sides, sides + (i + 1) % sides, sides + i) for i in range(sides)]
    if capped:
        faces += [tuple(range(sides, 2 * sides)), tuple(range(sides))[::-1]]
    return Mesh.of(np.concatenate(rings), faces)


def test_faces_without_area_and_vertices_without_face_go() -> None:
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [9, 9, 9], [1, 0, -0.0]], float)
    faces = [(0, 1, 2, 3), (0, 1, 5), (1, 5, 2), (0, 1, 5, 2), (0, 0, 0)]
    mesh = weld("a", vertices, [i for f in faces for i in f], [len(f) for f in faces])
    assert len(mesh.vertices) == 4
    assert [mesh.vertices[list(face)].tolist() for face in mesh.faces] == [
        vertices[[0, 1, 2, 3]].tolist(),
        vertices[[0, 1, 2]].tolist(),
    ]


def test_a_cube_stays_sharp_with_corners_of_its_own() -> None:
    mesh = smoothed(CUBE_MESH)
    assert not mesh.smooth.any() and len(mesh.vertices) == 24
    assert volume(mesh) == pytest.approx(1.0)


def test_a_tube_is_smooth_round_and_sharp_at_its_ends() -> None:
    mesh = smoothed(tube(24, capped=True))
    assert mesh.smooth.tolist() == [True] * 24 + [False] * 2
    assert len(mesh.vertices) == 4 * 24
    assert [len(face) for face in mesh.faces] == [4] * 24 + [24] * 2
    # A hexagon's edges are sharper than 30 degrees.
    assert not smoothed(tube(6)).smooth.any()
    assert smoothed(tube(6), 61.0).smooth.all()
    assert not smoothed(tube(24), 0.0).smooth.any()


def test_an_edge_between_faces_wound_against_each_other_is_sharp() -> None:
    flat = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    assert smoothed(Mesh.of(flat, [(0, 1, 2), (0, 2, 3)])).smooth.all()
    assert not smoothed(Mesh.of(flat, [(0, 1, 2), (0, 3, 2)])).smooth.any()


@given(st.integers(0, 10_000), st.floats(5.0, 80.0))
@settings(max_examples=times(40))
def test_smoothing_moves_nothing_and_groups_are_those_of_a_walk(seed: int, angle: float) -> None:
    """Compared with a walk from face to face round each vertex, on a bumpy grid."""
    source = np.random.default_rng(seed)
    size = 5
    grid = np.array([[x, y, source.normal(0, 0.35)] for x in range(size) for y in range(size)], float)
    faces = []
    for x in range(size - 1):
        for y in range(size - 1):
            a, b, c, d = size * x + y, size * (x + 1) + y, size * (x + 1) + y + 1, size * x + y + 1
            faces += [(a, b, c), (a, c, d)] if source.random() < 0.7 else [(a, b, c, d)]
    mesh = Mesh.of(grid, faces)
    split = smoothed(mesh, angle)
    assert split.vertices[split.corners].tolist() == mesh.vertices[mesh.corners].tolist()

    def normal(face: tuple[int, ...]) -> np.ndarray:
        points = grid[list(face)]
        total = sum(np.cross(points[i] - points[0], points[i + 1] - points[0]) for i in range(1, len(face) - 1))
        return total / np.linalg.norm(total)

    def edges(face: tuple[int, ...]) -> set[frozenset[int]]:
        return {frozenset((face[i - 1], face[i])) for i in range(len(face))}

    normals = [normal(face) for face in faces]
    for vertex in range(len(grid)):
        around = [f for f, face in enumerate(faces) if vertex in face]
        group = {f: {f} for f in around}
        for f in around:
            for g in around:
                shared = [e for e in edges(faces[f]) & edges(faces[g]) if vertex in e]
                if f != g and shared and normals[f] @ normals[g] > math.cos(math.radians(angle)):
                    union = group[f] | group[g]
                    for member in union:
                        group[member] = union
        for f in around:
            for g in around:
                mine = split.faces[f][faces[f].index(vertex)]
                its = split.faces[g][faces[g].index(vertex)]
                assert (mine == its) == (g in group[f])


def test_axes_units_and_offset() -> None:
    axes = parse_axes("x,-z,y")
    assert axes is not None
    mesh = placed(Mesh.of(CUBE * [1, 2, 3], SIDES), CadPlacement(10.0, axes, (1.0, 2.0, 3.0)), "a")
    assert mesh.vertices.min(axis=0).tolist() == [1, 2 - 30, 3]
    assert mesh.vertices.max(axis=0).tolist() == [11, 2, 23]
    assert volume(mesh) == pytest.approx(6000.0)


@pytest.mark.parametrize("signs", ["", "-"])
@pytest.mark.parametrize("order", ["xyz", "xzy", "yxz", "yzx", "zxy", "zyx"])
def test_outside_stays_outside_whatever_the_axes(order: str, signs: str) -> None:
    axes = parse_axes(", ".join(signs + axis for axis in order))
    assert axes is not None
    mesh = placed(smoothed(tube(24, capped=True)), CadPlacement(2.0, axes), "a")
    assert volume(mesh) == pytest.approx(8.0 * volume(tube(24, capped=True)))


@pytest.mark.parametrize(
    "text", ["", "x,y", "x,y,y", "x,y,w", "x y z", "--x,y,z", "X,Y,Z", "x,y,z,x", "+x,,z", "1,2,3"]
)
def test_wrong_axes(text: str) -> None:
    assert parse_axes(text) is None


@pytest.mark.parametrize("unit", [0.001, 5000.0])
def test_a_wrong_unit_is_refused_with_the_size_it_gives(unit: float) -> None:
    with pytest.raises(FileProblem, match=r"^h\.stl: expected a mesh 0\.5 to 1000 mm long with unit_mm = "):
        placed(CUBE_MESH, CadPlacement(unit), "h.stl")
