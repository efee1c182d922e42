"""The training loop of every kind of network: what a step is, what an epoch is, what is kept after it.

It knows no pictures, classes or boxes. What is trained brings its network, the batches of each epoch, the loss of a
batch, and what is measured after an epoch: see `Trainee`. The loop has the rest: learning rate, accumulated and
clipped gradients, averaged weights, the best epoch, metrics.csv, event files, the state that a run is resumed from,
patience and time limit, and several processes.

All that is random in an epoch is seeded anew by the trainee at its beginning, so a run that was killed and resumed
equals one that was not, to the bit, on one machine with one number of threads.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from tqdm import tqdm

from trainer.core.distributed import Share
from trainer.core.ema import Average
from trainer.core.event_files import EventFiles
from trainer.core.run_folder import BEST, Row, read_metrics, save_tensors, write_metrics
from trainer.core.state import RunState, load_state, save_state

LOSS = "train_loss"  # the column of `Trainee.trained` that must stay finite


@dataclass(frozen=True)
class Schedule:
    """What the loop knows of a training's settings.

    Args:
        epochs: The learning rate reaches its end with the last.
        lr: Highest learning rate.
        warmup: Share of the steps during which it rises.
        clip: Largest norm of the gradient.
        ema: Decay per step of the averaged weights, which are measured and kept; 0 = the weights themselves.
        patience: Stop after so many epochs that count without a better one; 0 = never.
        uncounted: So many first epochs have no score, and patience does not count them.
    """

    epochs: int
    lr: float
    warmup: float
    clip: float
    ema: float = 0.0
    patience: int = 0
    uncounted: int = 0

    def is_over(self, state: RunState) -> bool:
        """Whether patience has run out."""
        since = max(state.best_epoch, self.uncounted)
        return self.patience > 0 and state.epoch - since >= self.patience


class Trained(NamedTuple):
    """How an epoch's steps went: learning rate of the last, mean norm of the gradient before clipping, steps so far."""

    lr: float
    gradient_norm: float
    step: int


class Measured(NamedTuple):
    """Measured after an epoch: columns of metrics.csv, and the score that orders epochs; None: never the best."""

    row: Row
    score: tuple[float, ...] | None


class Trainee[Batch](Protocol):
    """What is trained.

    The loop calls `batches`, then `backward` of each, `trained`, `measure`, `keep`; it adds up the gradients of all
    processes once per step.
    """

    @property
    def network(self) -> nn.Module:
        """Its parameters that require gradients train; the saved files have their names."""

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Of these parameters; the loop sets its learning rate."""

    @property
    def share(self) -> Share:
        """This process's part of the training."""

    def steps(self, epoch: int) -> int:
        """Steps of an epoch, counted from 1."""

    def batches(self, epoch: int) -> Iterator[Sequence[Batch]]:
        """Begin an epoch: seed it, and yield for each step the batches whose gradients it averages."""

    def backward(self, batch: Batch, parts: int) -> None:
        """Add the gradient of a batch's loss over `parts`, the number of the step's batches."""

    def trained(self, epoch: int, how: Trained) -> Row:
        """The epoch's columns of metrics.csv, `train_loss` among them."""

    def is_due(self, epoch: int) -> bool:
        """Whether the settings have this epoch measured."""

    def measure(self, epoch: int) -> Measured:
        """Measure the network, whose weights are the averaged ones now; the first process's score counts."""

    def unmeasured(self) -> Row:
        """The columns of `measure` for an epoch that is not measured."""

    def weights(self) -> dict[str, Tensor]:
        """What best.safetensors holds."""

    def keep(self, run: Path, row: Row, is_best: bool) -> None:
        """Write what this kind of run keeps beside the loop's files, before best.safetensors is replaced."""

    def warnings(self, rows: Sequence[Row]) -> list[str]:
        """What the epochs so far warn of, the newest last."""


