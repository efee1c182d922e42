"""`--time-limit MIN`: reduces the number of epochs, so that a training's whole schedule ends within the limit.

Before the first epoch a few training steps, which change no weight, and a measurement on validation pictures are
timed. Epochs with close-ups only (cut-outs around pins) and epochs with whole pictures are timed apart.
The limit counts from the start of the command: reading and checking the data are part of it.
"""

import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from trainer.core.console import say, stage

STEPS = 4
# Share of the time left that the training may take by the estimate; the rest is for the estimate's error.
USED = 0.9


@dataclass(frozen=True)
class Cost:
    """Estimated seconds of a training.

    Args:
        close_up_epoch: Seconds of an epoch of close-ups, including its validation; 0: the training has none.
        picture_epoch: Seconds of an epoch of whole pictures, including its validation.
        end: Seconds from the end of the last epoch to the end of the command.
    """

    close_up_epoch: float
    picture_epoch: float
    end: float


class Steps(Protocol):
    """The part of `trainer.core.loop.Trainee` that `seconds_per_step` uses."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer, used to clear the gradients; no step is taken with it."""

    def batches(self, epoch: int) -> Iterator[Sequence[Any]]:
        """Yield the batches of an epoch, those of one optimizer step at a time."""

    def backward(self, batch: Any, batches_per_step: int) -> None:
        """Add the gradient of a batch's loss, divided by the step's number of batches, to the parameters'."""


class Shortenable[Config](Protocol):
    """A `trainer.core.loop.Trainee` whose number of epochs can be reduced."""

    config: Config
    share: Any

    def cost(self) -> Cost:
        """Estimate this training's seconds by trial steps: an epoch of close-ups, one of whole pictures, the end."""

    def adopt(self, config: Config) -> None:
        """Shorten the training for --time-limit: plan it anew by `config`, the same settings with fewer epochs.

        Called by `shorten_to_limit` before the first step, and by `Loop.shorten`.
        """


def seconds_per_step(trainee: Steps, epoch: int) -> float:
    """Measure the mean time of the second to fourth training step of `epoch`, in seconds; the weights do not change."""
    seconds, began = [], time.monotonic()
    for batches in itertools.islice(trainee.batches(epoch), STEPS):
        for batch in batches:
            trainee.backward(batch, len(batches))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - began)
        began = time.monotonic()
    trainee.optimizer.zero_grad(set_to_none=True)
    return statistics.fmean(seconds[1:] or seconds)  # the first step also prepares memory and kernels


def close_up_epochs(share: float, epochs: int) -> int:
    """Return how many epochs, from the first on, train on close-ups only: `share` of `epochs`, never the last one."""
    return min(round(share * epochs), epochs - 1)


def fitted_epochs(asked: int, share: float, cost: Cost, seconds: float) -> int:
    """Return how many epochs, 1 to `asked`, fit by estimate into 90 % (`USED`) of `seconds`; 1 if none fits.

    Args:
        asked: Number of epochs that `--epochs` asks for.
        share: Share of the epochs that train on close-ups only, in [0, 1].
        cost: Estimated seconds of one epoch of each kind, and of the training's end.
        seconds: Seconds left of the time limit.
    """
    for epochs in range(asked, 1, -1):
        first = close_up_epochs(share, epochs) if cost.close_up_epoch else 0
        if first * cost.close_up_epoch + (epochs - first) * cost.picture_epoch + cost.end <= USED * seconds:
            return epochs
    return 1


def shorten_to_limit[Config](trainee: Shortenable[Config], limit_min: float, began: float) -> Config:
    """Before a new training, reduce its epochs to those that by estimate fit into --time-limit; returns its settings.

    Args:
        trainee, limit_min: The training before its first step, and the limit in minutes.
        began: `time.monotonic()` at the start of the command.
    """
    stage("measuring how long a training step takes, for --time-limit")
    config: Any = trainee.config
    cost = trainee.cost()
    left = 60 * limit_min - (time.monotonic() - began)
    epochs = trainee.share.agreed(fitted_epochs(config.epochs, config.close_ups, cost, left))
    close_ups = f", {cost.close_up_epoch:.1f} s per epoch with close-ups of pins only" if cost.close_up_epoch else ""
    say(
        f"--time-limit {limit_min:g}: {epochs} of {config.epochs} epochs fit into the {max(0.0, left) / 60:.1f} min "
        f"left (estimated {cost.picture_epoch:.1f} s per epoch with whole pictures{close_ups}, {cost.end:.0f} s to "
        "measure the result)"
    )
    if epochs < config.epochs:
        trainee.adopt(config.changed({"fitted_epochs": epochs}))
    stage("preparing the training")
    return trainee.config
