"""How an adapted gauge's uncertainty follows from photographs: good parts enlarge it, parts of a reference correct it.

Good parts: their pins lie at their nominal places but for the scatter of production. What the gauge measures beyond
that is its error, so that U can be enlarged where errors are larger than it says. That errors are small on good parts
does not show that they are small on bent ones: a gauge that always answers zero has none on good parts. So good parts
never make U smaller.

Parts measured by a reference, bent ones among them, show the error itself: they give a slope, and factors that may also
be smaller than 1, for those views and axes of which enough was measured.
"""

import csv
import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from blender_scripts.contract.tolerance import Limits
from generator.locating.factors import FEWEST, MOST, by_axis
from generator.locating.measure import MeasuredPin, sag_mm
from trainer.core.adaptation import FEWEST as FEWEST_PARTS
from trainer.core.errors import InputError
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
_COLUMNS = ("part", "address", "dx_mm", "dy_mm")
_HEIGHT, _U = "height_mm", "u_mm"
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


@dataclass(frozen=True)
class Reference:
    """Measures of a reference.

    Attributes:
        measures: by part and address, dx, dy and depth of the tip below nominal (3,) in mm; NaN where not stated.
        u_mm: by part and address, the expanded uncertainty (k = 2) of these values in mm, where it is stated.
    """

    measures: Mapping[str, Mapping[str, np.ndarray]]
    u_mm: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Reference":
        """Read a CSV file with the columns part, address, dx_mm, dy_mm and, if known, height_mm and u_mm.

        Raises:
            InputError: the file or a number in it cannot be read, a column is missing, or a pin is stated twice.
        """
        found: dict[str, dict[str, np.ndarray]] = {}
        uncertain: dict[str, dict[str, float]] = {}
        try:
            # Spreadsheets begin such a file with a byte order mark.
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"--reference {path}: expected a CSV file, got {error}") from None
        for number, row in enumerate(rows, 2):
            try:
                part, address, values, u = _parsed(row)
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"--reference {path} line {number}: expected the columns {', '.join(_COLUMNS)} and, if known, "
                    f"{_HEIGHT} and {_U}, with numbers in mm, got {error}"
                ) from None
            if address in found.setdefault(part, {}):
                raise InputError(f"--reference {path} line {number}: {part} {address} is stated twice")
            found[part][address] = values
            if u is not None:
                uncertain.setdefault(part, {})[address] = u
        return cls(found, uncertain)

    def of_terminals(self, lengths_mm: Mapping[str, float]) -> "Reference":
        """Return these measures with the retraction of the terminal in place of the tip's depth.

        A gauge states the retraction: the tip's depth without what the bend lowers the tip. `lengths_mm` has the height
        of each position's nominal tip above its foot, by address.
        """
        measures = {
            part: {
                address: values - (0.0, 0.0, sag_mm(float(np.hypot(*values[:2])), lengths_mm[address]))
                for address, values in pins.items()
            }
            for part, pins in self.measures.items()
        }
        return replace(self, measures=measures)

    def problems(self, photographed: Collection[str], addresses: Collection[str]) -> list[str]:
        """Return what in the file does not fit the photographs and the drawing.

        Args:
            photographed: paths of the photographed parts of the reference; names are their last parts.
            addresses: addresses of the drawing.

        Returns:
            Messages on parts without a photograph, on names that several photographed parts have, and on addresses
            that are not on the drawing.
        """
        names = Counter(Path(part).name for part in photographed)
        found = [f"part {each}: expected a photograph of it, got none" for each in self.measures if not names[each]]
        found += [f"part {name}: expected one part of this name, got {n}" for name, n in names.items() if n > 1]
        found += [
            f"part {part}: expected addresses on the drawing, such as {next(iter(addresses))}, got {', '.join(unknown)}"
            for part, pins in self.measures.items()
            if (unknown := [address for address in pins if address not in addresses])
        ]
        return found

    def check(
        self, photographed: Mapping[str, Sequence[str]], views: Collection[str], addresses: Sequence[str]
    ) -> None:
        """Check that the file fits the photographs and the drawing.

        Args:
            photographed: views of each photographed part of the reference, by its path; names are their last parts.
            views: views of the good parts.
            addresses: addresses of the drawing.

        Raises:
            InputError: a part of the file has no photograph, or several parts have its name; a part does not show the
                views of the good parts; or an address is not on the drawing.
        """
        problems = self.problems(photographed, addresses)
        problems += [
            f"part {part}: expected photographs by the views of the good parts ({', '.join(sorted(views))}), got "
            f"{', '.join(sorted(shown))}"
            for part, shown in photographed.items()
            if set(shown) != set(views)
        ]
        if problems:
            raise InputError([f"--reference: {each}" for each in problems])


