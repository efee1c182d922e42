"""Manifests: what is accepted, and every kind of mistake refused with file, line and column."""

import csv
import io
import shutil
import time
from pathlib import Path

import pytest

from blender_scripts.contract.connector import read_connector
from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.reader import (
    RESERVED,
    Manifest,
    read_manifest,
    read_validated,
    run_names,
    stream_manifest,
)
from blender_scripts.manifest.record import row_sha256
from tests.blender_scripts.broken_files import assert_problems, cpu_limit, mutations
from tests.conftest import ROOT, SCENES, faults_of
from tests.soak import rounds

GOOD = {
    "run": "good",
    "split": "train",
    "part": "1",
    "seed": "2",
    "scene": "connector_3x9",
    "housing": "plain",
    "terminal": "round",
    "defects": "",
    "camera": "center",
    "lighting": "ring",
    "marking": "none",
}
CONNECTOR = read_connector(SCENES / "connector_3x9.toml")
SCENE_NAMES = ", ".join(sorted(path.stem for path in SCENES.glob("*.toml")))
HOUSINGS, TERMINALS = ", ".join(CONNECTOR.housings), ", ".join(CONNECTOR.terminal_names)
HEADER = ",".join(GOOD)
LINE = ",".join(GOOD.values())


def row(run: str, **cells: str) -> dict[str, str]:
    """A valid row; its part is a hash of its name, so that rows share no part by chance."""
    number = str(int.from_bytes(run.encode()) % 10**9)
    return {**GOOD, "run": run, "part": number, "seed": number, **cells}


def write(folder: Path, *rows: dict[str, str]) -> Path:
    columns = list(dict.fromkeys(name for cells in rows for name in cells))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return save(folder, text.getvalue())


def save(folder: Path, content: str | bytes) -> Path:
    path = folder / "m.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path) -> Manifest:
    return read_manifest(path, SCENES)


def problems_of(path: Path) -> list[str]:
    problems = faults_of(read, path)
    assert_problems(problems, path.name)
    return problems


