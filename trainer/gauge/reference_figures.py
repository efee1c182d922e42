"""Figures of a gauge against a reference: slope, bias, errors, how often U holds, escapes and overkill."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from blender_scripts.contract.tolerance import Tolerance
from generator.locating.judge import HEIGHT, TRUE_POSITION
from generator.verdict.conformity import Decision
from generator.verdict.envelope import Verdict
from trainer.core import msa
from trainer.core.adaptation import FEWEST as FEWEST_PARTS
from trainer.core.intervals import DRAWS
from trainer.core.max_escape import parts_needed, upper_bound
from trainer.core.verdict_shares import verdict_shares
from trainer.gauge.coverage import coverage
from trainer.gauge.reference_pins import NOT_COMPARED, QUANTITIES, UNKNOWN

HARDLY = "not told: the reference's pins are hardly displaced"
# A share of escapes above this is little proof: it takes 59 NG parts.
_LITTLE = 0.05
_FEWEST_PINS = 3
_WORST = 12


def figures(pins: pd.DataFrame, name: str) -> dict[str, Any]:
    """Compare a gauge's measures of one quantity with the reference's values.

    Args:
        pins: table from `reference_pins.pins_of`.
        name: the quantity: dx, dy, height or true_position.

    Returns:
        `pins`, `parts`: numbers of compared pins and of their parts; `not_compared`: number of pins by the reason why
        they are not; `few`: a sentence if fewer than 8 parts were compared, else "". If any pin was compared, in mm:
        `rms`, root mean square of the differences (measured minus reference value); `bias`: their mean `value`, which
        is the line's at the mean reference value, and its 95 % `interval` by bootstrap over parts (None: one part);
        `slope` of measured over reference values, in the same form, with `at_zero`, the line's value there, or None
        and `slope_note` if the reference's values scatter less than the mean of U; `within`: share of differences
        within U (En at most 1), as from `coverage`; `largest`: `part`, `address`, `reference`, `measured`, `u` and
        `en` of the pin with the largest difference.
    """
    known = pins[pins[f"not_compared_{name}"] == ""]
    left = pins[f"not_compared_{name}"].value_counts()
    found: dict[str, Any] = {
        "pins": len(known),
        "parts": int(known.part.nunique()),
        "not_compared": {why: int(left[why]) for why in NOT_COMPARED if why in left},
    }
    found["few"] = f"shown by few parts: {found['parts']}" if 0 < found["parts"] < FEWEST_PARTS else ""
    if not len(known):
        return found
    true, measured = known[f"reference_{name}"].to_numpy(), known[f"measured_{name}"].to_numpy()
    off = measured - true
    slopes, biases = _drawn_lines(known.part, true, measured)
    found["rms"] = float(np.sqrt(np.mean(np.square(off))))
    found["bias"] = {"value": float(off.mean()), "interval": _interval(biases)}
    found["slope"] = None
    if len(known) >= _FEWEST_PINS and np.std(true) >= known[f"u_{name}"].mean():
        line = msa.linearity(true, measured)
        found["slope"] = {"value": 1.0 + line.slope, "interval": _interval(slopes), "at_zero": line.intercept}
    else:
        found["slope_note"] = HARDLY
    found["within"] = coverage(known.part, known[f"en_{name}"].to_numpy() <= 1.0)
    found["largest"] = _entry(known.loc[known.index[int(np.argmax(np.abs(off)))]], name)
    return found


def worst(pins: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the quantities of pins farthest beyond U, up to 12, the one with the largest En first.

    Each has `quantity` and the keys of `largest` in `figures`.
    """
    order = [
        (float(value), index, name)
        for name in QUANTITIES
        for index, value in pins.loc[pins[f"not_compared_{name}"] == "", f"en_{name}"].items()
    ]
    order.sort(key=lambda each: -each[0])
    return [{"quantity": name, **_entry(pins.loc[index], name)} for _, index, name in order[:_WORST]]


def decisions(
    pins: pd.DataFrame, parts: Sequence[Mapping[str, Any]], tolerance: Tolerance, covers: Collection[str]
) -> dict[str, Any]:
    """Compare verdicts with the truth by the reference and the tolerance, for pins and for parts.

    Args:
        pins: table from `reference_pins.pins_of`.
        parts: from `reference_pins.parts_of`.
        tolerance: limits in mm.
        covers: characteristics that verdicts cover.

    Returns:
        For `pins` and `parts`: `matrix`, the number of each verdict among OK and NG ones; `unknown`, the number of
        those of which the reference states too little; `escaped`, `overkilled`: sentences that name each NG one that
        was called OK, and the reverse. Only for parts, because errors are common to a part's pins: the shares from
        `verdict_shares`; `escape_bound`, the one-sided upper 95 % bound of the share of escapes; `proof`, a sentence on
        how much that proves.
    """
    judged = pd.DataFrame(parts)
    by_pin = _counted(pins, pins.decision)
    by_part = _counted(judged, judged.verdict)
    for key, truth, said, by in (
        ("escaped", Verdict.NG, Verdict.OK, "truth"),
        ("overkilled", Verdict.OK, Verdict.NG, "decision"),
    ):
        wrong = pins[(pins.truth == truth) & (pins.decision == said)]
        by_pin[key] = [_said(row, tolerance, covers) for _, row in wrong.iterrows()]
        names = judged.part[(judged.truth == truth) & (judged.verdict == said)]
        blamed = pins[pins[by] == Verdict.NG]
        by_part[key] = [_said_of_part(name, blamed[blamed.part == name], tolerance, covers) for name in names]
    known = judged[judged.truth != UNKNOWN]
    by_part |= verdict_shares((known.truth == Verdict.NG).to_numpy(bool), known.verdict.to_numpy(str))
    escapes, ng = by_part["escapes"]["count"], by_part["escapes"]["of"]
    by_part["escape_bound"] = upper_bound(escapes, ng)
    by_part["proof"] = _proof(escapes, ng, by_part["escape_bound"])
    return {"pins": by_pin, "parts": by_part}


