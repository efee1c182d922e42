"""Calibrate the gauge's uncertainty: find factors with which 95 % of the errors on validation lie within U (k = 2).

The limits beyond which a part counts as not located are learned from the same pictures.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from generator.locating.fit import FitLimits
from trainer.gauge.finder import TorchFinder
from trainer.gauge.measuring import AXES, Capture, Measured, captures_of, measure_captures, some_of, table_of
from trainer.gauge.network import GaugeNetwork
from trainer.gauge.picture import GaugeData
from trainer.gauge.run import Uncertainty

COVERED = 0.95
# 95 % of a standard normal variable lie within this, and of the distance of two.
_ONE, _TWO = 1.96, 2.4477
_LEAST, _MOST = 0.3, 20.0
# Captures of one view and of all views used here, at most.
_CAPTURES = 60


def learn_uncertainty(network: GaugeNetwork, data: GaugeData, split: str = "validation") -> Uncertainty:
    """Find the factors on standard deviations, and the limits beyond which a part counts as not located.

    They are learned from at most 120 captures of `split`, on which the network was not trained.
    """
    pictures = data.splits[split]
    together = some_of(captures_of(pictures), _CAPTURES)
    has_several = any(len(each.pictures) > 1 for each in together)
    alone = some_of([Capture((each,)) for each in pictures], _CAPTURES) if has_several else []
    measured = measure_captures([*together, *alone], data, TorchFinder(network))
    edge = _factor(_pose_errors(measured), _ONE)
    tip, foot = (_factor(each, _TWO) for each in _point_errors(measured))
    found = Uncertainty(tip, foot, edge)
    measured = measure_captures([*together, *alone], data, TorchFinder(network, found.scales))
    fit = FitLimits.of([each for one in measured for each in one.fits.values()])
    several, single = measured[: len(together)], measured[len(together) :] or measured
    aside, height = _factors_in_mm(several, data)
    aside_alone, height_alone = _factors_in_mm(single, data)
    return replace(found, aside=aside, height=height, aside_alone=aside_alone, height_alone=height_alone, **asdict(fit))


def _factors_in_mm(measured: Sequence[Measured], data: GaugeData) -> tuple[float, float]:
    """The factors on the standard deviations of dx and dy, and of the height, by which U (k = 2) covers 95 %."""
    table = table_of(measured, data)
    table = table[table.there]
    dx, dy, height = (
        (np.abs(table[f"found_{axis}"] - table[f"true_{axis}"]) / table[f"sigma_{axis}"])[table[f"determined_{axis}"]]
        for axis in AXES
    )
    return _factor(np.concatenate([dx, dy]), 2.0), _factor(np.asarray(height), 2.0)


def _factor(sizes: np.ndarray, covered: float) -> float:
    """The factor by which 95 % of errors, in standard deviations, lie within `covered`; 1 without errors."""
    sizes = sizes[np.isfinite(sizes)]
    return float(np.clip(np.quantile(sizes, COVERED) / covered, _LEAST, _MOST)) if len(sizes) else 1.0


def _pose_errors(measured: Sequence[Measured]) -> np.ndarray:
    """Errors of the part's place along X and Y, in stated standard deviations."""
    found = []
    for one in measured:
        if one.pose is not None:
            off = one.pose.matrix[:2, 3] - one.capture.pictures[0].pose[:2, 3]
            found.append(np.abs(off) / np.sqrt(np.diag(one.pose.covariance)[3:5]))
    return np.concatenate(found) if found else np.zeros(0)


def _point_errors(measured: Sequence[Measured]) -> tuple[np.ndarray, np.ndarray]:
    """Distances of found from true tips and feet, in stated standard deviations, in single pictures."""
    found: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for one in measured:
        for picture, seen in zip(one.capture.pictures, one.seen, strict=bool(one.seen)):
            there = np.flatnonzero(picture.present)
            for end in (0, 1):
                off = seen.found.points[there, end] - picture.points[there, end]
                inverse = np.linalg.inv(seen.found.covariances[there, end])
                found[end].append(np.sqrt(np.einsum("ni,nij,nj->n", off, inverse, off)))
    first, second = (np.concatenate(each) if each else np.zeros(0) for each in found)
    return first, second
