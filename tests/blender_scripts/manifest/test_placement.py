"""Where pins stand: bends keep the length, defects have their exact size, scatter is independent of defects."""

import math
import statistics
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.scatter import Scatter
from blender_scripts.geometry.pin import STRAIGHT, Bend, Pin
from blender_scripts.geometry.solids import pin_mesh
from blender_scripts.manifest.defects import Defect, parse_defects, worst_kind
from blender_scripts.manifest.placement import place_pins
from tests.conftest import faults_of

SCENE = Path(__file__).resolve().parents[3] / "scenes" / "connector_3x9.toml"
CONNECTOR = read_connector(SCENE)
EXACT = replace(CONNECTOR, scatter=Scatter(0.0, 0.0, 0.0))
LENGTH = CONNECTOR.terminals["round"].standing_mm
FLOOR = -CONNECTOR.shell.depth_mm
bends = st.builds(
    Bend.single,
    angle_rad=st.floats(1e-6, 1.5),
    azimuth_rad=st.floats(0.0, 2 * math.pi),
    start_mm=st.floats(0.0, 6.0),
    curve_mm=st.one_of(st.just(0.0), st.floats(1e-3, 8.0)),
)


def defects(text: str) -> tuple[Defect, ...]:
    found, problems = parse_defects(text)
    assert not problems
    return found


def pin(text: str, address: str = "r2c5", connector: Connector = EXACT, part: int = 1, terminal: str = "round") -> Pin:
    pins = place_pins(connector, terminal, part, defects(text))
    return next(p for p in pins if p.position.address == address)


@given(bends)
def test_a_bend_keeps_the_length(bend: Bend) -> None:
    corners = [0.0, bend.start_mm, min(bend.start_mm + bend.curve_mm, 10.0), 10.0]
    length = 0.0
    for a, b in pairwise(corners):
        line = np.array([bend.point(s) for s in np.linspace(a, max(a, b), 400)])
        length += np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
    assert length == pytest.approx(10.0, abs=2e-5)


@given(bends, st.floats(0.0, 10.0))
def test_the_tilt_is_that_of_the_tangent(bend: Bend, along: float) -> None:
    step = 1e-5
    ends = [bend.start_mm, bend.start_mm + bend.curve_mm]
    if min(abs(along - end) for end in ends) < 2 * step or along < step:
        return
    a, b = np.array(bend.point(along - step)), np.array(bend.point(along + step))
    tangent = (b - a) / np.linalg.norm(b - a)
    tilt = bend.tilt_rad(along)
    expected = [
        math.sin(tilt) * math.cos(bend.azimuth_rad),
        math.sin(tilt) * math.sin(bend.azimuth_rad),
        math.cos(tilt),
    ]
    assert tangent == pytest.approx(expected, abs=1e-4)


@given(bends)
def test_below_its_start_a_bent_pin_is_straight_and_behind_its_curve_too(bend: Bend) -> None:
    assert bend.point(0.5 * bend.start_mm) == (0.0, 0.0, 0.5 * bend.start_mm)
    end = bend.start_mm + bend.curve_mm
    a, b, c = (np.array(bend.point(end + more)) for more in (0.0, 1.0, 3.0))
    assert (c - a) == pytest.approx(3.0 * (b - a), abs=1e-9)
    assert bend.tilt_rad(end + 1.0) == pytest.approx(bend.turning_rad)


@pytest.mark.parametrize("tilt", [0.1, 5.0, 30.0, 60.0])
def test_a_kink_at_the_floor_is_a_rigid_lean(tilt: float) -> None:
    angle = math.radians(tilt)
    bend = Bend.single(angle, math.radians(90.0), 0.0, 0.0)
    assert bend.point(5.0) == pytest.approx((0.0, 5.0 * math.sin(angle), 5.0 * math.cos(angle)))
    # A shrinking curve tends to the kink.
    short = Bend.single(angle, math.radians(90.0), 1e-7, 1e-7)
    assert short.point(5.0) == pytest.approx(bend.point(5.0), abs=1e-6)


def test_the_example_worked_out_by_hand() -> None:
    # 16 degrees over an arc of 1.8 mm: radius 1.8 / 0.27925 = 6.4458; 6.4458 (1 - cos 16) + 4.2 sin 16 = 1.4074.
    tip = pin("bent@r2c5:tilt_deg=16,azimuth_deg=90").tip_mm
    assert tip == pytest.approx((0.0, 1.4074, FLOOR + 0.3 + 6.4458 * 0.27564 + 4.2 * 0.96126), abs=1e-3)