def missing_pins(pins: pd.DataFrame) -> dict[str, Any]:
    """Return how a gauge decided on the presence of the pins that are missing by the reference.

    Args:
        pins: table from `reference_pins.pins_of`.

    Returns:
        `pins`, `parts`: numbers of missing pins and of their parts. Of these pins, the number that the gauge noticed as
        missing (`noticed`: nonconform on presence), on which it did not decide (`undecided`), that it took for present
        (`taken_for_present`: conform on presence), and that are in INVALID parts (`invalid`). `named`: sentences that
        name those taken for present, whatever their decision.
    """
    missing = pins[pins.present == "no"]
    is_noticed, is_taken = missing.presence == Decision.NONCONFORM, missing.presence == Decision.CONFORM
    is_invalid = missing.presence == ""
    return {
        "pins": len(missing),
        "parts": int(missing.part.nunique()),
        "noticed": int(is_noticed.sum()),
        "undecided": int((~(is_noticed | is_taken | is_invalid)).sum()),
        "taken_for_present": int(is_taken.sum()),
        "invalid": int(is_invalid.sum()),
        "named": [_said_of_missing(row) for _, row in missing[is_taken].iterrows()],
    }


def _drawn_lines(parts: pd.Series, true: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and mean difference (draws,) of resamples of whole parts; empty for one part."""
    _, index = np.unique(parts.to_numpy(str), return_inverse=True)
    count = int(index.max()) + 1
    if count < 2:
        return np.array([]), np.array([])
    middle = true.mean()
    x, y = true - middle, measured - middle
    sums = np.zeros((count, 5))
    np.add.at(sums, index, np.stack([np.ones(len(x)), x, y, x * x, x * y], axis=1))
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    n, sx, sy, sxx, sxy = (weights @ sums).T
    spread = n * sxx - sx * sx
    slopes = np.where(spread > 0.0, (n * sxy - sx * sy) / np.where(spread > 0.0, spread, 1.0), np.nan)
    return slopes[np.isfinite(slopes)], (sy - sx) / n


def _interval(drawn: np.ndarray) -> list[float] | None:
    return [float(each) for each in np.quantile(drawn, [0.025, 0.975])] if len(drawn) else None


def _entry(row: pd.Series, name: str) -> dict[str, Any]:
    values = {key: float(row[f"{key}_{name}"]) for key in ("reference", "measured", "u", "en")}
    return {"part": str(row.part), "address": str(row.address), **values}


def _counted(table: pd.DataFrame, verdicts: pd.Series) -> dict[str, Any]:
    matrix = {
        str(truth): {str(one): int(((table.truth == truth) & (verdicts == one)).sum()) for one in Verdict}
        for truth in (Verdict.OK, Verdict.NG, UNKNOWN)
    }
    return {"matrix": matrix, UNKNOWN: int((table.truth == UNKNOWN).sum())}


def _said_of_part(name: str, blamed: pd.DataFrame, tolerance: Tolerance, covers: Collection[str]) -> str:
    """Name a part that is judged wrongly, with the first three of its pins that are to blame."""
    said = [_said(row, tolerance, covers).removeprefix(f"{name} ") for _, row in blamed.iterrows()]
    more = [f"{len(said) - 3} more pins"] if len(said) > 3 else []
    return f"{name}: {'; '.join([*said[:3], *more])}"


def _said(row: pd.Series, tolerance: Tolerance, covers: Collection[str]) -> str:
    """Name a pin, with the values of the reference and the gauge and their limits, as far as they are judged."""
    if row.present == "no":
        return _said_of_missing(row)
    limits = tolerance.limits(row.address)
    texts = []
    for name, limit in (
        (TRUE_POSITION, f"{limits.true_position_mm:g}"),
        (HEIGHT, f"of the terminal, without its bend: -{limits.retraction_mm:g} to {limits.protrusion_mm:g}"),
    ):
        stated, measured = row[f"reference_{name}"], row[f"measured_{name}"]
        if name not in covers or np.isnan(stated):
            continue
        got = f"{measured:.3f} ± {row[f'u_{name}']:.3f}" if np.isfinite(measured) else row[f"not_compared_{name}"]
        texts.append(f"{name.replace('_', ' ')} {stated:.3f} mm (limit {limit}), gauge: {got}")
    texts = texts or [f"gauge: {row.decision}"]
    return f"{row.part} {row.address} {', '.join(texts)}"


def _said_of_missing(row: pd.Series) -> str:
    """Name a pin that is missing by the reference and not called missing by the gauge."""
    return (
        f"{row.part} {row.address} missing by the reference, gauge: present with a probability of "
        f"{row.probability:.3g}, {row.decision}"
    )


def _proof(escapes: int, ng: int, bound: float) -> str:
    if not ng:
        return "nothing is shown about escapes: no part is NG by the reference"
    said = (
        f"{escapes} of {ng} NG parts called OK (escapes): with 95 % confidence at most {bound:.1%} of such parts escape"
    )
    if bound <= _LITTLE or ng >= parts_needed(_LITTLE):
        return said
    return f"{said}; few parts prove little: {parts_needed(_LITTLE)} NG parts without an escape prove {_LITTLE:.0%}"