Report = Callable[[Row, list[str]], None]


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Args:
        epochs: Epochs done in all.
        best_epoch: Epoch of best.safetensors; 0 = none.
        stopped: Why it ended early; empty when it did not.
        warnings: What was warned of in the last epoch.
    """

    epochs: int
    best_epoch: int
    stopped: str
    warnings: list[str]


def learning_rate(step: int, steps: int, schedule: Schedule) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the highest rate.

    Args:
        step: From 0.
        steps: Of the whole training.
        schedule: Its `lr` and `warmup`.
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
    bar: "tqdm[None] | None" = None,
) -> Row:
    """One epoch; returns its columns of metrics.csv.

    Args:
        trainee: Its network is changed.
        schedule: The training's.
        epoch: Number of this epoch, from 1.
        average: Takes in the weights after each step.
        step: Steps done before it.
        steps: Of the whole training; by default of this epoch.
        bar: Progress bar, moved by one per step.
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
    """One training of a trainee in a run's folder.

    Args:
        trainee: What is trained.
        schedule: Its settings.
        run: Existing folder; only the first process writes there.
        time_limit_min: Stop after the first epoch that ends later than this many minutes from `train`.
        report: Called after each epoch with its line of metrics and its warnings.
        events: Event files to feed.
    """

    trainee: Trainee[Batch]
    schedule: Schedule
    run: Path
    time_limit_min: float | None = None
    report: Report = lambda row, warnings: None
    events: EventFiles | None = None

    def __post_init__(self) -> None:
        self.average = Average(self.trainee.network, self.schedule.ema)
        self.state = RunState()
        self.rows: list[Row] = []
        self.warnings: list[str] = []

    def save(self) -> None:
        """Write the state that `train` resumes from."""
        save_state(self.run, self.trainee.network, self.trainee.optimizer, self.average.held, self.state)

    def train(self, resume: bool = False) -> Outcome:
        """Train to the end, or on from where the run stands, and keep the best weights.

        Args:
            resume: Go on from RUN/state.safetensors.
        """
        began = time.monotonic()
        if resume:
            self.state = load_state(self.run, self.trainee.network, self.trainee.optimizer, self.average.held)
            self.rows = read_metrics(self.run, self.state.epoch)
        epochs = self.schedule.epochs
        steps = sum(self.trainee.steps(epoch) for epoch in range(1, epochs + 1))
        quiet = None if self.trainee.share.first else True
        stopped = ""
        with tqdm(total=steps, initial=self.state.step, unit="step", disable=quiet) as bar:
            while self.state.epoch < epochs and not stopped:
                if self.schedule.is_over(self.state):
                    stopped = f"no better epoch in {self.schedule.patience}: best is {self.state.best_epoch}"
                else:
                    stopped = self._epoch(self.state.epoch + 1, steps, bar, began)
        if self.events is not None:
            self.events.close()
        return Outcome(self.state.epoch, self.state.best_epoch, stopped, self.warnings)

    def _epoch(self, epoch: int, steps: int, bar: "tqdm[None]", began: float) -> str:
        """Train, measure, keep and report one epoch; why the training ends with it, or empty."""
        start = time.monotonic()
        trained = train_epoch(self.trainee, self.schedule, epoch, self.average, self.state.step, steps, bar)
        if not math.isfinite(loss := float(trained[LOSS])):  # type: ignore[arg-type]
            return f"the loss of epoch {epoch} is {loss}: --lr {self.schedule.lr} is too high"
        # An epoch that is not due is measured where it is the last one; one that is due counts with its measurement.
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
            return f"time limit of {self.time_limit_min:g} min reached after epoch {epoch} of {self.schedule.epochs}"
        return ""

    def _is_late(self, epoch: int, began: float) -> bool:
        """Whether the time is over after an epoch that is not the last; the first process's watch counts for all."""
        late = self.time_limit_min is not None and (time.monotonic() - began) / 60 > self.time_limit_min
        return self.trainee.share.agreed(late) and epoch < self.schedule.epochs

    def _is_settled(self) -> bool:
        """Whether there is a best epoch that the settings had measured.

        A run that ran out of time before its first measurement is measured there, so that it has a best epoch at all;
        where it goes on, that one counts no longer: the same network as without the break.
        """
        return self.state.best_epoch > 0 and self.trainee.is_due(self.state.best_epoch)

    def _measured(self, row: Row, late: bool) -> tuple[float, ...] | None:
        """Measure the epoch where it is due, into its row; its score, the same in every process."""
        epoch = self.state.epoch + 1
        if not (self.trainee.is_due(epoch) or (late and not self._is_settled())):
            row.update(self.trainee.unmeasured())
            return None
        measured = self.trainee.measure(epoch)
        row.update(measured.row)
        return self.trainee.share.agreed(measured.score)
