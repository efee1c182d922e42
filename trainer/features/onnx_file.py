"""Write a feature network as an ONNX file; `generator.soart.feature_file` says what the file holds, and reads it.

Before the file gets its name, onnxruntime runs it on pictures of two sizes. No feature may differ from PyTorch's by
more than a share of TOLERANCE of the features' standard deviation.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generator.soart.feature_file import FORMAT, read_feature_file
from trainer.core.errors import InputError
from trainer.core.onnx_file import export

TOLERANCE = 1e-2


@dataclass(frozen=True)
class Features:
    """A feature network with what its file states.

    Attributes:
        network: pixels (N, 3, H, W) in [0, 1] to features (N, D, H / stride, W / stride), in evaluation mode.
        name: name of the run or of the published weights.
        kind: what the features are.
        weights_sha256: SHA-256 of the file of weights, in hex.
        multiple: H and W are multiples of this, px.
        stride: distance of two places, px.
        mean, std: by which the network normalises its pixels, in [0, 1].
    """

    network: nn.Module
    name: str
    kind: str
    weights_sha256: str
    multiple: int
    stride: int
    mean: Sequence[float]
    std: Sequence[float]


class Enlarged(nn.Module):
    """A feature network on pictures that it enlarges first; same shapes as `Features.network`."""

    def __init__(self, network: nn.Module, factor: int) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, pixels: Tensor) -> Tensor:
        large = F.interpolate(pixels, scale_factor=float(self.factor), mode="bicubic", align_corners=False)
        found: Tensor = self.network(large)
        return found


def enlarged(features: Features, factor: int) -> Features:
    """Return features of pictures enlarged by a whole factor, so that their places lie closer; 1: as they are.

    Raises:
        InputError: The distance of two places is no multiple of the factor.
    """
    if factor == 1:
        return features
    if factor < 1 or features.stride % factor:
        raise InputError(
            f"--enlarge: expected a divisor of {features.stride}, the distance of two places, got {factor}"
        )
    return replace(
        features,
        network=Enlarged(features.network, factor).eval(),
        kind=f"{features.kind}-x{factor}",
        multiple=features.multiple // factor,
        stride=features.stride // factor,
    )


def write(features: Features, path: Path) -> float:
    """Write a feature network as the ONNX file `path`, unless its features differ from PyTorch's.

    Returns:
        The largest difference of a feature, over the features' standard deviation; at most `TOLERANCE`.

    Raises:
        DifferentResultsError: The features differ by more; no file is written.
    """
    metadata = {
        "format": FORMAT,
        "name": features.name,
        "kind": features.kind,
        "weights_sha256": features.weights_sha256,
        "multiple": str(features.multiple),
        "stride": str(features.stride),
        "mean": json.dumps(list(features.mean)),
        "std": json.dumps(list(features.std)),
        "pixels": "float32 in [0, 1], RGB order, (N, 3, H, W)",
    }
    pixels, places = ({name: {0: "pictures", 2: f"{name}_high", 3: f"{name}_wide"}} for name in ("pixels", "features"))
    inputs = [(picture,) for picture in probes(features.multiple)]
    return export(
        path,
        features.network,
        inputs,
        (pixels, places),
        metadata,
        lambda file: largest_difference(file, features),
        TOLERANCE,
        "features that differ from PyTorch's by up to {:g} of their standard deviation",
    )


def probes(multiple: int) -> list[Tensor]:
    """Make two pictures of noise (1, 3, H, W), of different sizes, neither of them square."""
    source = torch.Generator().manual_seed(0)
    sizes = ((6 * multiple, 4 * multiple), (5 * multiple, 8 * multiple))
    return [torch.rand((1, 3, *size), generator=source) for size in sizes]


def largest_difference(path: Path, features: Features) -> float:
    """Return the largest difference between features of file and network, over their deviation; inf: other shapes."""
    held, worst = read_feature_file(path), 0.0
    for pixels in probes(features.multiple):
        with torch.inference_mode():
            expected = features.network(pixels)[0]
        got = torch.from_numpy(held.features(pixels[0].permute(1, 2, 0).numpy()))
        if got.shape != expected.shape:
            return math.inf
        worst = max(worst, float((got - expected).abs().max() / expected.std()))
    return worst
