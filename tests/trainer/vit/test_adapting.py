"""A tiny ViT is adapted to a station with less and warmer light."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from benchmarks.florence2_drawn import draw
from generator.io.checksum import sha256_of
from tests.trainer.conftest import tiny_rows, write_dataset
from trainer import adapt, evaluate, export, predict
from trainer.core import frozen_threshold
from trainer.core.adaptation import Asked
from trainer.core.errors import InputError
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
            _photographs(Asked(trained_run, data, sorted(folder.iterdir()), tmp_path, ()), ())


def test_no_threshold_and_no_gate_is_chosen_for_an_adapted_run(trained_run, tiny_dataset, station, tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(trained_run, run)
    for name in ("frozen.json", "gates.npz", "gates.safetensors"):
        (run / name).unlink()
    options = ["--data", str(tiny_dataset), "--photos", str(station), "--out", str(out), "--change", "none"]
    assert adapt.main(["--model", str(run), *options]) == 0
    before = sorted(path.name for path in out.iterdir())
    assert evaluate.main(["--model", str(out), "--data", str(tiny_dataset), "--out", str(tmp_path / "e")]) == 2
    assert "expected an adapted run with frozen.json" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == before
