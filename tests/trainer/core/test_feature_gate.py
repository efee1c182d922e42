"""The gate on a network's features."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from trainer.core.errors import InputError
from trainer.core.feature_gate import FILE, FeatureGate, Watch


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
    gate.save(tmp_path, "abc")
    assert FeatureGate.load(tmp_path, "other weights") is None
    again = FeatureGate.load(tmp_path, "abc")
    assert again is not None
    some = features(5, 9, shift=3.0)
    np.testing.assert_allclose(again.distances(some), gate.distances(some), rtol=1e-3)
    assert FeatureGate.load(tmp_path / "none", "abc") is None


def test_a_broken_file_is_an_input_error(gate, tmp_path: Path):
    (tmp_path / FILE).write_bytes(b"no tensors")
    with pytest.raises(InputError, match="expected a safetensors file"):
        FeatureGate.load(tmp_path, "abc")
    wrong = FeatureGate(gate.centre, gate.matrix[:, :3].copy(), gate.references, gate.limit)
    wrong.save(tmp_path, "abc")
    with pytest.raises(InputError, match="expected gates that a training wrote"):
        FeatureGate.load(tmp_path, "abc")


def test_watch_collects_pooled_maps_only_inside_the_block():
    network = nn.Conv2d(1, 4, 3, padding=1)
    watch = Watch(network, lambda output: output)
    with watch as seen:
        network(torch.ones(2, 1, 32, 16))
        network(torch.ones(1, 1, 32, 16))
    network(torch.ones(1, 1, 32, 16))
    assert seen.features.shape == (3, 4, 8, 8)
