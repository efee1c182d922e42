"""Verdicts of a run on the pictures of a station, with the truth of the renders' records, and their figures.

A part is NG in truth if a pin is missing or beyond the tolerance of the drawing that the run knows. Heights are those
over that drawing, too: a housing whose floor lies deeper than drawn lowers all tips.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from blender_scripts.contract.connector import Connector
from generator.verdict.envelope import Verdict
from trainer.core.intervals import balanced_interval, clopper_pearson, part_counts, part_interval
from trainer.core.metrics import balanced_accuracy

AXES = ("dx", "dy", "retraction")
OK, BENT, LOW, OTHER = "OK", "BENDNG", "NUKENG", "OTHERNG"
# Draws of parts for the intervals of root mean squares and AUROCs.
_DRAWS, _LEVEL = 500, 0.95
_MISSING_SCORE = 100.0


@dataclass(frozen=True)
class Truth:
    """A part's truth: its class, and for each pin dx, dy and retraction in mm; None for a missing pin."""

    label: str
    pins: Mapping[str, tuple[float, float, float] | None]


@dataclass(frozen=True)
class JudgedPart:
    """A run's verdict on a part, beside the truth.

    Attributes:
        name: the part.
        truth: its class in truth.
        verdict, reasons: as the run gave them.
        label: the class that the run states, whatever its verdict; empty: it states none.
        score: how anomalous `inspect` found the picture; None for others.
        pins: for each measured pin: `true` (dx, dy, retraction; None: missing), `found` and `u` in mm (None: missing),
            `score` (how far beyond its limits, as a multiple of them) and `ng` (in truth).
    """

    name: str
    truth: str
    verdict: str
    reasons: tuple[str, ...] = ()
    label: str = ""
    score: float | None = None
    pins: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


def truths(records: Path, connector: Connector, floor_mm: float) -> dict[str, Truth]:
    """Read the truth of all parts of a render folder's records.

    Args:
        records: the folder of records, files PART_CAMERA.json.
        connector: the drawing that the runs know.
        floor_mm: how much deeper the floor of the rendered housings lies than drawn.
    """
    found = {}
    for path in sorted(records.glob("*.json")):
        name = path.stem.rpartition("_")[0]
        if name in found:
            continue
        pins: dict[str, tuple[float, float, float] | None] = {}
        for each in json.loads(path.read_text("utf-8"))["positions"]:
            is_there = each["tip_mm"] is not None
            pins[each["address"]] = (
                (each["dx_mm"], each["dy_mm"], each["retraction_mm"] + floor_mm) if is_there else None
            )
        found[name] = Truth(_label(pins, connector), pins)
    return found


def _label(pins: Mapping[str, tuple[float, float, float] | None], connector: Connector) -> str:
    kinds = Counter(_kind(address, pin, connector) for address, pin in pins.items())
    return next((kind for kind in (LOW, OTHER, BENT) if kinds[kind]), OK)


def _kind(address: str, pin: tuple[float, float, float] | None, connector: Connector) -> str:
    limits = connector.tolerance.limits(address)
    if pin is None or pin[2] > limits.retraction_mm:
        return LOW
    if -pin[2] > limits.protrusion_mm:
        return OTHER
    return BENT if 2.0 * np.hypot(pin[0], pin[1]) > limits.true_position_mm else OK


def judged_by_gauge(
    entries: Sequence[Mapping[str, Any]], true: Mapping[str, Truth], connector: Connector
) -> list[JudgedPart]:
    """Join a gauge's entries of predictions.json with the truth."""
    found = []
    for entry in entries:
        name = Path(entry["part"]).name
        pins = []
        for pin in entry["pins"]:
            truth, measured = true[name].pins[pin["address"]], [pin.get(f"{axis}_mm") for axis in AXES]
            limits = connector.tolerance.limits(pin["address"])
            sizes = [0.0 if pin["kind"] != "missing" else _MISSING_SCORE]
            if measured[0] is not None and measured[1] is not None:
                sizes.append(2.0 * float(np.hypot(measured[0], measured[1])) / limits.true_position_mm)
            if measured[2] is not None:
                sizes.append(
                    measured[2] / limits.retraction_mm if measured[2] > 0 else -measured[2] / limits.protrusion_mm
                )
            pins.append(
                {
                    "address": pin["address"],
                    "true": truth,
                    "found": measured,
                    "u": [pin.get(f"u_{axis}_mm") for axis in AXES],
                    "score": max(sizes),
                    "ng": _kind(pin["address"], truth, connector) != OK,
                }
            )
        found.append(JudgedPart(name, true[name].label, entry["verdict"], tuple(entry["reasons"]), pins=pins))
    return found


def judged_by_classifier(
    entries: Sequence[Mapping[str, Any]], true: Mapping[str, Truth], threshold: float = 0.5
) -> list[JudgedPart]:
    """Join the entries of a ViT's or a Florence-2's predictions.json with the truth.

    Args:
        entries: one for each picture, or for a ViT on several views one for each part.
        true: the truth of each part.
        threshold: P(NG) from which on a ViT states a class of defect.
    """
    found = []
    for entry in entries:
        name = Path(entry["part"]).name if "part" in entry else Path(entry["file"]).stem.rpartition("_")[0]
        label = _stated(entry, threshold)
        found.append(JudgedPart(name, true[name].label, entry["verdict"], tuple(entry["reasons"]), label))
    return found


