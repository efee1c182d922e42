"""Averages, accumulation, stages, other beginnings, stopping, re-running: each against what it promises."""

import json
import shutil
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import edited
from tests.trainer.conftest import dying_in_epoch
from tests.trainer.vit.test_training import train
from trainer import attention, evaluate
from trainer.core import loop, run_folder
from trainer.core.ema import Average
from trainer.core.loop import Schedule, train_epoch
from trainer.core.settings import fields_of
from trainer.core.state import RunState, save_state
from trainer.vit import loader, training
from trainer.vit import run as vit_run
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.run import TrainingConfig

CPU = torch.device("cpu")


def small(data, **changes) -> ViTConfig:
    return replace(ViTConfig(data.classes, *data.size, dim=32, depth=1, heads=2), **changes)


def one_epoch(data, config: TrainingConfig) -> ViT:
    model, optimizer = training.build(small(data), config, CPU)
    trainee = training.ViTTrainee(data, model, optimizer, config)
    train_epoch(trainee, trainee.schedule, 1)
    return model


def test_two_half_batches_equal_one_whole(tiny):
    """Without boxes and close-ups, whose class weights are those of a batch."""
    base = TrainingConfig(epochs=1, batch_size=6, patch_weight=0, augment=False, threads=1)
    whole = one_epoch(tiny, base).state_dict()
    halves = one_epoch(tiny, base.changed({"batch_size": 3, "accumulate": 2})).state_dict()
    for name, tensor in whole.items():
        torch.testing.assert_close(halves[name], tensor, rtol=1e-3, atol=2e-5)


def test_an_average_is_the_mean_that_it_says():
    module = torch.nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    average = Average(module, 0.9)
    expected = 0.0
    for step in range(1, 200):
        module.weight.data.fill_(float(step))
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    with average.in_place():
        assert float(module.weight.detach()) == pytest.approx(expected, rel=1e-4)
    assert float(module.weight.detach()) == 199


def test_balanced_drawing_shows_each_class_alike(tiny):
    labels = torch.tensor([0] * 90 + [1] * 9 + [2])
    split = replace(tiny.splits["train"], labels=labels)
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([labels[loader.picture_order(split, True, generator)] for _ in range(60)])
    shares = torch.bincount(drawn) / len(drawn)
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    assert sorted(loader.picture_order(split, False, generator).tolist()) == list(range(100))


def test_patience_counts_epochs_with_pictures():
    schedule = Schedule(epochs=10, lr=1e-3, warmup=0, clip=1, patience=3, uncounted=4)
    assert not schedule.is_over(RunState(epoch=6))
    assert schedule.is_over(RunState(epoch=7))
    assert not schedule.is_over(RunState(epoch=7, best_epoch=5))
    assert schedule.is_over(RunState(epoch=8, best_epoch=5))
    assert not replace(schedule, patience=0).is_over(RunState(epoch=9))


OPTIONS = ["--epochs", "4", "--close-ups", "0.25", "--ema", "0.9", "--accumulate", "2", "--stages", "2,4", "--balanced"]


@pytest.fixture(scope="module")
def staged(tiny_dataset, small_options, tmp_path_factory):
    run = tmp_path_factory.mktemp("staged") / "run"
    assert train(tiny_dataset, run, *small_options, *OPTIONS, "--batch-size", "3", "--no-check") == 0
    return run


def test_stages_are_runs(staged):
    for epoch in (2, 4):
        folder = staged / "stages" / f"{epoch:05d}"
        assert not vit_run.load_model(folder).training
        assert run_folder.read_metrics(folder, 1)[0]["epoch"] == str(epoch)
    last = load_file(staged / "stages" / "00004" / "best.safetensors")
    assert all(torch.equal(tensor, last[name]) for name, tensor in load_file(staged / "last.safetensors").items())


