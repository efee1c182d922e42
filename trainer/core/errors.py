"""The error that a user's input causes; its class lies with the network, whose files travel with a run."""

from trainer.vit.network.errors import InputError

__all__ = ["InputError"]
