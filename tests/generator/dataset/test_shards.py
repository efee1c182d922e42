"""`build --shard` and `generator merge`: several machines give the bytes of one build; only what is whole is joined."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator.__main__ import main
from tests.conftest import ROOT, folder_bytes
from tests.generator.made_renders import SCENES, row, write_renders

SPLITS = ("train", "validation", "test")
DEFECTS = ("", "", "bent@r1c2:tilt_deg=12", "missing@r3c4", "crushed@r1c1")


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("render_manifests", "golden_rows"):
        monkeypatch.setattr(f"generator.dataset.{module}.BATCH_ROWS", 4)


@pytest.fixture(scope="module")
def renders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [row(f"r{n}", SPLITS[n % 7 // 3], DEFECTS[n % 5], width=48, height=32) for n in range(30)]
    return write_renders(tmp_path_factory.mktemp("shards") / "renders", rows)


def build(renders: Path, to: Path, *more: str) -> int:
    return main(["build", str(renders), "--to", str(to), "--scenes", str(SCENES), "--workers", "1", *more])


def merge(*folders: Path, to: Path) -> int:
    return main(["merge", *map(str, folders), "--to", str(to), "--workers", "1"])


@pytest.mark.parametrize("nsoart", ["self", "golden"])
def test_merged_shards_are_the_dataset_of_one_build(renders: Path, tmp_path: Path, nsoart: str, capsys) -> None:
    more = ("--nsoart", nsoart, "--masks", "--grey", "0.1", "--tolerance", "true_position_mm=0.7")
    assert build(renders, tmp_path / "whole", *more) == 0
    capsys.readouterr()
    shards, said = tmp_path / "shards", []
    for index in (2, 0, 1):
        assert build(renders, shards, "--shard", f"{index}/3", *more) == 0
        said.append(capsys.readouterr().out.splitlines()[-1])
    assert "wait for the statistics of the shards 0, 1, which are not checked" in said[0]
    assert said[2].startswith("shard 1/3 is finished: ")
    # The rest of the second pass is done by `merge`, or by a second call of each shard.
    assert merge(shards, to=tmp_path / "merged") == 0
    assert build(renders, shards, "--shard", "0/3", *more) == build(renders, shards, "--shard", "2/3", *more) == 0
    assert capsys.readouterr().out.count("is finished") == 2
    assert merge(*(shards / f"{index}_of_3" for index in (1, 2, 0)), to=tmp_path / "again") == 0
    assert folder_bytes(tmp_path / "merged") == folder_bytes(tmp_path / "again") == folder_bytes(tmp_path / "whole")


def test_finished_shards_are_joined_without_reading_a_picture(renders: Path, tmp_path: Path) -> None:
    shutil.copytree(renders, tmp_path / "renders")
    for index in (0, 1, 0):
        assert build(tmp_path / "renders", tmp_path / "shards", "--shard", f"{index}/2") == 0
    shutil.rmtree(tmp_path / "renders" / "images")
    assert merge(tmp_path / "shards", to=tmp_path / "merged") == 0


@pytest.fixture(scope="module")
def finished(renders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards, of which the second pass of the first is left."""
    folder = tmp_path_factory.mktemp("finished")
    for index in (0, 1):
        assert build(renders, folder, "--shard", f"{index}/2") == 0
    return folder


