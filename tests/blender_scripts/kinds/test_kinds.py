"""Every kind of defect: the mesh has the size in the manifest, and the record's measures are those of the mesh."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.defect import Choice, Defect
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.scatter import Scatter
from blender_scripts.contract.terminals import PLATINGS, Terminal
from blender_scripts.geometry import solids
from blender_scripts.geometry.part import Part
from blender_scripts.geometry.pin import Pin
from blender_scripts.manifest.defects import KINDS, parse_defects
from blender_scripts.manifest.make_part import make_part
from tests.blender_scripts.geometry.meshes import closed, volume
from tests.conftest import SCENES, faults_of
from tests.soak import times

CONNECTOR = read_connector(SCENES / "connector_3x9.toml")
EXACT = replace(CONNECTOR, scatter=Scatter(0.0, 0.0, 0.0))
FLOOR = -CONNECTOR.shell.depth_mm
MM, DEG = 1e-3, 0.01


def defects(text: str) -> tuple[Defect, ...]:
    found, problems = parse_defects(text)
    assert not problems
    return found


def part(text: str, terminal: str = "square", connector: Connector = EXACT, seed: int = 3) -> Part:
    return make_part(connector, "plain", terminal, "numbers", seed, defects(text))


class Measured:
    """A pin as a measuring machine would find it on its mesh in the world: its rings and its tip."""

    def __init__(self, pin: Pin) -> None:
        self.mesh = solids.pin_mesh(pin.form)
        matrix = solids.pin_matrix(pin)
        world = self.mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
        self.count = solids.sides(pin.terminal)
        self.rings = world[:-1].reshape(-1, self.count, 3)
        self.tip = world[-1]
        # A fracture face is not a section of the pin.
        self.sections = self.rings[:-1] if pin.form.lost_mm else self.rings
        self.centres = np.array([*(ring.mean(axis=0) for ring in self.sections), self.tip])

    def length(self, root: float) -> float:
        """The length along the rings' middles, from the ring `root` mm above the lowest one."""
        up = np.linalg.norm(self.centres - self.centres[0], axis=1)
        first = int(np.argmin(np.abs(up - root)))
        assert up[first] == pytest.approx(root, abs=1e-9)
        return float(np.linalg.norm(np.diff(self.centres[first:], axis=0), axis=1).sum())

    def normal(self) -> np.ndarray:
        """The normal of the last section: the pin's direction at its end."""
        ring = self.sections[-1]
        normal = np.cross(ring - self.centres[len(self.sections) - 1], np.roll(ring, -1, axis=0) - ring).sum(axis=0)
        return normal / np.linalg.norm(normal)

    def twist(self) -> float:
        """Turn of the last section against the first about a straight pin, degrees from 0 to 360."""
        first, last = (self.sections[i][0] - self.centres[i if i >= 0 else len(self.sections) - 1] for i in (0, -1))
        axis = self.normal()
        first, last = (v - (v @ axis) * axis for v in (first, last))
        return math.degrees(math.atan2(np.cross(first, last) @ axis, first @ last)) % 360.0


def assert_measures_are_the_meshs(pin: Pin) -> None:
    found, measures = Measured(pin), pin.measures()
    x, y, z = found.tip
    dx, dy = x - pin.position.x_mm, y - pin.position.y_mm
    assert (measures["dx_mm"], measures["dy_mm"]) == pytest.approx((dx, dy), abs=MM)
    assert measures["true_position_mm"] == pytest.approx(2.0 * math.hypot(dx, dy), abs=2 * MM)
    assert pin.tip_mm == pytest.approx((x, y, z), abs=1e-9)
    # Rings that would reach above a fracture are left out, and with them a little of a bend's arc.
    near = 4 * MM if pin.form.lost_mm and not pin.bend.is_straight else MM
    assert measures["length_mm"] == pytest.approx(found.length(pin.form.buried_mm), abs=near)
    root = found.centres[0] + pin.form.buried_mm * np.array(pin.rotation)[:, 2]
    assert measures["retraction_mm"] == pytest.approx(FLOOR - root[2], abs=MM)
    if not pin.form.lost_mm:
        normal = found.normal()
        tilt = math.degrees(math.atan2(math.hypot(*normal[:2]), normal[2]))
        assert measures["tilt_deg"] == pytest.approx(tilt, abs=DEG)
        if tilt > 0.2:
            off = measures["azimuth_deg"] - math.degrees(math.atan2(normal[1], normal[0]))
            assert (off + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=3 * DEG)
        if pin.bend.is_straight:
            off = found.twist() - measures["twist_deg"]
            assert (off + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=DEG)
    assert volume(closed(found.mesh, found.count)) > 0.0


