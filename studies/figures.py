"""Draw the panels of the figures in docs/explanation/results.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from studies.findings import Value

WIDTH, HEIGHT, DPI = 10.0, 4.2, 90
# Line styles of the series, so that curves on top of each other stay visible.
STYLES = ("-", "-", "-", "--", "-.", ":")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as the PNG file `path`, without a timestamp: the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})


def _bars(value: Value) -> list[list[float]]:
    return [[max(0.0, value.mean - value.low)], [max(0.0, value.high - value.mean)]]


def finish(axes: Any, title: str, chance: float | None = None, **legend: Any) -> None:
    """Add title, y axis from 0 to 1, legend (options: `legend`) and a line `guessing` at `chance` (None: no line)."""
    if chance is not None:
        axes.axhline(chance, color="grey", linestyle=":", label="guessing")
    axes.set(title=title, ylim=(-0.02, 1.04))
    axes.grid(axis="y", alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, **legend)


def dots(
    axes: Any,
    groups: Sequence[str],
    series: Mapping[str, Mapping[str, Value]],
    title: str,
    chance: float | None = None,
    **legend: Any,
) -> None:
    """Plot means with their intervals: groups along the x axis, and a colour for each series.

    Args:
        axes: the panel.
        groups: names of the groups, from left to right.
        series: by name of the series, its value for each group by name of the group.
        title, chance, legend: as for `finish`.
    """
    count = max(1, len(series))
    for index, (name, values) in enumerate(series.items()):
        shift = (index - (count - 1) / 2) * 0.7 / count
        for at, group in enumerate(groups):
            if group in values:
                value = values[group]
                axes.errorbar(at + shift, value.mean, yerr=_bars(value), fmt="o", color=f"C{index % 10}", capsize=3)
        axes.plot([], [], "o", color=f"C{index % 10}", label=name)
    for at in range(len(groups) - 1):
        axes.axvline(at + 0.5, color="grey", linewidth=0.5, alpha=0.4)
    slanted = len(groups) > 6 or max(map(len, groups), default=0) > 14
    axes.set_xticks(range(len(groups)), groups, rotation=25 if slanted else 0, ha="right" if slanted else "center")
    finish(axes, title, chance, **legend)


def named(axes: Any, values: Mapping[str, Value], title: str, chance: float | None = None) -> None:
    """Plot each value with its interval, names along the x axis, and a line `guessing` at `chance` (None: no line)."""
    for index, value in enumerate(values.values()):
        axes.errorbar(index, value.mean, yerr=_bars(value), fmt="o", color=f"C{index % 10}", capsize=3)
    axes.set_xticks(range(len(values)), list(values), rotation=20, ha="right")
    finish(axes, title, chance)


def lines_over(
    axes: Any,
    series: Mapping[str, Sequence[Sequence[tuple[float, float]]]],
    title: str,
    x: str,
    y: str,
    chance: float | None = None,
) -> None:
    """Plot each series' curves of (x, y) points as thin lines, their mean thick; `x`, `y`: labels of the axes."""
    for index, (name, curves) in enumerate(series.items()):
        color = f"C{index % 10}"
        for curve in curves:
            axes.plot(*zip(*curve, strict=True), color=color, linewidth=0.9, alpha=0.5)
        shortest = min(map(len, curves))
        mean = np.mean([curve[:shortest] for curve in map(list, curves)], axis=0)
        style = STYLES[index % len(STYLES)]
        axes.plot(mean[:, 0], mean[:, 1], style, color=color, linewidth=2.2, label=name)
    axes.set(xlabel=x, ylabel=y)
    finish(axes, title, chance, ncols=2, loc="upper left")


def growing(
    axes: Any, series: Mapping[str, Mapping[int, Value]], title: str, x: str, y: str, chance: float | None = None
) -> None:
    """Plot each series' values with intervals over the number of pictures (its keys), on a logarithmic x axis."""
    ticks = sorted({number for values in series.values() for number in values})
    for index, (name, values) in enumerate(series.items()):
        numbers = sorted(values)
        shift = 1 + 0.03 * (index - (len(series) - 1) / 2)
        axes.errorbar(
            [n * shift for n in numbers],
            [values[n].mean for n in numbers],
            yerr=np.array([_bars(values[n]) for n in numbers])[:, :, 0].T,
            fmt="o-",
            capsize=3,
            color=f"C{index % 10}",
            label=name,
        )
    axes.set_xscale("log")
    axes.set_xticks(ticks, list(map(str, ticks)))
    axes.minorticks_off()
    axes.set(xlabel=x, ylabel=y)
    finish(axes, title, chance)


def one_legend(figure: Figure, panels: Sequence[Any]) -> None:
    """Remove the legend of each panel, and put the first panel's below all panels."""
    handles, names = panels[0].get_legend_handles_labels()
    for axes in panels:
        if legend := axes.get_legend():
            legend.remove()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8)


def panels(count: int) -> tuple[Figure, list[Any]]:
    """Make a figure with `count` panels side by side; returns the figure and its panels."""
    figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, count)))