# Column, cell, and a piece of the expected message.
MISTAKES = [
    ("run", "", "expected 1 to 64 letters, digits, _ or -, got ''"),
    ("run", "x" * 65, "1 to 64 letters"),
    ("run", "../x", "got '../x'"),
    ("run", "a/b", "got 'a/b'"),
    ("run", "a.b", "got 'a.b'"),
    ("run", "ä", "got 'ä'"),
    ("run", "nothing\nat all", r"got 'nothing\nat all'"),
    ("run", "nothing\x1b[31m", r"got 'nothing\x1b[31m'"),
    ("split", "", "expected train, validation, test or test_NAME, got ''"),
    ("split", "Train", "got 'Train'"),
    ("split", "test_", "got 'test_'"),
    ("split", "test-x", "got 'test-x'"),
    ("seed", "", "expected an integer from 0 to 9223372036854775807, got nothing"),
    ("seed", "-1", "got '-1'"),
    ("seed", "1.5", "got '1.5'"),
    ("seed", "1e3", "got '1e3'"),
    ("seed", "+1", "got '+1'"),
    ("seed", "0x10", "got '0x10'"),
    ("seed", "1_000", "got '1_000'"),
    ("seed", "１２", "got '１２'"),
    ("seed", "²", "got '²'"),
    ("seed", "9223372036854775808", "from 0 to 9223372036854775807, got '9223372036854775808'"),
    ("seed", "9" * 5000, "got '9999"),
    ("part", "-1", "expected an integer from 0 to"),
    ("part", "3.0", "got '3.0'"),
    ("fixture", "-1", "expected an integer from 0 to"),
    ("fixture", "A", "(a column of your own needs another name), got 'A'"),
    ("scene", "", "got ''"),
    ("scene", "connector_9x9", f"expected one of {SCENE_NAMES}, got 'connector_9x9'"),
    ("scene", "../scenes/connector_3x9", "expected the name of a scene file"),
    ("scene", "connector_3x9.toml", "without .toml"),
    ("scene", "/etc/passwd", "expected the name of a scene file"),
    ("housing", "oak", f"expected one of {HOUSINGS} (scene connector_3x9), got 'oak'"),
    ("housing", "Plain", "got 'Plain'"),
    ("terminal", "hexagon", f"expected one of {TERMINALS} (scene connector_3x9), got 'hexagon'"),
    ("lighting", "sun", "got 'sun'"),
    ("camera", "back", "expected one of center, left, right, top, bottom, got 'back'"),
    ("camera", "", "got ''"),
    ("marking", "", "expected none, numbers, or text= and 1 to 32 characters, got nothing"),
    ("marking", "number", "got 'number'"),
    ("marking", "text", "got 'text'"),
    ("marking", "text=", "got 'text='"),
    ("marking", "text=" + "i" * 33, "and 1 to 32 characters"),
    ("marking", "text=品質", "expected letters, digits, space and _-./+ only"),
    ("marking", "text=a\tb", r"got '\t'"),
    ("marking", "text=" + "W" * 32, "expected a text at most 44.4 mm wide, to fit on the housing"),
    ("width", "31", "expected an integer from 32 to 4096, got '31'"),
    ("width", "4097", "got '4097'"),
    ("width", "64.0", "got '64.0'"),
    ("height", "-64", "got '-64'"),
    ("height", "tall", "got 'tall'"),
    ("samples", "0", "expected an integer from 1 to 4096, got '0'"),
    ("samples", "4097", "got '4097'"),
    ("world", "wider", "expected one of scene, wide (a column of your own needs another name), got 'wider'"),
    ("defects", "melted@r1c1", "expected kind@target with a kind of wrong, retracted, protruding, broken, bent"),
    ("defects", "bent", "expected bent@ followed by a pin address such as r2c5, got 'bent'"),
    ("defects", "bent@", "got 'bent@'"),
    ("defects", "bent@2,5", "got 'bent@2,5'"),
    ("defects", "bent@r0c1", "got 'bent@r0c1'"),
    ("defects", "bent@r1c٣", "a pin address"),
    ("defects", "bent@housing", "a pin address"),
    ("defects", "bent@r4c1", "expected an address of scene connector_3x9 (r1c1 to r3c9), got 'r4c1'"),
    ("defects", "missing@r1c10", "got 'r1c10'"),
    ("defects", "bent@r2c5:", "expected parameter=value with one of tilt_deg, tip_offset_mm"),
    ("defects", "bent@r2c5:tilt_deg", "got 'tilt_deg'"),
    ("defects", "bent@r2c5:tilt_deg=2,5", "got '5' (a comma separates parameters: write 0.5, not 0,5)"),
    ("defects", "bent@r2c5:angle=3", "got 'angle=3'"),
    ("defects", "bent@r2c5:tilt_deg=", "expected a number for tilt_deg, got ''"),
    ("defects", "bent@r2c5:tilt_deg=steep", "expected a number for tilt_deg, got 'steep'"),
    ("defects", "bent@r2c5:tilt_deg=nan", "expected a number for tilt_deg"),
    ("defects", "bent@r2c5:tilt_deg=inf", "expected a number for tilt_deg"),
    ("defects", "bent@r2c5:tilt_deg=1_0", "expected a number for tilt_deg"),
    ("defects", "bent@r2c5:tilt_deg=１２", "expected a number for tilt_deg"),
    ("defects", "bent@r2c5:tilt_deg=0", "expected tilt_deg from 0.1 to 60, got 0"),
    ("defects", "bent@r2c5:tilt_deg=60.1", "got 60.1"),
    ("defects", "bent@r2c5:tilt_deg=1e999", "got 1e999"),
    ("defects", "bent@r2c5:tilt_deg=" + "9" * 5000, "expected tilt_deg from 0.1 to 60"),
    ("defects", "bent@r2c5:azimuth_deg=360.5", "expected azimuth_deg from 0 to 360, got 360.5"),
    ("defects", "bent@r2c5:azimuth_deg=-1", "got -1"),
    ("defects", "bent@r2c5:tilt_deg=5,tilt_deg=6", "expected tilt_deg once"),
    ("defects", "bent@r2c5:tilt_deg=5,tip_offset_mm=1", "expected either tilt_deg or tip_offset_mm, got both"),
    ("defects", "bent@r2c5:tip_offset_mm=20", "expected tip_offset_mm of at most 5.29"),
    ("defects", "bent@r2c5:start_mm=6.3", "expected start_mm below 6.3 mm (the pin's length"),
    ("defects", "retracted@r2c5:depth_mm=0.01", "expected depth_mm from 0.02 to 30, got 0.01"),
    ("defects", "retracted@r2c5:depth_mm=7.01", "expected depth_mm of at most 7 mm (the cavity's depth), got 7.01"),
    ("defects", "missing@r2c5:depth_mm=1", "expected no parameters for missing, got 'depth_mm=1'"),
    (
        "defects",
        "bent@r2c5;bent@r2c5:azimuth_deg=90",
        "expected each kind of defect once per target, got bent@r2c5 twice",
    ),
    (
        "defects",
        "missing@r2c5;bent@r2c5",
        "expected no other defect at a pin that is missing, got missing and bent at r2c5",
    ),
    ("defects", "bent@r2c5;", "got ''"),
    ("defects", "crushed@r2c5;broken@r2c5", "expected either crushed or broken at a pin, got both at r2c5"),
    (
        "defects",
        "crushed@r2c5:depth_mm=4",
        "expected depth_mm of at most 1.56 mm, as only 5.3 mm of the pin can buckle",
    ),
    ("defects", "broken@r2c5:lost_mm=6.25", "expected lost_mm of at most 6.2 mm for a pin 6.3 mm long, got 6.25"),
    ("defects", "twisted@r2c5", "expected twisted@r2c5"),
    ("defects", "wrong@r2c5:terminal=round", "expected another terminal of scene connector_3x9 (square"),
    ("defects", "wrong@r2c5:plating=tin", "expected a plating that differs from the terminal's, got tin"),
    ("defects", "wrong@r2c5:plating=brass", "expected plating as one of tin, gold, nickel, got 'brass'"),
    ("defects", "foreign@r2c5:type=bridge", "expected two pins (r1c1-r1c2) for a bridge, and one pin"),
    ("defects", "foreign@r2c5-r2c6", "got foreign@r2c5-r2c6:type=ball"),
    ("defects", "foreign@r2c5-r2c5:type=bridge", "expected two different addresses, got"),
    ("defects", "foreign@r2c5-r9c6:type=bridge", "expected an address of scene connector_3x9"),
    (
        "defects",
        "foreign@r2c5-r2c7:type=bridge",
        "expected free space between the two pins, got the pin at r2c6 in the way",
    ),
    ("defects", "foreign@r2c5:size_mm=9", "expected free space for a ball of 9 mm diameter, got the pin at r"),
    ("defects", "foreign@housing:x_mm=19", "expected x_mm and y_mm of a point inside the opening"),
    ("defects", "foreign@housing:type=burr", "expected a pin's address as the target of a burr, got foreign@housing"),
    ("defects", "foreign@print", "expected foreign@ followed by a pin address such as r2c5 or two addresses"),
    ("defects", "missing@r2c5;foreign@r2c5-r2c6:type=bridge", "expected a pin at r2c5"),
    ("defects", "chipped@r2c5", "expected chipped@ followed by `housing`, got 'chipped@r2c5'"),
    ("defects", "chipped@housing:depth_mm=8", "expected depth_mm of at most 7.5 mm (the shell's depth), got 8"),
    ("defects", "chipped@housing:size_mm=40", "expected size_mm of at most 31.6 mm (0.3 of the rim's length), got 40"),
    ("defects", "cracked@housing:length_mm=8", "expected length_mm of at most 7.5 mm (the shell's depth), got 8"),
    ("defects", "print@print", "expected a print (column `marking`) on the housing for print@print"),
    ("defects", "print@housing", "expected print@ followed by `print`, got 'print@housing'"),
    ("defects", "bent@r2c5:tilt_deg=40", "expected a pin clear of the pin at r2c6, got bent@r2c5:tilt_deg=40"),
    ("defects", "bent@r1c5:tilt_deg=40,azimuth_deg=90", "expected a pin clear of the wall"),
]


