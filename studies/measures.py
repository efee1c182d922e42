"""Extract the result of a finished run (numbers with their intervals) from the files that its commands wrote."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from studies.datasets_made import Workshop, read_rows_of
from studies.plan import METHODS
from studies.run import Run

CURVE = ("epoch", "stage", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_balanced_accuracy")
FLORENCE_CURVE = ("epoch", "stage", "train_loss", "val_loss", "val_map", "val_map50")
KEPT = ("pictures", "parts", "accuracy", "balanced_accuracy", "auroc", "escapes", "overkill")
FLORENCE_KEPT = (
    "pictures",
    "boxes",
    "map",
    "map50",
    "map50_interval",
    "right_address_and_mode",
    "missing_found",
    "false_boxes_per_ok_picture",
)
FACTORS = ("position", "kinds", "camera", "housing", "terminal", "marking")
# Cameras whose pictures are judged together as one part.
VIEWS = {
    "centre": ("center",),
    "centre, top, bottom": ("center", "top", "bottom"),
    "all five": ("center", "left", "right", "top", "bottom"),
}


def result(run: Run, folder: Path, workshop: Workshop) -> dict[str, Any]:
    """Extract a finished run's numbers for tables and figures from its `folder` and the manifests in `workshop`."""
    if run.trainer == "soart":
        return {"scores": soart_scores(folder / "detect.json")}
    if run.trainer == "florence2":
        return florence2(folder / "run")
    found = vit(folder)
    said = _csv(folder / "evaluation" / "predictions.csv")
    for name, split in found["splits"].items():
        split["answers"] = answers([line for line in said if line["split"] == name])
    for split in run.attention:
        found.setdefault("attention", {})[split] = _json(folder / f"attention_{split}" / "attention.json")
    if run.parts or run.cells:
        rows = [row for d in run.data.designs for row in read_rows_of(workshop.manifests(d))]
        if run.parts:
            found["views"] = by_views(said, rows)
        if run.cells:
            found["scores"] = vit_scores(said, rows)
    if run.originals:
        learned = _json(folder / "originals" / "evaluation.json")["splits"]["train"]
        found["originals"] = {key: learned[key] for key in ("pictures", "accuracy", "balanced_accuracy")}
    return found


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def curve(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Read the epochs of a metrics.csv: the given columns, and `seconds_so_far`, the sum of the epochs' seconds."""
    found, spent = [], 0.0
    for row in _csv(path):
        spent += float(row["seconds"])
        line: dict[str, Any] = {name: _number(row.get(name, "")) for name in columns}
        found.append({**line, "seconds_so_far": round(spent, 1)})
    return found


def _number(text: str) -> float | str | None:
    try:
        return float(text)
    except ValueError:
        return text or None


def vit(folder: Path) -> dict[str, Any]:
    """Read a ViT's training curve and the numbers of `trainer.evaluate` for each split, from the run's folder."""
    summary = _json(folder / "run" / "summary.json")
    evaluation = _json(folder / "evaluation" / "evaluation.json")
    splits = {}
    for name, report in evaluation["splits"].items():
        kept = {key: report[key] for key in KEPT}
        kept["recall"] = {label: one["recall"] for label, one in report["classes"].items()}
        kept["factors"] = {name: report["factors"][name] for name in FACTORS if name in report["factors"]}
        splits[name] = kept
    return {
        "curve": curve(folder / "run" / "metrics.csv", CURVE),
        "best_epoch": summary["best_epoch"],
        "collapsed": bool(summary["warnings"]),
        "left_out": evaluation["left_out"],
        "splits": splits,
    }


def answers(lines: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Pack the true and the predicted class of each picture or part, to compare two runs picture by picture.

    Args:
        lines: For each picture or part its name `run`, true class `truth` and predicted class `said`.

    Returns:
        `of`, a hash of the names in order (equal for two runs that can be compared); `classes`, the classes' names;
        `truth` and `said`, a string each: per picture one digit, the class's index in `classes`.
    """
    classes = sorted({line["truth"] for line in lines} | {line["said"] for line in lines})
    return {
        "of": _hash_of([line["run"] for line in lines]),
        "classes": classes,
        **{key: "".join(str(classes.index(line[key])) for line in lines) for key in ("truth", "said")},
    }


def _hash_of(names: Sequence[str]) -> str:
    """Compute a short hash of names in order: equal for two runs that were measured on the same pictures or parts."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def by_views(said: Sequence[dict[str, str]], rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Judge whole parts by the mean probabilities of several views.

    A run that was trained on several views together has one answer for them, which is used as it is.

    Args:
        said: Lines of predictions.csv; only those of the split `test` are used.
        rows: Rows of the manifests, with each picture's camera.

    Returns:
        By name of the views (`VIEWS`): `parts`, their number; `class` and `verdict`, the share of right ones; `recall`
        by true class; `answers`, from the function `answers`. Each share has a 95 % interval (Clopper and Pearson, one
        trial per part).
    """
    from trainer.core.intervals import share

    cameras = {row["run"]: row["camera"] for row in rows}
    parts: dict[str, dict[frozenset[str], dict[str, str]]] = {}
    for line in said:
        if line["split"] == "test":
            seen_from = frozenset(cameras[run] for run in line["run"].split("+"))
            parts.setdefault(line["part"], {})[seen_from] = line
    found: dict[str, Any] = {}
    for name, views in VIEWS.items():
        judged: list[dict[str, str]] = []
        for part, lines in parts.items():
            together = lines.get(frozenset(views))
            alone = [lines[key] for view in views if (key := frozenset([view])) in lines]
            if together is None and len(alone) < len(views):
                continue
            some = alone if together is None else [together]
            classes = [key[2:] for key in some[0] if key.startswith("p_") and key != "p_ng"]
            mean = {c: float(np.mean([float(line[f"p_{c}"]) for line in some])) for c in classes}
            # A part's class is its worst in any view: in a view that hides the defect it may be OK.
            truth = next((line["truth"] for line in some if line["truth"] != "OK"), "OK")
            judged.append({"run": part, "truth": truth, "said": max(mean, key=lambda c: mean[c])})
        truths = [one["truth"] for one in judged]
        right = [one["truth"] == one["said"] for one in judged]
        verdict = [(one["truth"] == "OK") == (one["said"] == "OK") for one in judged]
        found[name] = {
            "parts": len(judged),
            "class": share(sum(right), len(judged)),
            "verdict": share(sum(verdict), len(judged)),
            "recall": {
                label: share(
                    sum(r for r, truth in zip(right, truths, strict=True) if truth == label), truths.count(label)
                )
                for label in sorted(set(truths))
            },
            "answers": answers(judged),
        }
    return found


def vit_scores(said: Sequence[dict[str, str]], rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Return a ViT's P(NG) of the pictures that methods without training judge too, packed by the function `scores`.

    `said` has the lines of predictions.csv, `rows` the rows of the manifests.
    """
    from benchmarks.soart_evaluation import NEGATIVES

    cells = {row["run"]: row["cell"] for row in rows if row.get("role") == "judged"}
    good = [row["run"] for row in rows if row.get("role") == "fresh"][:NEGATIVES]
    ng = {line["run"]: float(line["p_ng"]) for line in said if line["split"] == "test"}
    judged = [*((run, "") for run in good), *cells.items()]
    return scores(judged, {"ViT": [ng[run] for run, _ in judged]})


def soart_scores(path: Path) -> dict[str, Any]:
    """Read soart_evaluation's detect.json; returns what the function `scores` makes of its unchanged renders."""
    found = [one for one in _json(path) if one["condition"] == "as rendered"]
    judged = [(one["run"], one["cell"]) for one in found]
    return scores(judged, {m: [one["image"][m] for one in found] for m in METHODS})


def scores(judged: Sequence[tuple[str, str]], by_method: dict[str, list[float]]) -> dict[str, Any]:
    """Pack scores of pictures (higher: more likely defective) for storage in a result.

    Args:
        judged: Name and cell of each picture: the OK pictures first (cell ""), then cell by cell. A cell is a defect
            at a size.
        by_method: The scores of each method, in the order of `judged`.

    Returns:
        `of`, a hash of the pictures' names in order; `cells`, number of pictures of each cell; `by_method`, the scores
        rounded to 6 digits.

    Raises:
        ValueError: The pictures of a cell are not next to each other.
    """
    counts = Counter(cell for _, cell in judged)
    if [cell for cell, count in counts.items() for _ in range(count)] != [cell for _, cell in judged]:
        raise ValueError("judged: expected a list with each cell's pictures next to each other, got another order")
    rounded = {name: [float(f"{value:.6g}") for value in values] for name, values in by_method.items()}
    return {"of": _hash_of([run for run, _ in judged]), "cells": dict(counts), "by_method": rounded}


def florence2(folder: Path) -> dict[str, Any]:
    """Read a Florence-2 run's training curve, the measures of each split, numbers of parameters, and forgetting.

    Forgetting is given by similarity and agreement of the answers before and after training.

    Args:
        folder: The trainer's run folder.
    """
    summary = _json(folder / "summary.json")
    return {
        "curve": curve(folder / "metrics.csv", FLORENCE_CURVE),
        "best_epoch": summary["best_epoch"],
        "training_pictures": summary["training_pictures"],
        "parameters": summary["parameters"],
        "trained_parameters": summary["trained_parameters"],
        "changed_parameters": sum(part["changed_parameters"] for part in summary["changed"].values()),
        "peak_memory_mb": summary["peak_memory_mb"],
        "forgetting": {key: summary["forgetting"][key] for key in ("similarity", "agreement")},
        "splits": detections(summary["splits"]),
    }


def detections(reports: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Select a detector's measures of each split and of its groups from `trainer.florence2.metrics.report` by split."""
    splits = {}
    for name, report in reports.items():
        splits[name] = {key: report.get(key) for key in FLORENCE_KEPT}
        for group in ("positions", "digits"):
            splits[name][group] = {
                part: {key: values.get(key) for key in FLORENCE_KEPT} for part, values in report.get(group, {}).items()
            }
    return splits
