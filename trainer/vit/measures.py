"""Measures teach (--measure-weight): a head, in training only, that learns each pin's displacement and presence.

`trainer.core.pin_measures` has its targets and loss. The head is one linear layer on the network's patches. It is no
part of the finished run: `ViTTrainee.weights` leaves it out, and `Teaching.leave` removes it from the network.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainer.core import pin_measures
from trainer.core.split import IGNORED, Split
from trainer.vit.network.letterbox import fit_of
from trainer.vit.network.model import ViT

HEAD = "measure_head"  # the head's name in the network while it is trained


def pins_of(split: Split, size: tuple[int, int]) -> Tensor:
    """Return the true pins of a split's N pictures, (N, P, 6) as `augmentation.Batch.pins`; P = 0 if none are stated.

    Args:
        split: Any split.
        size: The network's picture size (W, H) in px.
    """
    return pin_measures.padded([_pins(split, index, size) for index in range(len(split.runs))])


def are_stated(split: Split) -> bool:
    """Return whether the dataset states tip and displacement of at least one pin of a split."""
    return any(bool((_pins(split, index, (256, 256))[:, 2] == 1).any()) for index in range(len(split.runs)))


def _pins(split: Split, index: int, size: tuple[int, int]) -> Tensor:
    """Return (P, 6) the pins of one picture that can be seen; those without the needed values are left out."""
    row, objects = split.rows[index], split.objects[index] if split.objects else None
    if objects is None or not row.get("width") or not row.get("height"):
        return pin_measures.NONE
    fit = fit_of((int(row["width"]), int(row["height"])), size)
    seen = [each for each, label in zip(objects, split.categories[index].tolist(), strict=False) if label != IGNORED]
    return pin_measures.measured_pins(seen, lambda x, y: (x * fit.scale + fit.left, y * fit.scale + fit.top))


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
            self.head = nn.Linear(model.config.dim, pin_measures.PRESENCE + pin_measures.AXES).to(device)
        model.add_module(HEAD, self.head)
        optimizer.add_param_group({"params": list(self.head.parameters()), "weight_decay": 0.0})
        self.scale = pin_measures.scale_of(pins).to(device)
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
            total: Sums counts over all processes: see `pin_measures.balanced_cross_entropy`.
        """
        picture, patch, shown = pin_measures.places(pins, size, self.patch)
        said = self.head(self._tokens[picture, patch].float())
        return pin_measures.measure_loss(said, shown, self.scale, total)
