"""The gate on a network's features."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from generator.io.checksum import sha256_of
from trainer.core.errors import InputError
from trainer.core.feature_gate import FeatureGate, Watch
from trainer.core.gates import FEATURES, Gates
from trainer.core.run_folder import BEST, save_tensors


def features(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Features (count, 6, 2, 3) that vary in three directions only, and hardly in the others."""
    random = np.random.default_rng(seed)
    directions = np.random.default_rng(0).normal(0, 1, (6, 3))
    varied = np.einsum("ck,nkij->ncij", directions, random.normal(0, 1, (count, 3, 2, 3)))
    return (varied + random.normal(0, 0.1, varied.shape) + shift).astype(np.float32)


@pytest.fixture(scope="module")
def gate() -> FeatureGate:
    return FeatureGate.of(features(200, 1), features(60, 2))


def test_features_like_those_of_training_pass_and_others_are_refused(gate):
    assert gate.reasons(features(300, 3)) == [[]] * 300
    refused = gate.reasons(features(20, 4, shift=6.0))
    assert all(len(one) == 1 and one[0].startswith("features: ") for one in refused)


def test_the_limit_comes_from_validation_not_from_training():
    training = features(100, 1)
    narrow = FeatureGate.of(training, features(60, 2))
    wide = FeatureGate.of(training, features(60, 2, shift=1.0))
    assert wide.limit > 1.5 * narrow.limit


def test_saved_gate_says_the_same_and_belongs_to_its_weights(gate, tmp_path: Path):
    (tmp_path / BEST).write_bytes(b"weights")
    save_tensors(tmp_path / FEATURES, gate.tensors(), {"weights_sha256": sha256_of(tmp_path / BEST)})
    again = Gates.load(tmp_path).features
    assert again is not None
    some = features(5, 9, shift=3.0)
    np.testing.assert_allclose(again.distances(some), gate.distances(some), rtol=1e-3)
    (tmp_path / BEST).write_bytes(b"other weights")
    assert Gates.load(tmp_path).features is None
    assert Gates.load(tmp_path / "none") == Gates(None, None)
    assert Gates(None, None).missing[0].startswith("gates: ")


def test_a_broken_file_is_an_input_error(gate, tmp_path: Path):
    (tmp_path / BEST).write_bytes(b"weights")
    (tmp_path / FEATURES).write_bytes(b"no tensors")
    with pytest.raises(InputError, match="expected a safetensors file"):
        Gates.load(tmp_path)
    held = gate.tensors()
    for wrong in ({**held, "matrix": held["matrix"][:, :3]}, {"centre": held["centre"]}):
        save_tensors(tmp_path / FEATURES, wrong, {})
        with pytest.raises(InputError, match="expected the gate on the network's features that a training wrote"):
            Gates.load(tmp_path)


def test_watch_collects_pooled_maps_only_inside_the_block():
    network = nn.Conv2d(1, 4, 3, padding=1)
    watch = Watch(network, lambda output: output)
    with watch as seen:
        network(torch.ones(2, 1, 32, 16))
        network(torch.ones(1, 1, 32, 16))
    network(torch.ones(1, 1, 32, 16))
    assert seen.features.shape == (3, 4, 8, 8)
