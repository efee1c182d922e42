"""Losses that train the patch head on the true boxes: one over objects, one over patches.

Both use only rows whose boxes are known:

- *Objects.* The logits inside a box, averaged by overlap, must give the object's class. Every pin is an example, also
  a good one: 27 examples from one picture.
- *Patches.* Patches outside the NG boxes are OK; patches mostly inside an NG box have its class. So print, walls and
  gaps give no alarm. Patches that an NG box only touches are left out.

There are two dozen OK objects for one NG object, so each class is weighted by the inverse square root of its share.
With fully balanced weights good pins close to the tolerance would be predicted NG. Without weights all objects would be
predicted OK at first.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from trainer.core.pin_measures import UNDECIDED, balanced_cross_entropy
from trainer.core.split import IGNORED


def overlap(boxes: Tensor, grid: tuple[int, int], patch_size: int) -> tuple[Tensor, Tensor]:
    """Compute how many px of each row and of each column of patches a box covers.

    Args:
        boxes: (..., 4) xyxy in px.
        grid, patch_size: Numbers of patches (h, w), down and across, and patch size in px.

    Returns:
        (..., h) px of each row and (..., w) px of each column; their product is the covered area of a patch in px².
    """
    covered = []
    for axis, count in ((1, grid[0]), (0, grid[1])):
        start = torch.arange(count, device=boxes.device) * patch_size
        low = torch.maximum(boxes[..., axis, None], start)
        high = torch.minimum(boxes[..., axis + 2, None], start + patch_size)
        covered.append((high - low).clamp(min=0))
    return covered[0], covered[1]


def patch_targets(boxes: Tensor, categories: Tensor, ok_index: int, grid: tuple[int, int], patch_size: int) -> Tensor:
    """Choose the target class of each patch from the true boxes.

    A patch has an NG box's class if the box covers at least half of the patch, or covers no other patch more.
    Patches that an NG box only touches, or that a hidden object's box touches, are `UNDECIDED`; all others are OK.
    A patch that two NG boxes claim gets the lower label.

    Args:
        boxes: (B, M, 4) xyxy in px; all 0 = no box.
        categories: (B, M) labels; `IGNORED` for a hidden object or no box.
        ok_index, patch_size: Label of OK, and patch size in px.
        grid: Numbers of patches (h, w), down and across.

    Returns:
        (B, h, w) labels.
    """
    down, across = overlap(boxes, grid, patch_size)
    area = down[..., :, None] * across[..., None, :]  # (B, M, h, w)
    most = area.flatten(2).amax(2)[..., None, None]
    claimed = ((area >= patch_size**2 / 2) | (area == most)) & (area > 0)
    touched = (area > 0) & (categories != ok_index)[..., None, None]
    target = torch.full((boxes.shape[0], *grid), ok_index, device=boxes.device)
    target[touched.any(1)] = UNDECIDED
    for label in range(int(categories.max()) if categories.numel() else -1, -1, -1):
        if label != ok_index:
            target[(claimed & (categories == label)[..., None, None]).any(1)] = label
    return target


def object_logits(patch_logits: Tensor, boxes: Tensor, patch_size: int) -> Tensor:
    """Average the patch logits over each box, weighted by overlap.

    Args:
        patch_logits, boxes: (B, K, h, w), and (B, M, 4) xyxy in px.
        patch_size: Patch size in px.

    Returns:
        (B, M, K); 0 for a box outside the picture.
    """
    down, across = overlap(boxes, (patch_logits.shape[2], patch_logits.shape[3]), patch_size)
    total = torch.einsum("bmh,bmw,bkhw->bmk", down, across, patch_logits)
    return total / (down.sum(2) * across.sum(2)).clamp(min=1e-6)[..., None]


def patch_loss(
    patch_logits: Tensor,
    boxes: Tensor,
    categories: Tensor,
    known: Tensor,
    ok_index: int,
    patch_size: int,
    total: Callable[[Tensor], Tensor] = lambda counts: counts,
) -> Tensor:
    """Compute the loss over objects plus the loss over patches, a scalar, for the pictures whose boxes are known.

    Args:
        patch_logits, boxes: (B, K, h, w), and (B, M, 4) xyxy in px.
        categories: (B, M) labels or `IGNORED`.
        known: (B,) bool: whether the boxes tell the true class of every patch of the picture.
        ok_index, patch_size: Label of OK, and patch size in px.
        total: Sums counts over all processes: see `balanced_cross_entropy`.
    """
    patch_logits, boxes, categories = patch_logits[known], boxes[known], categories[known]
    grid = (patch_logits.shape[2], patch_logits.shape[3])
    target = patch_targets(boxes, categories, ok_index, grid, patch_size)
    loss = balanced_cross_entropy(patch_logits.permute(0, 2, 3, 1).flatten(0, 2), target.flatten(), total)
    if boxes.shape[1]:
        logits = object_logits(patch_logits, boxes, patch_size).flatten(0, 1)
        labels = torch.where(categories == IGNORED, UNDECIDED, categories).flatten()
        loss = loss + balanced_cross_entropy(logits, labels, total)
    return loss