@pytest.mark.parametrize(("column", "value", "says"), MISTAKES, ids=[f"{c}={v[:40]!r}" for c, v, _ in MISTAKES])
def test_one_mistake_is_one_line(tmp_path: Path, column: str, value: str, says: str) -> None:
    path = write(tmp_path, row("first"), {**row("second"), column: value}, row("third"))
    (problem,) = problems_of(path)
    assert problem.startswith(f"m.csv:3 {column}: expected ")
    assert says in problem


def test_a_rib_is_in_the_way_in_one_housing_only(tmp_path: Path) -> None:
    defects = "bent@r1c5:tilt_deg=25,azimuth_deg=55"
    read(write(tmp_path, row("a", defects=defects, housing="plain")))
    (problem,) = problems_of(write(tmp_path, row("a", defects=defects, housing="ribbed")))
    assert problem.startswith("m.csv:2 defects: expected a pin clear of the blocks of housing ribbed")


def test_every_pin_that_does_not_fit_is_named(tmp_path: Path) -> None:
    defects = "retracted@r1c1:depth_mm=8;bent@r1c3:start_mm=9;bent@r1c5:tip_offset_mm=29"
    problems = problems_of(write(tmp_path, row("a", defects=defects)))
    assert ["r1c1" in problems[0], "r1c3" in problems[1], "r1c5" in problems[2]] == [True] * 3 == [True] * len(problems)
    assert len(problems_of(write(tmp_path, row("a", defects="bent@r2c2:tilt_deg=40;bent@r2c7:tilt_deg=40")))) == 2


