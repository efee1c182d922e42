"""Biases of a gauge's measures, as validation shows them, which are subtracted from the measures of a part.

Under one light the tips of one terminal are found some hundredths of a millimetre beside their true place, all pins of
a part alike: a round pin in light from one side shows the network more of its lit flank. Validation parts of the same
terminal that look most like a part to the network show how large this bias is: it is the median of their mean errors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# So many validation parts that look most like a part give its bias; with fewer than twice as many of its terminal, its
# bias is not known.
NEAREST = 5
# A validation part shows the bias along an axis if at least so many of its pins are measured along it.
_FEWEST_PINS = 3
# 95 % of a standard normal variable lie below.
_NORMAL_95 = 1.645


def name_of(views: Mapping[str, Any]) -> str:
    """Return the name of a set of views, such as `center+left`."""
    return "+".join(sorted(views))


def squared_distances(known: Mapping[str, np.ndarray], features: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return how far P validation parts lie from a part, (P,): squared, each feature over its standard deviation.

    Args:
        known: (P, F) features of the validation parts by name of the view.
        features: features (F,) of the part, by name of the view, of one or more of these views.
    """
    apart = [(known[view] - found) / (known[view].std(axis=0) + 1e-6) for view, found in features.items()]
    return np.sum([np.square(each).sum(axis=1) for each in apart], axis=0)


