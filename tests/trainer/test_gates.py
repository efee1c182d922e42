"""The gates of a run: written by a training, applied by `trainer.predict`, made again by `trainer.evaluate`."""

import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from generator.verdict.gates import FILE as PICTURES
from generator.verdict.gates import PictureGates
from trainer.core.data import load_data
from trainer.core.gates import FEATURES, FILES, Gates, have
from trainer.core.run_folder import BEST, read_tensors, save_tensors
from trainer.evaluate import main as evaluate
from trainer.predict import main


@pytest.fixture
def pictures(tmp_path, make_rows):
    """Folder with the first training pictures of `trained_run`."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for row in make_rows("train", 6, 0):
        (folder / f"{row['run']}.png").write_bytes(row["image"]["bytes"])
    return folder


def verdicts(run, files, folder) -> list[dict]:
    target = folder / "verdicts.json"
    assert main(["--model", str(run), *map(str, files), "--json", str(target), "--out", str(folder / "sheets")]) == 0
    return json.loads(target.read_text())


def test_a_training_writes_gates_that_pass_its_pictures(trained_run, pictures, tmp_path):
    assert have(trained_run)
    gates = Gates.load(trained_run)
    assert gates.missing == [] and gates.features is not None
    assert all(one["verdict"] != "INVALID" for one in verdicts(trained_run, [pictures], tmp_path))


def test_pictures_that_cannot_be_judged_are_invalid_with_reasons(trained_run, pictures, tmp_path):
    regular = Image.open(sorted(pictures.glob("*.png"))[0]).convert("RGB")
    noise = np.random.default_rng(0).integers(0, 256, (regular.height, regular.width, 3), dtype=np.uint8)
    made = {
        "black": (Image.new("RGB", regular.size), "contrast"),
        "white": (Image.new("RGB", regular.size, "white"), "contrast"),
        "noise": (Image.fromarray(noise), "noise"),
        "tall": (regular.resize((regular.width, 3 * regular.height)), "size"),
    }
    for name, (picture, _) in made.items():
        picture.save(tmp_path / f"{name}.png")
    found = verdicts(trained_run, [tmp_path / f"{name}.png" for name in made], tmp_path)
    for one, (_, keyword) in zip(found, made.values(), strict=True):
        assert one["verdict"] == "INVALID"
        assert any(reason.startswith(f"{keyword}: ") for reason in one["reasons"]), one["reasons"]
    assert len(list((tmp_path / "sheets").glob("*.png"))) == len(made)


def test_evaluate_says_why_pictures_cannot_be_judged(trained_run, make_rows, make_dataset, tmp_path, capsys):
    rows = make_rows("test", 4, 9)
    dark = io.BytesIO()
    Image.new("RGB", Image.open(io.BytesIO(rows[0]["image"]["bytes"])).size).save(dark, "PNG")
    rows[0]["image"]["bytes"] = dark.getvalue()
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": rows, "test": rows})
    options = ["--model", str(trained_run), "--data", str(data), "--split", "test", "--out", str(tmp_path / "out")]
    assert evaluate(options) == 0
    assert re.search(r"test: INVALID because of .*contrast \(1\)", capsys.readouterr().out)


def test_features_of_other_pictures_are_no_features_of_these(trained_run, tiny_dataset):
    split = load_data(tiny_dataset).splits["validation"]
    with pytest.raises(ValueError, match=f"expected the features of {len(split)} pictures, got those of 1"):
        Gates.load(trained_run).of_split(split.pictures, np.zeros((1, 4, 8, 8), np.float32))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda run, _: (run / FEATURES).unlink(),
            "gates: the run has no gates.safetensors, and judges only with --allow-unfit",
        ),
        (
            lambda run, other: shutil.copy(other / FEATURES, run),
            "has gates.safetensors of other weights or another run, and judges only with --allow-unfit",
        ),
        (
            lambda run, other: shutil.copy(other / PICTURES, run),
            "gates: the run has gates.npz of another run, and judges only with --allow-unfit",
        ),
    ],
)
def test_a_run_without_one_of_its_gates_judges_nothing(run, pictures, tiny_dataset, tmp_path, change, said, capsys):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    tensors, metadata = read_tensors(other / BEST)
    save_tensors(other / BEST, tensors, {**metadata, "trained": "again"})
    replace(Gates.load(run), pictures=PictureGates.of([Image.new("RGB", (8, 8))])).save(other)
    change(run, other)
    for one in verdicts(run, [pictures], tmp_path):
        assert one["verdict"] == "INVALID" and any(said in reason for reason in one["reasons"]), one
    assert said in capsys.readouterr().out and not have(run)
    assert evaluate(["--model", str(run), "--data", str(tiny_dataset), "--out", str(tmp_path / "out")]) == 0
    assert have(run) and Gates.load(run).missing == []


def test_a_run_without_gates_judges_nothing_until_an_evaluation_has_made_them(
    run, tiny_dataset, pictures, tmp_path, capsys
):
    for name in FILES:
        (run / name).unlink()
    for one in verdicts(run, [pictures], tmp_path):
        assert one["verdict"] == "INVALID" and any(reason.startswith("gates: ") for reason in one["reasons"])
    assert evaluate(["--model", str(run), "--data", str(tiny_dataset), "--out", str(tmp_path / "out")]) == 0
    assert (
        "lacks gates of its own (limits that tell which pictures cannot be judged): learning them now from"
        in capsys.readouterr().out
    )
    assert have(run)
    assert all(one["verdict"] != "INVALID" for one in verdicts(run, [pictures], tmp_path))
