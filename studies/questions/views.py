"""Question 4: one view of a part compared with several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from studies import figures
from studies.findings import Difference, Found, Value, difference, over_seeds
from studies.plan import CENTRE, FIVE, TOGETHER, TOGETHER_OWN
from studies.questions.shares import Share, collapsed
from studies.tables import command, mean, seeds, seeds_of, table

# Accuracy of an SVM on metrics with three cameras, in earlier work of the articles' author.
EARLIER = (0.926, 0.943)
AIM = 0.99
ONE_VIEW, ALL_VIEWS = "centre", "all five"
JUDGED_BY = (ONE_VIEW, "centre, top, bottom", ALL_VIEWS)
PART_MEASURES: dict[str, Callable[[Mapping[str, Any]], Share]] = {
    "right class": lambda one: one["class"],
    "right verdict": lambda one: one["verdict"],
    "retracted or missing found": lambda one: one["recall"].get("NUKENG"),
}


def parts_judged(found: Found, read: Callable[[Mapping[str, Any]], Share]) -> dict[str, dict[str, Value]]:
    """Summarise over seeds a measure that `read` reads, by variant, then by the views from which parts are judged."""
    values = {
        variant: {
            name: value
            for name in JUDGED_BY
            if (value := over_seeds(s for d in documents if (s := read(d["result"]["views"][name]))))
        }
        for variant, documents in found.variants.items()
    }
    return {variant: some for variant, some in values.items() if some}


def _short(variant: str) -> str:
    return variant.removeprefix("trained on ")


def section(found: Found, picture: Path) -> list[str]:
    """Draw question 4's figure into the PNG `picture`; returns Markdown on verdicts by one to five views."""
    series = {title: parts_judged(found, read) for title, read in PART_MEASURES.items()}
    figure, panels = figures.panels(len(series))
    panels[0].axhspan(*EARLIER, color="grey", alpha=0.3, label="earlier work")
    panels[0].axhline(AIM, color="grey", linestyle="--", label="aim")
    other = found.other
    more = {title: parts_judged(other, read) if other else {} for title, read in PART_MEASURES.items()}
    for axes, (title, values) in zip(panels, series.items(), strict=True):
        size = other.size if other else ""
        shown = values | {f"{v}, size {size}": judged for v, judged in more[title].items()}
        figures.dots(axes, JUDGED_BY, shown, title)
    figures.one_legend(figure, panels)
    figures.save(figure, picture)
    rows = _rows(found, series) + (_rows(other, more) if other else [])
    header = ["trained on", "judged by", "seeds", *series, "balanced accuracy minus the row above"]
    words = "The table lists shares of parts, and in its last column changes of balanced accuracy.\n\n"
    parts = [words + table(header, rows)]
    if other:
        parts.append(
            f"Runs done at size *{other.size}*: {other.done} of {other.planned} ({seeds(other)}), by "
            f"`{command(other)}`."
        )
    parts.append(
        f"The figure also shows the aim, {AIM} (dashed), and {EARLIER[0]} to {EARLIER[1]} (grey), which the author of "
        "the articles reached with three cameras on other parts."
    )
    return parts + collapsed(found)


ROWS = ((CENTRE, ONE_VIEW), *((FIVE, views) for views in JUDGED_BY), (TOGETHER, ALL_VIEWS), (TOGETHER_OWN, ALL_VIEWS))


def _rows(found: Found, series: Mapping[str, Mapping[str, Mapping[str, Value]]]) -> list[list[object]]:
    """Make a table row for each pair of variant and judging views, with the change from the row above."""
    rows: list[list[object]] = []
    above = None
    for row in ROWS:
        variant, views = row
        values = [by_variant.get(variant, {}).get(views) for by_variant in series.values()]
        if any(values):
            change = views_change(found, above, row) if above else None
            size = "" if found.size == "reduced" else f", size *{found.size}*"
            cells = [values[0] or "–", *map(mean, values[1:])]
            rows.append([_short(variant) + size, views, seeds_of(values), *cells, change or "–"])
            above = row
    return rows


def views_change(found: Found, one: tuple[str, str], other: tuple[str, str]) -> Difference | None:
    """Subtract the balanced accuracy (over parts) of `one` from that of `other`; None if either has no run.

    Args:
        found: The question's finished runs.
        one, other: Pairs of a variant and the views that judge its parts.
    """
    before, after = (
        [d["result"]["views"][views]["answers"] for d in found.variants.get(variant, [])]
        for variant, views in (one, other)
    )
    return difference(before, after, same_models=one[0] == other[0])
