"""What each step of an epoch shows: drawn from the epoch's seed, made in the background while the network computes.

Order and seeds of all examples are drawn for the whole batch, the examples themselves only for this process's part,
each from its own seed. So neither the number of processes nor when the background gets to it changes one.
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
from trainer.vit.closeups import CloseUps
from trainer.vit.run import TrainingConfig

AHEAD = 3  # steps that wait, ready


@dataclass(frozen=True)
class Plan:
    """How a training is divided.

    The first epochs show close-ups only. In the others each step shows whole pictures, and close-ups beside them:
    the classes stay balanced. Without boxes there are only pictures.

    Args:
        epochs: All epochs.
        close_up_epochs: The first ones, without whole pictures.
        picture_steps: Steps of an epoch with pictures.
        close_up_steps: Steps of one without: twice as many, for each costs a fraction.
    """

    epochs: int
    close_up_epochs: int
    picture_steps: int
    close_up_steps: int

    def steps(self, epoch: int) -> int:
        """Steps of one epoch, counted from 1."""
        return self.close_up_steps if epoch <= self.close_up_epochs else self.picture_steps

    def done(self, epoch: int) -> int:
        """Steps up to the end of an epoch; all of them at the last."""
        close_ups = min(epoch, self.close_up_epochs)
        return close_ups * self.close_up_steps + (epoch - close_ups) * self.picture_steps


def plan_of(split: Split, config: TrainingConfig, close_ups: CloseUps) -> Plan:
    """The plan for a training split."""
    steps = -(-len(split) // (config.batch_size * config.accumulate))
    usable = bool(close_ups) and config.patch_weight > 0
    # The last epoch always shows whole pictures: the class head has to learn something too.
    close_up_epochs = min(round(config.close_ups * config.epochs), config.epochs - 1) if usable else 0
    return Plan(config.epochs, close_up_epochs, steps, 2 * steps)


class Portion(NamedTuple):
    """What goes through the network before one backward pass: this process's part of a batch.

    Args:
        pictures: Whole pictures; None in the close-ups' stage.
        picture_count: How many examples the whole batch has: pictures, or parts of several.
        close_ups: Close-ups; None without.
        close_up_count: How many the whole batch has.
        centres: Index of each close-up's centre object.
    """

    pictures: Batch | None
    picture_count: int
    close_ups: Batch | None
    close_up_count: int
    centres: Tensor | None


def batch_of(split: Split, indices: Tensor) -> Batch:
    """The examples `indices` (B,) of a split: their labels, and their pictures one after the other."""
    at = split.picture_indices(indices)
    return Batch(
        pixels=split.pictures.batch(at.tolist()).float().div_(255),
        labels=split.labels[indices],
        boxes=split.boxes[at],
        categories=split.categories[at],
        boxes_known=split.boxes_known[at],
        may_flip=split.may_flip[at],
    )


def picture_order(split: Split, balanced: bool, generator: torch.Generator) -> Tensor:
    """The examples of an epoch (N,): each once, or drawn with replacement so that each class is shown alike."""
    if not balanced:
        return torch.randperm(len(split), generator=generator)
    counts = torch.bincount(split.labels).double()
    return torch.multinomial(1 / counts[split.labels], len(split), replacement=True, generator=generator)


def steps_of(
    split: Split, close_ups: CloseUps, config: TrainingConfig, plan: Plan, epoch: int, share: Share
) -> Iterator[list[Portion]]:
    """The portions of every step of an epoch, one for each accumulated batch.

    Args:
        split: Training split.
        close_ups: Close-ups of the same split.
        config: The training's settings.
        plan: From `plan_of`.
        epoch: Number of this epoch, from 1.
        share: This process's part.
    """
    generator = torch.Generator().manual_seed(config.seed * 100_003 + epoch)
    parts = torch.split(picture_order(split, config.balanced, generator), config.batch_size)
    with_pictures, with_close_ups = epoch > plan.close_up_epochs, plan.close_up_epochs > 0
    count = 2 * config.batch_size * split.views
    for step in range(plan.steps(epoch)):
        # The epoch's last step may have fewer batches.
        held = parts[step * config.accumulate : (step + 1) * config.accumulate]
        portions = []
        for part in held if with_pictures else [None] * config.accumulate:
            shown, centres, pictures = None, None, None
            if with_close_ups:
                seeds = example_seeds(count, generator)
                shown, centres = close_ups.draw(seeds[share.own(count)], config.augment)
            if part is not None:
                own, seeds = share.own(len(part)), example_seeds(len(part) * split.views, generator)
                pictures = batch_of(split, part[own])
                if config.augment:
                    pictures = augment(pictures, seeds.view(-1, split.views)[own].flatten())
            portions.append(Portion(pictures, 0 if part is None else len(part), shown, count, centres))
        yield portions


def ahead[T](items: Iterator[T], count: int = AHEAD) -> Iterator[T]:
    """The same items, up to `count` of them made before they are asked for, in one other thread."""
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
