"""Florence-2's part of the training loop: seeded batches, their losses, validation mAP that decides the best epoch.

The order of an epoch's pictures is seeded by (seed, epoch), augmentation and dropout by (seed, epoch, process). Several
processes (`torchrun`, `accelerate launch`) divide each epoch's pictures, each with batches of its own, and step with
the mean of their gradients. Only the first process measures validation.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.core.distributed import Share
from trainer.core.loop import EpochScore, Schedule, Trained
from trainer.core.run_folder import Row
from trainer.core.time_limit import Cost, close_up_epochs, seconds_per_step
from trainer.florence2.answers import Found
from trainer.florence2.auxiliary_loss import grid_of
from trainer.florence2.average_precision import mean_average_precision
from trainer.florence2.batches import Collator
from trainer.florence2.data import DetectionData
from trainer.florence2.detect import Question, answers
from trainer.florence2.examples import Examples
from trainer.florence2.losses import LOSSES, DetectionLosses, parameter_groups
from trainer.florence2.metrics import best_threshold, counts, position_groups
from trainer.florence2.network import check_loss
from trainer.florence2.run import DetectionConfig

MEASURED = (
    *("val_map", "val_map50", "val_map50_seen", "val_map50_held-out"),
    *("val_threshold", "val_address_and_mode", "val_false_boxes_per_ok"),
)
Show = Callable[[int, Sequence[Sequence[Found]]], None]


def schedule_of(config: DetectionConfig) -> Schedule:
    """Make the settings for `trainer.core.loop`."""
    return Schedule(config.scheduled, config.lr, config.warmup, config.clip, config.ema)


class Florence2Trainee:
    """A Florence-2 in training; see `trainer.core.loop.Trainee`.

    Args:
        data: Splits `train` and `validation`.
        model: Florence-2 with `requires_grad` set on the parameters that train, or PEFT's model around it.
        collator, config: What makes the model's batches, and the settings of the training.
        share: This process's share of the training, from `distributed.start`.
        show: Called after each measurement with the epoch and the boxes found in the validation pictures.
    """

    def __init__(
        self,
        data: DetectionData,
        model: Any,
        collator: Collator,
        config: DetectionConfig,
        share: Share,
        show: Show = lambda epoch, found: None,
    ) -> None:
        self.data, self.config, self.share, self.show = data, config, share, show
        self.schedule = schedule_of(config)
        device = share.accelerator.device
        torch.manual_seed(config.seed)
        grid = grid_of(model, collator.size)
        self.examples = Examples(data, collator, config, grid, device)
        self.network = DetectionLosses(model, config, collator, self.examples.measure_scale()).to(device)
        groups = parameter_groups(self.network, config.weight_decay)
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98))
        self.collator, self.question = collator, Question.of(collator, self.examples.most_pins)
        self._per_step = config.batch_size * config.accumulate * self.share.count
        self._draws, self._close_ups = torch.Generator(), False
        self._means = dict.fromkeys(LOSSES, 0.0)
        self._found: list[list[Found]] | None = None

    def adopt(self, settings: DetectionConfig) -> None:
        """Replace the settings by equal ones with fewer epochs; called before the first if --time-limit is short."""
        self.config = self.examples.config = settings
        self.schedule = schedule_of(settings)

    def steps(self, epoch: int) -> int:
        """Return the number of optimizer steps in an epoch, the same for every epoch."""
        return self.examples.steps(self.share.count)

    @property
    def close_up_epochs(self) -> int:
        """Number of epochs, from the first on, that train on close-ups; the last epoch never does."""
        return close_up_epochs(self.config.close_ups, self.config.scheduled)

    def self_test(self) -> None:
        """Compare transformers' loss on one batch with `network.answer_loss`.

        Raises:
            InputError: The losses differ.
        """
        truths = self.examples.split.truths
        by_boxes = sorted(self.examples.rows, key=lambda i: -len(truths[i].answer))
        generator = torch.Generator().manual_seed(0)
        batch, targets = self.examples.batch(by_boxes[: self.config.batch_size], generator)
        self.network.eval()
        with torch.no_grad():
            losses = self.network(batch, targets)
        check_loss(losses["own"], losses["logits"], batch.labels)

    def batches(self, epoch: int) -> Iterator[Sequence[Sequence[int]]]:
        """Seed the epoch's random numbers; yield for each step this process's batches: row numbers in `train`."""
        seed = self.config.seed * 100_003 + epoch
        own = seed * 1009 + self.share.rank + 1
        self._draws.manual_seed(own)
        torch.manual_seed(own)  # dropout
        self.network.train()
        self._means = dict.fromkeys(LOSSES, 0.0)
        self._close_ups = epoch <= self.close_up_epochs
        rows, size = self.examples.rows, self.config.batch_size
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).tolist()
        for step in range(self.steps(epoch)):
            # The last step is filled up with the epoch's first rows, so that all processes get equally many pictures.
            some = [rows[order[(step * self._per_step + k) % len(order)]] for k in range(self._per_step)]
            some = some[self.share.rank :: self.share.count]
            yield [some[at * size : (at + 1) * size] for at in range(self.config.accumulate)]

    def backward(self, batch: Sequence[int], batches_per_step: int) -> None:
        """Add a batch's gradient, scaled to give the mean over the step's batches and all processes."""
        examples, targets = self.examples.batch(batch, self._draws, self._close_ups)
        with self.share.accelerator.autocast():
            losses = self.network(examples, targets)
        self.share.accelerator.backward(losses["loss"] / (batches_per_step * self.share.count))
        share = 1 / (batches_per_step * self.steps(1))
        for name in self._means:
            self._means[name] += float(losses[name].detach()) * share if name in losses else 0.0

    def trained(self, epoch: int, how: Trained) -> Row:
        """Return the epoch's training columns of metrics.csv: steps and pictures so far, learning rate, mean losses."""
        return {
            "step": how.step,
            "pictures": epoch * len(self.examples.rows),
            "lr": how.lr,
            "train_loss": self._means["loss"],
            **{f"train_{name}_loss": self._means[name] for name in LOSSES[1:]},
        }

    def is_due(self, epoch: int) -> bool:
        """Return whether validation is measured after this epoch."""
        return epoch % self.config.evaluate_every == 0 or epoch == self.config.scheduled

    def measure(self, epoch: int) -> EpochScore:
        """Measure validation; the score is (mAP, mAP50). Processes other than the first return empty columns."""
        if not self.share.first:
            return EpochScore(self.unmeasured(), None)
        split, labels = self.data.splits["validation"], self.data.labels
        self._found = found = answers(self.network.model, split, self.collator, self.question)
        pictures = list(zip(split.truths, found, strict=True))
        precisions = mean_average_precision(pictures, labels)
        threshold = best_threshold(pictures)
        at = counts(pictures, threshold)
        row: Row = {"val_map": precisions["map"], "val_map50": precisions["map50"]}
        groups = position_groups(split.truths, self.data.seen_positions(self.examples.rows))
        for name in ("seen", "held-out"):
            some = [p for p, group in zip(pictures, groups, strict=True) if group in (name, "ok")]
            row[f"val_map50_{name}"] = mean_average_precision(some, labels)["map50"] if name in groups else None
        row["val_threshold"] = threshold
        row["val_address_and_mode"] = at.right_address_and_mode
        row["val_false_boxes_per_ok"] = at.false_boxes_per_ok_picture
        return EpochScore(row, (float(precisions["map"] or 0), float(precisions["map50"] or 0)))

    def cost(self) -> Cost:
        """Estimate the seconds of an epoch with close-ups, one with whole pictures, and the measurement at the end."""
        split, steps = self.data.splits["validation"], self.steps(1)
        shown = self.close_up_epochs > 0
        close_up = seconds_per_step(self, 1) * steps if shown else 0.0
        picture = seconds_per_step(self, self.config.scheduled) * steps
        rows = range(min(4, len(split)))
        began = time.monotonic()
        answers(self.network.model, split, self.collator, self.question, rows=rows)
        measured = (time.monotonic() - began) / len(rows) * len(split)
        due = measured / self.config.evaluate_every
        # At the end all splits are measured, about as large as validation, and the model before and after is compared.
        return Cost(close_up + due if shown else 0.0, picture + due, 2 * measured + 20)

    def unmeasured(self) -> Row:
        """Return the validation columns of metrics.csv with empty values, for an epoch that is not measured."""
        return dict.fromkeys(MEASURED)

    def weights(self) -> dict[str, Tensor]:
        """Return the trained parameters by name."""
        return {name: p for name, p in self.network.named_parameters() if p.requires_grad}

    def keep(self, run: Path, row: Row, is_best: bool) -> None:
        """Pass the boxes found in validation to `show`, if this epoch was measured; the loop saves the weights."""
        if self._found is not None:
            self.show(int(row["epoch"]), self._found)  # type: ignore[call-overload]
            self._found = None

    def warnings(self, rows: Sequence[Row]) -> list[str]:
        """Return no warnings: a detector's training has none."""
        return []
