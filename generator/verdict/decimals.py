"""Write a measured value and its limit so that a reader sees which is larger."""

from __future__ import annotations

MOST_DECIMALS = 9


def told_apart(value: float, limit: float, decimals: int) -> tuple[str, str]:
    """Return two different numbers as texts with equally many decimals, as many as make the texts differ.

    Args:
        value: the measured value.
        limit: its limit.
        decimals: least number of decimals.
    """
    for count in range(decimals, MOST_DECIMALS + 1):
        if (texts := (f"{value:.{count}f}", f"{limit:.{count}f}"))[0] != texts[1]:
            break
    return texts
