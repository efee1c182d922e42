"""Question 7: Florence-2 from random weights, and tuned to another housing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from studies import figures
from studies.findings import Found, Value
from studies.questions.curves import curves
from studies.questions.shares import Share, ranged
from studies.tables import mean, seeds_of, table


def precision(split: str, *group: str) -> Callable[[Mapping[str, Any]], Share]:
    """Make a function that reads mAP50 from a run's result.

    Args:
        split: The split on which it was measured.
        group: Keys of a group of the split's pictures or pins, such as "positions", "seen"; none: the whole split.
    """

    def share(result: Mapping[str, Any]) -> Share:
        part = result["splits"].get(split, {})
        for name in group:
            part = part.get(name, {})
        value = part.get("map50")
        interval = part.get("map50_interval") or (value, value)
        return None if value is None else {"share": value, "interval": interval}

    return share


# Splits of a tuned model, and those of the model it started from, which contain the same pictures.
TUNED_ON = {"new housing": ("test", "test_new"), "known pictures": ("test_known", "test")}
GROUPS = {"seen positions": ("positions", "seen"), "held-out positions": ("positions", "held-out")}


def section(found: Found, picture: Path) -> list[str]:
    """Draw question 7's figure into the PNG `picture`; returns Markdown.

    The Markdown has a table of mAP50 for models trained from random weights, and one for fine-tuned models.
    """
    scratch, tuned = (
        replace(found, variants={v: d for v, d in found.variants.items() if v.startswith("tuned") == told})
        for told in (False, True)
    )
    figure, (left, right) = figures.panels(2)
    parts = []
    if scratch.variants:
        by_share = curves(scratch, lambda row: row["share"], "val_map50")
        figures.lines_over(left, by_share, "Validation mAP50, from random weights", "share of the training", "")
        parts += _from_random_weights(scratch)
    if tuned.variants:
        columns = {}
        for title, (after, begin) in TUNED_ON.items():
            columns[title] = tuned.values(precision(after))
            if before := scratch.values(precision(begin)).get("RGB"):
                columns[title]["before tuning"] = before
        order = ("before tuning", *tuned.variants)
        series = {v: {t: c[v] for t, c in columns.items() if v in c} for v in order}
        figures.dots(right, list(columns), series, "Test mAP50, tuned to a new housing", loc="lower left")
        parts += _tuned(tuned, found, columns, order)
    else:
        right.set_axis_off()
    figures.save(figure, picture)
    return parts


def _from_random_weights(scratch: Found) -> list[str]:
    test = scratch.values(precision("test"))
    groups = {title: scratch.values(precision("test", *way)) for title, way in GROUPS.items()}
    rows = []
    for variant, documents in scratch.variants.items():
        loss = f"{np.mean([d['result']['curve'][-1]['train_loss'] for d in documents]):.2f}"
        cells = [test.get(variant, "–"), *(mean(values.get(variant)) for values in groups.values())]
        rows.append([variant, len(documents), *cells, _false_boxes(documents), loss])
    header = ["trained with", "seeds", "mAP50, test", *groups, "false boxes per OK picture", "training loss"]
    return [
        "Trained from random weights, with equally many steps. False boxes: first on pictures with print, then on "
        "those without. Training loss: that of the last epoch.\n\n" + table(header, rows)
    ]


def gained(found: Found, variant: str) -> dict[str, list[float]]:
    """Compute mAP50 after tuning minus mAP50 before: for each key of `TUNED_ON` a value per seed of `variant`."""
    before = {document["key"]: document["result"] for document in found.variants.get("RGB", [])}
    changes: dict[str, list[float]] = {}
    for title, (after, begin) in TUNED_ON.items():
        changes[title] = []
        for document in found.variants[variant]:
            first = before.get(document["config"]["init"])
            ends = precision(after)(document["result"]), first and precision(begin)(first)
            if ends[0] and ends[1]:
                changes[title].append(ends[0]["share"] - ends[1]["share"])
    return changes


def _tuned(tuned: Found, found: Found, columns: Mapping[str, Mapping[str, Value]], order: Sequence[str]) -> list[str]:
    rows = []
    for variant in order:
        documents = tuned.variants.get(variant, [])
        values = [columns[title].get(variant) for title in TUNED_ON]
        changes = [ranged(some, "+.3f") for some in gained(found, variant).values()] if documents else ["–"] * 2
        cells = [cell for value, change in zip(values, changes, strict=True) for cell in (mean(value), change)]
        rows.append([variant, seeds_of(values), *cells, *(_changes(documents) if documents else ("–",) * 3)])
    header = ["tuned", "seeds", *(cell for title in TUNED_ON for cell in (f"mAP50, {title}", "change"))]
    header += ["trained", "changed", "answers kept"]
    return [
        "Tuned to another housing with 160 pictures, 12 epochs. Changes: mean over seeds (least, largest):\n\n"
        + table(header, rows)
    ]


def _false_boxes(documents: list[dict[str, Any]]) -> str:
    cells = []
    for group in ("with", "without"):
        parts = [d["result"]["splits"]["test"].get("digits", {}).get(group, {}) for d in documents]
        values = [v for part in parts if (v := part.get("false_boxes_per_ok_picture")) is not None]
        cells.append(f"{np.mean(values):.2f}" if values else "–")
    return ", ".join(cells)


def _changes(documents: list[dict[str, Any]]) -> tuple[str, str, str]:
    """Write the shares of trained and of changed parameters, and how similar answers on other pictures stay."""
    results = [document["result"] for document in documents]
    shares = [
        float(np.mean([r[key] / r["parameters"] for r in results]))
        for key in ("trained_parameters", "changed_parameters")
    ]
    kept = float(np.mean([r["forgetting"]["similarity"] for r in results]))
    return f"{shares[0]:.0%}", f"{shares[1]:.0%}", f"{kept:.2f}"
