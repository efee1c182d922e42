"""Batches of each training step, drawn from the epoch's seed and prepared in a background thread.

Every process draws order and seeds for the whole batch, and prepares only its own examples, each from a seed of its
own. So the examples depend neither on the number of processes nor on the timing of the background thread.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.core.augmentation import Batch, augment, example_seeds
from trainer.core.distributed import Share
from trainer.core.split import Split
from trainer.core.time_limit import close_up_epochs
from trainer.vit.closeups import CloseUps
from trainer.vit.run import TrainingConfig

AHEAD = 3  # steps prepared in advance


@dataclass(frozen=True)
class Plan:
    """Stages of a training: first epochs with close-ups only, then epochs with whole pictures and close-ups.

    The close-ups beside whole pictures keep the classes balanced. Without boxes all epochs have whole pictures only.

    Args:
        epochs: Number of all epochs.
        close_up_epochs: Number of the epochs with close-ups only, at the start.
        picture_steps: Number of steps of an epoch with whole pictures.
        close_up_steps: Number of steps of an epoch with close-ups only: twice as many, because each takes less time.
    """

    epochs: int
    close_up_epochs: int
    picture_steps: int
    close_up_steps: int

    def steps(self, epoch: int) -> int:
        """Number of steps of an epoch; epochs count from 1."""
        return self.close_up_steps if epoch <= self.close_up_epochs else self.picture_steps

    def done(self, epoch: int) -> int:
        """Number of steps from the start of the training to the end of an epoch."""
        close_ups = min(epoch, self.close_up_epochs)
        return close_ups * self.close_up_steps + (epoch - close_ups) * self.picture_steps


def plan_of(split: Split, config: TrainingConfig, close_ups: CloseUps) -> Plan:
    """Plan the epochs with close-ups and the steps per epoch, for a training split and its close-ups."""
    steps = -(-len(split) // (config.batch_size * config.accumulate))
    usable = bool(close_ups) and config.patch_weight > 0
    first = close_up_epochs(config.close_ups, config.scheduled) if usable else 0
    return Plan(config.scheduled, first, steps, 2 * steps)


class Portion(NamedTuple):
    """This process's share of a batch, for one backward pass.

    Args:
        pictures: Whole pictures; None in epochs of close-ups only.
        picture_count: Number of examples (pictures, or parts with --views) in the whole batch of all processes.
        close_ups: Close-ups; None if the epoch has none.
        close_up_count: Number of close-ups in the whole batch of all processes; without meaning if `close_ups` is None.
        centres: Index of each close-up's centre object among its boxes; None without close-ups.
    """

    pictures: Batch | None
    picture_count: int
    close_ups: Batch | None
    close_up_count: int
    centres: Tensor | None


def batch_of(split: Split, indices: Tensor) -> Batch:
    """Make a batch of a split's examples `indices` (B,); the views of an example follow each other."""
    at = split.picture_indices(indices)
    return Batch(
        pixels=split.pictures.batch(at.tolist()).float().div_(255),
        labels=split.labels[indices],
        boxes=split.boxes[at],
        categories=split.categories[at],
        boxes_known=split.boxes_known[at],
        may_flip=split.may_flip[at],
        pins=split.pins_at(at),
    )


def picture_order(split: Split, balanced: bool, generator: torch.Generator) -> Tensor:
    """Draw an epoch's N example indices: each once, or if `balanced`, with replacement, all classes equally likely."""
    if not balanced:
        return torch.randperm(len(split), generator=generator)
    counts = torch.bincount(split.labels).double()
    return torch.multinomial(1 / counts[split.labels], len(split), replacement=True, generator=generator)


def steps_of(
    split: Split, close_ups: CloseUps, config: TrainingConfig, plan: Plan, epoch: int, share: Share
) -> Iterator[list[Portion]]:
    """Yield the batches of an epoch: for each step a list with one portion per accumulated batch.

    Args:
        split, close_ups, config: The training split, its close-ups, and the training's settings.
        plan: From `plan_of`.
        epoch: Number of this epoch, from 1.
        share: This process's share of the training.
    """
    generator = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
    chunks = torch.split(picture_order(split, config.balanced, generator), config.batch_size)
    with_pictures, with_close_ups = epoch > plan.close_up_epochs, plan.close_up_epochs > 0
    count = 2 * config.batch_size * split.views
    for step in range(plan.steps(epoch)):
        # The epoch's last step may have fewer batches.
        held = chunks[step * config.accumulate : (step + 1) * config.accumulate]
        portions = []
        for chunk in held if with_pictures else [None] * config.accumulate:
            shown, centres, pictures = None, None, None
            if with_close_ups:
                seeds = example_seeds(count, generator)
                shown, centres = close_ups.draw(seeds[share.own(count)], config.augment)
            if chunk is not None:
                own, seeds = share.own(len(chunk)), example_seeds(len(chunk) * split.views, generator)
                pictures = batch_of(split, chunk[own])
                if config.augment:
                    pictures = augment(pictures, seeds.view(-1, split.views)[own].flatten())
            portions.append(Portion(pictures, 0 if chunk is None else len(chunk), shown, count, centres))
        yield portions


def ahead[T](items: Iterator[T], count: int = AHEAD) -> Iterator[T]:
    """Yield the items in their order; a background thread prepares up to `count` items in advance."""
    end = object()
    with ThreadPoolExecutor(1, "loader") as pool:
        waiting = deque(pool.submit(next, items, end) for _ in range(count))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            for future in waiting:
                future.cancel()
