"""Scene files: the values of the project's own scene, and every mistake refused with its line."""

import re
from pathlib import Path

import pytest

from blender_scripts.contract.connector import Connector, read_connector
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.clearance import collisions
from blender_scripts.manifest.defects import parse_defects
from blender_scripts.manifest.placement import place_pins
from tests.blender_scripts.broken_files import assert_problems, cpu_limit, mutations
from tests.conftest import ROOT, SCENES, faults_of
from tests.soak import rounds

TEXT = (SCENES / "connector_3x9.toml").read_text("utf-8")


def scene(folder: Path, changes: dict[str, str | None] | None = None, more: str = "") -> Path:
    """The 3 x 9 scene file with some keys' values replaced or (None) keys removed, and text appended."""
    text = TEXT
    for place, value in (changes or {}).items():
        text = changed(text, place, value)
    path = folder / "s.toml"
    path.write_text(text + more, encoding="utf-8")
    return path


def changed(text: str, place: str, value: str | None) -> str:
    """The text with the line of one key, such as shell.depth_mm or housings.ribbed.blocks.1.top_mm, replaced."""
    lines = text.split("\n")
    line = line_of(text, place) - 1
    lines[line : line + 1] = [] if value is None else [f"{place.rsplit('.', 1)[-1]} = {value}"]
    return "\n".join(lines)


def line_of(text: str, place: str) -> int:
    """The line of a key; a table's array items are numbered from 0."""
    table, seen = "", {}
    for number, line in enumerate(text.split("\n"), 1):
        if header := re.match(r"\[\[?([a-z0-9_.]+)\]", line):
            table = header.group(1)
            if line.startswith("[["):
                seen[table] = seen.get(table, -1) + 1
                table = f"{table}.{seen[table]}"
        elif (key := re.match(r"(\w+) *=", line)) and f"{table}.{key.group(1)}".lstrip(".") == place:
            return number
    raise AssertionError(f"the scene has no {place}")


def problems_of(path: Path) -> list[str]:
    problems = faults_of(read_connector, path)
    assert_problems(problems, "s.toml")
    return problems


@pytest.fixture(scope="module")
def connector() -> Connector:
    return read_connector(SCENES / "connector_3x9.toml")


def test_the_3_x_9_connector_has_27_positions(connector: Connector) -> None:
    assert [p.index for p in connector.positions] == list(range(1, 28))
    assert [p.address for p in connector.positions][:10] == [*(f"r1c{c}" for c in range(1, 10)), "r2c1"]
    assert set(connector.housings) >= {"plain", "ribbed"} and set(connector.terminals) >= {"round", "square"}
    assert {"ring", "side"} <= set(connector.lightings)


def test_row_1_is_at_the_top_and_position_1_at_the_left(connector: Connector) -> None:
    first, last, middle = (connector.position(address) for address in ("r1c1", "r3c9", "r2c5"))
    assert (first.x_mm, first.y_mm) == pytest.approx((-16.0, 4.6))
    assert (last.x_mm, last.y_mm) == pytest.approx((16.0, -4.6))
    assert (middle.x_mm, middle.y_mm) == (0.0, 0.0)
    with pytest.raises(KeyError):
        connector.position("r4c1")


def test_cavities_are_counted_along_rows_or_columns(tmp_path: Path, connector: Connector) -> None:
    assert [connector.position(a).cavity for a in ("r1c1", "r1c2", "r2c1")] == ["1", "2", "10"]
    other = read_connector(scene(tmp_path, {"positions.cavities": '"columns"'}))
    assert [other.position(a).cavity for a in ("r1c1", "r1c2", "r2c1")] == ["1", "4", "2"]
    assert len({p.cavity for p in other.positions}) == 27


def test_repeated_blocks_lie_a_step_apart(connector: Connector) -> None:
    blocks = connector.housings["ribbed"].blocks
    assert len(blocks) == 18 and not connector.housings["plain"].blocks
    assert [b.contour.middle for b in blocks[:2]] == [pytest.approx((x, 7.5)) for x in (-14.0, -10.0)]
    assert blocks[8].contour.middle == pytest.approx((-14.0, -7.5))


TELECENTRIC = "telecentric = true\nfield_mm = 48.0"
UNPICTURED = (
    {"tolerance.true_position_mm": "0.3"},
    {"tolerance.retraction_mm": "0.6\nprotrusion_mm = 0.2"},
    {"tolerance.retraction_mm": "0.6\nat = { r1c2 = { true_position_mm = 0.2 } }"},
    {"description": '"another text"'},
)
PICTURED = ({"scatter.position_mm": "0.031"}, {"picture.samples": "3"}, {"housings.plain.roughness": "0.41"})


