"""The ViT's trainer against its bare network and transformers' Trainer, in one run: `python -m benchmarks.bench_vit`.

- *bare*: forward, loss and backward of the same network on batches that lie in memory as float pictures, made before
  the clock starts; nothing is drawn, augmented, counted, clipped or logged. `bare + step` adds clipping and the
  optimizer's step.
- *trainer*: an epoch as `python -m trainer.vit` trains it, from uint8 pictures: order, close-ups and augmentation
  drawn in the loader's thread, learning rate, clipping, step, counts, progress bar. Once more without that thread.
- *transformers*: its `Trainer` with the same network, from float pictures in memory. It knows picture labels only, so
  there the trainer learns from labels only too. Decoding, augmenting, reporting and saving it does not do.

A machine's speed wanders by a fifth within minutes. So after each step of the trainer, and of transformers, the bare
network takes the same step, and each ratio is taken within such a pair; medians over the steps with the 95 % interval
of the median. The loader draws the next batch while the trainer's step goes on, as in any epoch, not in the bare one's
time. Where other work keeps the cores busy, the clock says little of a thread beside another one: so the CPU time of
the thread that trains is told too. The last line is the result as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import stats
from torch import Tensor
from tqdm import tqdm
from transformers import (
    AutoModelForImageClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import trainer.hub  # noqa: F401 (makes the network known to transformers)
from trainer.core import run_folder, state
from trainer.core.distributed import Share
from trainer.core.loop import train_epoch
from trainer.core.options import repeatable
from trainer.core.split import Data, Pictures, Split
from trainer.core.state import RunState
from trainer.vit import training
from trainer.vit.closeups import CloseUps
from trainer.vit.loader import Portion, plan_of, steps_of
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.network.modeling_pinsight_vit import PinsightViTConfig
from trainer.vit.patches import patch_loss
from trainer.vit.run import TrainingConfig

CLASSES = ("BENDNG", "NUKENG", "OK")
SIZE = (256, 128)
PINS = (3, 9)
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Spent:
    """Seconds of some steps: on the clock, of the training thread's CPU, of all threads' CPU."""

    wall: float
    thread: float
    process: float


@dataclass(frozen=True)
class Clock:
    """Times from its making on."""

    wall: float
    thread: float
    process: float

    @classmethod
    def start(cls) -> Clock:
        return cls(time.perf_counter(), time.thread_time(), time.process_time())

    def spent(self) -> Spent:
        now = Clock.start()
        return Spent(now.wall - self.wall, now.thread - self.thread, now.process - self.process)


def added(first: Spent, second: Spent) -> Spent:
    return Spent(*(a + b for a, b in zip(asdict(first).values(), asdict(second).values(), strict=True)))


def drawn_split(count: int, seed: int = 0) -> Split:
    """Pictures of a drawn 3 x 9 connector, two in three with a bent or missing pin, and their truth."""
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
    """The trainer's loss of a portion, as a loop without counts and shares would write it."""

    def boxes_loss(patch_logits: Tensor, batch) -> Tensor:
        return config.patch_weight * patch_loss(
            patch_logits, batch.boxes, batch.categories, batch.boxes_known,
            model.config.ok_index, model.config.patch_size,
        )  # fmt: skip

    loss = torch.zeros(())
    if portion.close_ups is not None:
        loss = loss + boxes_loss(model(portion.close_ups.pixels).patch_logits, portion.close_ups)
    if portion.pictures is not None:
        said = model(portion.pictures.pixels)
        loss = loss + F.cross_entropy(
            said.logits, portion.pictures.labels, label_smoothing=config.label_smoothing
        )
        if config.patch_weight > 0:
            loss = loss + boxes_loss(said.patch_logits, portion.pictures)
    return loss


@dataclass(frozen=True)
class Pair:
    """What one step took, and the same step of the bare network right after it, without and with the optimizer's."""

    own: Spent
    bare: Spent
    bare_step: Spent


class Turns(TrainerCallback):
    """Lets the bare network take its step after each step of another loop, and keeps what either took."""

    def __init__(self, bare: Callable[[int], tuple[Spent, Spent]]) -> None:
        self.bare = bare
        self.pairs: list[Pair] = []

    def begin(self) -> None:
        """The other loop begins."""
        self.clock = Clock.start()

    def stepped(self) -> None:
        """The other loop has done a step."""
        own = self.clock.spent()
        self.pairs.append(Pair(own, *self.bare(len(self.pairs))))
        self.clock = Clock.start()

    def on_train_begin(self, *_args, **_kwargs) -> None:
        self.begin()

    def on_step_end(self, *_args, **_kwargs) -> None:
        self.stepped()


class Bar(tqdm):
    """The trainer's progress bar, which tells `turns` of each step."""

    turns: Turns | None = None

    def update(self, n: float | None = 1) -> bool | None:
        shown = super().update(n)
        if self.turns is not None:
            self.turns.stepped()
        return shown


