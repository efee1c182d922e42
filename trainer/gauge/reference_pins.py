"""Tables of pins and parts that a reference measured, with what a gauge measured and decided beside it.

A gauge's measures and verdicts are those of `trainer.predict`, taken from the entries of its predictions.json.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from blender_scripts.contract.tolerance import Limits, Tolerance
from generator.io.wording import some_of
from generator.locating.judge import HEIGHT, PRESENCE, TRUE_POSITION
from generator.verdict.conformity import Decision, part_verdict
from generator.verdict.envelope import Verdict
from trainer.gauge import tip_height
from trainer.gauge.reference import Reference

QUANTITIES = ("dx", "dy", "height", "true_position")
# The truth of a pin or part of which the reference states too little.
UNKNOWN = "unknown"
# True positions beyond so many times their limit are probably wrong numbers in the file.
_FAR = 5
# Why a pin is not compared, beside the decisions NOT_SEEN and UNDETERMINED.
INVALID, MISSING, NOT_STATED = "part INVALID", "called missing", "not in the reference"
ABSENT = "missing by the reference"
NOT_COMPARED = (INVALID, MISSING, str(Decision.NOT_SEEN), str(Decision.UNDETERMINED), NOT_STATED, ABSENT)


def pins_of(
    documents: Sequence[Mapping[str, Any]],
    reference: Reference,
    tolerance: Tolerance,
    lengths_mm: Mapping[str, float],
    judged: Collection[str],
    sag: float,
) -> pd.DataFrame:
    """Make a table with a row for each pin that the reference names.

    Args:
        documents: entries of predictions.json, one for each part of the reference.
        reference: the reference's measures, as its file states them.
        tolerance: limits in mm.
        lengths_mm: height of each position's nominal tip above its foot, by address.
        judged: characteristics that verdicts cover.
        sag: the gauge's `Factors.sag`.

    Returns:
        Columns `part`, `address`; `verdict` of the part; `present`, by the reference "yes" or "no" (missing); `truth`,
        by the reference and the tolerance OK, NG (as every missing pin) or "unknown" (height is judged, but not
        stated); `decision` on the pin as a verdict; `presence`, the decision on presence, "" if the part is INVALID;
        `probability`, of the gauge that there is a pin (NaN: INVALID); `u_reference`, mm (NaN: not stated). For each
        quantity Q of dx, dy, height (of the tip, over nominal) and true_position, in mm: `reference_Q`, `measured_Q`
        and its expanded uncertainty `u_Q` (k = 2; see `tip_height` for that of height); `en_Q`, |difference| divided by
        the root of the sum of the squares of both uncertainties; `not_compared_Q`, why it is not compared, or "".
    """
    terminals = reference.of_terminals(lengths_mm).measures
    rows = []
    for document in documents:
        name = Path(document["part"]).name
        entries = {each["address"]: each for each in document["pins"]}
        for address, values in reference.measures[name].items():
            entry = entries.get(address)
            is_missing = (name, address) in reference.missing
            u = reference.u_mm.get(name, {}).get(address, math.nan)
            true_position = 2.0 * float(np.hypot(*values[:2]))
            stated = (*values[:2].tolist(), -float(values[2]), true_position)
            retraction = float(terminals[name][address][2])
            truth = _truth(true_position, retraction, tolerance.limits(address), judged)
            rows.append(
                {
                    "part": name,
                    "address": address,
                    "verdict": document["verdict"],
                    "present": "no" if is_missing else "yes",
                    "truth": str(Verdict.NG) if is_missing else truth,
                    "decision": str(_decided(entry, judged)),
                    "presence": "" if entry is None else str(entry["decisions"][PRESENCE]),
                    "probability": math.nan if entry is None else float(entry["present"]),
                    "u_reference": u,
                    **_compared(dict(zip(QUANTITIES, stated, strict=True)), u, entry, lengths_mm[address], sag),
                }
            )
    pins = pd.DataFrame(rows)
    pins.loc[pins.present == "no", [f"not_compared_{name}" for name in QUANTITIES]] = ABSENT
    return pins


def doubtful(pins: pd.DataFrame, tolerance: Tolerance) -> list[str]:
    """Return warnings on values of the reference that prove nothing, or are probably no mm.

    Args:
        pins: the table that `pins_of` returns.
        tolerance: limits in mm.
    """
    # A limit of true position is a diameter: dx and dy may be half as large.
    limits = 0.5 * pins.address.map(lambda address: tolerance.limits(address).true_position_mm)
    found = []
    if large := int((pins.u_reference > limits).sum()):
        found.append(
            f"u_mm of {large} of the {len(pins)} pins is larger than half of their limit of true position, so that "
            "hardly any difference is beyond U: is it in mm?"
        )
    far = pins.loc[pins.reference_true_position > _FAR * 2.0 * limits]
    if len(far):
        named = [f"{pin.part} {pin.address}" for pin in far.itertuples()]
        found.append(
            f"true position by the reference is more than {_FAR} times its limit for {some_of(named)}: are dx_mm and "
            "dy_mm in mm, with decimal points?"
        )
    return found


def parts_of(
    pins: pd.DataFrame, documents: Sequence[Mapping[str, Any]], addresses: Collection[str]
) -> list[dict[str, Any]]:
    """Return for each part its name, number of named pins, truth, verdict and the verdict's reasons.

    The truth is NG if a named pin is NG; OK if all `addresses` are named and all these pins are OK; else unknown.
    """
    found = []
    for document in documents:
        name = Path(document["part"]).name
        truths = pins.truth[pins.part == name]
        truth = str(Verdict.OK) if (truths == Verdict.OK).all() and len(truths) == len(addresses) else UNKNOWN
        found.append(
            {
                "part": name,
                "pins": len(truths),
                "truth": str(Verdict.NG) if (truths == Verdict.NG).any() else truth,
                "verdict": str(document["verdict"]),
                "reasons": list(document["reasons"]),
            }
        )
    return found


def _truth(true_position: float, retraction: float, limits: Limits, judged: Collection[str]) -> str:
    if TRUE_POSITION in judged and true_position > limits.true_position_mm:
        return str(Verdict.NG)
    if HEIGHT not in judged:
        return str(Verdict.OK)
    if math.isnan(retraction):
        return UNKNOWN
    return str(Verdict.NG if retraction > limits.retraction_mm or -retraction > limits.protrusion_mm else Verdict.OK)


def _decided(entry: Mapping[str, Any] | None, judged: Collection[str]) -> Verdict:
    """The decisions on a pin as one verdict; `entry`: of predictions.json, None if the part is INVALID."""
    if entry is None:
        return Verdict.INVALID
    decisions = {name: Decision(each) for name, each in entry["decisions"].items()}
    return part_verdict({entry["address"]: decisions}, judged)[0]


def _compared(
    stated: Mapping[str, float], u_reference: float, entry: Mapping[str, Any] | None, length_mm: float, sag: float
) -> dict[str, Any]:
    """The columns on each quantity of a pin."""
    found: dict[str, Any] = {}
    for name, value in stated.items():
        measured, u = _measured(name, entry, length_mm, sag)
        # True position is twice a distance, and so is its uncertainty.
        own = (2.0 if name == TRUE_POSITION else 1.0) * (0.0 if math.isnan(u_reference) else u_reference)
        why = "" if math.isfinite(measured) else _why_not(name, entry)
        found |= {
            f"reference_{name}": value,
            f"measured_{name}": measured,
            f"u_{name}": u,
            f"en_{name}": abs(measured - value) / (math.hypot(u, own) or tip_height.LEAST_MM)
            if math.isfinite(measured)
            else math.nan,
            f"not_compared_{name}": NOT_STATED if math.isnan(value) else why,
        }
    return found


def _measured(name: str, entry: Mapping[str, Any] | None, length_mm: float, sag: float) -> tuple[float, float]:
    """A quantity's measure and expanded uncertainty, mm; NaN if there is none."""
    if entry is None:
        return math.nan, math.nan
    if name == HEIGHT:
        return tip_height.of_entry(entry, length_mm, sag)
    value, u = entry.get(f"{name}_mm"), entry.get(f"u_{name}_mm")
    return (math.nan, math.nan) if value is None or u is None else (float(value), float(u))


def _why_not(name: str, entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return INVALID
    decision = entry["decisions"].get(HEIGHT if name == HEIGHT else TRUE_POSITION)
    if decision is None:
        return MISSING
    return str(Decision.NOT_SEEN if decision == Decision.NOT_SEEN else Decision.UNDETERMINED)