def test_the_hash_covers_the_values_that_pictures_depend_on(tmp_path: Path, connector: Connector) -> None:
    same, remark = read_connector(scene(tmp_path)), read_connector(scene(tmp_path, more="# a remark\n"))
    assert same.sha256 == connector.sha256 == remark.sha256 and same.name == "s"
    assert same.file_sha256 == connector.file_sha256 != remark.file_sha256
    edited = [read_connector(scene(tmp_path, changes)) for changes in UNPICTURED]
    assert {each.sha256 for each in edited} == {connector.sha256}
    assert len({connector.file_sha256, *(each.file_sha256 for each in edited)}) == len(UNPICTURED) + 1
    others = {read_connector(scene(tmp_path, changes)).sha256 for changes in PICTURED}
    assert len({connector.sha256, *others}) == len(PICTURED) + 1


def test_a_telecentric_camera_has_a_field_in_place_of_a_focal_length(tmp_path: Path) -> None:
    parallel = read_connector(scene(tmp_path, {"camera.focal_mm": None, "camera.angle_deg": "28.0\n" + TELECENTRIC}))
    assert {rig.field_mm for rig in parallel.cameras.values()} == {48.0}
    # One view of a rig may be of the other kind, whose keys stand in the shared table.
    mixed = read_connector(scene(tmp_path, more=f"\n[camera.top]\n{TELECENTRIC}\n"))
    assert {name for name, rig in mixed.cameras.items() if rig.field_mm} == {"top"}
    (problem,) = problems_of(scene(tmp_path, {"camera.focal_mm": "35.0\ntelecentric = 1"}))
    assert "camera.telecentric: expected true or false, got 1" in problem
    (problem,) = problems_of(scene(tmp_path, {"camera.focal_mm": "35.0\ntelecentric = true"}))
    assert "camera.field_mm: expected a number from 0.5 to 2000, got nothing" in problem
    folding = {"camera.focal_mm": f"35.0\n{TELECENTRIC}", "camera.distortion": "[-0.01, 0.0, 0.0, 0.0, 0.0]"}
    assert "coefficients that give each pixel, up to the picture's corners" in problems_of(scene(tmp_path, folding))[0]


def test_the_reach_of_a_square_pin_is_its_corner(connector: Connector) -> None:
    assert connector.terminals["round"].reach_mm == pytest.approx(0.65)
    assert connector.terminals["square"].reach_mm == pytest.approx(0.55 * 2**0.5)
    low, high = connector.shell.outside.bounds
    assert high == pytest.approx((22.2, 10.8)) and low == pytest.approx((-22.2, -10.8))


