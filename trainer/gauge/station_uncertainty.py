"""How an adapted gauge's uncertainty follows from photographs: good parts enlarge it, parts of a reference correct it.

Good parts: their pins lie at their nominal places but for the scatter of production. What the gauge measures beyond
that is its error, so that U can be enlarged where errors are larger than it says. That errors are small on good parts
does not show that they are small on bent ones: a gauge that always answers zero has none on good parts. So good parts
never make U smaller.

Parts measured by a reference, bent ones among them, show the error itself: they give a slope, and factors that may also
be smaller than 1, for those views and axes of which enough was measured.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from blender_scripts.contract.tolerance import Limits
from generator.locating.factors import FEWEST, MOST, by_axis
from generator.locating.measure import MeasuredPin
from trainer.core.adaptation import FEWEST as FEWEST_PARTS
from trainer.core.errors import InputError
from trainer.gauge.reference import Reference
from trainer.gauge.run import Triple, Uncertainty

# A reference needs as many pins that are displaced along x, and along y, by at least this share of their limit.
_BENT, _SHARE = 20, 0.5
# Resamples of the parts, and the quantile of the factors over these.
_RESAMPLES, _QUANTILE = 200, 0.95
# 95 % of a normal variable lie within so many standard deviations.
_ONE = 1.96
# A standard deviation of good pins above this share of their limits makes 1 of 100 good parts with 27 pins NG.
_MOST_SCATTER = 0.25
_THERE = 0.5
_SLOPES = 0.9, 1.1
_AXES = ("dx", "dy", "height")


def check_scatter(scatter_mm: float, limits: Sequence[Limits]) -> None:
    """Check a stated scatter of good pins, their standard deviation along each axis, against the limits of the pins.

    Raises:
        InputError: it is more than a quarter of the smallest limit of a displacement along an axis.
    """
    least = min(min(each.true_position_mm / 2.0, each.retraction_mm, each.protrusion_mm) for each in limits)
    if scatter_mm > _MOST_SCATTER * least:
        raise InputError(
            f"--scatter {scatter_mm:g}: expected at most {_MOST_SCATTER * least:g} mm, a quarter of the smallest limit "
            "of a displacement, as of a production with a larger scatter good parts would be NG"
        )


def sizes_of(pins: Sequence[MeasuredPin], scatter_mm: float) -> np.ndarray:
    """Return sizes (N, 3) of good pins' dx, dy and retraction, in standard deviations; NaN: missing or not determined.

    A size is what remains of a measure m after the scatter s of production: the root of m^2 - (1.96 s)^2, at least 0.
    So if errors and scatter are normal, the 95 % quantile of the sizes is that of the errors.

    Args:
        pins: measures of a good part's pins.
        scatter_mm: standard deviation of good pins in production, along each axis.
    """
    rows = []
    for pin in pins:
        remains = np.sqrt(np.maximum(0.0, np.square(pin.offsets_mm) - (_ONE * scatter_mm) ** 2))
        known = pin.determined & (pin.present > _THERE)
        rows.append(np.where(known, remains / np.sqrt(np.diag(pin.covariance)), np.nan))
    return np.array(rows).reshape(-1, 3)


def bound(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Return the upper 95 % bounds (3,) over resamples of the parts of the factors by which U covers 95 % of errors.

    Errors are common to a part's pins, so that few parts show little, however many pins they have.

    Args:
        parts: for each part, sizes (N, 3) of the errors in standard deviations; NaN: not measured.

    Returns:
        The factors; NaN for an axis with fewer than 40 measures, or with measures of fewer than 8 parts.
    """
    counts = np.array([np.isfinite(each).sum(axis=0) for each in parts]).reshape(-1, 3)
    enough = (counts.sum(axis=0) >= FEWEST) & ((counts > 0).sum(axis=0) >= FEWEST_PARTS)
    if not enough.any():
        return np.full(3, np.nan)
    drawn = np.random.default_rng(0).integers(len(parts), size=(_RESAMPLES, len(parts)))
    found = [by_axis(np.concatenate([parts[index] for index in each])) for each in drawn]
    return np.where(enough, np.quantile(found, _QUANTILE, axis=0), np.nan)