# Smallest, default and largest value that a pin of 6.3 mm allows.
SIZES = [
    "",
    *("bent:tilt_deg=0.1", "bent", "bent:tilt_deg=60", "bent:tip_offset_mm=0.02", "bent:tip_offset_mm=5.2"),
    *(
        "bent:start_mm=0,curve_mm=0",
        "bent:start_mm=6.2",
        "bent:tilt_deg=60,curve_mm=30",
        "bent:azimuth_deg=360",
        "bent:shape=kink",
        "bent:shape=kink,start_mm=3,tip_offset_mm=2",
        "bent:shape=kink,tilt_deg=60,azimuth_deg=77;protruding",
        "bent:shape=s_bend",
        "bent:shape=s_bend,tilt_deg=60,azimuth_deg=200",
        "bent:shape=s_bend,tip_offset_mm=0.02,start_mm=2;retracted",
    ),
    *("retracted:depth_mm=0.02", "retracted", "retracted:depth_mm=7"),
    *("protruding:height_mm=0.02", "protruding", "protruding:height_mm=10"),
    *("broken:lost_mm=0.1", "broken", "broken:lost_mm=6.2", "broken:slope_deg=60,azimuth_deg=77"),
    *("crushed:depth_mm=0.02", "crushed", "crushed:depth_mm=1.5", "crushed:start_mm=4,depth_mm=0.3"),
    *("twisted:angle_deg=2", "twisted", "twisted:angle_deg=180"),
    *("stained:from_mm=0,length_mm=0.2", "stained", "wrong", "wrong:plating=gold", "wrong:terminal=blade"),
    *("bent;retracted", "bent;protruding", "bent;broken", "bent;twisted", "broken;twisted", "crushed;twisted"),
    *("wrong;bent;stained", "retracted;crushed", "protruding;broken", "broken:slope_deg=60;bent:tilt_deg=60"),
]


def at_pin(kinds: str, address: str) -> str:
    """The defects cell for `bent:tilt_deg=3;retracted` at one pin."""
    pieces = (kind.partition(":") for kind in kinds.split(";") if kind)
    return ";".join(f"{name}@{address}{colon}{values}" for name, colon, values in pieces)


@pytest.mark.parametrize("connector", [EXACT, CONNECTOR], ids=["exact", "scattered"])
@pytest.mark.parametrize("kinds", SIZES)
def test_the_record_measures_what_the_mesh_has(kinds: str, connector: Connector) -> None:
    for terminal in ("square", "blade", "round"):
        if ("twisted" in kinds and terminal == "round") or (terminal == "blade" and "wrong:terminal" in kinds):
            continue
        assert_measures_are_the_meshs(part(at_pin(kinds, "r2c5"), terminal, connector).pin("r2c5"))


def measured(kinds: str, terminal: str = "square") -> Measured:
    return Measured(part(at_pin(kinds, "r2c5"), terminal).pin("r2c5"))


TOP = FLOOR + 6.3


@pytest.mark.parametrize("shape", ["kink", "s_bend"])
@pytest.mark.parametrize("terminal", ["square", "blade", "round"])
@pytest.mark.parametrize("tilt", [0.1, 30.0, 60.0])
def test_a_bend_keeps_the_cross_section_and_does_not_fold(shape: str, terminal: str, tilt: float) -> None:
    for azimuth in (0.0, 37.0, 90.0):
        pin = part(f"bent@r2c5:shape={shape},tilt_deg={tilt},azimuth_deg={azimuth},start_mm=1", terminal).pin("r2c5")
        found = Measured(pin)
        first = found.rings[0] - found.centres[0]
        for ring, centre, after in zip(found.rings, found.centres, found.rings[1:], strict=False):
            if np.linalg.norm(ring[0] - centre) < 0.99 * np.linalg.norm(first[0]):
                break  # the tip
            # All distances between a section's points are those of the straight pin.
            assert np.linalg.norm(ring - centre, axis=1) == pytest.approx(np.linalg.norm(first, axis=1), abs=1e-9)
            normal = np.cross(ring[0] - centre, ring[1] - centre)
            assert ((ring - centre) @ normal == pytest.approx(0.0, abs=1e-9)) and ((after - ring) @ normal).min() > 0.0
        assert pin.measures()["tilt_deg"] == pytest.approx(0.0 if shape == "s_bend" else tilt, abs=1e-6)
        # An S-bend's middle is where it slants most; a kink is sharper than the default arc.
        half = pin.bend.start_mm + 0.5 * pin.bend.curve_mm
        assert math.degrees(pin.bend.tilt_rad(half)) == pytest.approx(tilt if shape == "s_bend" else 0.5 * tilt)
        assert shape == "s_bend" or pin.bend.curve_mm < 1.8


