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
    """Compute each pin's true position, mm: twice the tip's distance from its nominal place in columns `which`."""
    return 2.0 * np.hypot(table[f"{which}_dx"], table[f"{which}_dy"])


def figures(table: pd.DataFrame) -> dict[str, Any]:
    """Measure the errors of the pins in a table.

    Returns:
        Numbers: `pins` that are there in truth; `parts`, of which `unlike` are unlike training and so INVALID;
        `missing` pins in truth, of which `missing_found` were called
        missing; `present_lost`, pins that are there and were called missing.
        For each axis that the views determine, of pins that are there and were called present: root mean square of the
        error `rms_AXIS`, of the answer zero's error `zero_AXIS`, and of the bright tip's error `bright_AXIS` if the
        table has it; `q95_AXIS`, below which 95 % of the errors lie; `bias_AXIS`, the mean error, all in mm;
        `slope_AXIS` of found over true values; `within_AXIS`, see `trainer.gauge.coverage`, and its share
        `coverage_AXIS`.
    """
    there = table[table.there]
    found: dict[str, Any] = {"pins": len(there), "parts": int(table.part.nunique())}
    found["unlike"] = int(table[table.unlike].part.nunique()) if "unlike" in table else 0
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
    """Select the groups of pins that are reported, by name; a pin may be in several.

    Args:
        table: measured pins, by one set of cameras.
        limit_mm: limit of true position.
        displaced: positions whose pins were displaced in training, as `scene/address`; empty: not known.
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
    """Return for each pin whether its position, `scene/address`, is in `displaced`."""
    return (table.scene.astype(str) + "/" + table.address).isin(set(displaced))


def groups_by_pin(table: pd.DataFrame, limit_mm: float) -> dict[str, pd.DataFrame]:
    """Select groups of pins by kind of displacement, and by true position in multiples of its limit, by name."""
    size = true_position(table) / limit_mm
    chosen: dict[str, Any] = {
        f"kind {kind}": table.kind == kind for kind in sorted(table.kind.unique()) if kind != "missing"
    }
    for low, high in ((0.0, NEAR[0]), NEAR, (NEAR[1], 2.0), (2.0, np.inf)):
        name = f"true position {low:g} to {high:g} x limit" if high < np.inf else f"true position above {low:g} x limit"
        chosen[name] = table.there & (size > low) & (size <= high)
    return {name: table[mask] for name, mask in chosen.items() if np.count_nonzero(mask) >= _FEWEST}


def repeatability(table: pd.DataFrame) -> dict[str, Any]:
    """Measure the scatter of repeated measures of one pin, pooled over all pins; empty without repeated captures.

    Returns:
        For each axis, standard deviations in mm: `captures_AXIS` of the captures of one placing in one light;
        `placings_AXIS` of one part's means, each over the captures of one placing in one light.
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
    """Return `figures` of every group of `groups`, by the group's name."""
    return {name: figures(part) for name, part in groups(table, limit_mm, displaced).items()}


def _rms(values: pd.Series) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def line(name: str, found: Mapping[str, Any], say: Callable[[float | None], str] = "{:.3f}".format) -> str:
    """Write a result of `figures` in one line for the terminal; `say` formats a number."""
    parts = [
        f"{axis} {say(found[f'rms_{axis}'])} mm (slope {say(found[f'slope_{axis}'])}, "
        f"within U {found[f'coverage_{axis}']:.0%})"
        for axis in AXES
        if found.get(f"slope_{axis}") is not None
    ]
    return f"{name}: {found['pins']} pins: {'; '.join(parts)}"
