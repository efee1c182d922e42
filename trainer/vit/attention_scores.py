"""Scores of attention maps against the true boxes: hit rate, energy ratio, entropy, shares on pins and housing.

*Hit* (pointing game): the patch with the highest value touches an NG box. *Energy ratio*: the map's share inside the NG
boxes divided by their share of the area; 1 for a flat map. *Entropy*: 0 for a map on one patch, 1 for a flat map.
*On pins*: the map's share inside the box around all positions. *On housing*: the map's share inside the housing's box,
but outside the box around all positions. The rest of the map lies on the background.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.core.split import IGNORED
from trainer.vit.patches import overlap


def coverage(boxes: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """Compute the share (h, w) of each patch that boxes (M, 4), xyxy in px, cover together, at most 1."""
    if not len(boxes):
        return torch.zeros(grid)
    down, across = overlap(boxes, grid, patch)
    return ((down[:, :, None] * across[:, None, :]) / patch**2).sum(0).clamp(max=1)


def entropy(maps: Tensor) -> Tensor:
    """Compute the entropy (B,) of maps (B, h, w) that sum to 1, divided by the entropy of a flat map."""
    flat = maps.flatten(1)
    return -(flat * flat.clamp(min=1e-12).log()).sum(1) / math.log(flat.shape[1])


def centre_map(grid: tuple[int, int]) -> Tensor:
    """Make a map (h, w) with the sum 1: a Gaussian in the middle, its standard deviation a quarter of each side."""
    y, x = (torch.linspace(-1, 1, count) for count in grid)
    bell = torch.exp(-2 * (y[:, None] ** 2 + x[None, :] ** 2))
    return bell / bell.sum()


def scores(
    maps: Tensor, boxes: Tensor, categories: Tensor, labels: Tensor, ok: int, patch: int, housings: Tensor | None = None
) -> list[dict[str, Any]]:
    """Compute the attention scores of each picture.

    Args:
        maps: (B, h, w), each summing to 1.
        boxes: (B, M, 4) xyxy in px; all 0 = no box.
        categories: (B, M) class labels of the boxes; `IGNORED` for a hidden object or no box.
        labels: (B,) class labels of the pictures.
        ok, patch: Label of OK, and patch size in px.
        housings: (B, 4) boxes of the housings, xyxy in px; all 0 = not known.

    Returns:
        For each picture a dict; each of its last four values is None if the box for it is missing:
        `ng`: whether the picture's class is not OK;
        `entropy`: entropy of the map, divided by that of a flat map;
        `hit`: share (0 or 1 with a single peak) of the map's peaks that touch a visible NG box;
        `energy_ratio`: mean of the map inside the NG boxes, divided by its mean over the picture;
        `on_pins`: share of the map in the box around all positions;
        `on_housing`: share of the map in the housing's box, but outside the box of `on_pins`.
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
                # A patch that both boxes cover in part counts with the difference of its covered shares.
                ring = (coverage(housings[index][None], grid, patch) - field).clamp(min=0)
                row["on_housing"] = float((one * ring).sum())
        if ng.any():
            covered = coverage(boxes[index, ng], grid, patch)
            if float(covered.sum()) > 0:
                # Of several equal peaks (a flat map) the hit is the share that touch a box.
                peak = one >= one.max() * (1 - 1e-6)
                row["hit"] = float((covered[peak] > 0).float().mean())
                row["energy_ratio"] = float((one * covered).sum() / covered.mean())
        rows.append(row)
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Average the scores of pictures, results of `scores`; a mean is None if no picture has the score.

    Returns:
        `ng_pictures`, number of pictures with a `hit`; means `hit`, `energy_ratio`, `on_pins`, `on_housing`;
        `entropy_ng` and `entropy_ok`, mean entropy of NG and of OK pictures.
    """

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
