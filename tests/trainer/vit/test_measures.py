"""The head of --measure-weight: true pins at their patches, and nothing of it in the finished run."""

import csv
import json

import pytest
import torch
from safetensors.torch import load_file

from trainer.core.augmentation import augment, example_seeds
from trainer.core.data import load_data
from trainer.core.split import IGNORED
from trainer.vit.closeups import CloseUps
from trainer.vit.command import main
from trainer.vit.loader import batch_of
from trainer.vit.measures import HEAD, pins_of

SIZE = (64, 32)
LEARNING = ("--epochs", "24", "--close-ups", "0", "--measure-weight", "0.5", "--ema", "0.5", "--no-augment")


@pytest.fixture(scope="module")
def split(tiny_dataset):
    from dataclasses import replace

    held = load_data(tiny_dataset).splits["train"]
    return replace(held, pins=pins_of(held, SIZE))


def test_pins_have_their_tip_or_foot_and_measures(split):
    bent, missing, good = split.pins[:3]
    assert bent.shape == (8, 6) and bent[0, 2] == 1 and bent[0, 3:5].abs().tolist() == pytest.approx([0.4, 0.4])
    assert bent[0, 0] == pytest.approx(8 + 10 * float(bent[0, 3])) and (bent[1:, 3:] == 0).all()
    # The second picture lacks its second pin.
    assert missing[1].tolist() == [24, 8, 0, 0, 0, 0] and missing[0, 2] == 1
    assert good[:, 2].tolist() == [1] * 8


def brightness(pixels: torch.Tensor, x: float, y: float) -> float:
    return float(pixels[:, int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].mean())


@pytest.mark.parametrize("close_up", [False, True])
def test_pins_move_with_the_pixels_and_turn_over_in_a_mirror(split, close_up):
    seeds = example_seeds(40, torch.Generator().manual_seed(0))
    if close_up:
        batch, _ = CloseUps(split, 32, 3).draw(seeds, augmented=True)
    else:
        batch = augment(batch_of(split, torch.arange(40) % 12), seeds)
    height, width = batch.pixels.shape[2:]
    shown, turned = 0, set()
    for pixels, pins in zip(batch.pixels, batch.pins, strict=True):
        for x, y, presence, dx, dy, _ in pins.tolist():
            if presence != IGNORED and 2 <= x < width - 2 and 2 <= y < height - 2:
                assert (brightness(pixels, x, y) > 0.4) == (presence == 1)
                shown += 1
            turned |= {(dx > 0, dy > 0)} if dx else set()
    # All bends of the pictures as they are point to dy > 0.
    assert shown > 60 and {down for _, down in turned} == {False, True}


def losses(run) -> list[float]:
    with (run / "metrics.csv").open(newline="") as file:
        return [float(row["train_measure_loss"]) for row in csv.DictReader(file)]


def trained(data, run, options, *more: str):
    assert main(["--data", str(data), "--out", str(run), "--no-check", *options, *more]) == 0
    return load_file(run / "best.safetensors")


def test_the_head_learns_and_is_in_no_finished_run(tiny_dataset, tmp_path, small_options):
    run = tmp_path / "run"
    weights = trained(tiny_dataset, run, small_options, *LEARNING)
    found = losses(run)
    assert found[-1] < 0.5 * found[0]
    assert not [name for name in weights if name.startswith(HEAD)]
    assert f"weight.{HEAD}.weight" in load_file(run / "state.safetensors")
    assert json.loads((run / "summary.json").read_text())["epochs"] == 24


def test_without_measures_the_weights_are_those_of_a_training_without_the_option(
    make_dataset, make_rows, tmp_path, small_options, capsys
):
    """A dataset of an earlier version lacks the columns; then the option changes nothing but a line."""
    splits = {name: make_rows(name, 6, seed) for seed, name in enumerate(("train", "validation"))}
    for name in ("tip_px", "base_px", "dx_mm", "dy_mm"):
        for row in (row for rows in splits.values() for row in rows):
            row["objects"][name] = [None] * len(row["objects"]["category"])
    old, options = make_dataset(tmp_path / "old", splits), [*small_options, "--epochs", "2"]
    plain = trained(old, tmp_path / "plain", options)
    assert "--measure-weight" not in capsys.readouterr().out
    asked = trained(old, tmp_path / "asked", options, "--measure-weight", "1")
    assert "measures of pins do not teach (--measure-weight): the dataset does not state" in capsys.readouterr().out
    assert all(torch.equal(asked[name], tensor) for name, tensor in plain.items())
