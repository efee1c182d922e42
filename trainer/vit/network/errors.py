"""The error that a user's input causes: every command prints it without a traceback and exits with 2."""

from collections.abc import Sequence


class InputError(Exception):
    """The user's data, folder or option is wrong.

    Args:
        problems: One message or several, each saying the place, what was expected and what was got.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))
