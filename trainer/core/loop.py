"""The training loop of every kind of network: steps, epochs, and the files that are written after each epoch.

The loop does not depend on pictures, classes or boxes. A `Trainee` supplies the network, the batches of each epoch, the
loss of a batch and the measurement after an epoch. The loop does the rest: learning rate, accumulated and clipped
gradients, averaged weights (EMA), best epoch, metrics.csv, event files, the state from which a run is resumed, early
stopping, time limit, and several processes.

The trainee seeds all random numbers again at the start of each epoch. So a run that was killed and resumed gives
exactly the same weights as an uninterrupted one, on one machine with the same number of threads.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from trainer.core.console import Progress, say
from trainer.core.distributed import Share
from trainer.core.ema import Average
from trainer.core.event_files import EventFiles
from trainer.core.run_folder import BEST, Row, read_metrics, save_tensors, write_metrics
from trainer.core.state import RunState, load_state, save_state

LOSS = "train_loss"  # this column of `Trainee.trained` must stay finite


@dataclass(frozen=True)
class Schedule:
    """The settings of a training that the loop uses.

    Args:
        epochs: Number of epochs; the learning rate is lowest at the end of the last one.
        lr: Highest learning rate.
        warmup: Share of all steps, counted from the first, during which the learning rate rises.
        clip: Largest norm of the gradient.
        ema: Decay per step of the averaged weights, which are measured and saved; 0: the weights themselves.
        patience: Stop after this number of epochs without a better one; 0: never.
        uncounted: Number of first epochs that have no score and do not count for `patience`.
    """

    epochs: int
    lr: float
    warmup: float
    clip: float
    ema: float = 0.0
    patience: int = 0
    uncounted: int = 0

    @classmethod
    def of(cls, config: Any, uncounted: int = 0) -> "Schedule":
        """Return the schedule of a training's settings, whose names it has, but for `scheduled`, its epochs."""
        same = {name: getattr(config, name) for name in ("lr", "warmup", "clip", "ema", "patience")}
        return cls(epochs=config.scheduled, uncounted=uncounted, **same)

    def is_over(self, state: RunState) -> bool:
        """Return whether to stop: no new best epoch for `patience` epochs, the first `uncounted` epochs not counted."""
        since = max(state.best_epoch, self.uncounted)
        return self.patience > 0 and state.epoch - since >= self.patience


class Trained(NamedTuple):
    """Facts on an epoch: last learning rate, mean gradient norm before clipping, steps since the training's start."""

    lr: float
    gradient_norm: float
    step: int


class EpochScore(NamedTuple):
    """Measurement after an epoch: columns for metrics.csv, and the score that decides which epoch is the best.

    Scores are compared as tuples, higher is better; with None the epoch cannot be the best one.
    """

    row: Row
    score: tuple[float, ...] | None


class Trainee[Batch](Protocol):
    """A network in training, as the loop uses it: every kind of run supplies these attributes and methods.

    In each epoch the loop calls `batches`, `backward` for each batch, `trained`, `measure` and `keep`. At each step it
    sums the gradients of all processes. In `measure`, `weights` and `keep` the network has the averaged weights.
    """

    @property
    def network(self) -> nn.Module:
        """The network: its parameters that require gradients are trained, and saved under their names."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer of the trained parameters; the loop sets its learning rate."""

    @property
    def share(self) -> Share:
        """This process's rank, and its share of the batches."""

    def steps(self, epoch: int) -> int:
        """Number of steps of an epoch; epochs count from 1."""

    def batches(self, epoch: int) -> Iterator[Sequence[Batch]]:
        """Seed the epoch's random numbers, and yield the batches of each step; the gradients of a step are averaged."""

    def backward(self, batch: Batch, batches_per_step: int) -> None:
        """Add the gradient of a batch's loss, divided by the number of batches in the step."""

    def trained(self, epoch: int, how: Trained) -> Row:
        """Return the epoch's training columns of metrics.csv; `train_loss` must be one of them."""

    def is_due(self, epoch: int) -> bool:
        """Return whether the settings ask for a measurement after this epoch."""

    def measure(self, epoch: int) -> EpochScore:
        """Measure the network on validation, while it has the averaged weights; the first process's score counts."""

    def unmeasured(self) -> Row:
        """Return the columns of `measure` with empty values, for an epoch that is not measured."""

    def weights(self) -> dict[str, Tensor]:
        """Return the tensors to write into best.safetensors, by name."""

    def keep(self, run: Path, row: Row, is_best: bool) -> None:
        """Write this kind of run's own files after an epoch, in the first process; `row`: its line of metrics.csv."""

    def warnings(self, rows: Sequence[Row]) -> list[str]:
        """Return warnings from the epochs so far; `rows` are the lines of metrics.csv, the newest last."""


