"""`--time-limit`: how many epochs fit, and a command that never is silent for long."""

import itertools
import json
import math
import time
from pathlib import Path

import pytest

from tests.trainer.conftest import dying_in_epoch
from trainer.core import console, time_limit, training_command
from trainer.core.loop import Outcome
from trainer.core.time_limit import Cost, close_up_epochs, fitted_epochs, seconds_per_step
from trainer.vit import command
from trainer.vit.training import ViTTrainee


@pytest.mark.parametrize(
    ("asked", "share", "cost", "seconds", "expected"),
    [
        (30, 0.0, Cost(0, 10, 0), 1000, 30),
        (30, 0.0, Cost(0, 10, 0), 100, 9),  # a tenth is kept for the error of the estimate
        (30, 0.0, Cost(0, 10, 45), 100, 4),
        (30, 0.6, Cost(5, 20, 0), 100, 8),  # 5 of close-ups, 3 of pictures
        (30, 0.6, Cost(0, 20, 0), 100, 4),  # the dataset has no boxes: no close-ups
        (30, 0.9, Cost(1, 20, 0), 1, 1),
        (30, 0.9, Cost(1, 20, 0), -5, 1),
        (1, 0.9, Cost(1, 20, 0), 1e9, 1),
    ],
)
def test_the_largest_number_of_epochs_that_fits(asked, share, cost, seconds, expected):
    assert fitted_epochs(asked, share, cost, seconds) == expected


def test_the_last_epoch_always_has_whole_pictures():
    for share, epochs in itertools.product((0.0, 0.3, 0.6, 0.99, 1.0), range(1, 40)):
        assert 0 <= close_up_epochs(share, epochs) < epochs


class Clockwork:
    """A trainee whose steps take 5 s, the first one 60 s."""

    class optimizer:
        @staticmethod
        def zero_grad(set_to_none: bool) -> None:
            pass

    def __init__(self, steps: int, now: list[float]) -> None:
        self.steps, self.now = steps, now

    def batches(self, epoch: int):
        for step in range(self.steps):
            self.now[0] += 1.0
            yield [60.0 if step == 0 else 4.0]

    def backward(self, batch: float, batches_per_step: int) -> None:
        self.now[0] += batch


@pytest.mark.parametrize(("steps", "seconds"), [(100, 5.0), (2, 5.0), (1, 61.0)])
def test_the_first_step_counts_only_where_there_is_no_other(monkeypatch, steps, seconds):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert seconds_per_step(Clockwork(steps, now), 1) == seconds


def train(data: Path, run: Path, *words: str) -> int:
    return command.main(["--data", str(data), "--out", str(run), "--device", "cpu", "--no-check", *words])


def epochs_of(run: Path) -> int:
    return len((run / "metrics.csv").read_text().splitlines()) - 1