def _parsed(row: Mapping[str, str]) -> tuple[str, str, np.ndarray, float | None]:
    """Part, address, values (3,) and uncertainty that a line states; raises KeyError, TypeError or ValueError."""
    height = float(row[_HEIGHT]) if row.get(_HEIGHT) else math.nan
    values = np.array([float(row["dx_mm"]), float(row["dy_mm"]), -height])
    if not np.isfinite(values[:2]).all() or np.isinf(height):
        raise ValueError("a number that is not finite")
    u = float(row[_U]) if row.get(_U) else None
    if u is not None and not 0.0 <= u < math.inf:
        raise ValueError(f"an uncertainty {_U} of {row[_U]}")
    if not row["part"] or not row["address"]:
        raise ValueError("an empty name")
    return row["part"], row["address"], values, u


def corrected(
    reference: Reference,
    seen: Mapping[str, Mapping[str, Mapping[str, MeasuredPin]]],
    whole: str,
    good: Mapping[str, np.ndarray],
    limits: Sequence[Limits],
) -> tuple[float, dict[str, np.ndarray]]:
    """Compare a gauge's measures with a reference's.

    Args:
        reference: the reference's measures.
        seen: the gauge's measures by name of the set of views, part and address.
        whole: name of the set of all views.
        good: factors (3,), at least 1, that good parts showed, by name of the set of views.
        limits: limits of the pins.

    Returns:
        The slope of the gauge's dx and dy over the reference's, 0.9 to 1.1, in the pictures by all views; and factors
        (3,) on the uncertainties after the division by this slope, by name of the set of views. These are the bounds
        that `bound` returns. They replace the good parts' factors where at least 20 pins of the set are displaced along
        the axis by half of the limit; with fewer, they only enlarge them; and where too little was measured, the good
        parts' remain.

    Raises:
        InputError: by all views, fewer than 8 parts, or fewer than 20 pins displaced along x or along y, were measured.
    """
    far = _SHARE * np.array(
        [
            *2 * [max(each.true_position_mm for each in limits) / 2.0],
            max(max(each.retraction_mm, each.protrusion_mm) for each in limits),
        ]
    )
    pairs = {
        name: [_pairs(reference.measures[part], pins) for part, pins in seen.get(name, {}).items()] for name in good
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
        shown = bound([np.abs(measured - by * true) / sigma for true, measured, sigma in pairs[name]])
        enough = bent[name] >= _BENT
        found[name] = np.where(np.isnan(shown), known, np.where(enough, shown, np.fmax(shown, known)))
    return slope, found


def _pairs(true: Mapping[str, np.ndarray], pins: Mapping[str, MeasuredPin]) -> np.ndarray:
    """A part's true values, measures and standard deviations (3, N, 3) of dx, dy and retraction; NaN: no such pair."""
    rows = []
    for address in true.keys() & pins.keys():
        pin = pins[address]
        known = pin.determined & (pin.present > _THERE) & np.isfinite(true[address])
        each = np.stack([true[address], pin.offsets_mm, np.sqrt(np.diag(pin.covariance))])
        rows.append(np.where(known, each, np.nan))
    return np.array(rows).reshape(-1, 3, 3).swapaxes(0, 1)


def _bent(pairs: Sequence[np.ndarray], far: np.ndarray) -> np.ndarray:
    """Number (3,) of measured pins whose true dx, dy and retraction are at least `far`."""
    found: np.ndarray = np.array([(np.abs(true) >= far).sum(axis=0) for true, _, _ in pairs]).reshape(-1, 3).sum(axis=0)
    return found


def _slope(pairs: np.ndarray) -> float:
    """The slope of a straight line through zero, of found over true dx and dy, from pairs (3, N, 3)."""
    true, found, sigma = pairs[:, np.isfinite(pairs[0, :, :2]).all(axis=1), :2]
    weights = 1.0 / np.square(sigma).sum(axis=1, keepdims=True)
    return float(np.clip((weights * true * found).sum() / (weights * true * true).sum(), *_SLOPES))
