"""Whether a picture is turned by 180°, learned from pictures that are upright.

A ridge regression of 1 on the differences between the histograms (`generator.verdict.appearance`, square roots) of each
training picture and of the same picture turned: the score of an upright picture is near 1, that of a turned one the
negative. A symmetric part scores about 0 either way. So a score below -limit means a turned picture. Each training
picture's own score is computed without the pictures of its group, in closed form; the limit is 1.25 times the lowest
negative one, at least 0.15. It is at most 0.5, unless more than single training pictures score below -0.4: then parts
lie either way in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.verdict.appearance import BINS

PENALTY = 0.1
LEAST, MOST, MARGIN = 0.15, 0.5, 1.25


@dataclass(frozen=True)
class Orientation:
    """The regression's weights (BINS, rows, columns), and the limit of its score."""

    weights: np.ndarray
    limit: float

    @classmethod
    def of(cls, histograms: np.ndarray, groups: np.ndarray) -> Orientation:
        """Learn from upright pictures.

        Args:
            histograms: (N, BINS, rows, columns).
            groups: (N,) number of the part or original that each picture shows.
        """
        features = np.stack([_difference(one).ravel() for one in histograms]).astype(np.float64)
        products = features @ features.T
        penalty = PENALTY * max(float(np.trace(products)) / len(products), 1e-9)
        inverse = np.linalg.inv(products + penalty * np.eye(len(products)))
        dual = inverse.sum(1)
        scores = np.ones(len(products))
        for group in np.unique(groups):
            some = np.flatnonzero(groups == group)
            scores[some] -= np.linalg.solve(inverse[np.ix_(some, some)], dual[some])
        lowest = np.sort(scores)
        limit = max(LEAST, -MARGIN * float(lowest[0]))
        if -MARGIN * lowest[min(1 + len(lowest) // 50, len(lowest) - 1)] < MOST:
            limit = min(MOST, limit)
        return cls((dual @ features).reshape(histograms.shape[1:]).astype(np.float32), limit)

    def score(self, histograms: np.ndarray) -> float:
        """Return the score of a picture's histograms (BINS, rows, columns): 1 upright, 0 symmetric, -1 turned."""
        return float((self.weights * _difference(histograms)).sum())


def _difference(histograms: np.ndarray) -> np.ndarray:
    root = np.sqrt(np.maximum(histograms, 0))
    return np.asarray(root - np.roll(root[:, ::-1, ::-1], BINS // 2, axis=0))
