"""Figures of runs and evaluations: curves over epochs, confusion matrices, operating points, calibration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from generator.io.palette import PAGE, hue
from trainer.core.run_folder import replace_file


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically; the same figure gives the same bytes with the same version of Matplotlib."""
    FigureCanvasAgg(figure)
    # Without a fixed software tag, two equal runs would differ in this file.
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None}))


def legend_below(axes: Axes, columns: int = 1, is_labelled: bool = True) -> None:
    """Write the legend of axes below them, where it covers no curve; for a figure with constrained layout.

    Args:
        axes: The axes, with labelled curves.
        columns: Number of columns of the legend.
        is_labelled: Whether the horizontal axis has a label, and numbers, which stand between.
    """
    # In letters' sizes, so that it does not depend on the figure's size.
    away = 5.0 if is_labelled else 1.0
    axes.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 0.0), borderaxespad=away, ncols=columns)


def curves(rows: Sequence[Mapping[str, object]], classes: Sequence[str], path: Path) -> None:
    """Plot loss, accuracy, recall per class and the predictions' entropy over the epochs.

    Args:
        rows: Lines of metrics.csv.
        classes, path: Class names, and the PNG file to write.
    """
    epochs = [int(row["epoch"]) for row in rows]  # type: ignore[call-overload]

    def column(name: str) -> list[float]:
        return [float(row[name]) if row[name] != "" else np.nan for row in rows]  # type: ignore[arg-type]

    figure = Figure(figsize=(11, 8), layout="constrained")
    (loss, score), (recall, spread) = figure.subplots(2, 2, sharex=True)
    loss.plot(epochs, column("train_loss"), label="train (loss of class and of patches)")
    loss.plot(epochs, column("val_loss"), label="validation (loss of class)")
    loss.set(title="Loss", yscale="log")
    score.plot(epochs, column("train_accuracy"), label="train")
    if not np.isnan(column("train_close_up_accuracy")).all():
        score.plot(epochs, column("train_close_up_accuracy"), label="train, close-ups of pins", linestyle="--")
    score.plot(epochs, column("val_accuracy"), label="validation")
    score.axhline(1 / len(classes), color="grey", linestyle=":", label="chance")
    score.set(title="Accuracy", ylim=(-0.02, 1.02))
    for name in classes:
        recall.plot(epochs, column(f"val_recall_{name}"), label=name, color=hue(name).on_white)
    recall.set(title="Recall per class, validation", xlabel="epoch", ylim=(-0.02, 1.02))
    spread.plot(
        epochs, column("val_prediction_entropy_bits"), label="entropy in bits of the mean predicted probabilities"
    )
    spread.plot(epochs, column("val_top_share"), label="share of predictions of the most predicted class")
    spread.set(
        title="Collapse to one class: entropy near 0, share near 1",
        xlabel="epoch",
        ylim=(-0.05, np.log2(len(classes)) + 0.1),
    )
    for axes in (loss, score, recall, spread):
        axes.grid(alpha=0.3)
        legend_below(axes, 1 if axes is spread else 4 if axes is recall else 2, axes in (recall, spread))
    save_figure(figure, path)


def confusion(matrices: Mapping[str, np.ndarray], classes: Sequence[str], path: Path) -> None:
    """Plot confusion matrices side by side: counts in the cells, each cell shaded by its share of the row's sum.

    Args:
        matrices: (K, K) counts by split name; row = true class.
        classes, path: Class names, and the PNG file to write.
    """
    figure = Figure(figsize=(4.2 * len(matrices), 4.2), layout="constrained")
    for axes, (name, matrix) in zip(figure.subplots(1, len(matrices), squeeze=False)[0], matrices.items(), strict=True):
        share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row in range(len(classes)):
            for column in range(len(classes)):
                color = "white" if share[row, column] > 0.6 else "black"
                axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=color)
        axes.set_xticks(range(len(classes)), classes, rotation=30, ha="right")
        axes.set_yticks(range(len(classes)), classes)
        accuracy = np.trace(matrix) / max(1, matrix.sum())
        axes.set(title=f"{name}: accuracy {accuracy:.3f}", xlabel="predicted", ylabel="true")
    save_figure(figure, path)


def calibration(
    panels: Mapping[str, Mapping[str, Mapping[str, Any]]],
    counted: str,
    true: str,
    path: Path,
    stated: str = "stated probability",
) -> None:
    """Plot the share of right answers over their stated probability, a panel for each split.

    Args:
        panels: By split and then by label of the curve, results of `metrics.reliability`.
        counted, true: Keys of its bins for the number of answers (also the word in the panel's title) and for the share
            of right ones.
        path: PNG file to write.
        stated: Title of the horizontal axis.
    """
    figure = Figure(figsize=(4.6 * len(panels), 5.4), layout="constrained")
    for axes, (name, curves) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfectly calibrated")
        total = 0
        for (label, measured), color in zip(curves.items(), ("tab:orange", "tab:blue"), strict=False):
            rows = measured["bins"]
            total = sum(r[counted] for r in rows)
            said, right = [r["confidence"] for r in rows], [r[true] for r in rows]
            axes.plot(said, right, color=color, alpha=0.6)
            ece = "-" if measured["ece"] is None else f"{measured['ece']:.3f}"
            area = [12 + 200 * r[counted] / total for r in rows]
            axes.scatter(said, right, area, color=color, label=f"{label}: ECE {ece}")
        axes.set(title=f"{name}: {total} {counted}", xlabel=stated, ylabel="share right")
        axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.05))
        axes.grid(alpha=0.3)
        legend_below(axes)
    save_figure(figure, path)


