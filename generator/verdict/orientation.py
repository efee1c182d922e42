"""Recognise pictures that are turned by 180°, by a score that is learned from upright training pictures.

The score of a picture is linear in the square roots of its histograms (`generator.verdict.appearance`) minus those of
the same picture turned. It is learned by ridge regression with 1 as the target for upright pictures. So an upright
picture scores near 1 and a turned one near -1. A symmetric part scores about 0 in both orientations.

A picture with a score below -limit counts as turned. The limit is -1.25 times the lowest score of a training picture,
computed without the pictures of the same part, but at least 0.15. It is also at most 0.5, unless more than 1 + n // 50
of the n training pictures score -0.4 or less, which means that parts were placed in both orientations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from generator.verdict.appearance import BINS

PENALTY = 0.1
LEAST, MOST, MARGIN = 0.15, 0.5, 1.25


@dataclass(frozen=True)
class Orientation:
    """Learned `weights` (BINS, rows, columns) of a score; a picture that scores below -`limit` counts as turned."""

    weights: np.ndarray
    limit: float

    @classmethod
    def of(cls, histograms: np.ndarray, groups: np.ndarray) -> Orientation:
        """Learn `weights` and `limit` from N upright pictures.

        Args:
            histograms: (N, BINS, rows, columns) the pictures' histograms, from `appearance.cells`.
            groups: (N,) for each picture, number of the part that it shows, or of the original that it is a copy of.
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
        """Return a picture's score from its histograms (BINS, rows, columns): 1 upright, 0 symmetric, -1 turned."""
        return float((self.weights * _difference(histograms)).sum())


def _difference(histograms: np.ndarray) -> np.ndarray:
    root = np.sqrt(np.maximum(histograms, 0))
    return np.asarray(root - np.roll(root[:, ::-1, ::-1], BINS // 2, axis=0))
