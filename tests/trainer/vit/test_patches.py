"""Patch targets, pooling by boxes, and that both move with the pixels."""

import pytest
import torch

from trainer.core.augmentation import Batch, augment, drawn_shift, example_seeds, mirror, shift, turn
from trainer.core.pin_measures import UNDECIDED
from trainer.core.split import IGNORED
from trainer.vit.patches import object_logits, overlap, patch_loss, patch_targets

OK = 2
GRID = (4, 8)  # 64 x 32 px in patches of 8


def boxes_of(*boxes):
    return torch.tensor([boxes], dtype=torch.float32)


def test_no_objects_is_all_ok():
    target = patch_targets(torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.long), OK, GRID, 8)
    assert target.shape == (1, 4, 8)
    assert (target == OK).all()


def test_patches_inside_are_ng_touched_are_open_others_ok():
    # x 8..20 covers column 1 whole and half of column 2; y 8..18 covers row 1 whole and a quarter of row 2.
    target = patch_targets(boxes_of([8, 8, 20, 18]), torch.tensor([[1]]), OK, GRID, 8)[0]
    expected = torch.full(GRID, OK)
    expected[1, 1] = expected[1, 2] = 1
    expected[2, 1] = expected[2, 2] = UNDECIDED
    assert torch.equal(target, expected)


def test_a_box_smaller_than_half_a_patch_still_claims_its_patch():
    target = patch_targets(boxes_of([17, 9, 20, 12]), torch.tensor([[0]]), OK, GRID, 8)[0]
    assert target[1, 2] == 0
    assert (target == OK).sum() == 31


def test_ok_boxes_claim_nothing_and_hidden_objects_leave_their_place_open():
    boxes = boxes_of([0, 0, 8, 8], [16, 16, 24, 24], [0, 0, 0, 0])
    target = patch_targets(boxes, torch.tensor([[OK, IGNORED, IGNORED]]), OK, GRID, 8)[0]
    assert target[0, 0] == OK
    assert target[2, 2] == UNDECIDED
    assert (target == OK).sum() == 31


