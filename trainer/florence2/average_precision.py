"""COCO's average precision of found boxes over a set of pictures, by pycocotools, and its interval by bootstrap.

A found box matches a true box of the same label if their IoU is at least a limit; boxes count in the order of their
confidence. Defects that nobody can see in a picture (`Pin.unseen`) count like the others or, with `ignore_unseen`, are
ignored as COCO ignores boxes: one that is not found is not missed, a box that matches it is neither right nor false.
"""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.florence2.answers import Found
from trainer.florence2.truth import Truth

BOOTSTRAPS = 1000
# pycocotools ignores a true box whose area, which each box states, lies outside the range that is measured. (It takes
# `ignore` from `iscrowd` alone, and such a box is matched by any number of boxes, by another overlap than the IoU.)
_OUTSIDE_PX2 = 1e12
Pictures = Sequence[tuple[Truth, Sequence[Found]]]


def _coco_eval(pictures: Pictures, labels: Sequence[str], small_px2: float | None, ignore_unseen: bool) -> Any:
    """Run pycocotools' evaluation over all pictures, without its console output."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth: dict[str, Any] = {
        "info": {},
        "images": [{"id": i} for i in range(1, len(pictures) + 1)],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(labels)],
        "annotations": [],
    }
    found = []
    for image, (of, boxes) in enumerate(pictures, 1):
        for pin in of.targets:
            x1, y1, x2, y2 = pin.box
            truth["annotations"].append(
                {
                    # From 1: pycocotools reads 0 as "no match".
                    "id": len(truth["annotations"]) + 1,
                    "image_id": image,
                    "category_id": labels.index(pin.label) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": _OUTSIDE_PX2 if ignore_unseen and pin.unseen else (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
        for one in boxes:
            x1, y1, x2, y2 = one.box
            found.append([image, x1, y1, x2 - x1, y2 - y1, one.confidence, labels.index(one.label) + 1])
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        results = coco.loadRes(np.array(found, dtype=np.float64).reshape(-1, 7)) if found else COCO()
        if not found:
            results.dataset = {**truth, "annotations": []}
            results.createIndex()
        run = COCOeval(coco, results, "bbox")
        if small_px2 is not None:
            run.params.areaRng = [[0, 1e10], [0, small_px2]]
            run.params.areaRngLbl = ["all", "small"]
        run.evaluate()
        run.accumulate()
    return run


def _mean(values: np.ndarray) -> float | None:
    held = values[values > -1]
    return float(held.mean()) if held.size else None


def _average_precisions(
    pictures: Pictures, labels: Sequence[str], small_px2: float | None, ignore_unseen: bool
) -> dict[str, Any]:
    run = _coco_eval(pictures, labels, small_px2, ignore_unseen)
    precision = run.eval["precision"]  # (IoU, recall, class, area, detections)
    rows: dict[str, Any] = {
        "map": _mean(precision[:, :, :, 0, -1]),
        "map50": _mean(precision[0, :, :, 0, -1]),
        "map75": _mean(precision[5, :, :, 0, -1]),
        "per_class": {
            name: {
                "map": _mean(precision[:, :, k, 0, -1]),
                "map50": _mean(precision[0, :, k, 0, -1]),
                "boxes": sum(p.label == name for truth, _ in pictures for p in truth.counted(ignore_unseen)),
            }
            for k, name in enumerate(labels)
        },
    }
    if small_px2 is not None:
        rows["small"] = {
            "below_px2": small_px2,
            "map": _mean(precision[:, :, :, 1, -1]),
            "map50": _mean(precision[0, :, :, 1, -1]),
        }
    return rows


def mean_average_precision(pictures: Pictures, labels: Sequence[str], ignore_unseen: bool = False) -> dict[str, Any]:
    """Compute mAP (IoU 0.50 to 0.95), mAP50 and mAP75, for all boxes, for each class, and for small boxes.

    The smallest third of the true boxes is small. (At usual picture sizes hardly any pin reaches COCO's 32 x 32 px.)

    Args:
        pictures, labels: Truth and found boxes of each picture in its px, and class names without OK.
        ignore_unseen: Whether to ignore defects that cannot be seen; the smallest third is then that of the others.

    Returns:
        `map`, `map50`, `map75` in [0, 1], None without true boxes; `per_class`: by class `map`, `map50` and the number
        of true `boxes`. With true boxes, also `small`: `map` and `map50` of boxes with an area below `below_px2`.
    """
    boxes = [pin.box for truth, _ in pictures for pin in truth.counted(ignore_unseen)]
    areas = sorted((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes)
    return _average_precisions(pictures, labels, areas[len(areas) // 3] if areas else None, ignore_unseen)


def _average_precision(scores: np.ndarray, hits: np.ndarray, count: int) -> float:
    """Average precision over COCO's 101 recall levels; `hits`: whether a box matches; `count`: number of true boxes.

    Own code, as pycocotools would match boxes again in each bootstrap draw.
    """
    order = np.argsort(-scores, kind="mergesort")
    true = np.cumsum(hits[order])
    precision = true / np.arange(1, len(true) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(true / count, np.linspace(0, 1, 101), side="left")
    return float(np.append(precision, 0.0)[np.minimum(at, len(precision))].mean())


def _matched(image: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Return, of pycocotools' result for a class in a picture, confidences and hits (N,), and number of true boxes."""
    if image is None:
        return np.array([]), np.array([]), 0
    counts = ~image["dtIgnore"][0].astype(bool)
    true = int((np.asarray(image["gtIgnore"]) == 0).sum())
    return np.array(image["dtScores"])[counts], (image["dtMatches"][0] > 0)[counts].astype(float), true


def map50_interval(
    pictures: Pictures, labels: Sequence[str], seed: int = 0, level: float = 0.95, ignore_unseen: bool = False
) -> tuple[float, float] | None:
    """Return the interval (low, high) of mAP50 at confidence `level`, by bootstrap over pictures drawn by `seed`.

    `labels`: class names without OK; `ignore_unseen`: whether to ignore defects that cannot be seen. None without true
    boxes.
    """
    if not any(truth.counted(ignore_unseen) for truth, _ in pictures):
        return None
    run = _coco_eval(pictures, labels, None, ignore_unseen)
    count = len(pictures)
    areas = len(run.params.areaRng)
    per_class = []
    for k in range(len(labels)):
        images = run.evalImgs[k * areas * count : k * areas * count + count]  # first area range: boxes of all sizes
        per_class.append([_matched(image) for image in images])
    rng = np.random.default_rng(seed)
    means = []
    for _ in range(BOOTSTRAPS):
        drawn = rng.integers(0, count, count)
        values = []
        for images in per_class:
            true = sum(images[i][2] for i in drawn)
            if true:
                scores = np.concatenate([images[i][0] for i in drawn])
                hits = np.concatenate([images[i][1] for i in drawn])
                values.append(_average_precision(scores, hits, true) if len(scores) else 0.0)
        if values:
            means.append(np.mean(values))
    tail = (1 - level) / 2
    return float(np.quantile(means, tail)), float(np.quantile(means, 1 - tail))
