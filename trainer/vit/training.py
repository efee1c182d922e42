"""Training of a ViT in the loop of `trainer.core.loop`: batches, losses, validation, warnings.

The best epoch is the one with the highest balanced accuracy (mean recall of the classes that occur) on the validation
split. Of several equal epochs, frequent on a small split, the one with the lowest validation loss is the best.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.core import frozen_threshold, metrics, run_folder
from trainer.core.augmentation import Batch
from trainer.core.console import say
from trainer.core.default_paths import copy_dataset_files
from trainer.core.distributed import Share, share_dropout, start
from trainer.core.loop import EpochScore, Schedule, Trained
from trainer.core.pin_measures import LACKING
from trainer.core.run_folder import Row
from trainer.core.split import Data
from trainer.core.time_limit import Cost, seconds_per_step
from trainer.vit import training_check
from trainer.vit.answers import Answers, answer
from trainer.vit.closeups import CloseUps
from trainer.vit.loader import Plan, Portion, ahead, plan_of, steps_of
from trainer.vit.measures import HEAD, Teaching, pins_of
from trainer.vit.network.model import Prediction, ViT, ViTConfig
from trainer.vit.patches import object_logits, patch_loss
from trainer.vit.results import STAGES
from trainer.vit.run import TrainingConfig, save_config


def build(
    config: ViTConfig, training: TrainingConfig, device: torch.device, share: Share | None = None
) -> tuple[ViT, torch.optim.Optimizer]:
    """Make a network with random weights from the training's seed, and an optimizer; `share` is None in one process."""
    torch.manual_seed(training.seed)
    model = ViT(config).to(device)
    share_dropout(model, share or Share())
    groups = model.parameter_groups(training.weight_decay)
    return model, torch.optim.AdamW(groups, lr=training.lr, betas=(0.9, 0.99), fused=True)


def schedule_of(config: TrainingConfig, plan: Plan) -> Schedule:
    """Make the settings for `trainer.core.loop`; an epoch of close-ups alone is never the best one (`uncounted`)."""
    return Schedule.of(config, uncounted=plan.close_up_epochs)


def close_up_size(model: ViTConfig, config: TrainingConfig) -> int:
    """Return the side of a close-up in px: `close_up_px`, at most the picture's shorter side, cut to whole patches."""
    side = min(config.close_up_px, model.width, model.height)
    return side // model.patch_size * model.patch_size


def _on(device: torch.device, batch: Batch) -> Batch:
    if device.type == "cuda":
        return Batch(*(tensor.pin_memory().to(device, non_blocking=True) for tensor in batch))
    return batch