@dataclass(frozen=True)
class PartBiases:
    """Mean errors of validation parts in P captures, all measured by the same views, and what these look like.

    Attributes:
        features: (P, F) mean of the network's features over points of the housing's edges, by name of the view.
        terminals: scene and terminal of each captured part.
        parts: (P,) number of each captured part: a part may be captured several times.
        means: (P, 3) mean error (found minus true) of dx, dy and retraction of the part's pins, mm, from `mean_errors`.
        applied: (3,) bool, for which of the three the bias is subtracted.
        reach: largest squared distance of a captured part from the nearest other ones; farther away, the bias of a part
            is not known.
        enlarged: (3,) factors, >= 1, on the standard deviations of a part whose bias is not known: those that stand in
            the gauge's files are for parts whose bias is subtracted.
    """

    features: Mapping[str, np.ndarray]
    terminals: Sequence[tuple[str, str]]
    parts: np.ndarray
    means: np.ndarray
    applied: np.ndarray = field(default_factory=lambda: np.ones(3, bool))
    reach: float = np.inf
    enlarged: np.ndarray = field(default_factory=lambda: np.ones(3))

    @classmethod
    def of(
        cls,
        features: Mapping[str, np.ndarray],
        terminals: Sequence[tuple[str, str]],
        parts: np.ndarray,
        means: np.ndarray,
    ) -> PartBiases:
        """Make the biases of validation parts.

        The bias of dx, dy or retraction is subtracted only if this makes the mean errors of the validation parts
        smaller, when each part gets the bias that the other parts show: their sizes must shrink by more than chance
        explains (one-sided, 5 %).

        Args:
            features, terminals, parts: as the attributes.
            means: (P, 3), NaN where too few pins are measured: such parts show no bias.
        """
        left, far = cls(features, terminals, parts, means)._from_others()
        gained = np.abs(means) - np.abs(means - left)
        total, squares = np.nansum(gained, axis=0), np.nansum(np.square(gained), axis=0)
        by_chance = squares - np.square(total) / np.maximum(np.isfinite(gained).sum(axis=0), 1)  # variance of the total
        applied = total > _NORMAL_95 * np.sqrt(np.maximum(by_chance, 0.0))
        return cls(features, terminals, parts, means, applied, max(far[np.isfinite(far)], default=0.0))

    def bias(self, features: Mapping[str, np.ndarray | None], terminal: tuple[str, str]) -> np.ndarray:
        """Return the bias (3,) of dx, dy and retraction of a part, mm; NaN: not known, 0: none is subtracted.

        Args:
            features: features (F,) of the part by name of the view; None if the network gives none.
            terminal: scene and terminal of the part.
        """
        found, farthest = np.full(3, np.nan), np.inf
        shown = {view: each for view in self.features if (each := features.get(view)) is not None}
        if len(shown) == len(self.features):
            found, farthest = self._nearest(squared_distances(self.features, shown), terminal, 0)
        return np.where(self.applied, found if farthest <= self.reach else np.nan, 0.0)

    def left_out(self) -> np.ndarray:
        """Return the bias (P, 3) that each captured part gets from the other parts; 0 where it is not known."""
        return np.where(self.applied, self._from_others()[0], 0.0)

    def _from_others(self) -> tuple[np.ndarray, np.ndarray]:
        """Biases (P, 3) that each captured part gets from the other parts, 0: not known; distances (P,) of these."""
        found = []
        for index, terminal in enumerate(self.terminals):
            far = squared_distances(self.features, {view: each[index] for view, each in self.features.items()})
            found.append(self._nearest(np.where(self.parts == self.parts[index], np.inf, far), terminal, 1))
        biases, distances = np.reshape([bias for bias, _ in found], (-1, 3)), np.array([far for _, far in found])
        return np.nan_to_num(biases), distances

    def _nearest(self, far: np.ndarray, terminal: tuple[str, str], left: int) -> tuple[np.ndarray, float]:
        """Medians (3,) of the means of the nearest parts of a terminal, NaN if too few are known, and their distance.

        `far` has the squared distances (P,); `left` is how many parts are left out of them. Of each part, the nearest
        capture counts.
        """
        same = np.array([each == terminal for each in self.terminals], bool) & np.isfinite(far)
        found, farthest = np.full(3, np.nan), np.inf
        for axis in range(3):
            of_axis = np.flatnonzero(same & np.isfinite(self.means[:, axis]))
            of_axis = of_axis[np.argsort(far[of_axis], kind="stable")]
            first = np.sort(np.unique(self.parts[of_axis], return_index=True)[1])
            if len(first) >= 2 * NEAREST - left:
                nearest = of_axis[first[:NEAREST]]
                found[axis] = np.median(self.means[nearest, axis])
                farthest = min(farthest, float(far[nearest].max()))
        return found, farthest

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of a file that keeps the biases, by name."""
        of_views = {f"features {view}": each.astype(np.float32) for view, each in self.features.items()}
        return of_views | {
            "terminals": np.array(self.terminals, str).reshape(-1, 2),
            "parts": self.parts,
            "means": self.means.astype(np.float32),
            "applied": self.applied,
            "reach": np.array(self.reach),
            "enlarged": self.enlarged,
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PartBiases:
        """Make the biases from what `arrays` returned.

        Raises:
            KeyError, ValueError: arrays are missing, or do not fit together.
        """
        begin = "features "
        features = {name.removeprefix(begin): a.astype(float) for name, a in arrays.items() if name.startswith(begin)}
        count = len(arrays["means"])
        shapes = {"means": (count, 3), "terminals": (count, 2), "parts": (count,), "applied": (3,), "enlarged": (3,)}
        if wrong := [f"{name} {arrays[name].shape}" for name, shape in shapes.items() if arrays[name].shape != shape]:
            raise ValueError(f"biases of {count} parts of the shapes {', '.join(wrong)}")
        if any(each.ndim != 2 or len(each) != count or not np.isfinite(each).all() for each in features.values()):
            raise ValueError(f"features of {count} parts that do not fit their biases, or are not finite")
        named = [(str(scene), str(terminal)) for scene, terminal in arrays["terminals"].tolist()]
        means, applied = arrays["means"].astype(float), arrays["applied"].astype(bool)
        reach, enlarged = float(arrays["reach"]), arrays["enlarged"].astype(float)
        if not (np.isfinite(enlarged).all() and (enlarged >= 1.0).all() and reach >= 0.0):
            raise ValueError(f"factors {enlarged} below 1, or a distance {reach} below 0")
        return cls(features, named, arrays["parts"], means, applied, reach, enlarged)


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