@pytest.fixture
def shards(finished: Path, tmp_path: Path) -> Path:
    """Copies of the shards, which a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "shards"))


def change(shards: Path, name: str, **values: object) -> None:
    path = shards / name / "shard.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


def damage(shards: Path, what: str) -> str:
    """Damage the shards' folders; returns a part of the message."""
    known = json.loads((shards / "1_of_2" / "shard.json").read_text("utf-8"))
    rows = sorted((shards / "1_of_2" / "rows").glob("*.arrow"))[-1]
    if what == "missing shard":
        shutil.rmtree(shards / "0_of_2")
        return "expected 2 shards, got all but those with the index 0"
    if what == "unfinished shard":
        (shards / "0_of_2" / "shard.json").unlink()
        return "0_of_2/shard.json: expected this file, which `build --shard` writes"
    if what == "damaged file":
        change(shards, "1_of_2", chunks=None)
        return "1_of_2/shard.json: expected this file as `build --shard` wrote it, got a damaged one"
    if what == "missing rows":
        rows.unlink()
        return f"{rows.name}: expected this file of shard 1/2, got none"
    if what == "tampered rows":
        content = rows.read_bytes()
        rows.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        return f"{rows.name}: expected the file with the SHA-256 in shard.json, got a changed one"
    if what == "tampered findings":
        path = rows.with_suffix(".json")
        path.write_text(path.read_text("utf-8") + " ", "utf-8")
        return f"{path.name}: expected the file with the SHA-256 in shard.json"
    if what == "twice":
        shutil.copytree(shards / "1_of_2", shards / "01_of_2")
        return "1_of_2: expected shard 1/2 once, got it from"
    if what == "another number":
        change(shards, "1_of_2", shard={"index": 1, "count": 3})
        return "expected one of 2 shards, as"
    if what == "lost chunk":
        change(shards, "1_of_2", chunks=known["chunks"][1:])
        return "chunks of rows, got"
    part, name = {"foreign": ("manifests", "manifests"), "options": ("options", "options of `build`")}[what]
    change(shards, "1_of_2", identity={**known["identity"], part: []})
    return f"1_of_2: expected a shard with the {name} of"


@pytest.mark.parametrize(
    "what",
    [
        *("missing shard", "unfinished shard", "damaged file", "missing rows", "tampered rows", "tampered findings"),
        *("twice", "another number", "lost chunk", "foreign", "options"),
    ],
)
def test_what_is_missing_changed_or_foreign_is_named_and_nothing_is_written(shards: Path, what: str, capsys) -> None:
    said = damage(shards, what)
    assert merge(shards, to=shards.parent / "merged") == 2
    assert said in capsys.readouterr().err
    assert [path.name for path in shards.parent.iterdir()] == ["shards"]


def test_folders_that_do_not_fit_are_refused(renders: Path, shards: Path, tmp_path: Path, capsys) -> None:
    assert merge(shards, to=shards) == 2
    assert "expected a folder for the dataset alone, got one that contains" in capsys.readouterr().err
    assert merge(shards, renders, to=tmp_path / "merged") == 2
    assert f"{renders}: expected only dataset shards" in capsys.readouterr().err
    assert main(["merge", str(shards), "--to", str(tmp_path / "m"), "--renders", str(tmp_path / "none")]) == 2
    assert ": expected the render folder that the shards were built from, got no such folder" in capsys.readouterr().err
    other = write_renders(tmp_path / "other", [row("r1")])
    assert main(["merge", str(shards), "--to", str(tmp_path / "m"), "--renders", str(other)]) == 2
    assert f"{other}: expected manifests as when the shards were built, got others" in capsys.readouterr().err
    assert main(["build", str(renders), "--shard", "0/2"]) == 2
    assert "--to: expected the folder for all shards" in capsys.readouterr().err
    (shards / "README.md").touch()
    assert build(renders, shards, "--shard", "0/2") == 2
    assert "got a dataset: choose another folder" in capsys.readouterr().err


def test_faults_of_a_shards_rows_are_named(renders: Path, tmp_path: Path, capsys) -> None:
    copy = Path(shutil.copytree(renders, tmp_path / "renders"))
    (copy / "images" / "r1.png").write_bytes(b"")  # in the first chunk
    (copy / "records" / "r6.json").unlink()
    assert build(copy, tmp_path / "shards", "--shard", "0/2") == 2
    assert "images/r1.png: expected" in capsys.readouterr().err
    assert not (tmp_path / "shards" / "0_of_2" / "shard.json").exists()


def test_the_sample_slurm_job_builds_a_shard_of_each_task(renders: Path, finished: Path, tmp_path: Path) -> None:
    known = json.loads((finished / "1_of_2" / "shard.json").read_text("utf-8"))
    subprocess.run(
        ["bash", ROOT / "docs" / "cluster" / "build.sbatch", renders, tmp_path, "2"],
        env={**os.environ, "SLURM_ARRAY_TASK_ID": "1", "PINSIGHT_PYTHON": sys.executable},
        cwd=ROOT,
        check=True,
    )
    found = json.loads((tmp_path / "1_of_2" / "shard.json").read_text("utf-8"))
    assert (found["shard"], found["count"]) == (known["shard"], 3)  # one chunk for each split
