"""`render --shard` and `generator merge`: the bytes of one machine from several, and only what is whole is joined."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from blender_scripts.contract.errors import InputError
from blender_scripts.manifest.output_folder import OutputFolder
from blender_scripts.manifest.reader import read_manifest
from blender_scripts.manifest.record import encode_record, made_with, read_record, row_sha256
from blender_scripts.manifest.render_settings import CPU, RenderSettings
from generator.__main__ import main
from generator.io.checksum import sha256_of
from generator.io.shard import Shard, shard_of
from generator.rendering.shards import Finished
from tests.conftest import ROOT, SCENES, assert_same_files, folder_bytes
from tests.generator.rendering.test_render import NAMES, small_manifest


def slurm(number: int, first: int, last: int, count: int) -> dict[str, str]:
    """What SLURM tells task `number` of an array of `count` tasks, numbered from `first` to `last`."""
    names = ("ID", "MIN", "MAX", "COUNT")
    values = map(str, (number, first, last, count))
    return {f"SLURM_ARRAY_TASK_{name}": value for name, value in zip(names, values, strict=True)}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_share_all_rows_between_them(count: int) -> None:
    rows = [Shard(index, count).rows(23) for index in range(count)]
    assert [row for each in rows for row in each] == list(range(23))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


@pytest.mark.parametrize(
    ("text", "environment", "expected"),
    [
        ("1/4", {}, "1/4"),
        ("auto", slurm(2, 0, 4, 5), "2/5"),
        ("auto/8", slurm(3, 3, 3, 1), "3/8"),  # one task of eight is repeated
        ("auto/3", {"JOB_COMPLETION_INDEX": "0"}, "0/3"),
        ("auto", {"AWS_BATCH_JOB_ARRAY_INDEX": "9", "AWS_BATCH_JOB_ARRAY_SIZE": "10"}, "9/10"),
    ],
)
def test_a_shard_is_read_from_its_text_or_the_schedulers_variables(text, environment, expected) -> None:
    assert str(shard_of(text, environment)) == expected


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("4/4", {}, "expected I/N with I from 0 to N - 1"),
        ("1", {}, "expected I/N"),
        ("auto", {}, "expected one of the environment variables SLURM_ARRAY_TASK_ID"),
        ("auto", {"JOB_COMPLETION_INDEX": "0"}, "give --shard auto/N"),
        ("auto/2", {"JOB_COMPLETION_INDEX": "2"}, "from JOB_COMPLETION_INDEX: expected I/N"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "x", "SLURM_ARRAY_TASK_COUNT": "2"}, "expected whole numbers"),
        ("auto", slurm(3, 3, 3, 1), "a whole job array .* got 1 tasks from .3. to .3.: .* give --shard auto/N"),
        ("auto", slurm(2, 0, 2, 2), "expected a whole job array"),  # --array=0,2
        ("auto/2", slurm(2, 0, 2, 3), "from SLURM_ARRAY_TASK_ID: expected I/N"),
    ],
)
def test_a_shard_that_cannot_be_read_is_refused(text, environment, said) -> None:
    with pytest.raises(InputError, match=said):
        shard_of(text, environment)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The render folders `whole`, of one machine, and `a` and `b`, of two shards, beside their manifest."""
    folder = tmp_path_factory.mktemp("shards")
    manifest = small_manifest(folder)
    for name, more in (("whole", []), ("a", ["--shard", "0/2"]), ("b", ["--shard", "1/2"])):
        assert main(["render", str(manifest), "--out", str(folder / name), "--workers", "1", *more]) == 0
    return folder


@pytest.fixture
def copies(shards: Path, tmp_path: Path) -> Path:
    """Copies of the shards' folders, which a test may damage."""
    for name in ("a", "b"):
        shutil.copytree(shards / name, tmp_path / name)
    return tmp_path


def merge(folder: Path, *more: str, names: tuple[str, ...] = ("a", "b"), to: str = "merged") -> int:
    return main(["merge", *(str(folder / name) for name in names), "--to", str(folder / to), *more])


def test_merged_shards_are_the_folder_of_one_machine(shards: Path) -> None:
    assert sorted(path.stem for path in (shards / "a" / "records").iterdir()) == sorted(NAMES[:2])
    for _ in range(2):  # a second merge finds all files in place
        assert merge(shards, names=("b", "a")) == 0
        assert folder_bytes(shards / "merged") == folder_bytes(shards / "whole")


