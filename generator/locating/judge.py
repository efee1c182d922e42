"""Judge the measured pins of a part: a decision on each characteristic of each pin, and the verdict on the part.

The characteristics are presence, true position and height.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from blender_scripts.contract.tolerance import Limits, Tolerance
from generator.locating.landmarks import Drawing
from generator.locating.measure import MeasuredPin
from generator.verdict.conformity import (
    COVERAGE_FACTOR,
    Decision,
    decide,
    decide_height,
    decide_true_position,
    part_verdict,
)
from generator.verdict.envelope import Verdict

PRESENCE, TRUE_POSITION, HEIGHT = CHARACTERISTICS = ("presence", "true_position", "height")
# A tip counts as not seen if its standard deviation, px, is above this in every view.
NOT_SEEN_PX = 3.0


@dataclass(frozen=True)
class JudgedPin:
    """The decisions on one pin.

    Attributes:
        decisions: the decision on each characteristic, by its name in CHARACTERISTICS; for a missing pin on presence.
        kind: kind of defect: `bent`, `retracted`, `protruding` or `missing`; `ok` if no judged characteristic is
            nonconform. A pin that is bent, and too low or too high, is `retracted` or `protruding`; one that is not
            there is `missing`, even if presence is not judged.
    """

    decisions: Mapping[str, Decision]
    kind: str


def judge_pin(pin: MeasuredPin, limits: Limits, judged: Collection[str] = CHARACTERISTICS) -> JudgedPin:
    """Decide on presence, true position and height of one pin, for a missing one on presence alone; name its defect.

    `judged` are the characteristics of which a defect is named.
    """
    absent = 1.0 - pin.present
    presence = decide(absent, absent)
    if presence is Decision.NONCONFORM:
        return JudgedPin({PRESENCE: presence}, "missing")
    found = {PRESENCE: presence, **_of_tip(pin, limits)}
    kind = "ok"
    if TRUE_POSITION in judged and found[TRUE_POSITION] is Decision.NONCONFORM:
        kind = "bent"
    if HEIGHT in judged and found[HEIGHT] is Decision.NONCONFORM:
        kind = "retracted" if pin.offsets_mm[2] > 0 else "protruding"
    return JudgedPin(found, kind)


def _of_tip(pin: MeasuredPin, limits: Limits) -> dict[str, Decision]:
    if pin.sigma_px > NOT_SEEN_PX:
        return dict.fromkeys((TRUE_POSITION, HEIGHT), Decision.NOT_SEEN)
    place = Decision.UNDETERMINED
    if pin.determined[:2].all():
        place = decide_true_position(pin.offsets_mm[:2], pin.covariance[:2, :2], limits.true_position_mm)
    height = Decision.UNDETERMINED
    if pin.determined[2]:
        u = COVERAGE_FACTOR * math.sqrt(pin.covariance[2, 2])
        height = decide_height(float(pin.offsets_mm[2]), u, limits.retraction_mm, limits.protrusion_mm)
    return {TRUE_POSITION: place, HEIGHT: height}


def judge_part(
    drawing: Drawing, pins: Sequence[MeasuredPin], tolerance: Tolerance, judged: Collection[str] = CHARACTERISTICS
) -> tuple[Verdict, list[str], list[dict[str, Any]]]:
    """Judge a part by its measured pins.

    Args:
        drawing: drawing of the part's connector.
        pins: the measured pins, in the order of the drawing's positions.
        tolerance: limits in mm.
        judged: characteristics that the verdict covers; the reasons name the others of CHARACTERISTICS.

    Returns:
        The verdict on the part, the reasons for it, and an entry for each pin (see `Envelope.pins`) with its decisions,
        and its measures with expanded uncertainties (k = 2) in mm. A measure that the views do not determine is None.
    """
    decisions, entries = {}, []
    for position, pin in zip(drawing.positions, pins, strict=True):
        one = judge_pin(pin, tolerance.limits(position.address), judged)
        decisions[position.address] = one.decisions
        entries.append(_entry(position.address, str(getattr(position, "cavity", "")), pin, one, judged))
    left = [name for name in CHARACTERISTICS if name not in judged]
    verdict, reasons = part_verdict(decisions, judged, left)
    return verdict, reasons, entries


def _entry(address: str, cavity: str, pin: MeasuredPin, one: JudgedPin, judged: Collection[str]) -> dict[str, Any]:
    """A pin's entry: measures and expanded uncertainties (k = 2) in mm; null where the views do not determine one."""
    shown = [each for name, each in one.decisions.items() if name in judged]
    worst = next((each for each in _ORDER if each in shown), Decision.UNDETERMINED)
    entry: dict[str, Any] = {
        "address": address,
        "cavity": cavity,
        "decision": str(worst),
        "kind": one.kind,
        "decisions": {name: str(each) for name, each in one.decisions.items()},
        "present": round(pin.present, 4),
    }
    if one.kind == "missing":
        return entry
    u = COVERAGE_FACTOR * np.sqrt(np.diag(pin.covariance))
    for index, name in enumerate(("dx", "dy", "retraction")):
        is_known = bool(pin.determined[index]) and pin.sigma_px <= NOT_SEEN_PX
        entry[f"{name}_mm"] = round(float(pin.offsets_mm[index]), 4) if is_known else None
        entry[f"u_{name}_mm"] = round(float(u[index]), 4) if is_known else None
    is_placed = entry["dx_mm"] is not None and entry["dy_mm"] is not None
    entry["true_position_mm"] = round(2.0 * float(np.hypot(*pin.offsets_mm[:2])), 4) if is_placed else None
    entry["u_true_position_mm"] = round(_u_true_position(pin), 4) if is_placed else None
    entry["bend_mm"] = round(pin.bend_mm, 4) if is_placed else None
    return entry


def _u_true_position(pin: MeasuredPin) -> float:
    """Expanded uncertainty of the true position, along the offset; the decision uses the whole covariance."""
    offset, covariance = pin.offsets_mm[:2], pin.covariance[:2, :2]
    size = float(np.hypot(*offset))
    if size < 1e-6:
        return 2.0 * COVERAGE_FACTOR * float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]))
    return 2.0 * COVERAGE_FACTOR * float(np.sqrt(offset @ covariance @ offset)) / size


_ORDER = (Decision.NONCONFORM, Decision.NOT_SEEN, Decision.UNDETERMINED, Decision.UNDECIDED, Decision.CONFORM)