@pytest.mark.parametrize("offset", [0.02, 0.6, 1.9])
def test_the_tip_of_an_s_bend_stands_aside_and_upright(offset: float) -> None:
    found = measured(f"bent:shape=s_bend,tip_offset_mm={offset},azimuth_deg=90,curve_mm=2")
    assert found.tip[:2] == pytest.approx([0.0, offset], abs=1e-7)
    assert found.normal() == pytest.approx([0.0, 0.0, 1.0], abs=1e-9)
    # The last 2 mm of 6.3 - 0.3 - 2 x 2 stand straight above the second bend.
    straight = found.centres[found.centres[:, 2] > found.tip[2] - 2.0 + 1e-6]
    assert len(straight) > 1 and np.abs(straight[:, 1] - offset).max() < 1e-7


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ("shape=kink,tilt_deg=60,curve_mm=0.5", "an arc of at least 0.576 mm for a bend of 60 degrees in a pin 1.1"),
        ("shape=kink,start_mm=6.2,tilt_deg=30", "an arc of at least 0.288 mm for a bend of 30 degrees"),
        ("shape=s_bend,start_mm=6,tilt_deg=40", "an arc of at least 0.384 mm for a bend of 40 degrees"),
        ("shape=s_bend,tip_offset_mm=5", "tip_offset_mm of at most 2.22 mm for a pin 6.3 mm long, got 5"),
    ],
)
def test_a_bend_sharper_than_the_metal_allows_is_refused(values: str, says: str) -> None:
    (problem,) = faults_of(part, f"bent@r2c5:{values}")
    assert says in problem and problem.endswith(f"in {defects(f'bent@r2c5:{values}')[0].text}")


@pytest.mark.parametrize("depth", [0.02, 1.5, 7.0])
def test_a_retracted_pin_is_lower(depth: float) -> None:
    assert measured(f"retracted:depth_mm={depth}").tip == pytest.approx([0.0, 0.0, TOP - depth], abs=MM)


@pytest.mark.parametrize("height", [0.02, 1.2, 10.0])
def test_a_protruding_pin_is_higher_and_reaches_below_the_floor(height: float) -> None:
    found = measured(f"protruding:height_mm={height}")
    assert found.tip == pytest.approx([0.0, 0.0, TOP + height], abs=MM)
    assert found.rings[0][:, 2].max() < FLOOR - 0.4
    # The second ring is at the floor: surfaces.py counts the pin from there.
    assert found.centres[1][2] == pytest.approx(FLOOR, abs=1e-9)


@pytest.mark.parametrize("lost", [0.1, 3.0, 6.2])
@pytest.mark.parametrize("slope", [0.0, 25.0, 60.0])
def test_a_broken_pin_is_shorter_and_slopes(lost: float, slope: float) -> None:
    found = measured(f"broken:lost_mm={lost},slope_deg={slope},azimuth_deg=90")
    assert found.tip == pytest.approx([0.0, 0.0, TOP - lost], abs=MM)
    edge = found.rings[-1]
    assert edge[:, 2].min() >= FLOOR + 0.02 - 1e-9
    if lost == 3.0:
        # A plane through the torn edge falls towards +Y.
        fitted = np.linalg.lstsq(np.column_stack([edge[:, :2], np.ones(len(edge))]), edge[:, 2], rcond=None)[0]
        assert math.degrees(math.atan(-fitted[1])) == pytest.approx(slope, abs=4.0)
        assert abs(fitted[0]) < 0.08
    # No other ring reaches above the edge.
    assert all(ring[:, 2].max() <= edge[:, 2].min() + 1e-9 for ring in found.rings[:-1])


