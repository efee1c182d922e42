"""Time the steps of a trainer and, right after each, a step of the same network without a trainer (for bench_vit)."""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from tqdm import tqdm
from transformers import AutoModelForImageClassification, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

import trainer.hub  # noqa: F401 (makes the network known to transformers)
from trainer.core import run_folder, state
from trainer.core.augmentation import Batch
from trainer.core.distributed import Share
from trainer.core.loop import train_epoch
from trainer.core.options import repeatable
from trainer.core.run_folder import Row
from trainer.core.split import Data, Pictures, Split
from trainer.core.state import RunState
from trainer.vit import training
from trainer.vit.loader import Portion, steps_of
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.network.modeling_pinsight_vit import PinsightViTConfig
from trainer.vit.patches import patch_loss
from trainer.vit.run import TrainingConfig
from trainer.vit.training import ViTTrainee

CLASSES = ("BENDNG", "NUKENG", "OK")
SIZE = (256, 128)
PINS = (3, 9)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Spent:
    """Seconds spent on a step: wall time, CPU time of the training thread, CPU time of the process with all threads."""

    wall: float
    thread: float
    process: float


@dataclass(frozen=True)
class Clock:
    """Readings of three clocks in seconds, as in `Spent`; `spent` measures the time since then."""

    wall: float
    thread: float
    process: float

    @classmethod
    def start(cls) -> Clock:
        """Read the three clocks; returns their readings."""
        return cls(time.perf_counter(), time.thread_time(), time.process_time())

    def spent(self) -> Spent:
        """Return the time since the clocks were read."""
        now = Clock.start()
        return Spent(now.wall - self.wall, now.thread - self.thread, now.process - self.process)


def added(first: Spent, second: Spent) -> Spent:
    """Return the sums of two steps' times."""
    return Spent(*(a + b for a, b in zip(asdict(first).values(), asdict(second).values(), strict=True)))


def drawn_split(count: int, seed: int = 0) -> Split:
    """Draw `count` pictures of a 3 x 9 connector with their labels; two of three have a bent or missing pin."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]] + 0.5
    rows, labels, boxes = [], [], torch.zeros((count, PINS[0] * PINS[1], 4))
    categories = torch.full((count, PINS[0] * PINS[1]), CLASSES.index("OK"))
    for index in range(count):
        picture, label = 40 + rng.normal(0, 2, (SIZE[1], SIZE[0])), index % len(CLASSES)
        if CLASSES[label] != "OK":
            categories[index, rng.integers(PINS[0] * PINS[1])] = label
        for pin in range(PINS[0] * PINS[1]):
            centre = np.array([32.0 + 24 * (pin % PINS[1]), 40.0 + 24 * (pin // PINS[1])])
            kind = CLASSES[int(categories[index, pin])]
            if kind == "BENDNG":
                centre += rng.choice([-4, 4], 2)
            inside = np.hypot(x - centre[0], y - centre[1]) < 5
            picture[inside] = 10 if kind == "NUKENG" else 200
            boxes[index, pin] = torch.tensor([*(centre - 6), *(centre + 6)])
        file = io.BytesIO()
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(file, "PNG")
        rows.append({"image": {"bytes": file.getvalue()}})
        labels.append(label)
    return Split(
        pictures=Pictures(rows, "image", SIZE),
        labels=torch.tensor(labels),
        boxes=boxes,
        categories=categories,
        boxes_known=torch.ones(count, dtype=torch.bool),
        may_flip=torch.ones((count, 2), dtype=torch.bool),
        runs=[f"r{index}" for index in range(count)],
    )


def loss_of(model: ViT, portion: Portion, config: TrainingConfig) -> Tensor:
    """Return the loss of a portion of a batch: what the trainer computes, but in plain code."""

    def boxes_loss(patch_logits: Tensor, batch: Batch) -> Tensor:
        return config.patch_weight * patch_loss(
            patch_logits, batch.boxes, batch.categories, batch.boxes_known,
            model.config.ok_index, model.config.patch_size,
        )  # fmt: skip

    loss = torch.zeros(())
    if portion.close_ups is not None:
        loss = loss + boxes_loss(model(portion.close_ups.pixels).patch_logits, portion.close_ups)
    if portion.pictures is not None:
        said = model(portion.pictures.pixels)
        loss = loss + F.cross_entropy(said.logits, portion.pictures.labels, label_smoothing=config.label_smoothing)
        if config.patch_weight > 0:
            loss = loss + boxes_loss(said.patch_logits, portion.pictures)
    return loss


@dataclass(frozen=True)
class Pair:
    """Times of a trainer's step, `own`, and of the step of the bare network (without a trainer) right after it.

    `bare` is the time of forward, loss and backward; `bare_step` is that time with clipping and the optimizer's step.
    """

    own: Spent
    bare: Spent
    bare_step: Spent


class Turns(TrainerCallback):
    """Calls `bare`, which does a step without a trainer, after each step of a trainer; `pairs` gets both times."""

    def __init__(self, bare: Callable[[int], tuple[Spent, Spent]]) -> None:
        self.bare = bare
        self.pairs: list[Pair] = []

    def begin(self) -> None:
        """Start the clock, as the training loop begins."""
        self.clock = Clock.start()

    def stepped(self) -> None:
        """Call `bare` after a step of the training loop, and record the times of both steps in `pairs`."""
        own = self.clock.spent()
        self.pairs.append(Pair(own, *self.bare(len(self.pairs))))
        self.clock = Clock.start()

    def on_train_begin(self, *_args: Any, **_kwargs: Any) -> None:
        """Start the clock; transformers' Trainer calls this before its first step."""
        self.begin()

    def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
        """Call `stepped`; transformers' Trainer calls this after each of its steps."""
        self.stepped()


