"""Where a verdict points, for pictures of every shape."""

import csv
import io

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

from tests.conftest import edited
from trainer import evaluate
from trainer.core import frozen_threshold
from trainer.vit.network.letterbox import pixels_of
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.onnx_export import export
from trainer.vit.run import load_config, load_model
from trainer.vit.verdicts import annotate, judge


@pytest.mark.parametrize("size", [(64, 32), (65, 33), (2000, 20), (20, 2000), (2000, 1), (1, 3000), (640, 60)], ids=str)
def test_the_peak_lies_in_the_picture(size):
    torch.manual_seed(0)
    model = ViT(ViTConfig(("BENDNG", "NUKENG", "OK"), 64, 32, dim=32, depth=1, heads=2)).eval()
    picture = Image.effect_noise(size, 80).convert("RGB")
    verdict, heat = judge(model, picture)
    x, y = verdict.peak_px
    assert 0 <= x <= size[0] and 0 <= y <= size[1]
    assert annotate(picture, verdict, heat, model).height > 2 * size[1]


def test_predict_evaluate_and_the_onnx_file_say_the_same_of_a_picture_at_two_places(
    run, make_rows, make_dataset, tmp_path
):
    with edited(run / "config.json") as document:
        document["model"]["shifts"] = 2
    rows = make_rows("test", 3, 5)
    data = make_dataset(tmp_path / "data", {"train": rows, "validation": rows, "test": rows})
    options = ["--model", str(run), "--data", str(data), "--split", "test", "--out", str(tmp_path / "out")]
    assert evaluate.main(options) == 0
    with (tmp_path / "out" / "predictions.csv").open() as file:
        evaluated = {line["run"]: float(line["p_ng"]) for line in csv.DictReader(file)}
    model, held = load_model(run), frozen_threshold.load(run)
    assert export(model, load_config(run)[1], tmp_path / "model.onnx", held) < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    ok = model.config.ok_index
    for row in rows:
        picture = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB")
        verdict, _ = judge(model, picture, temperature=held.temperature)
        pixels = pixels_of(picture, (model.config.width, model.config.height))[None].astype(np.float32) / 255
        exported = session.run(["probabilities"], {"pixels": pixels})[0][0]
        with torch.inference_mode():
            once = (model(torch.from_numpy(pixels)).logits[0] / held.temperature).softmax(0)
        assert evaluated[row["run"]] == pytest.approx(1 - verdict.probabilities["OK"], abs=1e-5)
        assert 1 - exported[ok] == pytest.approx(evaluated[row["run"]], abs=1e-4)
        assert abs(float(1 - once[ok]) - evaluated[row["run"]]) > 1e-6


def test_channels_of_two_pictures_are_judged_as_trained():
    torch.manual_seed(0)
    six = {"channels": 6, "mean": (0.5,) * 6, "std": (0.25,) * 6}
    model = ViT(ViTConfig(("BENDNG", "NUKENG", "OK"), 64, 32, dim=32, depth=1, heads=2, **six)).eval()
    picture, chart = (Image.effect_noise((64, 32), spread).convert("RGB") for spread in (80, 40))
    verdict, _ = judge(model, picture, inputs=[picture, chart])
    pixels = torch.cat([torch.from_numpy(pixels_of(each, (64, 32)).copy()).float() / 255 for each in (picture, chart)])
    with torch.inference_mode():
        wanted = model.judged(pixels[None]).logits[0].double().softmax(0)
    assert list(verdict.probabilities.values()) == pytest.approx(wanted.tolist())
