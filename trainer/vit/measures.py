"""Measures teach (--measure-weight): a head, in training only, that learns each pin's displacement and presence.

A defect's class is a step at the tolerance; the displacement of every pin, also of a good one, says more. The head is
one linear layer on the network's patches. The patch at a pin's tip must give the displacement dx, dy and retraction in
mm, and that the pin is there; the patch at a missing pin's foot, that it is not there. The head is no part of the
finished run: `ViTTrainee.weights` leaves it out, and `Teaching.leave` removes it from the network.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.core.augmentation import PIN_COLUMNS
from trainer.core.split import IGNORED, Split
from trainer.vit.network.letterbox import fit_of
from trainer.vit.network.model import ViT
from trainer.vit.patches import balanced_cross_entropy

HEAD = "measure_head"  # the head's name in the network while it is trained
AXES = 3  # dx, dy, retraction
SMALLEST_SCALE_MM = 0.01
LACKING = (
    "--measure-weight: the dataset does not state tips and displacements of pins (`objects` without values in tip_px, "
    "dx_mm, dy_mm and retraction_mm), so it trains without them; a dataset built from renders by this version has them"
)


def pins_of(split: Split, size: tuple[int, int]) -> Tensor:
    """Return the true pins of a split's N pictures, (N, P, 6) as `augmentation.Batch.pins`; P = 0 if none are stated.

    Args:
        split: Any split.
        size: The network's picture size (W, H) in px.
    """
    found = [_pins(split, index, size) for index in range(len(split.runs))]
    pins = torch.zeros((len(found), max(map(len, found), default=0), PIN_COLUMNS))
    pins[..., 2] = IGNORED
    for index, some in enumerate(found):
        if some:
            pins[index, : len(some)] = torch.tensor(some)
    return pins


def are_stated(split: Split) -> bool:
    """Return whether the dataset states tip and displacement of at least one pin of a split."""
    return any(pin[2] == 1 for index in range(len(split.runs)) for pin in _pins(split, index, (256, 256)))


def _pins(split: Split, index: int, size: tuple[int, int]) -> list[list[float]]:
    """Return the pins of one picture that can be seen; those without the needed values are left out."""
    row, objects = split.rows[index], split.objects[index] if split.objects else None
    if objects is None or not row.get("width") or not row.get("height"):
        return []
    fit = fit_of((int(row["width"]), int(row["height"])), size)
    pins = []
    for each, category in zip(objects, split.categories[index].tolist(), strict=False):
        if category == IGNORED or not each.is_position:
            continue
        measures = (each.dx_mm, each.dy_mm, each.retraction_mm)
        there = each.tip_px is not None and None not in measures
        gone = each.tip_px is None and each.base_px is not None and each.true_position_mm is None
        place = each.tip_px if there else each.base_px
        if (there or gone) and place is not None:
            x, y = place[0] * fit.scale + fit.left, place[1] * fit.scale + fit.top
            pins.append([x, y, float(there), *(float(value or 0.0) if there else 0.0 for value in measures)])
    return pins


class Teaching:
    """The head of --measure-weight, which learns the pins' displacement and presence in training, and its loss.

    Args:
        model: The network; gets the head as its submodule `HEAD`.
        optimizer: The network's optimizer; gets the head's parameters, without weight decay.
        pins: (N, P, 6) of the training split, from `pins_of`, with P above 0.
        seed: Seed of the head's weights.
    """

    def __init__(self, model: ViT, optimizer: torch.optim.Optimizer, pins: Tensor, seed: int) -> None:
        device = next(model.parameters()).device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.head = nn.Linear(model.config.dim, 2 + AXES).to(device)
        model.add_module(HEAD, self.head)
        optimizer.add_param_group({"params": list(self.head.parameters()), "weight_decay": 0.0})
        there = pins[pins[..., 2] == 1][:, 3:]
        self.scale = there.std(0, correction=0).clamp(min=SMALLEST_SCALE_MM).to(device)
        self.model, self.patch = model, model.config.patch_size
        self._hook = model.norm.register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if self.model.training:
            self._tokens = output

    def leave(self) -> None:
        """Remove the head of --measure-weight from the network."""
        self._hook.remove()
        delattr(self.model, HEAD)

    def loss(self, pins: Tensor, size: tuple[int, int], total: Callable[[Tensor], Tensor]) -> Tensor:
        """Compute the loss of the pictures that the network got last, a scalar: presence plus displacement.

        Args:
            pins: (B, P, 6) of these pictures: see `Batch.pins`.
            size: (W, H) of the pictures in px.
            total: Sums counts over all processes: see `patches.balanced_cross_entropy`.
        """
        x, y, presence = pins[..., 0], pins[..., 1], pins[..., 2]
        inside = (presence != IGNORED) & (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
        columns = -(-size[0] // self.patch)
        patch = (y[inside] // self.patch).long() * columns + (x[inside] // self.patch).long()
        picture = inside.nonzero()[:, 0]
        said = self.head(self._tokens[picture, patch].float())
        lost = balanced_cross_entropy(said[:, :2], presence[inside].long(), total)
        there = presence[inside] == 1
        count = total(there.sum()).clamp(min=1)
        target = pins[inside][there][:, 3:] / self.scale
        return lost + F.smooth_l1_loss(said[there, 2:], target, reduction="sum") / (AXES * count)
