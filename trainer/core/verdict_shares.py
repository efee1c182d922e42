"""Shares of the verdicts among good and NG pictures: escapes and overkill, always beside UNSURE and INVALID.

An escape is an NG picture with the verdict OK; overkill is an OK picture with the verdict NG. A run that often answers
UNSURE or INVALID has few escapes and little overkill, so the four shares always stand side by side.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from generator.verdict.envelope import Verdict
from trainer.core import intervals

HEADER = ("escapes", "95 % bounds", "overkill", "95 % bounds", "UNSURE: OK, NG", "INVALID: OK, NG")
SHORT_HEADER = ("escapes", "overkill", "UNSURE: OK, NG", "INVALID: OK, NG")


def verdict_shares(ng: np.ndarray, verdicts: np.ndarray) -> dict[str, Any]:
    """Count escapes, overkill and the verdicts UNSURE and INVALID among pictures or parts.

    Args:
        ng: (N,) whether the picture, or part, is NG in truth.
        verdicts: (N,) verdicts as text.

    Returns:
        `escapes` among NG and `overkill` among OK pictures; `unsure` and `invalid`, each with the keys `ok` and `ng`
        for the pictures that are OK and NG in truth. Each share is an object from `intervals.share`.
    """

    def among(of: np.ndarray, verdict: Verdict) -> dict[str, Any]:
        return intervals.share(int((of & (verdicts == verdict)).sum()), int(of.sum()))

    undecided = {
        name: {"ok": among(~ng, verdict), "ng": among(ng, verdict)}
        for name, verdict in (("unsure", Verdict.UNSURE), ("invalid", Verdict.INVALID))
    }
    return {"escapes": among(ng, Verdict.OK), "overkill": among(~ng, Verdict.NG), **undecided}


def _counted(share: Mapping[str, Any]) -> str:
    return f"{share['count']} of {share['of']}"


def _undecided(measured: Mapping[str, Any]) -> list[str | None]:
    """Return the cells on UNSURE and INVALID; None in an evaluation of earlier versions, which had neither."""
    return [
        ", ".join(_counted(measured[name][of]) for of in ("ok", "ng")) if name in measured else None
        for name in ("unsure", "invalid")
    ]


def cells(measured: Mapping[str, Any]) -> list[Any]:
    """Return the cells of a table row, columns `HEADER`, for a result of `verdict_shares`."""
    rates = [measured[k] for k in ("escapes", "overkill")]
    return [*(cell for rate in rates for cell in (_counted(rate), rate["interval"])), *_undecided(measured)]


def short_cells(measured: Mapping[str, Any]) -> list[Any]:
    """Return the cells of a table row, columns `SHORT_HEADER`, for a result of `verdict_shares`: without intervals."""
    return [*(_counted(measured[k]) for k in ("escapes", "overkill")), *_undecided(measured)]


def worse_than_validation(reports: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return a warning for each rate (balanced accuracy, escapes, overkill) worse on a split than on validation.

    Rates whose 95 % intervals overlap give no warning.

    Args:
        reports: By split, the result of `verdict_shares`; it may also have the key `balanced_accuracy`, with a value
            in the form of `intervals.share`.
    """
    warnings = []
    known = reports.get("validation", {})
    for name, measured in reports.items():
        for key, is_good in (("balanced_accuracy", True), ("escapes", False), ("overkill", False)):
            pair = [one[key] for one in (measured, known) if key in one and one[key]["share"] is not None]
            if len(pair) < 2:
                continue
            here, there = (each["interval"] for each in pair)
            if here[1] < there[0] if is_good else here[0] > there[1]:
                own, other = (f"{e['share']:.3f} ({e['interval'][0]:.3f} to {e['interval'][1]:.3f})" for e in pair)
                warnings.append(
                    f"WARNING: {key.replace('_', ' ')} on split {name} is {own}, worse than on validation, {other}: "
                    "the 95 % intervals in brackets do not overlap, so validation says little about such pictures"
                )
    return warnings


def sentence(measured: Mapping[str, Any]) -> str:
    """Return a result of `verdict_shares` as one line of text for the terminal."""
    text = (
        f"escapes (NG called OK) {_counted(measured['escapes'])}, overkill (OK called NG) "
        f"{_counted(measured['overkill'])}"
    )
    for name in ("unsure", "invalid"):
        if name in measured:
            text += f", {name.upper()} {_counted(measured[name]['ok'])} OK and {_counted(measured[name]['ng'])} NG"
    return text