@pytest.mark.parametrize("twist", [35, 90, 180])
def test_a_twisted_stump_falls_to_the_side_that_was_asked(twist: int) -> None:
    edge = measured(f"broken:azimuth_deg=30;twisted:angle_deg={twist}").rings[-1]
    fitted, *_ = np.linalg.lstsq(np.column_stack([edge[:, :2], np.ones(len(edge))]), edge[:, 2], rcond=None)
    assert math.degrees(math.atan2(-fitted[1], -fitted[0])) == pytest.approx(30.0, abs=10.0)
    assert math.degrees(math.atan(math.hypot(*fitted[:2]))) == pytest.approx(25.0, abs=4.0)


@pytest.mark.parametrize("depth", [0.02, 0.6, 1.5])
def test_a_crushed_pin_comes_down_on_its_own_axis(depth: float) -> None:
    found = measured(f"crushed:depth_mm={depth},azimuth_deg=30")
    assert found.tip == pytest.approx([0.0, 0.0, TOP - depth], abs=MM)
    assert found.normal() == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    # It buckles to the side given by azimuth_deg, and nowhere else.
    aside = found.centres[:, :2] @ np.array([math.cos(math.radians(30)), math.sin(math.radians(30))])
    across = found.centres[:, :2] @ np.array([-math.sin(math.radians(30)), math.cos(math.radians(30))])
    assert aside.min() > -1e-9 and aside.max() > 0.05 and np.abs(across).max() < 1e-9
    width, blunt = (np.linalg.norm(m.rings[-1] - m.tip, axis=1).max() for m in (measured(""), found))
    assert blunt > 1.5 * width


@pytest.mark.parametrize("angle", [2.0, 35.0, 90.0, 180.0])
@pytest.mark.parametrize("terminal", ["square", "blade"])
def test_a_twisted_pin_turns_evenly_and_counter_clockwise(angle: float, terminal: str) -> None:
    found = measured(f"twisted:angle_deg={angle}", terminal)
    assert found.twist() == pytest.approx(angle, abs=DEG)
    for ring in found.rings[1:]:
        x, y = ring[0, :2] - ring.mean(axis=0)[:2]
        foot = found.rings[0][0, :2]
        share = (ring[0, 2] - FLOOR) / 6.3
        turned = math.degrees(math.atan2(y, x) - math.atan2(foot[1], foot[0]))
        assert (turned - angle * share + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=DEG)
    assert found.tip == pytest.approx([0.0, 0.0, TOP], abs=MM)


def test_a_stain_is_where_it_was_asked_and_changes_no_shape() -> None:
    plain, stained = (part(text).pin("r2c5") for text in ("", "stained@r2c5:from_mm=1,length_mm=2,strength=0.5"))
    assert stained.stain is not None and plain.stain is None
    assert (stained.stain.from_mm, stained.stain.length_mm, stained.stain.strength) == (1.0, 2.0, 0.5)
    assert stained.form == plain.form and stained.measures() == plain.measures()


def test_a_wrong_terminal_is_another_one_and_the_drawing_stays() -> None:
    for text, terminal in (("wrong@r2c5", "round"), ("wrong@r2c5:terminal=blade", "blade")):
        pin = part(text).pin("r2c5")
        assert pin.terminal == CONNECTOR.terminals[terminal] and pin.nominal == CONNECTOR.terminals["square"]
    gold = part("wrong@r2c5:plating=gold").pin("r2c5").terminal
    right = CONNECTOR.terminals["square"]
    assert (gold.color, gold.roughness) == PLATINGS["gold"] and gold.name == "square_gold"
    assert replace(gold, name=right.name, color=right.color, roughness=right.roughness) == right