MISTAKES = [
    ("schema", "2", "expected an integer from 1 to 1, got 2"),
    ("picture.width", "16", "expected an integer from 32 to 4096, got 16"),
    ("picture.width", "256.0", "expected an integer from 32 to 4096, got 256.0"),
    ("picture.samples", "0", "expected an integer from 1 to 4096, got 0"),
    ("positions.rule", '"spiral"', "expected one of grid, staggered, circle, table, got 'spiral'"),
    ("positions.rows", "0", "expected an integer from 1 to 100, got 0"),
    ("positions.columns", "201", "expected an integer from 1 to 200, got 201"),
    ("positions.pitch_mm", "4.0", "expected 2 numbers from 0.1 to 100, got 4.0"),
    (
        "positions.pitch_mm",
        "[1.9, 4.6]",
        "mm or more apart in X, or 2.08 mm in Y (else cavities overlap), got r1c1 and r1c2 closer together",
    ),
    (
        "positions.pitch_mm",
        "[4.0, 1.5]",
        "mm or more apart in X, or 2.08 mm in Y (else cavities overlap), got r1c1 and r2c1 closer together",
    ),
    ("shell.depth_mm", "-1", "expected a number from 0.1 to 100, got -1"),
    ("shell.depth_mm", "nan", "got nan"),
    ("shell.depth_mm", "9" * 400, "expected a number from 0.1 to 100, got 999"),
    ("shell.depth_mm", "true", "got True"),
    ("shell.wall_mm", '"3"', "expected a number from 0.1 to 100, got '3'"),
    ("shell.height_mm", "7.5", "expected more than 7.5 mm (depth_mm), got 7.5"),
    ("shell.corner_mm", "7.9", "expected at most 7.8 mm (half of the opening's smaller side), got 7.9"),
    ("shell.fillet_mm", "8", "expected less than 7.5 mm (depth_mm), got 8"),
    ("cavity.depth_mm", "[7.0]", "expected a number from 0.5 to 100, got [7.0]"),
    ("housings.plain.color", "[0.012, 0.012]", "expected 3 numbers from 0 to 1, got [0.012, 0.012]"),
    ("housings.plain.color", "[0.012, 0.012, 1.3]", "expected 3 numbers from 0 to 1"),
    ("housings.ribbed.blocks.0.repeat", "[8.7, 2]", "expected two integers, got [8.7, 2.0]"),
    ("housings.ribbed.blocks.0.repeat", "[0, 2]", "expected 2 numbers from 1 to 200"),
    ("terminals.round.section", '"hexagon"', "expected one of round, square, blade, got 'hexagon'"),
    (
        "terminals.round.standing_mm",
        "30",
        "expected less than 27.5 mm (the tip at most 20 mm above the mating face), got 30",
    ),
    ("terminals.round.tip_mm", "6.3", "expected less than 6.3 mm (standing_mm), got 6.3"),
    ("terminals.round.tip_mm", "0.05", "expected a number from 0.1 to 50, got 0.05"),
    ("camera.distance_mm", "10", "(a nearer camera could touch the part), got 10"),
    ("camera.sensor_width_mm", "0.9", "expected a number from 1 to 100, got 0.9"),
    ("camera.angle_deg", "90", "expected a number from 1 to 75, got 90"),
    ("camera.target_mm", "[0.0, 0.0]", "expected 3 numbers"),
    ("lighting.ring.kind", '"sun"', "expected one of ring, side"),
    ("lighting.mixed.shares", "{}", "expected at least one light set-up and its share, such as ring = 0.5, got none"),
    ("marking.stroke_mm", "0.5", "expected at most 0.425 mm (a quarter of height_mm), got 0.5"),
    ("nuisance.exposure", "3", "expected a number from 0 to 2, got 3"),
    ("tolerance.true_position_mm", "0", "expected a number from 0.001 to 50, got 0"),
    ("scatter.position_mm", "-0.03", "expected a number from 0 to 5, got -0.03"),
]


@pytest.mark.parametrize(("place", "value", "says"), MISTAKES, ids=[f"{p}={v[:30]}" for p, v, _ in MISTAKES])
def test_one_mistake_is_one_line(tmp_path: Path, place: str, value: str, says: str) -> None:
    (problem,) = problems_of(scene(tmp_path, {place: value}))
    assert problem.startswith(f"s.toml:{line_of(TEXT, place)} {place}: expected ")
    assert says in problem


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"positions.pitch_mm": "[4.8, 4.6]"},
            " positions: expected every cavity inside the shell's opening, got r1c1",
        ),
        (
            {"cavity.depth_mm": "0.5", "cavity.chamfer_mm": "0.5"},
            " cavity.chamfer_mm: expected less than 0.5 mm (depth_mm)",
        ),
        (
            {"housings.ribbed.blocks.1.top_mm": "-7.7"},
            "blocks.1.top_mm: expected more than -7.7 mm (bottom_mm), got -7.7",
        ),
        (
            {"housings.ribbed.blocks.1.size_mm": "[9, 0.3]"},
            "blocks.1.fillet_mm: expected less than 0.15 mm (half the block's",
        ),
        (
            {"housings.ribbed.blocks.0.top_mm": None},
            "housings.ribbed.blocks.0.top_mm: expected a number from -200 to 200",
        ),
        ({"shell.depth_mm": None}, " shell.depth_mm: expected a number from 0.1 to 100, got nothing"),
        ({"schema": None}, "s.toml:1 schema: expected an integer from 1 to 1, got nothing"),
    ],
)
def test_what_does_not_fit_or_is_not_there(tmp_path: Path, changes: dict[str, str | None], says: str) -> None:
    assert any(says in problem for problem in problems_of(scene(tmp_path, changes)))


TALL = {"housings.keyed.blocks.1.top_mm": "150"}
RAISED = {"marking.height_mm": "1.7\nz_mm = 150"}
MESH = '[housings.keyed.mesh]\nfile = "own.ply"\n'


@pytest.mark.parametrize("changes", [TALL, RAISED])
def test_blocks_and_print_stay_clear_of_every_camera(tmp_path: Path, changes: dict[str, str]) -> None:
    (problem,) = problems_of(scene(tmp_path, changes))
    assert "camera.distance_mm: expected more than 160." in problem
    assert problem.endswith(" (a nearer camera could touch the part), got 118")


