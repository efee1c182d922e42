"""Biases of a gauge's measures, as validation shows them, which are subtracted from the measures of a part.

Under one light the tips of one terminal are found some hundredths of a millimetre beside their true place, all pins of
a part alike: a round pin in light from one side shows the network more of its lit flank. Validation parts of the same
terminal that look most like a part to the network show how large this bias is: it is the median of their mean errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# So many validation parts that look most like a part give its bias; with fewer than twice as many of its terminal, it
# gets none.
NEAREST = 5
# A validation part shows the bias along an axis if at least so many of its pins are measured along it.
_FEWEST_PINS = 3
# 95 % of a standard normal variable lie below.
_NORMAL_95 = 1.645


def name_of(views: Mapping[str, Any]) -> str:
    """Return the name of a set of views, such as `center+left`."""
    return "+".join(sorted(views))


@dataclass(frozen=True)
class PartBiases:
    """Mean errors of P validation parts, all measured by the same views, and what these parts look like.

    Attributes:
        features: (P, F) mean of the network's features over points of the housing's edges, by name of the view.
        terminals: scene and terminal of each part.
        means: (P, 3) mean error (found minus true) of dx, dy and retraction of the part's pins, mm, from `mean_errors`.
        applied: (3,) bool, for which of the three the bias is subtracted.
    """

    features: Mapping[str, np.ndarray]
    terminals: Sequence[tuple[str, str]]
    means: np.ndarray
    applied: np.ndarray

    @classmethod
    def of(
        cls, features: Mapping[str, np.ndarray], terminals: Sequence[tuple[str, str]], means: np.ndarray
    ) -> PartBiases:
        """Make the biases of validation parts.

        The bias of dx, dy or retraction is subtracted only if this makes the mean errors of the validation parts
        smaller, when each part gets the bias that the other parts show: their sizes must shrink by more than chance
        explains (one-sided, 5 %).

        Args:
            features, terminals: as the attributes.
            means: (P, 3), NaN where too few pins are measured: such parts show no bias.
        """
        every = cls(features, terminals, means, np.ones(3, bool))
        left = np.array([every._nearest(every._far_from(index), terminals[index]) for index in range(len(means))])
        gained = np.abs(means) - np.abs(means - left.reshape(means.shape))
        total, squares = np.nansum(gained, axis=0), np.nansum(np.square(gained), axis=0)
        by_chance = squares - np.square(total) / np.maximum(np.isfinite(gained).sum(axis=0), 1)  # variance of the total
        return cls(features, terminals, means, total > _NORMAL_95 * np.sqrt(np.maximum(by_chance, 0.0)))

    def bias(self, looks: Mapping[str, np.ndarray | None], terminal: tuple[str, str]) -> np.ndarray:
        """Return the bias (3,) of dx, dy and retraction of a part, mm; 0 where none is known or none is subtracted.

        Args:
            looks: features (F,) of the part by name of the view; None if the network gives none.
            terminal: scene and terminal of the part.
        """
        far = np.zeros(len(self.means))
        for view, known in self.features.items():
            found = looks.get(view)
            if found is None:
                return np.zeros(3)
            far += np.square((known - found) / (known.std(axis=0) + 1e-6)).sum(axis=1)
        return np.where(self.applied, self._nearest(far, terminal), 0.0)

    def left_out(self) -> np.ndarray:
        """Return the bias (P, 3) that each of the validation parts gets from the other ones, as `bias` returns it."""
        found = [self._nearest(self._far_from(index), each) for index, each in enumerate(self.terminals)]
        return np.where(self.applied, np.reshape(found, (-1, 3)), 0.0)

    def _far_from(self, index: int) -> np.ndarray:
        """Squared distances (P,) of the parts from one of them; infinite to itself."""
        far = np.zeros(len(self.means))
        for known in self.features.values():
            far += np.square((known - known[index]) / (known.std(axis=0) + 1e-6)).sum(axis=1)
        far[index] = np.inf
        return far

    def _nearest(self, far: np.ndarray, terminal: tuple[str, str]) -> np.ndarray:
        """Median (3,) of the means of the nearest parts of a terminal, by their distances (P,)."""
        same = np.array([each == terminal for each in self.terminals], bool) & np.isfinite(far)
        found = np.zeros(3)
        for axis in range(3):
            of_axis = np.flatnonzero(same & np.isfinite(self.means[:, axis]))
            if len(of_axis) >= 2 * NEAREST - 1:
                nearest = of_axis[np.argsort(far[of_axis], kind="stable")[:NEAREST]]
                found[axis] = np.median(self.means[nearest, axis])
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of a file that keeps the biases, by name."""
        of_views = {f"features {view}": each.astype(np.float32) for view, each in self.features.items()}
        return of_views | {
            "terminals": np.array(self.terminals, str).reshape(-1, 2),
            "means": self.means.astype(np.float32),
            "applied": self.applied,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PartBiases:
        """Make the biases from what `arrays` returned.

        Raises:
            KeyError, ValueError: arrays are missing, or do not fit together.
        """
        means, terminals = arrays["means"].astype(float), arrays["terminals"]
        begin = "features "
        features = {name.removeprefix(begin): a.astype(float) for name, a in arrays.items() if name.startswith(begin)}
        count = len(means)
        shapes = [each.shape[:1] for each in features.values() if each.ndim == 2]
        if means.shape != (count, 3) or terminals.shape != (count, 2) or arrays["applied"].shape != (3,):
            raise ValueError(f"biases of the shapes {means.shape}, {terminals.shape} and {arrays['applied'].shape}")
        if shapes != [(count,)] * len(features) or not all(np.isfinite(each).all() for each in features.values()):
            raise ValueError(f"features of {count} parts that do not fit their biases, or are not finite")
        named = [(str(scene), str(terminal)) for scene, terminal in terminals.tolist()]
        return cls(features, named, means, arrays["applied"].astype(bool))


def mean_errors(errors: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return the weighted mean (3,) of the errors of a part's pins, mm; NaN for an axis with fewer than 3 measures.

    Args:
        errors: (N, 3) errors of dx, dy and retraction, mm; NaN: not measured.
        deviations: (N, 3) their stated standard deviations, whose inverse squares are the weights: from one view, an
            unknown height makes dx and dy of the outer pins uncertain.
    """
    known = np.isfinite(errors)
    weights = np.where(known, 1.0 / np.square(deviations), 0.0)
    total = np.where(known, weights * errors, 0.0).sum(axis=0)
    return np.where(known.sum(axis=0) >= _FEWEST_PINS, total / np.maximum(weights.sum(axis=0), 1e-12), np.nan)
