"""Question 2: image labels or patches, RGB or NSOART."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studies import figures
from studies.findings import Found
from studies.plan import INPUTS, SUPERVISED
from studies.questions.curves import curves
from studies.questions.shares import GUESSING, accuracy, answered, collapsed
from studies.tables import differences, table


def section(found: Found, picture: Path) -> list[str]:
    """The section of question 2: curves by epochs and by minutes, the test, and the time to reach a given accuracy."""
    figure, (left, right) = figures.panels(2)
    name = "val_balanced_accuracy"
    epochs = curves(found, lambda row: row["epoch"], name)
    minutes = curves(found, lambda row: row["minutes"], name)
    figures.lines_over(left, epochs, "Validation, by epochs", "epoch", "balanced accuracy", GUESSING)
    figures.lines_over(right, minutes, "Validation, by minutes of one core", "minutes", "", GUESSING)
    figures.save(figure, picture)
    test = found.values(accuracy("test"))
    levels = (0.5, 0.7, 0.9)
    rows = [
        [
            variant,
            len(documents),
            test.get(variant, "–"),
            *(_reached(epochs.get(variant, []), minutes.get(variant, []), level) for level in levels),
        ]
        for variant, documents in found.variants.items()
    ]
    header = ["trained with", "seeds", "balanced accuracy, test", *(f"{level:.1f} reached" for level in levels)]
    parts = [
        "*Reached*: first epoch with that balanced accuracy on validation, minutes of one core until then, median over "
        "the seeds that reached it (how many did):\n\n" + table(header, rows)
    ]
    pairs = [
        *((f"{way}, RGB", f"{way}, {name}") for way in SUPERVISED for name in ("NSOART", "both")),
        *((f"{SUPERVISED[1]}, {name}", f"{SUPERVISED[0]}, {name}") for name in INPUTS),
    ]
    parts += differences(found, pairs, {"test": answered("test")})
    return parts + collapsed(found)


def _reached(epochs: list[list[tuple[float, float]]], minutes: list[list[tuple[float, float]]], level: float) -> str:
    first = []
    for by_epoch, by_minute in zip(epochs, minutes, strict=True):
        at = next((i for i, (_, value) in enumerate(by_epoch) if value >= level), None)
        if at is not None:
            first.append((by_epoch[at][0], by_minute[at][0]))
    if not first:
        return "–"
    epoch, minute = np.median(first, axis=0)
    return f"{epoch:g}, {minute:.1f} min ({len(first)})"
