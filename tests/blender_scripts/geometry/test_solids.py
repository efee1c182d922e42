"""Meshes: closed, faces outwards, and at the place that the truth is computed from."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.contour import Contour
from blender_scripts.contract.housings import Block, Cavity, Notch, Shell
from blender_scripts.contract.terminals import Terminal
from blender_scripts.geometry import solids
from blender_scripts.geometry.mesh import Mesh, join
from blender_scripts.geometry.pin import BURIED_MM, STRAIGHT, Bend, Form
from blender_scripts.manifest.defects import parse_defects
from blender_scripts.manifest.make_part import print_items
from blender_scripts.manifest.placement import place_pins
from tests.blender_scripts.geometry.meshes import (
    area_vector,
    assert_sound,
    assert_sound_but_slivers,
    closed,
    corners,
    height_at,
    volume,
)
from tests.soak import times

CONNECTOR = read_connector(Path(__file__).resolve().parents[3] / "scenes" / "connector_3x9.toml")
TERMINALS = list(CONNECTOR.terminals.values())
BENDS = [
    STRAIGHT,
    Bend.single(math.radians(12), 0.0, 0.3, 1.8),
    Bend.single(math.radians(60), math.radians(200), 0.3, 1.8),
    Bend.single(math.radians(35), math.radians(90), 2.0, 10.0),
    Bend.single(math.radians(25), math.radians(300), 5.9, 0.4),
    Bend(math.radians(40), 0.5, ((1.0, 0.6), (2.0, -1.2), (1.0, 0.6))),
]
terminals = st.builds(
    Terminal,
    name=st.just("t"),
    section=st.sampled_from(["round", "square", "blade"]),
    width_mm=st.floats(0.05, 3.0),
    thickness_mm=st.floats(0.05, 3.0),
    standing_mm=st.floats(3.0, 30.0),
    tip_mm=st.floats(0.1, 2.9),
    tip_share=st.floats(0.05, 1.0),
    turn_deg=st.floats(-360.0, 360.0),
    color=st.just((0.5, 0.5, 0.5)),
    roughness=st.just(0.3),
).map(lambda t: t if t.section == "blade" else replace(t, thickness_mm=t.width_mm))
tilts = st.one_of(st.just(0.0), st.floats(0.1, 60.0))


@pytest.mark.parametrize("bend", BENDS, ids=[f"{math.degrees(b.turning_rad):.0f} deg" for b in BENDS])
@pytest.mark.parametrize("terminal", TERMINALS, ids=lambda terminal: terminal.name)
def test_a_pin(terminal: Terminal, bend: Bend) -> None:
    mesh = solids.pin_mesh(Form(terminal, bend))
    count = solids.sides(terminal)
    assert_sound(mesh, borders=count)
    # The measured tip is a vertex, the last one, and the rings' middles are on the centre line.
    assert mesh.vertices[-1] == pytest.approx(bend.point(terminal.standing_mm))
    rings = mesh.vertices[:-1].reshape(-1, count, 3)
    assert rings[0].mean(axis=0) == pytest.approx((0.0, 0.0, -BURIED_MM))
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
    # The second ring is at the floor: surfaces.py counts the pin from there.
    assert rings[1].mean(axis=0) == pytest.approx((0.0, 0.0, 0.0))


@pytest.mark.parametrize("bend", BENDS, ids=[f"{math.degrees(b.turning_rad):.0f} deg" for b in BENDS])
@pytest.mark.parametrize("terminal", TERMINALS, ids=lambda terminal: terminal.name)
def test_a_pin_looks_outwards_and_a_bend_keeps_its_volume(terminal: Terminal, bend: Bend) -> None:
    mesh = solids.pin_mesh(Form(terminal, bend))
    count = solids.sides(terminal)
    found = volume(closed(mesh, count))
    straight = volume(closed(solids.pin_mesh(Form(terminal)), count))
    section = np.linalg.norm(area_vector(mesh.vertices[:count]))
    length = terminal.standing_mm + BURIED_MM
    assert section * (length - terminal.tip_mm) < straight < section * length
    # Pappus: a section moved perpendicular to its centre line sweeps area times length; the tip is excluded.
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
        bend = Bend.single(math.radians(30), 0.0, 2.0, 0.0)
        mesh = solids.pin_mesh(Form(terminal, bend))
        assert_sound(mesh, borders=solids.sides(terminal))
        assert mesh.vertices[-1] == pytest.approx(bend.point(terminal.standing_mm))
        assert volume(closed(mesh, solids.sides(terminal))) > 0.0


@settings(max_examples=times(80))
@given(terminals, tilts, st.floats(0.0, 360.0), st.floats(0.0, 2.9), st.floats(0.0, 30.0))
def test_any_pin_a_scene_may_have(terminal: Terminal, tilt: float, azimuth: float, start: float, curve: float) -> None:
    curve = min(max(curve, 1.5 * terminal.width_mm), terminal.standing_mm - start)
    bend = Bend.single(math.radians(tilt), math.radians(azimuth), start, curve)
    mesh = solids.pin_mesh(Form(terminal, bend))
    count = solids.sides(terminal)
    assert np.all(np.isfinite(mesh.vertices)) and len(mesh.faces) == len(mesh.smooth)
    assert mesh.vertices[-1] == pytest.approx(bend.point(terminal.standing_mm), abs=1e-9)
    assert volume(closed(mesh, count)) > 0.0
    assert len(mesh.vertices) < 3000


def test_the_rendered_tip_is_the_measured_one() -> None:
    defects = parse_defects("bent@r2c5:tilt_deg=23,azimuth_deg=130;retracted@r1c1")[0]
    for pin in place_pins(CONNECTOR, "square", 4, defects):
        local = solids.pin_mesh(pin.form).vertices[-1]
        assert np.array(pin.rotation) @ local + pin.root_mm == pytest.approx(pin.tip_mm)


SHELLS = {
    "rectangle": CONNECTOR.shell,
    "d": replace(CONNECTOR.shell, opening=Contour.d_shape((24.0, 9.0), 2.0, 10.0)),
    "circle": replace(CONNECTOR.shell, opening=Contour.circle(13.4)),
    "thick_right": replace(CONNECTOR.shell, thicker_mm=(0.0, 3.0, 0.0, 1.0)),
    "thick_d": Shell(Contour.d_shape((24.0, 9.0), 2.0, 10.0), 1.2, 3.0, 6.0, 0.3, (0.5, 2.0, 0.0, 1.0)),
    "narrow": Shell(Contour.rectangle((12.0, 3.0), 0.2), 0.5, 3.0, 6.0, 0.3),
}
PLAIN = CONNECTOR.housings["plain"]


def area_of(contour: Contour) -> float:
    """Steiner's formula: the polygon, its edges moved outwards, and a whole circle at its corners."""
    points = np.array(contour.corners)
    x, y = points.T
    polygon = 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))
    edges = np.linalg.norm(np.roll(points, -1, axis=0) - points, axis=1).sum()
    return polygon + edges * contour.radius_mm + math.pi * contour.radius_mm**2


