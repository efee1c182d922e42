"""Read shares with their intervals, and answers, from a run's result (the entry `result` of its document)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from studies.findings import Answers, Found

Share = Mapping[str, Any] | None
GUESSING = 1 / 3


def accuracy(split: str) -> Callable[[Mapping[str, Any]], Share]:
    """Make a function that returns a split's balanced accuracy in a result, or None if the split was not measured."""
    return lambda result: result["splits"].get(split, {}).get("balanced_accuracy")


def answered(split: str) -> Callable[[Mapping[str, Any]], Answers | None]:
    """Make a function that returns a split's `answers` from a run's result, or None if the split was not measured."""
    return lambda result: result["splits"].get(split, {}).get("answers")


def collapsed(found: Found) -> list[str]:
    """Return [sentence] that counts by variant the models which nearly always predict one class; [] if none does."""
    lines = []
    for variant, documents in found.variants.items():
        count = sum(bool(d["result"].get("collapsed")) for d in documents)
        if count:
            lines.append(f"*{variant}* {count} of {len(documents)}")
    return [f"Runs that give nearly every picture the same class: {'; '.join(lines)}."] if lines else []


def ranged(values: Sequence[float], form: str = ".3f") -> str:
    """Write "mean (smallest, largest)" of the seeds' values in the number format `form`; a dash for no values."""
    if not values:
        return "–"
    return f"{np.mean(values):{form}} ({min(values):{form}}, {max(values):{form}})"
