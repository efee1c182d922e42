"""`--init base`: where the base is looked for, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest

from trainer.core import base
from trainer.core.errors import InputError
from trainer.gauge.command import main as train_gauge
from trainer.vit.command import main as train_vit


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(base, "_CLONE", tmp_path / "clone")
    return tmp_path


def put(run: Path, ended: bool = True) -> Path:
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    if ended:
        (run / "report.html").touch()
        (run / "summary.json").write_text('{"stopped": ""}')
    return run


def test_other_values_are_left_as_they_are(place):
    values = [None, "", "runs/base", "./base"]
    assert [base.begun_with(value, "vit") for value in values] == values


def test_the_base_of_the_current_folder_comes_before_that_of_the_clone(place):
    there = put(place / "clone" / "base" / "vit")
    assert base.begun_with("base", "vit") == str(there)
    put(Path("base/vit"))
    assert base.begun_with("base", "vit") == str(place / "base/vit")
    with pytest.raises(InputError, match=r"expected a trained run in .*base/gauge or .*, got none: `make base`"):
        base.begun_with("base", "gauge")


def test_a_base_is_known_by_its_digest_not_by_names(place, monkeypatch):
    put(Path("store/vit"))
    Path("base").symlink_to("store")
    assert not base.is_base("base/vit") and not base.is_base("")
    Path("store/data.sha256").touch()
    assert base.is_base("base/vit") and base.is_base("store/vit") and not base.is_base("runs/vit")
    assert base.begun_with("base", "vit") == str(place / "base/vit")
    monkeypatch.setattr(base, "_CLONE", place)
    with pytest.raises(InputError, match=rf"expected a trained run in {place}/base/gauge, got none"):
        base.begun_with("base", "gauge")


def test_a_run_of_a_base_without_its_digest_is_not_taken_for_another_in_silence(place):
    put(Path("base/vit"))
    put(Path("runs/vit"))
    for given in ("base/vit", base.begun_with("base", "vit")):
        note = base.unknown(given)
        assert note.startswith(
            f"--init {given}: whether this is a base is not known, as {place / 'base/data.sha256'} is"
        )
    Path("base/data.sha256").touch()
    assert [base.unknown(each) for each in ("base/vit", "runs/vit", "base/gauge", "", None)] == [""] * 5


def test_the_folder_of_a_base_names_its_run(place):
    put(Path("station/base/vit"))
    assert base.begun_with("station/base", "vit") == "station/base"
    Path("station/base/data.sha256").touch()
    for given in ("station/base", "station/base/", str(place / "station/base")):
        run = base.begun_with(given, "vit")
        assert run == str(Path(given) / "vit") and base.is_base(run)
    with pytest.raises(
        InputError, match=r"--init station/base: expected a trained run in station/base/gauge, got none"
    ):
        base.begun_with("station/base", "gauge")


def test_a_link_to_the_run_of_a_base_is_that_run(place):
    put(Path("station/base/vit"))
    Path("station/base/data.sha256").touch()
    Path("runs").mkdir()
    Path("runs/begin").symlink_to(place / "station/base/vit")
    assert base.begun_with("runs/begin", "vit") == "runs/begin"
    assert base.is_base("runs/begin") and not base.is_base("runs")


def test_a_base_still_in_training_is_refused(place):
    put(Path("base/vit"), ended=False)
    with pytest.raises(InputError, match="got none"):
        base.begun_with("base", "vit")


def test_a_run_of_the_name_base_is_that_run(place):
    put(Path("base"))
    assert base.begun_with("base", "vit") == "base"


@pytest.mark.parametrize("train", [train_vit, train_gauge])
def test_without_a_base_the_command_says_how_to_make_one(train, place, tiny_dataset, capsys):
    assert train(["--data", str(tiny_dataset), "--out", "run", "--init", "base"]) == 2
    assert "error: --init base: expected a trained run in /" in capsys.readouterr().err
    assert not Path("run").exists()


def test_a_vit_begins_with_the_base_and_is_resumed(place, tiny_dataset, small_options, capsys):
    words = ["--data", str(tiny_dataset), *small_options, "--no-check"]
    assert train_vit([*words, "--out", "base/vit", "--epochs", "2"]) == 0
    begun = [*words[:2], "--out", "run", "--init", "base", "--no-check", "--epochs", "2"]
    assert train_vit(begun) == 0
    said = capsys.readouterr().out
    assert f"starts with the weights of {place / 'base/vit'}" in said and "whether this is a base is not known" in said
    assert json.loads(Path("run/config.json").read_text())["training"]["init"] == str(place / "base/vit")
    Path("run/report.html").unlink()
    assert train_vit([*begun, "--resume"]) == 0
    shutil.rmtree("base")
    assert train_vit([*begun[:4], "--resume"]) == 0