class Bar(tqdm):  # type: ignore[misc]
    """The trainer's progress bar, which calls `turns.stepped` at each step."""

    turns: Turns | None = None

    def update(self, n: float | None = 1) -> bool | None:
        """Advance the bar by `n`; with `turns`, call `turns.stepped`. Returns whether tqdm has redrawn the bar."""
        shown: bool | None = super().update(n)
        if self.turns is not None:
            self.turns.stepped()
        return shown


class Setting:
    """A network, drawn pictures and one kind of epoch (whole pictures or crops, with or without boxes), to be timed."""

    def __init__(self, steps: int, threads: int, *, close_ups: bool, boxes: bool, batch_size: int) -> None:
        self.threads = threads
        self.split = drawn_split(steps * batch_size)
        self.config = TrainingConfig(batch_size=batch_size, threads=threads, epochs=10)
        if not boxes:
            self.config = self.config.changed({"patch_weight": 0.0})
        self.model, self.optimizer = training.build(ViTConfig(CLASSES, *SIZE), self.config, CPU)
        trainee = self.trainee(self.config)
        self.epoch = 1 if close_ups else trainee.plan.close_up_epochs + 1
        self.steps = trainee.steps(self.epoch)
        made = steps_of(self.split, trainee.close_ups, self.config, trainee.plan, self.epoch, Share())
        self.portions: list[Portion] = [portion for portions in made for portion in portions]
        self.other: Trainer | None = None

    def trainee(self, config: TrainingConfig) -> ViTTrainee:
        """Wrap the network, its optimizer and the drawn pictures for the training loop of trainer.vit."""
        data = Data({"train": self.split, "validation": self.split}, CLASSES, SIZE, [])
        return ViTTrainee(data, self.model, self.optimizer, config)

    def bare(self, step: int) -> tuple[Spent, Spent]:
        """Do step number `step` without a trainer; returns its times without and with clipping and optimizer."""
        strict = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        clock = Clock.start()
        loss_of(self.model, self.portions[step], self.config).backward()  # type: ignore[no-untyped-call]
        passes = clock.spent()
        clock = Clock.start()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        stepped = added(passes, clock.spent())
        self.optimizer.zero_grad(set_to_none=True)
        torch.use_deterministic_algorithms(strict)
        return passes, stepped

    def own(self, augment: bool = True, thread: bool = True) -> list[Pair]:
        """Train an epoch by `trainer.vit` (`thread`: whether the loader has a thread); returns a pair per step."""
        repeatable(CPU, self.threads)
        config = self.config.changed({"augment": augment})
        inline = mock.patch.object(training, "ahead", iter)
        turns = Turns(self.bare)
        with contextlib.nullcontext() if thread else inline:
            self._epoch(config, turns)
        return turns.pairs

    def transformers(self, folder: Path) -> list[Pair]:
        """Train an epoch by transformers' Trainer, whose output folder is `folder`; returns a pair per step."""
        torch.use_deterministic_algorithms(False)
        if self.other is None:
            self.other = transformers_trainer(self.model.config, self.split, self.config, folder)
        torch.set_num_threads(self.threads)
        turns = Turns(self.bare)
        self.other.add_callback(turns)
        self.other.train()
        self.other.remove_callback(turns)
        return turns.pairs

    def loss_difference(self) -> float:
        """Return the relative difference of the mean losses with and without the trainer, at learning rate 0."""
        standing = self.config.model_copy(update={"lr": 0.0})  # no option sets it to 0
        losses = [float(loss_of(self.model, portion, standing).detach()) for portion in self.portions]
        trained = self._epoch(standing)["train_loss"]
        return abs(float(trained) / statistics.fmean(losses) - 1)  # type: ignore[arg-type]

    def _epoch(self, config: TrainingConfig, turns: Turns | None = None) -> Row:
        trainee = self.trainee(config)
        with open(os.devnull, "w") as nowhere, Bar(total=self.steps, file=nowhere) as bar:
            bar.turns = turns
            if turns is not None:
                turns.begin()
            return train_epoch(trainee, trainee.schedule, self.epoch, bar=bar)


