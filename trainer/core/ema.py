"""Averaged weights: what a training hands over is calmer than its last step."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average of what trains; young averages forget faster.

    Args:
        module: Whose parameters.
        decay: Per step; 0 keeps no average and hands back the weights themselves.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module, self.decay = module, decay
        self.held: dict[str, Tensor] = {}
        if decay > 0:
            self.held = {n: p.detach().clone() for n, p in module.named_parameters() if p.requires_grad}

    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                if name in self.held:
                    self.held[name].lerp_(parameter.detach(), 1 - decay)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The module with the average for weights, within a `with`."""
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
