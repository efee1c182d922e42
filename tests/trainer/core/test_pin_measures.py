"""Measures as auxiliary targets: which patch learns of which pin, and the losses by hand."""

import pytest
import torch

from trainer.core.pin_measures import UNUSED, balanced_cross_entropy, measure_loss, padded, places, scale_of
from trainer.core.split import IGNORED


def test_balanced_loss_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    targets = torch.tensor([0, 1, 1, 1, 1])
    first = float(torch.log(1 + torch.exp(torch.tensor(-2.0))))
    other = float(torch.log(torch.tensor(2.0)))
    # Weights 1/sqrt(1) and 1/sqrt(4).
    assert float(balanced_cross_entropy(logits, targets)) == pytest.approx((first + 4 * 0.5 * other) / (1 + 4 * 0.5))


def test_a_pin_teaches_the_patch_that_holds_it():
    pins = padded(
        [torch.tensor([[9.0, 3.0, 1, 0.5, 0, 0], [64.0, 3.0, 1, 9, 9, 9]]), torch.tensor([[63.0, 31.0, 0, 0, 0, 0]])]
    )
    assert pins.shape == (2, 2, 6) and pins[1, 1, 2] == UNUSED == IGNORED
    picture, patch, shown = places(pins, (64, 32), 8)
    assert picture.tolist() == [0, 1] and patch.tolist() == [1, 31] and shown[:, 2].tolist() == [1, 0]
    assert scale_of(pins).tolist() == pytest.approx([4.25, 4.5, 4.5])  # the missing pin does not count


def test_loss_of_measures_by_hand():
    pins = torch.tensor([[0.0, 0, 1, 0.2, 0, 0.6], [0, 0, 0, 0, 0, 0]])
    said = torch.zeros(2, 5)
    said[0, 2:] = torch.tensor([1.0, 0.5, 1.0])
    presence = float(torch.log(torch.tensor(2.0)))
    # Errors in units of the scale: 1 - 2, 0.5 and 1 - 2; the missing pin has no displacement.
    displaced = (0.5 + 0.125 + 0.5) / 3
    found = float(measure_loss(said, pins, torch.tensor([0.1, 0.1, 0.3])))
    assert found == pytest.approx(presence + displaced)
