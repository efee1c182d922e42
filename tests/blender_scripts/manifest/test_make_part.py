"""Whole parts: scatter independent of defects, print, cuts in the rim, foreign bodies."""

import math
from dataclasses import replace

import numpy as np
import pytest

from blender_scripts.contract import lettering
from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.scatter import Scatter
from blender_scripts.geometry import solids
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.geometry.part import Flaw, Part
from blender_scripts.geometry.pin import Pin
from blender_scripts.manifest.defects import KINDS, parse_defects
from blender_scripts.manifest.make_part import make_part, print_items
from tests.blender_scripts.geometry.meshes import (
    area_vector,
    assert_sound,
    assert_sound_but_slivers,
    corners,
    height_at,
)
from tests.conftest import SCENES

CONNECTORS = {path.stem: read_connector(path) for path in sorted(SCENES.glob("*.toml"))}
CONNECTOR = CONNECTORS["connector_3x9"]
SHELL, PLAIN = CONNECTOR.shell, CONNECTOR.housings["plain"]


def part(text: str, marking: str = "none", connector: Connector = CONNECTOR, seed: int = 5, terminal: str = "") -> Part:
    found, problems = parse_defects(text)
    assert not problems
    housing, terminal = next(iter(connector.housings)), terminal or next(iter(connector.terminals))
    return make_part(connector, housing, terminal, marking, seed, found)


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_good_part_of_every_scene(name: str) -> None:
    connector = CONNECTORS[name]
    for terminal in connector.terminal_names:
        made = part("", "numbers", connector, terminal=terminal)
        assert [pin.position for pin in made.pins] == list(connector.positions)
        assert all(pin.nominal == pin.terminal and not pin.defects for pin in made.pins)
        assert made == part("", "numbers", connector, terminal=terminal)
        assert made.letters and not made.flaws and not made.cuts


EVERY = (
    "wrong@r1c1:terminal=square;retracted@r1c2;protruding@r1c3;broken@r1c4;bent@r1c5;crushed@r1c6;missing@r1c7;"
    "stained@r1c8;foreign@r2c1;foreign@r2c2-r2c3:type=bridge;foreign@r2c6:type=fibre,size_mm=4;"
    "foreign@r3c3:type=burr;foreign@housing:x_mm=2,y_mm=2.3;cracked@housing;chipped@housing;print@print"
)


def test_defects_change_no_draw() -> None:
    good, bad = part("", "numbers"), part(EVERY, "numbers")
    changed = []
    for before, after in zip(good.pins, bad.pins, strict=True):
        assert before.lean == after.lean and before.nominal == after.nominal
        assert before.root_mm[:2] == after.root_mm[:2]
        assert after.root_mm[2] == pytest.approx(before.root_mm[2] - after.lowered_mm, abs=1e-12)
        if before != after:
            changed.append(after.position.address)
    # An added body changes no pin, not even its own.
    assert changed == [f"r1c{column}" for column in range(1, 9)]
    assert [flaw.defect.kind for flaw in bad.flaws] == [*["foreign"] * 5, "cracked", "chipped", "print"]
    kinds = {defect.kind for pin in bad.pins for defect in pin.defects} | {f.defect.kind for f in bad.flaws}
    assert kinds == set(KINDS) - {"twisted"}
    assert part(EVERY, "numbers") == bad


def test_a_flaw_is_the_parts_own() -> None:
    for text in ("chipped@housing", "foreign@r2c5:type=fibre,size_mm=6"):
        assert part(text, seed=5).flaws == part(text, seed=5).flaws
        assert part(text, seed=5).flaws != part(text, seed=6).flaws


# Print.


def printed(text: str, marking: str) -> tuple[Part, Flaw]:
    made = part(text, marking)
    return made, made.flaws[0]


def test_print_that_is_missing() -> None:
    good = print_items(CONNECTOR, "numbers")
    made, flaw = printed("print@print:item=2", "numbers")
    assert flaw.meant == (good[1],) and flaw.printed == ()
    assert made.letters == (good[0], *good[2:])
    made, flaw = printed("print@print:item=0", "numbers")
    assert flaw.meant == good and made.letters == ()


@pytest.mark.parametrize("marking", ["numbers", "text=Quality 7", "text=+/-", "text=K"])
@pytest.mark.parametrize("seed", range(4))
def test_print_that_is_wrong_differs_in_one_character_of_its_sort(marking: str, seed: int) -> None:
    for item in range(1, len(print_items(CONNECTOR, marking)) + 1):
        made = part(f"print@print:type=wrong,item={item}", marking, seed=seed)
        (meant,), (found,) = made.flaws[0].meant, made.flaws[0].printed
        assert replace(found, text=meant.text) == meant and len(found.text) == len(meant.text)
        ((before, after),) = [pair for pair in zip(meant.text, found.text, strict=True) if pair[0] != pair[1]]
        assert after in lettering.ALPHABET and before.isdigit() == after.isdigit()
        assert before.islower() == after.islower()