@pytest.mark.parametrize("lead_in", [0.0, 0.15])
@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_the_shell(shell: Shell, lead_in: float) -> None:
    mesh = solids.shell_mesh(shell, replace(PLAIN, fillet_mm=shell.fillet_mm, lead_in_mm=lead_in))
    count = len(shell.opening.points)
    assert_sound(mesh, borders=2 * count)
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    (left, lower), (right, upper) = shell.outside.bounds
    # The facets of a round corner lie a little inside it.
    assert high == pytest.approx([right, upper, 0.0], abs=0.05)
    assert low == pytest.approx([left, lower, -shell.height_mm], abs=0.05)
    inside = mesh.vertices[-count:]
    assert [shell.opening.distance(x, y) for x, y, _ in inside] == pytest.approx([0.0] * count, abs=1e-9)
    outside = mesh.vertices[:count]
    assert [shell.outside.distance(x, y) for x, y, _ in outside] == pytest.approx([0.0] * count, abs=1e-9)
    assert np.all(inside[:, 2] < -shell.depth_mm)
    for face in mesh.faces:
        points = corners(mesh, face)
        normal, place = area_vector(points), points.mean(axis=0)
        if np.ptp(points[:, 2]) < 1e-9:
            assert normal[2] > 0.0 and place[2] == pytest.approx(0.0)
            continue
        away = 1e-3 * normal[:2] / np.linalg.norm(normal[:2])
        outwards = shell.opening.distance(*(place[:2] + away)) > shell.opening.distance(*place[:2])
        assert outwards == (shell.opening.distance(*place[:2]) > 0.5 * shell.wall_mm)
        assert normal[2] > -1e-9
    # A lid below the ring inside and one below all of it make a solid.
    last = len(mesh.vertices) // count - 1
    lid = tuple(last * count + i for i in range(count))
    solid = volume(closed(Mesh.of(mesh.vertices, [*mesh.faces, lid], [*mesh.smooth, False]), count))
    expected = area_of(shell.outside) * shell.height_mm - area_of(shell.opening) * (shell.depth_mm + 0.3)
    assert solid == pytest.approx(expected, rel=0.03 if shell.wall_mm < 1.0 else 0.015)