@pytest.mark.parametrize(("first", "second"), [("same", "same"), ("Same", "sAME")])
def test_a_name_stands_once_whatever_its_case(tmp_path: Path, first: str, second: str) -> None:
    (problem,) = problems_of(write(tmp_path, row(first, part="1"), row("other"), row(second, part="2")))
    assert problem == f"m.csv:4 run: expected a name that no other row has (line 2 has it), got '{second}'"


@pytest.mark.parametrize(("first", "second"), [("7", "7"), ("7", "007")])
def test_a_part_stands_in_one_split(tmp_path: Path, first: str, second: str) -> None:
    path = write(tmp_path, row("a", part=first), row("b", part=second, split="test"))
    (problem,) = problems_of(path)
    assert (
        problem
        == "m.csv:3 part: expected all rows of a part in one split (line 2 has part 7 in train), got split 'test'"
    )


def test_without_a_part_the_seed_is_the_part(tmp_path: Path) -> None:
    rows = [
        {name: value for name, value in row(run, seed="5", split=split).items() if name != "part"}
        for run, split in (("a", "train"), ("b", "test"))
    ]
    (problem,) = problems_of(write(tmp_path, *rows))
    assert problem.startswith("m.csv:3 seed: expected all rows of a part in one split (line 2 has part 5")
    assert read(write(tmp_path, rows[0])).runs[0].part == 5
    assert read(write(tmp_path, {**rows[0], "part": ""})).runs[0].part == 5


def test_without_a_fixture_each_seed_is_a_placing(tmp_path: Path) -> None:
    runs = read(
        write(tmp_path, *(row(run, seed="5", fixture=fixture) for run, fixture in (("a", ""), ("b", "9"))))
    ).runs
    assert [(run.seed, run.fixture) for run in runs] == [(5, 5), (5, 9)]


def test_what_is_wrong_by_itself_brings_no_second_line(tmp_path: Path) -> None:
    rows = [row("a", seed="x", part="x"), row("b", seed="x", part="x", split="test"), row("c", split="trian", part="1")]
    problems = problems_of(write(tmp_path, *rows, row("d", part="1"), row("a/b"), row("a/b", part="3")))
    assert [problem.split(": ")[0] for problem in problems] == [
        *("m.csv:2 seed", "m.csv:2 part", "m.csv:3 seed", "m.csv:3 part", "m.csv:4 split", "m.csv:6 run", "m.csv:7 run")
    ]


def test_five_mistakes_in_five_rows_are_five_lines(tmp_path: Path) -> None:
    rows = [
        row("a", camera="behind"),
        row("b", defects="bent@r9c9"),
        row("c"),
        row("c", part="1"),
        row("e", seed="-4"),
        row("f", scene="unknown"),
    ]
    problems = problems_of(write(tmp_path, *rows))
    places = ["m.csv:2 camera", "m.csv:3 defects", "m.csv:5 run", "m.csv:6 seed", "m.csv:7 scene"]
    assert [problem.split(": ")[0] for problem in problems] == places


