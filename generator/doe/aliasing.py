"""Find factors of a manifest that vary together, so that no model can separate their effects.

Cramér's V (Cramér 1946) measures how well one factor's level predicts another's: 0 if they are independent, 1 if one
is a function of the other. Up to 10 factors are also compared with pairs of other factors: V = 1 there means that a
factor is aliased with their interaction (a design of resolution III).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

# Least V that is reported: below it a table of counts shows no connection to the eye.
NOTABLE = 0.3
# With more factors only pairs are compared: the number of triples grows with the cube.
MOST_IN_TRIPLES = 10


@dataclass(frozen=True)
class Alias:
    """A factor whose levels can be predicted from those of one or two other factors.

    Attributes:
        factor: name of the factor.
        by: names of the one or two factors that predict it.
        v: Cramér's V: 0 if `factor` is independent of `by`, 1 if one of the two determines the other.
    """

    factor: str
    by: tuple[str, ...]
    v: float


def cramers_v(a: np.ndarray, b: np.ndarray) -> float:
    """Cramér's V of two factors: how well the level of one predicts that of the other, 0 (not at all) to 1 (always).

    Corrected for chance (Bergsma 2013): without it, many levels in few rows always look connected. V is 1 if one
    factor is a function of the other, whatever the number of rows, and 0 if one of them has a single level.

    Args:
        a, b: (rows,) number of each factor's level in each row, from 0.
    """
    rows, columns = int(a.max()) + 1, int(b.max()) + 1
    if rows < 2 or columns < 2:
        return 0.0
    counts = np.zeros((rows, columns))
    np.add.at(counts, (a, b), 1)
    if ((counts > 0).sum(axis=0) <= 1).all() or ((counts > 0).sum(axis=1) <= 1).all():
        return 1.0
    n = counts.sum()
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / n
    phi = float(((counts - expected) ** 2 / expected).sum() / n)
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    r, c = rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)
    return float(min(1.0, (phi / max(min(r - 1, c - 1), 1e-9)) ** 0.5))


def aliases(factors: Mapping[str, ArrayLike]) -> list[Alias]:
    """List the factors that one or two others predict with a Cramér's V of 0.3 (NOTABLE) or more, largest V first.

    Two factors that predict each other are listed once. Factors with a single level are left out. What two factors
    predict together is examined only for at most MOST_IN_TRIPLES (10) factors, of which no two predict each other.

    Args:
        factors: level of each factor in each manifest row, as a text or number, by name of the factor.
    """
    codes = {name: _numbers(levels) for name, levels in factors.items()}
    codes = {name: levels for name, levels in codes.items() if len(levels) and levels.max() > 0}
    found = [Alias(b, (a,), cramers_v(codes[b], codes[a])) for a, b in combinations(codes, 2)]
    linked = {frozenset((alias.factor, *alias.by)) for alias in found if alias.v >= NOTABLE}
    if len(codes) <= MOST_IN_TRIPLES:
        for a, b in combinations(codes, 2):
            pair = _numbers(codes[a].astype(np.int64) * (int(codes[b].max()) + 1) + codes[b])
            for name in codes:
                # Pairs that vary together are reported already; level pairs with under 2 rows each prove nothing.
                if name in (a, b) or any(frozenset(two) in linked for two in ((name, a), (name, b), (a, b))):
                    continue
                if pair.max() + 1 <= len(pair) / 2:
                    found.append(Alias(name, (a, b), cramers_v(codes[name], pair)))
    return sorted((a for a in found if a.v >= NOTABLE), key=lambda a: -a.v)


def _numbers(levels: ArrayLike) -> np.ndarray:
    """Number the levels (rows,) from 0, in the smallest type that holds the numbers."""
    numbers: np.ndarray = np.unique(np.asarray(levels), return_inverse=True)[1]
    return numbers.astype(np.min_scalar_type(int(numbers.max(initial=0))))
