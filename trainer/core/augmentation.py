"""Data augmentation: random changes of training pictures that keep their labels true.

- *Shift* by whole px, at most 8 px, with all boxes inside the picture; at most 2 px if the boxes are not known. The
  border is repeated. A shift moves pins against the patch grid, which a fixed camera never does.
- *Turn and zoom* about the centre, at most 2 degrees and 4 %, for half of the pictures; only if all boxes are known and
  stay inside.
- *Mirror* left-right and up-down, each for half of the pictures for which `may_flip` allows it: nothing is printed on
  the housing, and the same camera could have taken the mirrored view.
- *Gain, offset, gamma* of the whole picture and sensor *noise*: a pin darker than its neighbours stays darker.

No crop, no erasing and no change of a single region: those can remove a defect or make one.

torchvision is imported inside functions: it takes seconds, and prediction does not need it.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from torchvision.tv_tensors import BoundingBoxes

# Cameras whose mirrored view is again a view of the same camera.
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
PIN_COLUMNS = 6


class Batch(NamedTuple):
    """A batch of B training pictures with their true labels and boxes.

    Args:
        pixels: (B, C, H, W) in [0, 1].
        labels: (B,) class labels; (B / views,) if an example has several views.
        boxes: (B, M, 4) xyxy in px of the picture, from its left upper corner; all 0 = no box.
        categories: (B, M) class labels of the boxes.
        boxes_known: (B,) bool: whether the boxes tell the true class of every patch of the picture.
        may_flip: (B, 2) bool: whether the picture may be mirrored left-right, and up-down.
        pins: (B, P, 6) pins: x, y in px of the tip, or of the foot of a missing pin; presence 1, or 0 for a missing
            pin (-1: unused entry); dx, dy and retraction in mm. P is 0 if pins are not trained on.
    """

    pixels: Tensor
    labels: Tensor
    boxes: Tensor
    categories: Tensor
    boxes_known: Tensor
    may_flip: Tensor
    pins: Tensor


def with_points(boxes: Tensor, pins: Tensor) -> Tensor:
    """Append the points of pins (P, 6) to boxes (M, 4), as boxes without area, so that both move with the pixels."""
    return torch.cat([boxes, pins[:, [0, 1, 0, 1]]])


def moved_pins(pins: Tensor, moved: Tensor, across: bool, down: bool) -> Tensor:
    """Return pins (P, 6) at their moved points; a mirrored picture shows mirrored displacements.

    Args:
        pins: (P, 6), before the picture was changed.
        moved: (P, 4) the points as boxes without area, from `with_points`, moved.
        across, down: Whether the picture was mirrored left-right, and up-down.
    """
    signs = pins.new_tensor([1, -1 if across else 1, -1 if down else 1, 1])
    return torch.cat([moved[:, :2], pins[:, 2:] * signs], 1)


def bounding_boxes(boxes: Tensor, pixels: Tensor) -> "BoundingBoxes":
    """Wrap boxes (M, 4) xyxy in px in torchvision's type; boxes may lie partly outside the picture (C, H, W)."""
    from torchvision.tv_tensors import BoundingBoxes

    return BoundingBoxes(boxes, format="XYXY", canvas_size=tuple(pixels.shape[1:]), clamping_mode=None)


