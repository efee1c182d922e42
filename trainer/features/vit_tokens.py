"""Features of a ViT that was trained here, such as on renders: the tokens of its patches after one of its blocks.

The network is that of `trainer.vit.network`. Its positions are rotary, so that it takes pictures of any size.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.core.errors import InputError
from trainer.core.frozen_threshold import sha256_of_weights
from trainer.core.run_folder import BEST, LAST
from trainer.features.onnx_file import Features
from trainer.vit import run as vit_run
from trainer.vit.network.model import ViT, local_contrast


class PatchTokens(nn.Module):
    """A ViT up to one of its blocks: pixels (N, 3, H, W) in [0, 1] to tokens (N, dim, H / patch, W / patch).

    Args:
        model: The network, with rotary positions and without registers.
        blocks: Number of blocks; 0: the stem's output.
    """

    def __init__(self, model: ViT, blocks: int) -> None:
        super().__init__()
        self.model, self.count = model, blocks

    def forward(self, pixels: Tensor) -> Tensor:
        model = self.model
        planes = model.stem(torch.cat([(pixels - model.mean) / model.std, local_contrast(pixels)], 1))
        # Traced as tensors, not as Python integers as in the network itself, so that the file takes any size.
        high, wide = planes.shape[2], planes.shape[3]
        cos, sin = self._angles(planes)
        x = planes.flatten(2).transpose(1, 2)
        for block in list(model.blocks)[: self.count]:
            x = block(x, cos, sin)
        tokens: Tensor = x.transpose(1, 2).reshape(-1, model.config.dim, high, wide)
        return tokens

    def _angles(self, planes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute `rotary_tables` of a grid whose size is known only when the file is run."""
        frequency = math.pi * torch.logspace(0, -1.5, self.model.config.dim // self.model.config.heads // 4)
        one = torch.ones_like(planes[0, 0])
        rows, columns = ((one.cumsum(axis) - 1).flatten()[:, None] * frequency for axis in (0, 1))
        angle = torch.cat([rows, columns], dim=1)
        return angle.cos(), angle.sin()


def vit_features(run: Path, weights: str, blocks: int | None) -> Features:
    """Load the patch tokens of a ViT's run.

    Args:
        run: The run's folder.
        weights: `best` or `last`.
        blocks: Number of blocks; 0: the stem's output; None: half of the blocks, rounded up.

    Raises:
        InputError: The run cannot be read, its network has other inputs than single RGB pictures, learned positions or
            registers, or has fewer blocks.
    """
    model = vit_run.load_model(run, weights)
    config, settings = vit_run.load_config(run)
    if config.positions != "rotary" or config.registers or config.views or settings.input != "image":
        raise InputError(
            f"--model {run}: expected a ViT on single pictures with rotary positions, got positions "
            f"{config.positions}, registers {config.registers}, views {list(config.views)}, input {settings.input}"
        )
    count = (config.depth + 1) // 2 if blocks is None else blocks
    if not 0 <= count <= config.depth:
        raise InputError(f"--blocks: expected 0 to {config.depth}, the number of the run's blocks, got {blocks}")
    network = PatchTokens(model, count).eval()
    sha256 = sha256_of_weights(run / (BEST if weights == "best" else LAST))
    kind, side = f"vit-tokens-{count}", config.patch_size
    return Features(network, run.resolve().name, kind, sha256, side, side, config.mean, config.std)
