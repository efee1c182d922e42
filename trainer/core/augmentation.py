"""Changes of a training picture that cannot falsify its label.

- *Shift* by whole px, the border repeated; never so far that a box would leave the picture, and only a little where
  boxes are not known. It also moves pins against the patch grid, which a fixed camera never does.
- *Turn and zoom* by a little about the centre, half of the pictures, only where boxes are known and stay inside.
- *Mirror* left-right and up-down, only where the row says that nothing is printed and the mirrored view is one that the
  camera could have taken (`may_flip`).
- *Gain, offset, gamma* of the whole picture and sensor *noise*: one pin darker than its neighbours stays darker.

No crops, no erasing, no single-region changes: those can remove a defect or make one.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Cameras whose view is again one of the same camera when mirrored.
LEFT_RIGHT = ("center", "top", "bottom")
UP_DOWN = ("center", "left", "right")
SHIFT_PX = 8
BLIND_SHIFT_PX = 2
TURN_DEG = 2.0
ZOOM = 0.04
GAIN = 0.2
OFFSET = 0.04
GAMMA = 0.2
NOISE = 0.02
CORNERS = torch.tensor([[0, 1], [2, 1], [0, 3], [2, 3]])  # x and y of each corner among xyxy


class Batch(NamedTuple):
    """Training pictures with their truth.

    Args:
        pixels: (B, C, H, W) in [0, 1].
        labels: (B,); of several pictures per example one for each example.
        boxes: (B, M, 4) xyxy in px.
        categories: (B, M).
        boxes_known: (B,).
        may_flip: (B, 2), left-right and up-down.
    """

    pixels: Tensor
    labels: Tensor
    boxes: Tensor
    categories: Tensor
    boxes_known: Tensor
    may_flip: Tensor


def shift(pixels: Tensor, boxes: Tensor, dx: int, dy: int) -> tuple[Tensor, Tensor]:
    """Move one picture and its boxes by whole px, to the right and down; the border is repeated.

    Args:
        pixels: (C, H, W).
        boxes: (M, 4) xyxy in px.
        dx, dy: Shift in px.
    """
    height, width = pixels.shape[1:]
    moved = F.pad(pixels[None], (max(dx, 0), max(-dx, 0), max(dy, 0), max(-dy, 0)), mode="replicate")[0]
    left, top = max(-dx, 0), max(-dy, 0)
    return moved[:, top : top + height, left : left + width], boxes + boxes.new_tensor([dx, dy, dx, dy])


def mirror(pixels: Tensor, boxes: Tensor, across: bool, down: bool) -> tuple[Tensor, Tensor]:
    """Mirror one picture and its boxes left-right (`across`) and up-down (`down`)."""
    height, width = pixels.shape[1:]
    if across:
        pixels = pixels.flip(2)
        boxes = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    if down:
        pixels = pixels.flip(1)
        boxes = torch.stack([boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]], dim=1)
    return pixels, boxes


def turn(pixels: Tensor, boxes: Tensor, angle_deg: float, zoom: float) -> tuple[Tensor, Tensor]:
    """Turn and enlarge one picture about its centre; a box becomes the box around its moved corners.

    Args:
        pixels: (C, H, W).
        boxes: (M, 4) xyxy in px.
        angle_deg: Clockwise on the screen.
        zoom: Factor; above 1 enlarges. The border is repeated where the picture shrinks.
    """
    height, width = pixels.shape[1:]
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    # affine_grid wants output -> input in units of half the picture: edge convention, as the boxes.
    aspect = height / width
    backward = torch.tensor([[[cos / zoom, sin / zoom * aspect, 0.0], [-sin / zoom / aspect, cos / zoom, 0.0]]])
    grid = F.affine_grid(backward, [1, *pixels.shape], align_corners=False)
    moved = F.grid_sample(pixels[None], grid, padding_mode="border", align_corners=False)[0]
    forward = zoom * torch.tensor([[cos, sin], [-sin, cos]])  # px about the centre, y down; from the right
    half = torch.tensor([width / 2, height / 2])
    corners = (boxes[:, CORNERS] - half) @ forward + half  # (M, 4, 2)
    return moved, torch.cat([corners.amin(1), corners.amax(1)], dim=1)


def inside(boxes: Tensor, size: tuple[int, int]) -> bool:
    """Whether all boxes (M, 4) lie inside a picture of `size` (W, H) px."""
    limits = boxes.new_tensor([*size, *size])
    return bool(((boxes >= 0) & (boxes <= limits)).all())


def photometric(pixels: Tensor, draw: Sequence[float], generator: torch.Generator) -> Tensor:
    """Change gamma, gain and offset of a whole picture and add sensor noise.

    Args:
        pixels: (C, H, W) in [0, 1].
        draw: Four numbers in [0, 1): gamma, gain, offset, amount of noise.
        generator: Source of the noise.
    """
    gamma = (1 + GAMMA) ** (2 * draw[0] - 1)
    # In place: fresh memory costs as much as the arithmetic, and a power by logarithms a fifth of `pow`.
    changed = pixels.clamp(min=1e-6).log_().mul_(gamma).exp_()
    changed.mul_(1 + GAIN * (2 * draw[1] - 1)).add_(OFFSET * (2 * draw[2] - 1))
    noise = torch.randn(pixels.shape, generator=generator)
    return changed.add_(noise, alpha=NOISE * draw[3]).clamp_(0, 1)


def shift_range(boxes: Tensor, size: tuple[int, int], reach: int = SHIFT_PX) -> tuple[int, int, int, int]:
    """Shifts that keep every box inside the picture: lowest and highest dx, lowest and highest dy, in px.

    Args:
        boxes: (M, 4) xyxy in px; M may be 0.
        size: (W, H) in px.
        reach: Largest shift in px where boxes are given.
    """
    if len(boxes) == 0:
        return -BLIND_SHIFT_PX, BLIND_SHIFT_PX, -BLIND_SHIFT_PX, BLIND_SHIFT_PX
    limits = []
    for axis in (0, 1):
        low = -min(reach, max(0, int(boxes[:, axis].min())))
        high = min(reach, max(0, int(size[axis] - boxes[:, axis + 2].max())))
        limits += [low, high]
    return limits[0], limits[1], limits[2], limits[3]


def example_seeds(count: int, generator: torch.Generator) -> Tensor:
    """A seed (count,) for each example of a batch: what it becomes depends on no other, nor on who makes it."""
    return torch.randint(2**62, (count,), generator=generator)


def augment(batch: Batch, seeds: Tensor) -> Batch:
    """Change every picture of a batch by its own draws; the labels stay, the boxes move.

    Args:
        batch: The batch, on the CPU.
        seeds: (B,) from `example_seeds`.
    """
    if len(seeds) == 0:
        return batch
    pixels, boxes = [], []
    height, width = batch.pixels.shape[2:]
    for index, seed in enumerate(seeds.tolist()):
        generator = torch.Generator().manual_seed(seed)
        draw = torch.rand(11, generator=generator).tolist()
        real = batch.boxes[index, :, 2] > batch.boxes[index, :, 0]
        picture, moved = batch.pixels[index], batch.boxes[index]
        known = bool(batch.boxes_known[index]) and bool(real.any())
        if known and draw[8] < 0.5:
            turned = turn(picture, moved, TURN_DEG * (2 * draw[9] - 1), (1 + ZOOM) ** (2 * draw[10] - 1))
            if inside(turned[1][real], (width, height)):
                picture, moved = turned
        x_low, x_high, y_low, y_high = shift_range(moved[real] if known else moved[:0], (width, height))
        dx = x_low + int(draw[0] * (x_high - x_low + 1))
        dy = y_low + int(draw[1] * (y_high - y_low + 1))
        picture, moved = shift(picture, moved, dx, dy)
        across, down = batch.may_flip[index].tolist()
        picture, moved = mirror(picture, moved, across and draw[2] < 0.5, down and draw[3] < 0.5)
        pixels.append(photometric(picture, draw[4:8], generator))
        boxes.append(torch.where(real[:, None], moved, 0.0))
    return batch._replace(pixels=torch.stack(pixels), boxes=torch.stack(boxes))