class ViTTrainee:
    """A ViT in training; see `trainer.core.loop.Trainee`.

    Args:
        data: The dataset; its splits `train` and `validation` are used.
        model, optimizer: The network and its optimizer, from `build`.
        config: The training's settings.
        share: This process's share of each batch, also passed to `build`; None: a new one from `distributed.start`.
    """

    def __init__(
        self,
        data: Data,
        model: ViT,
        optimizer: torch.optim.Optimizer,
        config: TrainingConfig,
        share: Share | None = None,
    ) -> None:
        self.network, self.optimizer = model, optimizer
        self.device = next(model.parameters()).device
        self.share = share or start(self.device, config.amp)
        self.classes = data.classes
        self.split, self.validation = data.splits["train"], data.splits["validation"]
        self.measures = self._measures(config)
        self.close_ups = CloseUps(self.split, close_up_size(model.config, config), len(data.classes))
        self.adopt(config)
        self.answers: Answers | None = None
        self._tally()

    def _measures(self, config: TrainingConfig) -> Teaching | None:
        """Put the head of --measure-weight on the network; None without it, or if the dataset states no measures."""
        shape = self.network.config
        if not config.measure_weight:
            return None
        pins = pins_of(self.split, (shape.width, shape.height))
        if not (pins[..., 2] == 1).any():
            say(LACKING)
            return None
        self.split = replace(self.split, pins=pins)
        return Teaching(self.network, self.optimizer, pins, config.seed)

    def leave(self) -> None:
        """Remove from the network what only the training needs: the head of --measure-weight."""
        if self.measures is not None:
            self.measures.leave()

    def adopt(self, config: TrainingConfig) -> None:
        """Replace the settings by `config`, equal but for the number of epochs, and plan the training anew.

        Called when --time-limit is too short for all epochs: before the first one, or later if the limit has passed
        and no epoch has a score yet. (At the start `config` is the run's own.)
        """
        self.config = config
        self.plan = plan_of(self.split, config, self.close_ups)
        self.schedule = schedule_of(config, self.plan)

    def _tally(self) -> None:
        # Sums over this process's share of an epoch: loss, right pictures, right close-ups, loss of measures.
        self._sums = torch.zeros(4, device=self.device)
        self._shown_close_ups = 0

    def steps(self, epoch: int) -> int:
        """Number of steps of an epoch; epochs count from 1."""
        return self.plan.steps(epoch)

    def batches(self, epoch: int) -> Iterator[Sequence[Portion]]:
        """Seed dropout, and yield for each step its portions: batches whose gradients are added before the update.

        The portions are prepared in a background thread.
        """
        torch.manual_seed(self.config.seed * 100_003 + epoch)  # dropout
        self.network.train()
        self._tally()
        return ahead(steps_of(self.split, self.close_ups, self.config, self.plan, epoch, self.share))

    def backward(self, batch: Portion, batches_per_step: int) -> None:
        """Add the gradient of `batch`'s loss, divided by the step's number of portions; count right predictions."""
        loss = torch.zeros((), device=self.device)
        if batch.close_ups is not None and batch.centres is not None:
            shown = _on(self.device, batch.close_ups)
            loss = loss + self._close_up_loss(shown, batch.close_up_count, batch.centres)
            loss = loss + self._measure_loss(shown, batches_per_step)
        if batch.pictures is not None:
            shown = _on(self.device, batch.pictures)
            loss = loss + self._picture_loss(shown, batch.picture_count)
            loss = loss + self._measure_loss(shown, batches_per_step)
        self.share.accelerator.backward(loss / batches_per_step)
        self._sums[0] += loss.detach() / batches_per_step

    def _forward(self, pixels: Tensor, rows: int, views: int = 1) -> Prediction:
        """Run the network; logits in float32. The batch of all processes has `rows` examples of `views` pictures."""
        self.share.rows, self.share.together = rows * views, views
        if views > 1:
            pixels = torch.unflatten(pixels, 0, (-1, views))
        with self.share.accelerator.autocast():
            said = self.network(pixels)
        self.share.rows = None
        return Prediction(said.logits.float(), said.patch_logits.float())

    def _patch_loss(self, patch_logits: Tensor, batch: Batch) -> Tensor:
        shape = self.network.config
        return patch_loss(
            patch_logits.flatten(0, -4),  # of each view by itself
            batch.boxes,
            batch.categories,
            batch.boxes_known,
            shape.ok_index,
            shape.patch_size,
            self.share.total,
        )

    def _measure_loss(self, batch: Batch, batches_per_step: int) -> Tensor | float:
        """Compute the weighted loss of measures of the batch that the network got last; 0 if they are not trained."""
        if self.measures is None:
            return 0.0
        height, width = batch.pixels.shape[-2:]
        loss = self.measures.loss(batch.pins, (width, height), self.share.total)
        self._sums[3] += loss.detach() / batches_per_step
        return self.config.measure_weight * loss

    def _close_up_loss(self, batch: Batch, count: int, centres: Tensor) -> Tensor:
        patch_logits = self._forward(batch.pixels, count).patch_logits
        loss = self.config.patch_weight * self._patch_loss(patch_logits, batch)
        with torch.no_grad():
            pooled = object_logits(patch_logits, batch.boxes, self.network.config.patch_size)
            each = torch.arange(len(pooled), device=self.device)
            said = pooled[each, centres.to(self.device)].argmax(1)
            self._sums[2] += (said == batch.labels).sum()
        self._shown_close_ups += count
        return loss

    def _picture_loss(self, batch: Batch, count: int) -> Tensor:
        prediction = self._forward(batch.pixels, count, self.split.views)
        smoothing = self.config.label_smoothing
        lost = F.cross_entropy(prediction.logits, batch.labels, label_smoothing=smoothing, reduction="sum")
        loss = lost / count
        if self.config.patch_weight > 0:
            loss = loss + self.config.patch_weight * self._patch_loss(prediction.patch_logits, batch)
        self._sums[1] += (prediction.logits.argmax(1) == batch.labels).sum()
        return loss

    def trained(self, epoch: int, how: Trained) -> Row:
        """Return the figures of the epoch just trained: `stage`; `train_loss`; `train_measure_loss` (without its
        weight; only with --measure-weight); `lr` and `gradient_norm` (mean before clipping), both from `how`;
        `train_accuracy` (share of pictures classified rightly; None if the epoch had close-ups only);
        `train_close_up_accuracy` (share of centre objects classified rightly; None without close-ups).
        """
        with_pictures, with_close_ups = epoch > self.plan.close_up_epochs, self.plan.close_up_epochs > 0
        lost, right, right_close_ups, of_measures = self.share.total(self._sums).tolist()
        measured = {} if self.measures is None else {"train_measure_loss": of_measures / self.plan.steps(epoch)}
        return {
            "stage": "pictures" if with_pictures else "close-ups",
            "lr": how.lr,
            "train_loss": lost / self.plan.steps(epoch),
            **measured,
            "gradient_norm": how.gradient_norm,
            "train_accuracy": right / len(self.split) if with_pictures else None,
            "train_close_up_accuracy": right_close_ups / self._shown_close_ups if with_close_ups else None,
        }

    def is_due(self, epoch: int) -> bool:
        """Return True: every epoch is measured."""
        return True

    def measure(self, epoch: int) -> EpochScore:
        """Measure loss and accuracies on the validation split; an epoch that had only close-ups is given no score.

        Pictures are judged at one place on the grid of patches, which is faster; at the end at all.
        """
        self.answers = answer(self.network, self.validation, share=self.share, once=True)
        row = validation_row(self.answers, self.classes)
        score = (float(row["val_balanced_accuracy"]), -self.answers.loss)  # type: ignore[arg-type]
        return EpochScore(row, score if epoch > self.plan.close_up_epochs else None)

    def unmeasured(self) -> Row:
        """Return an empty row for metrics.csv; this training measures every epoch."""
        return {}

    def cost(self) -> Cost:
        """Estimate the seconds of an epoch with close-ups only, one with pictures, and the measurement at the end."""
        some = self.validation.subset(range(min(16, len(self.validation))))
        shown = self.plan.close_up_epochs > 0
        close_up = seconds_per_step(self, 1) * self.plan.close_up_steps if shown else 0.0
        picture = seconds_per_step(self, self.plan.epochs) * self.plan.picture_steps
        began = time.monotonic()
        answer(self.network, some, share=self.share, once=True)
        each = (time.monotonic() - began) / len(some)
        measured = each * len(self.validation)
        # At the end all splits are measured, about as large as validation, and figures are drawn.
        at_end = 2 * self.network.config.shifts * measured + 10
        return Cost(close_up + measured if shown else 0.0, picture + measured, at_end)

    def weights(self) -> dict[str, Tensor]:
        """Return copies of all tensors of the network, by name; those of the head of --measure-weight are left out."""
        held = self.network.state_dict()
        return {name: tensor.clone() for name, tensor in held.items() if not name.startswith(f"{HEAD}.")}

    def keep(self, run: Path, row: Row, is_best: bool) -> None:
        """Write last.safetensors and, after an epoch that --stages names, a copy of the run in RUN/stages/<epoch>."""
        if is_best:
            frozen_threshold.forget_temperature(run)
        weights = self.weights()
        run_folder.save_tensors(run / run_folder.LAST, weights, {"epoch": str(row["epoch"])})
        if row["epoch"] not in self.config.stages:
            return
        # A stage's folder is a run that `trainer.predict` and `trainer.evaluate` can use.
        folder = run / STAGES / f"{row['epoch']:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        save_config(folder, self.network.config, self.config, run_folder.recorded_tolerances(run))
        run_folder.save_tensors(folder / run_folder.BEST, weights, {"epoch": str(row["epoch"])})
        run_folder.write_metrics(folder, [row])
        copy_dataset_files(run, folder)

    def warnings(self, rows: Sequence[Row]) -> list[str]:
        """Return the warning on collapse to one class, and those of `training_check.prognosis`."""
        collapse = None
        if self.answers is not None and rows[-1]["stage"] == "pictures":
            said = self.answers
            matrix = metrics.confusion_matrix(said.truth, said.predicted, len(self.classes))
            collapse = metrics.collapse_warning(matrix, self.classes)
        return ([collapse] if collapse else []) + training_check.prognosis(rows, self.classes, self.config)


def validation_row(answers: Answers, classes: Sequence[str]) -> Row:
    """Make the columns of metrics.csv that are measured on validation, from the network's `answers` on that split."""
    matrix = metrics.confusion_matrix(answers.truth, answers.predicted, len(classes))
    predicted: np.ndarray = matrix.sum(0)
    top = int(predicted.argmax())
    return {
        "val_loss": answers.loss,
        "val_accuracy": metrics.accuracy(matrix),
        "val_balanced_accuracy": metrics.balanced_accuracy(matrix),
        **{f"val_recall_{name}": float(value) for name, value in zip(classes, metrics.recall(matrix), strict=True)},
        "val_prediction_entropy_bits": metrics.mean_prediction_entropy(answers.probabilities),
        "val_top_class": classes[top],
        "val_top_share": float(predicted[top] / predicted.sum()),
    }
