"""The error that a user's input causes; its class lies with the network, whose files travel with a run."""

from collections.abc import Iterator
from contextlib import contextmanager

from blender_scripts.contract import errors as contract
from trainer.vit.network.errors import InputError

__all__ = ["InputError", "as_input_error"]


@contextmanager
def as_input_error() -> Iterator[None]:
    """Raise what the generator's readers find wrong as the trainers' own error."""
    try:
        yield
    except contract.InputError as error:
        raise InputError(error.problems) from None