def test_with_hardly_any_time_there_is_a_model_of_one_epoch(tiny_dataset, small_options, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(tiny_dataset, run, *small_options, "--epochs", "30", "--time-limit", "1e-6") == 0
    said = capsys.readouterr().out
    assert "--time-limit 1e-06: 1 of 30 epochs fit into the 0.0 min left" in said
    assert "epoch 1 of 1  whole pictures" in said and (run / "report.html").is_file()
    assert json.loads((run / "summary.json").read_text())["stopped"] == ""


def test_a_limit_into_which_all_epochs_fit_changes_nothing(tiny_dataset, small_options, tmp_path):
    options = [*small_options, "--epochs", "3", "--close-ups", "0.4"]
    assert train(tiny_dataset, tmp_path / "free", *options) == 0
    assert train(tiny_dataset, tmp_path / "run", *options, "--time-limit", "1000") == 0
    for name in ("best.safetensors", "last.safetensors", "state.safetensors", "config.json"):
        assert (tmp_path / "free" / name).read_bytes() == (tmp_path / "run" / name).read_bytes(), name


def test_the_whole_schedule_ends_within_the_limit(tiny_dataset, small_options, tmp_path, capsys):
    """Real seconds: of far too many epochs as many are trained as fit, close-ups before pictures."""
    run, began = tmp_path / "run", time.monotonic()
    options = [*small_options, "--epochs", "5000", "--close-ups", "0.6", "--time-limit", "0.3"]
    assert train(tiny_dataset, run, *options) == 0
    took = time.monotonic() - began
    config = json.loads((run / "config.json").read_text())["training"]
    epochs = config["fitted_epochs"]
    assert 3 <= epochs == epochs_of(run) < 5000 == config["epochs"]
    assert f"epoch {epochs} of {epochs}  whole pictures" in capsys.readouterr().out
    rows = (run / "metrics.csv").read_text().splitlines()[1:]
    assert sum(",close-ups," in row for row in rows) == close_up_epochs(0.6, epochs)
    assert took < 25


def test_a_fitted_run_that_was_killed_is_resumed_with_its_own_schedule(
    tiny_dataset, small_options, tmp_path, monkeypatch
):
    monkeypatch.setattr(time_limit, "fitted_epochs", lambda *_: 4)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = [*small_options, "--epochs", "30", "--close-ups", "0.5", "--time-limit", "100"]
    assert train(tiny_dataset, whole, *options) == 0 and epochs_of(whole) == 4
    with dying_in_epoch(3):
        assert train(tiny_dataset, broken, *options) == 1
    assert train(tiny_dataset, broken, "--resume") == 0
    for name in ("best.safetensors", "last.safetensors", "state.safetensors", "config.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name


def test_close_ups_that_take_longer_than_estimated_are_cut_short(tiny_dataset, small_options, tmp_path, monkeypatch):
    """The limit passes in epoch 1, of close-ups; epoch 2 has whole pictures. A kill between them changes nothing."""
    options = [*small_options, "--epochs", "10", "--close-ups", "0.8", "--time-limit", "1e-6"]
    monkeypatch.setattr(time_limit, "fitted_epochs", lambda *_: 5)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert train(tiny_dataset, whole, *options) == 0
    assert epochs_of(whole) == 2 == json.loads((whole / "config.json").read_text())["training"]["fitted_epochs"]
    with dying_in_epoch(2):
        assert train(tiny_dataset, broken, *options) == 1
    assert train(tiny_dataset, broken, "--resume") == 0
    for name in ("best.safetensors", "state.safetensors", "config.json"):
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name


def test_a_diverged_training_is_not_resumed():
    assert "lower --lr" in Outcome(0, 0, "the loss of epoch 1 is nan", [], diverged=True).advice
    assert Outcome(1, 0, "time limit", []).advice == "continue with --resume and a longer --time-limit"


def test_a_diverging_run_advises_a_lower_rate(tiny_dataset, small_options, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ViTTrainee, "trained", lambda self, epoch, how: {"train_loss": math.nan})
    assert train(tiny_dataset, tmp_path / "run", *small_options, "--epochs", "2") == 1
    said = capsys.readouterr().out
    assert "start again with a lower --lr; --resume would stop at the same epoch again" in said and "longer" not in said


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line]


def test_a_silent_stage_is_named_with_its_progress(capsys):
    with console.never_silent(0.08), console.Progress("check: learning one batch by heart", 60, "step") as bar:
        bar.update(7)
        time.sleep(0.5)
    said = lines(capsys)
    assert 1 <= len(said) <= 6
    assert all(line.startswith("... check: learning one batch by heart: 7 of 60 steps, ") for line in said)


def test_who_prints_often_is_not_interrupted(capsys):
    with console.never_silent(2.0):
        for k in range(24):
            console.say(f"line {k}")
            time.sleep(0.1)
    assert lines(capsys) == [f"line {k}" for k in range(24)]


def test_after_the_command_nothing_is_printed(capsys):
    with console.never_silent(0.05):
        console.stage("reading")
    capsys.readouterr()
    time.sleep(0.2)
    assert not lines(capsys)


def test_no_ten_seconds_of_a_training_are_silent(tiny_dataset, small_options, tmp_path, monkeypatch, capsys):
    """With a limit of 0.1 s of silence instead of 8 s, each slow stage of a training is seen by its name."""

    def slow_begin(*args: object) -> object:
        time.sleep(0.5)  # a fast machine reads twelve small pictures in less than the limit
        return begin(*args)

    begin = command._begin
    monkeypatch.setattr(command, "_begin", slow_begin)
    monkeypatch.setattr(training_command, "never_silent", lambda: console.never_silent(0.1))
    words = ["--data", str(tiny_dataset), "--out", str(tmp_path / "run"), "--device", "cpu", *small_options]
    assert command.main([*words, "--epochs", "2", "--lr", "1e-3"]) in (0, 2)
    said = capsys.readouterr().out
    assert "... reading the dataset, " in said
    assert "... check: learning one batch by heart: " in said
