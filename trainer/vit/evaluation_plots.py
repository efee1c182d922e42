"""Figures of an evaluation: probability of detection, main effects, sheet of the worst mistakes."""

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from generator.io.drawing import Box, Cell, draw_boxes, enlargement, grid
from generator.io.palette import hue, rgb
from trainer.core.detection_probability import FOUND, probability
from trainer.core.plots import legend_below, save_figure
from trainer.core.run_folder import replace_file
from trainer.core.split import IGNORED, Split
from trainer.vit.network.model import OK_CLASS


def detection(reports: Mapping[str, Mapping[str, Any]], hits: Mapping[str, Mapping[str, Any]], path: Path) -> bool:
    """Plot the probability of detection against the defect's size, a panel for each split and measure.

    Args:
        reports: Reports of `metrics.report` by split.
        hits: Results of `metrics.sizes_found` by split.
        path: PNG file to write.

    Returns:
        False, without a file, if no defect has a size.
    """
    panels = [(split, measure) for split in reports for measure in hits[split]]
    if not panels:
        return False
    columns = max(len(hits[split]) for split in reports)
    lines = [split for split in reports if hits[split]]
    figure = Figure(figsize=(5.6 * columns, 4.3 * len(lines)), layout="constrained")
    grid = figure.subplots(len(lines), columns, squeeze=False)
    for row, split in enumerate(lines):
        for column in range(columns):
            axes = grid[row][column]
            if column >= len(hits[split]):
                axes.set_axis_off()
                continue
            measure = list(hits[split])[column]
            sizes, found = (np.asarray(values) for values in hits[split][measure])
            fitted = reports[split]["detection"][measure]
            # Seeded, so that equal results give equal figures.
            jitter = np.random.default_rng(0).uniform(0, 0.03, len(sizes))
            axes.scatter(sizes, np.where(found, 1 + jitter, -jitter), 12, color="tab:blue", alpha=0.6)
            count = min(6, 1 + len(sizes) // 4) if len(sizes) > 7 else 0
            edges = np.quantile(sizes, np.linspace(0, 1, count)).tolist()
            for low, high in itertools.pairwise(edges):
                inside = (sizes >= low) & (sizes <= high)
                axes.plot([low, high], [found[inside].mean()] * 2, color="grey", linewidth=2, alpha=0.7)
            at = np.geomspace(sizes.min(), max(sizes.max(), fitted["a90_95_mm"] or 0), 200)
            drawn = probability(fitted, at)
            if drawn is not None:
                axes.plot(at, drawn, color="tab:red", label="fitted curve")
            for key, label, style in (("a90_mm", "90 %", "--"), ("a90_95_mm", "90/95", "-")):
                if fitted[key] is not None and fitted[key] <= 1.5 * sizes.max():
                    axes.axvline(fitted[key], color="black", linestyle=style, label=f"{label}: {fitted[key]:.2f} mm")
            axes.axhline(FOUND, color="grey", linestyle=":")
            axes.set(
                title=f"{split}: {fitted['found']} of {fitted['defects']} found\n{textwrap.fill(fitted['note'], 62)}",
                xlabel=measure.replace("_mm", ", mm").replace("_", " "),
                ylabel="share found (NG)",
                ylim=(-0.08, 1.08),
            )
            axes.grid(alpha=0.3)
            if axes.get_legend_handles_labels()[0]:
                legend_below(axes, 3)
    save_figure(figure, path)
    return True


def main_effects(measured: Mapping[str, Any], title: str, path: Path) -> bool:
    """Write a PNG with the accuracy at each level of each factor (possible cause of mistakes), with 95 % intervals.

    `measured` is a result of `metrics.report`. Returns False, without a file, if it has no factors.
    """
    factors = measured["factors"]
    if not factors:
        return False
    widths = [max(1.5, 0.5 * len(levels)) for levels in factors.values()]
    figure = Figure(figsize=(1.2 + 1.25 * sum(widths), 5), layout="constrained")
    panels = figure.subplots(1, len(factors), sharey=True, squeeze=False, width_ratios=widths)[0]
    lowest = min(level["interval"][0] for levels in factors.values() for level in levels.values())
    for axes, (name, levels) in zip(panels, factors.items(), strict=True):
        values = [level["accuracy"] for level in levels.values()]
        bounds = np.array([level["interval"] for level in levels.values()])
        low, high = np.maximum(0, values - bounds[:, 0]), np.maximum(0, bounds[:, 1] - values)
        axes.errorbar(range(len(values)), values, [low, high], fmt="o-", capsize=3)
        labels = [f"{level} ({row['pictures']})" for level, row in levels.items()]
        axes.set_xticks(range(len(values)), labels, rotation=60, ha="right", fontsize=8)
        axes.axhline(measured["accuracy"]["share"], color="grey", linestyle=":")
        axes.set(title=name, xlim=(-0.5, len(values) - 0.5), ylim=(max(-0.02, lowest - 0.05), 1.02))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy, 95 % interval")
    figure.suptitle(f"{title}: main effects\n(in brackets: number of pictures; dotted: accuracy on all)")
    save_figure(figure, path)
    return True


def _with_truth(split: Split, index: int, classes: Sequence[str]) -> Image.Image:
    """Draw a picture of a split (its first three channels) enlarged, with boxes around its visible defects."""
    pixels = split.pictures.batch([index])[0, :3].permute(1, 2, 0).numpy()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    known = zip(split.boxes[index].tolist(), split.categories[index].tolist(), strict=True)
    boxes = [Box(box, classes[at]) for box, at in known if at != IGNORED and classes[at] != OK_CLASS]
    return draw_boxes(picture, boxes, enlargement(picture.size, 380))


def mistake_sheet(split: Split, rows: Sequence[Mapping[str, Any]], classes: Sequence[str], path: Path) -> None:
    """Write a sheet of the worst mistakes: each picture with the true boxes, the true and the predicted class.

    With --views the pictures of a part stand one below the other.

    Args:
        split: The split.
        rows: The list `mistakes` in the result of `metrics.report`.
        classes, path: Class names in the order of the labels, and the PNG file to write.
    """
    cells = []
    for row in rows:
        places = split.picture_indices([row["index"]]).tolist()
        views = grid([Cell(_with_truth(split, at, classes))] for at in places)
        size = "" if row["size_mm"] is None else f" {row['size_mm']:.2f} mm"
        what = "OK" if row["truth"] == "OK" else f"{row['truth']} {' '.join(row['addresses'])}{size}"
        said = f"predicted {row['said']}, P(NG) {row['p_ng']:.3f}"
        ink = rgb(hue("OK" if row["said"] == "OK" else "NG").on_white)
        cells.append(Cell(views, [f"{row['run']}: {what}", (said, ink)]))
    sheet = grid(batched(cells, 3))
    replace_file(path, lambda temporary: sheet.save(temporary, format="PNG"))
