"""How an adapted gauge's uncertainty follows from photographs: good parts enlarge it, parts of a reference correct it.

Good parts: their pins lie at their nominal places but for the scatter of production. What the gauge measures beyond
that is its error, so that U can be enlarged where errors are larger than it says. That errors are small on good parts
does not show that they are small on bent ones: a gauge that always answers zero has none on good parts. So good parts
never make U smaller.

Parts measured by a reference, bent ones among them, show the error itself: they give a slope, and factors that may also
be smaller than 1.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from generator.locating.factors import FEWEST, by_axis
from generator.locating.measure import MeasuredPin
from trainer.core.adaptation import FEWEST as FEWEST_PARTS
from trainer.core.errors import InputError
from trainer.gauge.run import Triple, Uncertainty

# A reference needs as many pins that are displaced by at least this share of their limit of true position.
_BENT, _SHARE = 20, 0.5
# Resamples of the reference's parts, and the quantile of the factors over these.
_RESAMPLES, _QUANTILE = 200, 0.95
_THERE = 0.5
_SLOPES = 0.9, 1.1
_COLUMNS = ("part", "address", "dx_mm", "dy_mm")
_HEIGHT = "height_mm"


def sizes_of(pins: Sequence[MeasuredPin], scatter_mm: float) -> np.ndarray:
    """Return sizes (N, 3) of good pins' dx, dy and retraction, in standard deviations; NaN: missing or not determined.

    Args:
        pins: measures of a good part's pins.
        scatter_mm: standard deviation of good pins in production, along each axis.
    """
    rows = []
    for pin in pins:
        sigma = np.sqrt(np.diag(pin.covariance) + scatter_mm**2)
        known = pin.determined & (pin.present > _THERE)
        rows.append(np.where(known, np.abs(pin.offsets_mm) / sigma, np.nan))
    return np.array(rows).reshape(-1, 3)


def enlargement(parts: Sequence[Sequence[MeasuredPin]], scatter_mm: float) -> np.ndarray:
    """Return factors (3,), at least 1, on U of dx, dy and retraction, by which it covers 95 % of good pins' measures.

    An axis with fewer than 40 measures keeps the factor 1.
    """
    sizes = np.concatenate([np.zeros((0, 3)), *(sizes_of(pins, scatter_mm) for pins in parts)])
    enough = np.isfinite(sizes).sum(axis=0) >= FEWEST
    found: np.ndarray = np.where(enough, np.maximum(1.0, by_axis(sizes)), 1.0)
    return found


def scaled(
    old: Uncertainty, by_view: Mapping[str, np.ndarray], together: np.ndarray, slope: float = 1.0
) -> Uncertainty:
    """Return an uncertainty with all factors multiplied.

    Args:
        old: the run's.
        by_view: factors (3,) for parts measured by one view alone, by its name; other views get the largest of them.
        together: factors (3,) for parts measured by several views.
        slope: number by which all slopes are multiplied.
    """
    largest = np.max([together, *by_view.values()], axis=0)
    alone = {view: _times(each, by_view.get(view, largest)) for view, each in old.alone.items()}
    pooled = old.alone.get("", (1.0, 1.0, 1.0))
    alone |= {view: _times(pooled, each) for view, each in by_view.items() if view not in old.alone}
    return replace(
        old,
        together=_times(old.together, together),
        widening=_times(old.widening, together),
        alone=alone,
        slopes={name: each * slope for name, each in (old.slopes or {"": 1.0}).items()},
    )


def _times(first: Triple, second: np.ndarray) -> Triple:
    dx, dy, retraction = (np.array(first) * second).tolist()
    return dx, dy, retraction


@dataclass(frozen=True)
class Reference:
    """Measures of a reference: by part and address, dx, dy and retraction (3,) in mm; NaN where not stated."""

    measures: Mapping[str, Mapping[str, np.ndarray]]

    @classmethod
    def read(cls, path: Path) -> "Reference":
        """Read a CSV file with the columns part, address, dx_mm, dy_mm and, if known, height_mm.

        Raises:
            InputError: the file or a number in it cannot be read, or a column is missing.
        """
        found: dict[str, dict[str, np.ndarray]] = {}
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"--reference {path}: expected a CSV file, got {error}") from None
        for number, row in enumerate(rows, 2):
            try:
                dx, dy = float(row["dx_mm"]), float(row["dy_mm"])
                height = float(row[_HEIGHT]) if row.get(_HEIGHT) else math.nan
                values = np.array([dx, dy, -height])
                if not np.isfinite(values[:2]).all():
                    raise ValueError("a number that is not finite")
                found.setdefault(row["part"], {})[row["address"]] = values
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(
                    f"--reference {path} line {number}: expected the columns {', '.join(_COLUMNS)} and, if known, "
                    f"{_HEIGHT}, with numbers in mm, got {error}"
                ) from None
        return cls(found)

    def check(self, names: Sequence[str], limit_mm: float) -> None:
        """Check that enough of the photographed parts were measured, and enough bent pins among them.

        Args:
            names: names of the reference's parts that have photographs and were located.
            limit_mm: limit of true position.

        Raises:
            InputError: fewer than 8 parts, or fewer than 20 pins displaced by at least half of the limit.
        """
        bent = sum(
            2.0 * math.hypot(*values[:2]) >= _SHARE * limit_mm
            for name in names
            for values in self.measures[name].values()
        )
        if len(names) < FEWEST_PARTS or bent < _BENT:
            raise InputError(
                f"--reference: expected at least {FEWEST_PARTS} photographed and located parts with {_BENT} pins of a "
                f"true position of {_SHARE * limit_mm:g} mm or more, as only bent pins show that displacements are "
                f"measured in full, got {len(names)} parts with {bent} such pins"
            )


def corrected(reference: Reference, parts: Mapping[str, Mapping[str, MeasuredPin]]) -> tuple[float, np.ndarray]:
    """Compare a gauge's measures with a reference's.

    Args:
        reference: the reference's measures.
        parts: the gauge's measures by part and address.

    Returns:
        The slope of the gauge's dx and dy over the reference's, 0.9 to 1.1; and factors (3,) on the uncertainties after
        the division by this slope. The factors are the upper 95 % bounds over resamples of the parts, so that few
        parts do not make U too small. An axis with fewer than 40 measures keeps a factor of 1.
    """
    sums = np.zeros(2)
    for name, pins in parts.items():
        for address, pin in pins.items():
            true = reference.measures[name].get(address)
            if true is not None and pin.determined[:2].all() and pin.present > _THERE:
                sums += np.array([true[:2] @ pin.offsets_mm[:2], true[:2] @ true[:2]]) / np.trace(
                    pin.covariance[:2, :2]
                )
    slope = float(np.clip(sums[0] / sums[1], *_SLOPES)) if sums[1] > 0 else 1.0
    by = np.array([slope, slope, 1.0])
    sizes = []
    for name, pins in parts.items():
        rows = []
        for address, pin in pins.items():
            true = reference.measures[name].get(address)
            if true is not None and pin.present > _THERE:
                off = np.abs(pin.offsets_mm / by - true) / (np.sqrt(np.diag(pin.covariance)) / by)
                rows.append(np.where(pin.determined, off, np.nan))
        sizes.append(np.array(rows).reshape(-1, 3))
    whole = np.concatenate(sizes)
    enough = np.isfinite(whole).sum(axis=0) >= FEWEST
    drawn = np.random.default_rng(0).integers(len(sizes), size=(_RESAMPLES, len(sizes)))
    found = [by_axis(np.concatenate([sizes[index] for index in each])) for each in drawn]
    return slope, np.where(enough, np.quantile(found, _QUANTILE, axis=0), 1.0)
