"""`generator build` without DIR or without --to: the folders it uses, and that it replaces nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from generator.__main__ import main
from generator.dataset import build, connectors
from generator.dataset.folder import read_rows, split_files
from tests.conftest import folder_bytes
from tests.generator.made_renders import SCENES, read_json, row, write_record, write_renders
from tests.other_python import other_python

ROOT = Path(__file__).resolve().parents[3]
ROWS = [row("t1"), row("t2", "test", defects="bent@r1c2:tilt_deg=12")]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_bare_it_takes_the_only_renders_and_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_renders(here / "renders" / "smoke", ROWS)
    write_renders(here / "renders" / ".hidden", ROWS)
    (here / "renders" / "empty" / "manifests").mkdir(parents=True)
    (here / "renders" / "notes.txt").write_text("")
    assert main(["build"]) == 0
    assert capsys.readouterr().out.startswith("building the dataset datasets/smoke from renders/smoke\n")
    before = folder_bytes(here / "datasets")
    assert "smoke/README.md" in before
    assert main(["build"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "datasets/smoke is already the dataset of these renders: nothing to do"
    assert main(["build", "renders/smoke"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert folder_bytes(here / "datasets") == before
    # A place that is named is replaced, as ever.
    assert main(["build", "renders/smoke", "--to", "datasets/smoke", "--grey", "0.1"]) == 0
    assert folder_bytes(here / "datasets") != before


def test_none_and_several_renders_are_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build"]) == 2
    assert capsys.readouterr().err == (
        "DIR: expected a render folder, or exactly one in renders/ as the default, got no DIR, and 0 render folders "
        "there\n"
    )
    for name in ("b", "a"):
        write_renders(here / "renders" / name, ROWS[:1])
    assert main(["build"]) == 2
    assert capsys.readouterr().err == (
        "DIR: expected a render folder, or exactly one in renders/ as the default, got no DIR, and 2 render folders "
        "there: renders/a, renders/b\n"
    )
    assert not (here / "datasets").exists()
    assert main(["build", "renders/b"]) == 0
    assert [path.name for path in (here / "datasets").iterdir()] == ["b"]


def another_record(renders: Path) -> None:
    record = read_json(renders, "t1")
    write_record(renders, {**record, "tolerance": {"true_position_mm": 0.7, "retraction_mm": 0.6}})


def damage(dataset: Path, what: str) -> None:
    card, test = dataset / "README.md", dataset / "data" / "test-00000-of-00001.parquet"
    if what == "no YAML":
        card.write_text("---\npinsight: [\n---\n")
    elif what == "no code":
        lines = card.read_text().splitlines()
        card.write_text("\n".join(line for line in lines if not line.startswith("  code_sha256")))
    elif what == "no rows":
        shutil.rmtree(dataset / "data")
    elif what == "no split":
        test.unlink()
    elif what == "no shard":
        test.rename(test.with_name("test-00000-of-00002.parquet"))
    elif what == "half a file":
        test.write_bytes(test.read_bytes()[:1000])
    elif what == "no parameters":
        (dataset / "nsoart.json").unlink()


def another_row(renders: Path) -> None:
    write_renders(renders, [*ROWS, row("t3")])


@pytest.mark.parametrize(
    ("change", "options", "got"),
    [
        (another_record, [], "one that was not built from these renders with these settings"),
        (another_row, [], "one that was not built from these renders with these settings"),
        (None, ["--tolerance", "retraction_mm=0.5"], "one that was not built from these renders"),
        (None, ["--masks"], "one that was not built from these renders"),
        ("code", [], "one that another version of this program built"),
        ("foreign", [], "one that was not built from these renders"),
        ("no YAML", [], "one that was not built from these renders"),
        ("no code", [], "one that another version of this program built"),
        ("no rows", [], "a damaged dataset of these renders"),
        ("no split", [], "a damaged dataset of these renders"),
        ("no shard", [], "a damaged dataset of these renders"),
        ("half a file", [], "a damaged dataset of these renders"),
        ("no parameters", [], "a damaged dataset of these renders"),
    ],
)
def test_what_is_there_is_not_replaced_unasked(here: Path, capsys, change, options: list[str], got: str) -> None:
    renders, dataset = write_renders(here / "renders" / "smoke", ROWS), here / "datasets" / "smoke"
    assert main(["build"]) == 0
    card = dataset / "README.md"
    if change == "code":
        lines = card.read_text().splitlines()
        lines = [f"{line[:-1]}x" if line.startswith("  code_sha256") else line for line in lines]
        card.write_text("\n".join(lines))
    elif change == "foreign":
        card.write_text("# mine\n")
    elif isinstance(change, str):
        damage(dataset, change)
    elif change is not None:
        change(renders)
    before = folder_bytes(dataset)
    capsys.readouterr()
    assert main(["build", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("datasets/smoke: expected a new folder, or a dataset built from renders/smoke ")
    assert got in error and error.endswith("give another folder with --to, or --overwrite to replace this one\n")
    assert folder_bytes(dataset) == before
    if change is not another_record:  # whose records contradict each other
        assert main(["build", *options, "--overwrite"]) == 0
        assert folder_bytes(dataset) != before


def test_another_scene_file_makes_another_dataset(here: Path, capsys) -> None:
    write_renders(here / "renders" / "smoke", ROWS)
    scenes = shutil.copytree(SCENES, here / "scenes")
    for words in (str(SCENES), "scenes"):
        assert main(["build", "--scenes", words]) == 0
    assert "nothing to do" in capsys.readouterr().out
    (scenes / "wire_to_board_1x6.toml").unlink()  # which these renders do not show
    assert main(["build", "--scenes", "scenes"]) == 0
    edited = scenes / "connector_3x9.toml"
    edited.write_text(edited.read_text("utf-8").replace("standing_mm = 6.3", "standing_mm = 6.2"), "utf-8")
    assert main(["build", "--scenes", "scenes"]) == 2
    assert "one that was not built from these renders with these settings" in capsys.readouterr().err


def test_renders_that_change_during_the_build_are_built_again(here: Path, monkeypatch, capsys) -> None:
    renders = write_renders(here / "renders" / "smoke", ROWS)
    real = connectors.nominal_connectors

    def after_both_passes(*words):
        record = read_json(renders, "t1")
        write_record(renders, {**record, "tolerance": {"true_position_mm": 0.7, "retraction_mm": 0.6}})
        return real(*words)

    monkeypatch.setattr(build, "nominal_connectors", after_both_passes)
    assert main(["build"]) == 0
    assert main(["build"]) == 2
    assert "one that was not built from these renders" in capsys.readouterr().err


def test_a_dataset_that_a_killed_command_moved_away_is_found(here: Path, capsys) -> None:
    write_renders(here / "renders" / "smoke", ROWS)
    assert main(["build"]) == 0
    before = folder_bytes(here / "datasets")
    Path("datasets/smoke").rename("datasets/.smoke.replaced")
    assert main(["build"]) == 0
    assert "nothing to do" in capsys.readouterr().out and folder_bytes(here / "datasets") == before


def test_an_augmented_dataset_is_not_the_dataset_of_the_renders(here: Path, capsys) -> None:
    write_renders(here / "renders" / "smoke", ROWS)
    assert main(["build"]) == 0
    assert main(["augment", "plan", "datasets/smoke", "-o", "plan.csv"]) == 0
    assert main(["augment", "apply", "plan.csv", "--to", "more"]) == 0
    shutil.rmtree("datasets/smoke")
    Path("more").rename("datasets/smoke")
    assert main(["build"]) == 2
    assert "one that was not built from these renders" in capsys.readouterr().err


def test_a_folder_without_a_name_needs_to(here: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    write_renders(here / ".hidden", ROWS)
    assert main(["build", ".hidden"]) == 2
    assert "--to: expected a folder, got none, and no default can be named after .hidden" in capsys.readouterr().err
    monkeypatch.chdir(write_renders(here / "smoke", ROWS))
    assert main(["build", "."]) == 0
    assert Path("datasets/smoke/README.md").is_file()


def test_a_folder_called_datasets_does_not_hide_the_library(here: Path) -> None:
    """In processes of their own, the workers too: the working directory is first where modules are looked for."""
    many = [row(f"m{n}", width=48, height=32) for n in range(400)]
    write_renders(here / "renders" / "smoke", many)
    environment = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = ["-m", "generator", "build", "--workers", "2"]
    for word in ("400 rows in datasets/smoke", "nothing to do", "400 rows in datasets/smoke"):
        assert word in other_python(*command, cwd=here, **environment).stdout
        command += ["--overwrite"] if "nothing" in word else []
        assert (here / "datasets").is_dir()
    code = "import datasets; print(datasets.load_dataset('datasets/smoke', split='train', cache_dir='c').num_rows)"
    assert other_python("-c", code, cwd=here, **environment).stdout == "400\n"
    assert len([*read_rows(split_files(here / "datasets" / "smoke")["train"], ["run"])]) == 400


def test_linters_take_datasets_for_the_library_too(here: Path) -> None:
    (here / "datasets" / "smoke").mkdir(parents=True)
    settings = str(ROOT / "pyproject.toml")
    code = "import numpy\nfrom datasets import Features\n\nfrom generator import bbox_str\n"
    sorted_so = [sys.executable, "-m", "ruff", "check", "--config", settings, "--select", "I", "-"]
    done = subprocess.run(sorted_so, cwd=here, input=code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    command = ["-m", "mypy", "--config-file", settings, "--cache-dir", "cache"]
    (here / "probe").mkdir()
    (here / "probe" / "__init__.py").write_text("from datasets import Features\n\nFeatures()\n")
    command += ["-p", "probe"]
    other_python(*command, cwd=here)
