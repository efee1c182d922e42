"""How well a map points at the truth: hits, energy in the defect's box, entropy; to compare with uninformed maps.

*Hit* (the pointing game): the peak's patch touches an NG box. *Energy ratio*: the share of the map inside the NG boxes
over their share of the area; 1 is what a flat map has. *Entropy*: 0 when all lies on one patch, 1 when it is flat.
*On pins*: the share inside the box around all positions. *On housing*: the share inside the housing's box but outside
that one; what is left lies on the background.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.core.split import IGNORED
from trainer.vit.patches import overlap


def coverage(boxes: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """Share of each patch (h, w) that boxes (M, 4) xyxy px cover; boxes that overlap count once at most."""
    if not len(boxes):
        return torch.zeros(grid)
    down, across = overlap(boxes, grid, patch)
    return ((down[:, :, None] * across[:, None, :]) / patch**2).sum(0).clamp(max=1)


def entropy(maps: Tensor) -> Tensor:
    """(B,) entropy of maps (B, h, w) that sum to 1, over that of a flat map."""
    flat = maps.flatten(1)
    return -(flat * flat.clamp(min=1e-12).log()).sum(1) / math.log(flat.shape[1])


def centre_map(grid: tuple[int, int]) -> Tensor:
    """A bell round the middle of the picture (h, w), a quarter of each side wide, summing to 1."""
    y, x = (torch.linspace(-1, 1, count) for count in grid)
    bell = torch.exp(-2 * (y[:, None] ** 2 + x[None, :] ** 2))
    return bell / bell.sum()


def scores(
    maps: Tensor,
    boxes: Tensor,
    categories: Tensor,
    labels: Tensor,
    ok: int,
    patch: int,
    housings: Tensor | None = None,
) -> list[dict[str, Any]]:
    """Each picture's scores; those that need a box that is not there are None.

    Args:
        maps: (B, h, w), each summing to 1.
        boxes: (B, M, 4) xyxy in px, empty where there is none.
        categories: (B, M) labels, `IGNORED` where hidden or none.
        labels: (B,) of the pictures.
        ok: Label of OK.
        patch: Patch size in px.
        housings: (B, 4) xyxy in px, 0 where the housing's box is not known.
    """
    grid = (maps.shape[1], maps.shape[2])
    spread = entropy(maps)
    rows = []
    for index, one in enumerate(maps):
        real = boxes[index, :, 2] > boxes[index, :, 0]
        ng = real & (categories[index] != ok) & (categories[index] != IGNORED)
        row: dict[str, Any] = {
            "ng": bool(labels[index] != ok),
            "entropy": float(spread[index]),
            "hit": None,
            "energy_ratio": None,
            "on_pins": None,
            "on_housing": None,
        }
        if real.any():
            low, high = boxes[index, real, :2].amin(0), boxes[index, real, 2:].amax(0)
            field = coverage(torch.cat([low, high])[None], grid, patch)
            row["on_pins"] = float((one * field).sum())
            if housings is not None and housings[index, 2] > housings[index, 0]:
                # Of a patch that both cover in part, what the housing has beyond the field of pins.
                ring = (coverage(housings[index][None], grid, patch) - field).clamp(min=0)
                row["on_housing"] = float((one * ring).sum())
        if ng.any():
            covered = coverage(boxes[index, ng], grid, patch)
            if float(covered.sum()) > 0:
                # A flat map has its peak everywhere: the hit is then the share of its peaks that touch a box.
                peak = one >= one.max() * (1 - 1e-6)
                row["hit"] = float((covered[peak] > 0).float().mean())
                row["energy_ratio"] = float((one * covered).sum() / covered.mean())
        rows.append(row)
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over pictures; `entropy_ok` and `entropy_ng` by the picture's label; None without any."""

    def mean(values: list[float]) -> float | None:
        return float(np.mean(values)) if values else None

    return {
        "ng_pictures": sum(row["hit"] is not None for row in rows),
        "hit": mean([row["hit"] for row in rows if row["hit"] is not None]),
        "energy_ratio": mean([row["energy_ratio"] for row in rows if row["energy_ratio"] is not None]),
        "on_pins": mean([row["on_pins"] for row in rows if row["on_pins"] is not None]),
        "on_housing": mean([row["on_housing"] for row in rows if row["on_housing"] is not None]),
        "entropy_ng": mean([row["entropy"] for row in rows if row["ng"]]),
        "entropy_ok": mean([row["entropy"] for row in rows if not row["ng"]]),
    }
