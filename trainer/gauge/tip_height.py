"""The height of a pin's tip, as a reference measures it, from what a gauge states: the retraction of the terminal.

A terminal keeps its length, so that a bend lowers its tip. The retraction is the tip's depth without what the bend
lowers it, and its uncertainty covers that the shape of the bend is not known (`generator.locating.measure`). No camera
measures that shape, and no reference: the uncertainty of the tip's height does not contain it.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from generator.locating.measure import MeasuredPin, sag_deviation_mm, sag_mm
from generator.verdict.conformity import COVERAGE_FACTOR

# The least uncertainty of a height, mm: what rounding to four decimals leaves of that of a pin bent very far.
LEAST_MM = 0.002


def of_entry(entry: Mapping[str, Any], length_mm: float, sag: float) -> tuple[float, float]:
    """Return the height of a tip over nominal and its expanded uncertainty (k = 2), mm; NaN if they are not known.

    Args:
        entry: a pin's entry in predictions.json.
        length_mm: height of the nominal tip above the foot.
        sag: the gauge's `Factors.sag`.
    """
    retraction, u, bend = (entry.get(name) for name in ("retraction_mm", "u_retraction_mm", "bend_mm"))
    if retraction is None or u is None or bend is None:
        return math.nan, math.nan
    of_shape = COVERAGE_FACTOR * sag_deviation_mm(bend, length_mm, sag)
    return -retraction - sag_mm(bend, length_mm), math.sqrt(max(u**2 - of_shape**2, LEAST_MM**2))


def of_pin(pin: MeasuredPin, length_mm: float, sag: float) -> MeasuredPin:
    """Return a pin with the depth of its tip below nominal in place of the retraction, also in its covariance.

    Args:
        pin: what the gauge measured.
        length_mm: height of the nominal tip above the foot.
        sag: the gauge's `Factors.sag`.
    """
    offsets, covariance = pin.offsets_mm.copy(), pin.covariance.copy()
    offsets[2] += sag_mm(pin.bend_mm, length_mm)
    of_shape = sag_deviation_mm(pin.bend_mm, length_mm, sag)
    covariance[2, 2] = max(covariance[2, 2] - of_shape**2, (LEAST_MM / COVERAGE_FACTOR) ** 2)
    return replace(pin, offsets_mm=offsets, covariance=covariance)
