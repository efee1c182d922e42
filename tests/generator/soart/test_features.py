"""`inspect --features`: the unit space of a network's features, the network's file, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.__main__ import main
from generator.soart import feature_file
from generator.soart.estimator import SoartC
from generator.soart.feature_space import FeatureSpace
from generator.soart.feature_stage import FeatureStage
from generator.soart.inspection import InspectionModel
from tests.generator.soart.test_inspect import part

STATED = {
    "format": feature_file.FORMAT,
    "name": "averages",
    "kind": "test",
    "weights_sha256": "0",
    "multiple": "8",
    "stride": "4",
}


def write_network(path: Path, **stated: str | None) -> Path:
    """A network whose three features are the mean red, green and blue of 4 x 4 px, in a file with this metadata."""
    node = helper.make_node("AveragePool", ["pixels"], ["features"], kernel_shape=[4, 4], strides=[4, 4])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, f"{name}_h", f"{name}_w"])
        for name in ("pixels", "features")
    ]
    model = helper.make_model(
        helper.make_graph([node], "averages", ends[:1], ends[1:]), opset_imports=[helper.make_opsetid("", 18)]
    )
    model.ir_version = 10
    given = {name: value for name, value in (STATED | stated).items() if value is not None}
    helper.set_model_props(model, given)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("features")
    (path / "ok").mkdir()
    for n in range(6):
        part(n).save(path / "ok" / f"{n}.png")
    part(20, word=False).save(path / "no_word.png")
    part(21).save(path / "good.png")
    write_network(path / "net.onnx")
    write_network(path / "other.onnx", name="other")
    write_network(path / "gauge.onnx", format="pinsight-gauge-onnx/5")
    (path / "text.onnx").write_text("no network")
    return path


def inspect(folder: Path, golden: str, out: str, *more: str) -> int:
    pictures = [str(folder / "no_word.png"), str(folder / "good.png")]
    return main(["inspect", *pictures, "--golden", str(folder / golden), "-o", str(folder / out), *more])


def test_a_missing_word_is_found_by_features_and_a_saved_unit_space_says_the_same(folder, capsys):
    features = ["--features", str(folder / "net.onnx")]
    assert inspect(folder, "ok", "out", *features, "--save", str(folder / "unit.npz")) == 0
    bad, good = (json.loads((folder / "out" / f"{name}.json").read_text("utf-8")) for name in ("no_word", "good"))
    assert bad["verdict"] == "NG" and good["verdict"] in ("OK", "UNSURE")
    x1, y1, x2, y2, degree = bad["boxes"][0]
    assert degree > 1 and 15 <= x1 < x2 <= 75 and 15 <= y1 < y2 <= 55
    sha256 = hashlib.sha256((folder / "net.onnx").read_bytes()).hexdigest()
    assert bad["model"]["features_sha256"] == sha256 and bad["model"]["features"] == "averages"
    assert inspect(folder, "unit.npz", "again", *features) == 0
    again = json.loads((folder / "again" / "no_word.json").read_text("utf-8"))
    kept = ("verdict", "reasons", "score", "boxes", "limit")
    assert {name: again[name] for name in kept} == {name: bad[name] for name in kept}
    assert again["model"]["hash"] == bad["model"]["hash"]
    for given, said in (([], "got no --features"), (["--features", str(folder / "other.onnx")], "of averages")):
        assert inspect(folder, "unit.npz", "refused", *given) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(ValueError, match="expected the features with which"):
        InspectionModel.load(folder / "unit.npz").inspect(np.full((60, 90), 0.5, np.float32))


def test_a_unit_space_without_features_refuses_them_and_says_nothing_of_them(folder, capsys):
    assert inspect(folder, "ok", "plain", "--save", str(folder / "plain.npz")) == 0
    assert set(json.loads((folder / "plain" / "no_word.json").read_text("utf-8"))["model"]) == {"name", "hash"}
    assert inspect(folder, "plain.npz", "refused", "--features", str(folder / "net.onnx")) == 2
    assert "expected no --features" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "OK picture 5.png is set aside: its difference in features from the other OK pictures is"),
        (["--keep-outliers"], "warning: OK picture 5.png: its difference in features"),
    ],
    ids=["set aside", "kept"],
)
def test_an_ok_picture_that_is_an_outlier_only_by_features_is_set_aside_or_kept(folder, tmp_path, capsys, given, said):
    (tmp_path / "ok").mkdir()
    y, x = np.mgrid[0:60, 0:90]
    shade = 9 * np.exp(-((x - 55) ** 2 + (y - 20) ** 2) / 128)
    for n in range(12):
        values = np.mean([np.asarray(part(n + more)) for more in (0, 100, 200)], axis=0) + (shade if n == 5 else 0)
        Image.fromarray(np.round(values).astype(np.uint8)).save(tmp_path / "ok" / f"{n}.png")
    arguments = ["--golden", str(tmp_path / "ok"), "-o", str(tmp_path / "out"), "--window", "3", *given]
    assert main(["inspect", str(folder / "good.png"), *arguments]) == 0
    printed = capsys.readouterr().out
    assert "OK picture 5.png" not in printed and "OK pictures have high scores (5.png)" in printed
    features = ["--features", str(folder / "net.onnx"), "--save", str(tmp_path / "unit.npz")]
    assert main(["inspect", str(folder / "good.png"), *arguments, *features]) == 0
    assert capsys.readouterr().out.count(said) == 1
    scores = SoartC.load(tmp_path / "unit.npz").scores_
    assert len(scores) == (12 if given else 11)
    assert (scores.max() > 5 * np.median(scores)) == bool(given)


def test_the_score_is_that_of_the_features_whose_limit_the_model_has(folder):
    pictures = [np.asarray(part(n), np.float32) / 255 for n in range(7)]
    model = SoartC(window=5).fit(pictures[:6])
    by_soart3 = model.score(pictures[6])
    stage = FeatureStage.fit(model, feature_file.read_feature_file(folder / "net.onnx"))
    expected = stage.degrees(model.registered(pictures[6]))
    assert np.array_equal(model.degrees(pictures[6]), expected)
    assert model.score(pictures[6]) == expected.max() != by_soart3
    model.second_stage = None
    for compute in (model.score, model.degrees):
        with pytest.raises(ValueError, match="expected the features with which"):
            compute(pictures[6])


@pytest.mark.parametrize("given", [["--similarity", "gram"], ["--reference", "self"]])
def test_settings_of_soart3_are_refused_with_features(folder, capsys, given):
    assert inspect(folder, "ok", "refused", "--features", str(folder / "net.onnx"), *given) == 2
    assert f"--features: expected no {given[0]}, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none.onnx", "expected an ONNX file"),
        ("text.onnx", "expected an ONNX file"),
        ("gauge.onnx", "got 'pinsight-gauge-onnx/5': write it with `python -m trainer.export --features`"),
    ],
)
def test_other_files_are_refused(folder, capsys, name, said):
    assert inspect(folder, "ok", "refused", "--features", str(folder / name)) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"kind": None}, "metadata with kind"),
        ({"stride": "3"}, "multiple and stride"),
        ({"stride": "x"}, "'8' and 'x'"),
    ],
)
def test_wrong_metadata_is_refused(tmp_path, stated, said):
    with pytest.raises(InputError, match=said):
        feature_file.read_feature_file(write_network(tmp_path / "net.onnx", **stated))


def test_features_of_any_size_grey_or_colour(tmp_path):
    network = feature_file.read_feature_file(write_network(tmp_path / "net.onnx"))
    grey = np.random.default_rng(0).random((21, 30), np.float32)
    found = network.features(grey)
    assert found.shape == (3, 6, 8)
    assert found[0, 1, 2] == pytest.approx(grey[4:8, 8:12].mean(), abs=1e-6)
    assert np.array_equal(found, network.features(np.repeat(grey[..., None], 3, axis=2)))
    with pytest.raises(ValueError, match="shape"):
        network.features(np.zeros((21, 30, 4), np.float32))


def members(count: int, seed: int = 0) -> np.ndarray:
    draws = np.random.default_rng(seed)
    mixing = draws.normal(size=(6, 6))
    places = draws.normal(size=(6, 9, 12))
    return (places + 0.1 * np.einsum("de,neyx->ndyx", mixing, draws.normal(size=(count, 6, 9, 12)))).astype(np.float32)


def test_good_parts_are_near_1_and_a_defect_stands_out_at_its_place():
    drawn = members(24)
    space, own = FeatureSpace.fit(drawn[:20])
    for degrees in (own, np.stack([space.degrees(one) for one in drawn[20:]])):
        assert 0.9 < np.median(degrees) < 1.2 and degrees.max() < 2.5
    bad = drawn[20].copy()
    bad[:, 4, 5] += 2.0
    degrees = space.degrees(bad)
    assert np.unravel_index(degrees.argmax(), degrees.shape) == (4, 5) and degrees.max() > 3 * degrees[0].max()


def test_a_defect_in_a_fifth_of_the_good_parts_hardly_changes_its_degree():
    drawn = members(21)
    bad = drawn[20].copy()
    bad[:, 4, 5] += 2.0
    clean = FeatureSpace.fit(drawn[:20])[0].degrees(bad)[4, 5]
    drawn[:4, :, 4, 5] += 2.0
    assert FeatureSpace.fit(drawn[:20])[0].degrees(bad)[4, 5] > 0.7 * clean


def test_damaged_statistics_are_refused(folder):
    space, _ = FeatureSpace.fit(members(5))
    arrays = space.arrays()
    assert np.array_equal(FeatureSpace.from_arrays(arrays).mean, space.mean)
    for name, value, said in (
        ("mean", arrays["mean"][0], "wrong shapes"),
        ("spread", np.zeros_like(arrays["spread"]), "not above 0"),
        ("whitening", np.full_like(arrays["whitening"], np.nan), "not finite"),
    ):
        with pytest.raises(ValueError, match=said):
            FeatureSpace.from_arrays({**arrays, name: value})
    with pytest.raises(ValueError, match="no array spread"):
        FeatureSpace.from_arrays({name: arrays[name] for name in ("mean", "whitening")})


def test_statistics_that_were_changed_in_the_file_are_refused(folder, tmp_path, capsys):
    features = ["--features", str(folder / "net.onnx")]
    assert inspect(folder, "ok", "out2", *features, "--save", str(folder / "changed.npz")) == 0
    model = SoartC.load(folder / "changed.npz")
    model.extras["features_mean"] = model.extras["features_mean"] + np.float32(0.01)
    model.save(folder / "changed.npz")
    assert inspect(folder, "changed.npz", "refused", *features) == 2
    assert "the file is damaged" in capsys.readouterr().err
