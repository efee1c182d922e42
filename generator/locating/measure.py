"""Measure the pins of a located part: offsets and height in mm in the datum's axes, each with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from generator.locating.landmarks import Queries
from generator.locating.locate import Sighting
from generator.locating.pose import Pose
from generator.locating.triangulation import Place, ViewSights, triangulate

# Standard deviations of a tip's and a foot's place about the drawing's, mm. Those of a tip are wide, so that the views
# decide; the floor of the cavity, at which the foot is seen, is known to 0.1 mm.
_ASIDE_MM, _HEIGHT_MM, _FOOT_MM = 2.0, 1.0, 0.1
# A bend lowers the tip by this share of bend^2 / length: 1/2 for a straight pin that leans, 2/3 for a uniform arc; its
# standard deviation over such shapes. S-bends, which are rare, lower it more: 1.4 times bend^2 / length on average. A
# gauge whose training shows S-bends has a larger standard deviation (`Correction.sag`).
SAG, SAG_DEVIATION = 0.65, 0.15
# A part whose views disagree this many times as much as stated covariances let expect has a larger uncertainty.
_DISAGREEMENT = 1.2
_NORMAL_95 = 1.645


@dataclass(frozen=True)
class MeasuredPin:
    """The measures of one pin position.

    Attributes:
        present: probability that there is a pin, 0 to 1.
        sigma_px: largest standard deviation of the tip in any direction, px, in the view that shows the tip best.
        offsets_mm: (3,) dx, dy and retraction. dx and dy lead from the tip's nominal place to the tip, along X and Y.
            Retraction is how far the terminal sits too low: the tip's depth below nominal, minus the depth due to
            bending.
        covariance: (3, 3) covariance of dx, dy and retraction, mm^2.
        determined: (3,) bool, whether the views determine dx, dy and retraction.
        bend_mm: distance from the pin's foot to its tip, projected onto the plane of X and Y.
    """

    present: float
    sigma_px: float
    offsets_mm: np.ndarray
    covariance: np.ndarray
    determined: np.ndarray
    bend_mm: float


@dataclass(frozen=True)
class Correction:
    """How the measures of a part are corrected by what validation showed, see `generator.locating.factors`.

    Attributes:
        factors: (3,) factors by which the standard deviations of dx, dy and retraction are multiplied.
        slope: number by which dx, dy and their standard deviations are divided.
        bias: (3,) what is then subtracted from dx, dy and retraction, mm.
        sag: standard deviation of how far a bend lowers the tip, as a share of bend^2 / length.
    """

    factors: np.ndarray = field(default_factory=lambda: np.ones(3))
    slope: float = 1.0
    bias: np.ndarray = field(default_factory=lambda: np.zeros(3))
    sag: float = SAG_DEVIATION


NOT_CORRECTED = Correction()


def measure(
    seen: Sequence[Sighting], queries: Queries, pose: Pose, correction: Correction = NOT_CORRECTED
) -> list[MeasuredPin]:
    """Measure every pin position of a part, also one without a pin; returns them in the drawing's order.

    Args:
        seen: the network's answers for all pins, one `Sighting` per view; the part was not moved between the views.
        queries: queries of the part's connector.
        pose: pose of the part on the station.
        correction: how the measures are corrected by what validation showed.
    """
    pins = queries.pins
    tips = _places(0, seen, pose, queries.marks[:pins], _variances(_ASIDE_MM, _HEIGHT_MM))
    tips = [_stretched(tip, nominal, correction.slope) for tip, nominal in zip(tips, queries.marks, strict=False)]
    feet = _places(1, seen, pose, queries.besides[:pins], _variances(_ASIDE_MM, _FOOT_MM))
    present = np.array([_present(index, seen) for index in range(pins)])
    views = np.sum([each.sees(0)[:pins] for each in seen], axis=0)
    larger = larger_variance(np.array([each.disagreement for each in tips]), present > 0.5, views)
    return [
        _pin(float(present[index]), float(larger[index]), index, seen, queries, tips[index], feet[index], correction)
        for index in range(pins)
    ]


def sag_mm(bend_mm: float, length_mm: float) -> float:
    """Return how far a bend lowers the tip of a pin that keeps its length, mm.

    Args:
        bend_mm: distance from the pin's foot to its tip, projected onto the plane of X and Y.
        length_mm: height of the nominal tip above the foot.
    """
    return SAG * bend_mm**2 / length_mm


def sag_deviation_mm(bend_mm: float, length_mm: float, share: float) -> float:
    """Return the standard deviation of what `sag_mm` returns, mm, as the shape of the bend is not known.

    It enters the uncertainty of the retraction, but not that of the tip's height.

    Args:
        bend_mm, length_mm: those of `sag_mm`.
        share: `Correction.sag`, a share of bend_mm^2 / length_mm.
    """
    return share * bend_mm**2 / length_mm


def larger_variance(disagreement: np.ndarray, there: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Return factors (n,), >= 1, for the variances of pins whose views contradict each other.

    In pictures unlike those of the training, the network's errors are larger than it states. The views of a pin then
    contradict each other, which shows in the chi-square of its tip. As with Birge's ratio, a pin's variance is
    multiplied by the larger of two numbers:

    - the median chi-square of the part's pins, divided by 1.2 times the expected median;
    - the chi-square of this pin, divided by the value that 95 % of good pins stay below.

    Args:
        disagreement: (n,) chi-squares of the pins' tips, see `triangulation.Place`.
        there: (n,) bool, which positions have a pin.
        views: (n,) number of views that show the pin; with one view, nothing can disagree.
    """
    compared = views > 1
    free = np.maximum(2 * views - 3, 1)
    ratios = np.where(compared, disagreement, 0.0) / free
    # Wilson and Hilferty's approximation of the quantiles of chi-square over its degrees of freedom.
    step = 2.0 / (9.0 * free)
    median, rare = (1.0 - step) ** 3, (1.0 - step + _NORMAL_95 * np.sqrt(step)) ** 3
    known = there & compared
    of_part = float(np.median((ratios / median)[known])) / _DISAGREEMENT if known.any() else 1.0
    larger: np.ndarray = np.maximum(max(1.0, of_part), ratios / rare)
    return larger


