"""Question 5: pre-training on other connectors compared with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from studies import figures
from studies.findings import Found, Value
from studies.plan import FEW, NEW, OWN, SCRATCH, begun
from studies.questions.shares import GUESSING, Share, accuracy, answered, collapsed
from studies.tables import mean, seeds_of, table


def section(found: Found, picture: Path) -> list[str]:
    """Draw question 5's figure into the PNG `picture`; returns Markdown: accuracy with and without pre-training."""
    test = found.values(accuracy("test"))
    figure, panels = figures.panels(2)
    rows = []
    for axes, target in zip(panels, NEW, strict=True):
        series: dict[str, dict[int, Value]] = {}
        for start in (SCRATCH, OWN):
            for count in FEW:
                if value := test.get(begun(target, count, start)):
                    series.setdefault(start, {})[count] = value
        if series:
            chance = GUESSING if target == NEW[0] else 1 / 4
            figures.growing(axes, series, target, "pictures", "balanced accuracy, test", chance)
        else:
            axes.set_title(f"{target}: not run yet")
            axes.set_axis_off()
        for count in FEW:
            cells = [series.get(start, {}).get(count) for start in (SCRATCH, OWN)]
            change = found.difference(begun(target, count, SCRATCH), begun(target, count, OWN), answered("test"))
            if any(cells):
                rows.append([target, count, seeds_of(cells), *map(mean, cells), change or "–"])
    figures.save(figure, picture)
    header = ["new", "pictures", "seeds", SCRATCH, OWN, "change"]
    parts = ["Balanced accuracy on the test:\n\n" + table(header, rows)] if rows else []
    return parts + _fewer_pictures(found) + _new_modes_by_class(found) + collapsed(found)


def _fewer_pictures(found: Found) -> list[str]:
    """Write sentences on whether the tuned model needs fewer pictures for the same accuracy."""
    changes = {
        target: found.difference(begun(target, FEW[2], SCRATCH), begun(target, FEW[1], OWN), answered("test"))
        for target in NEW
    }
    told = [f"{change} on {target}" for target, change in changes.items() if change]
    return [f"{OWN.capitalize()} with {FEW[1]} pictures minus {SCRATCH} with {FEW[2]}: {', '.join(told)}."] * bool(told)


def recalled(label: str) -> Callable[[Mapping[str, Any]], Share]:
    """Make a function that reads the recall of the class `label` on the split `test` from a result."""
    return lambda result: result["splits"]["test"].get("recall", {}).get(label)


def _new_modes_by_class(found: Found) -> list[str]:
    """Describe where the tuned model gains: on the new defect modes, or on the kinds that it knew."""
    variants = {v: d for v, d in found.variants.items() if v.startswith(NEW[1])}
    some = replace(found, variants=variants)
    titles = {"OTHERNG": NEW[1], "BENDNG": "bent", "NUKENG": "missing", "OK": "good"}
    columns = {title: some.values(recalled(label)) for label, title in titles.items()}
    columns = {title: values for title, values in columns.items() if values}
    both = [begun(NEW[1], FEW[-1], start) for start in (SCRATCH, OWN)]
    told = [f"{title} {' and '.join(mean(values.get(v)) for v in both)}" for title, values in columns.items()]
    return [
        f"Share of each class that is right in the test of {NEW[1]}, {SCRATCH} and {OWN} with {FEW[-1]} pictures: "
        f"{', '.join(told)}."
    ] * bool(told)