def test_blocks_that_a_mesh_replaces_are_in_no_camera_s_way(tmp_path: Path) -> None:
    (tmp_path / "own.ply").write_bytes(b"ply\n")
    assert read_connector(scene(tmp_path, TALL, MESH)).housings["keyed"].cad


def test_unknown_keys_and_tables(tmp_path: Path) -> None:
    more = "[housings.Oak]\ncolor = [0, 0, 0]\nroughness = 0.5\n[plating]\n[housings.plain.finish]\n"
    problems = problems_of(scene(tmp_path, {"cavity.depth_mm": "7.0\ndepth = 7.0"}, more))
    assert [problem.split(": ")[0].split(" ")[1] for problem in problems] == [
        *("cavity.depth", "housings.Oak", "plating", "housings.plain.finish")
    ]
    assert "expected a known key (chamfer_mm, clearance_mm, depth_mm), got 'depth'" in problems[0]
    assert "a table name of up to 32 lower-case letters, digits and _, first a letter, got 'Oak'" in problems[1]


def test_a_table_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    path = scene(tmp_path)
    path.write_text(TEXT.replace("[shell]", "[shel]"), encoding="utf-8")
    (problem,) = problems_of(path)
    assert problem.endswith(" shel: expected the key shell, got 'shel'")
    path.write_text(TEXT.replace("[shell]", "[casing]"), encoding="utf-8")
    missing, unknown = problems_of(path)
    assert "shell: expected a table, got nothing" in missing and "casing: expected a known key (" in unknown


def test_every_mistake_comes_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    changes = {
        "lighting.ring.power": '"full"',
        "positions.rows": "-3",
        "tolerance.retraction_mm": "0.6\nretraction = 0.6",
        "housings.ribbed.roughness": "7",
        "picture.width": "1",
    }
    problems = problems_of(scene(tmp_path, changes))
    lines = [int(problem.split(":")[1].split(" ")[0]) for problem in problems]
    assert len(problems) == 5 and lines == sorted(lines)


def test_a_scene_that_is_not_there(tmp_path: Path) -> None:
    assert_problems(faults_of(read_connector, tmp_path / "s.toml"), "s.toml")


@pytest.mark.parametrize("part", rounds(3))
def test_no_broken_scene_ends_in_anything_but_problems(tmp_path: Path, part: int) -> None:
    path = tmp_path / "s.toml"
    good = 0
    for content in mutations(TEXT.encode(), seed=part, count=70, separator=" = "):
        path.write_bytes(content)
        try:
            with cpu_limit(2.0):
                good += bool(read_connector(path).positions)
        except InputError as error:
            assert_problems(error.problems, "s.toml")
    # In a soak, a round may hold no version that is still valid.
    assert good < 50 and (good or part > 2)


WIDE = {"shell.opening_mm": "[500.0, 500.0]", "camera.distance_mm": "1180.0"}
MANY = {"positions.rows": "100", "positions.columns": "200"}
MOST = {"positions.rows": "40", "positions.columns": "100"}
MONSTERS: dict[str, tuple[dict[str, str | None], str]] = {
    "20,000 positions": ({**WIDE, **MANY, "positions.pitch_mm": "[2.4, 4.6]"}, ""),
    "4,000 positions": ({**WIDE, **MOST, "positions.pitch_mm": "[2.6, 4.6]"}, ""),
    "4,000 positions, all in one place": ({**WIDE, **MOST, "positions.pitch_mm": "[0.1, 0.1]"}, ""),
    "4,000 positions, outside": ({**MOST, "positions.pitch_mm": "[100.0, 100.0]"}, ""),
    "40,000 blocks": ({"housings.ribbed.blocks.0.repeat": "[200, 200]"}, ""),
    "a line of blanks in a text": ({"description": '"""\n[' + " " * 20_000 + '\n"""'}, ""),
    "a long dotted key": ({"schema": "1\n" + "a." * 1500 + "a = 1"}, ""),
    "a deep table": ({"shell.wall_mm": None}, "[shell.wall_mm" + ".a" * 1500 + "]\n"),
    "deep brackets": ({"shell.wall_mm": "[" * 3000 + "]" * 3000}, ""),
    "many tables": ({}, "".join(f"[housings.h{i}]\n" for i in range(3000))),
}


