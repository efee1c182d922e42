"""Tables of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.study.findings import Value


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