def test_print_that_is_misplaced_is_so_far_away() -> None:
    _, flaw = printed("print@print:type=misplaced,shift_mm=1.25,azimuth_deg=120", "text=AB")
    (meant,), (found,) = flaw.meant, flaw.printed
    assert math.hypot(found.x_mm - meant.x_mm, found.y_mm - meant.y_mm) == pytest.approx(1.25)
    towards = math.degrees(math.atan2(found.y_mm - meant.y_mm, found.x_mm - meant.x_mm))
    assert towards == pytest.approx(120.0)
    assert (found.text, found.mirrored) == (meant.text, False)


def test_all_print_mirrored_leaves_out_what_is_its_own_mirror_image() -> None:
    made, flaw = printed("print@print:type=mirrored,item=0", "numbers")
    assert [letters.text for letters in made.letters] == ["8"]
    assert [letters.text for letters in flaw.meant] == [*"123", *"12345679"]
    assert [letters.text for letters in flaw.printed] == [letters.text for letters in flaw.meant]
    with pytest.raises(InputError, match="expected print that differs from its mirror image, got 'OTTO' in"):
        printed("print@print:type=mirrored,item=0", "text=OTTO")


def test_mirrored_print_is_the_mirror_image_and_faces_the_viewer() -> None:
    _, flaw = printed("print@print:type=mirrored", "text=Fb7")
    right, wrong = (solids.print_mesh(CONNECTOR.marking, letters) for letters in (flaw.meant, flaw.printed))
    assert right is not None and wrong is not None
    middle = flaw.meant[0].x_mm
    mirrored = right.vertices * [-1.0, 1.0, 1.0] + [2.0 * middle, 0.0, 0.0]

    def sorted_rows(points: np.ndarray) -> np.ndarray:
        return points[np.lexsort(points.round(9).T)]

    assert sorted_rows(wrong.vertices) == pytest.approx(sorted_rows(mirrored))
    assert all(area_vector(corners(wrong, face))[2] > 0.0 for face in wrong.faces)


# Cuts in the rim.


def wall(text: str, azimuth: float) -> tuple[Mesh, float]:
    """The walls with a cut, and the height of their top over the middle of the wall in a direction."""
    mesh = solids.shell_mesh(SHELL, PLAIN, part(text).cuts)
    point = SHELL.opening.point_at(SHELL.opening.towards(azimuth))
    return mesh, height_at(mesh, *point.at(SHELL.opening.radius_mm + 0.5 * SHELL.wall_mm))


CHIPS = ["", ":size_mm=0.3,depth_mm=0.1", ":size_mm=31,depth_mm=7.5", ":azimuth_deg=0,depth_mm=5", ":azimuth_deg=22"]


@pytest.mark.parametrize("values", CHIPS)
@pytest.mark.parametrize("kind", ["chipped", "cracked"])
def test_a_cut_is_as_deep_as_asked_and_leaves_no_hole(kind: str, values: str) -> None:
    if kind == "cracked":
        values = values.replace("size_mm=31", "width_mm=2").replace("size_mm=0.3", "width_mm=0.03")
        values = values.replace("depth_mm=0.1", "length_mm=0.3").replace("depth_mm", "length_mm")
    made = part(f"{kind}@housing{values}")
    (defect,) = (flaw.defect for flaw in made.flaws)
    depth = defect["depth_mm" if kind == "chipped" else "length_mm"]
    mesh = solids.shell_mesh(SHELL, PLAIN, made.cuts)
    rings = len(solids.shell_mesh(SHELL, PLAIN).vertices) // len(SHELL.opening.points)
    count = len(mesh.vertices) // rings
    assert_sound_but_slivers(mesh, borders=2 * count)
    # Deepest at the wall's outside, where the profile's second ring stood a fillet below the mating face.
    outside = mesh.vertices.reshape(rings, count, 3)[1]
    assert -outside[:, 2].min() == pytest.approx(max(depth, SHELL.fillet_mm), abs=1e-6)
    # The truth's points of the cut hold every vertex that was lowered.
    points = solids.cut_points(SHELL, PLAIN, made.cuts[0])
    levels = mesh.vertices.reshape(rings, count, 3)
    lowered = np.concatenate([ring[ring[:, 2] < ring[:, 2].max() - 1e-9] for ring in levels])
    assert np.all(lowered >= points.min(axis=0) - 1e-6) and np.all(lowered <= points.max(axis=0) + 1e-6)
    assert points[:, 2].min() == pytest.approx(-depth, abs=1e-6 + SHELL.fillet_mm * (depth < 0.4))
    assert points[:, 2].max() == pytest.approx(0.0)
    # No ring runs back on itself: points keep their order however the cut shifts.
    for ring in mesh.vertices.reshape(rings, count, 3):
        middle = np.array(SHELL.opening.middle)
        x, y = (ring[:, :2] - middle).T
        turns = x * np.roll(y, -1) - y * np.roll(x, -1)
        assert turns.min() > -1e-9


