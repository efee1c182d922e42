"""Operating points of a run: escapes, overkill and UNSURE by the threshold of `trainer.predict --threshold`.

A lower threshold lets fewer NG pictures escape and rejects more OK ones. For each accepted share in `RATES` two
thresholds are chosen on validation, and kept in RUN/frozen.json: one for at most this share of escapes, one for at most
this share of overkill. They are rounded, towards fewer such errors, to numbers that a user can type. Every split is
then measured at them, with the verdicts that `--threshold` gives (`Thresholds.with_threshold`): OK never from the run's
escape threshold on, whatever the option says.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trainer.core import intervals
from trainer.core.decision import EVEN, Thresholds

ESCAPES, OVERKILL, RUN = "escapes", "overkill", "run"
RATES = (0.01, 0.02, 0.05)
CURVE = 40  # points of a curve that are scores of NG pictures, and as many that are scores of OK pictures
DIGITS, MOST_DECIMALS = 3, 300


def _rounded(threshold: float, up: bool) -> float:
    """Round a threshold in [0, 1] up or down to three significant digits of its distance from the nearer of 0 and 1."""
    distance = min(threshold, 1 - threshold)
    if distance <= 0:
        return threshold
    decimals = min(MOST_DECIMALS, DIGITS - 1 - math.floor(math.log10(distance)))
    away = math.ceil if up == (threshold < EVEN) else math.floor
    distance = away(distance * 10.0**decimals) / 10.0**decimals
    return round(distance if threshold < EVEN else 1 - distance, decimals)


def choose(scores: np.ndarray, ng: np.ndarray, limits: Thresholds) -> list[dict[str, Any]]:
    """Choose the thresholds for the shares of escapes and of overkill in `RATES`.

    Args:
        scores: (N,) scores of the validation split: see `trainer.core.decision`.
        ng: (N,) whether the picture, or part, is NG in truth.
        limits: The run's thresholds.

    Returns:
        A list of dicts: `of` (`escapes` or `overkill`), `rate` (their accepted share, of `RATES`), `threshold`.
    """
    found = []
    bad, good = np.sort(scores[ng]), np.sort(scores[~ng])
    if len(bad):
        for rate in RATES:
            lowest = float(bad[math.floor(rate * len(bad) + 1e-9)])
            # Above these limits a higher threshold makes OK pictures UNSURE, and changes no escape.
            chosen = _rounded(min(lowest, limits.escape, EVEN), up=False)
            found.append({"of": ESCAPES, "rate": rate, "threshold": chosen})
    if len(good):
        for rate in reversed(RATES):
            highest = float(good[len(good) - 1 - math.floor(rate * len(good) + 1e-9)])
            chosen = _rounded(min(1.0, float(np.nextafter(highest, math.inf))), up=True)
            found.append({"of": OVERKILL, "rate": rate, "threshold": chosen})
    return found


def read(held: Mapping[str, Any]) -> dict[str, Any]:
    """Check and return one entry of `operating_points` in frozen.json, as `choose` makes them.

    Raises:
        KeyError, TypeError, ValueError: It is not such an entry.
    """
    if held["of"] not in (ESCAPES, OVERKILL):
        raise ValueError(held["of"])
    return {"of": held["of"], "rate": float(held["rate"]), "threshold": float(held["threshold"])}


def measure(
    parts: Sequence[str],
    ng: np.ndarray,
    scores: np.ndarray,
    limits: Thresholds,
    invalid: np.ndarray | None = None,
    chosen: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Measure the operating points and the curve of a split, for evaluation.json and summary.json.

    Args:
        parts: (N,) name of the part that each picture shows.
        ng: (N,) whether the picture, or part, is NG in truth.
        scores: (N,) scores: see `trainer.core.decision`.
        limits: The run's thresholds.
        invalid: (N,) which pictures cannot be judged: neither escapes nor overkill; None: all can be judged.
        chosen: Result of `choose` on validation; None (runs of earlier versions): chosen on this split.

    Returns:
        `chosen_on`: `validation` or `this split`. `class_from`: score from which on the predicted class is a class of
        defect. `points`, each with `of`, `rate`, `threshold`, `ok_below` and `ng_from` (the limits of the verdict), and
        `escapes`, `overkill`, `unsure` and `invalid` (count, of, share, 95 % interval over parts). The first point has
        the run's own thresholds: `of` is `run`, `rate` and `threshold` are None. The others are those of `choose`, and
        `threshold` is the value for `--threshold`.
        `curve`: `threshold`, and by threshold T `escapes`, the share of NG pictures below T, and `overkill`, that of OK
        pictures from T on, each with `share`, `low` and `high`; None without such pictures.
    """
    names = np.asarray(parts, dtype=str)
    judged = np.ones(len(ng), dtype=bool) if invalid is None else ~invalid
    aims: list[Mapping[str, Any]] = [{"of": RUN, "rate": None, "threshold": None}]
    aims += chosen if chosen is not None else choose(scores, ng, limits)
    points = [{**aim, **_point(names, ng, scores, limits.with_threshold(aim["threshold"]), judged)} for aim in aims]
    marks = [point[name] for point in points for name in ("ok_below", "ng_from")]
    return {
        "chosen_on": "validation" if chosen is not None else "this split",
        "class_from": min(limits.threshold, EVEN),
        "points": points,
        "curve": _curve(names, ng, scores, judged, marks),
    }


def _point(
    parts: np.ndarray, ng: np.ndarray, scores: np.ndarray, limits: Thresholds, judged: np.ndarray
) -> dict[str, Any]:
    """Count escapes, overkill, UNSURE and INVALID of the verdicts with `limits`, with intervals over parts."""

    def among(of: np.ndarray, hit: np.ndarray) -> dict[str, Any]:
        count, whole = int(hit[of].sum()), int(of.sum())
        interval = intervals.part_interval(parts[of].tolist(), hit[of])
        return {"count": count, "of": whole, "share": count / whole if whole else None, "interval": interval}

    ok_below, ng_from = min(limits.escape, EVEN), limits.overkill
    passed, refused, every = scores < ok_below, scores >= ng_from, np.ones(len(ng), dtype=bool)
    return {
        "ok_below": ok_below,
        "ng_from": ng_from,
        "escapes": among(ng, judged & passed),
        "overkill": among(~ng, judged & refused),
        "unsure": among(every, judged & ~passed & ~refused),
        "invalid": among(every, ~judged),
    }


def _curve(
    parts: np.ndarray, ng: np.ndarray, scores: np.ndarray, judged: np.ndarray, marks: Sequence[float]
) -> dict[str, Any]:
    """Return the curve for `marks` and up to 2 `CURVE` of the scores, which are closest where few errors are made."""
    at = set(marks)
    for some in (np.sort(scores[ng]), -np.sort(-scores[~ng])):
        ranks = np.square(np.linspace(0, 1, CURVE)) * (len(some) - 1)
        at |= set(some[ranks.round().astype(int)].tolist()) if len(some) else set()
    thresholds = np.array(sorted(at))
    below = scores[:, None] < thresholds
    found: dict[str, Any] = {"threshold": thresholds.tolist()}
    for name, of, hit in ((ESCAPES, ng, below), (OVERKILL, ~ng, ~below)):
        if of.any():
            counted = hit[of] & judged[of, None]
            bounds = intervals.part_intervals(parts[of].tolist(), counted)
            columns = {"share": counted.mean(0), "low": bounds[:, 0], "high": bounds[:, 1]}
            found[name] = {key: values.round(6).tolist() for key, values in columns.items()}
        else:
            found[name] = None
    return found
