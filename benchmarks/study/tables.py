"""Tables of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.study.findings import Answers, Found, Value

CHANGE = "Change of balanced accuracy, {}; bold where the interval leaves out zero:\n\n"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def by_variant(columns: Mapping[str, Mapping[str, Value]], first: str = "trained with") -> str:
    """A line for each variant, a column for each measure, a dash where there is no value."""
    variants = list(dict.fromkeys(variant for values in columns.values() for variant in values))
    seeds = {v: max(values[v].seeds for values in columns.values() if v in values) for v in variants}
    rows = [
        [variant, seeds[variant], *(values.get(variant, "–") for values in columns.values())]
        for variant in variants
    ]
    return table([first, "seeds", *columns], rows)


def differences(
    found: Found,
    pairs: Sequence[tuple[str, str]],
    columns: Mapping[str, Callable[[Mapping[str, Any]], Answers | None]],
) -> list[str]:
    """A line for each pair (from, to) of variants, a column for each set of pictures; nothing where no pair was run."""
    rows = []
    for one, other in pairs:
        cells = [found.difference(one, other, read) for read in columns.values()]
        if any(cells):
            seeds = max(cell.seeds for cell in cells if cell)
            rows.append([one, other, seeds, *(cell or "–" for cell in cells)])
    if not rows:
        return []
    return [CHANGE.format("picture by picture") + table(["from", "to", "seeds", *columns], rows)]
