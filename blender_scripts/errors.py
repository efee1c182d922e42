"""The one exception for what a user wrote: manifests, scenes, options and the files they name."""

from __future__ import annotations

from collections.abc import Iterable


class InputError(Exception):
    """A user's input is wrong. Commands print every problem, one per line, and exit with code 2.

    Args:
        problems: one message or several; each says the place, what was expected and what was found.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))
