"""Measures teach Florence-2: pins stay at their pixels in every picture, and nothing of the head is in the model."""

import csv
from dataclasses import replace
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
from trainer.florence2.auxiliary_loss import UNNAMED
from trainer.florence2.batches import Collator
from trainer.florence2.data import measures_of, position_shares
from trainer.florence2.examples import Examples
from trainer.florence2.regions import bins_of
from trainer.florence2.run import DetectionConfig
from trainer.florence2.tiny import tiny_processor
from trainer.florence2.truth import Truth

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


@pytest.mark.parametrize("close_ups", [False, True])
def test_no_place_teaches_that_its_pin_is_good_if_no_picture_has_a_defect_there(dataset, close_ups):
    data = detection_of(dataset)
    truths = data.splits["train"].truths
    always_good = {pin.address for pin in truths[2].pins} - {pin.address for t in truths for pin in t.targets}
    assert len(always_good) == 2
    drawn = {}
    for balanced in (False, True):
        config = DetectionConfig(balanced_positions=balanced, augment=False)
        examples = examples_of(data, config)
        generator, found, unnamed = torch.Generator().manual_seed(0), set(), 0
        for _ in range(12):
            _, targets = examples.batch(range(8), generator, close_ups)
            unnamed += int((targets.categories == UNNAMED).sum())
            good = targets.classes == examples.ok
            for row, bins in zip(good.nonzero()[:, 0], targets.bins[good], strict=True):
                pins = truths[int(row) // (2 if close_ups else 1)].pins
                exact = bins_of(torch.tensor([pin.box for pin in pins]), SIZE)
                found.add(pins[int((bins - exact).abs().sum(1).argmin())].address)
        drawn[balanced] = found
        assert (unnamed > 0) == balanced
    assert drawn[False] - drawn[True] == always_good and len(drawn[True]) == 6


def test_a_position_with_few_defects_teaches_good_pins_less_often(dataset):
    truth = detection_of(dataset).splits["train"].truths[2]
    assert not truth.targets

    def defective(*which: int) -> Truth:
        pins = [replace(pin, label="BENDNG" if k in which else pin.label) for k, pin in enumerate(truth.pins)]
        return replace(truth, answer=which, pins=tuple(pins))

    truths = [truth, defective(0, 1, 2), defective(0, 1), defective(0)]
    shares = position_shares(truths)
    # Odds 3, 1 and 1/3; the middle one gets 1.
    assert [shares["", pin.address] for pin in truth.pins] == pytest.approx([1, 1, 1 / 3, *[0] * (len(truth.pins) - 3)])
    assert set(position_shares([truth]).values()) == {0.0}


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
