"""`--time-limit MIN`: as many epochs as fit, so that a training's whole schedule ends within the limit.

Before the first epoch a few steps of each stage are computed, without changing a weight, and a few validation pictures
are measured. All time since the command began counts, also that of reading and checking the data.
"""

import itertools
import time
from dataclasses import dataclass
from typing import Any

from trainer.core.console import say
from trainer.core.loop import Trainee

STEPS = 3
# Share of the time left that the epochs may take by this estimate; the rest is for its error.
USED = 0.9


@dataclass(frozen=True)
class Cost:
    """Estimated seconds of a training.

    Args:
        close_up_epoch: Of an epoch of close-ups, with its validation.
        picture_epoch: Of an epoch of whole pictures, with its validation.
        end: Of all that follows the last epoch.
    """

    close_up_epoch: float
    picture_epoch: float
    end: float


def seconds_per_step(trainee: Trainee[Any], epoch: int) -> float:
    """Measure the seconds of a step of an epoch, without its optimizer step: weights and results stay the same."""
    began, steps = time.monotonic(), 0
    for number, batches in enumerate(itertools.islice(trainee.batches(epoch), STEPS)):
        for batch in batches:
            trainee.backward(batch, len(batches))
        if number == 0:
            began = time.monotonic()  # the first step also warms up
        steps = number
    took = time.monotonic() - began
    trainee.optimizer.zero_grad(set_to_none=True)
    return took / max(1, steps)


def close_up_epochs(share: float, epochs: int) -> int:
    """Return the number of first epochs with close-ups only; the last epoch always has whole pictures."""
    return min(round(share * epochs), epochs - 1)


def fitted_epochs(asked: int, share: float, cost: Cost, seconds: float) -> int:
    """Return the largest number of epochs, from 1 to `asked`, whose estimated time is at most `seconds`.

    Args:
        asked: Number of epochs of `--epochs`.
        share: Share of the epochs with close-ups only.
        cost: The estimate.
        seconds: Seconds left.
    """
    for epochs in range(asked, 1, -1):
        first = close_up_epochs(share, epochs)
        if first * cost.close_up_epoch + (epochs - first) * cost.picture_epoch + cost.end <= USED * seconds:
            return epochs
    return 1


def fitted(asked: int, share: float, cost: Cost, limit_min: float, began: float) -> int:
    """Return the number of epochs that fit into what is left of `--time-limit`, and print it.

    Args:
        asked, share, cost: See `fitted_epochs`.
        limit_min: The limit in minutes.
        began: `time.monotonic()` at the start of the command.
    """
    left = 60 * limit_min - (time.monotonic() - began)
    epochs = fitted_epochs(asked, share, cost, left)
    say(
        f"--time-limit {limit_min:g}: {epochs} of {asked} epochs fit into the {max(0.0, left) / 60:.1f} min left "
        f"(about {cost.picture_epoch:.1f} s for an epoch of whole pictures"
        + (f", {cost.close_up_epoch:.1f} s for one of close-ups" if share else "")
        + f", {cost.end:.0f} s at the end)"
    )
    return epochs
