"""Close-ups: balanced classes, true boxes, nothing taught by objects that are cut."""

import pytest
import torch

from trainer.core.augmentation import cut, example_seeds
from trainer.core.data import load_data
from trainer.core.split import IGNORED
from trainer.vit.closeups import CloseUps, whole_inside


@pytest.fixture(scope="module")
def split(tiny_dataset):
    return load_data(tiny_dataset).splits["train"]


def test_cut_moves_boxes_and_repeats_the_border():
    pixels = torch.arange(3 * 8 * 10, dtype=torch.float32).view(3, 8, 10)
    square, boxes = cut(pixels, torch.tensor([[2.0, 3.0, 4.0, 5.0]]), -2, 1, (6, 6))
    assert square.shape == (3, 6, 6)
    assert torch.equal(square[:, :, 2:], pixels[:, 1:7, :4])
    assert torch.equal(square[:, :, 0], pixels[:, 1:7, 0])
    assert boxes.tolist() == [[4, 2, 6, 4]]


def test_a_cut_object_does_not_count():
    boxes = torch.tensor([[0.0, 0.0, 8.0, 8.0], [-1.0, 0.0, 9.0, 4.0], [30.0, 0.0, 34.0, 4.0], [40.0, 0.0, 44.0, 4.0]])
    assert whole_inside(boxes, 32).tolist() == [True, True, False, False]


def test_each_class_is_drawn_equally_often_though_one_pin_in_twelve_is_ng(split):
    batch, _ = CloseUps(split, 32, 3).draw(example_seeds(300, torch.Generator().manual_seed(0)), augmented=False)
    counts = torch.bincount(batch.labels, minlength=3)
    assert counts.min() > 75


@pytest.mark.parametrize("augmented", [False, True])
def test_the_centre_object_lies_in_its_box_with_its_class(split, augmented):
    batch, centres = CloseUps(split, 32, 3).draw(example_seeds(60, torch.Generator().manual_seed(1)), augmented)
    assert batch.pixels.shape == (60, 3, 32, 32)
    for index, centre in enumerate(centres.tolist()):
        # Jitter may bring a pin near the border, never half out of it.
        assert batch.categories[index, centre] == batch.labels[index]
        x1, y1, x2, y2 = batch.boxes[index, centre].round().int().clamp(0, 32).tolist()
        brightest = batch.pixels[index, :, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].mean()
        if batch.labels[index] == 1:
            assert brightest < 0.3  # a missing pin's cavity
        else:
            assert brightest > 0.4


def test_objects_that_are_cut_are_ignored(split):
    batch, _ = CloseUps(split, 32, 3).draw(example_seeds(40, torch.Generator().manual_seed(2)), augmented=False)
    inner = batch.boxes.clamp(0, 32)
    area = (inner[..., 2] - inner[..., 0]) * (inner[..., 3] - inner[..., 1])
    share = area / ((batch.boxes[..., 2] - batch.boxes[..., 0]) * (batch.boxes[..., 3] - batch.boxes[..., 1]))
    assert (batch.categories[share < 0.79] == IGNORED).all()
    assert (batch.categories[share > 0.81] != IGNORED).all()


def test_draws_repeat_with_the_generator(split):
    first, second = (
        CloseUps(split, 32, 3).draw(example_seeds(8, torch.Generator().manual_seed(5)), True)[0] for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_without_known_boxes_there_are_none(make_dataset, make_rows, tmp_path):
    rows = make_rows("train", 6, 0, objects=False)
    data = load_data(make_dataset(tmp_path / "data", {"train": rows, "validation": rows}))
    assert not CloseUps(data.splits["train"], 32, 3)
