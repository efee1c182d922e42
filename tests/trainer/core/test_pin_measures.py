"""Measures as auxiliary targets: which patch learns of which pin, and the losses by hand."""

import pytest
import torch

from trainer.core.pin_measures import balanced_cross_entropy


def test_balanced_loss_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    targets = torch.tensor([0, 1, 1, 1, 1])
    first = float(torch.log(1 + torch.exp(torch.tensor(-2.0))))
    other = float(torch.log(torch.tensor(2.0)))
    # Weights 1/sqrt(1) and 1/sqrt(4).
    assert float(balanced_cross_entropy(logits, targets)) == pytest.approx((first + 4 * 0.5 * other) / (1 + 4 * 0.5))