@pytest.mark.parametrize(("dx", "dy"), [(8, 0), (-8, 8), (16, -8)])
def test_targets_move_with_the_pixels(dx, dy):
    pixels = torch.zeros(3, 32, 64)
    pixels[:, 10:15, 26:31] = 1
    boxes = boxes_of([26, 10, 31, 15])
    moved_pixels, moved_boxes = shift(pixels, boxes[0], dx, dy)
    x1, y1, x2, y2 = moved_boxes[0].int().tolist()
    assert moved_pixels[:, y1:y2, x1:x2].min() == 1
    assert moved_pixels.sum() == pixels.sum()
    labels = torch.tensor([[0]])
    before = patch_targets(boxes, labels, OK, GRID, 8)[0]
    after = patch_targets(moved_boxes[None], labels, OK, GRID, 8)[0]
    assert torch.equal(torch.roll(before, (dy // 8, dx // 8), dims=(0, 1)), after)


@pytest.mark.parametrize(("across", "down"), [(True, False), (False, True), (True, True)])
def test_mirrored_boxes_hold_the_mirrored_pixels(across, down):
    pixels = torch.zeros(3, 32, 64)
    pixels[:, 3:9, 40:55] = 1
    moved_pixels, moved_boxes = mirror(pixels, torch.tensor([[40.0, 3.0, 55.0, 9.0]]), across, down)
    x1, y1, x2, y2 = moved_boxes[0].int().tolist()
    assert (x2 - x1, y2 - y1) == (15, 6)
    assert moved_pixels[:, y1:y2, x1:x2].min() == 1
    assert moved_pixels.sum() == pixels.sum()


def test_a_turned_box_may_leave_the_picture_and_none_may_be_there():
    turned = turn(torch.zeros(3, 64, 96), torch.tensor([[0.0, 0.0, 96.0, 64.0]]), 0, 1.5)[1]
    assert turned[0].tolist() == pytest.approx([-24, -16, 120, 80], abs=1e-3)
    assert turn(torch.zeros(3, 64, 96), torch.zeros(0, 4), 3, 1.1)[1].shape == (0, 4)
    assert mirror(torch.zeros(3, 64, 96), torch.zeros(0, 4), True, True)[1].shape == (0, 4)


@pytest.mark.parametrize(("angle_deg", "zoom"), [(90, 1.0), (0, 1.5), (10, 0.8), (-25, 1.2)])
def test_turned_boxes_hold_the_turned_pixels(angle_deg, zoom):
    pixels = torch.zeros(3, 64, 96)
    pixels[:, 20:30, 50:54] = 1
    moved_pixels, moved_boxes = turn(pixels, torch.tensor([[50.0, 20.0, 54.0, 30.0]]), angle_deg, zoom)
    rows, columns = torch.nonzero(moved_pixels[0] > 0.5, as_tuple=True)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert moved_boxes[0].tolist() == pytest.approx([float(v) for v in seen], abs=1.2)
    # The outermost pixels are rounded, the middle is exact.
    weight = moved_pixels[0] / moved_pixels[0].sum()
    middle = [(weight.sum(0) * (torch.arange(96) + 0.5)).sum(), (weight.sum(1) * (torch.arange(64) + 0.5)).sum()]
    x1, y1, x2, y2 = moved_boxes[0].tolist()
    assert [(x1 + x2) / 2, (y1 + y2) / 2] == pytest.approx([float(v) for v in middle], abs=0.1)
    assert moved_pixels.sum().item() == pytest.approx(pixels.sum().item() * zoom**2, rel=0.05)


def test_shifts_keep_every_box_inside():
    boxes = torch.tensor([[3.0, 0.0, 10.0, 8.0], [40.0, 10.0, 62.5, 20.0]])
    lowest, highest = (drawn_shift(boxes, (64, 32), (8, 8), [draw, draw]) for draw in (0.0, 0.999))
    assert (lowest, highest) == ((-3, 0), (1, 8))
    assert {drawn_shift(boxes[:0], (64, 32), (2, 1), [n / 100, n / 100]) for n in range(100)} >= {
        (-2, -1),
        (0, 0),
        (2, 1),
    }


def test_augmentation_moves_the_bright_pin_with_its_box_and_mirrors_only_where_allowed():
    pixels = torch.zeros(2, 3, 32, 64)
    pixels[:, :, 8:14, 12:18] = 0.9
    batch = Batch(
        pixels=pixels,
        labels=torch.tensor([0, 0]),
        boxes=torch.tensor([[[12.0, 8.0, 18.0, 14.0]]] * 2),
        categories=torch.tensor([[0], [0]]),
        boxes_known=torch.tensor([True, True]),
        may_flip=torch.tensor([[True, True], [False, True]]),
        pins=torch.zeros(2, 0, 6),
    )
    generator = torch.Generator().manual_seed(0)
    right_half = torch.zeros(2, dtype=torch.long)
    places = set()
    for _ in range(40):
        changed = augment(batch, example_seeds(2, generator))
        assert torch.equal(changed.labels, batch.labels)
        for index in range(2):
            x1, y1, x2, y2 = changed.boxes[index, 0].int().tolist()
            assert 5 <= x2 - x1 <= 8 and 5 <= y2 - y1 <= 8
            inside = changed.pixels[index, :, y1:y2, x1:x2].mean()
            assert inside > changed.pixels[index].mean() + 0.4
            right_half[index] += int(x1 >= 32)
            places.add((x1, y1))
    assert right_half[0] > 5 and right_half[1] == 0
    assert any(y >= 16 for _, y in places)
    assert len(places) > 20


def test_overlap_is_the_covered_area():
    down, across = overlap(torch.tensor([6.0, 7.0, 21.0, 30.0]), GRID, 8)
    assert down.tolist() == [1, 8, 8, 6]
    assert across.tolist() == [2, 8, 5, 0, 0, 0, 0, 0]


def test_object_logits_average_by_overlap():
    logits = torch.zeros(1, 3, *GRID)
    logits[0, 1, 1, 1], logits[0, 1, 1, 2] = 4.0, 8.0
    pooled = object_logits(logits, boxes_of([8, 8, 20, 16], [500, 500, 510, 510]), 8)
    assert pooled[0, 0].tolist() == pytest.approx([0, (4 * 8 + 8 * 4) / 12, 0])
    assert pooled[0, 1].tolist() == [0, 0, 0]


def test_rows_without_known_boxes_teach_the_patches_nothing():
    logits = torch.randn(2, 3, *GRID, generator=torch.Generator().manual_seed(0), requires_grad=True)
    boxes = torch.tensor([[[8.0, 8.0, 16.0, 16.0]]] * 2)
    loss = patch_loss(logits, boxes, torch.tensor([[0], [0]]), torch.tensor([True, False]), OK, 8)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0].abs().sum() > 0
    assert logits.grad[1].abs().sum() == 0
    nothing = patch_loss(logits, boxes, torch.tensor([[0], [0]]), torch.tensor([False, False]), OK, 8)
    assert nothing.item() == 0
