"""Which factors of a manifest cannot be told apart, however good the model.

Cramér's V (Cramér 1946) measures how far one factor's level gives away another's: 0 where they are independent, 1
where one is a function of the other. A main effect is also compared with pairs of other factors: V of 1 there is what
the theory of designs calls aliased with their interaction (resolution III).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# Below this nobody would see a connection in a table of counts.
NOTABLE = 0.3
ALIASED = 0.999
# Factors beyond this are compared pairwise only: triples grow with the cube.
MOST_IN_TRIPLES = 10


@dataclass(frozen=True)
class Alias:
    """How far `factor` is given away by `by`, one other factor or two of them together; `v` from 0 to 1."""

    factor: str
    by: tuple[str, ...]
    v: float


def cramers_v(a: np.ndarray, b: np.ndarray) -> float:
    """Cramér's V of two arrays of level numbers from 0, of equal length; 0 where one of them has a single level.

    With the correction for chance of Bergsma (2013), or many levels in few rows would always look connected. Where one
    is a function of the other it is 1 whatever the number of rows.
    """
    from scipy.stats import chi2_contingency
    from scipy.stats.contingency import crosstab

    counts = crosstab(a, b).count
    rows, columns = counts.shape
    if min(rows, columns) < 2:
        return 0.0
    if ((counts > 0).sum(axis=0) <= 1).all() or ((counts > 0).sum(axis=1) <= 1).all():
        return 1.0
    n = counts.sum()
    phi = float(chi2_contingency(counts, correction=False).statistic / n)
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (n - 1))
    r, c = rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1)
    return float(min(1.0, (phi / max(min(r - 1, c - 1), 1e-9)) ** 0.5))


def aliases(factors: Mapping[str, Sequence[str]] | pd.DataFrame) -> list[Alias]:
    """Factors that other factors give away, the worst first.

    Args:
        factors: levels of each factor, one per row.
    """
    import pandas as pd

    codes = {name: pd.factorize(np.asarray(levels, dtype=object))[0] for name, levels in factors.items()}
    codes = {name: levels for name, levels in codes.items() if len(levels) and levels.max() > 0}
    found = [Alias(b, (a,), cramers_v(codes[b], codes[a])) for a, b in combinations(codes, 2)]
    linked = {frozenset((alias.factor, *alias.by)) for alias in found if alias.v >= NOTABLE}
    if len(codes) <= MOST_IN_TRIPLES:
        for a, b in combinations(codes, 2):
            pair = pd.factorize(codes[a] * (int(codes[b].max()) + 1) + codes[b])[0]
            for name in codes:
                # Where a pair of them says it already, a triple says nothing new; nor does a pair as rare as the rows.
                if name in (a, b) or any(frozenset(two) in linked for two in ((name, a), (name, b), (a, b))):
                    continue
                if pair.max() + 1 <= len(pair) / 2:
                    found.append(Alias(name, (a, b), cramers_v(codes[name], pair)))
    return sorted((a for a in found if a.v >= NOTABLE), key=lambda a: -a.v)