@pytest.mark.parametrize("scene", sorted(path.stem for path in SCENES.glob("*.toml")))
def test_every_wrong_terminal_stands_free_in_its_hole(scene: str) -> None:
    connector = replace(read_connector(SCENES / f"{scene}.toml"), scatter=Scatter(0.0, 0.0, 0.0))
    address = connector.positions[0].address
    housing = next(iter(connector.housings))
    for right in connector.terminals:
        for wrong in set(connector.terminals) - {right}:
            text = f"wrong@{address}:terminal={wrong}"
            pin = make_part(connector, housing, right, "none", 1, defects(text)).pins[0]
            thing = solids.hole_terminal(pin, connector.cavity)
            hole = solids.cavity_outline(thing, connector.cavity, 0.0)
            ring = solids.pin_mesh(pin.form).vertices[: solids.sides(pin.terminal), :2]
            along = np.roll(hole, -1, axis=0) - hole
            to_pin = ring[:, None] - hole
            inside = along[:, 0] * to_pin[..., 1] - along[:, 1] * to_pin[..., 0]
            assert np.all(inside / np.hypot(*along.T) > 0.0), (right, wrong)
            assert thing == pin.nominal or not np.allclose(pin.terminal.extent_mm, pin.nominal.extent_mm)


def test_a_scene_of_one_terminal_gets_another_plating() -> None:
    only = {"square": CONNECTOR.terminals["square"]}
    pin = part("wrong@r2c5", connector=replace(EXACT, terminals=only)).pin("r2c5")
    assert pin.terminal.color != pin.nominal.color and pin.terminal.width_mm == pin.nominal.width_mm


def test_a_missing_pin_has_nothing_to_measure() -> None:
    pin = part("missing@r2c5").pin("r2c5")
    assert pin.missing and set(pin.measures().values()) == {None}


REFUSED = [
    (
        "retracted@r1c1:depth_mm=7.1",
        "expected depth_mm of at most 7 mm (the cavity's depth), got 7.1 in retracted@r1c1",
    ),
    ("broken@r1c1:lost_mm=6.21", "expected lost_mm of at most 6.2 mm for a pin 6.3 mm long, got 6.21 in broken@r1c1"),
    ("crushed@r1c1:depth_mm=2", "expected depth_mm of at most 1.5 mm, as only 5.1 mm of the pin can buckle ("),
    ("crushed@r1c1:start_mm=5.5", "expected depth_mm of at most 0 mm, as only 0 mm of the pin can buckle ("),
    ("crushed@r1c1:start_mm=7", "expected start_mm below 6.3 mm (the pin's length above the cavity floor), got 7 in"),
    ("bent@r1c1:start_mm=6.3", "expected start_mm below 6.3 mm (the pin's length above the cavity floor), got 6.3 in"),
    ("bent@r1c1;broken@r1c1:lost_mm=6.1", "expected start_mm below 0.2 mm (the pin's length above the cavity floor)"),
    ("bent@r1c1:tip_offset_mm=6", "for a pin 6.3 mm long, got 6 in bent@r1c1:tip_offset_mm=6"),
    ("stained@r1c1:from_mm=6.3", "expected from_mm below 6.3 mm (the pin's length), got 6.3 in stained@r1c1"),
    ("stained@r1c1:from_mm=4;broken@r1c1", "expected from_mm below 3.3 mm (the pin's length), got 4 in stained@r1c1"),
    ("wrong@r1c1:terminal=square", "expected another terminal of scene connector_3x9 (round, "),
    ("wrong@r1c1:terminal=oak", "got 'oak' in wrong@r1c1:terminal=oak"),
    ("wrong@r1c1:plating=tin", "expected a plating that differs from the terminal's, got tin in wrong@r1c1"),
    ("cracked@housing:length_mm=7.6", "expected length_mm of at most 7.5 mm (the shell's depth), got 7.6 in cracked"),
    ("chipped@housing:depth_mm=7.6", "expected depth_mm of at most 7.5 mm (the shell's depth), got 7.6 in chipped"),
    (
        "chipped@housing:size_mm=32",
        "expected size_mm of at most 31.6 mm (0.3 of the rim's length), got 32 in chipped@housing",
    ),
    ("print@print:item=1.5", "expected item as an integer from 0 (all items) to 12, got 1.5 in print@print"),
    ("print@print:item=13", "expected item as an integer from 0 (all items) to 12, got 13 in print@print"),
    (
        "print@print:item=11,type=mirrored",
        "expected print that differs from its mirror image, got '8' in print@print:type=mirrored,item=11",
    ),
    ("foreign@r1c1:type=bridge", "expected two pins (r1c1-r1c2) for a bridge"),
    ("foreign@r1c1-r1c2:type=burr", "expected two pins (r1c1-r1c2) for a bridge"),
    ("foreign@housing:type=burr", "expected a pin's address as the target of a burr, got foreign@housing"),
    ("foreign@housing:x_mm=19.1", "expected x_mm and y_mm of a point inside the opening"),
    ("foreign@housing:x_mm=-16,y_mm=4.6", "for a ball of 0.9 mm diameter, got the pin at r1c1 in the way of"),
    ("foreign@housing:type=fibre,size_mm=3,x_mm=-16,y_mm=4.6", "expected free space for a fibre, got"),
    ("foreign@r1c1:size_mm=6", "expected free space for a ball of 6 mm diameter, got"),
    (
        "foreign@r1c1:type=burr,size_mm=4,azimuth_deg=180",
        "expected free space for a burr 4 mm long, got the wall in the way of",
    ),
    ("foreign@r1c1:type=burr,size_mm=4", "expected free space for a burr 4 mm long, got the pin at r1c2 in the way of"),
    ("foreign@r1c1-r1c3:type=bridge", "expected free space between the two pins, got the pin at r1c2 in the way of"),
    ("foreign@r1c1-r1c2:type=bridge,height_mm=6", "expected height_mm below the tapered tip of r1c1, got 6 in"),
    ("foreign@r1c1-r1c2:type=bridge;missing@r1c2", "azimuth_deg=0,x_mm=0,y_mm=0, got a position whose pin is missing"),
    ("foreign@r1c1;retracted@r1c1:depth_mm=6.6", "at a pin that ends above the cavity floor, got one that does not"),
]


