"""Markdown tables of results.md, and the texts of their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from studies.findings import Answers, Difference, Found, Value
from studies.run import TOPICS


def command(found: Found) -> str:
    """Write the command line that does a question's runs at `found.size`."""
    size = "" if found.size == "reduced" else f" --size {found.size}"
    return f"python -m studies --only {TOPICS[found.question]}{size}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a Markdown table. A column "seeds" of equal numbers is left out: the section's text states the number."""
    kept = [i for i, name in enumerate(header) if name != "seeds" or len({str(row[i]) for row in rows}) > 1]
    header, rows = [header[i] for i in kept], [[row[i] for i in kept] for row in rows]
    lines = [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def seeds(found: Found) -> str:
    """Write the number of trainings per variant: "3 seeds per variant", or "1–3 seeds per variant" if it differs."""
    counts = sorted({len(documents) for documents in found.variants.values()})
    number = "–".join(map(str, counts[:: max(1, len(counts) - 1)]))
    return f"{number} seed{'s' * (number != '1')} per variant"


def seeds_of(values: Iterable[Value | Difference | None]) -> str:
    """Write the number of seeds of some values, such as "3", or "1–3" if it differs."""
    counts = sorted({value.seeds for value in values if value})
    return "–".join(map(str, [counts[0], counts[-1]] if len(counts) > 1 else counts))


def mean(value: Value | None) -> str:
    """Write a value's mean without its interval; a dash for None."""
    return f"{value.mean:.3f}" if value else "–"


def beyond(
    found: Found, pairs: Sequence[tuple[str, str]], columns: Mapping[str, Callable[[Mapping[str, Any]], Answers | None]]
) -> list[str]:
    """Write a sentence on the differences between two variants of a study.

    Args:
        found: the study's results.
        pairs: names of the variants to compare, two at a time.
        columns: what is compared: functions that read answers from a result, by the name that the sentence gives them.

    Returns:
        A list with the sentence, which names the differences whose interval excludes 0; [] if nothing can be compared.
    """
    changes = {
        f"*{other}* minus *{one}*{title and f' on *{title}*'}": change
        for one, other in pairs
        for title, read in columns.items()
        if (change := found.difference(one, other, read))
    }
    listed = [f"{name} {change}" for name, change in changes.items() if change.decided]
    excluding = "has an interval that excludes zero" if len(listed) == 1 else "have an interval that excludes zero"
    of = f"Of {len(changes)} other differences between rows, {len(listed) or 'none'} {excluding}"
    return [f"{of}{': ' * bool(listed)}{'; '.join(listed)}."] * bool(changes)
