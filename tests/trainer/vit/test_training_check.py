"""Runs that are broken on purpose are refused or diagnosed before much was spent; sound ones pass."""

import random

import pytest
import torch

from tests.trainer.vit.test_training import train
from trainer.vit import training, training_check
from trainer.vit.network.model import ViTConfig
from trainer.vit.run import TrainingConfig


def network(data, config: TrainingConfig):
    shape = ViTConfig(data.classes, *data.size, dim=32, depth=1, heads=2)
    return training.build(shape, config, torch.device("cpu"))[0]


def test_a_sound_run_passes_and_is_not_changed(tiny):
    config = TrainingConfig(lr=3e-3, threads=1)
    model = network(tiny, config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.random.get_rng_state()
    found = training_check.examine(model, tiny.splits["train"], config)
    assert found.healthy and found.accuracy == 1 and found.last_loss < found.first_loss
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(("rate", "advice"), [(1e-1, "--lr 0.001"), (1e-7, "--lr")])
def test_a_wrong_learning_rate_is_named(tiny, rate, advice):
    config = TrainingConfig(lr=rate, threads=1)
    found = training_check.examine(network(tiny, config), tiny.splits["train"], config)
    assert not found.healthy and found.hopeless
    assert advice in found.reason


def test_a_high_learning_rate_stops_the_command(tiny_dataset, tmp_path, small_options, capsys):
    assert train(tiny_dataset, tmp_path / "run", *small_options, "--lr", "1e-1") == 2
    assert "--lr 0.1 is too high" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def shuffled(make_rows, objects: bool) -> dict:
    splits = {"train": make_rows("train", 12, 0, objects), "validation": make_rows("validation", 12, 1, objects)}
    for rows in splits.values():
        labels = [row["label"] for row in rows]
        random.Random(5).shuffle(labels)
        for row, label in zip(rows, labels, strict=True):
            row["label"] = label
    return splits


def test_shuffled_labels_disagree_with_the_boxes(make_dataset, make_rows, tmp_path, small_options, capsys):
    data = make_dataset(tmp_path / "data", shuffled(make_rows, True))
    assert train(data, tmp_path / "run", *small_options) == 2
    said = capsys.readouterr().err
    assert "shuffled" in said and "label" in said and "boxes" in said


def test_shuffled_labels_without_boxes_are_warned_of(make_dataset, make_rows, tmp_path, small_options, capsys):
    splits = {
        name: [{k: v for k, v in row.items() if k != "objects"} for row in rows]
        for name, rows in shuffled(make_rows, False).items()
    }
    data = make_dataset(tmp_path / "data", splits)
    assert train(data, tmp_path / "run", "--epochs", "16", "--no-augment", "--no-check", *small_options) == 0
    # Learned by heart, or one class for all: which, depends on the time it was given.
    said = capsys.readouterr().out
    assert "validation stays at chance" in said or "collapsed to one class" in said


def test_a_missing_class_is_named_before_training(make_dataset, make_rows, tmp_path, small_options, capsys):
    rows = [row for row in make_rows("train", 12, 0) if row["label"] != 1]
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": make_rows("validation", 6, 1)})
    assert train(data, tmp_path / "run", "--epochs", "1", *small_options) == 0
    said = capsys.readouterr().out
    assert "no training picture is NUKENG, but 2 validation pictures are" in said
    assert "WARNING: split train has no picture of class NUKENG" in said


def test_equal_pictures_with_different_labels_are_named(make_dataset, make_rows, tmp_path, small_options, capsys):
    rows = make_rows("train", 6, 0, False)
    for row in rows:
        row["image"] = rows[0]["image"]
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": make_rows("validation", 3, 1, False)})
    assert train(data, tmp_path / "run", *small_options) == 2
    assert "equal pictures have different labels: train000" in capsys.readouterr().err


def test_one_class_alone_is_named(make_dataset, make_rows, tmp_path, small_options, capsys):
    rows = [row for row in make_rows("train", 12, 0) if row["label"] == 2]
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": make_rows("validation", 3, 1)})
    assert train(data, tmp_path / "run", *small_options) == 2
    assert "expected pictures of two or more classes in split train, got only OK" in capsys.readouterr().err


def row(**values) -> dict:
    held = {"stage": "pictures", "gradient_norm": 3.0, "train_accuracy": 0.9, "val_balanced_accuracy": 0.85}
    return {**held, **values}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row()] * 5, ""),
        ([row(val_balanced_accuracy=0.34)] * 2, ""),
        ([row(val_balanced_accuracy=0.34)] * 3, "stays at chance"),
        ([row(val_balanced_accuracy="0.34", train_accuracy="0.9", gradient_norm="3")] * 3, "stays at chance"),
        ([row(stage="close-ups", train_accuracy=None)] * 4, ""),
        ([row(gradient_norm=5000.0)], "--lr 0.0001"),
    ],
)
def test_the_prognosis(rows, said):
    warnings = training_check.prognosis(rows, ("A", "B", "OK"), TrainingConfig())
    assert len(warnings) == bool(said)
    assert said in " ".join(warnings)
