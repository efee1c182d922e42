"""Question 1: the benefit of each step of the ladder, four designs of increasing variety, on each test."""

from __future__ import annotations

from pathlib import Path

from studies import figures
from studies.findings import Found
from studies.plan import LADDER
from studies.questions.shares import GUESSING, accuracy, answered, collapsed
from studies.tables import mean, seeds_of, table

TESTS = {
    "test_shifted": "held-out pins of step 1",
    "test_allpins": "all pins",
    "test_mixed": "mixed terminals",
    "test_housings": "changed housings",
    "test_latched": "housing never trained",
}


def section(found: Found, picture: Path) -> list[str]:
    """Draw question 1's figure into the PNG `picture`; returns Markdown on the accuracy of each step of the ladder."""
    columns = {title: found.values(accuracy(split)) for split, title in TESTS.items()}
    figure, (axes,) = figures.panels(1)
    series = {v: {t: c[v] for t, c in columns.items() if v in c} for v in found.variants}
    figures.dots(axes, list(columns), series, "Balanced accuracy on each test, by what was trained on", GUESSING)
    figures.save(figure, picture)
    rows = []
    for variant in found.variants:
        values = [by_variant.get(variant) for by_variant in columns.values()]
        rows.append([variant, seeds_of(values), *map(mean, values)])
    whole = [found.difference(LADDER[0], LADDER[-1], answered(split)) for split in TESTS]
    if any(whole):
        rows.append(["*last step minus first*", seeds_of(whole), *(str(change or "–") for change in whole)])
    title = "Balanced accuracy on each test; the figure has the intervals:\n\n"
    return [title + table(["trained with", "seeds", *columns], rows), *collapsed(found)]
