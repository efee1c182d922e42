"""The `<OD>` training loop: masked labels, warm-up and cosine, accumulation, averaged weights, best by validation mAP.

Everything random in an epoch is drawn from generators seeded by (seed, epoch, process): a run that was killed and
resumed equals one that was not, to the bit, on one CPU with one number of threads. Several processes (`torchrun`)
share each epoch's pictures through Accelerate; the first of them evaluates and writes.
"""

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm
from transformers.modeling_outputs import BaseModelOutput

from trainer.core import checkpoint
from trainer.core.ema import Average
from trainer.florence2.answers import AnswerGrammar, Found
from trainer.florence2.auxiliary_loss import (
    AttentionGuide,
    CellHead,
    cell_loss,
    cell_targets,
    grid_of,
    guide_loss,
    looked_at,
    placed,
)
from trainer.florence2.data import (
    IGNORED,
    Batch,
    Collator,
    DetectionData,
    augmented,
    close_up,
    overlay,
    sample_of,
    training_rows,
)
from trainer.florence2.detect import answers
from trainer.florence2.metrics import best_threshold, counts, mean_average_precision, position_groups
from trainer.florence2.network import answer_loss, check_loss
from trainer.florence2.run import DetectionConfig, RunState, load_state, save_state
from trainer.vit.network.model import OK_CLASS
from trainer.vit.training import read_metrics, write_metrics

# A close-up's side, and how many are cut from a picture: together a quarter of a picture of 256 x 128 px.
CLOSE_UP_PX = 64
CLOSE_UPS = 2