def enlargement(parts: Sequence[Sequence[MeasuredPin]], scatter_mm: float) -> np.ndarray:
    """Return factors (3,), at least 1, on U of dx, dy and retraction, by which it covers 95 % of good pins' errors.

    They are the bounds that `bound` returns, and NaN for an axis of which too little was measured.

    Raises:
        InputError: a factor of 20 is not enough: what is found are not the pins.
    """
    found: np.ndarray = np.maximum(1.0, bound([sizes_of(pins, scatter_mm) for pins in parts]))
    if (found >= MOST).any():
        raise InputError(f"--photos: expected good parts, got measures of pins {MOST:g} times farther off than U says")
    return found


def completed(found: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Fill in factors on U of sets of views and axes that were not measured: the largest of the others, at least 1.

    Args:
        found: factors (3,) by name of the set of views; NaN: not measured.

    Returns:
        All factors, and for each set the names of the axes that were not measured.

    Raises:
        InputError: nothing was measured.
    """
    table = np.array(list(found.values()))
    if np.isnan(table).all():
        raise InputError(
            f"--photos: expected at least {FEWEST_PARTS} located good parts with together {FEWEST} measured pins, "
            "without which nothing shows how large the errors on this station are; photograph more good parts"
        )
    largest = np.max(np.where(np.isnan(table), 1.0, table), axis=0)
    missing = {
        name: [axis for axis, is_open in zip(_AXES, np.isnan(each), strict=True) if is_open]
        for name, each in found.items()
    }
    return (
        {name: np.where(np.isnan(each), largest, each) for name, each in found.items()},
        {name: axes for name, axes in missing.items() if axes},
    )


def scaled(old: Uncertainty, found: Mapping[str, np.ndarray], slope: float = 1.0, terminal: str = "") -> Uncertainty:
    """Return an uncertainty with all factors multiplied, and one slope.

    Args:
        old: the run's.
        found: factors (3,) for parts measured by one view alone, by its name, and under "" for those measured by
            several views; where there are none, the largest of the others apply, at least 1.
        slope: number by which the slope of the terminal is multiplied; others were not measured and stay.
        terminal: the terminal's name.
    """
    largest = np.max([np.ones(3), *found.values()], axis=0)
    together, by_view = found.get("", largest), {view: each for view, each in found.items() if view}
    alone = {view: _times(each, by_view.get(view, largest)) for view, each in old.alone.items()}
    pooled = old.alone.get("", (1.0, 1.0, 1.0))
    alone |= {view: _times(pooled, each) for view, each in by_view.items() if view not in old.alone}
    slopes = dict(old.slopes or {"": 1.0})
    if slope != 1.0:
        slopes[terminal] = slopes.get(terminal, slopes.get("", 1.0)) * slope
    return replace(
        old,
        together=_times(old.together, together),
        widening=_times(old.widening, together),
        alone=alone,
        slopes=slopes,
    )


def _times(first: Triple, second: np.ndarray) -> Triple:
    dx, dy, retraction = (np.array(first) * second).tolist()
    return dx, dy, retraction


def corrected(
    reference: Reference,
    seen: Mapping[str, Mapping[str, Mapping[str, MeasuredPin]]],
    whole: str,
    good: Mapping[str, np.ndarray],
    limits: Sequence[Limits],
    lengths_mm: Mapping[str, float],
) -> tuple[float, dict[str, np.ndarray]]:
    """Compare a gauge's measures with a reference's.

    Args:
        reference: the reference's measures.
        seen: the gauge's measures by name of the set of views, part and address, with the depth of the tip in place of
            the retraction (`tip_height.of_pin`).
        whole: name of the set of all views.
        good: factors (3,), at least 1, that good parts showed, by name of the set of views.
        limits: limits of the pins.
        lengths_mm: height of each position's nominal tip above its foot, by address.

    Returns:
        The slope of the gauge's dx and dy over the reference's, 0.9 to 1.1, in the pictures by all views; and factors
        (3,) on the uncertainties after the division by this slope, by name of the set of views. These are the bounds
        that `bound` returns. They replace the good parts' factors where at least 20 pins of the set are displaced along
        the axis by half of the limit (along z it is the terminals that count, as a bend alone lowers a tip, too); with
        fewer, they only enlarge them; and where too little was measured, the good parts' remain.

    Raises:
        InputError: by all views, fewer than 8 parts, or fewer than 20 pins displaced along x or along y, were measured.
    """
    far = _SHARE * np.array(
        [
            *2 * [max(each.true_position_mm for each in limits) / 2.0],
            max(max(each.retraction_mm, each.protrusion_mm) for each in limits),
        ]
    )
    terminals = reference.of_terminals(lengths_mm).measures
    pairs = {
        name: [_pairs(reference.measures[part], terminals[part], pins) for part, pins in seen.get(name, {}).items()]
        for name in good
    }
    bent = {name: _bent(each, far) for name, each in pairs.items()}
    count = sum(bool(np.isfinite(each[0, :, :2]).all(axis=1).any()) for each in pairs[whole])
    along_x, along_y = bent[whole][:2]
    if count < FEWEST_PARTS or min(along_x, along_y) < _BENT:
        raise InputError(
            f"--reference: expected at least {FEWEST_PARTS} photographed and located parts with {_BENT} measured pins "
            f"that are displaced by {far[0]:g} mm or more along x, and as many along y, as only bent pins show that "
            f"displacements are measured in full, got {count} parts with {along_x} and {along_y} such pins"
        )
    slope = _slope(np.concatenate(pairs[whole], axis=1))
    by, found = np.array([slope, slope, 1.0]), {}
    for name, known in good.items():
        # Found values and their standard deviations are both divided by the slope.
        shown = bound([np.abs(measured - by * true) / sigma for true, measured, sigma, _ in pairs[name]])
        enough = bent[name] >= _BENT
        found[name] = np.where(np.isnan(shown), known, np.where(enough, shown, np.fmax(shown, known)))
    return slope, found


def _pairs(
    true: Mapping[str, np.ndarray], terminals: Mapping[str, np.ndarray], pins: Mapping[str, MeasuredPin]
) -> np.ndarray:
    """A part's true values, measures and standard deviations (3 of 4, N, 3) of dx, dy and tip's depth.

    The last of the 4 are the true dx, dy and retraction of the terminal. NaN: no such pair.
    """
    rows = []
    for address in true.keys() & pins.keys():
        pin = pins[address]
        known = pin.determined & (pin.present > _THERE) & np.isfinite(true[address])
        each = np.stack([true[address], pin.offsets_mm, np.sqrt(np.diag(pin.covariance)), terminals[address]])
        rows.append(np.where(known, each, np.nan))
    return np.array(rows).reshape(-1, 4, 3).swapaxes(0, 1)


def _bent(pairs: Sequence[np.ndarray], far: np.ndarray) -> np.ndarray:
    """Number (3,) of measured pins whose true dx, dy and retraction of the terminal are at least `far`."""
    shown = [(np.abs(terminal) >= far).sum(axis=0) for _, _, _, terminal in pairs]
    found: np.ndarray = np.array(shown).reshape(-1, 3).sum(axis=0)
    return found


def _slope(pairs: np.ndarray) -> float:
    """The slope of a straight line through zero, of found over true dx and dy, from pairs (4, N, 3)."""
    true, found, sigma, _ = pairs[:, np.isfinite(pairs[0, :, :2]).all(axis=1), :2]
    weights = 1.0 / np.square(sigma).sum(axis=1, keepdims=True)
    return float(np.clip((weights * true * found).sum() / (weights * true * true).sum(), *_SLOPES))
