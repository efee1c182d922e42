"""Figures of a gauge from a table of measured pins (`trainer.gauge.measuring.table_of`)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from trainer.gauge.measuring import AXES

# A pin is near its limit from 0.7 to 1.3 times of it.
NEAR = (0.7, 1.3)
# A pin counts as standing at its nominal height up to this retraction or protrusion, mm.
NOMINAL_MM = 0.15


def true_position(table: pd.DataFrame, which: str = "true") -> pd.Series:
    """True position of each pin, mm: twice the tip's offset."""
    return 2.0 * np.hypot(table[f"{which}_dx"], table[f"{which}_dy"])


def figures(table: pd.DataFrame) -> dict[str, Any]:
    """Measure the errors of the pins in a table; pins that are not there count for `missing` only.

    Returns:
        `pins`, `parts`; for each axis that the views determine `rms_…` (mm), `zero_…` (the error of the answer zero),
        `slope_…`, `bias_…` (mm) and `coverage_…` (share of errors within U, k = 2); `missing` and `missing_found`;
        `present_lost`, pins that are there and were called missing.
    """
    there = table[table.there]
    found: dict[str, Any] = {"pins": len(there), "parts": int(table.part.nunique())}
    for axis in AXES:
        known = there[there[f"determined_{axis}"] & (there.present >= 0.5)]
        if len(known) < 3:
            continue
        error, truth = known[f"found_{axis}"] - known[f"true_{axis}"], known[f"true_{axis}"]
        found[f"rms_{axis}"] = _rms(error)
        found[f"zero_{axis}"] = _rms(truth)
        found[f"slope_{axis}"] = float(np.polyfit(truth, known[f"found_{axis}"], 1)[0]) if truth.std() > 0 else None
        found[f"bias_{axis}"] = float(error.mean())
        found[f"coverage_{axis}"] = float((error.abs() <= 2.0 * known[f"sigma_{axis}"]).mean())
    gone = table[~table.there]
    found["missing"], found["missing_found"] = len(gone), int((gone.present < 0.5).sum())
    found["present_lost"] = int((there.present < 0.5).sum())
    return found


def groups(table: pd.DataFrame, limit_mm: float, displaced: Iterable[str] = ()) -> dict[str, pd.DataFrame]:
    """Divide a table into the groups that are reported.

    Args:
        table: of one set of views.
        limit_mm: limit of true position.
        displaced: scene and address of positions that training displaced, as `scene/address`; empty: not known.
    """
    there, tip = table.there, true_position(table)
    nominal = there & (table.true_retraction.abs() <= NOMINAL_MM)
    small = nominal & (tip <= 1.5 * limit_mm)
    chosen: dict[str, Any] = {
        "all pins": np.ones(len(table), bool),
        "nominal height, up to 1.5 x limit": small,
        "near the limit of true position": nominal & (tip >= NEAR[0] * limit_mm) & (tip <= NEAR[1] * limit_mm),
        "within the limit": nominal & (tip <= limit_mm),
        "retracted or protruding": there & ~nominal,
    }
    if known := set(displaced):
        seen = (table.scene.astype(str) + "/" + table.address).isin(known)
        chosen["positions displaced in training"] = small & seen
        chosen["positions never displaced in training"] = small & ~seen
    for column in ("housing", "terminal", "lighting"):
        for value in sorted(table[column].dropna().unique()):
            if table[column].nunique() > 1:
                chosen[f"{column} {value}"] = table[column] == value
    return {name: table[mask] for name, mask in chosen.items() if np.asarray(mask).any()}


def grouped(table: pd.DataFrame, limit_mm: float, displaced: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Measure every group of `groups`."""
    return {name: figures(part) for name, part in groups(table, limit_mm, displaced).items()}


def _rms(values: pd.Series) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def line(name: str, found: Mapping[str, Any], say: Callable[[float | None], str] = "{:.3f}".format) -> str:
    """Write one line of figures for the terminal."""
    parts = [
        f"{axis} {say(found[f'rms_{axis}'])} mm (slope {say(found[f'slope_{axis}'])}, "
        f"within U {found[f'coverage_{axis}']:.0%})"
        for axis in AXES
        if found.get(f"slope_{axis}") is not None
    ]
    return f"{name}: {found['pins']} pins: {'; '.join(parts)}"
