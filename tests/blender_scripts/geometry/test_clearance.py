"""Collisions of a bent pin, against cases computed by hand and against dense sampling."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_scripts.contract.cad_file import CadFile, CadPlacement
from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.contour import Contour
from blender_scripts.contract.housings import Block, CadBody
from blender_scripts.contract.positions import Position
from blender_scripts.contract.scatter import Scatter
from blender_scripts.geometry.clearance import collisions
from blender_scripts.geometry.pin import Pin
from blender_scripts.manifest.defects import parse_defects
from blender_scripts.manifest.placement import place_pins
from tests.soak import times

SCENE = Path(__file__).resolve().parents[3] / "scenes" / "connector_3x9.toml"
CONNECTOR = read_connector(SCENE)
FLOOR = -CONNECTOR.shell.depth_mm
PIN = CONNECTOR.terminals["round"]
RADIUS, LENGTH = 0.5 * PIN.width_mm, PIN.standing_mm
# A kink 3 mm up takes the tip 1.65 mm sideways: 3.3 sin 30.
KINK = "tilt_deg=30,start_mm=3,curve_mm=0"
ASIDE = (LENGTH - 3.0) * 0.5


def part(
    *places: tuple[float, float], opening: tuple[float, float] = (60.0, 60.0), corner: float = 0.01, blocks=()
) -> Connector:
    """Pins without scatter at x, y places in a row."""
    positions = tuple(Position(i, 1, i, str(i), x, y) for i, (x, y) in enumerate(places, 1))
    return replace(
        CONNECTOR,
        positions=positions,
        scatter=Scatter(0.0, 0.0, 0.0),
        shell=replace(CONNECTOR.shell, opening=Contour.rectangle(opening, corner)),
        housings={"plain": replace(CONNECTOR.housings["plain"], blocks=tuple(blocks))},
    )


def rib(center: tuple[float, float], size: tuple[float, float], bottom: float, top: float) -> Block:
    return Block(Contour.rectangle(size, 0.05, center), bottom, top, 0.05)


def found(connector: Connector, text: str, terminal: str = "round") -> list[str]:
    defects, problems = parse_defects(text)
    assert not problems
    return collisions(connector, "plain", place_pins(connector, terminal, 1, defects))


def overlap(problem: str) -> float:
    return float(re.search(r"([0-9.]+) mm(?: inside|$)", problem)[1])


def test_good_pins_are_not_asked() -> None:
    # Even where they overlap: that is a fault of the scene, not of a row.
    assert found(part((0, 0), (0.5, 0)), "") == []
    assert found(part((0, 0), (0.5, 0)), "missing@r1c1") == []


@pytest.mark.parametrize("azimuth", [0, 90, 180, 270])
def test_a_straight_wall(azimuth: int) -> None:
    for gap, hits in ((0.01, False), (-0.01, True), (-0.3, True)):
        half = ASIDE + RADIUS + gap
        opening = (2 * half, 60.0) if azimuth % 180 == 0 else (60.0, 2 * half)
        problems = found(part((0, 0), opening=opening), f"bent@r1c1:{KINK},azimuth_deg={azimuth}")
        assert [overlap(problem) for problem in problems] == ([pytest.approx(-gap, abs=0.006)] if hits else [])
        assert all(problem.startswith("expected a pin clear of the wall, got bent@r1c1") for problem in problems)


def test_a_rounded_corner() -> None:
    # Half opening 6, corner radius 5: the corner's centre is at 1, 1, and the pin may go 5 - radius beyond it.
    for tilt in range(5, 60):
        aside = 6.0 * math.sin(math.radians(tilt))
        inside = aside - math.sqrt(2.0) + RADIUS - 5.0
        text = f"bent@r1c1:tilt_deg={tilt},start_mm=0.3,curve_mm=0,azimuth_deg=45"
        problems = [p for p in found(part((0, 0), opening=(12.0, 12.0), corner=5.0), text) if "wall" in p]
        assert bool(problems) == (inside > 0.0)
        if problems:
            assert overlap(problems[0]) == pytest.approx(inside, abs=0.006)


def test_above_the_mating_face_there_is_no_wall() -> None:
    shallow = part((0, 0), opening=(2 * (0.3 + RADIUS), 60.0))
    assert found(shallow, f"bent@r1c1:{KINK}")
    low = replace(shallow, shell=replace(shallow.shell, depth_mm=3.2))
    assert found(low, f"bent@r1c1:{KINK}") == []


@pytest.mark.parametrize(("gap", "hits"), [(0.02, False), (-0.02, True), (-0.5, True)])
def test_a_neighbour(gap: float, hits: bool) -> None:
    pitch = ASIDE + 2 * RADIUS + gap
    problems = found(part((0, 0), (pitch, 0), (-pitch, 0)), f"bent@r1c1:{KINK},azimuth_deg=0")
    assert bool(problems) == hits
    if hits:
        (problem,) = problems
        assert problem.startswith("expected a pin clear of the pin at r1c2, got bent@r1c1")
        # The tip is lower than the neighbour's, so the nearest points are level.
        assert overlap(problem) == pytest.approx(-gap, abs=0.006)


def test_a_pin_may_lean_over_one_that_has_backed_out_or_is_not_there() -> None:
    connector, bend = part((0, 0), (2.0, 0)), f"bent@r1c1:{KINK}"
    assert found(connector, bend)
    assert found(connector, f"{bend};missing@r1c2") == []
    assert found(connector, f"{bend};retracted@r1c2:depth_mm=5") == []
    assert found(connector, f"{bend};retracted@r1c2:depth_mm=1")


def test_a_pair_of_bent_pins_is_reported_once() -> None:
    connector = part((0, 0), (3.0, 0))
    both = f"bent@r1c1:{KINK},azimuth_deg=0;bent@r1c2:{KINK},azimuth_deg=180"
    assert len(found(connector, both)) == 1
    away = f"bent@r1c1:{KINK},azimuth_deg=0;bent@r1c2:{KINK},azimuth_deg=0"
    assert found(connector, away) == []


def test_two_thin_pins_that_cross_between_samples() -> None:
    # Both lean across each other's plane and touch at half height only.
    connector = part((0, 0), (2.0, 0.6))
    steep = "tilt_deg=45,start_mm=1,curve_mm=0"
    crossing = f"bent@r1c1:{steep},azimuth_deg=0;bent@r1c2:{steep},azimuth_deg=180"
    assert any("clear of the pin at r1c2" in problem for problem in found(connector, crossing))
    apart = part((0, 0), (2.0, 2 * RADIUS + 0.01))
    assert found(apart, crossing) == []


@pytest.mark.parametrize(("gap", "hits"), [(0.02, False), (-0.02, True)])
def test_the_side_of_a_block(gap: float, hits: bool) -> None:
    near = ASIDE + RADIUS + gap
    block = rib((near + 1.0, 0.0), (2.0, 9.0), FLOOR, 0.0)
    problems = found(part((0, 0), blocks=[block]), f"bent@r1c1:{KINK}")
    assert [overlap(problem) for problem in problems] == ([pytest.approx(-gap, abs=0.006)] if hits else [])
    assert all("clear of the blocks of housing plain" in problem for problem in problems)


def test_blocks_that_a_mesh_replaces_are_in_no_pin_s_way() -> None:
    connector = part((0, 0), blocks=[rib((ASIDE, 0.0), (2.0, 9.0), FLOOR, 0.0)])
    assert found(connector, f"bent@r1c1:{KINK}")
    own = CadBody(CadFile("own.stl", Path("own.stl"), "stl", ""), CadPlacement(), None, 30.0)
    variant = replace(connector.housings["plain"], cad=own)
    assert found(replace(connector, housings={"plain": variant}), f"bent@r1c1:{KINK}") == []


def test_a_low_block_under_a_bent_pin() -> None:
    # The line rises at 60 degrees from 3 mm up; over x = 1 it is 1.732 mm higher, and (top - line) sin 30 away.
    for top in np.arange(1.0, 4.0, 0.25):
        block = rib((1.0 + 4.0, 0.0), (8.0, 9.0), FLOOR, FLOOR + top)
        problems = found(part((0, 0), blocks=[block]), f"bent@r1c1:{KINK}")
        # Below the kink the vertical pin is 1 mm from the block and 0.65 thick: only the leaning part can touch.
        height = 3.0 + math.sqrt(3.0) - top
        distance = height * 0.5 if height > 0 else 0.0
        assert bool(problems) == (distance < RADIUS), top


@pytest.mark.parametrize(("terminal", "mouth"), [("round", 0.65 + 0.34), ("square", 0.55 + 0.34)])
def test_the_floor(terminal: str, mouth: float) -> None:
    # Kinked at the floor itself by 60 degrees: where the underside leaves the mouth it is below the floor.
    half = 0.5 * CONNECTOR.terminals[terminal].width_mm
    along = (mouth - half * 0.5) / (math.sqrt(3.0) / 2.0)
    inside = half * math.sqrt(3.0) / 2.0 - 0.5 * along
    (problem,) = found(part((0, 0)), "bent@r1c1:tilt_deg=60,start_mm=0,curve_mm=0", terminal)
    assert problem.startswith("expected a pin clear of the cavity floor, got bent@r1c1")
    assert overlap(problem) == pytest.approx(inside, abs=0.03)


def test_bends_by_default_clear_the_floor() -> None:
    for tilt in range(1, 61, 3):
        for azimuth in range(0, 360, 45):
            assert found(part((0, 0)), f"bent@r1c1:tilt_deg={tilt},azimuth_deg={azimuth}", "square") == []


def sampled(pin: Pin) -> np.ndarray:
    return np.array([pin.world(pin.bend.point(s)) for s in np.linspace(0.0, LENGTH, 800)])


@settings(max_examples=times(60))
@given(
    st.floats(1.3, 7.0),
    st.floats(0.0, 2 * math.pi),
    st.lists(
        st.tuples(st.floats(1.0, 60.0), st.floats(0.0, 360.0), st.floats(1.0, 4.0), st.floats(0.0, 5.0)),
        min_size=2,
        max_size=2,
    ),
)
def test_neighbours_against_dense_sampling(distance: float, towards: float, bends: list[tuple[float, ...]]) -> None:
    connector = part((0, 0), (distance * math.cos(towards), distance * math.sin(towards)))
    text = ";".join(
        f"bent@r1c{i}:tilt_deg={t:.4f},azimuth_deg={a:.4f},start_mm={s:.4f},curve_mm={c:.4f}"
        for i, (t, a, s, c) in enumerate(bends, 1)
    )
    pins = place_pins(connector, "round", 1, parse_defects(text)[0])
    one, other = (sampled(pin) for pin in pins)
    gap = np.sqrt(((one[:, None] - other[None]) ** 2).sum(axis=-1)).min()
    problems = [problem for problem in collisions(connector, "plain", pins) if "clear of the pin at r1c2" in problem]
    if abs(gap - 2 * RADIUS) > 0.006:
        assert bool(problems) == (gap < 2 * RADIUS)
    if problems:
        assert overlap(problems[0]) == pytest.approx(2 * RADIUS - gap, abs=0.012)


@settings(max_examples=times(60))
@given(
    st.tuples(st.floats(-4.0, 4.0), st.floats(-4.0, 4.0)),
    st.tuples(st.floats(0.3, 4.0), st.floats(0.3, 4.0)),
    st.tuples(st.floats(FLOOR, -3.0), st.floats(0.5, 4.0)),
    st.tuples(st.floats(1.0, 60.0), st.floats(0.0, 360.0), st.floats(0.3, 4.0), st.floats(0.0, 5.0)),
)
def test_blocks_against_dense_sampling(centre, size, heights, bend) -> None:
    block = rib(centre, size, heights[0], heights[0] + heights[1])
    text = "bent@r1c1:tilt_deg={:.4f},azimuth_deg={:.4f},start_mm={:.4f},curve_mm={:.4f}".format(*bend)
    connector = part((0, 0), blocks=[block])
    (pin,) = place_pins(connector, "round", 1, parse_defects(text)[0])
    line = sampled(pin)
    # Distance to the block without its round corners, less their radius.
    beyond = np.maximum(np.abs(line[:, :2] - centre) - 0.5 * np.array(size) + 0.05, 0.0)
    across = np.maximum(np.linalg.norm(beyond, axis=1) - 0.05, 0.0)
    along = np.maximum(np.maximum(block.bottom_mm - line[:, 2], line[:, 2] - block.top_mm), 0.0)
    gap = np.hypot(across, along).min()
    problems = [problem for problem in collisions(connector, "plain", (pin,)) if "blocks" in problem]
    if abs(gap - RADIUS) > 0.006:
        assert bool(problems) == (gap < RADIUS)
