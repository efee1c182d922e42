"""`python -m generator check`: the balance of a manifest, or every mistake in it; nothing is rendered."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator.__main__ import main
from tests.conftest import COLUMNS, ROOT, ROWS, write_manifest
from tests.other_python import other_python

SMOKE = ROOT / "manifests" / "smoke.csv"
GOOD = ("good", "train", 1, 1, "plain", "round", "", "center", "ring", "none")


def table(output: str, factor: str) -> dict[str, list[str]]:
    """One balance table as level -> counts; the header line has the factor's name as level."""
    lines = output.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith(factor + " "))
    return {cells[0]: cells[1:] for cells in (line.split() for line in lines[start : lines.index("", start)])}


def test_a_good_manifest_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(SMOKE)]) == 0
    output = capsys.readouterr().out
    assert output.startswith("smoke.csv: 9 pictures of 9 parts, 1 scene(s), no mistake found\n")
    assert table(output, "defect") == {
        "defect": ["train", "validation"],
        "ok": ["2", "1"],
        "bent": ["2", "1"],
        "retracted": ["1", "0"],
        "missing": ["1", "0"],
        "missing+retracted": ["0", "1"],
    }
    assert table(output, "class") == {
        "class": ["train", "validation"],
        "OK": ["2", "1"],
        "BENDNG": ["2", "1"],
        "NUKENG": ["2", "1"],
    }
    assert table(output, "camera")["right"] == ["2", "1"]
    assert (
        "factors that vary together in split validation (Cramér's V: 0 = independent, 1 = fully dependent)\n" in output
    )
    assert "  marking with housing: 1.00\n" in output
    assert "estimate for rendering: " in output


def test_a_reader_that_stops_reading_is_no_fault() -> None:
    command = [sys.executable, "-m", "generator", "check", str(SMOKE)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as done:
        done.stdout.close()
        assert (done.stderr.read(), done.wait()) == ("", 1)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device"), "expected a file or folder that can be read and written, got: No sp"),
        (PermissionError(13, "Permission denied", "/a/b"), "/a/b: expected a file or folder that can be read and wr"),
    ],
)
def test_what_the_disk_refuses_is_one_line(
    error: OSError, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: object) -> int:
        raise error

    monkeypatch.setattr("generator.doe.check.run", refused)
    assert main(["check", str(SMOKE)]) == 2
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith(line)


def test_the_hold_out_is_seen_at_a_glance(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        ("a", "train", 1, 1, "plain", "round", "bent@r1c1;missing@r3c9", "center", "ring", "none"),
        ("b", "validation", 2, 2, "plain", "round", "missing@r2c5", "center", "ring", "none"),
        ("c", "test_new", 3, 3, "plain", "round", "missing@r1c1", "center", "ring", "none"),
    ]
    assert main(["check", str(write_manifest(tmp_path / "m.csv", rows))]) == 0
    lines = capsys.readouterr().out.split("\n")
    legend = "A = train, B = validation, C = test_new, . = no split"
    start = lines.index(f"splits in which each pin of scene connector_3x9 has defects ({legend})")
    assert [line.split() for line in lines[start + 1 : start + 4]] == [
        ["AC", *"........"],
        [*"....", "B", *"...."],
        [*"........", "A"],
    ]


def test_a_users_factors_are_counted_whatever_they_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = ["two\nlines", "x" * 300, "", "品川", *(f"level {i}" for i in range(20))]
    rows = [(f"a{i}", *GOOD[1:2], i, i, *GOOD[4:], value) for i, value in enumerate(values)]
    path = write_manifest(tmp_path / "m.csv", rows, (*COLUMNS, "factory"))
    assert main(["check", str(path)]) == 0
    lines = capsys.readouterr().out.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("factory "))
    shown = lines[start + 1 : lines.index("", start)]
    assert shown[0].startswith(r"'two\nlines'") and shown[2].startswith("(empty)") and shown[3].startswith("品川")
    assert shown[-1] == "(12 more levels of factory)"
    assert all(len(line) < 160 for line in lines)


def test_columns_line_up_under_long_names_of_splits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    splits = ["train", "test_of_another_factory", "validation"]
    rows = [(f"a{i}", split, i, i, *GOOD[4:]) for i, split in enumerate(splits)]
    assert main(["check", str(write_manifest(tmp_path / "m.csv", rows))]) == 0
    lines = capsys.readouterr().out.split("\n")
    start = next(i for i, line in enumerate(lines) if line.startswith("defect "))
    assert len(lines[start]) == len(lines[start + 1])


FIVE = [
    ("a", "train", 1, 1, "plain", "round", "", "behind", "ring", "none"),
    ("b", "train", 2, 2, "plain", "round", "bent@r9c9", "center", "ring", "none"),
    ("a", "train", 3, 3, "plain", "round", "", "center", "ring", "none"),
    ("d", "train", 4, -4, "plain", "round", "", "center", "ring", "none"),
    ("e", "train", 5, 5, "oak", "round", "", "center", "ring", "none"),
]


def test_five_mistakes_are_five_lines_and_exit_code_2(tmp_path: Path) -> None:
    path = write_manifest(tmp_path / "five.csv", FIVE)
    done = other_python("-m", "generator", "check", path, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert [line.split(": expected ")[0] for line in done.stderr.splitlines()] == [
        "five.csv:2 camera",
        "five.csv:3 defects",
        "five.csv:4 run",
        "five.csv:5 seed",
        "five.csv:6 housing",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["five.csv"]


def test_a_manifest_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "none.csv")]) == 2
    assert capsys.readouterr().err.startswith("none.csv:1 file: expected a readable CSV file, got ")


def test_another_folder_of_scenes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_manifest(tmp_path / "m.csv", ROWS[:1])
    assert main(["check", str(path), "--scenes", str(tmp_path)]) == 2
    assert "scene: expected one of the scenes in the --scenes folder, which has none" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["chek", "m.csv"], ["check"], ["check", "m.csv", "--fix"], ["--check", "m.csv"]]
)
def test_a_wrong_command_line_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_blanks_keep_their_place_in_the_map_of_positions(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copy(ROOT / "tests" / "blender_scripts" / "hybrid.toml", tmp_path)
    header = "run,split,seed,scene,housing,terminal,defects,camera,lighting,marking"
    (tmp_path / "m.csv").write_text(f"{header}\na,train,1,hybrid,plain,hybrid,missing@r1c5,center,ring,none\n")
    assert main(["check", str(tmp_path / "m.csv"), "--scenes", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.split("\n")
    legend = "A = train, . = no split, - = position without a pin"
    at = lines.index(f"splits in which each pin of scene hybrid has defects ({legend})")
    assert lines[at + 1 : at + 3] == ["  . . . - A .", "  - . . ."]
