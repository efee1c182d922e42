"""Checks of a training: can this network learn these pictures, and does it keep learning?

Before the training the network learns one batch by heart (overfits it), with the run's own loss and learning rate. The
training is refused if the loss diverges or stays the same, if equal pictures have different labels, or if the gradient
is zero. A batch that is learned too slowly gives a warning.

During the training three numbers per epoch show a collapse (one class predicted for all pictures) early: entropy of the
mean prediction, share of the most predicted class, norm of the gradient. Shuffled labels can be learned by heart too.
They are found as labels that contradict the boxes, or as an accuracy that rises in training and stays at chance in
validation.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.core.console import Progress, say
from trainer.core.errors import InputError
from trainer.core.split import IGNORED, Data, Split
from trainer.vit.network.model import ViT
from trainer.vit.patches import patch_loss
from trainer.vit.run import TrainingConfig

EXAMINATION = "examination.json"
PICTURES = 8
MOST_STEPS = 120
PATIENCE = 6
RUNAWAY = 3.0
HIGH_RATE = 0.02
NO_GRADIENT = 1e-4
HEALTHY_NORM = 1000.0


@dataclass(frozen=True)
class Examination:
    """Result of learning one batch by heart.

    Args:
        healthy: Whether the batch was learned by heart.
        hopeless: Whether the training must be refused.
        reason: Why the batch was not learned, with advice; empty if healthy.
        steps: Number of steps.
        first_loss, last_loss: Mean cross-entropy of the pictures' classes at the first and last step.
        accuracy: Accuracy on the batch at the last step, in [0, 1].
        largest_gradient: Largest norm of the gradient before clipping, over all steps.
    """

    healthy: bool
    hopeless: bool
    reason: str
    steps: int
    first_loss: float
    last_loss: float
    accuracy: float
    largest_gradient: float


def chosen_rows(labels: torch.Tensor, count: int = PICTURES) -> list[int]:
    """Choose at most `count` rows for a batch by their labels (N,): the first of each class, classes equally often."""
    rows: list[int] = []
    queues = [torch.nonzero(labels == label).flatten().tolist() for label in torch.unique(labels).tolist()]
    while len(rows) < count and any(queues):
        for queue in queues:
            if queue and len(rows) < count:
                rows.append(queue.pop(0))
    return sorted(rows)


def contradictions(split: Split, rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return the pairs of `rows`, indices in `split`, that have equal pictures and different labels."""
    seen: dict[bytes, int] = {}
    found = []
    for row in rows:
        key = split.pixels([row]).numpy().tobytes()
        if key in seen and split.labels[seen[key]] != split.labels[row]:
            found.append((seen[key], row))
        seen.setdefault(key, row)
    return found


def _advice(config: TrainingConfig, losses: Sequence[float], largest: float) -> str:
    if not math.isfinite(losses[-1]) or max(losses) > RUNAWAY * losses[0]:
        return f"--lr {config.lr:g} is too high, the loss diverges: try --lr {min(1e-3, config.lr / 30):g}"
    if largest < NO_GRADIENT:
        return "the gradient is zero: check in `python -m generator report` whether all pictures are equal"
    if losses[-1] < 0.8 * losses[0]:
        return f"the network learns too slowly: try --lr {min(3e-3, config.lr * 5):g}, or a larger --dim"
    return "the classes look alike in the pictures, or --lr is wrong: look at the pictures, then try --lr 0.001"


def _unlearnable(split: Split, rows: Sequence[int], names: Sequence[str], config: TrainingConfig) -> str:
    """Return why the rows cannot be learned, without a training step; empty where no reason is found."""
    if len(torch.unique(split.labels[rows])) < 2:
        only = names[int(split.labels[rows][0])]
        return f"expected pictures of two or more classes in split train, got only {only}"
    if pairs := contradictions(split, rows):
        first, second = (f"{split.name(i)} ({names[int(split.labels[i])]})" for i in pairs[0])
        return f"equal pictures have different labels: {first} and {second}"
    if config.lr > HIGH_RATE:
        return (
            f"--lr {config.lr:g} is too high: AdamW changes each weight by about that much per step, and weights start "
            f"at about {HIGH_RATE:g}; try --lr 0.001"
        )
    return ""


