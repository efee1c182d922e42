"""`InputError`, raised for a user's mistake, and `DifferentResultsError`, for a check of our own work that failed.

The class of `InputError` is in `trainer.vit.network`: those files travel with a run.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from blender_scripts.contract import errors as contract
from trainer.vit.network.errors import InputError

__all__ = ["DifferentResultsError", "InputError", "as_input_error"]


class DifferentResultsError(RuntimeError):
    """A written file, or a changed network, computes other results than the network that it was made from.

    It is no mistake of the user: every command prints its message, `PLACE: expected X, got Y`, and exits with 1.
    """


@contextmanager
def as_input_error() -> Iterator[None]:
    """In a `with` block, turn an InputError of the generator into one of the trainer, with the same messages."""
    try:
        yield
    except contract.InputError as error:
        raise InputError(error.problems) from None
