"""The training loop: what one epoch is, what is kept after it, and what is said about it.

Everything random in an epoch is drawn from generators seeded by (seed, epoch): a run that was killed and resumed
equals one that was not, to the bit, on one machine with one number of threads.

The best epoch is the one with the highest balanced accuracy (mean recall of the classes that occur) on the
validation split; equal ones are ordered by the lower validation loss, for a small split knows few different accuracies.
"""

import csv
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from trainer.core import checkpoint, frozen_threshold, metrics
from trainer.core.augmentation import Batch
from trainer.core.checkpoint import RunState, TrainingConfig
from trainer.core.data import Data, Split
from trainer.core.distributed import Share, share_dropout
from trainer.core.ema import Average
from trainer.core.errors import InputError
from trainer.vit import doctor
from trainer.vit.answers import Answers, answer
from trainer.vit.closeups import CloseUps
from trainer.vit.loader import Plan, ahead, plan_of, steps_of
from trainer.vit.network.model import Prediction, ViT, ViTConfig
from trainer.vit.patches import object_logits, patch_loss

METRICS = "metrics.csv"
STAGES = "stages"
# Where a training stands before its first epoch.
BEGINNING = RunState(epoch=0, best_epoch=0, best_score=(-1.0, -math.inf))


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Args:
        epochs: Epochs done in all.
        best_epoch: Epoch of best.safetensors.
        stopped: Why it ended early; empty when it did not.
        warnings: What was warned of in the last epoch.
    """

    epochs: int
    best_epoch: int
    stopped: str
    warnings: list[str]


def learning_rate(step: int, steps: int, config: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the highest rate."""
    warmup = max(1, round(config.warmup * steps))
    if step < warmup:
        return config.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return config.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def _patch_loss(model: ViT, patch_logits: Tensor, batch: Batch, share: Share) -> Tensor:
    return patch_loss(
        patch_logits.flatten(0, -4),  # of each view by itself
        batch.boxes,
        batch.categories,
        batch.boxes_known,
        model.config.ok_index,
        model.config.patch_size,
        share.total,
    )


def _on(device: torch.device, batch: Batch) -> Batch:
    if device.type == "cuda":
        return Batch(*(tensor.pin_memory().to(device, non_blocking=True) for tensor in batch))
    return batch


def train_epoch(
    model: ViT,
    split: Split,
    close_ups: CloseUps,
    optimizer: torch.optim.Optimizer,
    config: TrainingConfig,
    plan: Plan,
    epoch: int,
    bar: tqdm,
    average: Average | None = None,
    share: Share | None = None,
) -> dict[str, object]:
    """One epoch of the plan.

    Args:
        model: The network; changed in place.
        split: Training split.
        close_ups: Close-ups of the same split.
        optimizer: AdamW.
        config: The training's settings.
        plan: From `plan_of`.
        epoch: Number of this epoch, from 1.
        bar: Progress bar, moved by one per step.
        average: Takes in the weights after each step.
        share: This process's part, the one that the network was built with; alone by default.

    Returns:
        `stage`, `lr`, `train_loss`, `gradient_norm` (mean before clipping), `train_accuracy` (of the pictures; None in
        the close-ups' stage) and `train_close_up_accuracy` (of their centre objects; None without).
    """
    share = share or Share()
    torch.manual_seed(config.seed * 100_003 + epoch)  # dropout
    device = next(model.parameters()).device
    model.train()
    with_pictures = epoch > plan.close_up_epochs
    with_close_ups = plan.close_up_epochs > 0
    norms = torch.zeros((), device=device)
    # Loss, pictures right, close-ups right; of this process's part.
    total, right, right_close_ups = sums = torch.zeros(3, device=device)
    rate, done, steps = config.lr, plan.done(epoch - 1), plan.steps(epoch)
    shown_close_ups = 0

    def forward(pixels: Tensor, rows: int, views: int = 1) -> Prediction:
        share.rows, share.together = rows * views, views
        if views > 1:
            pixels = pixels.unflatten(0, (-1, views))
        with torch.autocast(device.type, torch.bfloat16, enabled=config.amp == "bf16"):
            said = model(pixels)
        share.rows = None
        return Prediction(said.logits.float(), said.patch_logits.float())

    for index, portions in enumerate(ahead(steps_of(split, close_ups, config, plan, epoch, share))):
        rate = learning_rate(done + index, plan.done(plan.epochs), config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        for portion in portions:
            loss = torch.zeros((), device=device)
            if portion.close_ups is not None and portion.centres is not None:
                batch = _on(device, portion.close_ups)
                patch_logits = forward(batch.pixels, portion.close_up_count).patch_logits
                loss = loss + config.patch_weight * _patch_loss(model, patch_logits, batch, share)
                with torch.no_grad():
                    pooled = object_logits(patch_logits, batch.boxes, model.config.patch_size)
                    said = pooled[
                        torch.arange(len(pooled), device=device), portion.centres.to(device)
                    ].argmax(1)
                    right_close_ups += (said == batch.labels).sum()
                shown_close_ups += portion.close_up_count
            if portion.pictures is not None:
                batch = _on(device, portion.pictures)
                prediction = forward(batch.pixels, portion.picture_count, split.views)
                lost = F.cross_entropy(
                    prediction.logits,
                    batch.labels,
                    label_smoothing=config.label_smoothing,
                    reduction="sum",
                )
                loss = loss + lost / portion.picture_count
                if config.patch_weight > 0:
                    patches = _patch_loss(model, prediction.patch_logits, batch, share)
                    loss = loss + config.patch_weight * patches
                right += (prediction.logits.argmax(1) == batch.labels).sum()
            (loss / len(portions)).backward()
            total += loss.detach() / len(portions)
        share.sum_gradients(model)
        norms += torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip).detach()
        optimizer.step()
        if average is not None:
            average.update(done + index + 1)
        bar.update()
    lost_in_all, right_in_all, right_close_ups_in_all = share.total(sums).tolist()
    return {
        "stage": "pictures" if with_pictures else "close-ups",
        "lr": rate,
        "train_loss": lost_in_all / steps,
        "gradient_norm": float(norms) / steps,
        "train_accuracy": right_in_all / len(split) if with_pictures else None,
        "train_close_up_accuracy": right_close_ups_in_all / shown_close_ups if with_close_ups else None,
    }


