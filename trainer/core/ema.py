"""Exponential moving average (EMA) of the weights: less noisy than the weights of the last step."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Average:
    """The exponential moving average of a module's trained parameters.

    Args:
        module: The network.
        decay: Share of the average that a step keeps, such as 0.99; the first steps keep less. 0: no average is held,
            and `in_place` leaves the weights as they are.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.held: dict[str, Tensor] = {}
        if decay > 0:
            self.held = {n: p.detach().clone() for n, p in module.named_parameters() if p.requires_grad}

    def update(self, step: int) -> None:
        """Update the average with the module's present weights; `step`: number of optimizer steps so far."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if name in self.held:
                    self.held[name].lerp_(parameter.detach(), 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Give the module the averaged weights during a `with` block, and its own weights back afterwards."""
        own = {n: p.detach().clone() for n, p in self.module.named_parameters() if n in self.held}
        self._put(self.held)
        try:
            yield
        finally:
            self._put(own)

    def _put(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if name in values:
                    parameter.copy_(values[name])
