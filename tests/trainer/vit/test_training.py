"""Learning by heart, resuming, refusing: the command as a user runs it."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.conftest import folder_bytes
from tests.trainer.conftest import dying_in_epoch
from trainer.core.loop import Schedule, learning_rate
from trainer.core.options import exit_code
from trainer.vit.command import main
from trainer.vit.loader import Plan


def table(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def train(data: Path, run: Path, *options: str) -> int:
    return main(["--data", str(data), "--out", str(run), *options])


def test_twelve_pictures_are_learned_by_heart(trained_run):
    assert float(table(trained_run)[-1]["train_accuracy"]) == 1.0
    summary = json.loads((trained_run / "summary.json").read_text())
    assert summary["splits"]["validation"]["accuracy"] >= 5 / 6


def test_a_run_holds_metrics_pictures_and_weights(trained_run):
    rows = table(trained_run)
    assert [int(row["epoch"]) for row in rows] == list(range(1, 41))
    expected = {"lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_balanced_accuracy"}
    expected |= {"val_recall_BENDNG", "val_recall_NUKENG", "val_recall_OK", "seconds"}
    expected |= {"val_prediction_entropy_bits", "val_top_class", "val_top_share"}
    assert expected <= set(rows[0])
    for name in ("curves.png", "confusion.png"):
        with Image.open(trained_run / name) as picture:
            assert min(picture.size) > 200
    assert not list(trained_run.glob(".*"))
    best = json.loads((trained_run / "summary.json").read_text())["best_epoch"]
    assert [row["stage"] for row in rows] == ["close-ups"] * 12 + ["pictures"] * 28
    assert all((row["train_accuracy"] == "") == (row["stage"] == "close-ups") for row in rows)
    scores = [
        (float(row["val_balanced_accuracy"]), -float(row["val_loss"])) if row["stage"] == "pictures" else (-1, 0)
        for row in rows
    ]
    assert scores[best - 1] == max(scores)


def test_learning_rate_warms_up_and_falls():
    schedule = Schedule(epochs=1, lr=1e-3, warmup=0.1, clip=1.0)
    rates = [learning_rate(step, 100, schedule) for step in range(100)]
    assert rates[0] == pytest.approx(1e-4)
    assert max(rates) == pytest.approx(1e-3)
    assert rates.index(max(rates)) in (9, 10)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 2e-5


def test_the_plan_counts_every_step_once():
    plan = Plan(epochs=10, close_up_epochs=6, picture_steps=5, close_up_steps=10)
    assert [plan.steps(epoch) for epoch in (1, 6, 7, 10)] == [10, 10, 5, 5]
    assert [plan.done(epoch) for epoch in (0, 1, 6, 7, 10)] == [0, 10, 60, 65, 80]


def same_but_seconds(a: Path, b: Path) -> bool:
    strip = [[{k: v for k, v in row.items() if k != "seconds"} for row in table(run)] for run in (a, b)]
    return strip[0] == strip[1]


# Died in the close-ups' stage, where the class head has no moments yet; and among the pictures.
@pytest.mark.parametrize(("close_ups", "measure_weight"), [("0.75", "0"), ("0.25", "1")])
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(
    tiny_dataset, tmp_path, small_options, close_ups, measure_weight
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = ["--epochs", "4", "--dropout", "0.1", "--close-ups", close_ups, *small_options]
    options += ["--measure-weight", measure_weight]
    assert train(tiny_dataset, whole, *options) == 0

    with dying_in_epoch(3):
        assert train(tiny_dataset, broken, *options) == 1
    assert len(table(broken)) == 2
    assert train(tiny_dataset, broken, "--resume", "--device", "cpu") == 0

    assert same_but_seconds(whole, broken)
    for name in ("best.safetensors", "last.safetensors", "state.safetensors"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name


def test_seeds_decide_the_result(tiny_dataset, tmp_path, small_options):
    runs = [tmp_path / name for name in ("a", "b", "c")]
    for run, seed in zip(runs, ("3", "3", "4"), strict=True):
        assert train(tiny_dataset, run, "--epochs", "1", *small_options, "--seed", seed) == 0
    a, b, c = (load_file(run / "last.safetensors") for run in runs)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert any(not torch.equal(a[name], c[name]) for name in a)


@pytest.mark.parametrize("drop", ["column", "null"])
def test_data_without_boxes_trains_on_picture_labels(make_dataset, make_rows, tmp_path, small_options, capsys, drop):
    splits = {name: make_rows(name, 6, 0, objects=False) for name in ("train", "validation")}
    if drop == "column":
        splits = {
            name: [{k: v for k, v in row.items() if k != "objects"} for row in rows] for name, rows in splits.items()
        }
    data = make_dataset(tmp_path / "data", splits)
    assert train(data, tmp_path / "run", "--epochs", "1", *small_options) == 0
    assert "trains on labels only" in capsys.readouterr().out


def test_collapse_is_said_in_plain_words(tiny_dataset, tmp_path, small_options, capsys):
    # So low a rate leaves the first random answer, one class for everything.
    assert train(tiny_dataset, tmp_path / "run", "--epochs", "1", *small_options, "--lr", "1e-9", "--no-check") == 0
    said = capsys.readouterr().out
    assert "WARNING: the model predicts" in said
    assert "WARNING: this run is not usable" in said
    assert "collapsed to one class" in said
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["warnings"]


def test_a_healthy_run_is_not_called_collapsed(run, tiny_dataset, capsys):
    assert train(tiny_dataset, run, "--resume", "--device", "cpu") == 0
    assert "collapsed" not in capsys.readouterr().out
    assert json.loads((run / "summary.json").read_text())["warnings"] == []


def test_a_resumed_run_stops_at_the_time_limit_and_keeps_its_schedule(tiny_dataset, tmp_path, small_options, capsys):
    run = tmp_path / "run"
    with dying_in_epoch(1):
        assert train(tiny_dataset, run, "--epochs", "3", *small_options) == 1
    assert train(tiny_dataset, run, "--resume", "--device", "cpu", "--time-limit", "1e-6") == 1
    said = capsys.readouterr().out
    assert "stopped: time limit of 1e-06 min reached after epoch 1 of 3" in said
    assert "no best model was saved: the training stopped before" in said
    assert "; continue with --resume and a longer --time-limit" in said
    assert len(table(run)) == 1
    assert train(tiny_dataset, run, "--resume", "--device", "cpu") == 0
    assert len(table(run)) == 3


def test_nsoart_pictures_and_another_size(tiny_dataset, tmp_path, small_options):
    run = tmp_path / "run"
    options = ["--epochs", "1", "--input", "nsoart", "--image-size", "48x40", *small_options]
    assert train(tiny_dataset, run, *options) == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["model"]["width"], config["model"]["height"]) == (48, 40)
    assert config["training"]["input"] == "nsoart"
    # The inverted pictures are bright: the column was really taken.
    assert min(config["model"]["mean"]) > 0.5


@pytest.mark.parametrize(("name", "said"), [("nowhere", "nowhere"), ("data", "expected a dataset")])
def test_a_folder_that_is_missing_or_no_dataset(tmp_path, capsys, name, said):
    (tmp_path / "data").mkdir()
    assert train(tmp_path / name, tmp_path / "run") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.json").exists()


def test_no_validation_split(make_dataset, make_rows, tmp_path, capsys):
    data = make_dataset(tmp_path / "data", {"train": make_rows("train", 3, 0)})
    assert train(data, tmp_path / "run") == 2
    assert "expected a split 'validation', got ['train']" in capsys.readouterr().err


def test_broken_picture_is_named(make_dataset, make_rows, tmp_path, capsys):
    rows = make_rows("train", 3, 0)
    rows[1]["image"] = {"bytes": rows[1]["image"]["bytes"][:60], "path": None}
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": make_rows("validation", 3, 1)})
    assert train(data, tmp_path / "run") == 2
    assert "split train: row 1, column 'image'" in capsys.readouterr().err


def test_missing_label_is_named(make_dataset, make_rows, tmp_path, capsys):
    rows = make_rows("train", 3, 0)
    rows[2]["label"] = None
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": make_rows("validation", 3, 1)})
    assert train(data, tmp_path / "run") == 2
    assert "the first of them [2]" in capsys.readouterr().err


def test_filled_folder_needs_resume_or_overwrite(run, trained_run, tiny_dataset, tmp_path, small_options, capsys):
    before = (trained_run / "best.safetensors").read_bytes()
    assert train(tiny_dataset, trained_run, "--epochs", "1", *small_options) == 2
    assert "give --resume to continue its training, --overwrite to replace it" in capsys.readouterr().err
    assert (trained_run / "best.safetensors").read_bytes() == before

    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "thesis.txt").write_text("mine")
    assert train(tiny_dataset, strange, "--overwrite", *small_options) == 2
    assert (strange / "thesis.txt").read_text() == "mine"

    (strange / "attention").mkdir()
    (strange / "config.json").write_text('{"name": "my web app"}')
    assert train(tiny_dataset, strange, "--overwrite", *small_options) == 2
    assert "expected an earlier run, whose config.json has the format" in capsys.readouterr().err
    assert sorted(path.name for path in strange.iterdir()) == ["attention", "config.json", "thesis.txt"]

    below = strange / "thesis.txt" / "run"
    assert train(tiny_dataset, below, *small_options) == 2
    said = capsys.readouterr()
    assert f"--out {below}: expected a folder, got the file {strange / 'thesis.txt'}" in said.err and not said.out

    (run / "notes.txt").write_text("mine")
    assert train(tiny_dataset, run, "--overwrite", "--epochs", "1", *small_options) == 0
    assert len(table(run)) == 1
    assert (run / "notes.txt").read_text() == "mine"


def test_what_lies_below_a_file_is_a_user_s_mistake_wherever_it_shows(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert exit_code(lambda: (tmp_path / "file" / "run").mkdir()) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path / 'file' / 'run'}: expected access to this path, got the error: Not a directory\n"
    )


@pytest.mark.parametrize(
    "options",
    [
        ["--data", "/nonexistent"],
        ["--init", "/nonexistent"],
        ["--lr", "5"],
        ["--image-size", "16x16", "--patch-size", "16"],
    ],
    ids=["data", "weights", "examination", "shape"],
)
def test_overwrite_removes_nothing_before_all_is_checked(run, trained_run, tiny_dataset, small_options, options):
    assert train(tiny_dataset, run, "--overwrite", *small_options, *options) == 2
    assert folder_bytes(run) == folder_bytes(trained_run)


@pytest.mark.parametrize("option, file", [("--config", "config.json"), ("--init", "")])
def test_a_run_may_be_replaced_by_what_begins_with_it(run, tiny_dataset, option, file):
    options = [option, str(run / file), "--epochs", "1", "--no-check", "--device", "cpu"]
    assert train(tiny_dataset, run, "--overwrite", *options) == 0
    assert len(table(run)) == 1


def test_killed_in_its_first_epoch_it_still_knows_what_it_began_with(trained_run, make_dataset, make_rows, tmp_path):
    """The new class makes the old weights unreadable for the new settings."""
    splits = {name: make_rows(name, 6, 0) for name in ("train", "validation")}
    data = make_dataset(tmp_path / "data", splits, ["BENDNG", "NUKENG", "OK", "OTHERNG"])
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    shutil.copytree(trained_run, broken)
    options = ["--epochs", "2", "--close-ups", "0", "--ema", "0.9", "--no-check", "--device", "cpu"]
    assert train(data, whole, "--init", str(trained_run), *options) == 0
    for words in (["--overwrite", "--init", str(broken), *options], ["--resume"], ["--resume"]):
        with dying_in_epoch(1):
            assert train(data, broken, *words) == 1
        assert not (broken / "best.safetensors").exists()
    assert train(data, broken, "--resume") == 0
    assert same_but_seconds(whole, broken)
    assert (whole / "best.safetensors").read_bytes() == (broken / "best.safetensors").read_bytes()


def test_resume_refuses_other_settings(trained_run, tiny_dataset, capsys):
    assert train(tiny_dataset, trained_run, "--resume", "--lr", "0.5", "--depth", "3") == 2
    said = capsys.readouterr().err
    assert "--lr" in said and "--depth" in said


def test_resume_refuses_another_dataset(make_dataset, make_rows, tmp_path, small_options, capsys):
    run, datasets = tmp_path / "run", []
    for seed in range(3):
        splits = {name: make_rows(name, 6, seed) for name in ("train", "validation")}
        datasets.append(make_dataset(tmp_path / str(seed), splits))
        if seed < 2:
            card = f"---\npinsight:\n  content_sha256: {'ab'[seed] * 64}\n---\n"
            (datasets[seed] / "README.md").write_text(card)
    with dying_in_epoch(2):
        assert train(datasets[0], run, *small_options, "--epochs", "2", "--no-check") == 1
    before = folder_bytes(run)
    capsys.readouterr()
    for other, got in ((datasets[1], f"one with {'b' * 16}…"), (datasets[2], "one without content_sha256")):
        assert train(other, run, "--resume", "--device", "cpu") == 2
        said = capsys.readouterr().err
        expected = f"started with (whose README.md has content_sha256 {'a' * 16}…), got {got}; give the run's dataset"
        assert expected in said
        assert said.count("\n") == 1
    assert folder_bytes(run) == before
    moved = datasets[0].rename(tmp_path / "moved")
    assert train(moved, run, "--resume", "--device", "cpu") == 0


def test_resume_without_a_run(tiny_dataset, tmp_path, capsys):
    assert train(tiny_dataset, tmp_path / "none", "--resume") == 2
    assert "config.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ["--learn-fast"],
        ["--lr", "0"],
        ["--epochs", "many"],
        ["--image-size", "256"],
        ["--input", "depth"],
        ["--lr", "nan"],
    ],
)
def test_wrong_options_exit_with_2(options, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        train(tmp_path, tmp_path / "run", *options)
    assert stop.value.code == 2
    assert options[0] in capsys.readouterr().err
