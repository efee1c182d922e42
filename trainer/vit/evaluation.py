"""What a classifier with its frozen threshold is worth on a split: everything that evaluation.json holds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from trainer.core import intervals, metrics
from trainer.core.decision import decide, softmax
from trainer.core.detection_probability import curve
from trainer.core.frozen_threshold import Frozen
from trainer.core.row_facts import MEASURES, Facts, factor_levels

BINS = 10
MISTAKES = 24


def calibration(probabilities: np.ndarray, truth: np.ndarray, bins: int = BINS) -> dict[str, Any]:
    """Probability of the most likely class against the share of right answers, in equal ranges, and the mean gap (ECE).

    Args:
        probabilities: (N, K).
        truth: (N,) labels.
        bins: Number of ranges.
    """
    said, right = probabilities.max(1), probabilities.argmax(1) == truth
    place = np.minimum((said * bins).astype(int), bins - 1)
    rows, gap = [], 0.0
    for index in range(bins):
        inside = place == index
        if inside.any():
            row = {
                "from": index / bins,
                "to": (index + 1) / bins,
                "pictures": int(inside.sum()),
                "confidence": float(said[inside].mean()),
                "right": float(right[inside].mean()),
            }
            rows.append(row)
            gap += abs(row["confidence"] - row["right"]) * row["pictures"] / len(said)
    picked = probabilities[np.arange(len(truth)), truth].clip(1e-12)
    return {"bins": rows, "ece": gap if len(said) else None, "loss": float(-np.log(picked).mean())}


def auroc(scores: np.ndarray, ng: np.ndarray) -> float | None:
    """Chance that an NG picture scores above an OK one, equal scores counting half; None without both."""
    if ng.all() or not ng.any():
        return None
    above = stats.mannwhitneyu(scores[ng], scores[~ng]).statistic
    return float(above / (ng.sum() * (~ng).sum()))


def verdicts(truth_ng: np.ndarray, said_ng: np.ndarray) -> dict[str, Any]:
    """Escapes (NG said OK) and overkill (OK said NG), each with Clopper and Pearson's bounds over pictures."""
    return {
        "escapes": intervals.share(int((truth_ng & ~said_ng).sum()), int(truth_ng.sum())),
        "overkill": intervals.share(int((~truth_ng & said_ng).sum()), int((~truth_ng).sum())),
    }


def report(
    rows: Sequence[Facts],
    logits: np.ndarray,
    truth: np.ndarray,
    classes: Sequence[str],
    ok_index: int,
    frozen: Frozen,
) -> dict[str, Any]:
    """Everything there is to say of one split.

    Args:
        rows: What the pictures show.
        logits: (N, K).
        truth: (N,) labels.
        classes: Class names.
        ok_index: Label of OK.
        frozen: Threshold, temperature and positions from training.
    """
    raw, probabilities = softmax(logits), softmax(logits, frozen.temperature)
    said = decide(probabilities, ok_index, frozen.threshold)
    parts = [row.part for row in rows]
    matrix = metrics.confusion_matrix(truth, said, len(classes))
    counts = intervals.part_counts(parts, truth, said, len(classes))
    truth_ng, said_ng, right = truth != ok_index, said != ok_index, said == truth
    score = 1 - probabilities[:, ok_index]

    def measured(hits: int, of: int, pick: Any) -> dict[str, Any]:
        where = pick[0]
        return {
            "count": hits,
            "of": of,
            "share": hits / of if of else None,
            "interval": intervals.part_interval([p for p, w in zip(parts, where, strict=True) if w], pick[1]),
        }

    per_class = {}
    for label, name in enumerate(classes):
        true, called = truth == label, said == label
        hits = int((true & called).sum())
        per_class[name] = {
            "recall": measured(hits, int(true.sum()), (true, called[true])),
            "precision": measured(hits, int(called.sum()), (called, true[called])),
        }
    levels = factor_levels(rows, frozen.positions)
    factors: dict[str, Any] = {}
    for name, values in levels.items():
        factors[name] = {}
        for level in sorted(set(values) - {""}):
            inside = np.array([value == level for value in values])
            factors[name][level] = {
                "pictures": int(inside.sum()),
                "parts": len({p for p, i in zip(parts, inside, strict=True) if i}),
                "accuracy": float(right[inside].mean()),
                "interval": intervals.part_interval(
                    [p for p, i in zip(parts, inside, strict=True) if i], right[inside]
                ),
                **verdicts(truth_ng[inside], said_ng[inside]),
            }
    return {
        "pictures": len(rows),
        "parts": len(set(parts)),
        "accuracy": measured(int(right.sum()), len(rows), (np.ones(len(rows), dtype=bool), right)),
        "balanced_accuracy": {
            "share": metrics.balanced_accuracy(matrix),
            "interval": intervals.balanced_interval(counts),
        },
        "auroc": auroc(score, truth_ng),
        **verdicts(truth_ng, said_ng),
        "classes": per_class,
        "confusion": matrix.tolist(),
        "calibration": calibration(probabilities, truth),
        "calibration_before_temperature": calibration(raw, truth),
        "factors": factors,
        "detection": {
            measure: curve(
                [row.size_mm for row in rows if row.measure == measure and row.size_mm is not None],
                [bool(ng) for row, ng in zip(rows, said_ng, strict=True) if row.measure == measure],
            )
            for measure in MEASURES
            if any(row.measure == measure for row in rows)
        },
        "mistakes": mistakes(rows, probabilities, truth, said, classes, ok_index),
    }


def mistakes(
    rows: Sequence[Facts],
    probabilities: np.ndarray,
    truth: np.ndarray,
    said: np.ndarray,
    classes: Sequence[str],
    ok_index: int,
    most: int = MISTAKES,
) -> list[dict[str, Any]]:
    """The worst mistakes: escapes and overkill before mere wrong classes, the surest first."""
    wrong = np.flatnonzero(said != truth)
    verdict = (said == ok_index) != (truth == ok_index)
    true_p = probabilities[np.arange(len(truth)), truth]
    order = sorted(wrong.tolist(), key=lambda i: (not verdict[i], true_p[i], i))
    return [
        {
            "index": i,
            "truth": classes[truth[i]],
            "said": classes[said[i]],
            "p_ng": float(1 - probabilities[i, ok_index]),
            "p_truth": float(true_p[i]),
            "kinds": rows[i].kinds,
            "addresses": list(rows[i].addresses),
            "size_mm": rows[i].size_mm,
            "measure": rows[i].measure,
        }
        for i in order[:most]
    ]


def summary_row(name: str, measured: Mapping[str, Any]) -> list[Any]:
    """One line of the report's first table."""
    return [
        name,
        measured["pictures"],
        measured["parts"],
        measured["accuracy"]["share"],
        measured["accuracy"]["interval"],
        measured["balanced_accuracy"]["share"],
        measured["auroc"],
        f"{measured['escapes']['count']} of {measured['escapes']['of']}",
        measured["escapes"]["interval"],
        f"{measured['overkill']['count']} of {measured['overkill']['of']}",
        measured["overkill"]["interval"],
    ]
