"""Features of a network that are drawn at random, and the gate learned from them."""

import numpy as np

from generator.verdict.feature_gate import FeatureGate


def features(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Features (count, 6, 2, 3) that vary in three directions only, and hardly in the others."""
    random = np.random.default_rng(seed)
    directions = np.random.default_rng(0).normal(0, 1, (6, 3))
    varied = np.einsum("ck,nkij->ncij", directions, random.normal(0, 1, (count, 3, 2, 3)))
    return (varied + random.normal(0, 0.1, varied.shape) + shift).astype(np.float32)


def features_gate() -> FeatureGate:
    return FeatureGate.of(features(200, 1), features(60, 2))
