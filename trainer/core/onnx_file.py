"""Write a network as an ONNX file that computes what PyTorch computes.

PyTorch's older exporter (tracing) is used: it needs no further package, and no network's computation here depends on
pixel values.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from generator.io.onnx_session import open_onnx
from trainer.core.errors import DifferentResultsError
from trainer.core.run_folder import replace_file

OPSET = 18
# By name of an input or output, in the network's order: names of the axes that may vary in length, by index.
Axes = Mapping[str, Mapping[int, str]]


def largest_difference(path: Path, network: nn.Module, probes: Sequence[tuple[Tensor, ...]]) -> float:
    """Return the largest difference between outputs of a file and a network; inf: other shapes, or not finite."""
    session = open_onnx(path, "train").session
    names = [one.name for one in session.get_inputs()]
    worst = 0.0
    for inputs in probes:
        with torch.inference_mode():
            expected = network(*inputs)
        given = {name: each.numpy() for name, each in zip(names, inputs, strict=True)}
        for got, wanted in zip(session.run(None, given), expected, strict=True):
            if got.shape != tuple(wanted.shape):
                return math.inf
            difference = float(np.abs(got - wanted.numpy()).max())
            worst = max(worst, difference) if math.isfinite(difference) else math.inf
    return worst


def export(
    path: Path,
    network: nn.Module,
    probes: Sequence[tuple[Tensor, ...]],
    axes: tuple[Axes, Axes],
    metadata: Mapping[str, str],
    difference: Callable[[Path], float],
    most: float,
    what: str = "outputs that differ from PyTorch's by up to {:g}",
) -> float:
    """Write a network with metadata as the ONNX file `path`, if the file's outputs equal PyTorch's.

    Args:
        path: File to write.
        network: The network in evaluation mode, on the CPU.
        probes: Batches of its inputs; the first is traced.
        axes: The axes of inputs and of outputs that may vary in length.
        metadata: Texts by key.
        difference: Returns a file's largest difference from PyTorch, such as by `largest_difference`.
        most: The difference that is allowed.
        what: What is expected, for the error, with a place for `most`.

    Returns:
        The file's largest difference.

    Raises:
        DifferentResultsError: It is above `most`; no file is written.
    """
    worst = 0.0

    def write(temporary: Path) -> None:
        nonlocal worst
        _trace(network, probes[0], temporary, axes, metadata)
        worst = difference(temporary)
        if not worst <= most:
            raise DifferentResultsError(f"{path}: expected {what.format(most)}, got up to {worst:g}")

    replace_file(path, write)
    return worst


def _trace(
    network: nn.Module, probe: tuple[Tensor, ...], path: Path, axes: tuple[Axes, Axes], metadata: Mapping[str, str]
) -> None:
    import onnx

    with warnings.catch_warnings():
        # PyTorch warns that this exporter is old, and that shapes are constant: only the axes in `axes` may vary.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            probe,
            path,
            input_names=list(axes[0]),
            output_names=list(axes[1]),
            dynamic_axes={name: dict(free) for names in axes for name, free in names.items()},
            opset_version=OPSET,
            dynamo=False,
        )
    document = onnx.load(path)
    onnx.helper.set_model_props(document, dict(metadata))
    onnx.checker.check_model(document)
    onnx.save(document, path)
