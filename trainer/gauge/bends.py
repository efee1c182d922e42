"""How much the shapes of bends differ that a dataset shows, by its truth alone.

A gauge sees where a bent tip is, but not how far the bend has lowered it: an S-bend lowers it more than an arc. So U
of the retraction contains a standard deviation of this depth, which is learned here from the bends of the training.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from generator.locating.factors import COVERED, FEWEST
from generator.locating.measure import SAG, SAG_DEVIATION
from generator.locating.pose import Pose
from generator.locating.triangulation import ViewSights, triangulate
from generator.verdict.conformity import COVERAGE_FACTOR
from trainer.gauge.measuring import Capture, captures_of, some_of
from trainer.gauge.picture import GaugeData, Picture

# Captures of parts whose bends are used here, at most.
_CAPTURES = 300
# Bends that lower the tip by less, mm, hardly count in U, and show little of their shape.
_LEAST_MM = 0.02
# Variances of true points in pictures, px^2, and of tips whose dx and dy, or feet whose height is stated, mm^2.
_PIXEL, _STATED, _OPEN = 1e-6, 1e-6, 4.0
# Tips whose height the pictures show less surely, mm, do not count: a view from above shows hardly any height.
_SURE_MM = 0.002


def sag_deviation(data: GaugeData, pictures: Iterable[Picture]) -> float:
    """Return the standard deviation of how far bends lower tips (`Correction.sag`), by which U (k = 2) covers 95 %.

    It is at least that of arcs and kinks, which also holds if fewer than 40 bends are shown.

    Args:
        data: drawings and queries of the pictures' connectors.
        pictures: pictures with their truth; at most 300 captures, spread evenly, are used.
    """
    found = [_shares(one, data) for one in some_of(captures_of(pictures), _CAPTURES)]
    shares = np.concatenate(found) if found else np.zeros(0)
    if len(shares) < FEWEST:
        return SAG_DEVIATION
    return max(SAG_DEVIATION, float(np.quantile(np.abs(shares - SAG), COVERED)) / COVERAGE_FACTOR)


def _shares(one: Capture, data: GaugeData) -> np.ndarray:
    """How far bends lower the tips of a part's bent pins, (n,), as shares of bend^2 / length."""
    first = one.pictures[0]
    queries = data.queries[first.key]
    stated = {
        index: (each.dx_mm, each.dy_mm or 0.0, -(each.retraction_mm or 0.0))
        for index, each in enumerate(first.objects)
        if first.present[index] and each is not None and each.dx_mm is not None
    }
    pins = list(stated)
    if not pins:
        return np.zeros(0)
    nominal, floor = queries.marks[pins], queries.besides[pins]
    straight = nominal + np.array(list(stated.values())).reshape(-1, 3)
    tips, sure = _places(one, 0, pins, straight, (_STATED, _STATED, _OPEN))
    feet, _ = _places(one, 1, pins, floor, (_OPEN, _OPEN, _STATED))
    scale = np.square(tips - feet)[:, :2].sum(axis=1) / (nominal - floor)[:, 2]
    bent = sure & (SAG * scale >= _LEAST_MM)
    shares: np.ndarray = (straight - tips)[bent, 2] / scale[bent]
    return shares


def _places(
    one: Capture, end: int, pins: Sequence[int], means: np.ndarray, variances: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """True places (n, 3) of tips (`end` 0) or feet (1), mm, and whether their heights are sure."""
    spread = np.tile(_PIXEL * np.eye(2), (len(pins), 1, 1))
    sights = [ViewSights(each.camera, each.points[pins, end], spread) for each in one.pictures]
    found = triangulate(sights, Pose(one.pictures[0].pose, np.zeros((6, 6)), 0.0, 1.0), means, np.diag(variances))
    places = np.array([each.mean for each in found]).reshape(-1, 3)
    return places, np.array([each.covariance[2, 2] <= _SURE_MM**2 for each in found], bool)
