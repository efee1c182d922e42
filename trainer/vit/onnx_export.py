"""Export a trained ViT as one ONNX file, for onnxruntime without this project: `trainer.export`.

Input: `pixels` (N, C, H, W), float32 in [0, 1], in the network's picture size. Outputs: `probabilities` (N, K) of the
classes, with the run's temperature; `patch_probabilities` (N, K, h, w) of each patch, without temperature. For a run on
V views `pixels` is (N, V, C, H, W), in the order of `views` in the metadata, and `patch_probabilities` (N, V, K, h, w).
The file's metadata has classes, picture size, patch size, kind of pictures, temperature and thresholds.

Before the file gets its name, onnxruntime runs it on flat pictures and on noise. No probability may differ from the
network's by more than 0.0001.
"""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.core import frozen_threshold, onnx_file
from trainer.core.fitness import fitness_said
from trainer.core.frozen_threshold import FrozenThreshold
from trainer.core.tolerance import NOT_RECORDED
from trainer.vit import run as vit_run
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.run import TrainingConfig

# Largest difference of a probability: onnxruntime adds float32 products in another order.
TOLERANCE = 1e-4


class Probabilities(nn.Module):
    """The network with probabilities as outputs, in place of logits.

    Args:
        model: The network.
        temperature: Divides the logits of the picture, not those of its patches.
    """

    def __init__(self, model: ViT, temperature: float = 1.0) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        prediction = self.model.judged(pixels)
        return (prediction.logits / self.temperature).softmax(1), prediction.patch_logits.softmax(-3)


def probes(model: ViT) -> list[Tensor]:
    """Make two batches of inputs, to compare the file with the network.

    Returns:
        Pixels of 3 flat pictures (black, grey, white), and of one picture of noise; for a network on views, of 3 parts
        and of one part. The batches differ in size, to show that the file takes any.
    """
    config = model.config
    views = (len(config.views),) if config.views else ()
    shape = (*views, config.channels, config.height, config.width)
    flat = torch.stack([torch.full(shape, level) for level in (0.0, 0.5, 1.0)])
    noise = torch.rand((1, *shape), generator=torch.Generator().manual_seed(0))
    return [flat, noise]


def export(model: ViT, settings: TrainingConfig, path: Path, held: FrozenThreshold | None = None) -> float:
    """Write a network as an ONNX file, if its outputs equal the network's.

    Args:
        model: The network in evaluation mode, on the CPU.
        settings: Settings of its training, with the kind of pictures.
        path: File to write.
        held: Temperature and thresholds of these weights; None: temperature 1, no thresholds.

    Returns:
        The largest difference of any probability between file and network.

    Raises:
        DifferentResultsError: A probability differs by more than `TOLERANCE`; no file is written.
    """
    network = Probabilities(model, held.temperature if held else 1.0).eval()
    inputs = [(pixels,) for pixels in probes(model)]
    free = {0: "pictures"}
    axes = {"pixels": free}, {"probabilities": free, "patch_probabilities": free}
    metadata = _metadata(model.config, settings, held)
    return onnx_file.export(
        path,
        network,
        inputs,
        axes,
        metadata,
        lambda file: onnx_file.largest_difference(file, network, inputs),
        TOLERANCE,
    )


def _metadata(config: ViTConfig, settings: TrainingConfig, held: FrozenThreshold | None) -> dict[str, str]:
    """Make the metadata of the ONNX file: texts by key."""
    found = {
        "classes": json.dumps(list(config.classes)),
        "width": str(config.width),
        "height": str(config.height),
        "patch_size": str(config.patch_size),
        "input": settings.input,
        "pixels": "float32 in [0, 1], RGB order, (N, C, H, W)",
        "temperature": str(held.temperature if held else 1.0),
    }
    if held:
        found["threshold_ng"] = str(held.threshold)
        found["escape_threshold"] = str(held.limits.escape)
        found["overkill_threshold"] = str(held.limits.overkill)
        found["fitness"] = fitness_said(held.fitness)
        if held.fitness:
            found["fit"] = "unfit" if held.fitness.unfit else "fit"
            found["balanced_accuracy_lower_bound"] = json.dumps(held.fitness.lower_bound)
        found["tolerance"] = json.dumps(held.tolerance) if held.tolerance else NOT_RECORDED
    if config.views:
        found["views"] = json.dumps(config.views)
        found["pixels"] = found["pixels"].replace("N, C", "N, V, C")
    return found


def export_run(run: Path, weights: str, path: Path) -> float:
    """Write a run's network as an ONNX file; returns the largest difference of a probability between file and network.

    Args:
        run, path: The run's folder, and the file to write.
        weights: `best` or `last`; thresholds and temperature belong to the best weights, so `last` has none.

    Raises:
        InputError: The run cannot be read.
        DifferentResultsError: See `export`.
    """
    model = vit_run.load_model(run, weights)
    _, settings = vit_run.load_config(run)
    held = frozen_threshold.load(run) if weights == "best" else None
    return export(model, settings, path, held)
