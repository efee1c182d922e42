"""One training picture with its boxes, and its augmentation: shift, turn, mirror, light, close-up, drawn text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from trainer.core.augmentation import (
    TURN_DEG,
    drawn_shift,
    inside,
    mirror,
    moved_pins,
    photometric,
    shift,
    turn,
    with_points,
)
from trainer.core.pin_measures import NONE

# Largest shift as shares of width and height: about a pitch, so that position in the picture does not identify a pin.
REACH = (0.12, 0.3)
ZOOM = 0.12


def overlay(pixels: Tensor, boxes: Tensor, texts: Sequence[str]) -> Tensor:
    """Draw a text, such as the cavity number, above each box; returns new pixels (3, H, W).

    Args:
        pixels: (3, H, W) in [0, 1].
        boxes, texts: (M, 4) xyxy in px, and one text per box.
    """
    picture = Image.fromarray((pixels.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy())
    draw = ImageDraw.Draw(picture)
    size = max(7.0, pixels.shape[1] / 16)
    font = ImageFont.load_default(size=size)
    for (x1, y1, x2, _), text in zip(boxes.tolist(), texts, strict=True):
        draw.text(((x1 + x2) / 2, y1 - 1), text, fill=(255, 255, 255), font=font, anchor="md")
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255


class Sample(NamedTuple):
    """One picture as the network gets it, or a close-up of the picture.

    Args:
        pixels: (3, H, W) in [0, 1].
        boxes: (P, 4) boxes of the P pins that are shown, xyxy in px of the whole picture at the network's size.
        categories: (P,) indices of the pins' classes.
        in_answer: (P,) whether the answer names the pin.
        rows: (P,) the pin's row in the connector, from 1; 0 for a pin without address.
        offset: x and y, in px, of a close-up's left upper corner in the whole picture.
        measures: (Q, 6) places and displacements of the Q pins that state them, as `augmentation.Batch.pins`; places
            in px of the whole picture at the network's size.
        shares: (P,) shares in [0, 1] of the epochs in which a good pin teaches that it is good, from
            `data.position_shares`; None: every good pin always does.
    """

    pixels: Tensor
    boxes: Tensor
    categories: Tensor
    in_answer: Tensor
    rows: Tensor
    offset: tuple[int, int] = (0, 0)
    measures: Tensor = NONE
    shares: Tensor | None = None

    def kept(self, which: Tensor) -> "Sample":
        """Return the same picture with only those pins that `which` (P,) bool selects."""
        return self._replace(
            boxes=self.boxes[which],
            categories=self.categories[which],
            in_answer=self.in_answer[which],
            rows=self.rows[which],
            shares=None if self.shares is None else self.shares[which],
        )


def moved(sample: Sample, may_flip: tuple[bool, bool], generator: torch.Generator) -> Sample:
    """Shift, turn, zoom, mirror and relight a picture at random; defective pins stay whole inside it.

    Args:
        sample: A picture and its pins.
        may_flip: Whether the picture may be mirrored left-right, and whether up-down.

    Returns:
        The changed picture, of equal size, with the moved pins, also those that moved outside: see `shown`.
    """
    pixels, in_answer, count = sample.pixels, sample.in_answer, len(sample.boxes)
    boxes = with_points(sample.boxes, sample.measures)
    height, width = pixels.shape[1:]
    draw = torch.rand(12, generator=generator).tolist()
    if draw[0] < 0.6:
        turned = turn(pixels, boxes, TURN_DEG * (2 * draw[1] - 1), (1 + ZOOM) ** (2 * draw[2] - 1))
        if inside(turned[1][:count][in_answer], (width, height)):
            pixels, boxes = turned
    most = (int(REACH[0] * width), int(REACH[1] * height))
    pixels, boxes = shift(pixels, boxes, *drawn_shift(boxes[:count][in_answer], (width, height), most, draw[3:5]))
    across, down = may_flip[0] and draw[5] < 0.5, may_flip[1] and draw[6] < 0.5
    pixels, boxes = mirror(pixels, boxes, across, down)
    return sample._replace(
        pixels=photometric(pixels, draw[7:11], generator),
        boxes=boxes[:count],
        measures=moved_pins(sample.measures, boxes[count:], across, down),
    )


def shown(sample: Sample) -> Sample:
    """Return a moved picture without the good pins whose centre lies outside."""
    height, width = sample.pixels.shape[1:]
    centres = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2
    return sample.kept(((centres >= 0) & (centres <= sample.boxes.new_tensor([width, height]))).all(1))


def close_up(sample: Sample, side: int, stride: int, generator: torch.Generator, on_answer: bool) -> Sample:
    """Cut a random square, with the pins whose boxes' centres are in it, out of a picture.

    Args:
        sample: A whole picture; boxes stay in px of this picture.
        side: Side of the square in px, a multiple of `stride`, at most the picture's width and height.
        stride: px per picture token; the square's left upper corner lies on multiples of it.
        on_answer: Whether to aim at a box of the answer, if there is one.
    """
    height, width = sample.pixels.shape[1:]
    answer = sample.boxes[sample.in_answer]
    best: tuple[int, int, int] | None = None
    for _ in range(4):
        draw = torch.rand(3, generator=generator)
        room = torch.tensor([width - side, height - side])
        if on_answer and len(answer):
            box = answer[int(draw[2] * len(answer))]
            corner = (box[:2] + box[2:]) / 2 - side * (0.2 + 0.6 * draw[:2])
        else:
            corner = draw[:2] * (room + stride)
        corner = (corner / stride).floor().long() * stride
        x, y = (int(corner[axis].clamp(0, int(room[axis]) // stride * stride)) for axis in (0, 1))
        # Prefer squares that cut through no defect: half a defect can be neither named nor left out of the answer.
        low, high = answer.new_tensor([x, y]), answer.new_tensor([x + side, y + side])
        touches = ((answer[:, 2:] > low) & (answer[:, :2] < high)).all(1)
        whole = ((answer[:, :2] >= low) & (answer[:, 2:] <= high)).all(1)
        cut = int((touches & ~whole).sum())
        if best is None or cut < best[0]:
            best = cut, x, y
        if not cut:
            break
    assert best is not None
    _, x, y = best
    centres = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2
    corner = centres.new_tensor([x, y])
    shown = ((centres >= corner) & (centres < corner + side)).all(1)
    return sample._replace(pixels=sample.pixels[:, y : y + side, x : x + side], offset=(x, y)).kept(shown)