def test_five_mistakes_in_one_row_are_five_lines(tmp_path: Path) -> None:
    wrong = row("a", camera="behind", split="", seed="1.5", marking="text=", defects="bent@r1c1:tilt_deg=99")
    problems = problems_of(write(tmp_path, wrong))
    assert {problem.split(": ")[0].removeprefix("m.csv:2 ") for problem in problems} == {
        *("camera", "split", "seed", "marking", "defects")
    }
    assert len(problems) == 5


def test_a_scene_that_is_wrong_is_reported_once(tmp_path: Path) -> None:
    good = (SCENES / "connector_3x9.toml").read_text("utf-8")
    (tmp_path / "bad.toml").write_text(good.replace("depth_mm = 7.5", "depth_mm = -1"), encoding="utf-8")
    path = write(tmp_path, row("a", scene="bad"), row("b", scene="bad", camera="behind"))
    assert [problem.split(": ")[0] for problem in faults_of(read_manifest, path, tmp_path)] == [
        "bad.toml:31 shell.depth_mm",
        "m.csv:3 camera",
    ]


FILES = [
    (b"", "m.csv:1 header: expected the columns run, split"),
    (b"\n\n  \n", "m.csv:1 header: expected the columns run, split"),
    (HEADER, "m.csv:2 file: expected at least one row below the header, got nothing"),
    (HEADER + "\n,,,,,,,,,,\n", "m.csv:2 file: expected at least one row"),
    (f"{HEADER}\n{LINE},\n", "m.csv:2 row: expected 11 values as in the header, got 12"),
    (f"{HEADER}\n{LINE[:-20]}", "m.csv:2 row: expected 11 values as in the header, got 7 (a truncated line"),
    (f'{HEADER}\n{LINE}\n"a2,train,1', "m.csv:3 row: expected a valid CSV record, got unexpected end of data"),
    (f'{HEADER}\n"a"b{LINE}\n', "m.csv:2 row: expected a valid CSV record, got ',' expected after '\"'"),
    (f'"{HEADER}"\n"{LINE}"\n', "m.csv:1 header: expected columns separated by commas, semicolons or tabs"),
    (
        f"{HEADER.replace(',', ';')}\n{LINE.replace(',', ';')};\n",
        "m.csv:2 row: expected 11 values as in the header, got 12 (a truncated line, a stray semicolon?)",
    ),
    (
        f"{HEADER}\n{LINE.replace(',,', ',bent@r1c1:tilt_deg=0,5,')}\n",
        "m.csv:2 row: expected 11 values as in the header, got 12 (a truncated line, a stray comma or a decimal",
    ),
    (
        f"{HEADER},,\n{LINE},,x\n{LINE.replace('good', 'b')},,x\n",
        "m.csv:2 column 13: expected a name for this column in the header",
    ),
    (f"{HEADER.replace('seed,', '')}\n", "m.csv:1 header: expected the column seed, got no such column"),
    (f"{HEADER.replace('seed', 'Seed')}\n{LINE}", "m.csv:1 header: expected the column seed"),
    (LINE.replace(",,", ",x,") + "\n", "m.csv:1 header: expected the columns run, split"),
    (f"{HEADER},seed\n{LINE},1", "m.csv:1 header: expected each column once, got 'seed' twice"),
    (f"{HEADER},a,a\n{LINE},1,2", "m.csv:1 header: expected each column once, got 'a' twice"),
    (
        f"{HEADER},\n{LINE},1",
        "m.csv:2 column 12: expected a name for this column in the header, or no values in the column, got '1'",
    ),
    (f"{HEADER},{'n' * 65}\n{LINE},1", "m.csv:1 header: expected a column name of 1 to 64 printable characters"),
    (f'{HEADER},"a\nb"\n{LINE},1', r"m.csv:1 header: expected a column name of 1 to 64 printable characters"),
    (f"{HEADER}\n{LINE}\n{LINE[:9]}\0{LINE}", "m.csv:3 file: expected text, got a NUL byte"),
    (f"{HEADER},factory\n{LINE},品川\n".encode("cp932"), "m.csv:2 file: expected UTF-8 text"),
    (b"\xef\xbb\xbf" + f"{HEADER},factory\n{LINE},".encode() + b"\x93\xfa\n", "(save as 'CSV UTF-8'), got byte 0x93"),
    (f"{HEADER}\n{LINE}\n".encode("utf-16"), "m.csv:1 file: expected UTF-8 text"),
    (f"{HEADER}\n{LINE}\n".encode("utf-16-le"), "m.csv:1 file: expected text, got a NUL byte"),
    (f"{HEADER}\n{LINE},".encode() + b"\xff\n", "m.csv:2 file: expected UTF-8 text"),
]