def rim(shell: Shell, mesh: Mesh, azimuth: float) -> float:
    """Height of the wall's top over the middle of the wall in a direction."""
    point = shell.opening.point_at(shell.opening.towards(azimuth))
    return height_at(mesh, *point.at(shell.opening.radius_mm + 0.5 * shell.wall_mm))


@pytest.mark.parametrize("shell", SHELLS.values(), ids=SHELLS)
def test_notches_lower_the_rim_by_their_depth(shell: Shell) -> None:
    notches = (Notch(270.0, 2.0, 2.4), Notch(40.0, 1.0, 0.6))
    mesh = solids.shell_mesh(shell, replace(PLAIN, notches=notches))
    assert_sound_but_slivers(mesh, borders=2 * (len(mesh.vertices) // rings_of(shell)))
    assert rim(shell, mesh, 270.0) == pytest.approx(-2.4, abs=1e-5)
    assert rim(shell, mesh, 40.0) == pytest.approx(-0.6, abs=1e-5)
    for azimuth in (0.0, 90.0, 180.0):
        assert rim(shell, mesh, azimuth) == pytest.approx(0.0, abs=1e-5)
    # As wide as it should be: half of it is free on both sides of its middle.
    middle = shell.opening.towards(270.0)
    for aside, height in ((0.98, -2.4), (-0.98, -2.4), (1.02, 0.0), (-1.02, 0.0)):
        x, y = shell.opening.point_at(middle + aside).at(shell.opening.radius_mm)
        azimuth = math.degrees(math.atan2(y - shell.opening.middle[1], x - shell.opening.middle[0]))
        assert rim(shell, mesh, azimuth) == pytest.approx(height, abs=1e-5)


def rings_of(shell: Shell) -> int:
    return len(solids.shell_mesh(shell, PLAIN).vertices) // len(shell.opening.points)


BLOCKS = {
    "ribs": CONNECTOR.housings["ribbed"].blocks[0],
    "ridge": CONNECTOR.housings["ribbed"].blocks[-1],
    "cube": Block(Contour.rectangle((1.0, 2.0), 0.4, (3.0, -2.0)), -5.0, 3.0, 0.4),
    "turned": Block(Contour.rectangle((3.0, 2.0), 0.5, (3.0, -2.0), 30.0), -5.0, 3.0, 0.4),
    "round": Block(Contour.circle(2.2, (-1.0, 2.0)), -5.0, 3.0, 0.3),
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_block(block: Block) -> None:
    mesh = solids.block_mesh(block)
    count = len(block.contour.points)
    assert_sound(mesh, borders=count)
    (left, lower), (right, upper) = block.contour.bounds
    assert mesh.vertices.max(axis=0) == pytest.approx([right, upper, block.top_mm], abs=0.02)
    assert mesh.vertices.min(axis=0) == pytest.approx([left, lower, block.bottom_mm], abs=0.02)
    box = area_of(block.contour) * (block.top_mm - block.bottom_mm)
    assert 0.75 * box < volume(closed(mesh, count)) < box
    top = max(mesh.faces, key=lambda face: corners(mesh, face)[:, 2].mean())
    assert area_vector(corners(mesh, top))[2] > 0.0


@pytest.mark.parametrize("terminal", TERMINALS, ids=lambda terminal: terminal.name)
@pytest.mark.parametrize("chamfer", [0.0, 0.22])
def test_a_cavity_is_seen_from_inside(terminal: Terminal, chamfer: float) -> None:
    cavity = replace(CONNECTOR.cavity, chamfer_mm=chamfer)
    mesh = solids.cavity_mesh(terminal, cavity)
    count = len(solids.cavity_outline(terminal, cavity, 0.0))
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
    mouth = solids.cavity_outline(terminal, cavity, cavity.chamfer_mm)
    top = mesh.vertices[np.isclose(mesh.vertices[:, 2], -0.0 if chamfer else -chamfer)]
    assert {tuple(np.round(p, 9)) for p in top[:, :2]} == {tuple(np.round(p, 9)) for p in mouth}


@settings(max_examples=times(80))
@given(terminals, st.floats(0.01, 1.0), st.floats(0.0, 4.0))
def test_a_cavity_is_larger_than_its_pin_all_round(terminal: Terminal, clearance: float, chamfer: float) -> None:
    cavity = Cavity(clearance, 5.0, chamfer)
    mesh = solids.cavity_mesh(terminal, cavity)
    assert len(mesh.vertices) % len(solids.cavity_outline(terminal, cavity, 0.0)) == 0
    pin = solids.pin_mesh(Form(terminal)).vertices[: solids.sides(terminal), :2]
    for extra in (0.0, chamfer):
        outline = solids.cavity_outline(terminal, cavity, extra)
        sides = np.roll(outline, -1, axis=0) - outline
        normals = np.stack([sides[:, 1], -sides[:, 0]], axis=1) / np.linalg.norm(sides, axis=1)[:, None]
        # Distance of every vertex of the pin behind every side of the hole; a 28-gon is a little inside its circle.
        room = np.einsum("sk,sk->s", normals, outline)[:, None] - normals @ pin.T
        assert room.min() >= (clearance + extra) * 0.99 - 1e-9 or terminal.section != "round"
        assert room.min() > 0.0
        twice = outline[:, 0] * np.roll(outline[:, 1], -1) - outline[:, 1] * np.roll(outline[:, 0], -1)
        assert twice.sum() > 0.0


def test_print_lies_on_the_mating_face_and_faces_the_viewer() -> None:
    shell, marking = CONNECTOR.shell, CONNECTOR.marking
    for wanted in ("numbers", "text=Quality", "text=No.27 +/-_"):
        mesh = solids.print_mesh(marking, print_items(CONNECTOR, wanted))
        assert mesh is not None and len(mesh.faces) == len(mesh.smooth)
        assert np.all((mesh.vertices[:, 2] > 0.0) & (mesh.vertices[:, 2] < 0.05))
        assert np.all(np.abs(mesh.vertices[:, :2]) < np.array(shell.outside.bounds[1]))
        for face in mesh.faces:
            points = corners(mesh, face)
            assert area_vector(points)[2] > 0.0
            assert np.ptp(points[:, 2]) == 0.0
    assert solids.print_mesh(marking, print_items(CONNECTOR, "none")) is None


def test_numbers_stand_at_every_row_and_position() -> None:
    marking = CONNECTOR.marking
    mesh = solids.print_mesh(marking, print_items(CONNECTOR, "numbers"))
    near = 0.5 * marking.height_mm + 0.01
    for position in CONNECTOR.positions:
        for x, y in ((marking.row_numbers_x_mm, position.y_mm), (position.x_mm, marking.position_numbers_y_mm)):
            here = np.all(np.abs(mesh.vertices[:, :2] - [x, y]) <= near, axis=1)
            assert here.any()
            # Centred on its place, and height_mm high.
            assert mesh.vertices[here, 1].max() - y == pytest.approx(0.5 * marking.height_mm, abs=0.02)


def test_joined_meshes_keep_their_faces() -> None:
    parts = [solids.block_mesh(block) for block in CONNECTOR.housings["ribbed"].blocks[:3]]
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
    outline = solids.floor_outline(shell)
    for x, y in outline:
        assert shell.opening.distance(x, y) > 0.0 > shell.outside.distance(x, y)


@pytest.mark.parametrize("shell", [SHELLS["thick_right"], SHELLS["thick_d"]], ids=["rectangle", "d"])
def test_each_side_of_the_shell_has_its_own_thickness(shell: Shell) -> None:
    for azimuth, extra in zip((180.0, 0.0, 270.0, 90.0), shell.thicker_mm, strict=True):
        inside = shell.opening.point_at(shell.opening.towards(azimuth)).at(shell.opening.radius_mm)
        assert -shell.outside.distance(*inside) == pytest.approx(shell.wall_mm + extra, abs=1e-6)


def test_a_cut_goes_through_a_thick_wall() -> None:
    shell = SHELLS["thick_right"]
    mesh = solids.shell_mesh(shell, replace(PLAIN, notches=(Notch(0.0, 2.0, 1.0),)))
    (_, _), (right, _) = shell.outside.bounds
    for x in (right - 0.5, right - 0.5 * (shell.wall_mm + 3.0)):
        assert height_at(mesh, x, 0.0) == pytest.approx(-1.0, abs=0.05)
        assert height_at(mesh, x, 2.0) == pytest.approx(0.0, abs=0.05)
