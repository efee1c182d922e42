"""Figures of a training: curves over epochs (numbers: metrics.csv) and confusion matrices (summary.json)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from generator.io.palette import hue
from trainer.core.run_folder import replace_file


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, atomically; the same figure gives the same bytes with the same version of Matplotlib."""
    FigureCanvasAgg(figure)
    # Without a fixed software tag, two equal runs would differ in this file.
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None}))


def curves(rows: Sequence[Mapping[str, object]], classes: Sequence[str], path: Path) -> None:
    """Plot loss, accuracy, recall per class and the predictions' entropy over the epochs.

    Args:
        rows: Lines of metrics.csv.
        classes, path: Class names, and the PNG file to write.
    """
    epochs = [int(row["epoch"]) for row in rows]  # type: ignore[call-overload]

    def column(name: str) -> list[float]:
        return [float(row[name]) if row[name] != "" else np.nan for row in rows]  # type: ignore[arg-type]

    figure = Figure(figsize=(11, 7), layout="constrained")
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
        axes.legend(fontsize=8)
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
