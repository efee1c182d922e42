"""Types of options whose value is a number, for argparse: their messages say what is expected, and what was got."""

from __future__ import annotations

import argparse

from blender_scripts.contract.errors import shown


def whole_number(text: str) -> int:
    """Return the whole number that an option's text stands for; raises ArgumentTypeError if it stands for none."""
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {shown(text)}") from None


def number(text: str) -> float:
    """Return the number that an option's text stands for, possibly nan or inf.

    Raises:
        ArgumentTypeError: it stands for no number.
    """
    try:
        if "_" in text:  # Python reads 0_8 as 8
            raise ValueError(text)
        return float(text)
    except ValueError:
        hint = " (the decimal sign is a point)" if "," in text else ""
        raise argparse.ArgumentTypeError(f"expected a number, got {shown(text)}{hint}") from None
