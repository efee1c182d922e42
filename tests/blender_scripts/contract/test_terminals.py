"""Terminals and mixes: sizes in every direction, platings, places in a mix, and refusals."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from blender_scripts.contract.positions import Position
from blender_scripts.contract.terminals import PLATINGS, Mix, Terminal, read_terminals
from blender_scripts.contract.toml_section import TomlSection
from blender_scripts.geometry import solids
from blender_scripts.geometry.pin import Form
from tests.conftest import faults_of

SHAPE = "standing_mm = 8\ntip_mm = 1\ntip_share = 0.4\n"
ROUND = f'[terminals.round]\nsection = "round"\nwidth_mm = 1.2\nplating = "tin"\n{SHAPE}'
BLADE = f'[terminals.blade]\nsection = "blade"\nwidth_mm = 2.8\nthickness_mm = 0.8\nplating = "gold"\n{SHAPE}'
SQUARE = f'[terminals.square]\nsection = "square"\nwidth_mm = 0.64\nplating = "nickel"\n{SHAPE}'
ALL = ROUND + BLADE + SQUARE


def read(text: str, folder: Path) -> tuple[dict[str, Terminal], dict[str, Mix]]:
    path = folder / "t.toml"
    path.write_text(text, encoding="utf-8")
    top = TomlSection.read(path)
    found = read_terminals(top, ("r1c1", "r2c1"))
    top.finish()
    return found


@pytest.mark.parametrize("turn", [0.0, 90.0, 30.0, -45.0])
@pytest.mark.parametrize("name", ["round", "blade", "square"])
def test_sizes_are_those_of_the_mesh(tmp_path: Path, name: str, turn: float) -> None:
    terminal = read(ALL.replace("standing_mm", f"turn_deg = {turn}\nstanding_mm"), tmp_path)[0][name]
    ring = solids.pin_mesh(Form(terminal)).vertices[: solids.sides(terminal), :2]
    broken = 0.08 * min(terminal.width_mm, terminal.thickness_mm)
    assert np.abs(ring).max(axis=0) == pytest.approx(terminal.extent_mm, abs=broken)
    assert np.linalg.norm(ring, axis=1).max() == pytest.approx(terminal.reach_mm, abs=broken)
    sides = np.roll(ring, -1, axis=0) - ring
    normals = np.stack([sides[:, 1], -sides[:, 0]], axis=1)
    for azimuth in np.radians(np.arange(0.0, 360.0, 7.0)):
        # Where a ray from the centre leaves the ring; broken edges lie a little inside.
        away = np.array([math.cos(azimuth), math.sin(azimuth)])
        facing = normals @ away > 1e-9
        leaves = (np.einsum("sk,sk->s", normals, ring)[facing] / (normals[facing] @ away)).min()
        assert terminal.radius_towards(azimuth) == pytest.approx(leaves, abs=0.9 * broken)


def test_platings_name_a_colour_and_a_roughness(tmp_path: Path) -> None:
    found = read(ALL, tmp_path)[0]
    assert (found["blade"].color, found["blade"].roughness) == PLATINGS["gold"]
    assert found["round"].thickness_mm == found["round"].width_mm == 1.2
    matt = read(ALL.replace('plating = "gold"', 'plating = "gold"\nroughness = 0.5'), tmp_path)[0]
    assert matt["blade"].color == PLATINGS["gold"][0] and matt["blade"].roughness == 0.5


def grid(rows: int, columns: int) -> list[Position]:
    return [
        Position(r * columns + c + 1, r + 1, c + 1, "", float(c), float(-r))
        for r in range(rows)
        for c in range(columns)
    ]


@pytest.mark.parametrize(
    ("rule", "rows"),
    [("rows", ["aaa", "bbb", "aaa"]), ("columns", ["aba", "aba", "aba"]), ("checker", ["aba", "bab", "aba"])],
)
def test_a_mix_takes_turns(rule: str, rows: list[str]) -> None:
    mix = Mix("m", ("a", "b"), rule)
    assert [mix.at(position, part=5) for position in grid(3, 3)] == list("".join(rows))


def test_a_random_mix_is_the_parts_own_and_even() -> None:
    mix = Mix("m", ("a", "b", "c"), "random")
    parts = [tuple(mix.at(position, part) for position in grid(3, 9)) for part in range(60)]
    assert parts[7] == tuple(mix.at(position, 7) for position in grid(3, 9))
    assert len(set(parts)) == 60
    counts = Counter(name for part in parts for name in part)
    assert set(counts) == set("abc") and max(counts.values()) < 1.25 * min(counts.values())


def test_a_mix_of_a_scene(tmp_path: Path) -> None:
    terminals, mixes = read(ALL + '[terminals.both]\nmix = ["round", "blade"]\nrule = "rows"\n', tmp_path)
    assert set(terminals) == {"round", "blade", "square"}
    assert mixes == {"both": Mix("both", ("round", "blade"), "rows")}


NAMES = "terminals.m.mix: expected a list of 2 to 16 names of terminals, got"
UNMIXED = "terminals.m.mix: expected the name of a terminal that is not a mix (round, blade, square), got"
MIX = ALL + '[terminals.m]\nmix = ["round", "blade"]\n'
MISTAKES = [
    (MIX.replace('"round", "blade"]', '"round"]'), f"{NAMES} ['round']"),
    (MIX.replace('["round", "blade"]', "3"), f"{NAMES} 3"),
    (MIX.replace('["round", "blade"]', "[1, 2]"), f"{NAMES} [1, 2]"),
    (MIX.replace('"blade"]', '"oak"]'), f"{UNMIXED} 'oak'"),
    (MIX.replace('"blade"]', '"m"]'), f"{UNMIXED} 'm'"),
    (MIX + 'rule = "dice"\n', "terminals.m.rule: expected one of random, rows, columns, checker, got 'dice'"),
    (MIX + "width_mm = 1\n", "expected a known key (mix, rule), got 'width_mm'"),
    (ALL.replace("thickness_mm = 0.8\n", ""), "terminals.blade.thickness_mm: expected a number from 0.05"),
    (ALL.replace('"gold"', '"brass"'), "terminals.blade.plating: expected one of tin, gold, nickel, got"),
    (ALL.replace('plating = "gold"', "color = [1, 1, 1]"), "terminals.blade.roughness: expected a number"),
    (ROUND.replace("width_mm", "thickness_mm = 1\nwidth_mm"), "expected a known key"),
]


@pytest.mark.parametrize(("text", "says"), MISTAKES, ids=[says[:70] for _, says in MISTAKES])
def test_one_mistake_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (problem,) = faults_of(read, text, tmp_path)
    assert says in problem


def test_a_mix_alone_is_nothing(tmp_path: Path) -> None:
    problems = faults_of(read, '[terminals.m]\nmix = ["a", "b"]\n', tmp_path)
    assert any(
        "expected at least one terminal that is not a mix, got only the mixes m" in problem for problem in problems
    )


PLACED = '[terminals.hybrid]\nothers = "round"\n[terminals.hybrid.at]\n'


def test_a_position_may_have_a_terminal_of_its_own(tmp_path: Path) -> None:
    hybrid = read(f'{ALL}{PLACED}r2c1 = "blade"\n', tmp_path)[1]["hybrid"]
    assert hybrid.of == ("round", "blade")
    for row, name in ((1, "round"), (2, "blade")):
        assert {hybrid.at(Position(row, row, 1, "", 0.0, 0.0), part) for part in range(3)} == {name}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f'{PLACED}r3c1 = "blade"\n',
            "t.toml:26 terminals.hybrid.at.r3c1: expected the address of a position with a pin",
        ),
        (
            f'{PLACED}r1c1 = "peg"\n',
            "t.toml:26 terminals.hybrid.at.r1c1: expected the name of a terminal that is not a mix",
        ),
        (
            f"{PLACED}r1c1 = 3\n",
            "t.toml:26 terminals.hybrid.at.r1c1: expected the name of a terminal that is not a mix",
        ),
        (
            '[terminals.hybrid.at]\nr1c1 = "blade"\n',
            "t.toml:23 terminals.hybrid.others: expected a terminal's name, for the positions not in `at`, got nothing",
        ),
        (
            f"{PLACED}".replace("round", "peg"),
            "t.toml:24 terminals.hybrid.others: expected the name of a terminal that is",
        ),
    ],
)
def test_mistakes_in_terminals_by_address(text: str, problem: str, tmp_path: Path) -> None:
    assert [found[: len(problem)] for found in faults_of(read, ALL + text, tmp_path)] == [problem]