def test_killed_and_resumed_with_an_average_equals_uninterrupted(
    staged, tiny_dataset, small_options, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    write = save_state
    saved = []

    def killed_after_two(*args):
        write(*args)
        saved.append(1)
        if len(saved) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "save_state", killed_after_two)
    options = [*small_options, *OPTIONS, "--batch-size", "3", "--no-check"]
    assert train(tiny_dataset, run, *options) == 1
    monkeypatch.setattr(loop, "save_state", write)
    assert train(tiny_dataset, run, "--resume", "--device", "cpu") == 0
    for name in ("last.safetensors", "state.safetensors", "best.safetensors"):
        first, second = load_file(staged / name), load_file(run / name)
        assert first.keys() == second.keys()
        assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


def test_a_saved_config_runs_again_to_the_bit(staged, tiny_dataset, tmp_path):
    run = tmp_path / "again"
    options = ("--config", str(staged / "config.json"), "--device", "cpu", "--no-check")
    assert train(tiny_dataset, run, *options) == 0
    assert (run / "config.json").read_bytes() == (staged / "config.json").read_bytes()
    assert (run / "last.safetensors").read_bytes() == (staged / "last.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (1, "interrupted before the first epoch was finished; to begin it again, give --resume --out"),
        (2, "interrupted: finished epochs are saved; continue with --resume --out"),
    ],
)
def test_an_interrupted_training_says_what_is_kept(tiny_dataset, tmp_path, capsys, number, said):
    with dying_in_epoch(number):
        options = ("--epochs", "3", "--no-check", "--device", "cpu", "--threads", "1")
        assert train(tiny_dataset, tmp_path / "run", *options) == 1
    assert said in capsys.readouterr().err
    assert train(tiny_dataset, tmp_path / "run", "--resume", "--device", "cpu") == 0


@pytest.mark.parametrize("inside", ["run", ""])
def test_nothing_is_written_into_the_dataset(trained_run, tiny_dataset, tmp_path, capsys, inside):
    data = shutil.copytree(tiny_dataset, tmp_path / "data")
    before = sorted(data.rglob("*"))
    assert train(data, data / inside, "--epochs", "1") == 2
    assert "expected a folder outside of the dataset" in capsys.readouterr().err
    for command in (evaluate, attention):
        assert command.main(["--model", str(trained_run), "--data", str(data), "--out", str(data / inside)]) == 2
        assert "expected a folder outside of the dataset" in capsys.readouterr().err
    assert sorted(data.rglob("*")) == before


def test_a_folder_of_renders_and_a_file_in_a_run_are_called_so(trained_run, tiny_dataset, tmp_path, capsys):
    for name in ("images", "records"):
        (tmp_path / "renders" / name).mkdir(parents=True)
    assert train(tmp_path / "renders", tmp_path / "run", "--epochs", "1") == 2
    assert f"python -m generator build {tmp_path / 'renders'}" in capsys.readouterr().err
    assert train(tiny_dataset, tmp_path / "run", "--init", str(trained_run / "best.safetensors")) == 2
    assert "best.safetensors: expected the folder of a trained run, got a file" in capsys.readouterr().err


def test_an_empty_argument_is_no_option_left_out(tiny_dataset, tmp_path, capsys):
    assert train(tiny_dataset, tmp_path / "run", "--init", "", "--epochs", "1") == 2
    assert "--init: expected a value, got an empty text (a shell variable that is not set?)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_weights_of_another_run_with_other_classes(trained_run, make_dataset, make_rows, tmp_path, capsys):
    rows = make_rows("train", 6, 0)
    names = ["OK", "OTHERNG", "BENDNG", "NUKENG"]
    for row in rows:
        row["label"] = {0: 2, 1: 3, 2: 0}[row["label"]]
        row["objects"]["category"] = [{0: 2, 1: 3, 2: 0}[c] for c in row["objects"]["category"]]
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": rows}, names)
    run = tmp_path / "run"
    options = ("--init", str(trained_run), "--epochs", "1", "--lr", "1e-9", "--no-check", "--device", "cpu")
    assert train(data, run, *options, "--batch-size", "6", "--threads", "1") == 0
    assert "new classes: OTHERNG" in capsys.readouterr().out
    old, new = load_file(trained_run / "best.safetensors"), load_file(run / "best.safetensors")
    places = [2, 3, 0]
    torch.testing.assert_close(new["patch_head.weight"][places], old["patch_head.weight"], rtol=0, atol=1e-5)
    torch.testing.assert_close(new["stem.layers.0.weight"], old["stem.layers.0.weight"], rtol=0, atol=1e-5)
    # What the pictures show is known without having learned the new order.
    summary = json.loads((run / "summary.json").read_text())
    assert summary["splits"]["validation"]["accuracy"] > 0.6


