"""The collapse training_check: can this network learn these pictures at all, and is it still learning?

Before training one batch is learned by heart, with the run's own network, loss and learning rate. Where the loss runs
away or stands still, equal pictures have different labels or no gradient arrives, the run stops: no dataset can be
learned like that. Where it is merely slow, it is warned of: close-ups and patience may still bring it about.

During training three numbers per epoch tell a collapse early: the entropy of the mean prediction, the share of the
most predicted class, and the gradient's norm. Shuffled labels are learned by heart too; they show as labels that the
boxes contradict, or as training that improves while validation stays at chance.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.core.console import say
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
    """What learning one batch by heart showed.

    Args:
        healthy: Whether the batch was learned by heart.
        hopeless: Whether training must not begin.
        reason: Why not, with advice; empty when healthy.
        steps: Steps taken.
        first_loss, last_loss: Cross-entropy of the pictures' classes.
        accuracy: Of the batch, at the end.
        largest_gradient: Largest norm of the gradient before clipping.
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
    """Rows of a batch that holds the classes alike, each class's first ones."""
    rows: list[int] = []
    queues = [torch.nonzero(labels == label).flatten().tolist() for label in torch.unique(labels).tolist()]
    while len(rows) < count and any(queues):
        for queue in queues:
            if queue and len(rows) < count:
                rows.append(queue.pop(0))
    return sorted(rows)