@pytest.mark.parametrize(("content", "says"), FILES, ids=[says[:70] for _, says in FILES])
def test_a_file_that_is_no_manifest_is_one_line(tmp_path: Path, content: str | bytes, says: str) -> None:
    (problem,) = problems_of(save(tmp_path, content))
    assert says in problem


def test_a_row_without_a_world_is_of_the_scene_s(tmp_path: Path) -> None:
    runs = read_manifest(write(tmp_path, row("a"), row("b", world=""), row("c", world="wide")), SCENES).runs
    assert [run.world for run in runs] == ["scene", "scene", "wide"]
    assert all("world" not in run.extra and run.row()["world"] == run.world for run in runs)


@pytest.mark.parametrize("name", RESERVED)
def test_columns_of_the_dataset_are_reserved(tmp_path: Path, name: str) -> None:
    (problem,) = problems_of(write(tmp_path, row("a", **{name: "1"})))
    assert problem == f"m.csv:1 header: expected another name, as datasets have a column of this name, got '{name}'"


def test_every_mistake_of_a_header_is_reported(tmp_path: Path) -> None:
    problems = problems_of(save(tmp_path, f"{HEADER.replace('seed', 'sed')},image,a,a,\n"))
    assert [problem.split("expected ")[1].split(" ")[0] for problem in problems] == ["another", "each", "the"]


def test_a_file_that_is_not_there_or_a_folder(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path / "m.csv")
    assert problem == "m.csv:1 file: expected a readable CSV file, got No such file or directory"
    (tmp_path / "m.csv").mkdir()
    assert "got Is a directory" in problems_of(tmp_path / "m.csv")[0]


