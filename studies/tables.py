"""Markdown tables of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from studies.findings import Answers, Difference, Found, Value
from studies.run import TOPICS

CHANGE = "Change of balanced accuracy on the same {}:\n\n"


def command(found: Found) -> str:
    """The command that does the question's runs at that size."""
    size = "" if found.size == "reduced" else f" --size {found.size}"
    return f"python -m studies --only {TOPICS[found.question]}{size}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, without the column "seeds" if it is constant: the section's first line has the number."""
    kept = [i for i, name in enumerate(header) if name != "seeds" or len({str(row[i]) for row in rows}) > 1]
    header, rows = [header[i] for i in kept], [[row[i] for i in kept] for row in rows]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def seeds(found: Found) -> str:
    """The number of trainings of each variant, as text."""
    counts = sorted({len(documents) for documents in found.variants.values()})
    number = "–".join(map(str, counts[:: max(1, len(counts) - 1)]))
    return f"{number} seed{'s' * (number != '1')} of each variant"


def seeds_of(values: Iterable[Value | Difference | None]) -> str:
    """The number of seeds of some values, as text; fewest–most if it differs."""
    counts = sorted({value.seeds for value in values if value})
    return "–".join(map(str, [counts[0], counts[-1]] if len(counts) > 1 else counts))


def by_variant(columns: Mapping[str, Mapping[str, Value]], first: str = "trained with") -> str:
    """A table with a line for each variant and a column for each measure; a dash is a missing value."""
    variants = list(dict.fromkeys(variant for values in columns.values() for variant in values))
    seeds = {v: seeds_of(values.get(v) for values in columns.values()) for v in variants}
    rows = [
        [variant, seeds[variant], *(values.get(variant, "–") for values in columns.values())] for variant in variants
    ]
    return table([first, "seeds", *columns], rows)


def differences(
    found: Found,
    pairs: Sequence[tuple[str, str]],
    columns: Mapping[str, Callable[[Mapping[str, Any]], Answers | None]],
) -> list[str]:
    """A table with a line for each pair (from, to) of variants, a column for each set of pictures; [] if all empty."""
    rows = []
    for one, other in pairs:
        cells = [found.difference(one, other, read) for read in columns.values()]
        if any(cells):
            rows.append([one, other, seeds_of(cells), *(cell or "–" for cell in cells)])
    if not rows:
        return []
    return [CHANGE.format("pictures") + table(["from", "to", "seeds", *columns], rows)]
