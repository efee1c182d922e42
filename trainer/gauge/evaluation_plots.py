"""Plots of a gauge's evaluation: found over true measures, errors and uncertainty over true position and retraction."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainer.core.plots import legend_below, save_figure
from trainer.gauge.figures import true_position
from trainer.gauge.measuring import AXES

_BINS = 8


def linearity(tables: Mapping[str, pd.DataFrame], path: Path) -> None:
    """Write a PNG with plots of measured over true dx, dy and retraction, in mm, each with a fitted line.

    `tables` has measured pins (`table_of`) by set of cameras; each set gets a row of three plots.
    """

    def draw(axes: Axes, axis: str, known: pd.DataFrame) -> bool:
        if np.ptp(known[f"true_{axis}"]) < 1e-6:
            return False
        true, found = known[f"true_{axis}"].to_numpy(), known[f"found_{axis}"].to_numpy()
        slope, offset = np.polyfit(true, found, 1)
        ends = np.array([true.min(), true.max()])
        axes.plot(ends, ends, color="grey", linestyle=":", label="found = true")
        axes.scatter(true, found, 6, color="tab:blue", alpha=0.4, linewidths=0)
        axes.plot(ends, offset + slope * ends, color="tab:red", label=f"slope {slope:.3f}, offset {offset:+.3f} mm")
        axes.set(xlabel="true, mm", ylabel="found, mm")
        return True

    _write(tables, draw, path)


def errors(tables: Mapping[str, pd.DataFrame], limit_mm: float, path: Path) -> None:
    """Write a PNG: errors of dx and dy against true position, of retraction against true retraction; bands: mean of ±U.

    Args:
        tables: measured pins (`table_of`) by set of cameras; each set gets a row of three plots.
        limit_mm: limit of true position in mm, drawn as a line; infinite: no line.
    """

    def draw(axes: Axes, axis: str, known: pd.DataFrame) -> bool:
        size = known.true_retraction if axis == "retraction" else true_position(known)
        axes.scatter(size, known[f"found_{axis}"] - known[f"true_{axis}"], 6, alpha=0.4, linewidths=0)
        _band(axes, size.to_numpy(), 2.0 * known[f"sigma_{axis}"].to_numpy())
        if axis != "retraction" and np.isfinite(limit_mm):
            axes.axvline(limit_mm, color="tab:red", linestyle=":", label="limit")
        label = "true retraction, mm" if axis == "retraction" else "true position, mm"
        axes.set(xlabel=label, ylabel="error, mm")
        return True

    _write(tables, draw, path)


def _write(tables: Mapping[str, pd.DataFrame], draw: Callable[[Axes, str, pd.DataFrame], bool], path: Path) -> None:
    """Write a PNG with a row of plots for each set of cameras; `draw` returns whether it could draw the known pins."""
    rows = len(tables)
    figure = Figure(figsize=(11, 4.2 * rows), layout="constrained")
    for line, (cameras, table) in zip(figure.subplots(rows, 3, squeeze=False), tables.items(), strict=True):
        for axes, axis in zip(line, AXES, strict=True):
            axes.set_title(f"{cameras}: {axis}", fontsize=9)
            known = _known(table, axis)
            if len(known) < 3 or not draw(axes, axis, known):
                axes.text(0.5, 0.5, "not determined", ha="center", transform=axes.transAxes)
                continue
            legend_below(axes, 2)
            axes.grid(alpha=0.3)
    save_figure(figure, path)


def _band(axes: Axes, size: np.ndarray, u: np.ndarray) -> None:
    edges = np.unique(np.quantile(size, np.linspace(0, 1, min(_BINS, len(size) // 3 + 1) + 1)))
    index = np.clip(np.searchsorted(edges, size, "right") - 1, 0, max(len(edges) - 2, 0))
    used = [number for number in range(max(len(edges) - 1, 1)) if (index == number).any()]
    middle = [float(np.median(size[index == number])) for number in used]
    mean = np.array([float(u[index == number].mean()) for number in used])
    axes.fill_between(middle, -mean, mean, color="tab:green", alpha=0.2, label="mean of ±U (k = 2)")


def _known(table: pd.DataFrame, axis: str) -> pd.DataFrame:
    return table[table.there & table[f"determined_{axis}"] & (table.present >= 0.5)]
