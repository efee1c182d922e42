"""Draw the report's figures as inline SVG: histograms with a limit, and maps of the defective pin positions.

matplotlib draws them; their colours are replaced by the page's CSS variables, so that they suit a light or dark page.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from generator.io.palette import HUES, PAGE, hue

BINS = 64
_VARIABLES = {one.on_white: name for name, one in HUES.items()} | {one.light: name for name, one in PAGE.items()}
_INK, _QUIET, _LINE, _PANEL, _HEAT = (PAGE[name].light for name in ("ink", "quiet", "line", "panel", "accent"))
_LIMIT = HUES["NG"].on_white
# Equal content gets equal ids; text is not drawn as outlines; `$` in a user's text does not start a formula.
_STYLE: Any = {"svg.hashsalt": "pinsight", "svg.fonttype": "none", "text.parse_math": False, "font.size": 9}
# Removed for inline use: the file's head, ids of groups, and style rules that would apply to the whole page.
_FILE_ONLY = re.compile(r'.*(?=<svg)|<metadata>.*?</metadata>|<style.*?</style>| xmlns(:\w+)?="[^"]*"', re.DOTALL)
_GROUP_ID = re.compile(r'<g id="[^"]*"')
_SIZE = re.compile(r'width="[^"]*pt" height="[^"]*pt"')


def inline_svg(figure: Figure) -> str:
    """Return a matplotlib figure as an SVG element for an HTML page; equal figures give equal text."""
    FigureCanvasSVG(figure)
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    svg = _SIZE.sub('class="plot" role="img"', _FILE_ONLY.sub("", buffer.getvalue()), count=1)
    svg = _GROUP_ID.sub("<g", svg)
    return re.sub(r"#[0-9a-f]{6}\b", lambda found: _variable(found[0]), svg)


def _variable(colour: str) -> str:
    return f"var(--{_VARIABLES[colour]})" if colour in _VARIABLES else colour


def histogram(values: Mapping[str, Sequence[float]], limit: float | None, unit: str, lower: float | None = None) -> str:
    """Draw a small histogram for each class, with the limit as a dashed line; returns SVG, or "" without values.

    Good pins outnumber defective ones by far, so each histogram has its own vertical scale, and states its number of
    pins.

    Args:
        values: values of one measure, by class.
        limit: limit of the tolerance, in the unit of the values; None: it is not known and not drawn.
        unit: unit of the values, written below the axis.
        lower: second, negative limit; None: there is none.
    """
    shown = {name: np.asarray(numbers, dtype=float) for name, numbers in values.items() if len(numbers)}
    if not shown:
        return ""
    every = np.concatenate(list(shown.values()))
    low = min(0.0, float(every.min()), 1.15 * (lower or 0.0))
    high = max(float(every.max()), 1.15 * (limit or 0.0), low + 1e-3)
    edges = MaxNLocator(10).tick_values(low, high)
    bins = np.linspace(edges[0], edges[-1], BINS + 1)
    with rc_context(_STYLE):
        figure = Figure(figsize=(7.2, 0.5 * len(shown) + 0.55))
        panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        figure.subplots_adjust(
            left=0.12, right=0.98, top=1 - 0.2 / figure.get_figheight(), bottom=0.38 / figure.get_figheight()
        )
        for axes, (name, numbers) in zip(panels, shown.items(), strict=True):
            axes.stairs(np.histogram(numbers, bins)[0], bins, fill=True, color=hue(name).on_white)
            axes.text(-0.01, 0.5, name, transform=axes.transAxes, ha="right", weight="bold", color=_INK)
            axes.text(-0.01, 0.05, f"{len(numbers):,} pins", transform=axes.transAxes, ha="right", size=8, color=_QUIET)
            for line in (line for line in (limit, lower) if line is not None):
                axes.axvline(line, color=_LIMIT, linestyle=(0, (4, 2)), linewidth=1.2)
            axes.set(xlim=(edges[0], edges[-1]), yticks=[])
            axes.spines[["left", "top", "right"]].set_visible(False)
            axes.spines["bottom"].set_color(_LINE)
            axes.tick_params(bottom=axes is panels[-1], color=_LINE, labelcolor=_QUIET)
        if limit is not None:
            panels[0].annotate(
                f"tolerance {limit:g}",
                (limit, 1),
                xycoords=("data", "axes fraction"),
                color=_LIMIT,
                va="bottom",
                ha="center",
            )
        panels[-1].set_xticks(edges)
        panels[-1].set_xlabel(unit, loc="right", color=_QUIET, labelpad=0)
        return inline_svg(figure)


def position_map(extent: tuple[int, int], counts: Mapping[tuple[int, int], int], most: int) -> str:
    """Draw a map of the defective pins in a split, with row 1 at the top and position 1 at the left; returns SVG.

    Args:
        extent: number of rows, and of positions in a row, of the connector.
        counts: number of defective pins by (row, position in the row), both counted from 1.
        most: the number of pins that gets the strongest colour.
    """
    rows, positions = extent
    with rc_context(_STYLE):
        figure = Figure(figsize=(7.2, (rows + 0.8) * min(0.42, 6.8 / positions)))
        axes = figure.add_axes((0.05, 0, 0.95, 1 - 0.6 / (rows + 0.8)))
        for row, position in np.ndindex(rows, positions):
            count = counts.get((row + 1, position + 1), 0)
            axes.add_patch(Rectangle((position + 0.55, row + 0.55), 0.9, 0.9, fc=_PANEL, ec=_LINE, lw=0.6))
            if count:
                depth = 0.15 + 0.55 * count / most
                axes.add_patch(Rectangle((position + 0.55, row + 0.55), 0.9, 0.9, fc=_HEAT, alpha=depth))
                axes.text(position + 1, row + 1, f"{count}", ha="center", va="center", color=_INK)
        axes.set(xlim=(0.5, positions + 0.5), ylim=(rows + 0.5, 0.5), xticks=range(1, positions + 1))
        axes.set_yticks(range(1, rows + 1), [f"r{row}" for row in range(1, rows + 1)])
        axes.tick_params(length=0, labelcolor=_QUIET, labeltop=True, labelbottom=False)
        axes.set_frame_on(False)
        return inline_svg(figure)
