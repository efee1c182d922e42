"""InputError: the exception for mistakes in manifests, scenes, options and the files that they name."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel = 3
_BRIEF.maxstring = _BRIEF.maxother = 100


class InputError(Exception):
    """A user's input is wrong. Commands print every problem, one per line, and exit with code 2.

    Args:
        problems: one message or several; each names file and line or key, what was expected and what was found.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


def shown(value: object) -> str:
    """A value as messages show it: one line, text in quotes, the middle of long values left out."""
    try:
        return _BRIEF.repr(value)
    except ValueError:  # Python refuses to write integers of thousands of digits.
        return "a number of thousands of digits"
