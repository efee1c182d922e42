"""Meshes: closed where they should be, turned outwards, and where the truth is computed to be."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_scripts import geometry
from blender_scripts.connector import Block, Cavity, Terminal, read_connector
from blender_scripts.defects import parse_defects
from blender_scripts.mesh import Mesh, join
from blender_scripts.placement import STRAIGHT, Bend, place_pins

CONNECTOR = read_connector(Path(__file__).resolve().parents[2] / "scenes" / "connector_3x9.toml")
TERMINALS = list(CONNECTOR.terminals.values())
BENDS = [
    STRAIGHT,
    Bend(math.radians(12), 0.0, 0.3, 1.8),
    Bend(math.radians(60), math.radians(200), 0.3, 1.8),
    Bend(math.radians(35), math.radians(90), 2.0, 10.0),
    Bend(math.radians(25), math.radians(300), 5.9, 0.4),
]
steady = settings(derandomize=True, deadline=None, database=None, max_examples=80)

terminals = st.builds(
    Terminal,
    name=st.just("t"),
    section=st.sampled_from(["round", "square"]),
    width_mm=st.floats(0.05, 3.0),
    standing_mm=st.floats(3.0, 30.0),
    tip_mm=st.floats(0.1, 2.9),
    tip_share=st.floats(0.05, 1.0),
    color=st.just((0.5, 0.5, 0.5)),
    roughness=st.just(0.3),
)
tilts = st.one_of(st.just(0.0), st.floats(0.1, 60.0))


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


@pytest.mark.parametrize("bend", BENDS, ids=[f"{math.degrees(b.angle_rad):.0f} deg" for b in BENDS])
@pytest.mark.parametrize("terminal", TERMINALS, ids=lambda terminal: terminal.name)
def test_a_pin(terminal: Terminal, bend: Bend) -> None:
    mesh = geometry.pin_mesh(terminal, bend)
    count = geometry.sides(terminal)
    assert_sound(mesh, borders=count)
    # The measured tip is a vertex, the last one, and the rings' middles are on the centre line.
    assert mesh.vertices[-1] == pytest.approx(bend.point(terminal.standing_mm))
    rings = mesh.vertices[:-1].reshape(-1, count, 3)
    assert rings[0].mean(axis=0) == pytest.approx((0.0, 0.0, -geometry.BURIED_MM))
    alongs = np.linspace(0.0, terminal.standing_mm, 6301)
    line = np.array([bend.point(s) for s in alongs])
    last = -1
    for ring in rings[1:]:
        middle = ring.mean(axis=0)
        distances = np.linalg.norm(line - middle, axis=1)
        nearest = int(distances.argmin())
        assert distances[nearest] < 1e-3
        # From the floor upwards, each across the line.
        assert nearest >= last
        last = nearest
        tilt = bend.tilt_rad(alongs[nearest])
        tangent = [
            math.sin(tilt) * math.cos(bend.azimuth_rad),
            math.sin(tilt) * math.sin(bend.azimuth_rad),
            math.cos(tilt),
        ]
        assert np.abs((ring - middle) @ tangent).max() < 2e-3
        assert np.linalg.norm(ring - middle, axis=1).max() <= terminal.reach_mm + 1e-9
    # The first ring that stands on the floor is the second: truth.py takes what is above as what can be seen.
    assert rings[1].mean(axis=0) == pytest.approx((0.0, 0.0, 0.0))


@pytest.mark.parametrize("bend", BENDS, ids=[f"{math.degrees(b.angle_rad):.0f} deg" for b in BENDS])
@pytest.mark.parametrize("terminal", TERMINALS, ids=lambda terminal: terminal.name)
def test_a_pin_looks_outwards_and_a_bend_keeps_its_volume(terminal: Terminal, bend: Bend) -> None:
    mesh = geometry.pin_mesh(terminal, bend)
    count = geometry.sides(terminal)
    found = volume(closed(mesh, count))
    straight = volume(closed(geometry.pin_mesh(terminal), count))
    section = np.linalg.norm(area_vector(mesh.vertices[:count]))
    length = terminal.standing_mm + geometry.BURIED_MM
    assert section * (length - terminal.tip_mm) < straight < section * length
    # Pappus: a section moved square to its centre line sweeps area times length, bent or not; the tip is no such body.
    assert found == pytest.approx(straight, rel=0.01)
    # Seen from inside: a face's nearest point of the centre line, which ends a little below the tip.
    end = terminal.standing_mm - 0.3 * terminal.tip_mm
    line = np.array([bend.point(s) for s in np.linspace(0.0, end, 2000)])
    line = np.concatenate([np.column_stack([np.zeros((200, 2)), np.linspace(-0.5, 0.0, 200)]), line])
    for face in mesh.faces:
        points = corners(mesh, face)
        middle = points.mean(axis=0)
        outwards = middle - line[np.linalg.norm(line - middle, axis=1).argmin()]
        assert area_vector(points) @ outwards > 0.0


def test_a_kink_is_a_bend_too() -> None:
    for terminal in TERMINALS:
        bend = Bend(math.radians(30), 0.0, 2.0, 0.0)
        mesh = geometry.pin_mesh(terminal, bend)
        assert_sound(mesh, borders=geometry.sides(terminal))
        assert mesh.vertices[-1] == pytest.approx(bend.point(terminal.standing_mm))
        assert volume(closed(mesh, geometry.sides(terminal))) > 0.0


@steady
@given(terminals, tilts, st.floats(0.0, 360.0), st.floats(0.0, 2.9), st.floats(0.0, 30.0))
def test_any_pin_a_scene_may_have(
    terminal: Terminal, tilt: float, azimuth: float, start: float, curve: float
) -> None:
    curve = min(max(curve, 1.5 * terminal.width_mm), terminal.standing_mm - start)
    bend = Bend(math.radians(tilt), math.radians(azimuth), start, curve)
    mesh = geometry.pin_mesh(terminal, bend)
    count = geometry.sides(terminal)
    assert np.all(np.isfinite(mesh.vertices)) and len(mesh.faces) == len(mesh.smooth)
    assert mesh.vertices[-1] == pytest.approx(bend.point(terminal.standing_mm), abs=1e-9)
    assert volume(closed(mesh, count)) > 0.0
    assert len(mesh.vertices) < 3000


def test_the_rendered_tip_is_the_measured_one() -> None:
    defects = parse_defects("bent@r2c5:tilt_deg=23,azimuth_deg=130;retracted@r1c1")[0]
    for pin in place_pins(CONNECTOR, "square", 4, defects):
        local = geometry.pin_mesh(pin.terminal, pin.bend).vertices[-1]
        assert np.array(pin.rotation) @ local + pin.root_mm == pytest.approx(pin.tip_mm)


def test_the_shell() -> None:
    shell = CONNECTOR.shell
    mesh = geometry.shell_mesh(shell)
    count = 36
    assert_sound(mesh, borders=2 * count)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert high == pytest.approx([0.5 * shell.outer_mm[0], 0.5 * shell.outer_mm[1], 0.0])
    assert low == pytest.approx([-0.5 * shell.outer_mm[0], -0.5 * shell.outer_mm[1], -shell.height_mm])
    inside = mesh.vertices[-count:]
    assert inside[:, :2].max(axis=0) == pytest.approx([0.5 * side for side in shell.opening_mm])
    assert np.all(inside[:, 2] < -shell.depth_mm)
    middle = 0.5 * (np.array(shell.opening_mm) + shell.wall_mm)
    for face in mesh.faces:
        points = corners(mesh, face)
        normal, place = area_vector(points), points.mean(axis=0)
        if np.ptp(points[:, 2]) < 1e-9:
            assert normal[2] > 0.0 and place[2] == pytest.approx(0.0)
            continue
        outside = np.any(np.abs(place[:2]) > middle)
        assert (normal[:2] @ place[:2] > 0.0) == outside
        assert normal[2] > -1e-9
    # A lid below the ring inside and one below all of it make a solid.
    last = len(mesh.vertices) // count - 1
    lid = tuple(last * count + i for i in range(count))
    solid = volume(closed(Mesh.of(mesh.vertices, [*mesh.faces, lid], [*mesh.smooth, False]), count))
    rounded = (4.0 - math.pi) * np.array([shell.corner_mm + shell.wall_mm, shell.corner_mm]) ** 2
    outer, opening = np.array([np.prod(shell.outer_mm), np.prod(shell.opening_mm)]) - rounded
    assert solid == pytest.approx(outer * shell.height_mm - opening * (shell.depth_mm + 0.3), rel=0.01)


@pytest.mark.parametrize(
    "block", [*CONNECTOR.housings["ribbed"].blocks[::9], Block((3.0, -2.0), (1.0, 2.0), -5.0, 3.0, 0.4)]
)
def test_a_block(block: Block) -> None:
    mesh = geometry.block_mesh(block)
    assert_sound(mesh, borders=36)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert high == pytest.approx(
        [c + 0.5 * s for c, s in zip(block.center_mm, block.size_mm, strict=True)] + [block.top_mm]
    )
    assert low == pytest.approx(
        [c - 0.5 * s for c, s in zip(block.center_mm, block.size_mm, strict=True)] + [block.bottom_mm]
    )
    box = np.prod(block.size_mm) * (block.top_mm - block.bottom_mm)
    assert 0.75 * box < volume(closed(mesh, 36)) < box
    top = max(mesh.faces, key=lambda face: corners(mesh, face)[:, 2].mean())
    assert area_vector(corners(mesh, top))[2] > 0.0


@pytest.mark.parametrize("terminal", TERMINALS, ids=lambda terminal: terminal.name)
@pytest.mark.parametrize("chamfer", [0.0, 0.22])
def test_a_cavity_is_seen_from_inside(terminal: Terminal, chamfer: float) -> None:
    cavity = replace(CONNECTOR.cavity, chamfer_mm=chamfer)
    mesh = geometry.cavity_mesh(terminal, cavity)
    count = len(geometry.cavity_outline(terminal, cavity, 0.0))
    assert_sound(mesh, borders=count)
    assert mesh.vertices[:, 2].max() == pytest.approx(0.0)
    assert mesh.vertices[:, 2].min() == pytest.approx(-cavity.depth_mm)
    for face in mesh.faces:
        points = corners(mesh, face)
        normal, place = area_vector(points), points.mean(axis=0)
        if np.ptp(points[:, 2]) < 1e-9:
            assert normal[2] > 0.0
        else:
            assert normal[:2] @ place[:2] < 0.0
    # The mouth is where the floor's hole is cut.
    mouth = geometry.cavity_outline(terminal, cavity, cavity.chamfer_mm)
    top = mesh.vertices[np.isclose(mesh.vertices[:, 2], -0.0 if chamfer else -chamfer)]
    assert {tuple(np.round(p, 9)) for p in top[:, :2]} == {tuple(np.round(p, 9)) for p in mouth}


@steady
@given(terminals, st.floats(0.01, 1.0), st.floats(0.0, 1.0))
def test_a_cavity_is_larger_than_its_pin_all_round(
    terminal: Terminal, clearance: float, chamfer: float
) -> None:
    cavity = Cavity(clearance, 5.0, chamfer)
    pin = geometry.pin_mesh(terminal).vertices[: geometry.sides(terminal), :2]
    for extra in (0.0, chamfer):
        outline = geometry.cavity_outline(terminal, cavity, extra)
        sides = np.roll(outline, -1, axis=0) - outline
        normals = np.stack([sides[:, 1], -sides[:, 0]], axis=1) / np.linalg.norm(sides, axis=1)[:, None]
        # Distance of every vertex of the pin behind every side of the hole; a 28-gon is a little inside its circle.
        room = np.einsum("sk,sk->s", normals, outline)[:, None] - normals @ pin.T
        assert room.min() >= (clearance + extra) * 0.99 - 1e-9 or terminal.section == "square"
        assert room.min() > 0.0
        twice = outline[:, 0] * np.roll(outline[:, 1], -1) - outline[:, 1] * np.roll(outline[:, 0], -1)
        assert twice.sum() > 0.0


def test_print_lies_on_the_mating_face_and_faces_the_viewer() -> None:
    shell, marking = CONNECTOR.shell, CONNECTOR.marking
    for wanted in ("numbers", "text=Quality", "text=No.27 +/-_"):
        mesh = geometry.print_mesh(marking, wanted, CONNECTOR.positions)
        assert mesh is not None and len(mesh.faces) == len(mesh.smooth)
        assert np.all((mesh.vertices[:, 2] > 0.0) & (mesh.vertices[:, 2] < 0.05))
        assert np.all(np.abs(mesh.vertices[:, :2]) < 0.5 * np.array(shell.outer_mm))
        for face in mesh.faces:
            points = corners(mesh, face)
            assert area_vector(points)[2] > 0.0
            assert np.ptp(points[:, 2]) == 0.0
    assert geometry.print_mesh(marking, "none", CONNECTOR.positions) is None


def test_numbers_stand_at_every_row_and_position() -> None:
    marking = CONNECTOR.marking
    mesh = geometry.print_mesh(marking, "numbers", CONNECTOR.positions)
    near = 0.5 * marking.height_mm + 0.01
    for position in CONNECTOR.positions:
        for x, y in (
            (marking.row_numbers_x_mm, position.y_mm),
            (position.x_mm, marking.position_numbers_y_mm),
        ):
            here = np.all(np.abs(mesh.vertices[:, :2] - [x, y]) <= near, axis=1)
            assert here.any()
            # Centred on its place, and as high as the marking says.
            assert mesh.vertices[here, 1].max() - y == pytest.approx(0.5 * marking.height_mm, abs=0.02)


def test_joined_meshes_keep_their_faces() -> None:
    parts = [geometry.block_mesh(block) for block in CONNECTOR.housings["ribbed"].blocks[:3]]
    whole = join(parts)
    assert len(whole.vertices) == sum(len(part.vertices) for part in parts)
    start = faces = 0
    for part in parts:
        for number, face in enumerate(part.faces):
            assert whole.vertices[list(whole.faces[faces + number])] == pytest.approx(corners(part, face))
        start, faces = start + len(part.vertices), faces + len(part.faces)
    assert len(whole.faces) == faces == len(whole.smooth)


def test_the_floor_reaches_into_the_walls_and_no_further() -> None:
    shell = CONNECTOR.shell
    outline = geometry.floor_outline(shell)
    half = outline.max(axis=0)
    assert np.all(half > 0.5 * np.array(shell.opening_mm)) and np.all(half < 0.5 * np.array(shell.outer_mm))
