"""Features collected while a network runs, and the gate on them as a run keeps it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from generator.io.checksum import sha256_of
from generator.verdict.feature_gate import FeatureGate
from tests.generator.verdict.drawn_features import features, features_gate
from trainer.core.errors import InputError
from trainer.core.feature_watch import Watch
from trainer.core.gates import FEATURES, Gates
from trainer.core.run_folder import BEST, save_tensors


@pytest.fixture(scope="module")
def gate() -> FeatureGate:
    return features_gate()


def tensors_of(gate: FeatureGate) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(each) for name, each in gate.arrays().items()}


def test_saved_gate_says_the_same_and_belongs_to_its_weights(gate, tmp_path: Path):
    (tmp_path / BEST).write_bytes(b"weights")
    save_tensors(tmp_path / FEATURES, tensors_of(gate), {"weights_sha256": sha256_of(tmp_path / BEST)})
    again = Gates.load(tmp_path).features
    assert again is not None
    some = features(5, 9, shift=3.0)
    np.testing.assert_allclose(again.distances(some), gate.distances(some), rtol=1e-3)
    (tmp_path / BEST).write_bytes(b"other weights")
    other = Gates.load(tmp_path)
    assert other.features is None and other.foreign == (FEATURES,)
    assert (
        "has gates.safetensors of other weights or another run and no gates.npz, and judges only with --allow-unfit"
        in other.missing[0]
    )
    assert Gates.load(tmp_path / "none") == Gates(None, None)
    assert (
        Gates(None, None)
        .missing[0]
        .startswith("gates: the run has no gates.npz and no gates.safetensors, and judges only with --allow-unfit")
    )


def test_the_file_is_read_once(gate, tmp_path: Path, monkeypatch):
    (tmp_path / BEST).write_bytes(b"weights")
    save_tensors(tmp_path / FEATURES, tensors_of(gate), {"weights_sha256": sha256_of(tmp_path / BEST)})
    opened: list[Path] = []

    def counted(path: Path, framework: str) -> safe_open:
        opened.append(path)
        return safe_open(path, framework=framework)

    monkeypatch.setattr("trainer.core.run_folder.safe_open", counted)
    assert Gates.load(tmp_path).features is not None and opened == [tmp_path / FEATURES]


def test_a_file_of_an_earlier_version_that_states_no_weights_is_used(gate, tmp_path: Path):
    (tmp_path / BEST).write_bytes(b"weights")
    save_tensors(tmp_path / FEATURES, tensors_of(gate), {})
    found = Gates.load(tmp_path)
    assert found.features is not None and found.foreign == ()


def test_a_broken_file_is_an_input_error(gate, tmp_path: Path):
    (tmp_path / BEST).write_bytes(b"weights")
    (tmp_path / FEATURES).write_bytes(b"no tensors")
    with pytest.raises(InputError, match="expected a safetensors file"):
        Gates.load(tmp_path)
    held = tensors_of(gate)
    for wrong in ({**held, "matrix": held["matrix"][:, :3]}, {"centre": held["centre"]}):
        save_tensors(tmp_path / FEATURES, wrong, {})
        with pytest.raises(InputError, match="expected the limits of the network's features, as a training"):
            Gates.load(tmp_path)


def test_watch_collects_pooled_maps_only_inside_the_block():
    network = nn.Conv2d(1, 4, 3, padding=1)
    watch = Watch(network, lambda output: output)
    with watch as seen:
        network(torch.ones(2, 1, 32, 16))
        network(torch.ones(1, 1, 32, 16))
    network(torch.ones(1, 1, 32, 16))
    assert seen.features.shape == (3, 4, 8, 8)