def transformers_trainer(config: ViTConfig, split: Split, settings: TrainingConfig, folder: Path) -> Trainer:
    """Make transformers' Trainer with those `settings` that it supports, else its defaults. It saves nothing."""
    pixels = split.pictures.batch(range(len(split))).float() / 255
    rows = [
        {"pixel_values": picture, "labels": int(label)} for picture, label in zip(pixels, split.labels, strict=True)
    ]
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.lr,
        weight_decay=settings.weight_decay,
        adam_beta2=0.99,
        max_grad_norm=settings.clip,
        label_smoothing_factor=settings.label_smoothing,
        lr_scheduler_type="cosine",
        use_cpu=True,
        dataloader_pin_memory=False,
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    torch.manual_seed(settings.seed)
    model = AutoModelForImageClassification.from_config(  # type: ignore[no-untyped-call]
        PinsightViTConfig(model=asdict(config))
    )
    other = Trainer(model=model, args=arguments, train_dataset=rows)
    other.remove_callback(PrinterCallback)
    return other


def epoch_end_seconds(setting: Setting, repeats: int = 5) -> float:
    """Return the median seconds of writing the files of best and last weights and of the state, as an epoch ends."""
    times = []
    with tempfile.TemporaryDirectory() as name:
        for _ in range(repeats):
            start = time.perf_counter()
            weights = {key: tensor.clone() for key, tensor in setting.model.state_dict().items()}
            for file in (run_folder.BEST, run_folder.LAST):
                run_folder.save_tensors(Path(name) / file, weights, {"epoch": "1"})
            state.save_state(Path(name), setting.model, setting.optimizer, {}, RunState(1, 1, 1, (0.0, 0.0)))
            times.append(time.perf_counter() - start)
    return statistics.median(times)
