"""Probability of detection (POD) by the size of the defect, as in non-destructive testing.

A logistic curve of hit or miss over the logarithm of the size is fitted by maximum likelihood: MIL-HDBK-1823A (2009),
section G.3. The 90/95 point is the size from which on at least 90 % of the defects are found, with 95 % confidence. The
confidence bound is that of the likelihood ratio: the normal approximation is too optimistic if few defects were missed.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import optimize, stats

from trainer.core.intervals import clopper_pearson

FOUND = 0.9
CONFIDENCE = 0.95
FEWEST = 10


def _log_likelihood(linear: np.ndarray, found: np.ndarray) -> float:
    return float((found * linear - np.logaddexp(0, linear)).sum())


def _fit(x: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    """Fit offset and slope of the logistic curve to ln(size / 1 mm) `x` (N,) and hit or miss `found` (N,)."""
    result = optimize.minimize(lambda b: -_log_likelihood(b[0] + b[1] * x, found), np.array([0.0, 1.0]), method="BFGS")
    return float(result.x[0]), float(result.x[1])


def _best_through(x: np.ndarray, found: np.ndarray, at: float) -> float:
    """Return the highest log likelihood of all rising curves that reach 90 % at `at`, ln(size / 1 mm)."""
    level = math.log(FOUND / (1 - FOUND))
    result = optimize.minimize_scalar(
        lambda log_slope: -_log_likelihood(level + math.exp(log_slope) * (x - at), found),
        bounds=(-7, 7),
        method="bounded",
    )
    return -float(result.fun)


def separable(x: np.ndarray, found: np.ndarray) -> bool:
    """Return whether no curve can be fitted: no or all defects are found, or all found are larger than all missed.

    `x` (N,) are the logarithms of the defects' sizes, `found` (N,) tells which were found.
    """
    return bool(not found.any() or found.all() or x[found == 0].max() < x[found == 1].min())


def curve(sizes_mm: Sequence[float], found: Sequence[bool]) -> dict[str, Any]:
    """Fit the curve of detection probability by size.

    Args:
        sizes_mm: (N,) sizes of the defects in mm, above 0.
        found: (N,) whether the inspection found the defect (said NG).

    Returns:
        Number of `defects` and of `found` ones; `interval` of the share found (Clopper-Pearson, 95 %); smallest and
        largest size, `from_mm` and `to_mm`; `offset` and `slope` of logit P = offset + slope * ln(size / 1 mm);
        `a90_mm`, the size at which P is 90 %; `a90_95_mm`, its 95 % upper bound (the 90/95 point); `note`: why a number
        is None, or that the 90/95 point is extrapolated.
    """
    size, hit = np.asarray(sizes_mm, dtype=float), np.asarray(found, dtype=float)
    out: dict[str, Any] = {
        "defects": len(size),
        "found": int(hit.sum()),
        "interval": clopper_pearson(int(hit.sum()), len(hit)),
        "from_mm": float(size.min()) if len(size) else None,
        "to_mm": float(size.max()) if len(size) else None,
        **dict.fromkeys(("offset", "slope", "a90_mm", "a90_95_mm")),
        "note": "",
    }
    if len(size) < FEWEST:
        out["note"] = f"no curve: at least {FEWEST} defects are needed, there are {len(size)}"
        return out
    x = np.log(size)
    if separable(x, hit):
        what = "all defects were found" if hit.all() else "the sizes of found and of missed defects do not overlap"
        what = what if hit.any() else "no defect was found"
        out["note"] = f"no curve can be fitted: {what}"
        return out
    if size.min() == size.max():
        out["note"] = "no curve: all defects have the same size"
        return out
    offset, slope = _fit(x, hit)
    out.update(offset=offset, slope=slope)
    if slope <= 0:
        out["note"] = "no size at which 90 % are found: larger defects are not found more often than small ones"
        return out
    a90 = (math.log(FOUND / (1 - FOUND)) - offset) / slope
    out["a90_mm"] = math.exp(a90)
    best = _log_likelihood(offset + slope * x, hit)
    # One-sided 95 % is the upper end of a two-sided 90 % interval.
    limit = best - stats.chi2.ppf(2 * CONFIDENCE - 1, 1) / 2
    far = a90 + 1e-6
    step = 0.05
    while _best_through(x, hit, far) > limit:
        far += step
        step *= 1.3
        if far > a90 + math.log(100):
            what = "over 100 times the size at which 90 % are found"
            out["note"] = f"no 90/95 point (90 % found, 95 % confidence): with so few defects it is {what}"
            return out
    near = max(a90, far - step / 1.3)
    bound = optimize.brentq(lambda at: _best_through(x, hit, at) - limit, near, far, xtol=1e-5)
    out["a90_95_mm"] = math.exp(bound)
    if out["a90_95_mm"] > out["to_mm"]:
        out["note"] = "the 90/95 point (90 % found, 95 % confidence) is extrapolated: it lies above all sizes measured"
    return out


def probability(fitted: dict[str, Any], sizes_mm: np.ndarray) -> np.ndarray | None:
    """Return the probability (N,) that defects of `sizes_mm` (N,) are detected; None if no curve could be fitted.

    `fitted` is what the function `curve` returned.
    """
    if fitted["slope"] is None:
        return None
    return np.asarray(1 / (1 + np.exp(-(fitted["offset"] + fitted["slope"] * np.log(sizes_mm)))))
