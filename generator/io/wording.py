"""Words of messages that several commands print."""

from __future__ import annotations

from collections.abc import Sequence

MOST_NAMED = 5


def some_of(names: Sequence[str]) -> str:
    """Return the first five names, and how many more there are: `a, b, c, d, e and 2 more`."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural (default: noun + s) unless it is 1: `1 picture`, `0 pictures`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