@pytest.mark.parametrize(("changes", "more"), MONSTERS.values(), ids=MONSTERS)
def test_monstrous_scenes_are_answered_quickly(tmp_path: Path, changes: dict[str, str | None], more: str) -> None:
    path = scene(tmp_path, changes, more)
    with cpu_limit(3.0):
        try:
            read_connector(path)
        except InputError as error:
            assert_problems(error.problems, "s.toml")


def test_a_defect_among_4000_pins_is_checked_in_seconds(tmp_path: Path) -> None:
    connector = read_connector(scene(tmp_path, {**WIDE, **MOST, "positions.pitch_mm": "[2.6, 4.6]"}))
    assert len(connector.positions) == 4000
    defects, _ = parse_defects("bent@r20c50:tilt_deg=5,azimuth_deg=90;bent@r1c1:tilt_deg=1;retracted@r40c100")
    with cpu_limit(3.0):
        assert collisions(connector, "plain", place_pins(connector, "round", 1, defects)) == []


HYBRID = (ROOT / "tests" / "blender_scripts" / "hybrid.toml").read_text("utf-8")


def hybrid(folder: Path, old: str = "", new: str = "") -> Connector:
    assert old in HYBRID
    (folder / "s.toml").write_text(HYBRID.replace(old, new) if old else HYBRID, "utf-8")
    return read_connector(folder / "s.toml")


def test_a_hybrid_has_a_terminal_and_a_tolerance_by_position(tmp_path: Path) -> None:
    found = hybrid(tmp_path)
    assert [p.address for p in found.positions] == [*("r1c1", "r1c2", "r1c3", "r1c5", "r1c6", "r2c2", "r2c3", "r2c4")]
    assert [p.cavity for p in found.blanks] == ["3", "5"]
    # What stands in single positions only is not offered for all of them.
    assert found.terminal_names == ("signal", "hybrid")
    standing = {p.address: found.terminal_at("hybrid", p, 1).standing_mm for p in found.positions}
    assert [standing[address] for address in ("r1c1", "r1c2", "r1c3", "r1c6", "r2c2")] == [5.0, 4.0, 5.4, 5.0, 4.0]
    assert [found.tolerance.limits(address).true_position_mm for address in ("r1c2", "r1c3")] == [0.5, 0.3]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "r1c3 = { true",
            "r1c4 = { true",
            "tolerance.at.r1c4: expected the address of a position with a pin, such as r1c1, got 'r1c4', which has",
        ),
        ('r1c3 = "earth"', 'r1c4 = "earth"', "terminals.hybrid.at.r1c4: expected the address of a position with a pin"),
        # A wide terminal must fit where it stands, not where others do.
        ('r1c6 = "power"', 'r1c5 = "power"', "positions: expected positions 1.12 mm or more apart in X, or 2.22"),
        (
            "thickness_mm = 3.0",
            "thickness_mm = 5.8",
            "positions: expected every cavity inside the shell's opening, got r1c1",
        ),
        ("left = 1.2, ", "", "shell.wall_mm.left: expected a number from 0.1 to 100, got nothing"),
        ("left = 1.2", "left = 0", "shell.wall_mm.left: expected a number from 0.1 to 100, got 0"),
        (
            "left = 1.2, ",
            "left = 1.2, near = 2, ",
            "shell.wall_mm.near: expected a known key (bottom, left, right, top)",
        ),
    ],
)
def test_mistakes_of_a_hybrid(old: str, new: str, problem: str, tmp_path: Path) -> None:
    assert [found.split(" ", 1)[1][: len(problem)] for found in faults_of(hybrid, tmp_path, old, new)] == [problem]


def test_a_wall_that_was_not_read_is_compared_with_nothing(tmp_path: Path) -> None:
    text = (SCENES / "connector_3x9.toml").read_text("utf-8").replace("wall_mm = 3.0", "wall_mm = { left = 1.2 }")
    (tmp_path / "s.toml").write_text(text)
    assert [problem.split(": expected a number")[0] for problem in problems_of(tmp_path / "s.toml")] == [
        f"s.toml:30 shell.wall_mm.{side}" for side in ("bottom", "right", "top")
    ]


def test_a_circle_has_one_thickness(tmp_path: Path) -> None:
    text = (SCENES / "circular_5.toml").read_text("utf-8")
    [line] = [line for line in text.split("\n") if line.startswith("wall_mm")]
    walls = "wall_mm = { left = 1.0, right = 2.0, bottom = 1.0, top = 1.0 }"
    (tmp_path / "s.toml").write_text(text.replace(line, walls))
    [problem] = problems_of(tmp_path / "s.toml")
    assert "shell.wall_mm: expected one thickness for all sides, as the shape is a circle, got" in problem
