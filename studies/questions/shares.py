"""Functions that read shares with their intervals, and answers, from the result of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from studies.findings import Answers, Found

Share = Mapping[str, Any] | None


GUESSING = 1 / 3


def accuracy(split: str) -> Callable[[Mapping[str, Any]], Share]:
    """A function that reads a split's balanced accuracy from a result."""
    return lambda result: result["splits"].get(split, {}).get("balanced_accuracy")


def answered(split: str) -> Callable[[Mapping[str, Any]], Answers | None]:
    """A function that reads the answers to a split's pictures from a result."""
    return lambda result: result["splits"].get(split, {}).get("answers")


def collapsed(found: Found) -> list[str]:
    """A warning for each variant with a model that predicts one class for nearly all pictures."""
    lines = []
    for variant, documents in found.variants.items():
        count = sum(bool(d["result"].get("collapsed")) for d in documents)
        if count:
            lines.append(f"{variant} {count} of {len(documents)}")
    return [f"Runs that say one class for nearly every picture: {'; '.join(lines)}."] if lines else []


def ranged(values: Sequence[float], form: str = ".3f") -> str:
    """Mean of the seeds' values with the smallest and the largest, as text; a dash if there are none."""
    if not values:
        return "–"
    return f"{np.mean(values):{form}} ({min(values):{form}}, {max(values):{form}})"
