"""Question 4: one view of a part compared with several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from studies import figures
from studies.findings import Difference, Found, Value, difference, over_seeds
from studies.plan import CENTRE, FIVE, TOGETHER, TOGETHER_OWN
from studies.questions.shares import Share, collapsed
from studies.tables import CHANGE, command, seeds, seeds_of, table

# Accuracy of an SVM on metrics with three cameras, in the source author's earlier work.
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
    """A measure of whole parts, by variant and by the views that judge; one trained on all views has one entry."""
    values = {
        variant: {
            name: value
            for name in JUDGED_BY
            if (value := over_seeds(s for d in documents if (s := read(d["result"]["views"][name]))))
        }
        for variant, documents in found.variants.items()
    }
    return {variant: some for variant, some in values.items() if some}


def _parts_table(series: Mapping[str, Mapping[str, Mapping[str, Value]]]) -> str:
    rows = []
    for variant, judged in series["right class"].items():
        for name in judged:
            cells = [values.get(variant, {}).get(name) for values in series.values()]
            rows.append([_short(variant), name, seeds_of(cells), *(cell or "–" for cell in cells)])
    return table(["trained on", "judged by", "seeds", *series], rows)


def _short(variant: str) -> str:
    return variant.removeprefix("trained on ")


def section(found: Found, picture: Path) -> list[str]:
    """The section of question 4: whole parts judged by one, three and five views."""
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
    parts = [_parts_table(series)]
    if other:
        parts.append(
            f"The same at size *{other.size}*, {other.done} of {other.planned} runs ({seeds(other)}): "
            f"`{command(other)}`\n\n" + _parts_table(more)
        )
    reached = [
        f"{_short(variant)}, {name}" + (f" (size *{one.size}*)" if one is not found else "")
        for one in (found, other)
        if one
        for variant, judged in parts_judged(one, PART_MEASURES["right class"]).items()
        for name, value in judged.items()
        if value.mean >= AIM
    ]
    parts.append(
        f"The earlier work reached {EARLIER[0]} and {EARLIER[1]} with three cameras (grey band) on other parts; "
        f"the aim is {AIM} (dashed), " + ("reached by " + "; ".join(reached) if reached else "not reached") + "."
    )
    parts += _more_views(found)
    return parts + collapsed(found)


STEPS = (
    ((CENTRE, ONE_VIEW), (FIVE, ONE_VIEW)),
    ((FIVE, ONE_VIEW), (FIVE, JUDGED_BY[1])),
    ((FIVE, JUDGED_BY[1]), (FIVE, ALL_VIEWS)),
    ((FIVE, ONE_VIEW), (FIVE, ALL_VIEWS)),
    ((CENTRE, ONE_VIEW), (FIVE, ALL_VIEWS)),
    ((FIVE, ALL_VIEWS), (TOGETHER, ALL_VIEWS)),
    ((TOGETHER, ALL_VIEWS), (TOGETHER_OWN, ALL_VIEWS)),
)


def views_change(found: Found, one: tuple[str, str], other: tuple[str, str]) -> Difference | None:
    """Balanced accuracy over parts of `other` minus `one`, each a variant and the views that judge its parts."""
    before, after = (
        [d["result"]["views"][views]["answers"] for d in found.variants.get(variant, [])]
        for variant, views in (one, other)
    )
    return difference(before, after, same_models=one[0] == other[0])


def _more_views(found: Found) -> list[str]:
    """A table of the changes from fewer views to more, and from one training to another."""
    rows = []
    for one, other in STEPS:
        if change := views_change(found, one, other):
            rows.append([*(f"{_short(variant)} ({views})" for variant, views in (one, other)), change.seeds, change])
    if not rows:
        return []
    return [
        CHANGE.format("parts, by training (and views that judge)") + table(["from", "to", "seeds", "all parts"], rows)
    ]