def test_without_scatter_and_defects_every_pin_is_nominal() -> None:
    for found in place_pins(EXACT, "square", 3, ()):
        assert worst_kind(found.defects) == "ok" and found.bend == STRAIGHT and not found.missing
        assert found.tip_mm == pytest.approx((found.position.x_mm, found.position.y_mm, FLOOR + LENGTH))
        assert found.base_mm == pytest.approx((found.position.x_mm, found.position.y_mm, FLOOR))
        measures = found.measures()
        assert [measures[name] for name in ("dx_mm", "dy_mm", "true_position_mm", "retraction_mm", "tilt_deg")] == [
            0.0
        ] * 5
        assert measures["length_mm"] == LENGTH


@given(st.floats(0.1, 60.0), st.floats(0.0, 360.0), st.floats(0.0, 3.0), st.floats(0.0, 3.0))
def test_the_tip_measures_the_angle_and_direction_that_were_asked(
    tilt: float, azimuth: float, start: float, curve: float
) -> None:
    text = f"bent@r2c5:tilt_deg={tilt!r},azimuth_deg={azimuth!r},start_mm={start!r},curve_mm={curve!r}"
    measures = pin(text).measures()
    assert measures["tilt_deg"] == pytest.approx(tilt, abs=1e-7)
    assert (measures["azimuth_deg"] - azimuth + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-6)
    assert measures["retraction_mm"] == 0.0 and measures["length_mm"] == LENGTH


@given(st.floats(0.02, 5.2), st.floats(0.0, 360.0))
def test_the_tip_moves_sideways_by_what_was_asked(offset: float, azimuth: float) -> None:
    found = pin(f"bent@r2c5:tip_offset_mm={offset!r},azimuth_deg={azimuth!r}")
    wanted = (offset * math.cos(math.radians(azimuth)), offset * math.sin(math.radians(azimuth)))
    assert found.tip_mm[:2] == pytest.approx(wanted, abs=1e-7)
    assert found.measures()["true_position_mm"] == pytest.approx(2.0 * offset, abs=1e-7)


def test_a_curve_longer_than_the_pin_ends_at_its_tip() -> None:
    found = pin("bent@r2c5:tilt_deg=20,curve_mm=30,start_mm=1")
    assert found.bend.curve_mm == pytest.approx(LENGTH - 1.0)
    assert found.measures()["tilt_deg"] == pytest.approx(20.0)


def test_retraction_is_exact_and_moves_nothing_else() -> None:
    for part in range(5):
        before, after = (pin(text, connector=CONNECTOR, part=part) for text in ("", "retracted@r2c5:depth_mm=1.75"))
        mine, others = after.measures(), before.measures()
        assert mine["retraction_mm"] - others["retraction_mm"] == pytest.approx(1.75, abs=1e-12)
        assert before.tip_mm[2] - after.tip_mm[2] == pytest.approx(1.75, abs=1e-12)
        assert {name: value for name, value in mine.items() if name != "retraction_mm"} == {
            name: value for name, value in others.items() if name != "retraction_mm"
        }


def test_a_missing_pin_measures_nothing() -> None:
    found = pin("missing@r2c5")
    assert found.missing and worst_kind(found.defects) == "missing"
    assert set(found.measures().values()) == {None}


def test_a_pin_that_backs_out_bends_where_it_stands_free() -> None:
    low = pin("bent@r2c5:tilt_deg=30,start_mm=0.5;retracted@r2c5:depth_mm=2")
    assert worst_kind(low.defects) == "retracted"
    # The bend begins 0.5 mm above the floor, and the pin is straight in its cavity below.
    assert low.world(low.bend.point(low.bend.start_mm)) == pytest.approx((0.0, 0.0, FLOOR + 0.5))
    assert low.base_mm == pytest.approx((0.0, 0.0, FLOOR))
    free = LENGTH - 2.0 - 0.5 - 1.8
    radius = 1.8 / math.radians(30)
    across = radius * (1 - math.cos(math.radians(30))) + free * 0.5
    assert low.measures()["dx_mm"] == pytest.approx(across)
    assert low.measures()["retraction_mm"] == pytest.approx(2.0)


def test_a_defect_changes_no_other_draw() -> None:
    before = place_pins(CONNECTOR, "round", 7, ())
    after = place_pins(CONNECTOR, "round", 7, defects("bent@r2c5;retracted@r1c3;missing@r3c7"))
    for one, other in zip(before, after, strict=True):
        assert one.lean == other.lean and one.root_mm[:2] == other.root_mm[:2]
        if not other.defects:
            assert one == other
    assert [p.position.address for p in after if p.defects] == ["r1c3", "r2c5", "r3c7"]


def test_parts_differ_and_a_part_is_itself_again() -> None:
    assert place_pins(CONNECTOR, "round", 7, ()) == place_pins(CONNECTOR, "round", 7, ())
    roots = {p.root_mm for part in range(20) for p in place_pins(CONNECTOR, "round", part, ())}
    assert len(roots) == 20 * 27


