"""A detector's verdict on whole pictures: thresholds and fitness on validation, for RUN/frozen.json; operating points.

A picture's score is the highest confidence of its boxes (`trainer.core.decision`). The threshold is that of the boxes,
which `metrics.best_threshold` chooses by the F1 of boxes, not of verdicts. Therefore the fitness is measured at this
threshold. (A ViT's fitness judges each half of the parts by a threshold chosen on the other half.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trainer.core import calibration, frozen_threshold, operating_points
from trainer.core.decision import Thresholds
from trainer.core.fitness import fitness_of
from trainer.core.frozen_threshold import FrozenThreshold
from trainer.florence2.answers import Found
from trainer.florence2.truth import Truth
from trainer.florence2.verdict_counts import score_of

SCORE = "the highest confidence of a box"  # the score of a picture: see `verdict_counts.score_of`
CRITERION = "highest F1 of the boxes on validation, with at most 0.1 false boxes per OK picture"


def frozen_of(
    run: Path,
    truths: Sequence[Truth],
    found: Sequence[Sequence[Found]],
    threshold: float,
    mean_precision: float | None,
    seen: Mapping[str, Sequence[str]],
    boxes: tuple[Sequence[float], Sequence[bool]],
    rate: float = 0.0,
) -> FrozenThreshold:
    """Choose thresholds, measure the fitness and fit the calibration on validation; returns RUN/frozen.json's content.

    The file is not written.

    Args:
        run: The run's folder, with its best weights.
        truths, found: Truth and found boxes of each picture of validation.
        threshold: Confidence from which a box counts; the two thresholds are chosen around it.
        mean_precision: mAP on validation, which makes the run unfit if below 0.0005; None without true boxes.
        seen: Addresses of the pins that are defective in a training picture, by scene.
        boxes: Confidence of each found box, and whether it is right (`metrics.scored`).
        rate: Largest escape rate, from `--max-escape`; 0: not given.
    """
    parts, ng, scores = _scored(truths, found)
    wanting = [] if mean_precision is None or mean_precision >= 0.0005 else ["mAP on validation is 0.000"]
    measured = fitness_of(parts, ng, scores >= threshold, wanting)
    positions = {scene: list(addresses) for scene, addresses in seen.items()}
    made = frozen_threshold.decided_by(run, parts, scores, ng, threshold, measured, positions, rate=rate)
    return replace(made, calibration=calibration.fit(*boxes, threshold))


def _scored(truths: Sequence[Truth], found: Sequence[Sequence[Found]]) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return the pictures' parts (N,), whether each picture is NG in truth (N,), and the scores (N,)."""
    ng = np.array([bool(truth.targets) for truth in truths], dtype=bool)
    return [truth.part for truth in truths], ng, np.array([score_of(boxes) for boxes in found])


def operating_points_of(
    truths: Sequence[Truth],
    found: Sequence[Sequence[Found]],
    frozen: FrozenThreshold | None,
    threshold: float,
    unsuitable: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    """Measure the operating points of a split: see `operating_points.measure`.

    Args:
        truths, found: Truth and found boxes of each picture.
        frozen: The run's thresholds; None: all are `threshold`.
        threshold: Confidence from which a box counts.
        unsuitable: For each picture the reasons why it cannot be judged; empty: all can be judged.
    """
    limits, chosen = (frozen.limits, frozen.operating_points) if frozen else (Thresholds.at(threshold), None)
    invalid = np.array([bool(why) for why in unsuitable], dtype=bool) if unsuitable else None
    return operating_points.measure(*_scored(truths, found), limits, invalid, chosen)
