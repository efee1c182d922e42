"""Curves over the epochs of a variant's trainings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from studies.findings import Found


def curves(found: Found, x: Callable[[dict[str, Any]], float], y: str) -> dict[str, list[list[tuple[float, float]]]]:
    """List the points (x, y) of each seed's curve by variant; an epoch without a value in column `y` is left out.

    `x` gets an epoch's columns, `minutes` since the start by `quiet_seconds`, and its `share` of all epochs.
    """
    found_curves: dict[str, list[list[tuple[float, float]]]] = {}
    for variant, documents in found.variants.items():
        quiet = quiet_seconds([document["result"]["curve"] for document in documents])
        for document in documents:
            rows = document["result"]["curve"]
            spent = np.cumsum([quiet[row["stage"]] for row in rows]) / 60
            line = [
                (x({**row, "minutes": minutes, "share": row["epoch"] / rows[-1]["epoch"]}), float(row[y]))
                for row, minutes in zip(rows, spent, strict=True)
                if isinstance(row.get(y), int | float)
            ]
            if line:
                found_curves.setdefault(variant, []).append(line)
    return found_curves


def quiet_seconds(curves: list[list[dict[str, Any]]]) -> dict[str, float]:
    """Return for each training stage the seconds of its fastest epoch in all curves: other programs slowed it least."""
    seconds: dict[str, list[float]] = {}
    for rows in curves:
        before = 0.0
        for row in rows:
            seconds.setdefault(row["stage"], []).append(row["seconds_so_far"] - before)
            before = row["seconds_so_far"]
    return {stage: min(some) for stage, some in seconds.items()}
