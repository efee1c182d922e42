"""`InputError`, raised for a user's mistake. Its class is in `trainer.vit.network`: those files travel with a run."""

from collections.abc import Iterator
from contextlib import contextmanager

from blender_scripts.contract import errors as contract
from trainer.vit.network.errors import InputError

__all__ = ["InputError", "as_input_error"]


@contextmanager
def as_input_error() -> Iterator[None]:
    """In a `with` block, turn an InputError of the generator into one of the trainer, with the same messages."""
    try:
        yield
    except contract.InputError as error:
        raise InputError(error.problems) from None
