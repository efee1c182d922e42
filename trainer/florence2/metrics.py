"""Measures of a detector's boxes: mAP, and counts of pins found and of false boxes.

mAP (`average_precision`) is over all boxes with their confidences. Counts leave out boxes whose confidence is below a
threshold. A found box matches a true box of the same label if their IoU is at least 0.5.

All true boxes count. If some are of defects that nobody can see in their picture (`Pin.unseen`), the key `observable`
has the measures without these, which are ignored as in COCO: none is missed, and a box that matches one is not false.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainer.core.calibration import Calibration
from trainer.core.decision import Thresholds
from trainer.core.held_out import group_of
from trainer.core.metrics import reliability
from trainer.core.verdict_shares import sentence
from trainer.florence2.answers import Found
from trainer.florence2.average_precision import Pictures, map50_interval, mean_average_precision
from trainer.florence2.truth import FACTORS, Pin, Truth, quantised
from trainer.florence2.verdict_counts import parts_at, verdicts_at

MATCH_IOU = 0.5
# What is measured a second time where some defects cannot be seen; the other measures do not depend on them.
OBSERVABLE = (
    *("boxes", "map", "map50", "map50_interval"),
    *("pins", "right_address", "right_address_and_mode", "precision", "recall"),
)


def iou(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> np.ndarray:
    """Return the intersection over union (N, M) of boxes `first` (N, 4) and `second` (M, 4), xyxy; 0 without area."""
    from torchvision.ops import box_iou  # takes seconds to import

    over = box_iou(*(torch.tensor(boxes, dtype=torch.float64) for boxes in (first, second)))
    return np.asarray(over.nan_to_num(0.0))


def matches(truth: Truth, found: Sequence[Found], ignore_unseen: bool = False) -> list[int | None]:
    """Return for each found box the index of its true box in `truth.targets`; None if it has none.

    The true box has the same label and the largest IoU, at least 0.5. A true box is used once, by the most confident
    found box. With `ignore_unseen`, a defect that cannot be seen gets a box only if no other fits it, as in COCO.
    """
    out: list[int | None] = [None] * len(found)
    if not found or not truth.targets:
        return out
    overlap = iou([f.box for f in found], [p.box for p in truth.targets])
    taken: set[int] = set()
    for i in sorted(range(len(found)), key=lambda i: -found[i].confidence):
        fits = [
            (not (ignore_unseen and pin.unseen), float(overlap[i, j]), j)
            for j, pin in enumerate(truth.targets)
            if j not in taken and pin.label == found[i].label and overlap[i, j] >= MATCH_IOU
        ]
        if fits:
            out[i] = max(fits)[2]
            taken.add(max(fits)[2])
    return out


def hits(truth: Truth, found: Sequence[Found]) -> list[bool]:
    """Return for each found box whether it matches a true box: see `matches`."""
    return [match is not None for match in matches(truth, found)]


def pin_at(box: Sequence[float], pins: Sequence[Pin]) -> Pin | None:
    """Return the pin whose box overlaps `box` (xyxy) most; otherwise the first with its centre in `box`; or None."""
    if not pins:
        return None
    overlap = iou([box], [p.box for p in pins])[0]
    best = int(overlap.argmax())
    if overlap[best] > 0:
        return pins[best]
    for pin in pins:
        x, y = (pin.box[0] + pin.box[2]) / 2, (pin.box[1] + pin.box[3]) / 2
        if box[0] <= x <= box[2] and box[1] <= y <= box[3]:
            return pin
    return None


def best_threshold(pictures: Pictures, most_false: float = 0.1) -> float:
    """Choose the threshold of confidence with the highest F1 of boxes.

    Only thresholds with at most `most_false` false boxes per OK picture are considered. If there is none, the result is
    just above the highest confidence of all boxes; if there is no box, it is 0.5.
    """
    scored = [
        (f.confidence, hit, not truth.targets)
        for truth, found in pictures
        for f, hit in zip(found, hits(truth, found), strict=True)
    ]
    true = sum(len(truth.targets) for truth, _ in pictures)
    ok = sum(not truth.targets for truth, _ in pictures)
    best, threshold = -1.0, 0.5
    if scored:
        threshold = math.nextafter(max(s[0] for s in scored), math.inf)
    for level in sorted({round(s[0], 3) for s in scored}):
        kept = [s for s in scored if s[0] >= level]
        if ok and sum(s[2] for s in kept) / ok > most_false:
            continue
        f1 = 2 * sum(s[1] for s in kept) / max(1, len(kept) + true)
        if f1 > best:
            best, threshold = f1, level
    return threshold


@dataclass(frozen=True)
class Counts:
    """Counts and ratios at a threshold, see `counts`; a ratio is None if its divisor is 0.

    Attributes:
        threshold: Confidence from which a box counts.
        pins: Number of defective pins with an address.
        right_address, right_address_and_mode: Share of these pins found at their address, and with their class.
        missing_pins, missing_found: Number of missing pins, share of them that is found.
        ok_pictures, false_boxes_per_ok_picture: Number of pictures without a true box, mean number of boxes on them.
        precision, recall: Share of found boxes that match a true box, and of true boxes that are matched.
    """

    threshold: float
    pins: int
    right_address: float | None
    right_address_and_mode: float | None
    missing_pins: int
    missing_found: float | None
    ok_pictures: int
    false_boxes_per_ok_picture: float | None
    precision: float | None
    recall: float | None


def counts(pictures: Pictures, threshold: float, ignore_unseen: bool = False) -> Counts:
    """Count defective pins found, and false boxes on OK pictures, at a threshold.

    A defective pin is found at the right address if `pin_at` returns it for a box, and with the right mode if this box
    has its class, too. A missing pin is found if a box of its label has an IoU of at least 0.5 with its expected box.
    With `ignore_unseen`, defects that cannot be seen are not counted, nor boxes that match one.
    """
    pins = right = right_mode = missing = missing_found = ok = false = said = true = total = 0
    for truth, all_found in pictures:
        found = [f for f in all_found if f.confidence >= threshold]
        counted = truth.counted(ignore_unseen)
        ignored = {k for k, pin in enumerate(truth.targets) if ignore_unseen and pin.unseen}
        matched = [match for match in matches(truth, found, ignore_unseen) if match not in ignored]
        said += len(matched)
        total += len(counted)
        true += sum(match is not None for match in matched)
        if not truth.targets:
            ok += 1
            false += len(found)
        at = [(pin_at(f.box, truth.pins), f) for f in found]
        for pin in counted:
            on_it = [f for where, f in at if where is pin]
            if pin.address:
                pins += 1
                right += bool(on_it)
                right_mode += any(f.label == pin.label for f in on_it)
            if pin.missing:
                missing += 1
                same = [f for f in found if f.label == pin.label]
                if same:
                    missing_found += bool(iou([pin.box], [f.box for f in same]).max() >= MATCH_IOU)

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return Counts(
        threshold,
        pins,
        share(right, pins),
        share(right_mode, pins),
        missing,
        share(missing_found, missing),
        ok,
        share(false, ok),
        share(true, said),
        share(true, total),
    )


def ceilings(truths: Sequence[Truth], labels: Sequence[str]) -> dict[str, float | None]:
    """Return the mAP of answers that state the true boxes (`truths`) as exactly as tokens can; None without true boxes.

    `map`: edges are rounded to bins, thousandths of the picture; `map_whole_px`: they are then cut to whole px.
    """
    floats: list[tuple[Truth, list[Found]]] = []
    whole: list[tuple[Truth, list[Found]]] = []
    for truth in truths:
        boxes = [quantised(pin.box, truth.size) for pin in truth.targets]
        for kept, out in ((boxes, floats), ([tuple(map(math.trunc, box)) for box in boxes], whole)):
            out.append(
                (truth, [Found(tuple(b), p.label, 1.0) for b, p in zip(kept, truth.targets, strict=True)])  # type: ignore[arg-type]
            )
    return {
        "map": mean_average_precision(floats, labels)["map"],
        "map_whole_px": mean_average_precision(whole, labels)["map"],
    }


def scored(pictures: Pictures) -> tuple[list[float], list[bool]]:
    """Return the confidence of each found box, and whether it matches a true box."""
    confidences = [one.confidence for _, found in pictures for one in found]
    return confidences, [hit for truth, found in pictures for hit in hits(truth, found)]


def calibration(pictures: Pictures, threshold: float) -> dict[str, Any]:
    """Return the result of `reliability` for the confidence of found boxes, and `boxes`, the number of these boxes.

    Pins that the model lists and holds for good are boxes found only from the `threshold` on. Below it there are so
    many, all of them of little confidence and rightly so, that the error would be theirs.
    """
    kept = [not one.is_good or one.confidence >= threshold for _, found in pictures for one in found]
    confidences, true = (np.array(some)[np.array(kept, dtype=bool)] for some in scored(pictures))
    return {**reliability(confidences, true, "boxes", "true"), "boxes": len(true)}


def calibration_of_counted(pictures: Pictures, by: Calibration) -> dict[str, Any]:
    """Return the number of boxes that `by` calibrates; of their `confidence` and `probability`, see `reliability`."""
    boxes = [(c, p, hit) for c, hit in zip(*scored(pictures), strict=True) if (p := by.probability(c)) is not None]
    *stated, true = np.array(boxes, dtype=float).reshape(-1, 3).T
    both = zip(("confidence", "probability"), stated, strict=True)
    return {"boxes": len(boxes), **{name: reliability(values, true, "boxes", "true") for name, values in both}}


def position_groups(truths: Iterable[Truth], seen: Mapping[str, Sequence[str]]) -> list[str]:
    """Return for each picture the group of its defects (`held_out.group_of`), such as `seen`; `ok` without defects."""
    return [group_of(*truth.defects, seen) if truth.targets else "ok" for truth in truths]


def measures_of(pictures: Pictures, labels: Sequence[str], threshold: float, interval: bool) -> dict[str, Any]:
    """Measures of some pictures: counts, mAP and, with `interval`, the interval of mAP50.

    `observable` has those of the defects that can be seen, and the number of `ignored` ones; None if that is 0.
    """

    def measured(ignore_unseen: bool) -> dict[str, Any]:
        precisions = mean_average_precision(pictures, labels, ignore_unseen)
        row: dict[str, Any] = {
            "boxes": sum(len(truth.counted(ignore_unseen)) for truth, _ in pictures),
            **{name: precisions[name] for name in ("map", "map50")},
            **counts(pictures, threshold, ignore_unseen).__dict__,
        }
        if interval:
            row["map50_interval"] = map50_interval(pictures, labels, ignore_unseen=ignore_unseen)
        return row

    ignored = sum(pin.unseen for truth, _ in pictures for pin in truth.targets)
    seen = {name: value for name, value in measured(True).items() if name in OBSERVABLE} if ignored else {}
    observable = {"ignored": ignored, **seen} if ignored else None
    return {"pictures": len(pictures), **measured(False), "observable": observable}


def report(
    truths: Sequence[Truth],
    found: Sequence[Sequence[Found]],
    labels: Sequence[str],
    threshold: float,
    seen: Mapping[str, Sequence[str]],
    intervals: bool = True,
    limits: Thresholds | None = None,
    unsuitable: Sequence[Sequence[str]] = (),
    calibrated: Calibration | None = None,
) -> dict[str, Any]:
    """Compute all measures of one split, as evaluation.json stores them.

    A new measure is a function in this module and a key here or in `measures_of`; `evaluation_page` shows it.

    Args:
        truths, found: Truth and found boxes of each picture, in px of the picture.
        labels: Class names without OK.
        threshold: Confidence from which a box counts.
        seen: Addresses of the pins that are defective in a training picture, by scene.
        intervals: Whether to compute bootstrap intervals of mAP50.
        limits: Thresholds of the verdicts; None: all are `threshold`.
        unsuitable: For each picture the reasons of the run's gates why it cannot be judged; empty: no gates.
        calibrated: The run's calibration, fitted on other pictures; None: only confidences are measured.
    """
    pictures = list(zip(truths, found, strict=True))

    def part(keep: Iterable[bool], interval: bool = intervals) -> dict[str, Any]:
        some = [picture for picture, kept in zip(pictures, keep, strict=True) if kept]
        return measures_of(some, labels, threshold, interval)

    groups = position_groups(truths, seen)
    out: dict[str, Any] = {
        **measures_of(pictures, labels, threshold, intervals),
        **{k: v for k, v in mean_average_precision(pictures, labels).items() if k not in ("map", "map50")},
        "verdicts": verdicts_at(pictures, limits or Thresholds.at(threshold), unsuitable),
        "verdicts_on_parts": parts_at(pictures, limits or Thresholds.at(threshold), unsuitable),
        "ceiling": ceilings(truths, labels),
        "calibration": calibration(pictures, threshold),
        # OK pictures belong to both groups, so that their false boxes count in each.
        "positions": {
            name: part(group in (name, "ok") for group in groups) for name in ("seen", "held-out") if name in groups
        },
        "factors": {},
    }
    if calibrated is not None and calibrated.slope is not None:
        out["calibration_of_counted"] = calibration_of_counted(pictures, calibrated)
    for factor in FACTORS:
        values = [truth.factors.get(factor, "") for truth in truths]
        levels = sorted(set(values))
        if len(levels) > 1:
            out["factors"][factor] = {level: part([v == level for v in values], False) for level in levels}
    with_digits = [truth.factors.get("marking", "none") != "none" for truth in truths]
    if len(set(with_digits)) == 2:
        out["digits"] = {"with": part(with_digits), "without": part(not held for held in with_digits)}
    return out


def headline(measured: Mapping[str, Any]) -> str:
    """Return the main measures of a report as one line of text for the terminal."""

    def shown(value: Any) -> str:
        return "-" if value is None else f"{value:.3f}"

    return (
        f"mAP {shown(measured['map'])}  mAP50 {shown(measured['map50'])}  "
        f"right address and mode {shown(measured['right_address_and_mode'])}  "
        f"false boxes per OK picture {shown(measured['false_boxes_per_ok_picture'])}"
        + (f"  {_observable(seen)}" if (seen := measured.get("observable")) else "")
        + (f"  {sentence(measured['verdicts'])}" if "verdicts" in measured else "")
    )


def _observable(seen: Mapping[str, Any]) -> str:
    """Say mAP50 and right address and mode of the defects that can be seen, and how many others are ignored."""
    values = (seen["map50"], seen["right_address_and_mode"])
    map50, right = ("-" if value is None else f"{value:.3f}" for value in values)
    return f"(without {seen['ignored']} that cannot be seen: mAP50 {map50}, right address and mode {right})"
