"""Where a verdict points, for pictures of every shape."""

import pytest
import torch
from PIL import Image

from trainer.vit.network.letterbox import pixels_of
from trainer.vit.network.model import ViT, ViTConfig
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
