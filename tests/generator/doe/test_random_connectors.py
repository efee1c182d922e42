"""`generator connectors`: scene files of random connectors."""

import csv
from pathlib import Path

import pytest

from blender_scripts.contract.connector import read_connector
from generator.__main__ import main
from generator.doe import random_connectors


def made(folder: Path, *words: str) -> dict[str, str]:
    assert main(["connectors", "-o", str(folder), *words]) == 0
    return {path.name: path.read_text("utf-8") for path in folder.iterdir()}


def test_equal_seeds_give_equal_files_and_more_of_them_change_none(tmp_path):
    few = made(tmp_path / "few", "--count", "3")
    many = made(tmp_path / "many", "--count", "5")
    assert sorted(few) == ["random_001.toml", "random_002.toml", "random_003.toml"]
    assert {name: many[name] for name in few} == few and len(set(many.values())) == 5
    assert not set(made(tmp_path / "other", "--count", "5", "--seed", "2").values()) & set(many.values())
    assert made(tmp_path / "few", "--count", "3") == few  # repeated: the same files


def test_edited_scenes_and_those_of_another_seed_are_not_replaced_unasked(tmp_path, capsys):
    first = made(tmp_path, "--count", "3", "--seed", "5")
    edited = tmp_path / "random_001.toml"
    edited.write_text(first[edited.name] + "# mine\n", "utf-8")
    assert main(["connectors", "-o", str(tmp_path), "--count", "1", "--seed", "5"]) == 2
    assert f"{edited}: expected no file, or what this command writes" in capsys.readouterr().err
    assert main(["connectors", "-o", str(tmp_path), "--count", "2", "--seed", "9"]) == 2
    assert "got another content (as in 2 of 2 files)" in capsys.readouterr().err
    kept = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert kept == {**first, edited.name: first[edited.name] + "# mine\n"}
    assert made(tmp_path, "--count", "2", "--seed", "5", "--overwrite") == first
    assert "random_003.toml: not of these 2 scenes, left as it is" in capsys.readouterr().err


def test_connectors_differ_in_what_a_network_must_not_rely_on(tmp_path):
    made(tmp_path, "--count", "150", "--seed", "3")
    found = [read_connector(path) for path in sorted(tmp_path.iterdir())]
    assert {len({at.row for at in one.positions}) for one in found} == {1, 2, 3, 4}
    assert len({str(one.terminals["pin"].section) for one in found}) == 2
    blocks = [len(one.housings["plain"].blocks) for one in found]
    assert 0 in blocks and 2 in blocks and max(blocks) > 8  # none, two ends, ribs between the columns
    assert {0, 1} == {len(one.housings["plain"].notches) for one in found}


def test_a_manifest_of_them_has_no_warning(tmp_path, capsys):
    """Pins lie wholly in each view's picture, are thick enough, and stay good parts by their scatter."""
    made(tmp_path / "scenes", "--count", "24", "--seed", "4")
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(
            ("run", "split", "seed", "scene", "housing", "terminal", "defects", "camera", "lighting", "marking")
        )
        for number in range(120):
            scene, camera = f"random_{number // 5 + 1:03d}", ("center", "left", "right", "top", "bottom")[number % 5]
            rows.writerow((f"r{number}", "train", number, scene, "plain", "pin", "", camera, "ring", "numbers"))
    assert main(["check", str(tmp_path / "manifest.csv"), "--scenes", str(tmp_path / "scenes")]) == 0
    said = capsys.readouterr()
    assert "warning: random_" not in said.out + said.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--count", "0"], "--count: expected 1 to 999, got 0"),
        (["--count", "1000"], "--count: expected 1 to 999, got 1000"),
    ],
)
def test_what_is_refused(words, message, tmp_path, capsys):
    assert main(["connectors", "-o", str(tmp_path / "scenes"), *words]) == 2
    assert message in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["connectors", "-o", str(tmp_path / "file")]) == 2
    assert not (tmp_path / "scenes").exists()


def test_when_no_attempt_succeeds_the_fault_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(random_connectors, "_THINNEST_PX", 500)
    assert main(["connectors", "-o", str(tmp_path / "scenes"), "--count", "1"]) == 2
    assert "random connector 1: expected pins of at least 500 px" in capsys.readouterr().err
    assert list((tmp_path / "scenes").iterdir()) == []
