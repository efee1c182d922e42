"""Compute a gauge's errors, their scatter and coverage from a table of measured pins (`measuring.table_of`)."""

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
    """Return the true position of each pin in mm: twice the distance of its tip from the nominal place.

    The columns `WHICH_dx` and `WHICH_dy` of `table` hold this distance along X and Y, mm. `which`: whose values,
    `true`, `found` (by the gauge) or `bright` (by the brightest pixels).
    """
    return 2.0 * np.hypot(table[f"{which}_dx"], table[f"{which}_dy"])


def figures(table: pd.DataFrame) -> dict[str, Any]:
    """Compute the errors (found minus true value) of the pins in a table from `table_of`.

    Returns:
        Numbers of pins: `pins`, there in truth; `missing`, missing in truth; `missing_found`, those of the missing that
        were called missing; `present_lost`, those of `pins` that were called missing. `parts`: number of parts;
        `unlike`: number of those that are unlike training, whose verdict is INVALID.
        Then for each axis A of dx, dy and retraction, over the pins that are there, were called present and have a
        determined measure; an axis with fewer than three such pins has no keys. In mm: `rms_A`, root mean square of the
        errors, `zero_A` and `bright_A`, the same for gauges that answer 0 or take the brightest pixels (if measured);
        `q95_A`, below which 95 % of the absolute errors lie; `bias_A`, mean error. `slope_A`: slope of the line through
        found over true values, or None if the true values are equal. `within_A`: how often errors lie within U,
        as `coverage` returns it; `coverage_A`: its `share`.
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
    """Divide measured pins into groups, such as all pins, pins near the limit, pins of one housing.

    Args:
        table: measured pins, from `table_of`, by one set of cameras.
        limit_mm: limit of true position in mm.
        displaced: positions whose pins were displaced in training, as `scene/address`; empty: not known.

    Returns:
        The rows of each group, by the group's name, without empty groups. A pin may be in several groups.
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
    """Return for each row of a table from `table_of` whether the pin's position, `scene/address`, is in `displaced`."""
    return (table.scene.astype(str) + "/" + table.address).isin(set(displaced))


def groups_by_pin(table: pd.DataFrame, limit_mm: float) -> dict[str, pd.DataFrame]:
    """Divide measured pins by kind of defect, and by true position in multiples of its limit `limit_mm`.

    Returns by the group's name the rows of `table` in the group; groups of fewer than 10 pins are left out.
    """
    size = true_position(table) / limit_mm
    chosen: dict[str, Any] = {
        f"kind {kind}": table.kind == kind for kind in sorted(table.kind.unique()) if kind != "missing"
    }
    for low, high in ((0.0, NEAR[0]), NEAR, (NEAR[1], 2.0), (2.0, np.inf)):
        name = f"true position {low:g} to {high:g} x limit" if high < np.inf else f"true position above {low:g} x limit"
        chosen[name] = table.there & (size > low) & (size <= high)
    return {name: table[mask] for name, mask in chosen.items() if np.count_nonzero(mask) >= _FEWEST}


def repeatability(table: pd.DataFrame) -> dict[str, Any]:
    """Compute how much repeated measures of the same pin scatter, pooled over the pins of a table from `table_of`.

    Returns:
        For each axis A of dx, dy and retraction two standard deviations in mm: `captures_A`, between captures of one
        placing of a part in one light; `placings_A`, between the means of these captures, one mean for each placing and
        light. A value without repeats is left out.
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
    """Divide measured pins with `groups`, which gets these arguments; return each group's `figures` by its name."""
    return {name: figures(part) for name, part in groups(table, limit_mm, displaced).items()}


def _rms(values: pd.Series) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def line(name: str, found: Mapping[str, Any], say: Callable[[float | None], str] = "{:.3f}".format) -> str:
    """Return a line for the terminal: `name`, number of pins; each axis' error, slope and share of errors within U.

    `found` is a result of `figures`; axes without a slope are left out. `say` turns a number into text.
    """
    parts = [
        f"{axis} {say(found[f'rms_{axis}'])} mm (slope {say(found[f'slope_{axis}'])}, "
        f"{found[f'coverage_{axis}']:.0%} within U)"
        for axis in AXES
        if found.get(f"slope_{axis}") is not None
    ]
    return f"{name}: {found['pins']} pins; root mean square errors: {'; '.join(parts) or 'none'}"
