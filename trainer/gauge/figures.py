"""Figures of a gauge from a table of measured pins (`trainer.gauge.measuring.table_of`)."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from trainer.gauge.coverage import coverage
from trainer.gauge.measuring import AXES

# A pin is near its limit from 0.7 to 1.3 times of it.
NEAR = (0.7, 1.3)
# A pin counts as standing at its nominal height up to this retraction or protrusion, mm.
NOMINAL_MM = 0.15
# A column's values in fewer pins than this make no group.
_FEWEST = 10
# Measures that differ by less are equal.
_SAME_MM = 1e-6


def true_position(table: pd.DataFrame, which: str = "true") -> pd.Series:
    """True position of each pin, mm: twice the tip's offset."""
    return 2.0 * np.hypot(table[f"{which}_dx"], table[f"{which}_dy"])


def figures(table: pd.DataFrame) -> dict[str, Any]:
    """Measure the errors of the pins in a table; pins that are not there count for `missing` only.

    Returns:
        `pins`, `parts`; for each axis that the views determine `rms_…` and `q95_…` (mm, 95 % of the errors are
        smaller), `zero_…` (the error of the answer zero), `bright_…` (of the brightest pixels, if the table has them),
        `slope_…`, `bias_…` (mm), `coverage_…` (share of errors within U, k = 2) and `within_…` (the same, see
        `trainer.gauge.coverage`); `missing` and `missing_found`; `present_lost`, pins that are there and were called
        missing.
    """
    there = table[table.there]
    found: dict[str, Any] = {"pins": len(there), "parts": int(table.part.nunique())}
    for axis in AXES:
        known = there[there[f"determined_{axis}"] & (there.present >= 0.5)]
        if len(known) < 3:
            continue
        error, truth = known[f"found_{axis}"] - known[f"true_{axis}"], known[f"true_{axis}"]
        found[f"rms_{axis}"] = _rms(error)
        found[f"q95_{axis}"] = float(np.quantile(error.abs(), 0.95))
        found[f"zero_{axis}"] = _rms(truth)
        if f"bright_{axis}" in known and known[f"bright_{axis}"].notna().all():
            found[f"bright_{axis}"] = _rms(known[f"bright_{axis}"] - truth)
        varies = np.ptp(truth) > _SAME_MM
        found[f"slope_{axis}"] = float(np.polyfit(truth, known[f"found_{axis}"], 1)[0]) if varies else None
        found[f"bias_{axis}"] = float(error.mean())
        found[f"within_{axis}"] = coverage(known.part, (error.abs() <= 2.0 * known[f"sigma_{axis}"]).to_numpy())
        found[f"coverage_{axis}"] = found[f"within_{axis}"]["share"]
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
        seen = is_displaced(table, known)
        chosen["positions displaced in training"] = small & seen
        chosen["positions never displaced in training"] = small & ~seen
    for column in ("housing", "terminal", "lighting"):
        for value in sorted(table[column].dropna().unique()):
            if table[column].nunique() > 1:
                chosen[f"{column} {value}"] = table[column] == value
    return {name: table[mask] for name, mask in chosen.items() if np.asarray(mask).any()}


def is_displaced(table: pd.DataFrame, displaced: Iterable[str]) -> pd.Series:
    """Whether each pin stands at a position that training displaced, of names `scene/address`."""
    return (table.scene.astype(str) + "/" + table.address).isin(set(displaced))


def groups_by_pin(table: pd.DataFrame, limit_mm: float) -> dict[str, pd.DataFrame]:
    """Divide a table by kind and size of displacement; `limit_mm`: as above."""
    size = true_position(table) / limit_mm
    chosen: dict[str, Any] = {
        f"kind {kind}": table.kind == kind for kind in sorted(table.kind.unique()) if kind != "missing"
    }
    for low, high in ((0.0, NEAR[0]), NEAR, (NEAR[1], 2.0), (2.0, np.inf)):
        name = f"true position {low:g} to {high:g} x limit" if high < np.inf else f"true position above {low:g} x limit"
        chosen[name] = table.there & (size > low) & (size <= high)
    return {name: table[mask] for name, mask in chosen.items() if np.count_nonzero(mask) >= _FEWEST}


def repeatability(table: pd.DataFrame) -> dict[str, Any]:
    """Scatter of repeated measures of one pin, mm, for each axis; empty without repeated captures.

    Returns:
        `captures_AXIS`: standard deviation of captures of one placing in one light; `placings_AXIS`: of the means of
        several placings or lights of one part.
    """
    found: dict[str, Any] = {}
    pin = ["part", "scene", "housing", "terminal", "address"]
    placing = [*pin, "fixture", "lighting"]
    for axis in AXES:
        known = table[table.there & table[f"determined_{axis}"] & (table.present >= 0.5)]
        captures = known.groupby(placing, dropna=False)[f"found_{axis}"]
        means = captures.mean().groupby(pin, dropna=False)
        for name, groups in (("captures", captures), ("placings", means)):
            freedom = (groups.size() - 1).to_numpy()
            if freedom.sum() > 0:
                variances = groups.var().fillna(0.0).to_numpy()
                found[f"{name}_{axis}"] = float(np.sqrt((variances * freedom).sum() / freedom.sum()))
    return found


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