@dataclass
class _ByHeart:
    """Progress of learning a batch by heart: losses, last accuracy, largest gradient, whether boxes train it too."""

    losses: list[float]
    accuracy: float = 0.0
    largest: float = 0.0
    right_in_a_row: int = 0
    taught: bool = False

    def is_done(self, logits: Tensor, labels: Tensor, loss: Tensor) -> bool:
        """Record a step's logits (N, K), labels (N,) and loss; returns whether to stop: learned, or loss not finite."""
        self.losses.append(float(loss.detach()))
        self.accuracy = float((logits.argmax(1) == labels).float().mean())
        self.right_in_a_row = self.right_in_a_row + 1 if self.accuracy == 1 else 0
        learned = self.right_in_a_row >= PATIENCE and self.losses[-1] < 0.5 * self.losses[0]
        return learned or not math.isfinite(self.losses[-1])


def _learn_by_heart(model: ViT, split: Split, rows: Sequence[int], config: TrainingConfig, bar: Progress) -> _ByHeart:
    device = next(model.parameters()).device
    patient = copy.deepcopy(model).train()
    optimizer = torch.optim.AdamW(patient.parameter_groups(0.0), lr=config.lr, betas=(0.9, 0.99))
    pixels = split.pixels(rows).to(device).float() / 255
    labels = split.labels[list(rows)].to(device)
    at = split.picture_indices(rows)
    boxes, categories, known = (tensor[at].to(device) for tensor in (split.boxes, split.categories, split.boxes_known))
    # With picture labels alone the loss may stay the same for long at first; with boxes, on eight pictures, never.
    found = _ByHeart([], taught=bool(known.any()) and config.patch_weight > 0)
    for step in range(MOST_STEPS):
        bar.update()
        for group in optimizer.param_groups:
            group["lr"] = config.lr * min(1.0, (step + 1) / 10)
        prediction = patient(pixels)
        loss = F.cross_entropy(prediction.logits, labels)
        if found.is_done(prediction.logits, labels, loss):
            break
        if config.patch_weight > 0:
            shape = patient.config
            loss = loss + config.patch_weight * patch_loss(
                prediction.patch_logits.flatten(0, -4), boxes, categories, known, shape.ok_index, shape.patch_size
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = float(torch.nn.utils.clip_grad_norm_(patient.parameters(), config.clip))
        found.largest = max(found.largest, norm)
        if not math.isfinite(norm):
            found.losses.append(math.nan)
            break
        optimizer.step()
    return found


def examine(model: ViT, split: Split, config: TrainingConfig) -> Examination:
    """Test before a training whether a copy of its network learns one batch of the training split by heart.

    The network itself and the random generators do not change.
    """
    rows = chosen_rows(split.labels)
    if reason := _unlearnable(split, rows, model.config.classes, config):
        alike = len(torch.unique(split.labels[rows])) < 2
        return Examination(False, True, reason, 0, math.nan, math.nan, float(alike), 0.0)
    with torch.random.fork_rng(devices=[]), Progress("check: learning one batch by heart", MOST_STEPS, "step") as bar:
        torch.manual_seed(config.seed)
        found = _learn_by_heart(model, split, rows, config, bar)
    losses, accuracy, largest = found.losses, found.accuracy, found.largest
    away = not math.isfinite(losses[-1]) or max(losses) > RUNAWAY * losses[0]
    healthy = accuracy == 1 and not away
    still = min(losses[-20:]) > 0.9 * losses[0] and found.taught
    lost = still or away or largest < NO_GRADIENT
    reason = ""
    if not healthy:
        reason = (
            f"{len(rows)} training pictures were not learned by heart in {len(losses)} steps: loss from "
            f"{losses[0]:.3g} to {losses[-1]:.3g} (largest {max(losses):.3g}), {accuracy:.0%} of the pictures right. "
            f"{_advice(config, losses, largest)}"
        )
    return Examination(healthy, not healthy and lost, reason, len(losses), losses[0], losses[-1], accuracy, largest)


def prognosis(rows: Sequence[Mapping[str, object]], classes: Sequence[str], config: TrainingConfig) -> list[str]:
    """Return warnings with advice from the epochs so far: large gradients, pictures only learned by heart.

    Args:
        rows: Lines of metrics.csv so far.
        classes, config: Class names, and the training's settings.
    """
    newest = rows[-1]
    warnings = []
    norm = newest.get("gradient_norm")
    if norm not in (None, "") and float(norm) > HEALTHY_NORM * config.clip:  # type: ignore[arg-type]
        warnings.append(
            f"the gradient's mean norm is {float(norm):.3g}, clipped to {config.clip:g}: "  # type: ignore[arg-type]
            f"the training is unstable; try --lr {config.lr / 10:g}"
        )
    pictures = [row for row in rows if row["stage"] == "pictures"]
    if len(pictures) < 3:
        return warnings
    chance = 1 / len(classes)
    seen = [float(row["train_accuracy"]) for row in pictures[-3:]]  # type: ignore[arg-type]
    new = [float(row["val_balanced_accuracy"]) for row in pictures[-3:]]  # type: ignore[arg-type]
    if min(seen) > chance + 0.35 and max(new) < chance + 0.12:
        warnings.append(
            f"of the training pictures {seen[-1]:.0%} are right, but validation stays at chance ({new[-1]:.0%}): "
            "they are learned by heart. Check the labels; if they are right, use more pictures, or boxes with "
            "--patch-weight above 0"
        )
    return warnings


def check_labels(split: Split, ok_index: int, classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Find examples whose label contradicts their boxes: there are boxes of defects, but none of the label's class.

    Args:
        ok_index, classes: Label of OK, and class names.

    Returns:
        Two lists of messages: problems, if over 5 % of the labels are wrong; warnings, if fewer are.
    """
    wrong = []
    by_example = torch.unflatten(split.categories, 0, (-1, split.views)).flatten(1)
    for index, label in enumerate(split.labels.tolist()):
        shown = {c for c in by_example[index].tolist() if c not in (ok_index, IGNORED)}
        if shown and label not in shown:
            wrong.append(index)
    if not wrong:
        return [], []
    first = wrong[0]
    boxes = sorted({classes[c] for c in by_example[first].tolist() if c not in (ok_index, IGNORED)})
    text = (
        f"{len(wrong)} of {len(split)} {'parts' if split.views > 1 else 'pictures'} have a label that differs from the "
        f"classes of all boxes of their defects, such as {split.name(first)}: label "
        f"{classes[int(split.labels[first])]}, boxes {' '.join(boxes)}"
    )
    if len(wrong) > 0.05 * len(split):
        return [f"{text}; were the labels shuffled?"], []
    return [], [text]


def check_classes(train: Split, validation: Split, classes: Sequence[str]) -> list[str]:
    """Return warnings on classes that are in validation but not in training."""
    taught = set(train.labels.tolist())
    return [
        f"no training picture is {classes[label]}, but {int((validation.labels == label).sum())} validation pictures "
        "are: add training pictures of that class, or leave the class out"
        for label in sorted(set(validation.labels.tolist()) - taught)
    ]


def admit(model: ViT, data: Data, settings: TrainingConfig) -> list[str]:
    """Check labels, classes and learning of one batch before a training, and print the findings.

    Args:
        model, data, settings: The network before its first step, the dataset, and the settings of the training.

    Returns:
        Warnings and the result of learning one batch, as sentences without full stop.

    Raises:
        InputError: The training cannot succeed.
    """
    train, validation = data.splits["train"], data.splits["validation"]
    problems, warnings = check_labels(train, model.config.ok_index, data.classes)
    if problems:
        raise InputError([f"split train: {problem}" for problem in problems])
    warnings += check_classes(train, validation, data.classes)
    for warning in warnings:
        say(f"WARNING: {warning}.")
    found = examine(model, train, settings)
    if found.hopeless:
        raise InputError(f"training not started (--no-check starts it all the same): {found.reason}")
    if not found.healthy:
        say(f"WARNING: {found.reason}.")
        return [*warnings, found.reason]
    learned = (
        f"one batch learned by heart in {found.steps} steps: loss {found.first_loss:.3f} to {found.last_loss:.3f}, "
        f"largest gradient {found.largest_gradient:.2g}"
    )
    say(learned)
    return [*warnings, learned]
