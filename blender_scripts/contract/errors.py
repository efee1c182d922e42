"""The exception for mistakes in manifests, scenes, options and the files that they name; how messages are shown."""

from __future__ import annotations

import re
import reprlib
from collections import Counter
from collections.abc import Iterable, Sequence

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel = 3
_BRIEF.maxstring = _BRIEF.maxother = 100

_EXPECTED = ": expected "
_MOST_ALIKE = 5


class InputError(Exception):
    """A user's input is wrong. Commands print every problem, one per line, and exit with code 2.

    Args:
        problems: one message or several; each names file and line or key, what was expected and what was found.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


def check_none_is_empty(arguments: Sequence[str]) -> None:
    """Check that no argument of a command is an empty text, as of a shell variable that is not set.

    A path "" would be the present folder, and an option "" count as not given.

    Raises:
        InputError: an argument is empty, or is an option with "=" and nothing after it.
    """
    for before, argument in zip(("", *arguments), arguments, strict=False):
        name = argument.removesuffix("=") if argument.startswith("-") else before if before.startswith("-") else ""
        if not argument or (argument.startswith("--") and argument.find("=") == len(argument) - 1):
            place = name or "the command's arguments"
            raise InputError(f"{place}: expected a value, got an empty text (a shell variable that is not set?)")


def grouped(problems: Sequence[str]) -> list[str]:
    """Shorten a list of messages for printing.

    Messages are alike if they differ only in file, line and numbers in the column's name. Of more than six alike, the
    first five are kept, and a line with the number of the others.

    Args:
        problems: messages of the form ``place: expected …, got …``.

    Returns:
        The lines to print, in the order of the messages.
    """
    kinds = [_kind(problem) for problem in problems]
    counts, seen = Counter(kinds), Counter[tuple[str, str]]()
    last = dict(zip(kinds, problems, strict=True))
    lines = []
    for kind, problem in zip(kinds, problems, strict=True):
        seen[kind] += 1
        if counts[kind] <= _MOST_ALIKE + 1 or seen[kind] <= _MOST_ALIKE:
            lines.append(problem)
        elif seen[kind] == _MOST_ALIKE + 1:
            place = last[kind].partition(_EXPECTED)[0]
            lines.append(f"and {counts[kind] - _MOST_ALIKE} more mistakes of this kind, the last one at {place}")
    return lines


def _kind(problem: str) -> tuple[str, str]:
    """What makes messages alike: the column or key after a line number, without numbers; what is expected and found."""
    place, _, text = problem.partition(_EXPECTED)
    column = re.search(r":\d+ (.*)", place, re.DOTALL)
    return re.sub(r"\d+", "", column[1]) if column else "", text or problem


def shown(value: object) -> str:
    """Format a value for a message: on one line, text in quotes, the middle of a long value left out."""
    try:
        return _BRIEF.repr(value)
    except ValueError:  # Python refuses to write integers of thousands of digits.
        return "an integer with thousands of digits"