def epoch_row(
    epoch: int, trained: dict[str, object], answers: Answers, classes: tuple[str, ...]
) -> dict[str, object]:
    """One line of metrics.csv (without `seconds`)."""
    matrix = metrics.confusion_matrix(answers.truth, answers.predicted, len(classes))
    predicted = matrix.sum(0)
    top = int(predicted.argmax())
    row: dict[str, object] = {
        "epoch": epoch,
        **trained,
        "val_loss": answers.loss,
        "val_accuracy": metrics.accuracy(matrix),
        "val_balanced_accuracy": metrics.balanced_accuracy(matrix),
    }
    row.update(
        {
            f"val_recall_{name}": float(value)
            for name, value in zip(classes, metrics.recall(matrix), strict=True)
        }
    )
    row["val_prediction_entropy_bits"] = metrics.mean_prediction_entropy(answers.probabilities)
    row["val_top_class"] = classes[top]
    row["val_top_share"] = float(predicted[top] / predicted.sum())
    return row


def write_metrics(run: Path, rows: list[dict[str, object]]) -> None:
    """Write RUN/metrics.csv whole and atomically: one line per epoch."""
    checkpoint.write_table(run / METRICS, list(rows[-1]), rows)


def read_metrics(run: Path, epochs: int) -> list[dict[str, object]]:
    """The first `epochs` lines of RUN/metrics.csv, which is not there before the first.

    Raises:
        InputError: The file is missing or shorter.
    """
    if epochs == 0:
        return []
    path = run / METRICS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows: list[dict[str, object]] = list(csv.DictReader(file))
    except OSError as e:
        raise InputError(f"{path}: expected the metrics of {epochs} epochs, got {e}") from e
    if len(rows) < epochs:
        raise InputError(f"{path}: expected {epochs} epochs, got {len(rows)}")
    return rows[:epochs]


def keep_stage(
    run: Path,
    model: ViTConfig,
    config: TrainingConfig,
    weights: Mapping[str, Tensor],
    row: Mapping[str, object],
) -> None:
    """Write RUN/stages/<epoch>: a run that `trainer.predict` and `trainer.evaluate` take, and its line of metrics."""
    folder = run / STAGES / f"{row['epoch']:05d}"
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save_config(folder, model, config)
    checkpoint.save_tensors(folder / checkpoint.BEST, weights, {"epoch": str(row["epoch"])})
    write_metrics(folder, [dict(row)])


def close_up_size(model: ViTConfig, config: TrainingConfig) -> int:
    """Side of a close-up in px: as set, no larger than the picture, whole patches."""
    side = min(config.close_up_px, model.width, model.height)
    return side // model.patch_size * model.patch_size