def contradictions(split: Split, rows: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of rows with equal pictures and different labels."""
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
        return f"--lr {config.lr:g} throws the weights about: try --lr {min(1e-3, config.lr / 30):g}"
    if largest < NO_GRADIENT:
        return "no gradient arrives: are the pictures all alike? `python -m generator report` shows them"
    if losses[-1] < 0.8 * losses[0]:
        return f"it learns, but slowly: try --lr {min(3e-3, config.lr * 5):g}, or a larger --dim"
    return "the pictures show no difference between the classes, or --lr is wrong: look at them, then try --lr 0.001"


def _in_vain(split: Split, rows: Sequence[int], names: Sequence[str], config: TrainingConfig) -> str:
    """Why no step needs to be taken to see that nothing can be learned; empty where that is not so."""
    if len(torch.unique(split.labels[rows])) < 2:
        only = names[int(split.labels[rows][0])]
        return f"every training picture is {only}: there is nothing to tell apart"
    if pairs := contradictions(split, rows):
        first, second = (f"{split.name(i)} ({names[int(split.labels[i])]})" for i in pairs[0])
        return f"equal pictures have different labels: {first} and {second}"
    if config.lr > HIGH_RATE:
        return (
            f"--lr {config.lr:g} throws the weights about: AdamW moves each by about that much a step, and they begin "
            f"at about {HIGH_RATE:g}; try --lr 0.001"
        )
    return ""


@dataclass
class _ByHeart:
    """How learning a batch by heart goes: losses of its steps, share right, largest gradient, whether boxes teach."""

    losses: list[float]
    accuracy: float = 0.0
    largest: float = 0.0
    right_in_a_row: int = 0
    taught: bool = False

    def is_done(self, logits: Tensor, labels: Tensor, loss: Tensor) -> bool:
        """Take in a step's answers; whether the batch is learned, or the loss gone."""
        self.losses.append(float(loss.detach()))
        self.accuracy = float((logits.argmax(1) == labels).float().mean())
        self.right_in_a_row = self.right_in_a_row + 1 if self.accuracy == 1 else 0
        learned = self.right_in_a_row >= PATIENCE and self.losses[-1] < 0.5 * self.losses[0]
        return learned or not math.isfinite(self.losses[-1])


def _learn_by_heart(model: ViT, split: Split, rows: Sequence[int], config: TrainingConfig) -> _ByHeart:
    device = next(model.parameters()).device
    patient = copy.deepcopy(model).train()
    optimizer = torch.optim.AdamW(patient.parameter_groups(0.0), lr=config.lr, betas=(0.9, 0.99))
    pixels = split.pixels(rows).to(device).float() / 255
    labels = split.labels[list(rows)].to(device)
    at = split.picture_indices(rows)
    boxes, categories, known = (tensor[at].to(device) for tensor in (split.boxes, split.categories, split.boxes_known))
    # Picture labels alone may stand still for long before they are learned; with boxes eight pictures never do.
    found = _ByHeart([], taught=bool(known.any()) and config.patch_weight > 0)
    for step in range(MOST_STEPS):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * min(1.0, (step + 1) / 10)
        prediction = patient(pixels)
        loss = F.cross_entropy(prediction.logits, labels)
        if found.is_done(prediction.logits, labels, loss):
            break
        if config.patch_weight > 0:
            shape = patient.config
            loss = loss + config.patch_weight * patch_loss(
                prediction.patch_logits.flatten(0, -4),
                boxes,
                categories,
                known,
                shape.ok_index,
                shape.patch_size,
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
    """Learn one batch by heart with a copy of the network; neither it nor a random number is changed.

    Args:
        model: The network as training would begin with it.
        split: Training split.
        config: The training's settings.
    """
    rows = chosen_rows(split.labels)
    if reason := _in_vain(split, rows, model.config.classes, config):
        alike = len(torch.unique(split.labels[rows])) < 2
        return Examination(False, True, reason, 0, math.nan, math.nan, float(alike), 0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        found = _learn_by_heart(model, split, rows, config)
    losses, accuracy, largest = found.losses, found.accuracy, found.largest
    away = not math.isfinite(losses[-1]) or max(losses) > RUNAWAY * losses[0]
    healthy = accuracy == 1 and not away
    still = min(losses[-20:]) > 0.9 * losses[0] and found.taught
    lost = still or away or largest < NO_GRADIENT
    reason = ""
    if not healthy:
        reason = (
            f"{len(rows)} training pictures could not be learned by heart in {len(losses)} steady steps: loss "
            f"{losses[0]:.3g} to {losses[-1]:.3g}, at most {max(losses):.3g}, {accuracy:.0%} right. "
            f"{_advice(config, losses, largest)}"
        )
    return Examination(healthy, not healthy and lost, reason, len(losses), losses[0], losses[-1], accuracy, largest)


def prognosis(rows: Sequence[Mapping[str, object]], classes: Sequence[str], config: TrainingConfig) -> list[str]:
    """What the epochs so far warn of, with advice; empty when nothing does.

    Args:
        rows: Lines of metrics.csv, the last one the newest.
        classes: Class names.
        config: The training's settings.
    """
    newest = rows[-1]
    warnings = []
    norm = newest.get("gradient_norm")
    if norm not in (None, "") and float(norm) > HEALTHY_NORM * config.clip:  # type: ignore[arg-type]
        warnings.append(
            f"the gradient's mean norm is {float(norm):.3g}, clipped to {config.clip:g}: "  # type: ignore[arg-type]
            f"training jumps about; try --lr {config.lr / 10:g}"
        )
    pictures = [row for row in rows if row["stage"] == "pictures"]
    if len(pictures) < 3:
        return warnings
    chance = 1 / len(classes)
    seen = [float(row["train_accuracy"]) for row in pictures[-3:]]  # type: ignore[arg-type]
    new = [float(row["val_balanced_accuracy"]) for row in pictures[-3:]]  # type: ignore[arg-type]
    if min(seen) > chance + 0.35 and max(new) < chance + 0.12:
        warnings.append(
            f"training pictures are {seen[-1]:.0%} right, validation stays at chance ({new[-1]:.0%}): learned by "
            "heart. Are the labels those of the pictures? Otherwise more pictures, or boxes with --patch-weight above 0"
        )
    return warnings


def check_labels(split: Split, ok_index: int, classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Labels against the split's own boxes.

    A picture labelled OK in which a box shows a defect, or labelled with a class that none of its defects has, was not
    labelled by whoever drew the boxes.

    Args:
        split: Any split.
        ok_index: Label of OK.
        classes: Class names.

    Returns:
        Problems that forbid training (more than one row in twenty), and warnings.
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
        f"{len(wrong)} of {len(split)} pictures have a label that none of their defects' boxes has, such as "
        f"{split.name(first)}: label {classes[int(split.labels[first])]}, boxes {' '.join(boxes)}"
    )
    if len(wrong) > 0.05 * len(split):
        return [f"{text}; were the labels shuffled?"], []
    return [], [text]


def check_classes(train: Split, validation: Split, classes: Sequence[str]) -> list[str]:
    """Classes that validation asks for and training never shows, in plain words."""
    taught = set(train.labels.tolist())
    return [
        f"no training picture is {classes[label]}, but {int((validation.labels == label).sum())} validation pictures "
        "are: what was never shown cannot be learned; build the dataset with some, or leave the class out"
        for label in sorted(set(validation.labels.tolist()) - taught)
    ]


def admit(model: ViT, data: Data, settings: TrainingConfig) -> list[str]:
    """Labels against boxes, classes against each other, and one batch by heart, before anything is spent.

    Returns:
        What was found, in sentences without their full stop.

    Raises:
        InputError: Training cannot succeed as it is.
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
        raise InputError(f"not begun (--no-check begins all the same): {found.reason}")
    if not found.healthy:
        say(f"WARNING: {found.reason}.")
        return [*warnings, found.reason]
    learned = (
        f"one batch learned by heart in {found.steps} steps: loss {found.first_loss:.3f} to {found.last_loss:.3f}, "
        f"largest gradient {found.largest_gradient:.2g}"
    )
    say(learned)
    return [*warnings, learned]
