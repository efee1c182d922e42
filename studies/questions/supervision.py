"""Question 2: training with image labels or with boxes (patches), on RGB or on NSOART pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from studies import figures
from studies.findings import Found
from studies.questions.curves import curves
from studies.questions.shares import GUESSING, accuracy, answered, collapsed
from studies.tables import table


def section(found: Found, picture: Path) -> list[str]:
    """Draw question 2's figure into the PNG `picture`; returns Markdown.

    The Markdown states test accuracy, and the time until validation accuracy reaches 0.5, 0.7 and 0.9.
    """
    figure, (left, right) = figures.panels(2)
    name = "val_balanced_accuracy"
    epochs = curves(found, lambda row: row["epoch"], name)
    minutes = curves(found, lambda row: row["minutes"], name)
    figures.lines_over(left, epochs, "Validation, by epochs", "epoch", "balanced accuracy", GUESSING)
    figures.lines_over(right, minutes, "Validation, by minutes of one core", "minutes", "", GUESSING)
    figures.save(figure, picture)
    test = found.values(accuracy("test"))
    reached = {
        f"{level:.1f} reached": [_reached(epochs.get(v, []), minutes.get(v, []), level) for v in found.variants]
        for level in (0.5, 0.7, 0.9)
    }
    reached = {title: cells for title, cells in reached.items() if set(cells) != {"–"}}
    rows = []
    for index, (variant, documents) in enumerate(found.variants.items()):
        plain = f"{variant.partition(', ')[0]}, RGB"
        change = found.difference(plain, variant, answered("test")) if variant != plain else None
        cells = [test.get(variant), change]
        rows.append(
            [variant, len(documents), *(c or "–" for c in cells), *(cells[index] for cells in reached.values())]
        )
    header = ["trained with", "seeds", "balanced accuracy, test", "minus RGB", *reached]
    return [
        f"*{' / '.join(title.removesuffix(' reached') for title in reached)} reached*: first epoch with at least this "
        "balanced accuracy on validation, and minutes on one core until then. Both are medians over the seeds that "
        "reached it; the brackets hold the number of these seeds.\n\n" + table(header, rows),
        *collapsed(found),
    ]


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