class Setting:
    """A network, its data and one kind of epoch; `own` and `transformers` train it and tell what each step took."""

    def __init__(self, steps: int, threads: int, *, close_ups: bool, boxes: bool, batch_size: int) -> None:
        self.threads = threads
        self.split = drawn_split(steps * batch_size)
        self.config = TrainingConfig(batch_size=batch_size, threads=threads, epochs=10)
        if not boxes:
            self.config = replace(self.config, patch_weight=0.0)
        self.model, self.optimizer = training.build(ViTConfig(CLASSES, *SIZE), self.config, CPU)
        self.close_ups = CloseUps(self.split, training.close_up_size(self.model.config, self.config), 3)
        self.plan = plan_of(self.split, self.config, self.close_ups)
        self.epoch = 1 if close_ups else self.plan.close_up_epochs + 1
        self.steps = self.plan.steps(self.epoch)
        made = steps_of(self.split, self.close_ups, self.config, self.plan, self.epoch, Share())
        self.portions: list[Portion] = [portion for portions in made for portion in portions]
        self.other: Trainer | None = None

    def bare(self, step: int) -> tuple[Spent, Spent]:
        """Forward, loss and backward of a step; the same with clipping and the optimizer's step."""
        strict = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(False)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        clock = Clock.start()
        loss_of(self.model, self.portions[step], self.config).backward()
        passes = clock.spent()
        clock = Clock.start()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        stepped = added(passes, clock.spent())
        self.optimizer.zero_grad(set_to_none=True)
        torch.use_deterministic_algorithms(strict)
        return passes, stepped

    def own(self, augment: bool = True, thread: bool = True) -> list[Pair]:
        """An epoch of `trainer.vit`, step by step."""
        repeatable(CPU, self.threads)
        config = replace(self.config, augment=augment)
        inline = mock.patch.object(training, "ahead", iter)
        turns = Turns(self.bare)
        with contextlib.nullcontext() if thread else inline:
            self._epoch(config, turns)
        return turns.pairs

    def transformers(self, folder: Path) -> list[Pair]:
        """As many steps of transformers' Trainer."""
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
        """Mean loss of an epoch in which nothing is learned: the trainer's against the bare loop's, relative."""
        standing = replace(self.config, lr=0.0)
        losses = [float(loss_of(self.model, portion, standing).detach()) for portion in self.portions]
        trained = self._epoch(standing)["train_loss"]
        return abs(float(trained) / statistics.fmean(losses) - 1)  # type: ignore[arg-type]

    def _epoch(self, config: TrainingConfig, turns: Turns | None = None) -> dict[str, object]:
        with open(os.devnull, "w") as nowhere, Bar(total=self.steps, file=nowhere) as bar:
            bar.turns = turns
            if turns is not None:
                turns.begin()
            data = Data({"train": self.split, "validation": self.split}, CLASSES, SIZE, [])
            trainee = training.ViTTrainee(data, self.model, self.optimizer, config)
            done, steps = self.plan.done(self.epoch - 1), self.plan.done(config.epochs)
            return train_epoch(trainee, trainee.schedule, self.epoch, step=done, steps=steps, bar=bar)