class Trainee(nn.Module):
    """A Florence-2 and what is only there while it trains.

    Args:
        model: `Florence2ForConditionalGeneration`, or PEFT's around it.
        config: The training's settings.
        collator: Of its batches.
    """

    def __init__(self, model: Any, config: DetectionConfig, collator: Collator) -> None:
        super().__init__()
        self.model = model
        self.weight = config.scaffold
        self.ok = collator.classes.index(OK_CLASS)
        self.grid = grid_of(model, collator.size)
        text = model.config.text_config
        self.head = CellHead(text.d_model, len(collator.classes)) if config.scaffold > 0 else None
        # Not a submodule: a second name for the decoder's layers would be a second set of parameters.
        self.guide = [AttentionGuide(plain(model).model.language_model.decoder.layers)]
        self.cell = collator.size[0] // self.grid[0]
        self.start = text.decoder_start_token_id
        ids = torch.tensor(collator.vocabulary.location_ids)
        bin_of = torch.full((text.vocab_size,), -1)
        bin_of[ids] = torch.arange(len(ids))
        self.register_buffer("location_ids", ids, persistent=False)
        self.register_buffer("bin_of", bin_of, persistent=False)
        self.spread = config.location_smoothing

    def forward(self, batch: Batch, cells: tuple[Tensor, Tensor] | None) -> dict[str, Tensor]:
        """Losses of a batch.

        Returns:
            `loss` to train on; `answer`, plain cross-entropy; `own`, the model's; the `logits`; with the scaffold
            `cells`, `guide` and `good`.
        """
        corners = None if batch.corners is None else batch.corners // self.cell
        with self.guide[0].watching(self.head is not None) as maps, placed(plain(self.model), corners):
            out = self.model(**batch.inputs, labels=batch.labels)
        losses = {"own": out.loss, "logits": out.logits, "answer": answer_loss(out.logits, batch.labels)}
        losses["loss"] = self.spread_loss(out.logits, batch.labels) if self.spread > 0 else losses["answer"]
        if self.head is None or cells is None:
            return losses
        states = out.encoder_last_hidden_state
        # The first picture token is the mean of all; the prompt follows the last.
        losses["cells"] = cell_loss(*self.head(states[:, 1 : 1 + cells[0].shape[1]]), *cells, self.ok)
        losses["guide"] = self._guide_loss(maps, batch.labels, batch)
        if batch.good is not None and bool((batch.good != IGNORED).any()):
            losses["good"] = self._good_pins_loss(batch, states)
        scaffold = sum(losses[name] for name in ("cells", "guide", "good") if name in losses)
        losses["loss"] = losses["loss"] + self.weight * scaffold
        return losses

    def _guide_loss(self, maps: list[Tensor], labels: Tensor, batch: Batch) -> Tensor:
        shown = tuple(n // self.cell for n in reversed(batch.inputs["pixel_values"].shape[2:]))
        corners = None if batch.corners is None else batch.corners // self.cell
        places, cells = looked_at(labels, self.bin_of, self.grid, shown, corners)  # type: ignore[arg-type]
        return guide_loss(maps, places, cells) if places.any() else maps[0].sum() * 0

    def _good_pins_loss(self, batch: Batch, states: Tensor) -> Tensor:
        """Loss of the list of OK pins, over its locations only: that it is asked for is given, not learned."""
        good, mask = batch.good, batch.inputs["attention_mask"]
        assert good is not None
        read = torch.full_like(good, self.start)
        read[:, 1:] = good[:, :-1].clamp(min=0)
        with self.guide[0].watching() as maps:
            out = self.model(
                encoder_outputs=BaseModelOutput(last_hidden_state=states),
                attention_mask=mask,
                decoder_input_ids=read,
            )
        places = self.bin_of[good.clamp(min=0)] >= 0
        labels = torch.where(places & (good >= 0), good, IGNORED)
        return self.spread_loss(out.logits, labels) + self._guide_loss(maps, labels, batch)

    def spread_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy in which a location's target is a bell over neighbouring bins: near misses are near."""
        kept = labels != IGNORED
        logits, labels = logits[kept].float(), labels[kept]
        said = logits.log_softmax(-1)
        bins = self.bin_of[labels]
        place = bins >= 0
        total = F.nll_loss(said[~place], labels[~place], reduction="sum")
        if place.any():
            every = torch.arange(len(self.location_ids), device=logits.device)
            distance = (every[None, :] - bins[place][:, None]).float() / self.spread
            target = (-0.5 * distance.square()).softmax(-1)
            total = total - (target * said[place][:, self.location_ids]).sum()
        return total / len(labels)


def plain(model: Any) -> Any:
    """The Florence-2 itself, also of one inside PEFT's."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """What trains, in two groups: matrices and kernels decay; embeddings, norms and biases do not."""
    embeddings = {id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    trained = [p for p in module.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1 and id(p) not in embeddings]
    held = {id(p) for p in decayed}
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) not in held], "weight_decay": 0.0},
    ]


def learning_rate(step: int, steps: int, config: DetectionConfig) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the highest rate."""
    warmup = max(1, round(config.warmup * steps))
    if step < warmup:
        return config.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return config.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


@dataclass(frozen=True)
class Outcome:
    """How a training ended: epochs done, the best one, and why it stopped early (empty when it did not)."""

    epochs: int
    best_epoch: int
    stopped: str


@dataclass
class Training:
    """One `<OD>` training.

    Args:
        data: Splits `train` and `validation`.
        model: Florence-2 with what trains marked, or PEFT's around it.
        collator: Of its batches.
        config: Settings.
        accelerator: Accelerate's: devices, precision, processes.
    """

    data: DetectionData
    model: Any
    collator: Collator
    config: DetectionConfig
    accelerator: Any

    def __post_init__(self) -> None:
        config = self.config
        torch.manual_seed(config.seed)
        self.trainee = Trainee(self.model, config, self.collator).to(self.accelerator.device)
        groups = parameter_groups(self.trainee, config.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98))
        self.average = Average(self.trainee, config.ema)
        self.module, self.wrapped_optimizer = self.accelerator.prepare(self.trainee, self.optimizer)
        self.grammar = AnswerGrammar(self.collator.vocabulary)
        split = self.data.splits["train"]
        rows = training_rows(split, config.digits, config.digits_share, config.limit, config.seed)
        self.rows = rows
        per_step = config.batch_size * config.accumulate * self.accelerator.num_processes
        self.steps_per_epoch = -(-len(rows) // per_step)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.steps_per_epoch * self.config.epochs

    @property
    def close_up_epochs(self) -> int:
        """The first epochs, which show close-ups; the last one never does."""
        return min(round(self.config.close_ups * self.config.epochs), self.config.epochs - 1)

    def batch(
        self, rows: Sequence[int], generator: torch.Generator, close_ups: bool = False
    ) -> tuple[Batch, tuple[Tensor, Tensor] | None]:
        """Training pictures `rows`, changed as the settings say, and their cells where there is a scaffold."""
        split, config = self.data.splits["train"], self.config
        samples = []
        for row in rows:
            sample = sample_of(split, row, self.data.size, self.data.classes)
            if config.digits == "overlaid" and torch.rand((), generator=generator) < config.digits_share:
                texts = [pin.cavity or pin.address for pin in split.truths[row].pins]
                sample = sample._replace(pixels=overlay(sample.pixels, sample.boxes, texts))
                may_flip = (False, False)
            else:
                may_flip = split.truths[row].may_flip
            samples.append(augmented(sample, may_flip, generator) if config.augment else sample)
        size, grid = self.data.size, self.trainee.grid
        if close_ups:
            cell = self.trainee.cell
            side = min(CLOSE_UP_PX, *size) // cell * cell
            samples = [
                close_up(sample, side, cell, generator, on_answer=k % 2 == 0)
                for sample in samples
                for k in range(CLOSE_UPS)
            ]
            size, grid = (side, side), (side // cell, side // cell)
        scaffold = config.scaffold > 0
        batch = self.collator(samples, good=scaffold).to(self.accelerator.device)
        if not scaffold:
            return batch, None
        categories, boxes = cell_targets(samples, self.trainee.ok, grid, size)
        return batch, (categories.to(self.accelerator.device), boxes.to(self.accelerator.device))

    def self_test(self) -> None:
        """Compare the model's loss on the first batch with the cross-entropy by hand.

        Raises:
            InputError: They differ.
        """
        split = self.data.splits["train"]
        by_boxes = sorted(self.rows, key=lambda i: -len(split.truths[i].answer))
        batch, cells = self.batch(by_boxes[: self.config.batch_size], torch.Generator().manual_seed(0))
        self.trainee.eval()
        with torch.no_grad():
            losses = self.trainee(batch, cells)
        check_loss(losses["own"], losses["logits"], batch.labels)

    def epoch(self, number: int, step: int, bar: Any) -> dict[str, object]:
        """Train one epoch from `step` on; returns its mean losses."""
        config, accelerator = self.config, self.accelerator
        seed = config.seed * 100_003 + number
        order = torch.randperm(len(self.rows), generator=torch.Generator().manual_seed(seed)).tolist()
        own = torch.Generator().manual_seed(seed * 1009 + accelerator.process_index + 1)
        torch.manual_seed(seed * 1009 + accelerator.process_index + 1)  # dropout
        self.module.train()
        per_step = config.batch_size * config.accumulate * accelerator.num_processes
        means = dict.fromkeys(("loss", "answer", "cells", "guide", "good"), 0.0)
        rate = config.lr
        for index in range(self.steps_per_epoch):
            # Every process gets as many pictures: the epoch's tail is filled from its beginning.
            rows = [self.rows[order[(index * per_step + k) % len(order)]] for k in range(per_step)]
            rows = rows[accelerator.process_index :: accelerator.num_processes]
            rate = learning_rate(step + index, self.steps, config)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            for part in range(config.accumulate):
                some = rows[part * config.batch_size : (part + 1) * config.batch_size]
                batch, cells = self.batch(some, own, close_ups=number <= self.close_up_epochs)
                last = part == config.accumulate - 1
                with contextlib.nullcontext() if last else accelerator.no_sync(self.module):
                    losses = self.module(batch, cells)
                    accelerator.backward(losses["loss"] / config.accumulate)
                share = 1 / (config.accumulate * self.steps_per_epoch)
                for name in means:
                    means[name] += float(losses[name].detach()) * share if name in losses else 0.0
            trained = [p for p in self.module.parameters() if p.requires_grad]
            accelerator.clip_grad_norm_(trained, config.clip)
            self.wrapped_optimizer.step()
            self.wrapped_optimizer.zero_grad(set_to_none=True)
            self.average.update(step + index + 1)
            bar.update()
        return {
            "lr": rate,
            "train_loss": means["loss"],
            **{f"train_{name}_loss": means[name] for name in ("answer", "cells", "guide", "good")},
        }

    def measure(self) -> tuple[dict[str, object], list[list[Found]]]:
        """Validation numbers of the averaged weights, and the boxes they come from."""
        split = self.data.splits["validation"]
        with self.average.in_place():
            found = answers(self.trainee.model, split, self.collator, self.grammar)
        pictures = list(zip(split.truths, found, strict=True))
        labels = self.data.labels
        precisions = mean_average_precision(pictures, labels)
        threshold = best_threshold(pictures)
        at = counts(pictures, threshold)
        row: dict[str, object] = {"val_map": precisions["map"], "val_map50": precisions["map50"]}
        groups = position_groups(split.truths, self.data.seen_positions(self.rows))
        for name in ("seen", "held-out"):
            some = [p for p, group in zip(pictures, groups, strict=True) if group in (name, "ok")]
            row[f"val_map50_{name}"] = (
                mean_average_precision(some, labels)["map50"] if name in groups else None
            )
        row["val_threshold"] = threshold
        row["val_address_and_mode"] = at.right_address_and_mode
        row["val_false_boxes_per_ok"] = at.false_boxes_per_ok_picture
        return row, found

    def is_due(self, epoch: int) -> bool:
        """Whether the settings have validation measured after this epoch."""
        return epoch % self.config.evaluate_every == 0 or epoch == self.config.epochs

    def train(
        self,
        run: Path,
        *,
        resume: bool = False,
        time_limit_min: float | None = None,
        report: Callable[[dict[str, object]], None] = lambda row: None,
        show: Callable[[int, list[list[Found]] | None], None] = lambda epoch, found: None,
    ) -> Outcome:
        """Train to the end, or on from where the run stands.

        Args:
            run: Existing folder.
            resume: Go on from RUN/state.safetensors.
            time_limit_min: Stop after the first epoch that ends later than this many minutes from now.
            report: Called after each epoch with its line of metrics.
            show: Called with the epoch and validation's boxes whenever they were measured, and with 0 and None before
                training.
        """
        config, main = self.config, self.accelerator.is_main_process
        began = time.monotonic()
        state, rows = RunState(), []
        if resume:
            state = load_state(run, self.trainee, self.average.held, self.optimizer)
            rows = read_metrics(run, state.epoch)
        elif main:
            show(0, None)
        stopped = ""
        with tqdm(total=self.steps, initial=state.step, unit="step", disable=None if main else True) as bar:
            for epoch in range(state.epoch + 1, config.epochs + 1):
                start = time.monotonic()
                trained = self.epoch(epoch, state.step, bar)
                if not math.isfinite(trained["train_loss"]):  # type: ignore[arg-type]
                    stopped = (
                        f"the loss of epoch {epoch} is {trained['train_loss']}: --lr {config.lr} is too high"
                    )
                    break
                step = state.step + self.steps_per_epoch
                row: dict[str, object] = {
                    "epoch": epoch,
                    "step": step,
                    "pictures": epoch * len(self.rows),
                    **trained,
                }
                spent_min = (time.monotonic() - began) / 60
                # Every process has to stop at the same epoch: the first one's watch counts.
                over = self.agreed(time_limit_min is not None and spent_min > time_limit_min)
                best_epoch, best_score = state.best_epoch, state.best_score
                if main:
                    measured = dict.fromkeys(MEASURED)
                    # One that ran out of time before its first measurement is measured there, so that it has a best
                    # epoch at all; where it goes on, that one counts no longer: the same model as without the break.
                    settled = best_epoch > 0 and self.is_due(best_epoch)
                    if self.is_due(epoch) or (over and not settled):
                        measured, found = self.measure()  # type: ignore[assignment]
                        score = (float(measured["val_map"] or 0), float(measured["val_map50"] or 0))  # type: ignore[arg-type]
                        if not settled or score > best_score:
                            best_epoch, best_score = epoch, score
                            self.save_best(run, epoch)
                        show(epoch, found)
                    row.update(measured)
                    row["seconds"] = round(time.monotonic() - start, 2)
                    rows.append(row)
                    write_metrics(run, rows)
                state = RunState(epoch, step, best_epoch, best_score)
                if main:
                    save_state(run, self.trainee, self.average.held, self.optimizer, state)
                    report(row)
                self.accelerator.wait_for_everyone()
                if over and epoch < config.epochs:
                    stopped = (
                        f"time limit of {time_limit_min:g} min reached after epoch {epoch} of {config.epochs}"
                    )
                    break
        return Outcome(state.epoch, state.best_epoch, stopped)

    def agreed(self, said: bool) -> bool:
        """What the first process says, in every process."""
        if self.accelerator.num_processes == 1:
            return said
        from accelerate.utils import broadcast_object_list

        return bool(broadcast_object_list([said])[0])

    def save_best(self, run: Path, epoch: int) -> None:
        """Write the averaged weights of what trains to RUN/best.safetensors."""
        with self.average.in_place():
            tensors = {n: p for n, p in self.trainee.named_parameters() if p.requires_grad}
            checkpoint.save_tensors(run / checkpoint.BEST, tensors, {"epoch": str(epoch)})

    def load_best(self, run: Path) -> None:
        """Put RUN/best.safetensors into the model."""
        tensors, _ = checkpoint.read_tensors(run / checkpoint.BEST)
        with torch.no_grad():
            for name, parameter in self.trainee.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(tensors[name])


MEASURED = (
    *("val_map", "val_map50", "val_map50_seen", "val_map50_held-out"),
    *("val_threshold", "val_address_and_mode", "val_false_boxes_per_ok"),
)
