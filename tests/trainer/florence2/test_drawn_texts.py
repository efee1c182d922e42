"""Texts drawn on pictures: where they may lie, and that they repeat."""

from random import Random

import pytest
import torch
from PIL import Image

pytest.importorskip("transformers")

from trainer.florence2 import drawn_texts
from trainer.florence2.drawn_texts import seeded, varied, with_texts
from trainer.florence2.run import DRAWN_TEXTS
from trainer.florence2.truth import Pin, Truth

GREY = torch.full((3, 96, 160), 0.37)
BOXES = torch.tensor([[20.0, 30.0, 32.0, 44.0], [60.5, 33.2, 70.8, 45.1], [100.0, 60.0, 111.0, 80.0]])


def on_boxes() -> torch.Tensor:
    inside = torch.zeros(GREY.shape[1:], dtype=torch.bool)
    for x1, y1, x2, y2 in BOXES.tolist():
        inside[int(y1) : -int(-y2 // 1), int(x1) : -int(-x2 // 1)] = True
    return inside


def test_texts_never_lie_on_pins_and_are_drawn_in_most_pictures():
    drawn = [varied(GREY, BOXES, Random(seed)) != GREY for seed in range(60)]
    assert not any(bool((one & on_boxes()).any()) for one in drawn)
    assert sum(bool(one.any()) for one in drawn) > 50
    # They lie everywhere else, not only near the pins.
    assert torch.stack(drawn).any(0).any(0)[~on_boxes()].float().mean() > 0.8


def test_texts_follow_from_the_generator():
    def one(seed: int) -> torch.Tensor:
        return varied(GREY, BOXES, seeded(torch.Generator().manual_seed(seed)))

    assert torch.equal(one(1), one(1)) and not torch.equal(one(1), one(2))


def test_a_number_never_betrays_a_defect(monkeypatch):
    """If only defects have boxes, none gets a number."""
    monkeypatch.setattr(drawn_texts, "_number", lambda *_: pytest.fail("a number beside a defect"))
    for seed in range(20):
        varied(GREY, BOXES, Random(seed), numbered=False)


@pytest.mark.parametrize("kind", DRAWN_TEXTS)
def test_pictures_of_a_test_are_the_same_each_time(kind):
    pins = tuple(Pin(f"r1c{k}", str(k), tuple(box), "OK") for k, box in enumerate(BOXES.tolist()))
    picture, truth = Image.new("L", (160, 96), 90), Truth("a", (160, 96), pins, (0,))
    one = with_texts(picture, truth, kind)
    assert one.mode == "RGB" and one.size == picture.size and one.tobytes() != picture.convert("RGB").tobytes()
    assert one.tobytes() == with_texts(picture, truth, kind).tobytes()
    other = with_texts(picture, Truth("b", (160, 96), pins, (0,)), kind)
    assert (one.tobytes() == other.tobytes()) == (kind == "overlaid")