@pytest.mark.parametrize("folder", ["", "scenes"])
def test_a_scene_file_near_the_manifest_is_pointed_to(tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    (place / "mine.toml").touch()
    with pytest.raises(InputError) as caught:
        read_manifest(write(tmp_path, row("a", scene="mine")), SCENES)
    assert f"got 'mine' (for {place / 'mine.toml'}, give --scenes {place})" in str(caught.value)


def test_without_scenes_every_scene_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_manifest(write(tmp_path, row("a")), tmp_path / "nowhere")
    assert "expected one of the scenes in the --scenes folder, which has none, got 'connector_3x9'" in str(caught.value)


ACCEPTED = {
    "plain": f"{HEADER}\n{LINE}\n",
    "no newline at the end": f"{HEADER}\n{LINE}",
    "byte-order mark": f"\ufeff{HEADER}\n{LINE}\n",
    "carriage returns": f"{HEADER}\r\n{LINE}\r\n",
    "old Macintosh": f"{HEADER}\r{LINE}\r",
    "blank lines": f"\n\n{HEADER}\n\n   \n{LINE}\n\n",
    "a spreadsheet's empty rows": f"{HEADER}\n{LINE}\n{',' * 10}\n{',' * 10}\n",
    "spaces round values": f" {HEADER.replace(',', ' , ')} \n {LINE.replace(',', ' , ')} \n",
    "semicolons": f"{HEADER}\n{LINE}\n".replace(",", ";"),
    "tabs": f"{HEADER}\n{LINE}\n".replace(",", "\t"),
    "bars": f"{HEADER}\n{LINE}\n".replace(",", "|"),
    "Excel's first line": f"sep=,\n{HEADER}\n{LINE}\n",
    "Excel's first line for semicolons": f"\ufeffsep=;\r\n{HEADER}\r\n{LINE}\r\n".replace(",", ";"),
    "columns without a name": f",{HEADER},,\n,{LINE},,\n{',' * 13}\n,{LINE.replace('good', 'more')}\n",
    "every field quoted": "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in (HEADER, LINE)),
    "a space before a quote": f"{HEADER}\n{LINE.replace(',center', ', "center"')}",
    "columns in another order": "\n".join(",".join(line.split(",")[::-1]) for line in (HEADER, LINE)),
}


@pytest.mark.parametrize("content", ACCEPTED.values(), ids=ACCEPTED)
def test_what_spreadsheets_and_editors_write_is_accepted(tmp_path: Path, content: str) -> None:
    run, *_ = read(save(tmp_path, content)).runs
    assert list(run.extra) == []
    assert {name: str(value) for name, value in run.row().items() if name in GOOD} == GOOD


def test_a_file_from_a_german_spreadsheet_is_the_same_manifest(tmp_path: Path) -> None:
    defects = "bent@r2c5:tilt_deg=2.5,azimuth_deg=90;missing@r1c1"
    rows = [row("a", part="1", defects=defects, note="0,5", **{"": ""}), row("b", part="2", note='x;"y"')]
    usual, text = read(write(tmp_path, *rows)), io.StringIO(newline="")
    writer = csv.DictWriter(text, [*rows[0], " "], restval="", delimiter=";")
    writer.writeheader()
    writer.writerows([*rows, {}, {}])
    german = read(save(tmp_path, b"\xef\xbb\xbf" + text.getvalue().encode()))
    assert german.runs == usual.runs and [run.extra for run in german.runs] == [{"note": "0,5"}, {"note": 'x;"y"'}]
    hashes = [[row_sha256(run, CONNECTOR, "5.2", "") for run in manifest.runs] for manifest in (german, usual)]
    assert hashes[0] == hashes[1]


def test_a_users_column_may_hold_anything_and_is_kept_as_text(tmp_path: Path) -> None:
    values = ["two\nlines", 'a "quoted", word', "品川", "007", "", "=1+1"]
    rows = [row(f"a{number}", note=value, **{"工場 no.": "x"}) for number, value in enumerate(values)]
    runs = read(write(tmp_path, *rows)).runs
    assert [run.extra for run in runs] == [{"note": value, "工場 no.": "x"} for value in values]
    assert [run.row()["note"] for run in runs] == values


def test_lines_are_counted_through_quoted_newlines(tmp_path: Path) -> None:
    rows = [row("a", note="1\n2\r\n3"), row("b", camera="x", note="4\n5"), row("c"), row("d", camera="y")]
    problems = problems_of(write(tmp_path, *rows))
    # The header is line 1; a stands in 2 to 4, b in 5 and 6, c in 7.
    assert [problem.split(" ")[0] for problem in problems] == ["m.csv:5", "m.csv:8"]


def test_defaults_come_from_the_scene(tmp_path: Path) -> None:
    connector = read_connector(SCENES / "connector_3x9.toml")
    (run,) = read(write(tmp_path, row("a", width="", samples=" "))).runs
    assert (run.width, run.height, run.samples) == (connector.width, connector.height, connector.samples)
    (run,) = read(write(tmp_path, row("a", width="32", height="4096", samples="1"))).runs
    assert (run.width, run.height, run.samples) == (32, 4096, 1)


def test_defects_are_spelled_out_in_the_row(tmp_path: Path) -> None:
    defects = " bent @ r2c5 : azimuth_deg = 90 ; retracted@r1c3:depth_mm=+1.50 ;missing@r3c7"
    (run,) = read(write(tmp_path, row("a", defects=defects))).runs
    assert run.row()["defects"] == (
        "bent@r2c5:tilt_deg=12,azimuth_deg=90,start_mm=0.3,curve_mm=1.8,shape=arc;retracted@r1c3:depth_mm=1.5;missing@r3c7"
    )
    assert list(run.row())[:2] == ["run", "split"] and "run" not in run.picture_columns()


def test_the_projects_own_manifests_are_good() -> None:
    paths = sorted((ROOT / "manifests").glob("*.csv"))
    assert paths
    for path in paths:
        assert read(path).runs


@pytest.mark.parametrize("part", rounds(4))
def test_no_broken_manifest_ends_in_anything_but_problems(tmp_path: Path, part: int) -> None:
    smoke = (ROOT / "manifests" / "smoke.csv").read_bytes()
    good = 0
    for content in mutations(smoke, seed=part, count=90, separator=","):
        path = save(tmp_path, content)
        try:
            with cpu_limit(2.0):
                good += bool(read(path).runs)
        except InputError as error:
            assert_problems(error.problems, path.name)
            lines = len(content.decode("utf-8", "replace").splitlines()) + 1
            assert all(int(problem.split(":")[1].split(" ")[0]) <= lines for problem in error.problems)
    # Most changes are mistakes; some, such as another seed, are not.
    assert good < 45 and (good or part > 3)


MONSTERS = {
    "ten thousand defects": row("a", defects=";".join(f"missing@r{1 + i // 99}c{1 + i % 99}" for i in range(9000))),
    "one defect many times": row("a", defects=";".join(["missing@r1c1"] * 9000)),
    "semicolons": row("a", defects=";" * 100_000),
    "commas": row("a", defects="bent@r1c1:" + "," * 100_000),
    "digits": row("a", seed="1" * 100_000, defects="bent@r1c1:tilt_deg=" + "1" * 100_000),
    "a cell above csv's limit": row("a", defects="x" * 200_000),
    "many columns": {**row("a"), **{f"column {i}": "" for i in range(40_000)}},
    "markup": row("a", marking="text=" + "W" * 100_000),
}


@pytest.mark.parametrize("cells", MONSTERS.values(), ids=MONSTERS)
def test_monstrous_cells_are_answered_quickly(tmp_path: Path, cells: dict[str, str]) -> None:
    path = write(tmp_path, cells)
    with cpu_limit(4.0):
        try:
            read(path)
        except InputError as error:
            assert_problems(error.problems, path.name)


def test_a_thousand_rows_are_checked_in_seconds(tmp_path: Path) -> None:
    rows = [row(f"a{i}", part=str(i), defects=f"bent@r{1 + i % 3}c{1 + i % 9}:tilt_deg=9") for i in range(500)]
    path = write(tmp_path, *rows)
    before = time.process_time()
    assert len(read(path).runs) == 500
    assert time.process_time() - before < 4.0


def test_a_blank_has_no_defect_and_a_terminal_of_one_position_is_not_offered(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "blender_scripts" / "hybrid.toml", tmp_path)
    cells = {"scene": "hybrid", "terminal": "hybrid"}
    for changes, says in (
        ({"defects": "missing@r1c4"}, "defects: expected an address of scene hybrid (r1c1 to r2c4), got r1c4, a blank"),
        ({"terminal": "power"}, "terminal: expected one of signal, hybrid (scene hybrid), got 'power'"),
    ):
        problems = faults_of(read_manifest, write(tmp_path, row("a", **{**cells, **changes})), tmp_path)
        assert [problem[: len(says) + 8] for problem in problems] == [f"m.csv:2 {says}"]
    assert read_manifest(write(tmp_path, row("a", **cells, defects="wrong@r1c3:terminal=signal")), tmp_path).runs


def test_rows_that_are_read_when_they_are_used_are_those_that_are_kept(tmp_path: Path) -> None:
    rows = [row("a", note="of two\nlines; 'quoted'"), row("b", defects="missing@r1c2"), row("c", split="test")]
    kept, streamed = read(path := write(tmp_path, *rows)), stream_manifest(path, SCENES)
    assert tuple(streamed.runs) == kept.runs and len(streamed.runs) == 3
    assert streamed.runs[-1] == kept.runs[2] and streamed.connectors.keys() == kept.connectors.keys()
    validated = read_validated(path, SCENES, kept.checked_sha256)
    assert [validated.runs[number] for number in (2, 0, 1)] == [kept.runs[number] for number in (2, 0, 1)]
    assert validated.housings == {"connector_3x9": {"plain"}}
    assert list(run_names(path)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "rows",
    [
        [row("a"), row("b", part="1"), row("A"), row("c", part="1", split="test"), row("a")],
        [row("a", defects="bent@r1c2:tilt_deg=40;bent@r1c3:tilt_deg=-40"), row("b", camera="x")],
    ],
)
def test_a_streamed_manifest_has_the_mistakes_of_the_whole(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    path = write(tmp_path, *rows)
    assert faults_of(stream_manifest, path, SCENES) == problems_of(path)
