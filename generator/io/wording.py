"""Words of messages that several commands print."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST_NAMED = 5
_ENDS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def some_of(names: Sequence[str]) -> str:
    """Return the first five names, and how many more there are: `a, b, c, d, e and 2 more`."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural (default: noun + s) unless it is 1: `1 picture`, `0 pictures`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def on_one_line(text: str) -> str:
    r"""Return the text with escapes for control characters and line ends, as file names may have: `a\nb.png`."""
    return _ENDS.sub(lambda found: repr(found[0])[1:-1], text)