@pytest.mark.parametrize(
    "left", [f"records/.{NAMES[1]}.json.{{}}.tmp", "images/.a.png.{}.tmp", ".manifest_paths.json.{}.tmp"]
)
def test_an_interrupted_merge_is_resumed(shards: Path, left: str, tmp_path: Path) -> None:
    for name, content in folder_bytes(shards / "whole").items():
        if name.startswith("images/") or name.endswith(f"{NAMES[0]}.json"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    unfinished = tmp_path / left.format(17795)  # what kill -9 leaves: the id is that of the killed process
    unfinished.parent.mkdir(exist_ok=True)
    unfinished.write_bytes(b"{")
    assert merge(shards, to=str(tmp_path)) == 0
    assert_same_files(tmp_path, shards / "whole")


def test_the_rest_of_an_interrupted_copy_is_no_scene_file(tmp_path: Path) -> None:
    output = OutputFolder(tmp_path)
    left = tmp_path / "scenes" / "table" / ".a.png.17795.tmp"
    left.parent.mkdir(parents=True)
    left.touch()
    output.sweep()
    assert not left.exists()


def damage(folder: Path, what: str) -> str:
    """Damage the shards' folders; returns a part of the message."""
    record = folder / "b" / "records" / f"{NAMES[3]}.json"
    if what == "tampered picture":
        path = folder / "a" / "images" / f"{NAMES[0]}.png"
        path.write_bytes(path.read_bytes() + b"x")
        return f"images/{NAMES[0]}.png: expected the SHA-256 that the record"
    if what == "tampered record":
        record.write_text(record.read_text("utf-8").replace('"width": 32', '"width": 33'), "utf-8")
        return "expected the record as it was when the shard was finished"
    if what == "missing record":
        record.unlink()
        return "expected the record of a finished row, got no file"
    if what == "missing mask":
        (folder / "a" / "masks" / f"{NAMES[1]}.png").unlink()
        return f"masks/{NAMES[1]}.png: expected this file of row {NAMES[1]}, got none"
    if what == "unfinished":
        shutil.rmtree(folder / "b" / "shards")
        return "render the shard to its end"
    if what == "another manifest":
        copy = next((folder / "b" / "manifests").iterdir())
        copy.write_text(copy.read_text("utf-8").replace(",ring,", ",side,", 1), "utf-8")
        return "expected the manifest from which shard 1/2 was rendered, got another"
    if what == "another scene":
        scene = next((folder / "b" / "scenes").iterdir())
        scene.write_text(scene.read_text("utf-8") + "# edited\n", "utf-8")
        return "expected the same scene file as in"
    path = folder / "b" / "shards" / "1_of_2.json"
    known = json.loads(path.read_text("utf-8"))
    if what == "another processor":
        path.write_text(json.dumps({**known, "cpu": "riscv64"}), "utf-8")
        return "whose pictures differ in the last bits"
    if what == "a row too few":
        path.write_text(json.dumps({**known, "records": dict(list(known["records"].items())[:1])}), "utf-8")
        return f"expected row {NAMES[3]} in shard 1/2, got none"
    if what == "a foreign row":
        path.write_text(json.dumps({**known, "records": {**known["records"], "other": "0" * 64}}), "utf-8")
        return "expected rows of shard 1/2 only, got also row other"
    assert what == "damaged file"
    path.write_text('{"index": 1}', "utf-8")
    return "expected the file of a finished shard, got a damaged one"


@pytest.mark.parametrize(
    "what",
    [
        "tampered picture",
        "tampered record",
        "missing record",
        "missing mask",
        "unfinished",
        "another manifest",
        "another scene",
        "another processor",
        "a row too few",
        "a foreign row",
        "damaged file",
    ],
)
def test_what_is_missing_changed_or_foreign_is_named_and_nothing_is_written(copies: Path, what: str, capsys) -> None:
    said = damage(copies, what)
    assert merge(copies) == 2
    assert said in capsys.readouterr().err
    assert not (copies / "merged").exists()


def test_shards_that_are_not_all_of_one_manifest_are_refused(copies: Path, shards: Path, capsys) -> None:
    assert merge(copies, names=("a",)) == 2
    assert "expected 2 shards of small.csv, got all but those with the index 1" in capsys.readouterr().err
    assert merge(copies, names=("a", "a", "b")) == 2
    assert "expected shard 0/2 once" in capsys.readouterr().err
    assert merge(copies, to="a") == 2
    assert "expected a folder other than those of the shards" in capsys.readouterr().err
    (copies / "full" / "images").mkdir(parents=True)
    (copies / "full" / "images" / "mine.png").touch()
    assert merge(copies, to="full") == 2
    assert "got images/mine.png in it" in capsys.readouterr().err
    manifest = shards / "small.csv"
    assert main(["render", str(manifest), "--out", str(copies / "c"), "--shard", "0/9"]) == 2
    assert "expected at most as many shards as the manifest has rows, 4" in capsys.readouterr().err


def test_other_machines_are_accepted_on_request(copies: Path) -> None:
    damage(copies, "another processor")
    assert merge(copies, "--mixed") == 0
    assert len(list((copies / "merged" / "records").iterdir())) == len(NAMES)


def test_shards_rendered_with_other_options_are_refused(copies: Path, shards: Path, capsys) -> None:
    shutil.rmtree(copies / "b")
    more = ["--shard", "1/2", "--mask-scale", "2", "--no-denoise", "--depth"]
    assert main(["render", str(shards / "small.csv"), "--out", str(copies / "b"), "--workers", "1", *more]) == 0
    capsys.readouterr()
    for mixed in ([], ["--mixed"]):
        assert merge(copies, *mixed) == 2
        told = capsys.readouterr().err
        row = f"{copies / 'b'}: shard 1/2, row {NAMES[2]}: expected "
        for key, first, got in (
            ("--mask-scale", 1, 2),
            ("extra arrays (--depth, --normal)", "none", "depth"),
            ("denoised", "yes", "no"),
        ):
            line = f"{row}{key} {first}, as in {copies / 'a'}, got {got}: render all shards with the same options\n"
            assert told.count(line) == told.count(f"expected {key} ") == 1
        assert not (copies / "merged").exists()


@pytest.mark.parametrize(
    ("changed", "said", "mixed"),
    [
        ("device", "expected --device CPU, as in {a}, got CUDA", 0),
        ("renderer", "expected renderer version 5, as in {a}, got 4", 2),
    ],
)
def test_shards_of_another_device_or_renderer_are_refused(copies, shards, changed, said, mixed, capsys) -> None:
    manifest = read_manifest(shards / "small.csv", SCENES)
    done = Finished.read(copies / "b" / "shards" / "1_of_2.json")
    for run in manifest.runs[2:]:
        path = copies / "b" / "records" / f"{run.run}.json"
        record = read_record(path)
        settings = made_with(record)
        assert settings == RenderSettings(CPU, True, 1, ())
        if changed == "device":
            text = settings._replace(device="CUDA").text(run.width, run.height, run.samples)
            record["row_sha256"] = row_sha256(run, manifest.connectors[run.scene], record["blender"], text)
        path.write_bytes(encode_record({**record, "renderer": "4"} if changed == "renderer" else record))
        done.records[run.run] = sha256_of(path)
    done.write(OutputFolder(copies / "b"))
    assert merge(copies) == 2
    told = capsys.readouterr().err
    assert said.format(a=copies / "a") in told
    assert ("note: rows whose device and denoising are not known, so that they may differ: 2\n" in told) is bool(mixed)
    assert merge(copies, "--mixed") == mixed


def test_the_sample_slurm_job_renders_a_shard_of_each_task(shards: Path, tmp_path: Path) -> None:
    script = ROOT / "docs" / "cluster" / "render.sbatch"
    for task in (0, 1):  # each submitted alone, as a task that is repeated
        subprocess.run(
            ["bash", script, shards / "small.csv", tmp_path / "renders", "2"],
            env={**os.environ, **slurm(task, task, task, 1), "PINSIGHT_PYTHON": sys.executable},
            cwd=ROOT,
            check=True,
        )
    assert merge(tmp_path / "renders", names=("0", "1"), to="../merged") == 0
    kept = {
        name: content for name, content in folder_bytes(shards / "whole").items() if not name.endswith("_paths.json")
    }
    assert kept.items() <= folder_bytes(tmp_path / "merged").items()


def test_the_sample_kubernetes_job_gives_each_pod_a_shard() -> None:
    job = yaml.safe_load((ROOT / "docs" / "cluster" / "render-job.yaml").read_text("utf-8"))
    assert (job["apiVersion"], job["kind"], job["spec"]["completionMode"]) == ("batch/v1", "Job", "Indexed")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (command,) = container["args"]
    assert f"--shard auto/{job['spec']['completions']} " in command
    assert str(shard_of(f"auto/{job['spec']['completions']}", {"JOB_COMPLETION_INDEX": "7"})) == "7/8"
