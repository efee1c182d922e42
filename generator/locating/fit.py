"""How well the pose found for a part fits the points found in each picture, and the limits of this fit.

A part counts as not located if its pose fits some picture worse than a limit allows, as in pictures of another part, or
of only half of the part. The limits are learned from a gauge's validation pictures (`generator.verdict.tails`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from generator.locating.pose import OUTLIER, Points, Pose, residuals, small_motion
from generator.verdict.tails import upper_limit

# A part may lie beyond its scene's stated half ranges of placing by this factor, and by this many standard deviations.
_RANGE_MARGIN, _DEVIATIONS = 1.3, 3.0
# The learned limit of inliers allows at least this share of outliers: two of 16 points.
_OUTLIERS = 0.15
_MOTIONS = {
    "tilt_deg": ("tilt about X", "tilt about Y"),
    "rotation_deg": ("rotation",),
    "shift_mm": ("shift along X", "shift along Y"),
    "distance_mm": ("height",),
}


@dataclass(frozen=True)
class Fit:
    """How well the points found in one view fit the part's pose.

    The distance of a found point is measured from the pixel to which the pose projects the point, and divided by the
    point's standard deviation.

    Attributes:
        residual: root mean square of the distances; a distance above OUTLIER (3.03) counts as OUTLIER.
        inliers: share of the points with a distance of at most OUTLIER, 0 to 1.
        sigma_px: median of the points' standard deviations, px. Each is taken in the direction in which it is smallest:
            for a point on an edge, across the edge.
    """

    residual: float
    inliers: float
    sigma_px: float


@dataclass(frozen=True)
class FitLimits:
    """Limits of a part's `Fit`: the largest `residual`, the smallest `inliers`, the largest `sigma_px` allowed.

    With the default values, every part counts as located.
    """

    residual: float = OUTLIER
    inliers: float = 0.0
    sigma_px: float = 1e6

    @classmethod
    def of(cls, fits: Sequence[Fit]) -> FitLimits:
        """Learn the limits from fits of parts that were located rightly; fewer than 3 fits give the defaults."""
        if len(fits) < 3:
            return cls()
        residual, inliers, sigma = np.array([(each.residual, each.inliers, each.sigma_px) for each in fits]).T
        return cls(
            residual=min(float(np.exp(upper_limit(np.log(residual + 1e-6), 0.1))), OUTLIER),
            inliers=max(-upper_limit(-inliers, _OUTLIERS), 0.0),
            sigma_px=float(np.exp(upper_limit(np.log(sigma), 0.3))),
        )

    def reasons(self, fits: Mapping[str, Fit]) -> list[str]:
        """Return a sentence for each view whose entry in `fits` is beyond a limit; empty if the part is located."""
        found = []
        for view, fit in fits.items():
            times = {
                "misfit": fit.residual / self.residual if self.residual else math.inf,
                "share of points off their places": (1.0 - fit.inliers) / max(1.0 - self.inliers, 1e-6),
                "uncertainty": fit.sigma_px / self.sigma_px if self.sigma_px else math.inf,
            }
            what = max(times, key=lambda name: times[name])
            if fit.residual > self.residual or fit.inliers < self.inliers or fit.sigma_px > self.sigma_px:
                most = f"{what} {max(times[what], 1.01):.2f} times the limit"
                found.append(f"not located: the part's edges and pins do not fit view {view} ({most})")
        return found


def fit_of(points: Points, pose: Pose) -> Fit:
    """Compute how well the points found in one view fit the pose of a part."""
    sizes = residuals(points, pose.matrix)
    sigmas = np.sqrt(np.linalg.eigvalsh(points.covariances)[:, 0])
    return Fit(
        residual=float(np.sqrt(np.mean(np.square(np.minimum(sizes, OUTLIER))))),
        inliers=float(np.mean(sizes <= OUTLIER)),
        sigma_px=float(np.median(sigmas)),
    )


def beyond_placing(pose: Pose, placing: Mapping[str, float] | None) -> list[str]:
    """Return a sentence "not located: ..." for each shift or turn of a part that is larger than its scene allows.

    Args:
        pose: the part's pose on the station.
        placing: the scene's largest shifts (mm) and turns (degrees) to either side, by name, from connectors.json. A
            part may exceed them by 30 % and three standard deviations of its pose. None: any are allowed.
    """
    if placing is None:
        return []
    moved, sigmas = small_motion(pose.matrix), np.sqrt(np.diag(pose.covariance))
    order = [(name, one) for name in ("tilt_deg", "rotation_deg", "shift_mm", "distance_mm") for one in _MOTIONS[name]]
    found = []
    for (name, said), value, sigma in zip(order, moved, sigmas, strict=True):
        if name.endswith("_deg"):
            value, sigma = np.degrees(value), np.degrees(sigma)
        limit = _RANGE_MARGIN * placing[name] + _DEVIATIONS * sigma
        if abs(value) > limit:
            unit = "°" if name.endswith("_deg") else " mm"
            allowed = f"±{placing[name]:g}{unit}"
            found.append(f"not located: {said} of the part {value:+.2f}{unit}, its scene allows {allowed}")
    return found