def test_scatter_has_the_scenes_deviations_and_is_truncated() -> None:
    pins = [p for part in range(120) for p in place_pins(CONNECTOR, "round", part, ())]
    scatter, keeps = CONNECTOR.scatter, 0.9546
    shifts = [p.root_mm[axis] - (p.position.x_mm, p.position.y_mm)[axis] for p in pins for axis in (0, 1)]
    leans = [math.degrees(math.atan(slope)) for p in pins for slope in p.lean]
    heights = [p.root_mm[2] - FLOOR for p in pins]
    for values, deviation in ((shifts, scatter.position_mm), (leans, scatter.tilt_deg), (heights, scatter.height_mm)):
        assert statistics.pstdev(values) == pytest.approx(deviation * keeps, rel=0.04)
        assert statistics.fmean(values) == pytest.approx(0.0, abs=0.06 * deviation)
        assert 2.3 * deviation < max(map(abs, values)) <= 2.5 * deviation * (1 + 1e-9)


PART_WIDE = {"lot_length_mm": 0.4, "shrinkage": 0.01, "pattern_shift_mm": 0.5, "pattern_tilt_deg": 1.0}


def common(part: int, **deviations: float) -> list[dict[str, Any]]:
    """The measures of a part's pins that vary only by what its pins have in common."""
    pins = place_pins(replace(CONNECTOR, scatter=Scatter(0.0, 0.0, 0.0, **deviations)), "mixed", part, ())
    for pin in pins:
        mesh = pin_mesh(pin.form).vertices[-1]
        assert np.array(pin.rotation) @ mesh + pin.root_mm == pytest.approx(pin.tip_mm, abs=1e-9)
    return [{**pin.measures(), "x": pin.position.x_mm, "y": pin.position.y_mm} for pin in pins]


@pytest.mark.parametrize("name", PART_WIDE)
def test_scatter_of_a_part_is_common_to_its_pins_and_leaves_their_own(name: str) -> None:
    found = {part: common(part, **{name: PART_WIDE[name]}) for part in range(60)}
    if name == "pattern_shift_mm":
        drawn = [[(pin["dx_mm"], pin["dy_mm"]) for pin in pins] for pins in found.values()]
        values = [pins[0][axis] for pins in drawn for axis in (0, 1)]
        for pins in drawn:
            assert np.ptp(np.array(pins), axis=0) == pytest.approx(0.0, abs=1e-12)
    elif name == "shrinkage":
        values = [-pins[0]["dx_mm"] / pins[0]["x"] for pins in found.values()]
        for scale, pins in zip(values, found.values(), strict=True):
            # The drawing's places do not shrink: a pin is off by its share of its distance from the datum.
            assert all(pin["dx_mm"] == pytest.approx(-scale * pin["x"]) for pin in pins)
            assert all(pin["dy_mm"] == pytest.approx(-scale * pin["y"]) for pin in pins)
            assert all(pin["retraction_mm"] == pytest.approx(scale * FLOOR) for pin in pins)
    elif name == "pattern_tilt_deg":
        values = [math.degrees(math.asin(pins[13]["dx_mm"] / LENGTH)) for pins in found.values()]
        for pins in found.values():
            assert np.ptp([pin["tilt_deg"] for pin in pins]) == pytest.approx(0.0, abs=1e-9)
            heights = np.array([(pin["x"], pin["y"], -pin["retraction_mm"]) for pin in pins])
            assert np.linalg.matrix_rank(heights, tol=1e-9) == 2  # the feet lie in a plane through the datum
    else:
        # Each terminal of a mix is from a lot of its own.
        values = [length for pins in found.values() for length in {pin["length_mm"] - LENGTH for pin in pins}]
        assert {len({pin["length_mm"] for pin in pins}) for pins in found.values()} == {3}
        assert all(pin["retraction_mm"] == pytest.approx(LENGTH - pin["length_mm"]) for pin in found[7])
    assert statistics.pstdev(values) == pytest.approx(PART_WIDE[name] * 0.9546, rel=0.25)
    assert max(map(abs, values)) <= 2.5 * PART_WIDE[name] * (1 + 1e-9)
    # A pin's own scatter is drawn apart.
    varied = place_pins(
        replace(CONNECTOR, scatter=replace(CONNECTOR.scatter, **{name: PART_WIDE[name]})), "round", 7, ()
    )
    for one, own in zip(varied, place_pins(CONNECTOR, "round", 7, ()), strict=True):
        shift = np.array(one.root_mm[:2]) - one.cavity_mm
        assert shift == pytest.approx(np.array(own.root_mm[:2]) - own.cavity_mm, abs=1e-12)
        assert own.cavity_mm == (own.position.x_mm, own.position.y_mm)


