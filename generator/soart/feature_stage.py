"""A second stage of SOARTC on a network's features, in place of the one on SOART3: `inspect --features`.

The OK pictures are chosen and aligned as without features. Then the aligned pictures' features make the unit space
(`feature_space`), outliers by their features are set aside too (`golden.choose_by_features`), and the degree of each
place is the distance from it. Score, limit and its promise, boxes and verdicts come from these degrees as they come
from those of SOART3 otherwise.

    stage = FeatureStage.fit(model, read_feature_file(Path("features.onnx")))     # also sets the model's scores, limit
    FeatureStage.load(model, network)                                             # of a saved unit space
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from generator.soart.estimator import SoartC
from generator.soart.feature_file import FeatureNetwork
from generator.soart.feature_space import ARRAYS, FeatureSpace
from generator.soart.limits import score_limit

NOTE = "features"  # in a model's notes; also begins the names of its extras
WORDS = ("name", "kind", "sha256", "statistics_sha256")


class FeatureStage:
    """The second stage of one model, on features.

    Args:
        network: computes the features.
        space: the features of the OK pictures.
    """

    def __init__(self, network: FeatureNetwork, space: FeatureSpace) -> None:
        self.network, self.space = network, space

    @classmethod
    def fit(cls, model: SoartC, network: FeatureNetwork) -> FeatureStage:
        """Make the stage from a fitted model's OK pictures, and give the model the stage, scores and limit.

        Raises:
            ValueError: the pictures have another number of channels than the network.
        """
        space, own = FeatureSpace.fit(np.stack([network.features(one) for one in model.members_]))
        stage = cls(network, space)
        shape = model.reference_.shape[:2]
        model.scores_ = np.array([stage.at_pixels(one, shape).max() for one in own], dtype=np.float64)
        model.threshold = score_limit(model.scores_, min(model.settings["above"], len(own) - 1))
        words = {"name": network.name, "kind": network.kind, "sha256": network.sha256}
        model.notes[NOTE] = {**words, "statistics_sha256": space.hash()}
        model.extras |= {f"{NOTE}_{name}": array for name, array in space.arrays().items()}
        model.second_stage = stage
        return stage

    @classmethod
    def load(cls, model: SoartC, network: FeatureNetwork | None) -> None:
        """Give a model that was loaded from a file its stage, if it has one.

        Args:
            model: the loaded model.
            network: the feature network given with it; None: none was given.

        Raises:
            ValueError: the unit space was made with another network, or with one but none was given, or vice versa, or
                its arrays are damaged.
        """
        made = _note(model)
        if made is None and network is None:
            return
        if network is None or made is None or made["sha256"] != network.sha256:
            raise ValueError(
                f"expected {_said(made)}, with which this unit space was made, got {_said(_of(network))}; give the "
                "unit space its own features, or make it again: --golden with the folder of OK pictures, and --save"
            )
        space = FeatureSpace.from_arrays(
            {name: model.extras[f"{NOTE}_{name}"] for name in ARRAYS if f"{NOTE}_{name}" in model.extras}
        )
        if space.hash() != made["statistics_sha256"]:
            raise ValueError("expected the features' statistics as they were saved, got others: the file is damaged")
        model.second_stage = cls(network, space)

    def degrees(self, seen: np.ndarray) -> np.ndarray:
        """Compute the degree of each pixel of an aligned picture: (h, w[, 3]) to (h, w) float32, about 1 for OK parts.

        Raises:
            ValueError: the features have another shape than those of the OK pictures.
        """
        features = self.network.features(seen)
        if features.shape != self.space.mean.shape:
            raise ValueError(f"expected features of shape {self.space.mean.shape}, got {features.shape}")
        return self.at_pixels(self.space.degrees(features), (seen.shape[0], seen.shape[1]))

    def at_pixels(self, degrees: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Enlarge a map of places (gh, gw) to the pixels (h, w) that they cover."""
        stride = self.network.stride
        whole = (stride * degrees.shape[1], stride * degrees.shape[0])
        large = Image.fromarray(degrees.astype(np.float32)).resize(whole, Image.Resampling.BILINEAR)
        cut: np.ndarray = np.ascontiguousarray(np.asarray(large)[: shape[0], : shape[1]])
        return cut


def _note(model: SoartC) -> dict[str, Any] | None:
    made = model.notes.get(NOTE)
    if made is None:
        return None
    if not isinstance(made, dict) or not all(isinstance(made.get(key), str) for key in WORDS):
        raise ValueError(f"expected {', '.join(WORDS)} of the features, got {made!r}")
    return made


def _of(network: FeatureNetwork | None) -> dict[str, Any] | None:
    return None if network is None else {"name": network.name, "sha256": network.sha256}


def _said(made: dict[str, Any] | None) -> str:
    return "no --features" if made is None else f"--features of {made['name']} (SHA-256 {made['sha256'][:8]}...)"