SHARES = (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
# Thresholds are drawn on a logit scale, which has no place for 0 and 1.
NEAREST = 1e-4
THRESHOLDS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)


def operating_points(reports: Mapping[str, Mapping[str, Any]], score: str, path: Path) -> bool:
    """Plot the operating points of splits: shares over the threshold, and overkill against escapes.

    Args:
        reports: Reports of splits by name; drawn are those whose `operating_points` come from OK and NG pictures.
        score: Name of the score that is compared with the threshold, such as P(NG).
        path: PNG file to write.

    Returns:
        False, without a file, if no split can be drawn.
    """
    held = {name: one["operating_points"] for name, one in reports.items() if "operating_points" in one}
    drawn = {name: one for name, one in held.items() if one["curve"]["escapes"] and one["curve"]["overkill"]}
    if not drawn:
        return False
    figure = Figure(figsize=(10.4, 5 * len(drawn)), layout="constrained")
    for (over, against), (name, one) in zip(figure.subplots(len(drawn), 2, squeeze=False), drawn.items(), strict=True):
        _over_threshold(over, one)
        over.set(title=f"{name}: errors over the threshold", xlabel=f"threshold of {score}")
        _against_escapes(against, one)
        against.set(title=f"{name}: overkill against escapes", xlabel="escapes: NG pictures called OK, %")
    save_figure(figure, path)
    return True


def _shares(axes: Axes, *names: str) -> None:
    """Give axes, x or y, a scale of shares from 0 to 1 that is wider for small shares."""
    for name in names:
        getattr(axes, f"set_{name}scale")("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
        getattr(axes, f"set_{name}ticks")(SHARES, [f"{100 * share:g}" for share in SHARES], fontsize=8)
        getattr(axes, f"set_{name}lim")(0, 1)


def _over_threshold(axes: Axes, one: Mapping[str, Any]) -> None:
    curve, own = one["curve"], one["points"][0]

    def place(threshold: Any) -> Any:
        return np.clip(threshold, NEAREST, 1 - NEAREST)

    axes.axvspan(*place([own["ok_below"], own["ng_from"]]), color=hue("UNSURE").on_white, alpha=0.15, label="UNSURE")
    for key, truth, limit, words, line in (
        ("escapes", "NG", "ok_below", "escapes: NG pictures called OK", "-"),
        ("overkill", "OK", "ng_from", "overkill: OK pictures called NG", "--"),
    ):
        at, color = place(curve["threshold"]), hue(truth).on_white
        axes.fill_between(at, curve[key]["low"], curve[key]["high"], color=color, alpha=0.15, linewidth=0)
        axes.plot(at, curve[key]["share"], color=color, linestyle=line, label=words)
        axes.plot(place(own[limit]), own[key]["share"], "o", color=color)
    axes.axvline(place(one["class_from"]), color="grey", linestyle=":", label="class of a defect from here on")
    axes.set_xscale("logit")
    axes.minorticks_off()
    axes.set_xticks(THRESHOLDS, [f"{threshold:g}" for threshold in THRESHOLDS], fontsize=8)
    axes.set(xlim=(NEAREST, 1 - NEAREST), ylabel="share of these pictures, %")
    _shares(axes, "y")
    axes.grid(alpha=0.3)
    legend_below(axes, 2)


def _against_escapes(axes: Axes, one: Mapping[str, Any]) -> None:
    curve, (own, *others) = one["curve"], one["points"]
    escapes, overkill, color = curve["escapes"]["share"], curve["overkill"], PAGE["accent"].light
    axes.fill_between(escapes, overkill["low"], overkill["high"], color=color, alpha=0.15, linewidth=0)
    axes.plot(escapes, overkill["share"], color=color, label="one threshold between OK and NG")
    for point in others:
        axes.plot(point["escapes"]["share"], point["overkill"]["share"], "o", color=color, fillstyle="none", zorder=3)
    unsure = f"the run's thresholds: {100 * own['unsure']['share']:.1f} % UNSURE"
    shown = own["escapes"]["share"], own["overkill"]["share"]
    axes.plot(*shown, "o", color=PAGE["ink"].light, label=unsure, clip_on=False, zorder=4)
    axes.set_ylabel("overkill: OK pictures called NG, %")
    _shares(axes, "x", "y")
    axes.grid(alpha=0.3)
    legend_below(axes, 2)