def test_a_pin_that_scatter_raises_reaches_into_its_hole() -> None:
    raised = place_pins(replace(CONNECTOR, scatter=Scatter(0.0, 0.0, 3.0)), "round", 1, ())
    assert max(pin.root_mm[2] for pin in raised) > FLOOR + 1.0
    assert all(pin.root_mm[2] - pin.form.buried_mm < FLOOR - 0.2 for pin in raised)


def test_the_rotation_is_the_smallest_that_leans_the_pin() -> None:
    for found in place_pins(CONNECTOR, "round", 5, ()):
        rotation = np.array(found.rotation)
        assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
        slope_x, slope_y = found.lean
        axis = np.array([slope_x, slope_y, 1.0]) / math.sqrt(slope_x**2 + slope_y**2 + 1.0)
        assert rotation @ [0.0, 0.0, 1.0] == pytest.approx(axis)
        # No twist about the pin: it turns by the angle between Z and the axis, about a line in the floor.
        assert np.trace(rotation) == pytest.approx(1.0 + 2.0 * axis[2])


def test_measures_against_a_direct_computation() -> None:
    for part in range(6):
        for found in place_pins(
            CONNECTOR, "round", part, defects("bent@r2c5:tilt_deg=21,azimuth_deg=200;retracted@r1c2")
        ):
            rotation, root = np.array(found.rotation), np.array(found.root_mm)
            tip = rotation @ np.array(found.bend.point(LENGTH)) + root
            below = rotation @ np.array(found.bend.point(LENGTH - 1e-6)) + root
            tangent = (tip - below) / np.linalg.norm(tip - below)
            dx, dy = tip[0] - found.position.x_mm, tip[1] - found.position.y_mm
            measures = found.measures()
            assert found.tip_mm == pytest.approx(tuple(tip))
            assert (measures["dx_mm"], measures["dy_mm"]) == pytest.approx((dx, dy))
            assert measures["true_position_mm"] == pytest.approx(2.0 * math.hypot(dx, dy))
            assert measures["retraction_mm"] == pytest.approx(FLOOR - root[2])
            assert math.cos(math.radians(measures["tilt_deg"])) == pytest.approx(tangent[2], abs=1e-6)
            if measures["tilt_deg"] > 0.05:
                towards = math.radians(measures["azimuth_deg"])
                assert np.hypot(*tangent[:2]) * np.array([math.cos(towards), math.sin(towards)]) == pytest.approx(
                    tangent[:2], abs=1e-6
                )


def test_the_base_lies_on_the_centre_line_in_the_floor() -> None:
    for found in place_pins(
        CONNECTOR,
        "round",
        2,
        defects("bent@r1c1:tilt_deg=30;retracted@r2c2;retracted@r3c3:depth_mm=6.9;protruding@r2c7:height_mm=3"),
    ):
        base = found.base_mm
        assert base[2] == pytest.approx(FLOOR, abs=1e-9)
        line = np.array([found.world(found.bend.point(s)) for s in np.linspace(0.0, LENGTH, 5000)])
        if found.root_mm[2] < FLOOR < found.tip_mm[2]:
            assert np.linalg.norm(line - base, axis=1).min() < 2e-3
        elif found.root_mm[2] < FLOOR:
            assert base[:2] == found.root_mm[:2]
        else:
            # A pin that stands high goes straight down from its frame's origin.
            down = np.array(found.rotation) @ [0.0, 0.0, -1.0]
            steps = (found.root_mm[2] - FLOOR) / -down[2]
            assert base == pytest.approx(tuple(np.array(found.root_mm) + steps * down), abs=1e-9)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "retracted@r1c1:depth_mm=7.5",
            "expected depth_mm of at most 7 mm (the cavity's depth), got 7.5 in retracted@r1c1",
        ),
        ("bent@r1c1:start_mm=6.3", "expected start_mm below 6.3 mm (the pin's length above the cavity floor), got 6.3"),
        ("bent@r1c1:tip_offset_mm=5.4", "expected tip_offset_mm of at most 5.29 mm for a pin 6.3 mm long, got 5.4"),
        (
            "bent@r1c1:start_mm=1;retracted@r1c1:depth_mm=5.5",
            "below 0.8 mm (the pin's length above the cavity floor), got 1",
        ),
    ],
)
def test_what_geometry_does_not_allow(text: str, says: str) -> None:
    (problem,) = faults_of(place_pins, CONNECTOR, "round", 1, defects(text))
    assert says in problem
    assert problem.count("expected") == problem.count("got") == 1


def test_everything_that_is_not_allowed_comes_at_once() -> None:
    found = defects("retracted@r1c1:depth_mm=8;bent@r1c2:start_mm=7;bent@r3c9:tip_offset_mm=6;bent@r2c2")
    assert len(faults_of(place_pins, CONNECTOR, "round", 1, found)) == 3
