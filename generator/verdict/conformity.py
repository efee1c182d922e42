"""Decide whether a measured pin conforms to its tolerance, with the measurement uncertainty, after ISO 14253-1.

A characteristic, such as the true position, is conform if the probability that it lies outside its limits is at most
5 %. It is nonconform if the probability that it lies beyond one of the limits is at least 95 %. Otherwise it is
undecided. Uncertainties are expanded (k = 2); errors are assumed to be normally distributed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

import numpy as np

from generator.verdict.envelope import Verdict, overall

# Largest probability of a wrong decision, one-sided: ISO 14253-1:2017, 5.3.
RISK = 0.05
COVERAGE_FACTOR = 2.0
_ANGLES = np.linspace(0.0, 2.0 * math.pi, 360, endpoint=False)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


class Decision(StrEnum):
    """The decision on one characteristic of one pin.

    - conform: within its limits; the risk that this is wrong is at most 5 %.
    - nonconform: beyond a limit; the risk that this is wrong is at most 5 %.
    - undecided: measured, but too near to a limit for its uncertainty.
    - undetermined: the given views do not determine it, such as a height in a single centre view.
    - not_seen: the pin's tip is hidden in every given view.
    """

    CONFORM = "conform"
    NONCONFORM = "nonconform"
    UNDECIDED = "undecided"
    UNDETERMINED = "undetermined"
    NOT_SEEN = "not_seen"


_VERDICTS = {
    Decision.CONFORM: Verdict.OK,
    Decision.NONCONFORM: Verdict.NG,
    Decision.UNDECIDED: Verdict.UNSURE,
    Decision.UNDETERMINED: Verdict.UNSURE,
    Decision.NOT_SEEN: Verdict.UNSURE,
}


def decide(outside: float, beyond: float) -> Decision:
    """Return the decision on a characteristic from two probabilities; undetermined if one of them is NaN.

    Args:
        outside: probability, 0 to 1, that the characteristic lies outside its limits, on either side.
        beyond: probability, 0 to 1, that it lies beyond the limit on the more probable side.
    """
    if math.isnan(outside) or math.isnan(beyond):
        return Decision.UNDETERMINED
    if outside <= RISK:
        return Decision.CONFORM
    return Decision.NONCONFORM if beyond >= 1.0 - RISK else Decision.UNDECIDED


def interval_sides(value: float, u: float, low: float, high: float) -> tuple[float, float]:
    """Return the probabilities that the true value of a measure lies below `low`, and that it lies above `high`.

    Both are NaN if `value` or `u` is not finite.

    Args:
        value: the measured value, mm.
        u: its expanded uncertainty (k = 2), mm.
        low, high: limits, mm; infinite where there is no limit.
    """
    if not (math.isfinite(value) and math.isfinite(u)):
        return math.nan, math.nan
    if u <= 0.0:
        return float(value < low), float(value > high)
    sigma = u / COVERAGE_FACTOR
    return _normal((low - value) / sigma), _normal((value - high) / sigma)


def disc_outside(mean: np.ndarray, covariance: np.ndarray, diameter: float) -> float:
    """Return the probability that a tip's true position is above its limit: that dx, dy lies outside a disc round zero.

    It is the integral of a normal distribution in two dimensions. NaN if `mean` or `covariance` is not finite.

    Args:
        mean: (2,) measured dx, dy, mm.
        covariance: (2, 2) covariance of the errors of dx and dy, mm^2.
        diameter: diameter of the disc, mm: the limit of true position.
    """
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        return math.nan
    radius = 0.5 * diameter
    variances, axes = np.linalg.eigh(np.asarray(covariance, float))
    # A floor far below any real uncertainty keeps the integral defined for an exact measure.
    small, large = np.sqrt(np.maximum(variances, (1e-6 * radius) ** 2))
    across, along = np.asarray(mean, float) @ axes
    low, high = max(-radius, along - 9.0 * large), min(radius, along + 9.0 * large)
    if low >= high:
        return 1.0
    place = 0.5 * (high + low) + 0.5 * (high - low) * _NODES
    density = np.exp(-0.5 * ((place - along) / large) ** 2) / (large * math.sqrt(2.0 * math.pi))
    half = np.sqrt(np.maximum(radius**2 - place**2, 0.0))
    share = [_normal((edge - across) / small) - _normal((-edge - across) / small) for edge in half.tolist()]
    inside = 0.5 * (high - low) * float(_WEIGHTS @ (density * np.array(share)))
    return float(min(1.0, max(0.0, 1.0 - inside)))


def disc_beyond(mean: np.ndarray, covariance: np.ndarray, diameter: float) -> float:
    """Return how probable it is that a tip lies outside a disc round zero, in the direction where it is most probable.

    For each tangent of the disc, the probability that the tip lies on its far side is computed; the largest counts.
    The arguments are those of `disc_outside`. NaN if `mean` or `covariance` is not finite.
    """
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        return math.nan
    normals = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
    over = np.asarray(mean, float) @ normals - 0.5 * diameter
    sigma = np.sqrt(np.maximum(np.sum(normals * (np.asarray(covariance, float) @ normals), axis=0), 1e-18))
    return _normal(float(np.max(over / sigma)))


def decide_height(
    retraction_mm: float, u_mm: float, retraction_limit_mm: float, protrusion_limit_mm: float
) -> Decision:
    """Return the decision on a tip's height, which has limits on both sides.

    Args:
        retraction_mm: how far the tip is below its nominal height; negative: above it.
        u_mm: expanded uncertainty of `retraction_mm` (k = 2).
        retraction_limit_mm, protrusion_limit_mm: how far the tip may be below its nominal height, and above it.
    """
    below, above = interval_sides(retraction_mm, u_mm, -protrusion_limit_mm, retraction_limit_mm)
    return decide(below + above, max(below, above))


def decide_true_position(mean: np.ndarray, covariance: np.ndarray, limit_mm: float) -> Decision:
    """Return the decision on a tip's true position, from the probability that it is above its limit.

    A true position cannot be negative, so an interval "value plus or minus uncertainty" would be wrong near zero.

    Args:
        mean: (2,) measured dx, dy, mm.
        covariance: (2, 2) covariance of the errors of dx and dy, mm^2.
        limit_mm: limit of true position, mm: the diameter of the disc round zero in which dx, dy has to lie.
    """
    return decide(disc_outside(mean, covariance, limit_mm), disc_beyond(mean, covariance, limit_mm))


def part_verdict(
    pins: Mapping[str, Mapping[str, Decision]], judged: Collection[str], not_inspected: Iterable[str] = ()
) -> tuple[Verdict, list[str]]:
    """Return the verdict on a part from the decisions on its pins, and the reasons for it.

    The verdict is NG if a judged characteristic is nonconform, OK if every judged characteristic of every pin conforms,
    INVALID without any pin, and UNSURE otherwise.

    Args:
        pins: by address of the pin, its decisions by characteristic (`true_position`, `height`, `presence`).
        judged: characteristics that the verdict covers; one for which a pin has no decision counts as undetermined.
        not_inspected: characteristics that the verdict does not cover; the reasons name them.
    """
    found: dict[Decision, dict[str, list[str]]] = {}
    for address, decisions in pins.items():
        for name in judged:
            decision = decisions.get(name, Decision.UNDETERMINED)
            found.setdefault(decision, {}).setdefault(name, []).append(address)
    reasons = [
        f"{decision}: {name.replace('_', ' ')} of {', '.join(addresses)}"
        for decision in Decision
        if decision is not Decision.CONFORM
        for name, addresses in found.get(decision, {}).items()
    ]
    reasons += [f"not inspected: {name.replace('_', ' ')}" for name in not_inspected]
    return overall(_VERDICTS[decision] for decision in found), reasons


def _normal(z: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * math.erfc(-z / math.sqrt(2.0))
