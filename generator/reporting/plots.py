"""Inline SVG for the report: histograms against a limit, and the map of defective positions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

BINS = 64
_WIDTH, _LEFT, _RIGHT, _ROW = 760, 96, 16, 46
_AXIS = 34


def histogram(values: Mapping[str, Sequence[float]], limit: float | None, unit: str) -> str:
    """One small histogram per class, all over the same axis, with the tolerance as a line through them.

    Good pins outnumber defective ones by far: each row has its own height, and says how many it holds.

    Args:
        values: measures by class.
        limit: of the tolerance, in the same unit; None when it is not known.
        unit: written below the axis.
    """
    shown = {name: np.asarray(numbers, dtype=float) for name, numbers in values.items() if len(numbers)}
    if not shown:
        return ""
    every = np.concatenate(list(shown.values()))
    low = min(0.0, _floor(float(every.min())))
    high = _ceiling(max(float(every.max()), 1.15 * (limit or 0.0), low + 1e-3))
    edges = np.linspace(low, high, BINS + 1)
    height = _ROW * len(shown) + _AXIS + 14
    plot = _WIDTH - _LEFT - _RIGHT

    def at(value: float) -> float:
        return _LEFT + plot * (value - low) / (high - low)

    parts = []
    for row, (name, numbers) in enumerate(shown.items()):
        base = 14 + _ROW * (row + 1) - 4
        counts, _ = np.histogram(np.clip(numbers, low, high), edges)
        tall = (_ROW - 12) / counts.max()
        parts.append(
            f'<text x="{_LEFT - 10}" y="{base - 15}" class="end strong">{escape(name)}</text>'
            f'<text x="{_LEFT - 10}" y="{base - 2}" class="end quiet">{len(numbers):,} pins</text>'
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base}" y2="{base}" class="rule"/>'
        )
        for number, count in enumerate(counts):
            if count:
                size = max(tall * count, 1.5)
                x = at(edges[number])
                parts.append(
                    f'<rect x="{x + 0.5:.1f}" y="{base - size:.1f}" width="{plot / BINS - 1:.1f}" height="{size:.1f}" '
                    f'class="fill-{escape(name)}"><title>{escape(name)}: {count} from {edges[number]:.3g} '
                    f"to {edges[number + 1]:.3g} {unit}</title></rect>"
                )
    floor = 14 + _ROW * len(shown) - 4
    for tick in _ticks(low, high):
        parts.append(f'<text x="{at(tick):.1f}" y="{floor + 16}" class="middle quiet">{tick:g}</text>')
        parts.append(f'<line x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="{floor}" y2="{floor + 4}" class="rule"/>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{floor + 31}" class="end quiet">{unit}</text>')
    if limit is not None:
        x = at(limit)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="10" y2="{floor}" class="limit"/>')
        parts.append(f'<text x="{x + 5:.1f}" y="18" class="limit-text">tolerance {limit:g}</text>')
    return f'<svg viewBox="0 0 {_WIDTH} {height}" class="plot" role="img">{"".join(parts)}</svg>'


def position_map(extent: tuple[int, int], counts: Mapping[str, Mapping[tuple[int, int], int]]) -> str:
    """Where the defective pins sit: one grid per split, row 1 at the top, position 1 at the left.

    Args:
        extent: rows and positions of the connector.
        counts: defective pins by split and (row, position).
    """
    rows, positions = extent
    most = max((count for places in counts.values() for count in places.values()), default=1)
    cell = min(44, 700 // max(positions, 1))
    grids = []
    for split, places in counts.items():
        parts = [
            f'<text x="{26 + cell * (c - 0.5):.1f}" y="12" class="middle quiet">{c}</text>'
            for c in range(1, positions + 1)
        ]
        for r in range(1, rows + 1):
            y = 18 + 26 * (r - 1)
            parts.append(f'<text x="20" y="{y + 16}" class="end quiet">r{r}</text>')
            for c in range(1, positions + 1):
                count = places.get((r, c), 0)
                shade = 0.12 + 0.75 * count / most if count else 0
                x = 26 + cell * (c - 1)
                parts.append(
                    f'<rect x="{x + 1}" y="{y}" width="{cell - 2}" height="24" rx="3" class="cell"/>'
                    f'<rect x="{x + 1}" y="{y}" width="{cell - 2}" height="24" rx="3" class="heat" '
                    f'fill-opacity="{shade:.2f}"><title>r{r}c{c}: {count}</title></rect>'
                )
                if count:
                    parts.append(f'<text x="{x + cell / 2:.1f}" y="{y + 16}" class="middle">{count}</text>')
        width, height = 30 + cell * positions, 22 + 26 * rows
        grids.append(
            f"<figure><figcaption>{escape(split)} <span>{sum(places.values())} defective pins</span></figcaption>"
            f'<svg viewBox="0 0 {width} {height}" style="width:{width}px" class="plot" role="img">'
            f"{''.join(parts)}</svg></figure>"
        )
    return f'<div class="grids">{"".join(grids)}</div>'


def _step(span: float) -> float:
    """A round distance that divides a span into 4 to 10."""
    power = 10.0 ** math.floor(math.log10(span))
    return next(power * factor for factor in (0.1, 0.2, 0.25, 0.5, 1.0) if span / (power * factor) <= 10)


def _ticks(low: float, high: float) -> list[float]:
    step = _step(high - low)
    return [round(number * step, 10) for number in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def _ceiling(value: float) -> float:
    step = _step(abs(value)) / 2
    return math.ceil(value / step - 1e-9) * step


def _floor(value: float) -> float:
    return -_ceiling(-value) if value < 0 else value
