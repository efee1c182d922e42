"""How far a picture is from all training pictures, in the network's own features.

The network's last feature map is pooled to at most 8 x 8 places. Its features are turned into units in which training
pictures vary equally in all directions (Mahalanobis distance; one shrunken covariance for all places). Each place is
compared with the same place in the 20 most similar training pictures, and its smallest squared distance is kept. The
picture's distance is the mean over all places. The limit comes from the distances of validation pictures, on which the
network was not trained: see `generator.verdict.tails`.

The trainers collect features while the network runs for another purpose (`trainer.core.feature_watch`), and keep the
gate on disk (`trainer.core.gates`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from generator.verdict.appearance import References
from generator.verdict.tails import moved, upper_limit

# Directions of features that are kept: those in which training pictures vary most.
DIRECTIONS = 48
# Weight of a sphere in the covariance.
SHRINKAGE = 0.1
SMALL = 1e-6


@dataclass(frozen=True)
class FeatureGate:
    """A limit for the distance between a picture's features and those of the training pictures.

    Args:
        centre: (C, rows, columns) mean over training pictures of the C features at each place of the feature map.
        matrix: (K, C), by which features minus `centre` are multiplied. Each of the K results has about the same
            variance over the training pictures.
        references: N training pictures, whose `maps` (N, K, rows, columns) are their features after this
            multiplication.
        limit: largest distance at which a picture can be judged.
    """

    centre: np.ndarray
    matrix: np.ndarray
    references: References
    limit: float

    @classmethod
    def of(cls, training: np.ndarray, validation: np.ndarray) -> FeatureGate:
        """Learn a gate from features (pictures, C, rows, columns); those of `validation` give the limit.

        With fewer than 3 validation pictures, the limit is infinite.
        """
        centre = training.mean(0)
        spread = (training - centre).transpose(1, 0, 2, 3).reshape(training.shape[1], -1).astype(np.float64)
        covariance = spread @ spread.T / spread.shape[1]
        covariance *= 1 - SHRINKAGE
        covariance[np.diag_indices_from(covariance)] += SHRINKAGE * np.trace(covariance) / len(covariance) + SMALL
        values, vectors = np.linalg.eigh(covariance)
        most = np.argsort(-values)[:DIRECTIONS]
        matrix = (vectors[:, most] / np.sqrt(values[most])).T.astype(np.float32)
        gate = cls(centre, matrix, References(_in_units(training, centre, matrix)), math.inf)
        distances = np.log(gate.distances(validation) + SMALL)
        return cls(centre, matrix, gate.references, math.exp(upper_limit(distances)) - SMALL)

    def widened(self, features: np.ndarray, most: float) -> FeatureGate:
        """Return a gate that allows `features` (B, C, h, w), with a limit at most `most` times this one.

        The limit moves only if one of at least 8 pictures exceeds it.
        """
        return replace(self, limit=moved(self.limit, self.distances(features), (most - 1.0) * self.limit))

    def distances(self, features: np.ndarray) -> np.ndarray:
        """Return the distances (B,) of B pictures from the training pictures; `features`: (B, C, rows, columns)."""
        found = _in_units(features, self.centre, self.matrix)
        return np.array([self.references.differences(one, self.references.nearest(one)).mean() for one in found])

    def reasons(self, features: np.ndarray) -> list[list[str]]:
        """Return why each picture cannot be judged, an empty list if it can; `features`: (B, C, rows, columns)."""
        return [
            [
                f"features: the picture looks unlike all training pictures to the network (difference "
                f"{max(one / self.limit, 1.01):.2f} times the limit)"
            ]
            if one > self.limit
            else []
            for one in self.distances(features)
        ]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the gate as arrays by name, to be saved in a file."""
        return {
            "centre": self.centre,
            "matrix": self.matrix,
            "references": self.references.maps,
            "limit": np.array(self.limit),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> FeatureGate:
        """Make a gate from the arrays that `FeatureGate.arrays` returned.

        Raises:
            ValueError: an array is missing or of another shape.
        """
        try:
            centre, matrix, held = (arrays[name] for name in ("centre", "matrix", "references"))
            limit = float(arrays["limit"])
        except (KeyError, TypeError) as e:
            raise ValueError(
                f"a missing array, or a limit that is no number; arrays: {', '.join(sorted(arrays))}"
            ) from e
        if centre.ndim != 3 or matrix.ndim != 2 or matrix.shape[1] != len(centre):
            raise ValueError(f"arrays that do not fit each other: centre {centre.shape}, matrix {matrix.shape}")
        if held.ndim != 4 or held.shape[1:] != (len(matrix), *centre.shape[1:]):
            raise ValueError(f"arrays that do not fit each other: centre {centre.shape}, references {held.shape}")
        return cls(centre, matrix, References(held), limit)


def _in_units(features: np.ndarray, centre: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn features (B, C, rows, columns) into (B, K, rows, columns) in units of the training pictures' spread."""
    return np.asarray(np.einsum("kc,bcij->bkij", matrix, features - centre), dtype=np.float32)
