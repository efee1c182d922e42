"""Compare decisions on pins, and verdicts on parts, with the truth; pins near their limit are counted separately."""

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import pandas as pd

from generator.locating.judge import TRUE_POSITION
from generator.verdict.conformity import Decision
from generator.verdict.envelope import Verdict
from trainer.core.intervals import part_interval, share
from trainer.core.verdict_shares import verdict_shares
from trainer.gauge.dataset_verdicts import BRIGHT, GAUGE, SOURCES, ZERO
from trainer.gauge.figures import NEAR, is_displaced, true_position

# Ranges of true size divided by its limit, in which decisions are counted.
RANGES = ((0.0, 0.7), (0.7, 0.9), (0.9, 1.0), (1.0, 1.1), (1.1, 1.3), (1.3, np.inf))
NAMES = {GAUGE: "gauge", BRIGHT: "bright tip", ZERO: "answer zero"}


def of_parts(parts: pd.DataFrame) -> dict[str, Any]:
    """Compare the verdicts on parts with the truth.

    Args:
        parts: table of captured parts, from `judge_pins`; each capture counts as a part.

    Returns:
        `parts`: their number; `matrix`: number of parts by truth (OK, NG), then verdict; `wrong`: share of wrong ones
        among the verdicts OK and NG; `escapes`, `overkill`, `unsure`, `invalid`: as in `verdict_shares`; `forced`: by
        source of measures (`NAMES`), share of right verdicts if uncertainty is ignored: a part is NG if a measure is
        beyond its limit, otherwise OK. Each share has its 95 % interval (Clopper and Pearson).
    """
    ng, verdicts = parts.ng.to_numpy(bool), parts.verdict.to_numpy(str)
    decided = np.isin(verdicts, (Verdict.OK, Verdict.NG))
    wrong = decided & ((verdicts == Verdict.NG) != ng)
    return {
        "parts": len(parts),
        "matrix": {
            name: {str(one): int((of & (verdicts == one)).sum()) for one in Verdict}
            for name, of in (("OK", ~ng), ("NG", ng))
        },
        "wrong": share(int(wrong.sum()), int(decided.sum())),
        **verdict_shares(ng, verdicts),
        "forced": {
            NAMES[source]: share(int((parts[f"{source}_ng"] == parts.ng).sum()), len(parts)) for source in SOURCES
        },
    }


def of_pins(
    table: pd.DataFrame, pins: pd.DataFrame, judged: Collection[str], displaced: Iterable[str]
) -> dict[str, Any]:
    """Compare the decisions on pins with the truth, for each judged characteristic.

    Args:
        table, pins: measured pins, from `measure_split`, and the decisions on them, from `judge_pins`.
        judged: names of the judged characteristics.
        displaced: positions whose pins were displaced in training, as `scene/address`; empty: not known.

    Returns:
        `characteristics`: for each one `decisions`, the number of each decision by truth (good, NG), and `wrong`, the
        share of wrong ones among the decisions conform and nonconform, with its 95 % interval by bootstrap over parts.
        `near_limit`, `forced`: what the functions of these names return.
    """
    found = {}
    for name in judged:
        ng, decision = pins[f"ng_{name}"], pins[f"decision_{name}"]
        asked = decision != ""  # none for the tip of a pin that was called missing
        decided = asked & decision.isin([Decision.CONFORM, Decision.NONCONFORM])
        wrong = decided & ((decision == Decision.NONCONFORM) != ng)
        found[name] = {
            "decisions": {
                title: {str(one): int((of & (decision == one)).sum()) for one in Decision}
                for title, of in (("good", ~ng), ("NG", ng))
            },
            "wrong": share(int(wrong.sum()), int(decided.sum()))
            | {"interval": part_interval(table.part[decided].astype(str).tolist(), wrong[decided].to_numpy())},
        }
    return {"characteristics": found, "near_limit": near_limit(table, pins), "forced": forced(table, pins, displaced)}


def near_limit(table: pd.DataFrame, pins: pd.DataFrame) -> list[dict[str, Any]]:
    """Count the decisions on true position in ranges of (true value / limit); arguments are those of `of_pins`.

    Returns:
        A dict for each range in `RANGES`, and one for `NEAR`, with the keys `from`; `to` (None: no end); `pins`, number
        of pins; each decision, with its number of pins; `wrong`, number of wrong ones among conform and nonconform;
        `right`: by source of measures (`NAMES`), share of pins whose measure is on the same side of the limit as the
        truth.
    """
    ratio, there = true_position(table) / pins.true_position_mm, table.there
    decision, ng = pins[f"decision_{TRUE_POSITION}"], pins[f"ng_{TRUE_POSITION}"]
    found = []
    for low, high in (*RANGES, NEAR):
        inside = there & (ratio > low if low else ratio >= 0.0) & (ratio <= high)
        said, beyond = decision[inside], ng[inside]
        counts = {str(one): int((said == one).sum()) for one in Decision}
        wrong = ((said == Decision.CONFORM) & beyond) | ((said == Decision.NONCONFORM) & ~beyond)
        right = {
            NAMES[source]: float((pins[f"{source}_ng_{TRUE_POSITION}"][inside] == beyond).mean())
            if inside.any()
            else None
            for source in SOURCES
        }
        upper = None if np.isinf(high) else high
        found.append(
            {"from": low, "to": upper, "pins": int(inside.sum()), **counts, "wrong": int(wrong.sum()), "right": right}
        )
    return found


def forced(table: pd.DataFrame, pins: pd.DataFrame, displaced: Iterable[str]) -> dict[str, Any]:
    """Compute the share of pins near the limit of true position that are measured on the true side of the limit.

    `table` has measured pins, from `measure_split`; `pins` the decisions on them, from `judge_pins`; `displaced` the
    positions whose pins were displaced in training, as `scene/address`. Returns the share with its 95 % interval, by
    group of positions (all, displaced in training, never displaced), then by source of measures (`NAMES`).
    """
    ratio = true_position(table) / pins.true_position_mm
    near = table.there & (ratio >= NEAR[0]) & (ratio <= NEAR[1])
    groups = {"all positions": near}
    if known := set(displaced):
        seen = is_displaced(table, known)
        groups |= {"displaced in training": near & seen, "never displaced in training": near & ~seen}
    found: dict[str, Any] = {}
    for name, of in groups.items():
        names = table.part[of].astype(str).tolist()
        for source in SOURCES:
            right = (pins[f"{source}_ng_{TRUE_POSITION}"] == pins[f"ng_{TRUE_POSITION}"])[of].to_numpy()
            stated = share(int(right.sum()), len(right)) | {"interval": part_interval(names, right)}
            found.setdefault(name, {})[NAMES[source]] = stated
    return found
