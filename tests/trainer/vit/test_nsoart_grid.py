"""NSOART pictures at 250 x 250 px, the source's grid, which no size of patch divides: from training to attention."""

import json

import pytest
import torch
from PIL import Image

from trainer.attention import main as attention
from trainer.evaluate import main as evaluate
from trainer.vit import run as vit_run
from trainer.vit.command import main as train
from trainer.vit.network.model import ViT, ViTConfig


@pytest.mark.parametrize("patch", [4, 8, 16])
def test_a_side_that_patches_do_not_divide_is_continued_to_whole_ones(patch):
    config = ViTConfig(("NG", "OK"), 250, 250, patch_size=patch, dim=16, depth=1, heads=2)
    side = -(-250 // patch)
    assert config.grid == (side, side)
    torch.manual_seed(0)
    network = ViT(config).eval()
    pixels = torch.rand(1, 3, 250, 250)
    with torch.no_grad():
        found = network(pixels)
    assert found.patch_logits.shape == (1, 2, side, side) and found.logits.isfinite().all()


def test_training_evaluation_and_attention(tiny_dataset, small_options, tmp_path):
    run = tmp_path / "run"
    options = ["--input", "nsoart", "--image-size", "250x250", "--patch-size", "16", "--no-check"]
    given = ["--data", str(tiny_dataset), "--out", str(run), "--epochs", "2", "--stages", "2"]
    assert train([*given, *options, *small_options]) == 0
    config, settings = vit_run.load_config(run)
    assert (config.width, config.height, settings.input) == (250, 250, "nsoart")
    assert evaluate(["--model", str(run), "--data", str(tiny_dataset), "--threads", "1"]) == 0
    assert attention(["--model", str(run), "--data", str(tiny_dataset), "--threads", "1", "--probes", "3"]) == 0
    document = json.loads((run / "attention" / "attention.json").read_text("utf-8"))
    # The boxes moved with the pixels: 54 x 22 of 64 x 32 px at 250 / 64, on 16 x 16 patches of 16 px.
    share = 54 * 22 * (250 / 64) ** 2 / 256**2
    assert document["baselines"]["uniform"]["on_pins"] == pytest.approx(share, abs=0.03)
    with Image.open(run / "attention" / "attention_best.png") as sheet:
        assert sheet.height > 3 * 250