def test_the_rim_is_whole_where_nothing_is_gone() -> None:
    for azimuth, height in ((90.0, -4.0), (80.0, 0.0), (100.0, 0.0), (270.0, 0.0)):
        assert wall("cracked@housing:azimuth_deg=90,length_mm=4,width_mm=2", azimuth)[1] == pytest.approx(
            height, abs=0.3 if height else 1e-6
        )
    assert wall("chipped@housing:azimuth_deg=40,depth_mm=3", 40.0)[1] < -1.0
    assert wall("chipped@housing:azimuth_deg=40,depth_mm=3", 200.0)[1] == pytest.approx(0.0, abs=1e-6)


# Foreign bodies.


def gap(flaw: Flaw, pin: Pin) -> float:
    """Least distance of the body, a ball of its radius all along its chain, from a straight pin without its taper."""
    (body,) = flaw.bodies
    away = np.array(body.path) - pin.root_mm
    turn = math.radians(pin.terminal.turn_deg)
    x, y = away[:, 0], away[:, 1]
    across = np.stack([math.cos(turn) * x + math.sin(turn) * y, math.cos(turn) * y - math.sin(turn) * x])
    if pin.terminal.section == "round":
        outside = np.hypot(*across) - 0.5 * pin.terminal.width_mm
    else:
        beyond = np.abs(across) - 0.5 * np.array([[pin.terminal.width_mm], [pin.terminal.thickness_mm]])
        outside = np.hypot(*np.maximum(beyond, 0.0)) + np.minimum(beyond.max(axis=0), 0.0)
    above = away[:, 2] - pin.form.length_mm
    distance = np.where(above > 0.0, np.hypot(np.maximum(outside, 0.0), np.maximum(above, 0.0)), outside)
    return float((distance - body.radii).min())


BODIES = [
    *("ball,size_mm=0.5", "ball,size_mm=0.9", "burr,size_mm=0.5", "fibre,size_mm=5"),
    "bridge,size_mm=0.4,height_mm=1.5",
]


@pytest.mark.parametrize("name", CONNECTORS)
@pytest.mark.parametrize("kind", BODIES)
def test_a_foreign_body_touches_what_it_is_at_and_nothing_else(name: str, kind: str) -> None:
    connector = replace(CONNECTORS[name], scatter=Scatter(0.0, 0.0, 0.0))
    first = [p.address for p in connector.positions if p.row == 1][:2]
    target = "-".join(first if kind.startswith("bridge") else first[:1])
    made_any = False
    shapes = {(t.section, t.extent_mm, t.standing_mm): name for name, t in connector.terminals.items()}
    for terminal in shapes.values():
        for azimuth in (0, 90, 205, 300):
            text = f"foreign@{target}:type={kind},azimuth_deg={azimuth}"
            try:
                made = part(text, connector=connector, terminal=terminal)
            except InputError as error:
                # A tight connector has no room for every size.
                assert "room for" in str(error) or "between the two pins" in str(error)
                continue
            made_any = True
            (flaw,) = made.flaws
            if azimuth == 0:
                assert_sound(solids.body_mesh(flaw.bodies[0]), borders=0)
            for pin in made.pins:
                if pin.position.address in flaw.defect.addresses:
                    assert gap(flaw, pin) < 1e-6, (terminal, azimuth)
                else:
                    assert gap(flaw, pin) > 0.0, (terminal, azimuth, pin.position.address)
    assert made_any


@pytest.mark.parametrize("what", ["ball", "fibre"])
def test_what_lies_on_the_floor_lies_on_the_floor(what: str) -> None:
    (flaw,) = part(f"foreign@housing:type={what},size_mm=1.2,x_mm=2,y_mm=2.3").flaws
    points = solids.body_mesh(flaw.bodies[0]).vertices
    assert points[:, 2].min() == pytest.approx(-SHELL.depth_mm, abs=0.12)
    assert np.abs(points.mean(axis=0)[:2] - [2.0, 2.3]).max() < 0.4
    assert flaw.defect.addresses == ()
