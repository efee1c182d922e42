"""Types of options whose value is a number, for argparse: their messages say what is expected, and what was got."""

from __future__ import annotations

import argparse

from blender_scripts.contract.errors import InputError, shown

MOST_WORKERS = 1024


def whole_number(text: str) -> int:
    """Return the whole number that an option's text stands for; raises ArgumentTypeError if it stands for none."""
    try:
        return int(plain_number(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {shown(text)}") from None


def worker_problems(count: int | None) -> list[str]:
    """Return a message if the value of an option --workers (None: not given) is out of range; else an empty list."""
    if count is None or 1 <= count <= MOST_WORKERS:
        return []
    return [f"--workers: expected 1 to {MOST_WORKERS} processes, got {count}"]


def check_workers(count: int | None) -> None:
    """Check the value of an option --workers; raises InputError with the message of `worker_problems`."""
    if problems := worker_problems(count):
        raise InputError(problems)


def number(text: str) -> float:
    """Return the number that an option's text stands for, possibly nan or inf.

    Raises:
        ArgumentTypeError: it stands for no number.
    """
    try:
        return float(plain_number(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {shown_number(text)}") from None


def plain_number(text: str) -> str:
    """Return a number's text; raises ValueError if it has an underscore: Python reads 0_8 as 8."""
    if "_" in text:
        raise ValueError(text)
    return text


def shown_number(text: str) -> str:
    """Return an option's text for the message that it is no number, with a hint on a decimal comma."""
    return shown(text) + (" (the decimal sign is a point)" if "," in text else "")