def _stated(entry: Mapping[str, Any], threshold: float) -> str:
    """The class that an entry states. That of an INVALID one follows from what the network found; empty: nothing."""
    if entry.get("label"):
        return str(entry["label"])
    if probabilities := entry.get("probabilities"):
        worst = max((name for name in probabilities if name != OK), key=lambda name: float(probabilities[name]))
        return worst if 1.0 - probabilities[OK] >= threshold else OK
    if any(reason.startswith("file:") for reason in entry["reasons"]):
        return ""
    # a Florence-2 states the class of each box
    return next((str(box["label"]) for box in entry.get("boxes", [])), OK)


def judged_by_inspect(entries: Sequence[Mapping[str, Any]], true: Mapping[str, Truth]) -> list[JudgedPart]:
    """Join the lines of `inspect`'s verdicts.jsonl, one for each picture, with the truth."""
    found = []
    for entry in entries:
        name = Path(entry["picture"]).stem.rpartition("_")[0]
        found.append(
            JudgedPart(name, true[name].label, entry["verdict"], tuple(entry["reasons"]), score=entry["score"])
        )
    return found


def verdict_figures(parts: Sequence[JudgedPart]) -> dict[str, Any]:
    """Count the verdicts.

    Returns:
        `good`, `ng`: number of good and NG parts by verdict; `silent`: names of NG parts that were called OK;
        `silent_below`: upper 95 % bound of the share of NG parts that are called OK (Clopper-Pearson, one-sided);
        `reasons`: number of INVALID parts by the keyword of their first reason.
    """
    counts = {
        name: dict(Counter(part.verdict for part in parts if (part.truth != OK) == is_ng))
        for name, is_ng in (("good", False), ("ng", True))
    }
    silent = [part.name for part in parts if part.truth != OK and part.verdict == Verdict.OK]
    bound = clopper_pearson(len(silent), sum(counts["ng"].values()), level=0.9)[1]
    invalid = [part.reasons[0].partition(":")[0] for part in parts if part.verdict == Verdict.INVALID and part.reasons]
    return {**counts, "silent": silent, "silent_below": bound, "reasons": dict(Counter(invalid))}


def gauge_figures(parts: Sequence[JudgedPart]) -> dict[str, Any]:
    """Compute a gauge's errors over the pins that it measured.

    Returns:
        For each axis A: `rms_A`, root mean square error in mm, and `within_A`, share of the errors within U, each with
        its 95 % interval over parts (value, low, high); `auroc` of a pin's score for OK or NG, over all judged pins.
        None where nothing was measured.
    """
    found: dict[str, Any] = {}
    for index, axis in enumerate(AXES):
        rows = [
            (part.name, pin["found"][index] - pin["true"][index], pin["u"][index])
            for part in parts
            for pin in part.pins
            if pin["true"] is not None and pin["found"][index] is not None
        ]
        names, errors = [row[0] for row in rows], np.array([row[1] for row in rows])
        within = np.abs(errors) <= np.array([row[2] for row in rows])
        found[f"rms_{axis}"] = _over_parts(names, errors, _rms)
        share = (float(within.mean()), *part_interval(names, within)) if rows else None
        found[f"within_{axis}"] = share
    names = [part.name for part in parts for _ in part.pins]
    values = np.array([[pin["score"], pin["ng"]] for part in parts for pin in part.pins], float).reshape(-1, 2)
    found["auroc"] = _over_parts(names, values, _auroc)
    return found


def classifier_figures(parts: Sequence[JudgedPart]) -> dict[str, Any]:
    """Compute `accuracy`: balanced accuracy of the stated classes with its 95 % interval over parts."""
    classes = sorted({part.truth for part in parts} | {part.label for part in parts})
    truth, said = (np.array([classes.index(getattr(part, name)) for part in parts], int) for name in ("truth", "label"))
    counts = part_counts([part.name for part in parts], truth, said, len(classes))
    return {"accuracy": (float(balanced_accuracy(counts.sum(0))), *balanced_interval(counts))}


def inspect_figures(parts: Sequence[JudgedPart]) -> dict[str, Any]:
    """Compute `auroc` of `inspect`'s score for OK or NG parts, over the pictures that got a score."""
    scored = [part for part in parts if part.score is not None]
    values = np.array([[part.score, part.truth != OK] for part in scored], float).reshape(-1, 2)
    return {"auroc": _over_parts([part.name for part in scored], values, _auroc)}


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def _auroc(values: np.ndarray) -> float:
    """Area under the curve of scores (n, 0) for labels (n, 1); NaN if a class is missing. Ties count one half."""
    from scipy.stats import rankdata

    is_ng = values[:, 1] > 0.5
    positives, negatives = int(is_ng.sum()), int((~is_ng).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(values[:, 0])[is_ng].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def _over_parts(names: Sequence[str], values: np.ndarray, measure: Any) -> tuple[float, float, float] | None:
    """A measure of values (n, ...) with its percentile interval over parts drawn anew; None if it has no value."""
    if not len(names):
        return None
    value = measure(values)
    if not np.isfinite(value):
        return None
    groups = [np.flatnonzero(np.array(names) == name) for name in dict.fromkeys(names)]
    source = np.random.default_rng(0)
    drawn = [
        measure(values[np.concatenate([groups[index] for index in source.integers(len(groups), size=len(groups))])])
        for _ in range(_DRAWS)
    ]
    low, high = np.nanquantile(drawn, [0.5 - 0.5 * _LEVEL, 0.5 + 0.5 * _LEVEL])
    return value, float(low), float(high)
