"""`python -m trainer.export --model RUN --to model.onnx`: a trained ViT as one file that onnxruntime runs alone.

Input `pixels` (N, C, H, W), float32 in [0, 1], in the network's own size; outputs `probabilities` (N, K) after the
run's temperature, and `patch_probabilities` (N, K, h, w) of each patch without it. The file's metadata says classes,
size, patch, which pictures they are, temperature and threshold. Before the file takes its name, it is run on pictures
of noise and on flat ones, one and several at once, and must answer as the network does. A run on V views has parts for
pictures: `pixels` (N, V, C, H, W), in the order that the metadata's `views` say, and `patch_probabilities`
(N, V, K, h, w).

The older, tracing exporter is used: it needs no further package, and nothing in the network depends on values.
"""

import argparse
import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trainer.core import checkpoint, frozen_threshold
from trainer.core.checkpoint import TrainingConfig
from trainer.core.errors import InputError
from trainer.core.frozen_threshold import Frozen
from trainer.core.options import exit_code, say
from trainer.florence2.run import FORMAT as DETECTION_FORMAT
from trainer.florence2.run import kind_of
from trainer.vit.network.model import ViT

OPSET = 18
# float32 on other kernels: products are added in another order.
TOLERANCE = 1e-4


class Probabilities(nn.Module):
    """The network with probabilities in place of logits: a verdict then needs no arithmetic outside.

    Args:
        model: The network.
        temperature: Divides the logits of the picture, not those of its patches.
    """

    def __init__(self, model: ViT, temperature: float = 1.0) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        prediction = self.model(pixels)
        return (prediction.logits / self.temperature).softmax(1), prediction.patch_logits.softmax(-3)


def probes(model: ViT) -> list[Tensor]:
    """Pictures to compare on: flat black, grey and white ones together, and one of noise alone."""
    config = model.config
    shape = (config.channels, config.height, config.width)
    if config.views:
        shape = (len(config.views), *shape)
    flat = torch.stack([torch.full(shape, level) for level in (0.0, 0.5, 1.0)])
    noise = torch.rand((1, *shape), generator=torch.Generator().manual_seed(0))
    return [flat, noise]


def largest_difference(path: Path, reference: Probabilities) -> float:
    """The largest difference of any probability between the ONNX file and the network; infinite for other shapes."""
    import onnxruntime  # takes a second to import: not for --help

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for pixels in probes(reference.model):
        with torch.inference_mode():
            expected = reference(pixels)
        for got, wanted in zip(session.run(None, {"pixels": pixels.numpy()}), expected, strict=True):
            if got.shape != tuple(wanted.shape):
                return math.inf
            worst = max(worst, float(np.abs(got - wanted.numpy()).max()))
    return worst


def export(model: ViT, settings: TrainingConfig, path: Path, held: Frozen | None = None) -> float:
    """Write a network as ONNX, checked against it; `path` appears only when it agrees.

    Args:
        model: In evaluation mode, on the CPU.
        settings: Of its training; says which pictures it takes.
        path: File to write.
        held: Temperature and threshold of these weights; without it the former is 1 and there is no latter.

    Returns:
        The largest difference of any probability.

    Raises:
        RuntimeError: The file answers otherwise than the network.
    """
    import onnx

    config = model.config
    metadata = {
        "classes": json.dumps(list(config.classes)),
        "width": str(config.width),
        "height": str(config.height),
        "patch_size": str(config.patch_size),
        "input": settings.input,
        "pixels": "float32 in [0, 1], RGB order, (N, C, H, W)",
        "temperature": str(held.temperature if held else 1.0),
    }
    if held:
        metadata["threshold_ng"] = str(held.threshold)
    if config.views:
        metadata |= {
            "views": json.dumps(config.views),
            "pixels": metadata["pixels"].replace("N, C", "N, V, C"),
        }
    names = ["pixels", "probabilities", "patch_probabilities"]
    network = Probabilities(model, held.temperature if held else 1.0).eval()
    worst = 0.0

    def write(temporary: Path) -> None:
        nonlocal worst
        with warnings.catch_warnings():
            # The tracer says that it is older, and that shapes are now constants: only the batch is free here.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (probes(model)[0],),
                temporary,
                input_names=names[:1],
                output_names=names[1:],
                dynamic_axes={name: {0: "pictures"} for name in names},
                opset_version=OPSET,
                dynamo=False,
            )
        document = onnx.load(temporary)
        onnx.helper.set_model_props(document, metadata)
        onnx.checker.check_model(document)
        onnx.save(document, temporary)
        worst = largest_difference(temporary, network)
        if not worst <= TOLERANCE:
            raise RuntimeError(
                f"{path}: expected the network's answers within {TOLERANCE:g}, got a difference of {worst:g}"
            )

    checkpoint.replace_file(path, write)
    return worst


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    p = argparse.ArgumentParser(
        prog="python -m trainer.export",
        description="Write a trained ViT as ONNX, and check that onnxruntime answers as the network does.",
        epilog="exit codes: 0 written and equal; 2 the run cannot be read or the file not written; 1 anything else",
        allow_abbrev=False,
    )
    p.add_argument(
        "--model", type=Path, required=True, metavar="RUN", help="folder of `python -m trainer.vit --out`"
    )
    p.add_argument("--to", type=Path, required=True, metavar="FILE.onnx", help="file to write")
    p.add_argument("--weights", choices=("best", "last"), default="best", help="which epoch's weights (best)")
    p.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return p


def run(args: argparse.Namespace) -> int:
    """Export as the options say; returns the exit code."""
    if args.to.suffix != ".onnx":
        raise InputError(f"--to {args.to}: expected a name that ends in .onnx")
    if args.to.is_dir() or (args.to.exists() and not args.overwrite):
        raise InputError(f"--to {args.to}: expected a new file, got one that exists; --overwrite?")
    if not args.to.parent.is_dir():
        raise InputError(f"--to {args.to}: expected an existing folder, got none at {args.to.parent}")
    if kind_of(args.model) == DETECTION_FORMAT:
        raise InputError(f"--model {args.model}: expected a ViT's run, got one of Florence-2")
    model = checkpoint.load_model(args.model, args.weights)
    _, settings = checkpoint.load_config(args.model)
    worst = export(
        model, settings, args.to, frozen_threshold.load(args.model) if args.weights == "best" else None
    )
    size = args.to.stat().st_size / 1e6
    say(f"{args.to}: {size:.1f} MB, opset {OPSET}; largest difference of a probability {worst:.1e}")
    return 0


def main(argv: list[str] | None = None) -> int:
    """The command; returns its exit code."""
    args = parser().parse_args(argv)
    return exit_code(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
