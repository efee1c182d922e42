"""How often the stated expanded uncertainty U (k = 2) holds: the share of errors within U, which should be 95 %.

A test states whether the share is too small. The pins of a part share its pose, so their errors are not independent.
Therefore the bootstrap that gives the intervals draws whole parts, and the test takes one value from each part.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from trainer.core.intervals import part_interval

# Share of errors that lie within U where it is right: k = 2.
RIGHT = 0.95
_FEWEST_PARTS = 5


def coverage(parts: pd.Series, covered: np.ndarray) -> dict[str, Any]:
    """Measure the share of errors within the stated expanded uncertainty U (k = 2).

    Args:
        parts, covered: (N,) part of each error, and whether the error lies within U.

    Returns:
        `share` of errors within U; `interval`, its 95 % interval by bootstrap over parts; `p`, the p-value of the
        hypothesis that the true share is 0.95 or more, by Student's t test over parts (None for under 5 parts).
    """
    off = pd.Series(np.asarray(covered, float) - RIGHT).groupby(parts.to_numpy()).sum().round(9)
    p = None
    if len(off) >= _FEWEST_PARTS:
        varies = np.ptp(off) > 0
        p = float(stats.ttest_1samp(off, 0.0, alternative="less").pvalue) if varies else float(off.iloc[0] >= 0)
    names = parts.astype(str).tolist()
    return {"share": float(np.mean(covered)), "interval": part_interval(names, np.asarray(covered)), "p": p}


def holm(values: Sequence[float]) -> list[float]:
    """Return the p-values of several tests, adjusted by Holm's method (1979), in the same order.

    If only tests with an adjusted value below 0.05 count, the chance of any false alarm is at most 5 %.
    """
    order = np.argsort(values)
    adjusted = np.empty(len(values))
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = largest
    return [float(each) for each in adjusted]


def adjust(groups: Mapping[str, dict[str, Any]], axes: Sequence[str]) -> None:
    """Adjust the p-values of all groups of pins and all axes together by `holm`.

    Args:
        groups: figures by group. Each of their entries `within_AXIS`, a result of `coverage`, gets the key `p_holm`
            with the adjusted p-value, unless its `p` is None.
        axes: names of the axes: dx, dy, retraction.
    """
    tests = [
        found
        for figures in groups.values()
        for axis in axes
        if (found := figures.get(f"within_{axis}")) and found["p"] is not None
    ]
    for found, p in zip(tests, holm([each["p"] for each in tests]), strict=True):
        found["p_holm"] = p
