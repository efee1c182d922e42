"""Measures of a classifier with its frozen threshold on a split: the content of evaluation.json for the split."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from blender_scripts.contract.tolerance import MEASURES
from generator.verdict.envelope import Verdict
from trainer.core import intervals, metrics, operating_points
from trainer.core.decision import decide, softmax
from trainer.core.detection_probability import curve
from trainer.core.frozen_threshold import FrozenThreshold
from trainer.core.row_facts import Facts, factor_levels
from trainer.core.verdict_shares import verdict_shares

MISTAKES = 24


def calibration(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Compare probabilities (N, K) with true labels (N,); returns the result of `reliability` with `loss`, log loss."""
    right = probabilities.argmax(1) == truth
    # Not scikit-learn's log_loss, which clips probabilities at another value.
    picked = probabilities[np.arange(len(truth)), truth].clip(1e-12)
    return {
        **metrics.reliability(probabilities.max(1), right, "pictures", "right"),
        "loss": float(-np.log(picked).mean()),
    }


def auroc(scores: np.ndarray, ng: np.ndarray) -> float | None:
    """Return the probability that an NG picture scores above an OK one (AUROC); None if all are OK or all NG.

    Args:
        scores, ng: (N,) score of each picture, and whether it is NG.
    """
    if ng.all() or not ng.any():
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(ng, scores))


def report(
    rows: Sequence[Facts],
    logits: np.ndarray,
    truth: np.ndarray,
    classes: Sequence[str],
    ok_index: int,
    frozen: FrozenThreshold,
    verdicts: np.ndarray,
) -> dict[str, Any]:
    """Compute all measures of one split, as evaluation.json holds them.

    A new measure is a function in this module and a key here; `trainer.vit.evaluation_page` shows it.

    Args:
        rows: Facts (part, defects, levels of factors) of the N examples: pictures, with --views parts.
        logits, truth: (N, K), not divided by the temperature, and (N,) true labels.
        classes, ok_index: Class names, and the label of OK.
        frozen: The run's threshold, temperature and positions with defects in training.
        verdicts: (N,) verdicts as text: see `decision.verdicts_of`.
    """
    raw, probabilities = softmax(logits), softmax(logits, frozen.temperature)
    said = decide(probabilities, ok_index, frozen.threshold)
    parts = [row.part for row in rows]
    matrix = metrics.confusion_matrix(truth, said, len(classes))
    counts = intervals.part_counts(parts, truth, said, len(classes))
    truth_ng, said_ng = truth != ok_index, said != ok_index
    p_ng = 1 - probabilities[:, ok_index]
    return {
        "pictures": len(rows),
        "parts": len(set(parts)),
        "accuracy": share_by_part(parts, said == truth, np.ones(len(rows), dtype=bool)),
        "balanced_accuracy": {
            "share": metrics.balanced_accuracy(matrix),
            "interval": intervals.balanced_interval(counts),
        },
        "auroc": auroc(p_ng, truth_ng),
        **verdict_shares(truth_ng, verdicts),
        "operating_points": operating_points.measure(
            parts, truth_ng, p_ng, frozen.limits, verdicts == Verdict.INVALID, frozen.operating_points
        ),
        "classes": by_class(parts, truth, said, classes),
        "confusion": matrix.tolist(),
        "calibration": calibration(probabilities, truth),
        "calibration_before_temperature": calibration(raw, truth),
        "factors": by_factor(rows, said == truth, truth_ng, verdicts, frozen.positions),
        "detection": detection(rows, said_ng),
        "mistakes": mistakes(rows, probabilities, truth, said, classes, ok_index),
    }


def share_by_part(parts: Sequence[str], right: np.ndarray, of: np.ndarray) -> dict[str, Any]:
    """Compute a share of pictures, with its counts and its 95 % interval by bootstrap over parts.

    Args:
        parts: (N,) name of the part that each picture shows.
        right: (N,) bool: pictures that are counted, if they are in `of`.
        of: (N,) bool: pictures of which the share is taken.

    Returns:
        `count`, `of`, `share` (None without pictures) and `interval`.
    """
    hits, count = int((right & of).sum()), int(of.sum())
    return {
        "count": hits,
        "of": count,
        "share": hits / count if count else None,
        "interval": intervals.part_interval([p for p, w in zip(parts, of, strict=True) if w], right[of]),
    }


