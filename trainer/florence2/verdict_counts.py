"""Scores of pictures, and counts of the verdicts on pictures and on parts that several pictures show."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from generator.verdict.envelope import Verdict, overall
from trainer.core.decision import Thresholds, verdicts_of
from trainer.core.verdict_shares import verdict_shares
from trainer.florence2.answers import Found
from trainer.florence2.truth import Truth


def score_of(found: Sequence[Found]) -> float:
    """Return a picture's score: the highest confidence of its boxes; 0 without a box."""
    return max((one.confidence for one in found), default=0.0)


def verdicts_at(
    pictures: Sequence[tuple[Truth, Sequence[Found]]], limits: Thresholds, unsuitable: Sequence[Sequence[str]] = ()
) -> dict[str, Any]:
    """Compute escapes, overkill, UNSURE and INVALID (`core.verdict_shares`); a picture with a true box is NG in truth.

    Args:
        pictures: Truth and found boxes of each picture.
        limits: Thresholds of a picture's score, which is the highest confidence of its boxes.
        unsuitable: For each picture the reasons why it cannot be judged; empty: all can be judged.
    """
    scores = np.array([score_of(found) for _, found in pictures])
    ng = np.array([bool(truth.targets) for truth, _ in pictures], dtype=bool)
    return verdict_shares(ng, verdicts_of(scores, limits, unsuitable))


def parts_at(
    pictures: Sequence[tuple[Truth, Sequence[Found]]], limits: Thresholds, unsuitable: Sequence[Sequence[str]] = ()
) -> dict[str, Any] | None:
    """Count verdicts on parts: the first of NG, INVALID, UNSURE, OK that one of the part's pictures has.

    A part is NG in truth if one of its pictures has a true box.

    Args:
        pictures, limits, unsuitable: As for `verdicts_at`.

    Returns:
        `parts`, their number, and what `verdicts_at` returns, for parts; None if no part has several pictures.
    """
    found: dict[str, list[Verdict]] = {}
    ng: dict[str, bool] = {}
    verdicts = verdicts_of(np.array([score_of(boxes) for _, boxes in pictures]), limits, unsuitable)
    for (truth, _), verdict in zip(pictures, verdicts, strict=True):
        found.setdefault(truth.part, []).append(Verdict(verdict))
        ng[truth.part] = ng.get(truth.part, False) or bool(truth.targets)
    if len(found) == len(pictures):
        return None
    together = np.array([str(overall(some)) for some in found.values()])
    return {"parts": len(found), **verdict_shares(np.array(list(ng.values()), dtype=bool), together)}
