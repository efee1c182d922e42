"""The loss of the gauge's training: an answer that falls short of the displacement costs more than one that errs."""

import numpy as np
import torch

from trainer.gauge.losses import loss, shortfall
from trainer.gauge.network import Batch, Found

SIDE, PINS = 48, 40


def made(seed: int) -> tuple[Batch, torch.Tensor]:
    """Tips displaced by 3 px in all directions in two pictures, and answers' errors of 0.3 px without a direction."""
    source = np.random.default_rng(seed)
    angles = torch.from_numpy(source.uniform(0, 2 * np.pi, PINS)).float()
    nominal = torch.full((PINS, 2), SIDE / 2)
    tips = nominal + 3.0 * torch.stack([angles.cos(), angles.sin()], -1)
    truth = torch.stack([tips, nominal], 1)
    batch = Batch(
        crops=torch.zeros(PINS, 3, SIDE, SIDE),
        marks=nominal,
        besides=nominal,
        kinds=torch.zeros(PINS, dtype=torch.long),
        truth=truth,
        nominal=nominal,
        present=torch.ones(PINS, dtype=torch.long),
        pictures=torch.arange(PINS) % 2,
    )
    return batch, 0.3 * torch.from_numpy(source.standard_normal((PINS, 2))).float()


def found(batch: Batch, errors: torch.Tensor) -> Found:
    points = batch.truth + torch.stack([errors, torch.zeros_like(errors)], 1)
    return Found(
        points, torch.zeros(PINS, 2, 3), torch.full((PINS,), 5.0), torch.zeros(PINS, 2, 24 * 24), torch.zeros(PINS, 1)
    )


def test_a_shortfall_costs_its_square_for_each_displaced_tip() -> None:
    batch, _ = made(0)
    off = batch.truth[:, 0] - batch.nominal
    short = -0.2 * off / 3.0
    count = 9.0 / (9.0 + 1.0) * PINS / 2  # a displacement of 3 px against 1/48 of a crop's side of 48 px
    wanted = torch.tensor(2 * 0.04 * count * (PINS / 2) / (1.0 + count))
    assert torch.isclose(shortfall(found(batch, short), batch), wanted, rtol=1e-5)
    # Only clear displacements count: those of a hundredth of a pixel have no direction.
    still = batch._replace(truth=batch.nominal[:, None] + 0.01 * (batch.truth - batch.nominal[:, None]))
    assert shortfall(found(still, short), still) < 0.02 * wanted


def test_scattered_errors_and_missing_pins_cost_little() -> None:
    sums = [float(shortfall(found(batch, errors), batch)) for batch, errors in map(made, range(20))]
    assert 0.5 < np.mean(sums) / (2 * 0.09) < 1.5  # the variance of a mean over each of two pictures
    batch, errors = made(1)
    assert shortfall(found(batch, errors), batch._replace(present=torch.zeros(PINS, dtype=torch.long))) == 0.0


def test_the_best_answer_to_the_loss_is_hardly_short() -> None:
    batch, errors = made(3)
    off = batch.truth[:, 0] - batch.nominal
    sides = [float(loss(found(batch, errors - gain * off), batch)) for gain in (0.0, 0.02, 0.04)]
    assert sides == sorted(sides)