def by_class(parts: Sequence[str], truth: np.ndarray, said: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Compute recall and precision of each class, with counts and intervals.

    Args:
        parts: (N,) name of the part that each picture shows.
        truth, said, classes: (N,) true and predicted labels, and the class names that they index.

    Returns:
        By class `recall` and `precision`, each a result of `share_by_part`.
    """
    return {
        name: {
            "recall": share_by_part(parts, said == label, truth == label),
            "precision": share_by_part(parts, truth == label, said == label),
        }
        for label, name in enumerate(classes)
    }


def by_factor(
    rows: Sequence[Facts],
    right: np.ndarray,
    truth_ng: np.ndarray,
    verdicts: np.ndarray,
    positions: Mapping[str, Sequence[str]],
) -> dict[str, dict[str, Any]]:
    """Compute accuracy and shares of verdicts at each level of each factor; returns them by factor, then by level.

    Args:
        rows: Facts (part, defects, levels of factors) of the N examples: pictures, with --views parts.
        right: (N,) whether the predicted class is right.
        truth_ng, verdicts: (N,) whether the example is NG in truth, and its verdict as text.
        positions: Addresses of the pins that were defective in training, by scene.
    """
    parts = np.array([row.part for row in rows], dtype=str)
    factors: dict[str, dict[str, Any]] = {}
    for name, values in factor_levels(rows, positions).items():
        factors[name] = {}
        for level in sorted(set(values) - {""}):
            inside = np.array([value == level for value in values])
            shown = parts[inside].tolist()
            factors[name][level] = {
                "pictures": int(inside.sum()),
                "parts": len(set(shown)),
                "accuracy": float(right[inside].mean()),
                "interval": intervals.part_interval(shown, right[inside]),
                **verdict_shares(truth_ng[inside], verdicts[inside]),
            }
    return factors


def sizes_found(rows: Sequence[Facts], said_ng: np.ndarray) -> dict[str, tuple[list[float], list[bool]]]:
    """Return by measure (such as `true_position_mm`) the sizes of defects in mm, and whether each was found.

    Args:
        rows: Facts on N pictures, or parts; those without a defect size are left out.
        said_ng: (N,) whether a class of defect was predicted.
    """
    found: dict[str, tuple[list[float], list[bool]]] = {}
    for measure in MEASURES:
        sized = [
            (row.size_mm, bool(ng))
            for row, ng in zip(rows, said_ng, strict=True)
            if row.measure == measure and row.size_mm is not None
        ]
        if sized:
            found[measure] = [size for size, _ in sized], [ng for _, ng in sized]
    return found


def detection(rows: Sequence[Facts], said_ng: np.ndarray) -> dict[str, Any]:
    """Return the result of `detection_probability.curve` for each measure; arguments: those of `sizes_found`."""
    return {measure: curve(*sized) for measure, sized in sizes_found(rows, said_ng).items()}


def mistakes(
    rows: Sequence[Facts],
    probabilities: np.ndarray,
    truth: np.ndarray,
    said: np.ndarray,
    classes: Sequence[str],
    ok_index: int,
    most: int = MISTAKES,
) -> list[dict[str, Any]]:
    """List the worst mistakes: examples whose predicted label `said` (N,) differs from the true label `truth` (N,).

    First come those that confuse OK and NG, then wrong NG classes; in each group the lowest P(true class) first.
    `rows` are the facts on the N examples, `probabilities` is (N, K), `ok_index` the label of OK.

    Returns:
        At most `most` dicts: `index` of the example, classes `truth` and `said`, probabilities `p_ng` and `p_truth`;
        of the defects `kinds`, `addresses`, `size_mm` and the `measure` that gives the size.
    """
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