@pytest.mark.parametrize(
    ("options", "shifts"),
    [([], 2), (["--shifts", "4"], 4), (["--no-augment"], 1), (["--no-augment", "--shifts", "2"], 2)],
)
def test_pictures_are_judged_at_several_places_if_the_training_moves_them(
    trained_run, tiny_dataset, tmp_path, options, shifts
):
    assert vit_run.load_config(trained_run)[0].shifts == 1
    run, begin = tmp_path / "run", ("--init", str(trained_run), "--epochs", "1", "--no-check", "--device", "cpu")
    assert train(tiny_dataset, run, *begin, "--threads", "1", *options) == 0
    assert vit_run.load_config(run)[0].shifts == shifts


@pytest.mark.parametrize(
    ("given", "taken", "said"),
    [
        ([], "nsoart", "--input is set to nsoart, because"),
        (["--input", "image"], "image", "was trained on nsoart pictures, never on image pictures"),
    ],
)
def test_weights_go_on_with_the_pictures_they_know(nsoart_run, tiny_dataset, tmp_path, capsys, given, taken, said):
    run = tmp_path / "run"
    options = ["--init", str(nsoart_run), "--epochs", "1", "--no-check", "--device", "cpu", *given]
    assert train(tiny_dataset, run, *options) == 0
    assert vit_run.load_config(run)[1].input == taken
    assert said in capsys.readouterr().out


@pytest.fixture(scope="module")
def nsoart_run(tiny_dataset, small_options, tmp_path_factory):
    run = tmp_path_factory.mktemp("nsoart") / "run"
    options = [*small_options, "--input", "nsoart", "--epochs", "1", "--close-ups", "0", "--no-check"]
    assert train(tiny_dataset, run, *options) == 0
    return run


def test_a_config_that_begins_with_weights_keeps_their_channels(nsoart_run, tiny_dataset, tmp_path, capsys):
    document = json.loads((nsoart_run / "config.json").read_text())
    document["training"]["init"] = str(nsoart_run)
    (tmp_path / "config.json").write_text(json.dumps(document))
    options = ["--config", str(tmp_path / "config.json"), "--input", "image+nsoart", "--device", "cpu"]
    assert train(tiny_dataset, tmp_path / "run", *options) == 2
    assert "expected pictures of 3 channels, which the weights of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--stages", "3,9", "--epochs", "5"], "--stages: expected epochs up to"),
        (["--init", "nowhere"], "nowhere"),
        (["--config", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_settings_exit_with_2(tiny_dataset, tmp_path, capsys, options, said):
    assert train(tiny_dataset, tmp_path / "run", *options) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("part", "key", "value", "said"),
    [
        ("training", "accumulate", 0, "key 'accumulate': expected a whole number from 1 to 4096, got 0"),
        ("training", "lr", -1, "key 'lr': expected a number above 0 to 10, got -1"),
        ("training", "ema", float("nan"), "key 'ema': expected a number from 0 to 0.99999, got nan"),
        ("training", "rows", "some", "key 'rows': expected one of all, observable, clear, got 'some'"),
        ("training", "stages", [3, 2], "key 'stages': expected rising epochs such as 300,400,500, got [3, 2]"),
        ("model", "mlp_ratio", -1, "key 'mlp_ratio': expected a number from 0.5 to 16, got -1"),
    ],
)
def test_a_config_s_values_have_the_options_ranges(trained_run, tiny_dataset, tmp_path, capsys, part, key, value, said):
    document = json.loads((trained_run / "config.json").read_text())
    document[part][key] = value
    file = tmp_path / "config.json"
    file.write_text(json.dumps(document))
    assert train(tiny_dataset, tmp_path / "run", "--config", str(file)) == 2
    assert f"{file} {part}: {said}" in capsys.readouterr().err


def test_another_shape_than_the_first_runs_is_refused(trained_run, tiny_dataset, tmp_path, capsys):
    options = ("--init", str(trained_run), "--dim", "64", "--input", "image+nsoart")
    assert train(tiny_dataset, tmp_path / "run", *options) == 2
    said = capsys.readouterr().err
    assert "--dim" in said and "6" in said


def test_two_pictures_as_one(tiny_dataset, small_options, tmp_path, capsys):
    from trainer.predict import main as predict

    run = tmp_path / "run"
    options = [*small_options, "--epochs", "1", "--input", "image+nsoart", "--no-check"]
    assert train(tiny_dataset, run, *options) == 0
    config, settings = vit_run.load_config(run)
    assert config.channels == 6 and settings.input == "image+nsoart"
    # The second three channels are the inverted picture.
    assert config.mean[3] == pytest.approx(1 - config.mean[0], abs=1e-3)
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"")
    assert predict(["--model", str(run), str(picture)]) == 2
    assert "image+nsoart" in capsys.readouterr().err


