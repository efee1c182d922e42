"""PatchCore (Roth et al. 2022) on given features, as the baseline of `inspect --features`.

Its memory bank holds the features of all places of the OK pictures, thinned to a coreset: greedily, the feature that is
farthest from those already chosen, as in the paper, by distances on random projections. The degree of a place is the
distance of its features from the nearest of the bank, wherever in a picture that one was. The paper's reweighting of a
picture's score is left out.

Three choices differ from the paper: features are divided by their standard deviations, they are not averaged over
neighbouring places, and at most 2000 places are kept. They were made on the photographs of screws that
docs/explanation/soart.md reports, so the numbers there are not those of an unseen test, and not those of the paper's
method.
"""

from __future__ import annotations

import numpy as np

PROJECTED = 64


class PatchCore:
    """A memory bank of features.

    Args:
        members: (n, D, gh, gw) features of OK pictures.
        share: share of all their places that is kept.
        most: largest number of places that are kept.
    """

    def __init__(self, members: np.ndarray, share: float = 0.1, most: int = 2000) -> None:
        self.deviation = members.std(axis=(0, 2, 3)) + 1e-6
        places = np.concatenate([self._places(one) for one in members])
        self.bank = places[coreset(places, max(1, min(most, int(share * len(places)))))]

    def degrees(self, features: np.ndarray) -> np.ndarray:
        """Compute the distance of each place from the bank: (D, gh, gw) to (gh, gw)."""
        places = self._places(features)
        squares = (places**2).sum(axis=1)[:, None] + (self.bank**2).sum(axis=1) - 2 * places @ self.bank.T
        nearest: np.ndarray = np.sqrt(np.maximum(squares.min(axis=1), 0) / len(features))
        return nearest.reshape(features.shape[1:])

    def _places(self, features: np.ndarray) -> np.ndarray:
        """Scaled features of each place: (D, gh, gw) to (gh * gw, D)."""
        places: np.ndarray = (features / self.deviation[:, None, None]).reshape(len(features), -1).T
        return places.astype(np.float32)


def coreset(places: np.ndarray, count: int) -> np.ndarray:
    """Choose `count` places (N, D) that cover all of them, each the farthest from those before it: (count,) indices."""
    draws = np.random.default_rng(0)
    projection = draws.standard_normal((places.shape[1], min(places.shape[1], PROJECTED))).astype(np.float32)
    small = places @ projection
    chosen = [int(draws.integers(len(small)))]
    away = np.square(small - small[chosen[0]]).sum(axis=1)
    for _ in range(count - 1):
        chosen.append(int(away.argmax()))
        np.minimum(away, np.square(small - small[chosen[-1]]).sum(axis=1), out=away)
    return np.array(chosen)
