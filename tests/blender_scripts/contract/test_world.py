"""The draws of the wide world: within their ranges, each by its own seed, and no defect in themselves."""

import math
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.terminals import PLATINGS
from blender_scripts.contract.world import CAPTURE, PART, PATTERNS, PLACING, RANGES, VIEW, WIDE, World
from tests.conftest import SCENES

CONNECTOR = read_connector(SCENES / "connector_3x9.toml")
WORLD = World(part=1, fixture=2, seed=3, camera="center")
SEEDS = st.integers(0, 2**63 - 1)


def test_the_numbers_never_change() -> None:
    # Another Python or machine must give the same pictures.
    drawn = [WORLD.value(name) for name in ("resin_exponent", "lamp_azimuth_deg", "defocus", "jpeg_quality")]
    assert drawn == [0.9847137317396011, 77.52855902470418, 0.004213822898644186, 63.41211651740191]


@given(SEEDS, SEEDS, SEEDS, st.sampled_from(["center", "left"]))
def test_every_value_is_within_its_range(part: int, fixture: int, seed: int, camera: str) -> None:
    world = World(part, fixture, seed, camera)
    stated = world.stated(["round", "square", "round"])
    assert stated["name"] == WIDE and stated["table_pattern"] in PATTERNS
    assert [each["terminal"] for each in stated["platings"]] == ["round", "square"]
    assert len(stated["windows"]) <= 4 and len(stated["spots"]) <= 5
    several = [each for name in ("platings", "windows", "spots") for each in stated[name]]
    values = [item for each in (stated, *several) for item in each.items() if isinstance(item[1], float)]
    assert {name for name, _ in values} <= set(RANGES)
    for name, value in values:
        assert RANGES[name].low <= value <= RANGES[name].high, name


def test_all_that_is_drawn_is_stated() -> None:
    # Of many rows, one has windows and one has spots.
    stated = [replace(WORLD, fixture=fixture).stated(["round"]) for fixture in range(30)]
    found = {name for each in stated for name in each}
    found |= {name for each in stated for key in ("platings", "windows", "spots") for one in each[key] for name in one}
    assert found == {*RANGES, "name", "terminal", "platings"}


@pytest.mark.parametrize(
    ("column", "value", "changed"),
    [("part", 9, {PART}), ("fixture", 9, {PLACING, VIEW}), ("seed", 9, {CAPTURE}), ("camera", "left", {VIEW, CAPTURE})],
)
def test_a_value_changes_with_its_own_columns_only(column: str, value: object, changed: set[str]) -> None:
    other = replace(WORLD, **{column: value})
    assert {name for name in RANGES if WORLD.value(name) != other.value(name)} == {
        name for name, span in RANGES.items() if span.of in changed
    }


def test_draws_fill_their_range_and_a_power_keeps_most_near_its_low_end() -> None:
    worlds = [World(number, number, number, "center") for number in range(400)]
    even = [world.value("resin_warmth") for world in worlds]
    assert min(even) < -0.11 and max(even) > 0.11 and abs(sum(even) / 400) < 0.01
    blurs = sorted(world.value("defocus") for world in worlds)
    assert blurs[200] < 0.3 * RANGES["defocus"].high and blurs[-1] > 0.9 * RANGES["defocus"].high


def test_no_lot_of_a_plating_looks_like_another_plating() -> None:
    ends = [(RANGES[name].low, RANGES[name].high) for name in ("plating_level", "plating_warmth")]
    lots = {}
    for name, (color, _) in PLATINGS.items():
        factors = [(level * (1 + warmth), level, level * (1 - warmth)) for level, warmth in product(*ends)]
        lots[name] = [[min(1.0, a * b) for a, b in zip(color, each, strict=True)] for each in factors]
    blue = {name: [b / r for r, _, b in colors] for name, colors in lots.items()}
    assert max(blue["gold"]) < 0.5 < min(blue["tin"]) and max(blue["gold"]) < 0.5 < min(blue["nickel"])
    green = {name: [g for _, g, _ in colors] for name, colors in lots.items()}
    assert max(green["nickel"]) < min(green["tin"]) - 0.1


@given(SEEDS)
def test_materials_and_lamps_stay_possible(part: int) -> None:
    world = replace(WORLD, part=part, fixture=part)
    for housing in CONNECTOR.housings.values():
        (before,), (after,) = housing.walls.colors, world.resin(housing.walls).colors
        # Black stays black: at most a stop and a half.
        assert all(abs(math.log2(b / a)) < 1.5 for a, b in zip(before, after, strict=True))
        assert 0.05 <= world.resin(housing.walls).roughness <= 1.0
    for terminal in CONNECTOR.terminals.values():
        plated = world.plated(terminal)
        assert max(plated.color) <= 1.0 and replace(plated, color=terminal.color, roughness=terminal.roughness) == (
            terminal
        )
    finish = world.finish(replace(CONNECTOR.finish, dust=0.2))
    assert finish.dust == 0.2 and finish.scratches == world.value("scratches")
    assert all(0.0 <= level <= 1.0 for color in world.table_colors() for level in color)
    assert 60 <= world.jpeg_quality(0) <= 100 and world.jpeg_quality(40) == 40
