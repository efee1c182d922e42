"""Close-ups: square cut-outs around single objects, each class as often as any other.

A picture of 27 pins has one defect, and 99 % of its area is none of it. A network that sees only whole pictures spends
hundreds of steps on saying OK everywhere. Eight close-ups, each a pin and its neighbours, two in three of them NG, cost
what one picture does, so the patches learn what a defect is within a minute; whole pictures then teach where to
expect none, and how sure a verdict is. It works because nothing in the network knows absolute places or
whole-picture statistics: attention sees distances, norms see one pixel.

A cut-out keeps the truth: boxes move with the pixels, and an object that is cut by the border teaches nothing.
"""

import torch
from torch import Tensor

from trainer.core.augmentation import Batch, mirror, photometric, turn
from trainer.core.split import IGNORED, Split

JITTER_PX = 12  # a pin has to meet the patches' grid everywhere, also in a small close-up
JITTER = 3 / 16  # of a larger side
TURN_DEG = 4.0
ZOOM = 0.08
MARGIN_PX = 8  # cut larger, then turned: no repeated border in the corners
MARGIN = 1 / 8  # of a larger side
WHOLE = 0.8


def cut(pixels: Tensor, boxes: Tensor, left: int, top: int, size: int) -> tuple[Tensor, Tensor]:
    """A square of one picture and its boxes; beyond the border the border is repeated.

    Args:
        pixels: (C, H, W).
        boxes: (M, 4) xyxy in px.
        left, top: Corner of the square in px; may be negative.
        size: Its side in px.

    Returns:
        (C, size, size) and (M, 4) in px of the square.
    """
    boxes = boxes - boxes.new_tensor([left, top, left, top])
    height, width = pixels.shape[1:]
    if left >= 0 and top >= 0 and left + size <= width and top + size <= height:
        return pixels[:, top : top + size, left : left + size], boxes
    rows = torch.arange(top, top + size).clamp(0, height - 1)
    columns = torch.arange(left, left + size).clamp(0, width - 1)
    return pixels.index_select(1, rows).index_select(2, columns), boxes


def whole_inside(boxes: Tensor, size: int) -> Tensor:
    """(M,) whether at least 80 % of each box's area lies in the square [0, size] x [0, size]."""
    inner = boxes.clamp(0, size)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    covered = (inner[:, 2] - inner[:, 0]) * (inner[:, 3] - inner[:, 1])
    return covered >= WHOLE * area


class CloseUps:
    """Draws close-ups from a split.

    Args:
        split: Training split.
        size: Side of a close-up in px.
        classes: Number of classes.
    """

    def __init__(self, split: Split, size: int, classes: int) -> None:
        self.split, self.size = split, size
        self.jitter = max(JITTER_PX, JITTER * size)
        self.margin = max(MARGIN_PX, round(MARGIN * size))
        usable = split.boxes_known[:, None] & (split.categories != IGNORED)
        places = [torch.nonzero(usable & (split.categories == label)) for label in range(classes)]
        self._places = [found for found in places if len(found)]

    def __bool__(self) -> bool:
        """Whether there are objects of two classes at least: less teaches no difference."""
        return len(self._places) >= 2

    def draw(self, seeds: Tensor, augmented: bool) -> tuple[Batch, Tensor]:
        """Draw close-ups, the centre object's class first, then one of its objects.

        Args:
            seeds: (B,) from `example_seeds`, one for each close-up; one at least.
            augmented: Whether to turn, zoom, mirror and change brightness too; the place is jittered always.

        Returns:
            The batch, its labels being the centre objects' classes, and (B,) the index of each centre object.
        """
        generators = [torch.Generator().manual_seed(seed) for seed in seeds.tolist()]
        draws = [torch.rand(13, generator=generator).tolist() for generator in generators]
        rows = []
        for draw in draws:
            places = self._places[int(draw[12] * len(self._places))]
            rows.append(places[int(draw[0] * len(places))].tolist())
        pixels, boxes, categories = [], [], []
        wide = self.size + 2 * self.margin
        for index, (row, target) in enumerate(rows):
            draw = draws[index]
            box = self.split.boxes[row, target]
            left, top = (
                round(float(box[axis] + box[axis + 2]) / 2 - wide / 2 + self.jitter * (2 * draw[1 + axis] - 1))
                for axis in (0, 1)
            )
            picture, moved = cut(self.split.pictures.one(row), self.split.boxes[row], left, top, wide)
            picture = picture.float().div_(255)
            if augmented:
                if draw[3] < 0.5:
                    angle, zoom = TURN_DEG * (2 * draw[4] - 1), (1 + ZOOM) ** (2 * draw[5] - 1)
                    picture, moved = turn(picture, moved, angle, zoom)
                across, down = self.split.may_flip[row].tolist()
                picture, moved = mirror(picture, moved, across and draw[6] < 0.5, down and draw[7] < 0.5)
                picture = photometric(picture, draw[8:12], generators[index])
            picture, moved = cut(picture, moved, self.margin, self.margin, self.size)
            labels = self.split.categories[row].clone()
            labels[~whole_inside(moved, self.size)] = IGNORED
            pixels.append(picture)
            boxes.append(moved)
            categories.append(labels)
        picked = torch.tensor(rows)
        batch = Batch(
            pixels=torch.stack(pixels),
            labels=self.split.categories[picked[:, 0], picked[:, 1]],
            boxes=torch.stack(boxes),
            categories=torch.stack(categories),
            boxes_known=torch.ones(len(seeds), dtype=torch.bool),
            may_flip=self.split.may_flip[picked[:, 0]],
        )
        return batch, picked[:, 1]
