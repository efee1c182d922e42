"""Plots of a detection training: curves, calibration, change of the weights, comparison of modes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from trainer.core import plots
from trainer.core.plots import legend_below, save_figure


def curves(rows: Sequence[Mapping[str, object]], ceiling: float | None, path: Path) -> None:
    """Plot losses, mAP and counts over the number of training pictures shown so far; the upper axis counts steps.

    Args:
        rows: Lines of metrics.csv, one per epoch.
        ceiling: Highest mAP possible on validation (`metrics.ceilings`); None: not drawn.
        path: PNG file to write.
    """

    def column(name: str) -> np.ndarray:
        return np.array([math.nan if row[name] in ("", None) else float(row[name]) for row in rows])  # type: ignore[arg-type]

    shown, steps = column("pictures"), column("step")
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    loss, score, verdicts = figure.subplots(1, 3)
    loss.plot(shown, column("train_answer_loss"), label="answer (cross-entropy)")
    loss.plot(shown, column("train_loss"), label="sum of all losses")
    loss.set(title="Training loss", yscale="log")
    for name, label in (
        ("val_map50", "mAP50"),
        ("val_map50_seen", "mAP50, seen positions"),
        ("val_map50_held-out", "mAP50, held-out positions"),
        ("val_map", "mAP"),
    ):
        values = column(name)
        measured = ~np.isnan(values)
        if measured.any():
            score.plot(shown[measured], values[measured], marker=".", label=label)
    if ceiling is not None:
        score.axhline(ceiling, color="grey", linestyle=":", label="highest possible mAP: true boxes, rounded to bins")
    score.set(title="Validation", ylim=(-0.02, 1.02))
    for name, label in (
        ("val_address_and_mode", "right address and mode, per NG pin"),
        ("val_false_boxes_per_ok", "false boxes per OK picture"),
    ):
        values = column(name)
        measured = ~np.isnan(values)
        verdicts.plot(shown[measured], values[measured], marker=".", label=label)
    verdicts.set(title="Validation, at the best threshold of confidence", ylim=(-0.02, 1.05))
    for axes in (loss, score, verdicts):
        axes.set_xlabel("training pictures shown")
        axes.grid(alpha=0.3)
        legend_below(axes)
        if len(rows) > 1:
            upper = axes.secondary_xaxis(
                "top", functions=(lambda x, k=steps[-1] / shown[-1]: x * k, lambda x, k=steps[-1] / shown[-1]: x / k)
            )
            upper.set_xlabel("steps", fontsize=8)
    save_figure(figure, path)


def calibration(reports: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Plot into the PNG file `path` the share of right boxes over confidence and probability; `reports`: by split."""
    panels: dict[str, dict[str, Any]] = {}
    for name, one in reports.items():
        part = one.get("calibration_of_counted") or {}
        curves = {f"{key} of boxes that count": part[key] for key in ("confidence", "probability") if part}
        panels[name] = curves or {"confidence of all boxes": one["calibration"]}
    plots.calibration(panels, "boxes", "true", path, "confidence or probability")


def weight_changes(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Plot the relative change of each weight matrix, in the model's order, coloured by part of the model.

    Args:
        rows: From `lora.changes`.
        path: PNG file to write.
    """
    matrices = [row for row in rows if row["relative"] is not None and row["name"].endswith("weight")]
    figure = Figure(figsize=(12, 5.2), layout="constrained")
    axes = figure.subplots()
    for number, part in enumerate(dict.fromkeys(row["part"] for row in matrices)):
        places = [i for i, row in enumerate(matrices) if row["part"] == part]
        moved = sum(bool(matrices[i]["changed"]) for i in places)
        axes.bar(
            places,
            [matrices[i]["relative"] for i in places],
            width=1.0,
            color=f"C{number}",
            label=f"{part}: {moved} of {len(places)} matrices changed",
        )
    axes.set(
        title="What training changed: |after - before| / |before| of each matrix",
        xlabel="weight matrices in the model's order",
        ylabel="relative change",
    )
    axes.grid(alpha=0.3, axis="y")
    legend_below(axes, 2)
    save_figure(figure, path)


def comparison(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Plot training modes (such as lora) beside each other: mAP50, changed parameters, peak memory and time.

    Args:
        rows: For each mode `name`, `map50`, `changed_parameters`, `peak_memory_mb` and `minutes`.
        path: PNG file to write.
    """
    figure = Figure(figsize=(13, 3.2 + 0.2 * len(rows)), layout="constrained")
    names = [row["name"] for row in rows]
    for axes, (key, title) in zip(
        figure.subplots(1, 4, sharey=True),
        (
            ("map50", "mAP50"),
            ("changed_parameters", "parameters changed"),
            ("peak_memory_mb", "peak memory, MB"),
            ("minutes", "minutes"),
        ),
        strict=True,
    ):
        values = [float(row[key] or 0) for row in rows]
        bars = axes.barh(names, values, color="C0")
        axes.bar_label(bars, [f"{v:.3f}" if key == "map50" else f"{v:,.4g}" for v in values], fontsize=8, padding=2)
        axes.set(title=title, xlim=(0, max([*values, 1e-9]) * 1.3))
        axes.invert_yaxis()
    save_figure(figure, path)
