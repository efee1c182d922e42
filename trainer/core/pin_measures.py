"""Measures of the pins as auxiliary targets of a training (--measure-weight): targets and loss, for ViT and Florence-2.

A defect's class is a step at the tolerance; the displacement of every pin, also of a good one, says more. A linear
layer on the network's patches, which exists in training only, learns it: the patch at a pin's tip must give the
displacement dx, dy and retraction in mm, and that the pin is there; the patch at a missing pin's foot, that it is not
there.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.core.augmentation import PIN_COLUMNS

if TYPE_CHECKING:
    from generator.dataset.rows import ObjectRow

UNDECIDED = -100  # target that cross_entropy ignores
UNUSED = -1  # presence of an entry that is no pin: see `augmentation.Batch.pins`
AXES = 3  # dx, dy, retraction
PRESENCE = 2  # scores of the layer: missing, there; those of `AXES` follow
SMALLEST_SCALE_MM = 0.01
NONE = torch.zeros((0, PIN_COLUMNS))  # the pins of a picture that states none
LACKING = (
    "measures of pins do not teach (--measure-weight): the dataset does not state them (`objects` without values in "
    "tip_px, dx_mm, dy_mm and retraction_mm), as one built from renders by this version does"
)


def measured_pins(objects: "Iterable[ObjectRow]", moved: Callable[[float, float], tuple[float, float]]) -> Tensor:
    """Return (P, 6) the pins whose place and presence are stated, as `augmentation.Batch.pins`.

    Args:
        objects: Objects of one picture.
        moved: Turns a place in px of the stored picture into px of the network's.
    """
    pins = []
    for each in objects:
        if not each.is_position:
            continue
        measures = (each.dx_mm, each.dy_mm, each.retraction_mm)
        there = each.tip_px is not None and None not in measures
        gone = each.tip_px is None and each.base_px is not None and each.true_position_mm is None
        place = each.tip_px if there else each.base_px
        if (there or gone) and place is not None:
            pins.append((*moved(*place), float(there), *(float(value or 0.0) if there else 0.0 for value in measures)))
    return torch.tensor(pins) if pins else NONE


def padded(found: Sequence[Tensor]) -> Tensor:
    """Stack the pins of N pictures, (P_i, 6) each, to (N, P, 6); unused entries have the presence `UNUSED`."""
    pins = torch.zeros((len(found), max(map(len, found), default=0), PIN_COLUMNS))
    pins[..., 2] = UNUSED
    for index, some in enumerate(found):
        pins[index, : len(some)] = some
    return pins


def scale_of(pins: Tensor) -> Tensor:
    """Return (3,) the standard deviations in mm of dx, dy and retraction of the pins (N, P, 6) that are there."""
    there = pins[pins[..., 2] == 1][:, 3:]
    return there.std(0, correction=0).clamp(min=SMALLEST_SCALE_MM)


def places(pins: Tensor, size: tuple[int, int], patch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Find the patches of the pins that lie inside their picture.

    Args:
        pins: (B, P, 6), in px of the pictures.
        size: (W, H) of the pictures in px.
        patch: Side of a patch in px.

    Returns:
        For each of the K pins (K,) its picture, (K,) its patch, counted row by row, and (K, 6) the pin.
    """
    x, y, presence = pins[..., 0], pins[..., 1], pins[..., 2]
    inside = (presence != UNUSED) & (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
    columns = -(-size[0] // patch)
    return inside.nonzero()[:, 0], (y[inside] // patch).long() * columns + (x[inside] // patch).long(), pins[inside]


def measure_loss(
    said: Tensor, pins: Tensor, scale: Tensor, total: Callable[[Tensor], Tensor] = lambda counts: counts
) -> Tensor:
    """Compute the loss of presence plus that of displacement, a scalar.

    Args:
        said: (K, 5) scores of missing and there, then dx, dy and retraction, in units of `scale`.
        pins: (K, 6) the true pins.
        scale: (3,) mm, from `scale_of`.
        total: Sums counts over all processes: see `balanced_cross_entropy`.
    """
    lost = balanced_cross_entropy(said[:, :PRESENCE], pins[:, 2].long(), total)
    there = pins[:, 2] == 1
    count = total(there.sum()).clamp(min=1)
    target = pins[there][:, 3:] / scale
    return lost + F.smooth_l1_loss(said[there, PRESENCE:], target, reduction="sum") / (AXES * count)


def balanced_cross_entropy(
    logits: Tensor, targets: Tensor, total: Callable[[Tensor], Tensor] = lambda counts: counts
) -> Tensor:
    """Compute the mean cross-entropy, classes weighted by the inverse square root of their share of the targets.

    Args:
        logits: (N, K).
        targets: (N,) labels; `UNDECIDED` ones are left out.
        total: Sums the classes' counts (K,) over all processes; each process then returns its part of the mean.

    Returns:
        A scalar; 0 if all targets are `UNDECIDED`.
    """
    counts = total(torch.bincount(targets[targets != UNDECIDED], minlength=logits.shape[1]).to(logits.dtype))
    weight = counts.clamp(min=1).rsqrt()
    lost = F.cross_entropy(logits, targets, weight=weight, ignore_index=UNDECIDED, reduction="sum")
    return lost / (weight * counts).sum().clamp(min=1)
