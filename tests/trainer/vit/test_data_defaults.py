"""Settings that follow the data, and the forecast before a training."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from trainer.core.data import load_data
from trainer.vit import data_defaults, forecast
from trainer.vit.command import main
from trainer.vit.network.model import ViTConfig
from trainer.vit.run import TrainingConfig

NETWORK = ViTConfig(("BENDNG", "NUKENG", "OK"), 256, 128)
CURVE = (
    forecast.Point(50, 0.45, 0.4, 0.5, 40),
    forecast.Point(500, 0.65, 0.6, 0.7, 40),
    forecast.Point(1500, 0.86, 0.8, 0.9, 40),
)


@pytest.fixture
def base_run(tmp_path) -> str:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "data.sha256").touch()
    return str(tmp_path / "base" / "vit")


def test_epochs_follow_the_pictures_within_bounds(base_run):
    counts = [1, 50, 150, 300, 500, 1000, 1500, 5000, 100_000]
    epochs = [data_defaults.epochs_for(count) for count in counts]
    assert epochs == sorted(epochs, reverse=True)
    assert (epochs[0], epochs[2], epochs[4], epochs[6], epochs[-1]) == (120, 120, 60, 30, 12)
    assert [data_defaults.epochs_for(count, base_run) for count in (150, 500, 1500)] == [60, 30, 15]
    assert data_defaults.epochs_for(500, "runs/vit") == 60


def test_what_is_given_wins_and_unequal_classes_are_balanced(tiny_dataset):
    split = load_data(tiny_dataset).splits["train"]
    few, enough = (replace(split, labels=torch.arange(3).repeat_interleave(torch.tensor([n, n, 90]))) for n in (19, 20))
    chosen, said = data_defaults.fitted(TrainingConfig(), (), split, True)
    assert (chosen.epochs, chosen.balanced, chosen.measure_weight) == (120, False, 1) and len(said) == 2
    assert data_defaults.fitted(TrainingConfig(), (), enough, False)[0].balanced
    assert not data_defaults.fitted(TrainingConfig(), (), few, False)[0].balanced
    kept = TrainingConfig(epochs=7)
    assert data_defaults.fitted(kept, ("epochs", "balanced", "measure_weight"), enough, True) == (kept, ())
    labels_only = TrainingConfig(patch_weight=0)
    assert data_defaults.fitted(labels_only, (), split, True)[0].measure_weight == 0


@pytest.mark.parametrize(
    ("pictures", "text"),
    [
        (20, "less than 0.45"),
        (50, "about 0.45 (0.40 to 0.50)"),
        (160, "about 0.55 (0.40 to 0.70)"),
        (520, "about 0.66 (0.60 to 0.70)"),
        (9000, "at least about 0.86"),
    ],
)
def test_what_is_expected_lies_between_the_measured_trainings(pictures, text):
    assert forecast.expected(pictures, CURVE) == text


def test_the_measured_curves_rise_and_a_run_to_begin_with_helps():
    curves = {}
    for init, taught, least in (
        *((forecast.RANDOM, False, 3), (forecast.RANDOM, True, 4)),
        *((forecast.RUN, False, 3), (forecast.BASE, True, 2)),
    ):
        points = forecast.curve(init, taught)
        means = [point.share for point in points]
        # Seeds and test pictures differ, so that more pictures may come to a little less.
        assert len(means) >= least and all(more > fewer - 0.03 for fewer, more in pairwise(means))
        curves[init, taught] = {point.pictures: point.share for point in points}
    for begun, taught in ((forecast.RUN, False), (forecast.BASE, True)):
        random = curves[forecast.RANDOM, taught]
        assert all(share > random[pictures] for pictures, share in curves[begun, taught].items())


def test_a_forecast_says_what_helps_and_what_the_time_limit_takes(base_run, tmp_path):
    text = forecast.forecast(150, TrainingConfig(), NETWORK, True)
    assert text.startswith("150 training pictures: expect a balanced accuracy of about 0.") and "with --init" in text
    assert "expect less" not in text
    short = TrainingConfig(epochs=120, fitted_epochs=30, init=str(tmp_path))
    text = forecast.forecast(150, short, NETWORK, True)
    assert "Only 30 of the 40 epochs that were measured: expect less" in text and "from random weights" in text
    based = forecast.forecast(150, TrainingConfig(measure_weight=1, init=base_run), NETWORK, True)
    share = forecast.curve(forecast.BASE, True)[0].share
    assert f"of about {share:.2f} (" in based and "--init base" not in based
    untaught = forecast.forecast(150, TrainingConfig(measure_weight=0, init=base_run), NETWORK, True)
    assert untaught.startswith("none: no learning curve was measured with --init base without --measure-weight")
    scratch = forecast.forecast(150, TrainingConfig(measure_weight=1), NETWORK, True)
    assert f"with --init base 150 reached {share:.2f}" in scratch


@pytest.mark.parametrize("pictures", [50, 150, 300, 504, 700, 1000, 1514, 2000, 5000])
def test_no_training_with_the_default_epochs_is_said_to_be_too_short(base_run, pictures):
    epochs = data_defaults.epochs_for(pictures, base_run)
    based = forecast.forecast(pictures, TrainingConfig(epochs=epochs, measure_weight=1, init=base_run), NETWORK, True)
    assert "expect less" not in based
    scratch = TrainingConfig(epochs=data_defaults.epochs_for(pictures), measure_weight=1)
    assert "expect less" not in forecast.forecast(pictures, scratch, NETWORK, True)


@pytest.mark.parametrize(
    ("settings", "network", "boxes", "reason"),
    [
        ({}, {"width": 512}, True, "512 x 128 px"),
        ({"input": "nsoart"}, {}, True, "--input nsoart"),
        ({}, {}, False, "no boxes"),
        ({}, {"classes": ("NG", "OK")}, True, "2 classes"),
        ({"augment": False}, {}, True, "--no-augment"),
        ({"init": "google/vit-base-patch16-224"}, {"dim": 64}, True, "another network, --init google"),
    ],
)
def test_no_forecast_of_what_was_not_measured(settings, network, boxes, reason):
    said = forecast.forecast(500, TrainingConfig(**settings), replace(NETWORK, **network), boxes)
    assert said.startswith("none") and reason in said


def test_the_command_says_what_it_chose_and_writes_it_into_the_run(tiny_dataset, small_options, tmp_path, capsys):
    run = tmp_path / "run"
    words = ["--data", str(tiny_dataset), "--out", str(run), *small_options, "--time-limit", "0.001", "--no-balanced"]
    main([*words, "--no-check"])
    said = capsys.readouterr()
    assert "chosen by the data: --epochs 120" in said.out + said.err and "forecast: none" in said.out + said.err
    assert json.loads((run / "config.json").read_text())["training"]["epochs"] == 120
    page = (run / "report.html").read_text("utf-8")
    assert "Chosen by the data: " in page and "Forecast: none: no learning curve" in page
