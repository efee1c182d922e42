"""Collect the features that a network computes of pictures, while it runs for another purpose.

`generator.verdict.feature_gate` learns from them, and checks by them, which pictures can be judged.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

PLACES = 8


def pooled(features: Tensor) -> Tensor:
    """Average feature maps (B, C, h, w) over areas, to at most 8 x 8 places (`PLACES`), in float32 on the CPU."""
    size = (min(PLACES, features.shape[2]), min(PLACES, features.shape[3]))
    return F.adaptive_avg_pool2d(features.detach().float(), size).cpu()


class Watch:
    """Context manager that collects the features of all pictures which a network gets in the latest `with` block.

    Args:
        module: Part of the network whose output is collected.
        maps: Makes feature maps (B, C, h, w) from that output.
    """

    def __init__(self, module: nn.Module, maps: Callable[[Any], Tensor]) -> None:
        self._module, self._maps = module, maps
        self._found: list[Tensor] = []

    def __enter__(self) -> "Watch":
        self._found.clear()
        self._hook = self._module.register_forward_hook(
            lambda module, inputs, output: self._found.append(pooled(self._maps(output)))
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._hook.remove()

    @property
    def features(self) -> np.ndarray:
        """Pooled features (N, C, rows, columns) of the N pictures, in the order in which the network got them."""
        return torch.cat(self._found).numpy()
