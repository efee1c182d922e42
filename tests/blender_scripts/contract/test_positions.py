"""Positions by every rule, cavity labels, and refusals."""

import math
from pathlib import Path

import pytest

from blender_scripts.contract.positions import Position, read_positions
from blender_scripts.contract.toml_section import TomlSection
from tests.conftest import faults_of


def positions(text: str, folder: Path) -> tuple[Position, ...]:
    path = folder / "p.toml"
    path.write_text(text, encoding="utf-8")
    table = TomlSection.read(path)
    found, _ = read_positions(table)
    table.finish()
    return found


def places(found: tuple[Position, ...]) -> list[tuple[float, float]]:
    return [(p.x_mm, p.y_mm) for p in found]


def test_a_grid_is_centred(tmp_path: Path) -> None:
    found = positions('rule = "grid"\nrows = 2\ncolumns = 3\npitch_mm = [2.0, 5.0]\n', tmp_path)
    assert places(found) == [(-2.0, 2.5), (0.0, 2.5), (2.0, 2.5), (-2.0, -2.5), (0.0, -2.5), (2.0, -2.5)]
    assert [p.address for p in found] == ["r1c1", "r1c2", "r1c3", "r2c1", "r2c2", "r2c3"]
    assert [p.index for p in found] == [1, 2, 3, 4, 5, 6]


def test_staggered_rows_are_each_centred(tmp_path: Path) -> None:
    found = positions('rule = "staggered"\ncounts = [5, 4]\npitch_mm = [2.77, 2.84]\n', tmp_path)
    assert [p.address for p in found] == [*(f"r1c{c}" for c in range(1, 6)), *(f"r2c{c}" for c in range(1, 5))]
    upper, lower = found[:5], found[5:]
    assert {p.y_mm for p in upper} == {1.42} and {p.y_mm for p in lower} == {-1.42}
    assert [p.x_mm for p in upper] == pytest.approx([-5.54, -2.77, 0.0, 2.77, 5.54])
    assert [p.x_mm for p in lower] == pytest.approx([-4.155, -1.385, 1.385, 4.155])


@pytest.mark.parametrize("start", [90.0, 54.0, -20.0])
def test_a_circle_runs_clockwise_from_its_start(tmp_path: Path, start: float) -> None:
    more = "" if start == 90.0 else f"start_deg = {start}\n"
    found = positions(f'rule = "circle"\ncount = 5\nradius_mm = 3.75\n{more}', tmp_path)
    assert [p.address for p in found] == [f"r1c{c}" for c in range(1, 6)]
    for i, (x, y) in enumerate(places(found)):
        assert math.hypot(x, y) == pytest.approx(3.75)
        off = math.degrees(math.atan2(y, x)) - (start - 72.0 * i)
        assert (off + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-9)


def test_a_table_is_taken_as_it_stands(tmp_path: Path) -> None:
    found = positions('rule = "table"\nat_mm = [[[0, 1.5], [2, 1.5]], [[1, -1]]]\n', tmp_path)
    assert places(found) == [(0.0, 1.5), (2.0, 1.5), (1.0, -1.0)]
    assert [p.address for p in found] == ["r1c1", "r1c2", "r2c1"]


@pytest.mark.parametrize(
    ("cavities", "labels"),
    [
        ("", ["1", "2", "3", "4", "5"]),
        ('cavities = "rows"', ["1", "2", "3", "4", "5"]),
        # Column by column, each from the top; the lower row is shorter.
        ('cavities = "columns"', ["1", "3", "5", "2", "4"]),
        ('cavities = ["A1", "A2", "A3", "B1", "PE"]', ["A1", "A2", "A3", "B1", "PE"]),
    ],
)
def test_cavities_are_labelled(tmp_path: Path, cavities: str, labels: list[str]) -> None:
    found = positions(f'rule = "staggered"\ncounts = [3, 2]\npitch_mm = [2, 2]\n{cavities}\n', tmp_path)
    assert [p.cavity for p in found] == labels