def test_rows_that_cannot_be_seen_do_not_train(make_dataset, make_rows, tmp_path, small_options, capsys):
    splits = {name: make_rows(name, 6, seed) for seed, name in enumerate(("train", "validation"))}
    splits["train"][0]["observable"] = False
    data = make_dataset(tmp_path / "data", splits)
    assert train(data, tmp_path / "run", *small_options, "--epochs", "1", "--no-check") == 0
    assert "split train: 1 of 6 rows left out" in capsys.readouterr().out
    for row in splits["validation"]:
        row["grey"] = True
    data = make_dataset(tmp_path / "grey", splits)
    assert train(data, tmp_path / "run2", *small_options, "--epochs", "1", "--rows", "clear") == 2
    assert "expected rows to use, got none with --rows clear" in capsys.readouterr().err


def test_a_run_from_before_these_options_is_read(run):
    with edited(run / "config.json") as document:
        for part, model in (("training", vit_run.TrainingConfig), ("model", ViTConfig)):
            for key, one in fields_of(model).items():
                if "earlier" in one.asked:
                    document[part].pop(key)
    _, settings = vit_run.load_config(run)
    assert settings.ema == 0 and settings.rows == "all" and settings.stages == ()


def test_bfloat16_learns_and_keeps_float32(tiny_dataset, small_options, tmp_path, capsys):
    run = tmp_path / "run"
    options = [*small_options, "--amp", "bf16", "--epochs", "24", "--close-ups", "0.3", "--no-augment"]
    assert train(tiny_dataset, run, *options) == 0
    assert "bfloat16" in capsys.readouterr().out
    assert float(run_folder.read_metrics(run, 24)[-1]["train_accuracy"]) >= 10 / 12
    state = load_file(run / "state.safetensors")
    assert {tensor.dtype for tensor in state.values()} == {torch.float32}
    assert vit_run.load_config(run)[1].amp == "bf16"
    assert train(tiny_dataset, run, "--resume", "--device", "cpu", "--amp", "off") == 2
    assert "--amp" in capsys.readouterr().err


def test_amp_is_off_on_a_cpu_unless_asked_for(staged):
    assert vit_run.load_config(staged)[1].amp == "off"


def test_event_files_hold_the_numbers_of_the_table(tiny_dataset, small_options, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = tmp_path / "run"
    options = [*small_options, "--epochs", "3", "--tensorboard", "--no-check"]
    with dying_in_epoch(2):
        assert train(tiny_dataset, run, *options) == 1
    assert train(tiny_dataset, run, "--resume", "--tensorboard", "--device", "cpu") == 0
    found = events.EventAccumulator(str(run / "tensorboard")).Reload()
    rows = run_folder.read_metrics(run, 3)
    for tag, column in (("train/loss", "train_loss"), ("validation/accuracy", "val_accuracy"), ("lr", "lr")):
        assert [event.step for event in found.Scalars(tag)] == [1, 2, 3]
        for event, row in zip(found.Scalars(tag), rows, strict=True):
            assert event.value == pytest.approx(float(row[column]), rel=1e-4)


def test_event_files_without_the_package(tiny_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert train(tiny_dataset, tmp_path / "run", "--tensorboard") == 2
    assert "--tensorboard: expected the package tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