@pytest.mark.parametrize(("text", "says"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_geometry_does_not_allow(text: str, says: str) -> None:
    (problem,) = faults_of(part, text)
    assert says in problem and problem.startswith("expected ") and problem.count(", got ") == 1
    assert problem.isprintable()


def test_a_round_pin_cannot_be_seen_to_be_twisted() -> None:
    (problem,) = faults_of(part, "twisted@r1c1", terminal="round")
    assert problem.startswith("expected twisted@r1c1:angle_deg=35")


def test_everything_that_is_refused_comes_at_once() -> None:
    text = "retracted@r1c1:depth_mm=9;crushed@r1c2:depth_mm=9;foreign@r2c2:size_mm=20;print@print:item=99"
    assert len(faults_of(part, text)) == 4


@st.composite
def several(draw: st.DrawFn) -> str:
    """Kinds at one pin with any values within their limits."""
    names = [name for name, kind in KINDS.items() if kind.shape and name not in ("wrong", "missing")]
    pieces = []
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True)):
        values = [
            f"{p.name}={draw(st.sampled_from(p.choices))}"
            if isinstance(p, Choice)
            else f"{p.name}={draw(st.floats(p.low, min(p.high, 400.0)))!r}"
            for p in KINDS[name].parameters
            if p.default is not None and draw(st.booleans())
        ]
        pieces.append(f"{name}@r2c5" + (":" + ",".join(values) if values else ""))
    return ";".join(pieces)


@settings(max_examples=times(60))
@given(several(), st.sampled_from(["square", "blade", "round"]), st.integers(0, 99))
def test_any_pin_that_is_allowed_measures_as_its_mesh(text: str, terminal: str, seed: int) -> None:
    found, problems = parse_defects(text)
    try:
        made = make_part(CONNECTOR, "plain", terminal, "none", seed, () if problems else found)
    except InputError as error:
        assert all(problem.startswith("expected ") and ", got " in problem for problem in error.problems)
        return
    pin = made.pin("r2c5")
    mesh = solids.pin_mesh(pin.form)
    matrix = solids.pin_matrix(pin)
    assert np.all(np.isfinite(mesh.vertices))
    assert matrix[:3, :3] @ mesh.vertices[-1] + matrix[:3, 3] == pytest.approx(pin.tip_mm, abs=1e-9)
    # The length is that of the curved middle line, the mesh has chords: few in what a break leaves of a bend.
    coarse = 50 * MM if "broken" in text else 3 * MM
    assert pin.measures()["length_mm"] == pytest.approx(Measured(pin).length(pin.form.buried_mm), abs=coarse)


def test_every_kind_of_pin_is_measured_here() -> None:
    tried = {piece.partition(":")[0] for kinds in SIZES for piece in kinds.split(";")}
    assert tried >= {name for name, kind in KINDS.items() if kind.shape} - {"missing"}
    assert isinstance(CONNECTOR.terminals["blade"], Terminal)
