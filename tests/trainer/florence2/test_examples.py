"""Measures teach Florence-2: pins stay at their pixels in every picture, and nothing of the head is in the model."""

import csv
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")
pytest.importorskip("peft")
pytest.importorskip("pycocotools")

from safetensors import safe_open

from tests.trainer.florence2.florence2_rows import answered_dataset, detection_of, with_answers
from trainer.core.pin_measures import LACKING
from trainer.florence2 import command
from trainer.florence2.answers import Vocabulary
from trainer.florence2.batches import Collator
from trainer.florence2.data import measures_of
from trainer.florence2.examples import Examples
from trainer.florence2.run import DetectionConfig
from trainer.florence2.tiny import tiny_processor

SIZE = (64, 32)


@pytest.fixture(scope="module")
def dataset(make_rows, make_dataset, tmp_path_factory) -> Path:
    return answered_dataset(make_rows, make_dataset, tmp_path_factory.mktemp("examples") / "dataset", 8, 4)


def examples_of(data, config: DetectionConfig) -> Examples:
    processor = tiny_processor(list(data.labels), SIZE)
    collator = Collator(processor, Vocabulary(processor.tokenizer, data.labels), data.classes, SIZE)
    return Examples(data, collator, config, (8, 4), torch.device("cpu"))


@pytest.mark.parametrize("close_ups", [False, True])
def test_pins_move_with_the_pixels_and_turn_over_in_a_mirror(dataset, close_ups):
    examples = examples_of(detection_of(dataset), DetectionConfig(measure_weight=1.0))
    generator = torch.Generator().manual_seed(0)
    seen, turned = {0: 0, 1: 0}, set()
    for _ in range(12):
        batch, targets = examples.batch(range(8), generator, close_ups)
        pixels = batch.inputs["pixel_values"] * examples.collator.std + examples.collator.mean
        columns = pixels.shape[3] // examples.cell
        for picture, cell, (x, y, presence, dx, dy, _) in zip(
            targets.pictures.tolist(), targets.cells.tolist(), targets.pins.tolist(), strict=True
        ):
            assert cell == int(y) // 8 * columns + int(x) // 8
            shown = pixels[picture, :, max(int(y) - 1, 0) : int(y) + 2, max(int(x) - 1, 0) : int(x) + 2]
            if 2 <= x < pixels.shape[3] - 2 and 2 <= y < pixels.shape[2] - 2:
                assert (float(shown.mean()) > 0.4) == (presence == 1)
                seen[int(presence)] += 1
            turned |= {(dx > 0, dy > 0)} if dx else set()
    # All bends of the pictures as they are point to dy > 0.
    assert seen[1] > 60 and seen[0] > 3 and {down for _, down in turned} == {False, True}


def test_a_hidden_pin_teaches_nothing(make_rows, make_dataset, tmp_path):
    rows = with_answers(make_rows("train", 4, 0))
    rows[1]["objects"]["visible"][1] = 0.05  # the missing pin
    data = detection_of(make_dataset(tmp_path / "hidden", {"train": rows, "validation": rows}))
    counts = [len(measures_of(truth, SIZE)) for truth in data.splits["train"].truths]
    assert counts[1] == counts[0] - 1 == counts[2] - 1


def test_measures_without_the_auxiliary_losses_are_refused(dataset, tmp_path, capsys):
    words = ["--data", str(dataset), "--out", str(tmp_path / "run"), "--model", "tiny"]
    assert command.main([*words, "--scaffold", "0", "--measure-weight", "1"]) == 2
    assert "--measure-weight: expected --scaffold above 0, got 0" in capsys.readouterr().err


def test_the_scale_is_that_of_the_pins_that_train(dataset, capsys):
    data = detection_of(dataset)
    scale = examples_of(data, DetectionConfig(measure_weight=1.0)).measure_scale()
    found = [each for truth in data.splits["train"].truths for each in truth.objects if each.tip_px is not None]
    offsets = torch.tensor([each.dx_mm for each in found])
    assert float(scale[0]) == pytest.approx(float(offsets.std(correction=0)))
    for weight, scaffold in ((0.0, 1.0), (1.0, 0.0)):
        config = DetectionConfig(measure_weight=weight, scaffold=scaffold)
        assert examples_of(data, config).measure_scale() is None
    assert LACKING not in capsys.readouterr().out


def losses_of(run: Path) -> list[float]:
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row["train_measure_loss"]) for row in csv.DictReader(file)]


def trained(data: Path, run: Path, *more: str) -> list[float]:
    words = ["--model", "tiny", "--batch-size", "4", "--threads", "1", "--device", "cpu", "--lr", "3e-3"]
    words += ["--evaluate-every", "99", "--close-ups", "0", "--no-augment", "--measure-weight", "1", *more]
    assert command.main(["--data", str(data), "--out", str(run), *words]) == 0
    return losses_of(run)


def test_the_head_learns_and_is_in_no_finished_model(dataset, make_rows, make_dataset, tmp_path, capsys):
    losses = trained(dataset, tmp_path / "with", "--epochs", "24")
    assert losses[-1] < 0.6 * losses[0]
    with safe_open(tmp_path / "with" / "model" / "model.safetensors", "pt") as file:
        assert not [name for name in file.keys() if "measure" in name]  # noqa: SIM118 (no mapping)
    assert LACKING not in capsys.readouterr().out
    bare = with_answers(make_rows("train", 4, 0))
    for row in bare:
        count = len(row["objects"]["tip_px"])
        row["objects"] |= {"tip_px": [None] * count, "base_px": [None] * count}
    without = make_dataset(tmp_path / "bare", {"train": bare, "validation": bare})
    assert trained(without, tmp_path / "without", "--epochs", "1") == [0.0]
    assert LACKING in capsys.readouterr().out
