"""`InputError`, raised for a user's mistake: every command prints it without traceback and exits with 2."""

from collections.abc import Sequence


class InputError(Exception):
    """The user's data, folder or option is wrong.

    Args:
        problems: One or several messages of the form `PLACE: expected X, got Y`.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))