def transformers_trainer(config: ViTConfig, split: Split, settings: TrainingConfig, folder: Path) -> Trainer:
    """Its own defaults but for the settings that both have; nothing is reported or saved."""
    pixels = split.pictures.batch(range(len(split))).float() / 255
    rows = [
        {"pixel_values": picture, "labels": int(label)}
        for picture, label in zip(pixels, split.labels, strict=True)
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
    model = AutoModelForImageClassification.from_config(PinsightViTConfig(model=asdict(config)))
    other = Trainer(model=model, args=arguments, train_dataset=rows)  # type: ignore[arg-type]
    other.remove_callback(PrinterCallback)
    return other


def epoch_end_seconds(setting: Setting, repeats: int = 5) -> float:
    """Median of what an epoch writes when its steps are done: best, last, state."""
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


def rounds(contenders: dict[str, Callable[[], list[Pair]]], repeats: int) -> dict[str, list[Pair]]:
    """The pairs of each contender's epochs, which take turns; every other time in reverse."""
    pairs: dict[str, list[Pair]] = {name: [] for name in contenders}
    for turn in range(repeats):
        for name in list(contenders)[:: -1 if turn % 2 else 1]:
            pairs[name] += contenders[name]()
    return pairs


def median(values: list[float]) -> dict[str, float | list[float] | None]:
    """The median and its 95 % interval by order statistics; None where there are too few values for one."""
    interval = stats.quantile_test(values, q=statistics.median(values), p=0.5).confidence_interval(0.95)
    ends = [float(interval.low), float(interval.high)]
    return {
        "median": round(statistics.median(values), 4),
        "interval": [round(end, 4) for end in ends] if np.isfinite(ends).all() else None,
    }


def shown(value: dict) -> str:
    ends = value["interval"]
    return f"{value['median']:.3f}" + (f" ({ends[0]:.3f} to {ends[1]:.3f})" if ends else "")


def milliseconds(spent: list[Spent]) -> dict[str, float]:
    """Medians by kind of time."""
    return {
        f"{field}_ms": round(1e3 * statistics.median(getattr(one, field) for one in spent), 2)
        for field in ("wall", "thread", "process")
    }


def speeds(pairs: list[Pair], against: str = "bare") -> dict[str, list[float]]:
    """Of each step: the bare network's time over the contender's, by the clock and by the training thread's CPU."""
    return {
        field: [getattr(getattr(pair, against), field) / getattr(pair.own, field) for pair in pairs]
        for field in ("wall", "thread")
    }


def compare(
    title: str, pairs: dict[str, list[Pair]], ratios: dict[str, dict[str, list[float]]]
) -> dict[str, object]:
    """Print and return times per step, and medians of ratios.

    Args:
        title: What the steps were.
        pairs: By contender.
        ratios: By name, a contender's speed over another's at each step, as `speeds` says it.
    """
    count = len(next(iter(pairs.values())))
    print(f"{title}, {count} steps each")
    result: dict[str, object] = {"steps": count}
    every = [pair for some in pairs.values() for pair in some]
    times = {name: milliseconds([pair.own for pair in some]) for name, some in pairs.items()}
    times |= {
        "bare": milliseconds([pair.bare for pair in every]),
        "bare + step": milliseconds([pair.bare_step for pair in every]),
    }
    for name, spent in times.items():
        print(
            f"  {name:<34} {spent['wall_ms']:8.1f} ms a step; CPU: training thread {spent['thread_ms']:8.1f}, "
            f"all {spent['process_ms']:8.1f}"
        )
        result[name] = spent
    for name, by_field in ratios.items():
        found = {field: median(values) for field, values in by_field.items()}
        print(f"  speed of {name:<36} {shown(found['wall'])}; by CPU time {shown(found['thread'])}")
        result[f"speed: {name}"] = found
    return result


def over(first: dict[str, list[float]], second: dict[str, list[float]]) -> dict[str, list[float]]:
    """Ratios of two contenders' speeds, each against the bare network beside it, step by step."""
    return {field: [a / b for a, b in zip(first[field], second[field], strict=True)] for field in first}


def measured(threads: int, steps: int, repeats: int, batch_size: int, folder: Path) -> dict[str, object]:
    """All comparisons with one number of threads."""
    results: dict[str, object] = {}
    for title, close_ups in (("pictures with close-ups", False), ("close-ups only", True)):
        setting = Setting(steps, threads, close_ups=close_ups, boxes=True, batch_size=batch_size)
        difference = Setting(
            1, threads, close_ups=close_ups, boxes=True, batch_size=batch_size
        ).loss_difference()
        pairs = rounds(
            {"trainer": setting.own, "trainer, no thread": lambda setting=setting: setting.own(thread=False)},
            repeats,
        )
        threaded, inline = (speeds(some) for some in pairs.values())
        found = compare(
            f"{threads} threads, {title}",
            pairs,
            {
                "trainer / bare": threaded,
                "trainer / bare + step": speeds(pairs["trainer"], "bare_step"),
                "loader's thread / none": over(threaded, inline),
            },
        )
        end = epoch_end_seconds(setting)
        print(f"  an epoch's end writes for {1e3 * end:.0f} ms; losses differ by {difference:.1e}")
        results[title] = {
            **found,
            "epoch_end_ms": round(1e3 * end, 1),
            "loss_difference": difference,
        }
    setting = Setting(steps, threads, close_ups=False, boxes=False, batch_size=batch_size)
    title = "labels only"
    pairs = rounds(
        {
            "trainer": setting.own,
            "transformers": lambda: setting.transformers(folder),
            "trainer, no augmentation": lambda: setting.own(augment=False),
        },
        repeats,
    )
    own, other, plain = (speeds(some) for some in pairs.values())
    results[title] = compare(
        f"{threads} threads, {title}",
        pairs,
        {
            "trainer, no augmentation / transformers": over(plain, other),
            "trainer / transformers": over(own, other),
            "trainer / bare": own,
            "transformers / bare": other,
        },
    )
    return results


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12, help="steps of an epoch with pictures (12)")
    parser.add_argument(
        "--repeats", type=int, default=2, help="epochs of each; six steps give an interval (2)"
    )
    parser.add_argument("--batch-size", type=int, default=16, help="pictures per step (16)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="numbers of CPU threads (1)")
    options = parser.parse_args(argv)
    if min(options.steps, options.repeats, options.batch_size, *options.threads) < 1:
        parser.error("expected numbers from 1")
    results = {}
    with tempfile.TemporaryDirectory() as name:
        for threads in options.threads:
            results[f"{threads} threads"] = measured(
                threads, options.steps, options.repeats, options.batch_size, Path(name)
            )
    print(json.dumps({"benchmark": "trainer.vit", "batch_size": options.batch_size, **results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