Report = Callable[[Row, list[str]], None]


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Args:
        epochs: Number of finished epochs, including those before a resume.
        best_epoch: Epoch whose weights best.safetensors holds; 0 = no such file.
        stopped: Why the training ended early; empty if it did not.
        warnings: Warnings of the last epoch.
        diverged: Whether the training ended because its loss was not finite.
    """

    epochs: int
    best_epoch: int
    stopped: str
    warnings: list[str]
    diverged: bool = False

    @property
    def advice(self) -> str:
        """What to do after a training that ended without a model, as a sentence without full stop."""
        if self.diverged:
            return "start again with a lower --lr; --resume would stop at the same epoch again"
        return "continue with --resume and a longer --time-limit"


def learning_rate(step: int, steps: int, schedule: Schedule) -> float:
    """Return the learning rate of a step: linear warm-up, then half a cosine down to a hundredth of the highest.

    Args:
        step, steps: Number of the step, from 0, and number of steps of the whole training.
        schedule: Gives `lr` and `warmup`.
    """
    warmup = max(1, round(schedule.warmup * steps))
    if step < warmup:
        return schedule.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return schedule.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def train_epoch[Batch](
    trainee: Trainee[Batch],
    schedule: Schedule,
    epoch: int,
    average: Average | None = None,
    step: int = 0,
    steps: int | None = None,
    bar: Progress | None = None,
) -> Row:
    """Train the steps of one epoch; returns its training columns of metrics.csv.

    Args:
        trainee: The network in training; its weights are changed.
        schedule: The training's settings.
        epoch: Number of this epoch, from 1.
        average: Moving average of the weights, updated after each step.
        step: Number of steps before this epoch.
        steps: Number of steps of the whole training; None: that of this epoch.
        bar: Progress bar, advanced by one per step.
    """
    steps = trainee.steps(epoch) if steps is None else steps
    parameters = [p for p in trainee.network.parameters() if p.requires_grad]
    norms = torch.zeros((), device=parameters[0].device)
    rate, done = schedule.lr, 0
    for batches in trainee.batches(epoch):
        rate = learning_rate(step + done, steps, schedule)
        for group in trainee.optimizer.param_groups:
            group["lr"] = rate
        trainee.optimizer.zero_grad(set_to_none=True)
        for batch in batches:
            trainee.backward(batch, len(batches))
        trainee.share.sum_gradients(trainee.network)
        norms += torch.nn.utils.clip_grad_norm_(parameters, schedule.clip).detach()
        trainee.optimizer.step()
        done += 1
        if average is not None:
            average.update(step + done)
        if bar is not None:
            bar.update()
    return trainee.trained(epoch, Trained(rate, float(norms) / max(1, done), step + done))


@dataclass
class Loop[Batch]:
    """A training that writes into a run's folder.

    Args:
        trainee, schedule: The network in training, and the training's settings.
        run: The run's folder, which exists; only the first process writes there.
        time_limit_min: Stop after the first epoch that ends more than this many minutes after `began`; None: no limit.
        began: `time.monotonic()` at the start of the command; None: at the start of `train`.
        report: Called in every process after each epoch, with its line of metrics.csv and its warnings.
        events: TensorBoard event files to write; None: none.
        shorten: Function that is called if the time limit has passed and no epoch has a score yet. It gets the number
            of the last finished epoch, and returns a schedule that ends one epoch later; that epoch gets a score. None:
            the training stops without a best epoch.
    """

    trainee: Trainee[Batch]
    schedule: Schedule
    run: Path
    time_limit_min: float | None = None
    report: Report = lambda row, warnings: None
    events: EventFiles | None = None
    began: float | None = None
    shorten: Callable[[int], Schedule] | None = None

    def __post_init__(self) -> None:
        self.average = Average(self.trainee.network, self.schedule.ema)
        self.state = RunState()
        self.rows: list[Row] = []
        self.warnings: list[str] = []
        self.diverged = False

    def save(self) -> None:
        """Write RUN/state.safetensors, from which `train` resumes."""
        save_state(self.run, self.trainee.network, self.trainee.optimizer, self.average.held, self.state)

    def train(self, resume: bool = False) -> Outcome:
        """Train the epochs that are left and write the weights of the best one; returns how the training ended.

        Args:
            resume: Whether to start from RUN/state.safetensors.
        """
        began = time.monotonic() if self.began is None else self.began
        if resume:
            self.state = load_state(self.run, self.trainee.network, self.trainee.optimizer, self.average.held)
            self.rows = read_metrics(self.run, self.state.epoch)
        stopped, steps = "", self._steps()
        with Progress("training", steps, "step", self.state.step, not self.trainee.share.first) as bar:
            while self.state.epoch < self.schedule.epochs and not stopped:
                bar.rename(f"epoch {self.state.epoch + 1} of {self.schedule.epochs}")
                bar.extend(steps := self._steps())
                if self.schedule.is_over(self.state):
                    stopped = (
                        f"the last {self.schedule.patience} epochs were no better than epoch {self.state.best_epoch} "
                        "(--patience)"
                    )
                else:
                    stopped = self._epoch(self.state.epoch + 1, steps, bar, began)
        if self.events is not None:
            self.events.close()
        return Outcome(self.state.epoch, self.state.best_epoch, stopped, self.warnings, self.diverged)

    def _steps(self) -> int:
        """Number of steps of the whole training."""
        return sum(self.trainee.steps(epoch) for epoch in range(1, self.schedule.epochs + 1))

    def _epoch(self, epoch: int, steps: int, bar: Progress, began: float) -> str:
        """Train, measure, save and report one epoch; returns why the training must stop after it, or an empty text."""
        start = time.monotonic()
        trained = train_epoch(self.trainee, self.schedule, epoch, self.average, self.state.step, steps, bar)
        if not math.isfinite(loss := float(trained[LOSS])):  # type: ignore[arg-type]
            self.diverged = True
            return f"the loss of epoch {epoch} is {loss}: expected a finite number; --lr {self.schedule.lr} is too high"
        # At the time limit an epoch that is not due is measured too; the time of a measurement that is due counts.
        due = self.trainee.is_due(epoch)
        late = not due and self._is_late(epoch, began)
        state = replace(self.state, epoch=epoch, step=self.state.step + self.trainee.steps(epoch))
        row: Row = {"epoch": epoch, **trained}
        with self.average.in_place():
            score = self._measured(row, late)
            row["seconds"] = round(time.monotonic() - start, 2)
            is_best = score is not None and (not self._is_settled() or score > state.best_score)
            if is_best and score is not None:
                state = replace(state, best_epoch=epoch, best_score=score)
            if self.trainee.share.first:
                self.trainee.keep(self.run, row, is_best)
                if is_best:
                    save_tensors(self.run / BEST, self.trainee.weights(), {"epoch": str(epoch)})
        self.rows.append(row)
        self.state = state
        if self.trainee.share.first:
            write_metrics(self.run, self.rows)
            self.save()
            if self.events is not None:
                self.events.add(row)
        self.warnings = self.trainee.warnings(self.rows)
        self.report(row, self.warnings)
        self.trainee.share.wait()
        if late or (due and self._is_late(epoch, began)):
            reached = f"time limit of {self.time_limit_min:g} min reached after epoch {epoch} of {self.schedule.epochs}"
            if state.best_epoch > 0 or self.shorten is None:
                return reached
            self.schedule = self.shorten(epoch)
            say(f"{reached}; one last epoch on whole pictures follows: epochs that show only close-ups give no model")
        return ""

    def _is_late(self, epoch: int, began: float) -> bool:
        """Whether the time limit has passed with epochs left; the first process's clock counts for all.

        This is the hard stop, should the estimate of `time_limit.shorten_to_limit` have been too low.
        """
        late = self.time_limit_min is not None and (time.monotonic() - began) / 60 > self.time_limit_min
        return self.trainee.share.agreed(late) and epoch < self.schedule.epochs

    def _is_settled(self) -> bool:
        """Whether there is a best epoch whose measurement was due by the settings.

        A run that reaches its time limit before its first measurement is measured then, to have a best epoch at all.
        When it is resumed, that score no longer counts, so it ends with the same network as a run without the limit.
        """
        return self.state.best_epoch > 0 and self.trainee.is_due(self.state.best_epoch)

    def _measured(self, row: Row, late: bool) -> tuple[float, ...] | None:
        """Measure the epoch if due, and add the columns to its row; returns the score, equal in all processes."""
        epoch = self.state.epoch + 1
        if not (self.trainee.is_due(epoch) or (late and not self._is_settled())):
            row.update(self.trainee.unmeasured())
            return None
        measured = self.trainee.measure(epoch)
        row.update(measured.row)
        return self.trainee.share.agreed(measured.score)
