"""Export a gauge as one ONNX file for `trainer.export`; `generator.locating.gauge_file` reads it without torch.

Inputs, for N crops of S x S px: `crops` (N, S, S, 3) uint8; `marks` and `besides` (N, 2) float32, and `kinds` (N,)
int64, see `trainer.gauge.network.Batch`. Outputs: `points` (N, 2, 2) in px, `sharpness` (N, 2, 3) and `features`
(N, F), see `Found` there; `present` (N,), the probability that there is a pin. The metadata contains everything else
that a measurement needs: scale, uncertainty, limits, tolerance, the connectors' drawings, gates, likeness.

Before the file gets its name, onnxruntime runs it on crops of one colour and on noise. No output may differ from the
network's by more than 0.01; `points` are in px.
"""

import base64
import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from generator.locating.gauge_file import FORMAT
from trainer.core import onnx_file, run_folder
from trainer.core.errors import InputError
from trainer.core.frozen_threshold import sha256_of_weights
from trainer.gauge.gates import load_gates
from trainer.gauge.network import KINDS, GaugeNetwork
from trainer.gauge.run import load_run

# Largest difference of any output: onnxruntime adds float32 products in another order.
TOLERANCE = 0.01
INPUTS, OUTPUTS = ("crops", "marks", "besides", "kinds"), ("points", "sharpness", "present", "features")


class FromBytes(nn.Module):
    """The gauge's network with the inputs and outputs of the ONNX file: crops as bytes, presence as a probability."""

    def __init__(self, network: GaugeNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor, marks: Tensor, besides: Tensor, kinds: Tensor) -> tuple[Tensor, ...]:
        found = self.network(crops.permute(0, 3, 1, 2).float() / 255.0, marks, besides, kinds)
        return found.points, found.sharpness, found.present.sigmoid(), found.features


def probes(side: int) -> list[tuple[Tensor, ...]]:
    """Make two sets of `INPUTS` to test the file: black, grey and white crops, and 5 of noise, all `side` px wide."""
    source = torch.Generator().manual_seed(0)
    flat = torch.stack([torch.full((side, side, 3), level, dtype=torch.uint8) for level in (0, 128, 255)])
    noise = torch.randint(0, 256, (5, side, side, 3), generator=source, dtype=torch.uint8)
    return [
        (
            crops,
            side * torch.rand((len(crops), 2), generator=source),
            side * torch.rand((len(crops), 2), generator=source),
            torch.arange(len(crops)) % KINDS,
        )
        for crops in (flat, noise)
    ]


def export_run(run: Path, path: Path) -> float:
    """Write a gauge's run as the ONNX file `path`, unless its outputs differ from the network's.

    Returns:
        The largest absolute difference of any output value, at most `TOLERANCE`.

    Raises:
        InputError: The run cannot be read.
        DifferentResultsError: The outputs differ from the network's by more than `TOLERANCE`; no file is written.
    """
    network = FromBytes(load_run(run).network).eval()
    inputs = probes(network.network.side)[::-1]
    axes = {name: {0: "crops"} for name in INPUTS}, {name: {0: "crops"} for name in OUTPUTS}
    return onnx_file.export(
        path,
        network,
        inputs,
        axes,
        _metadata(run),
        lambda file: onnx_file.largest_difference(file, network, inputs),
        TOLERANCE,
    )


def _metadata(run: Path) -> dict[str, str]:
    """Make the metadata of the ONNX file: texts by key."""
    loaded = load_run(run)
    try:
        connectors = (run / "connectors.json").read_text("utf-8")
    except OSError as error:
        raise InputError(f"{run / 'connectors.json'}: expected a gauge's file of connectors, got: {error}") from None
    gates = {view: base64.b64encode(each.to_bytes()).decode() for view, each in load_gates(run).items()}
    return {
        "format": FORMAT,
        "name": run.resolve().name,
        "weights_sha256": sha256_of_weights(run / run_folder.BEST),
        "side": str(loaded.network.side),
        "pitch_px": json.dumps(loaded.pitch_px),
        "uncertainty": json.dumps(asdict(loaded.uncertainty)),
        "tolerance": json.dumps(run_folder.recorded_tolerances(run) or {}),
        "connectors": connectors,
        "gates": json.dumps(gates),
        "likeness": base64.b64encode(loaded.likeness.to_bytes()).decode(),
        "errors": "" if loaded.errors is None else base64.b64encode(loaded.errors.to_bytes()).decode(),
    }
