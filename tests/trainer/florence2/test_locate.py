"""`trainer.predict --locate`: addresses of a Florence-2's boxes by a gauge that locates the part in each picture."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("transformers")
pytest.importorskip("onnxruntime")

from generator.locating.fit import FitLimits
from generator.locating.gauge_file import GaugeFile
from tests.conftest import edited
from tests.generator.locating.drawn_photographs import EdgeFinder, background
from tests.generator.locating.exact_finder import gauge_of
from tests.generator.locating.test_pin_places import ROWS, drawn
from tests.trainer.florence2.florence2_rows import with_answers
from trainer import predict
from trainer.florence2 import command
from trainer.florence2.answers import Found
from trainer.florence2.detect import Inspector

GAUGE = gauge_of(EdgeFinder(), FitLimits(2.0, 0.7, 1.0))
HELD = GaugeFile("drawn", "ab" * 32, GAUGE, {ROWS.key: ROWS}, {})
AT = 13  # the position at which the network is made to see a defect


@pytest.fixture(scope="module")
def run(make_rows, make_dataset, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("locate")
    splits = {name: with_answers(make_rows(name, 4, seed)) for seed, name in enumerate(("train", "validation"))}
    words = ["--data", str(make_dataset(folder / "dataset", splits)), "--out", str(folder / "run"), "--threads", "1"]
    assert command.main([*words, "--epochs", "1", "--batch-size", "4", "--device", "cpu", "--longest-side", "64"]) == 0
    (folder / "run" / "gates.npz").unlink()  # drawn parts are unlike the dataset's
    (folder / "run" / "gates.safetensors").unlink()
    return folder / "run"


@pytest.fixture
def predicted(run, tmp_path, monkeypatch):
    """Judge pictures, in each of which the network sees a bent pin at `AT` of the upright part."""
    x, y = drawn(6.0)[1][AT]
    monkeypatch.setattr("generator.locating.pin_places.read_gauge_file", lambda path, threads: HELD)
    box = (x - 5.0, y - 5.0, x + 5.0, y + 5.0)
    monkeypatch.setattr(Inspector, "find", lambda self, given: [[Found(box, "BENDNG", 0.9)] for _ in given])
    monkeypatch.setattr("trainer.florence2.prediction.watch", _watch)

    def judge(pictures: dict[str, Image.Image], *more: str) -> list[dict]:
        for name, picture in pictures.items():
            picture.save(tmp_path / f"{name}.png")
        files = [str(tmp_path / f"{name}.png") for name in pictures]
        words = ["--model", str(run), *files, "--locate", "gauge.onnx", "--allow-unfit", "-o", str(tmp_path / "out")]
        assert predict.main([*words, "--threads", "1", *more]) == 0
        return json.loads((tmp_path / "out" / "predictions.json").read_text("utf-8"))

    return judge


class _watch:
    """In place of the features that only a network computes."""

    features = None

    def __init__(self, model) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass


def test_boxes_get_addresses_where_the_part_lies_and_a_part_not_found_is_invalid(predicted):
    pictures = {"upright": drawn(6.0)[0], "turned": drawn(40.0)[0], "without": background((420, 360), 5)}
    upright, turned, without = predicted(pictures)
    pin = ROWS.positions[AT]
    assert upright["verdict"] == "NG" and len(upright["pin_boxes"]) == 27
    assert [(one["address"], one["cavity"]) for one in upright["boxes"]] == [(pin.address, pin.cavity)]
    assert upright["orientation"].startswith("not checked: ")
    assert turned["verdict"] == "NG" and turned["boxes"][0]["address"] is None and turned["pin_boxes"] is None
    assert turned["orientation"].startswith("ambiguous: ")
    assert without["verdict"] == "INVALID" and without["boxes"][0]["address"] is None
    assert without["reasons"][0].startswith("not located: ") and without["pin_boxes"] is None


def test_each_view_is_located_by_its_own_camera(predicted):
    pictures = {"p_center": drawn(6.0)[0], "p_left": background((420, 360), 5)}
    (part,) = predicted(pictures, "--views", "center,left")
    center, left = part["by_view"]["center"], part["by_view"]["left"]
    assert part["verdict"] == "NG" and center["boxes"][0]["address"] == ROWS.positions[AT].address
    assert left["verdict"] == "INVALID" and any(reason.endswith("(view left)") for reason in part["reasons"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--positions", "p.csv"], "--locate: expected without --positions"),
        (["--camera", "back"], "view back: expected a camera of the gauge"),
        (["--views", "center,back"], "view back: expected a camera of the gauge"),
        (["--scene", "other"], "--scene other: expected a connector of the gauge"),
        (["--marking", "none"], "--marking: expected only for a run whose NSOART pictures"),
    ],
)
def test_mistakes_are_named(run, tmp_path, monkeypatch, capsys, more, message):
    monkeypatch.setattr("generator.locating.pin_places.read_gauge_file", lambda path, threads: HELD)
    Image.new("RGB", (64, 32)).save(tmp_path / "p.png")
    assert predict.main(["--model", str(run), str(tmp_path / "p.png"), "--locate", "g.onnx", *more]) == 2
    assert message in capsys.readouterr().err


def test_a_gauge_needs_photographs(run, tmp_path, capsys):
    model = shutil.copytree(run, tmp_path / "run")
    with edited(model / "config.json") as document:
        document["detector"]["input"] = "nsoart"
    Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(tmp_path / "p.png")
    assert predict.main(["--model", str(model), str(tmp_path / "p.png"), "--locate", "g.onnx"]) == 2
    assert "--locate: expected a run that is given photographs" in capsys.readouterr().err
    assert predict.main(["--model", str(run), str(tmp_path / "p.png"), "--locate", str(tmp_path / "no.onnx")]) == 2
    assert "expected an ONNX file" in capsys.readouterr().err
