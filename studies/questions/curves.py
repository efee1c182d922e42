"""Curves over the epochs of a variant's trainings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from studies.findings import Found


def curves(found: Found, x: Callable[[dict[str, Any]], float], y: str) -> dict[str, list[list[tuple[float, float]]]]:
    """List by variant the points (x, y) of each seed's curve, a point per epoch that has a value in the column `y`.

    `x` is called with an epoch's columns and two further keys: `minutes` since the start, if every epoch took as long
    as the fastest of its stage (`quiet_seconds`), and `share`, the epoch's number divided by that of the last epoch.
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
    """Return the seconds of the fastest epoch by training stage (`close-ups`, `pictures`): the least disturbed one."""
    seconds: dict[str, list[float]] = {}
    for rows in curves:
        before = 0.0
        for row in rows:
            seconds.setdefault(row["stage"], []).append(row["seconds_so_far"] - before)
            before = row["seconds_so_far"]
    return {stage: min(some) for stage, some in seconds.items()}