GRID = 'rule = "grid"\nrows = 1\ncolumns = 3\npitch_mm = [2, 2]\n'
ROWS = 'rule = "staggered"\npitch_mm = [1, 1]\n'
TABLE = 'rule = "table"\n'
LABELS = "expected 'rows', 'columns', or a list of 3 different labels of 1 to 16 characters, got"
PLACES = "at_mm: expected a list of rows, each a list of [x, y] in mm from -500 to 500, row 1 first, got"
MISTAKES = [
    (GRID.replace("grid", "helix"), "rule: expected one of grid, staggered, circle, table, got 'helix'"),
    (GRID.replace("rows = 1\ncolumns = 3", "rows = 100\ncolumns = 200"), "at most 4000 positions, got 20000"),
    (GRID + 'cavities = "diagonal"\n', f"{LABELS} 'diagonal'"),
    (GRID + 'cavities = ["1", "2"]\n', f"{LABELS} ['1', '2']"),
    (GRID + 'cavities = ["1", "2", "2"]\n', f"{LABELS} ['1', '2', '2']"),
    (GRID + 'cavities = ["1", "2", ""]\n', f"{LABELS} ['1', '2', '']"),
    (GRID + 'cavities = ["1", "2", 3]\n', f"{LABELS} ['1', '2', 3]"),
    (GRID + 'cavities = ["1", "2", "a\\nb"]\n', LABELS),
    (GRID + f'cavities = ["1", "2", "{"x" * 17}"]\n', LABELS),
    (GRID + "cavities = 7\n", f"{LABELS} 7"),
    (GRID + "counts = [2]\n", "expected a known key (blanks, cavities, columns, pitch_mm, rows, rule), got 'counts'"),
    (
        ROWS,
        "counts: expected a list with the number of positions, 1 to 200, of each of 1 to 100 rows, such as [5, 4], "
        "got nothing",
    ),
    (ROWS + "counts = []\n", "such as [5, 4], got []"),
    (ROWS + "counts = [3, 0]\n", "such as [5, 4], got [3, 0]"),
    (ROWS + "counts = [3, true]\n", "such as [5, 4], got [3, True]"),
    (ROWS + 'counts = "3"\n', "such as [5, 4], got '3'"),
    (ROWS + "counts = [3, 201]\n", "such as [5, 4], got [3, 201]"),
    ('rule = "circle"\ncount = 0\nradius_mm = 2\n', "count: expected an integer from 1 to 200, got 0"),
    ('rule = "circle"\ncount = 3\n', "radius_mm: expected a number from 0.1 to 250, got nothing"),
    (TABLE, f"{PLACES} nothing"),
    (TABLE + "at_mm = []\n", f"{PLACES} []"),
    (TABLE + "at_mm = [[]]\n", f"{PLACES} [[]]"),
    (TABLE + "at_mm = [[0, 1]]\n", f"{PLACES} 0"),
    (TABLE + "at_mm = [[[0, 1, 2]]]\n", f"{PLACES} [0, 1, 2]"),
    (TABLE + "at_mm = [[[0, 501]]]\n", f"{PLACES} [0, 501]"),
    (TABLE + "at_mm = [[[0, nan]]]\n", f"{PLACES} [0, nan]"),
    (TABLE + "at_mm = [[[0, true]]]\n", f"{PLACES} [0, True]"),
]


@pytest.mark.parametrize(("text", "says"), MISTAKES, ids=[f"{text[-30:]!r}" for text, _ in MISTAKES])
def test_one_mistake_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (problem,) = faults_of(positions, text, tmp_path)
    assert says in problem and problem.isprintable()


GRID = 'rule = "grid"\nrows = 2\ncolumns = 2\npitch_mm = [2.0, 5.0]\n'


def test_blanks_keep_the_addresses_and_labels_of_the_other_positions(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(f'{GRID}blanks = ["r1c2"]\n')
    pins, blanks = read_positions(TomlSection.read(path))
    assert [(p.index, p.address, p.cavity) for p in pins] == [(1, "r1c1", "1"), (2, "r2c1", "3"), (3, "r2c2", "4")]
    assert [(p.index, p.address, p.cavity, p.x_mm, p.y_mm) for p in blanks] == [(0, "r1c2", "2", 1.0, 2.5)]


@pytest.mark.parametrize(
    "blanks", ['["r3c1"]', '["r1c1", "r1c1"]', '"r1c1"', "[1]", '["r1c1", "r1c2", "r2c1", "r2c2"]']
)
def test_blanks_are_some_of_the_positions(blanks: str, tmp_path: Path) -> None:
    [problem] = faults_of(positions, f"{GRID}blanks = {blanks}\n", tmp_path)
    assert problem.startswith("p.toml:5 blanks: expected a list of different addresses (r1c1 to r2c2), not")
