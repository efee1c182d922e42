"""A tiny ViT is adapted to a station with less and warmer light."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmarks.florence2_drawn import draw
from generator.io.checksum import sha256_of
from generator.verdict.gates import PictureGates
from tests.trainer.conftest import tiny_rows, write_dataset
from trainer import adapt, evaluate, export, predict
from trainer.core import adaptation, frozen_threshold
from trainer.core.adaptation import AdaptationOptions
from trainer.core.errors import InputError
from trainer.core.gates import FEATURES, Gates
from trainer.core.picture_transform import NONE, PictureTransform
from trainer.core.run_folder import BEST, read_tensors, save_tensors
from trainer.vit.adapting import _photographs


@pytest.fixture(scope="module")
def station(tmp_path_factory):
    """Photographs of good parts under another light."""
    folder, source = tmp_path_factory.mktemp("station"), np.random.default_rng(5)
    for number in range(10):
        pixels = draw(source, "ok", 0)[0] * (0.8, 0.6, 0.45)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"part{number}.png")
    return folder


@pytest.fixture(scope="module")
def adapted(trained_run, tiny_dataset, station, tmp_path_factory):
    out = tmp_path_factory.mktemp("adapted") / "run"
    options = ["--data", str(tiny_dataset), "--photos", str(station), "--out", str(out), "--change", "tone"]
    assert adapt.main(["--model", str(trained_run), *options]) == 0
    return out


def test_the_new_run_keeps_thresholds_and_loses_promises(trained_run, adapted):
    old, new = frozen_threshold.load(trained_run), frozen_threshold.load(adapted)
    assert new.limits == old.limits and new.temperature == old.temperature
    assert new.operating_points is None and old.operating_points is not None
    assert new.weights_sha256 == sha256_of(adapted / "best.safetensors") != old.weights_sha256
    document = json.loads((adapted / "adaptation.json").read_text())
    assert document["views"][""]["transform"]["kind"] == "tone"
    assert document["good_parts"]["false_alarms"]["of"] == 10
    assert "escapes on this station" in (adapted / "report.html").read_text()


def test_pictures_are_changed_before_they_are_judged(trained_run, adapted, station, tmp_path):
    found = {}
    for name, run in (("old", trained_run), ("new", adapted)):
        target = tmp_path / f"{name}.json"
        code = predict.main(["--model", str(run), str(station / "part0.png"), "--json", str(target), "--allow-unfit"])
        assert code == 0
        found[name] = json.loads(target.read_text())[0]
    assert found["new"]["model"]["hash"] != found["old"]["model"]["hash"]
    assert found["new"]["warnings"][-1].startswith("adapted: ")
    assert found["new"]["probabilities"] != found["old"]["probabilities"]


def test_an_evaluation_changes_the_pictures_too_and_other_commands_refuse(adapted, trained_run, tiny_dataset, tmp_path):
    shares = []
    for run in (trained_run, adapted):
        out = tmp_path / run.parent.name
        out.mkdir()
        assert evaluate.main(["--model", str(run), "--data", str(tiny_dataset), "--out", str(out / "e")]) == 0
        shares.append((out / "e" / "predictions.csv").read_text())
        document = json.loads((out / "e" / "evaluation.json").read_text())
        page = (out / "e" / "report.html").read_text()
        assert ("adapted" in document) == ("has not been shown" in page) == (run is adapted)
    assert shares[0] != shares[1]
    assert export.main(["--model", str(adapted), "--to", str(tmp_path / "vit.onnx")]) == 2
    options = ["--data", str(tiny_dataset), "--out", str(tmp_path / "m"), "--max-escape", "0.1"]
    assert evaluate.main(["--model", str(adapted), *options]) == 2


def test_too_few_photographs_are_refused(trained_run, tiny_dataset, station, tmp_path, capsys):
    few = tmp_path / "few"
    few.mkdir()
    Image.open(station / "part0.png").save(few / "part0.png")
    options = ["--data", str(tiny_dataset), "--photos", str(few), "--out", str(tmp_path / "out")]
    assert adapt.main(["--model", str(trained_run), *options]) == 2
    assert "at least 8 good parts, got 1" in capsys.readouterr().err


def test_copies_and_pictures_of_one_part_do_not_count_as_parts(trained_run, station, tmp_path):
    copies, shown = tmp_path / "copies", tmp_path / "shown"
    for folder in (copies, shown):
        folder.mkdir()
    rows = tiny_rows("train", 6, 0)
    for number, row in enumerate(rows):
        row["camera"] = ("center", "top")[number % 2]
    data = write_dataset(tmp_path / "data", {"train": rows})
    for number in range(8):
        with Image.open(station / "part0.png") as picture:  # saved again: other bytes, the same pixels
            picture.save(copies / f"part{number}.png", compress_level=number)
        name = f"part{number // 2}_{('center', 'top')[number % 2]}.png"
        shutil.copyfile(station / f"part{number}.png", shown / name)
    for folder, why in ((copies, "part0.png, got a copy of it"), (shown, "at least 8 good parts, got 4 of them")):
        with pytest.raises(InputError, match=why):
            _photographs(AdaptationOptions(trained_run, data, sorted(folder.iterdir()), tmp_path, ()), ())


def without_fitness(run, other):
    stated = json.loads((run / "frozen.json").read_text())
    (run / "frozen.json").write_text(json.dumps({**stated, "fitness": None}))


def with_gates_of_other_weights(run, other):
    tensors, metadata = read_tensors(other / BEST)
    save_tensors(other / BEST, tensors, {**metadata, "trained": "again"})
    Gates.load(run).save(other)
    shutil.copyfile(other / FEATURES, run / FEATURES)


def with_gates_of_another_run(run, other):
    replace(Gates.load(run), pictures=PictureGates.of([Image.new("RGB", (8, 8))])).save(other)
    shutil.copyfile(other / "gates.npz", run / "gates.npz")


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda run, _: (run / "gates.npz").unlink(), "got no gates.npz; "),
        (lambda run, _: (run / FEATURES).unlink(), "got no gates.safetensors; "),
        (with_gates_of_other_weights, "got gates.safetensors of other weights or another run; "),
        (with_gates_of_another_run, "got gates.npz of another run; "),
        (lambda run, _: (run / "frozen.json").unlink(), "got no frozen.json; "),
        (without_fitness, "got frozen.json without fitness; "),
    ],
)
def test_a_run_that_lacks_what_no_adapted_run_is_given_is_refused_until_it_was_evaluated(
    trained_run, tiny_dataset, station, tmp_path, capsys, change, got
):
    run, other, out = tmp_path / "run", tmp_path / "other", tmp_path / "out"
    for folder in (run, other):
        shutil.copytree(trained_run, folder)
    change(run, other)
    options = ["--data", str(tiny_dataset), "--photos", str(station), "--out", str(out), "--change", "none"]
    assert adapt.main(["--model", str(run), *options]) == 2
    assert got in capsys.readouterr().err and not out.exists()
    assert evaluate.main(["--model", str(run), "--data", str(tiny_dataset), "--out", str(tmp_path / "e")]) == 0
    assert adapt.main(["--model", str(run), *options]) == 0
    assert Gates.load(out).lacking == "" and frozen_threshold.load(out).fitness is not None


def test_an_adapted_run_of_an_earlier_version_without_gates_is_adapted_again(
    trained_run, tiny_dataset, station, tmp_path, capsys
):
    """No command writes thresholds or gates into it: advice that holds for other runs would not help."""
    run = tmp_path / "run"
    run.mkdir()
    adaptation.copy(trained_run, run, ["config.json"])
    nothing = PictureTransform(NONE, np.tile(np.arange(256.0), (3, 1))).to_json()
    adaptation.seal(trained_run, run, {"views": {"": {"transform": nothing}}})
    before = sorted(path.name for path in run.iterdir())
    assert evaluate.main(["--model", str(run), "--data", str(tiny_dataset), "--out", str(tmp_path / "e")]) == 2
    assert "expected an adapted run with frozen.json" in capsys.readouterr().err
    assert sorted(path.name for path in run.iterdir()) == before
    target = tmp_path / "p.json"
    assert predict.main(["--model", str(run), str(station / "part0.png"), "--json", str(target)]) == 0
    found = json.loads(target.read_text())[0]
    assert found["verdict"] == "INVALID" and "trainer.evaluate" not in " ".join(found["reasons"])
    assert any("adapt a run that has them" in reason for reason in found["reasons"])
    assert any("adapted from, and adapt it again" in reason for reason in found["reasons"])