def _stretched(tip: Place, nominal: np.ndarray, slope: float) -> Place:
    """The place of a tip whose distance from its nominal place, along X and Y, is divided by `slope`."""
    by = np.diag([1.0 / slope, 1.0 / slope, 1.0])
    return replace(tip, mean=nominal + by @ (tip.mean - nominal), covariance=by @ tip.covariance @ by)


def _present(index: int, seen: Sequence[Sighting]) -> float:
    """Probability that there is a pin, from the views that show its tip; 0.5 if none does."""
    chances = np.clip([each.found.present[index] for each in seen if each.sees(0)[index]] or [0.5], 1e-6, 1.0 - 1e-6)
    return float(1.0 / (1.0 + np.exp(-np.mean(np.log(chances / (1.0 - chances))))))


def _pin(
    present: float,
    larger: float,
    index: int,
    seen: Sequence[Sighting],
    queries: Queries,
    tip: Place,
    foot: Place,
    correction: Correction,
) -> MeasuredPin:
    sigma = min(float(np.sqrt(np.linalg.eigvalsh(each.found.covariances[index, 0])[1])) for each in seen)
    length = float(queries.marks[index, 2] - queries.besides[index, 2])
    bend = float(np.linalg.norm(tip.mean[:2] - foot.mean[:2]))
    off = tip.mean - queries.marks[index]
    turn = np.diag([1.0, 1.0, -1.0])
    scale = np.diag(correction.factors)
    covariance = larger * scale @ turn @ tip.covariance @ turn @ scale
    covariance[2, 2] += sag_deviation_mm(bend, length, correction.sag) ** 2
    offsets = np.array([off[0], off[1], -off[2] - sag_mm(bend, length)]) - correction.bias
    return MeasuredPin(present, sigma, offsets, covariance, tip.determined, bend)


def _variances(aside: float, height: float) -> np.ndarray:
    return np.diag(np.square([aside, aside, height]))


def _places(end: int, seen: Sequence[Sighting], pose: Pose, means: np.ndarray, covariance: np.ndarray) -> list[Place]:
    sights = [ViewSights(each.view.camera, each.found.points[:, end], each.found.covariances[:, end]) for each in seen]
    return triangulate(sights, pose, means, covariance)