def cut(pixels: Tensor, boxes: Tensor, left: int, top: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Cut a rectangle out of one picture, with its boxes; outside the picture the border is repeated.

    Args:
        pixels, boxes: (C, H, W), and (M, 4) xyxy in px.
        left, top: Left upper corner of the rectangle in px; may be negative.
        size: (W, H) of the rectangle in px; it must overlap the picture.

    Returns:
        Pixels (C, H, W) of the rectangle, and boxes (M, 4) in px from its left upper corner.
    """
    height, width = pixels.shape[1:]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + size[0], width), min(top + size[1], height)
    part = pixels[:, y1:y2, x1:x2]
    beyond = [x1 - left, y1 - top, left + size[0] - x2, top + size[1] - y2]
    if any(beyond):
        from torchvision.transforms.v2 import functional as v2

        part = v2.pad(part, beyond, padding_mode="edge")
    return part, boxes - boxes.new_tensor([left, top, left, top])


def shift(pixels: Tensor, boxes: Tensor, dx: int, dy: int) -> tuple[Tensor, Tensor]:
    """Move one picture (C, H, W) and its boxes (M, 4), xyxy, `dx` px right and `dy` px down; the border repeats."""
    return cut(pixels, boxes, -dx, -dy, (pixels.shape[2], pixels.shape[1]))


def mirror(pixels: Tensor, boxes: Tensor, across: bool, down: bool) -> tuple[Tensor, Tensor]:
    """Mirror one picture (C, H, W) and its boxes (M, 4), xyxy in px: left-right if `across`, up-down if `down`."""
    from torchvision.transforms.v2 import functional as v2

    moved = bounding_boxes(boxes, pixels)
    for flip in (v2.horizontal_flip,) * across + (v2.vertical_flip,) * down:
        pixels, moved = flip(pixels), flip(moved)
    return pixels, moved.as_subclass(Tensor)


def turn(pixels: Tensor, boxes: Tensor, angle_deg: float, zoom: float) -> tuple[Tensor, Tensor]:
    """Turn and enlarge one picture about its centre; a box becomes the box around its moved corners.

    Args:
        pixels, boxes: (C, H, W), and (M, 4) xyxy in px.
        angle_deg: Angle in degrees, clockwise on the screen.
        zoom: Scale factor; above 1 enlarges.

    Returns:
        Pixels (C, H, W), in which pixels from outside the picture repeat its border, and boxes (M, 4).
    """
    from torchvision.transforms.v2 import functional as v2

    height, width = pixels.shape[1:]
    cos, sin = math.cos(math.radians(angle_deg)) / zoom, math.sin(math.radians(angle_deg)) / zoom
    # v2.affine cannot repeat the border (decision 0008). Maps output to input, in units of half the picture:
    backward = torch.tensor([[[cos, sin * height / width, 0.0], [-sin * width / height, cos, 0.0]]])
    grid = F.affine_grid(backward, [1, *pixels.shape], align_corners=False)
    turned = F.grid_sample(pixels[None], grid, padding_mode="border", align_corners=False)[0]
    return turned, v2.affine(bounding_boxes(boxes, pixels), angle_deg, [0, 0], zoom, [0, 0]).as_subclass(Tensor)


def inside(boxes: Tensor, size: tuple[int, int]) -> bool:
    """Return whether all boxes (M, 4) xyxy lie inside a picture of `size` (W, H) px."""
    limits = boxes.new_tensor([*size, *size])
    return bool(((boxes >= 0) & (boxes <= limits)).all())


def photometric(pixels: Tensor, draw: Sequence[float], generator: torch.Generator) -> Tensor:
    """Change gamma, gain and offset of a whole picture and add sensor noise; returns (C, H, W) in [0, 1].

    Args:
        pixels: (C, H, W) in [0, 1].
        draw: Four random numbers in [0, 1): for gamma, gain, offset and amount of noise.
        generator: Source of the noise.
    """
    gamma = (1 + GAMMA) ** (2 * draw[0] - 1)
    # Not v2.adjust_gamma and gaussian_noise: they take three times as long and draw from the global generator, which
    # dropout uses in another thread meanwhile (decision 0008). In place: fresh memory costs as much as the arithmetic.
    changed = pixels.clamp(min=1e-6).log_().mul_(gamma).exp_()
    changed.mul_(1 + GAIN * (2 * draw[1] - 1)).add_(OFFSET * (2 * draw[2] - 1))
    noise = torch.randn(pixels.shape, generator=generator)
    return changed.add_(noise, alpha=NOISE * draw[3]).clamp_(0, 1)


def drawn_shift(boxes: Tensor, size: tuple[int, int], most: tuple[int, int], draw: Sequence[float]) -> tuple[int, int]:
    """Turn two random numbers into a shift (dx, dy), right and down in px, that keeps every box inside the picture.

    Args:
        boxes: (M, 4) xyxy in px; M may be 0.
        size: Picture size (W, H) in px.
        most: Largest |dx| and |dy| in px.
        draw: Two random numbers in [0, 1), for dx and dy.
    """
    drawn = []
    for axis in (0, 1):
        low = high = most[axis]
        if len(boxes):
            low = min(low, max(0, int(boxes[:, axis].min())))
            high = min(high, max(0, int(size[axis] - boxes[:, axis + 2].max())))
        drawn.append(int(draw[axis] * (low + high + 1)) - low)
    return drawn[0], drawn[1]


def example_seeds(count: int, generator: torch.Generator) -> Tensor:
    """Draw (count,) seeds, one per picture, so that a picture's augmentation depends on no other picture or process."""
    return torch.randint(2**62, (count,), generator=generator)


def augment(batch: Batch, seeds: Tensor) -> Batch:
    """Return a batch with every picture augmented from its own seed; boxes move with the pixels, labels stay.

    Args:
        batch: The batch, on the CPU.
        seeds: (B,) from `example_seeds`; empty: the batch is returned unchanged.
    """
    if len(seeds) == 0:
        return batch
    pixels, boxes, pins = [], [], []
    height, width = batch.pixels.shape[2:]
    real = batch.boxes[..., 2] > batch.boxes[..., 0]
    most_boxes = real.shape[1]
    for index, seed in enumerate(seeds.tolist()):
        generator = torch.Generator().manual_seed(seed)
        draw = torch.rand(11, generator=generator).tolist()
        picture, moved = batch.pixels[index], with_points(batch.boxes[index], batch.pins[index])
        shown = F.pad(real[index], (0, len(moved) - most_boxes))
        known = bool(batch.boxes_known[index]) and bool(shown.any())
        if known and draw[8] < 0.5:
            turned = turn(picture, moved, TURN_DEG * (2 * draw[9] - 1), (1 + ZOOM) ** (2 * draw[10] - 1))
            if inside(turned[1][shown], (width, height)):
                picture, moved = turned
        most, held = (SHIFT_PX, moved[shown]) if known else (BLIND_SHIFT_PX, moved[:0])
        picture, moved = shift(picture, moved, *drawn_shift(held, (width, height), (most, most), draw[:2]))
        across, down = batch.may_flip[index].tolist()
        across, down = across and draw[2] < 0.5, down and draw[3] < 0.5
        picture, moved = mirror(picture, moved, across, down)
        pixels.append(photometric(picture, draw[4:8], generator))
        boxes.append(moved[:most_boxes])
        pins.append(moved_pins(batch.pins[index], moved[most_boxes:], across, down))
    kept = torch.where(real[..., None], torch.stack(boxes), 0.0)
    return batch._replace(pixels=torch.stack(pixels), boxes=kept, pins=torch.stack(pins))
