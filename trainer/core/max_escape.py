"""`--max-escape RATE`: an escape threshold, and a check that at most the share RATE of NG parts escapes.

Validation's NG parts are halved. One half chooses the escape threshold, below which a picture is OK. On the other half
the escapes are counted, and the one-sided 95 % upper bound of their rate (Clopper and Pearson 1934) must not exceed
RATE. A part escapes if the verdict on at least one of its NG pictures is OK. Without an escape among n NG parts the
bound is 1 - 0.05^(1/n): 11.7 % with 24 parts, 1 % with 299 parts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainer.core.decision import EVEN
from trainer.core.fitness import Fitness, fitness_said, part_groups

LEVEL = 0.95


def upper_bound(escapes: int, parts: int, level: float = LEVEL) -> float:
    """Return the one-sided upper confidence bound (Clopper and Pearson) of `escapes` / `parts`; 1 for 0 parts."""
    from scipy import stats  # takes a second; prediction does not need it

    return float(stats.beta.ppf(level, escapes + 1, parts - escapes)) if escapes < parts else 1.0


def parts_needed(rate: float) -> int:
    """Return how many NG parts, none of which escapes, give a 95 % upper bound of the escape rate of at most `rate`."""
    return math.ceil(math.log(1 - LEVEL) / math.log1p(-rate))


@dataclass(frozen=True)
class Check:
    """Result of `choose`, in frozen.json under `max_escape`.

    Args:
        rate: The rate that `--max-escape` asks for, in (0, 1).
        threshold: Escape threshold, chosen on one half of the NG parts.
        chosen_on: Number of NG parts in that half.
        escapes, checked_on: Number of NG parts of the other half that escape, and of all NG parts in it.
        bound: One-sided 95 % upper bound of the rate of escapes, from the other half.
        unsure: Number of NG parts of the other half that are UNSURE; None in files of earlier versions.
    """

    rate: float
    threshold: float
    chosen_on: int
    escapes: int
    checked_on: int
    bound: float
    unsure: int | None = None


def _scores_of_parts(parts: Sequence[str], ng: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest score of each NG part (P,), and which of two halves it is in (P,)."""
    lowest: dict[str, float] = {}
    half: dict[str, int] = {}
    for part, is_ng, score, group in zip(parts, ng, scores, part_groups(parts, ng, 2), strict=True):
        if is_ng:
            lowest[part] = min(float(score), lowest.get(part, math.inf))
            half[part] = int(group)
    return np.array(list(lowest.values())), np.array(list(half.values()), dtype=int)


def choose(
    parts: Sequence[str], ng: np.ndarray, scores: np.ndarray, rate: float, threshold: float, overkill: float = 1.0
) -> Check:
    """Choose the escape threshold on one half of validation's NG parts, and count the escapes among the other half.

    Args:
        parts: (N,) name of the part that each picture shows.
        ng: (N,) whether the picture is NG in truth.
        scores: (N,) scores of the pictures; a high score means NG, see `trainer.core.decision`.
        rate: Largest accepted rate of escapes, in (0, 1).
        threshold: Score from which on the class is a class of defect; the escape threshold is at most as high.
        overkill: Score from which on the verdict is NG.
    """
    lowest, half = _scores_of_parts(parts, ng, scores)
    chosen, checked = np.sort(lowest[half == 0]), lowest[half == 1]
    escape = threshold
    if len(chosen):
        # As many escapes as still let the bound on this half be at most the rate; none where even that is too many.
        allowed = 0
        while allowed + 1 < len(chosen) and upper_bound(allowed + 1, len(chosen)) <= rate:
            allowed += 1
        escape = min(threshold, float(chosen[allowed]))
    escapes = int((checked < min(escape, EVEN)).sum())
    unsure = int((checked < overkill).sum()) - escapes
    return Check(rate, escape, len(chosen), escapes, len(checked), upper_bound(escapes, len(checked)), unsure)


def prospect(parts: Sequence[str], ng: np.ndarray, rate: float) -> str:
    """Return a line, before a training, on whether validation has enough NG parts to show the rate of --max-escape.

    Args:
        parts: (N,) name of the part that each validation picture shows.
        ng: (N,) whether the picture is NG in truth.
        rate: The rate of --max-escape.
    """
    _, half = _scores_of_parts(parts, ng, np.zeros(len(ng)))
    every, checked, needed = len(half), int((half == 1).sum()), parts_needed(rate)
    best = upper_bound(0, checked)
    can = (
        f"validation has {every} NG parts, of which {checked} check the escape threshold; if none of these is judged "
        f"OK, the 95 % upper bound of the escape rate is {best:.1%}"
    )
    if best <= rate:
        return f"--max-escape {rate:g} can be shown to hold: {can}"
    return (
        f"WARNING: --max-escape {rate:g} cannot be shown to hold: {can}; for a bound of {rate:.3g} build a dataset "
        f"with {2 * needed} NG parts in validation, of which {needed} check the escape threshold"
    )


def said(held: Mapping[str, Any] | None) -> str:
    """Return a line, without full stop: whether a `Check` (JSON object) shows that --max-escape holds; "" for None."""
    if held is None:
        return ""
    one = Check(**held)
    unsure = "" if one.unsure is None else f", {one.unsure} UNSURE (no gates are applied, so none is INVALID)"
    return (
        f"--max-escape {one.rate:g} is {'shown' if one.bound <= one.rate else 'NOT shown'} to hold: of "
        f"{one.checked_on} NG parts that check it, {one.escapes} judged OK (escapes){unsure}; the 95 % upper bound of "
        f"the escape rate is {one.bound:.1%}"
    )


def fitness_and_escapes(document: Mapping[str, Any]) -> str:
    """Return text on fitness and on --max-escape, from `document`, the content of frozen.json or summary.json."""
    held = document.get("fitness")
    fitness = fitness_said(None if held is None else Fitness.from_json(held))
    return ". ".join(filter(None, (fitness, said(document.get("max_escape")))))