def build(
    config: ViTConfig, training: TrainingConfig, device: torch.device, share: Share | None = None
) -> tuple[ViT, torch.optim.Optimizer]:
    """A network with seeded random weights, and its optimizer."""
    torch.manual_seed(training.seed)
    model = ViT(config).to(device)
    share_dropout(model, share or Share())
    groups = model.parameter_groups(training.weight_decay)
    return model, torch.optim.AdamW(groups, lr=training.lr, betas=(0.9, 0.99), fused=True)


def train(
    data: Data,
    model: ViT,
    optimizer: torch.optim.Optimizer,
    config: TrainingConfig,
    run: Path,
    *,
    resume: bool = False,
    time_limit_min: float | None = None,
    share: Share | None = None,
    report: Callable[[dict[str, object], list[str]], None] = lambda row, warnings: None,
) -> Outcome:
    """Train to the end, or on from where the run stands, and keep best and last.

    Args:
        data: Splits `train` and `validation`.
        model: The network from `build`; changed in place.
        optimizer: Its optimizer.
        config: The training's settings.
        run: Existing folder for the checkpoints and metrics.csv.
        resume: Go on from RUN/state.safetensors.
        time_limit_min: Stop after the first epoch that ends later than this many minutes from now.
        share: This process's part; only the first process writes.
        report: Called after each epoch with its line of metrics and its warnings.
    """
    began = time.monotonic()
    share = share or Share()
    split, validation = data.splits["train"], data.splits["validation"]
    state = BEGINNING
    average = Average(model, config.ema)
    rows: list[dict[str, object]] = []
    if resume:
        state = checkpoint.load_state(run, model, optimizer, average.held)
        rows = read_metrics(run, state.epoch)
    close_ups = CloseUps(split, close_up_size(model.config, config), len(data.classes))
    plan = plan_of(split, config, close_ups)
    warnings: list[str] = []
    stopped = ""
    quiet = None if share.first else True
    with tqdm(
        total=plan.done(plan.epochs), initial=plan.done(state.epoch), unit="step", disable=quiet
    ) as bar:
        for epoch in range(state.epoch + 1, config.epochs + 1):
            start = time.monotonic()
            if plan.is_over(state, config.patience):
                stopped = f"no better epoch in {config.patience}: best is {state.best_epoch}"
                break
            trained = train_epoch(
                model, split, close_ups, optimizer, config, plan, epoch, bar, average, share
            )
            if not math.isfinite(trained["train_loss"]):  # type: ignore[arg-type]
                stopped = (
                    f"the loss of epoch {epoch} is {trained['train_loss']}: --lr {config.lr} is too high"
                )
                break
            with average.in_place():
                answers = answer(model, validation, share=share)
                weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
            row = epoch_row(epoch, trained, answers, data.classes)
            row["seconds"] = round(time.monotonic() - start, 2)
            rows.append(row)
            score = (float(row["val_balanced_accuracy"]), -answers.loss)  # type: ignore[arg-type]
            metadata = {"epoch": str(epoch)}
            best_epoch, best_score = state.best_epoch, state.best_score
            # Before whole pictures are trained on, the class logits are chance: no such epoch is the best.
            is_best = epoch > plan.close_up_epochs and score > best_score
            if is_best:
                best_epoch, best_score = epoch, score
            state = RunState(epoch, best_epoch, best_score)
            if share.first:
                if is_best:
                    frozen_threshold.forget_temperature(run)
                    checkpoint.save_tensors(run / checkpoint.BEST, weights, metadata)
                checkpoint.save_tensors(run / checkpoint.LAST, weights, metadata)
                write_metrics(run, rows)
                if epoch in config.stages:
                    keep_stage(run, model.config, config, weights, row)
                checkpoint.save_state(run, model, optimizer, state, average.held)
            matrix = metrics.confusion_matrix(answers.truth, answers.predicted, len(data.classes))
            collapse = (
                metrics.collapse_warning(matrix, data.classes) if epoch > plan.close_up_epochs else None
            )
            warnings = ([collapse] if collapse else []) + doctor.prognosis(rows, data.classes, config)
            report(row, warnings)
            spent_min = share.agreed((time.monotonic() - began) / 60)
            if time_limit_min is not None and epoch < config.epochs and spent_min > time_limit_min:
                stopped = (
                    f"time limit of {time_limit_min:g} min reached after epoch {epoch} of {config.epochs}"
                )
                break
    return Outcome(state.epoch, state.best_epoch, stopped, warnings)
