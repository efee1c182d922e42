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

from trainer.core.augmentation import Batch, cut, mirror, photometric, turn
from trainer.core.split import IGNORED, Split

JITTER_PX = 12  # a pin has to meet the patches' grid everywhere, also in a small close-up
JITTER = 3 / 16  # of a larger side
TURN_DEG = 4.0
ZOOM = 0.08
MARGIN_PX = 8  # cut larger, then turned: no repeated border in the corners
MARGIN = 1 / 8  # of a larger side
WHOLE = 0.8


def whole_inside(boxes: Tensor, size: int) -> Tensor:
    """(...) whether at least 80 % of the area of each box (..., 4) lies in the square [0, size] x [0, size]."""
    from torchvision.ops import box_area, clip_boxes_to_image

    flat = boxes.reshape(-1, 4)
    covered = box_area(clip_boxes_to_image(flat, (size, size)))
    enough: Tensor = covered >= WHOLE * box_area(flat)
    return enough.reshape(boxes.shape[:-1])


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
        pixels, boxes, picked = [], [], []
        wide = self.size + 2 * self.margin
        for seed in seeds.tolist():
            generator = torch.Generator().manual_seed(seed)
            draw = torch.rand(13, generator=generator).tolist()
            places = self._places[int(draw[12] * len(self._places))]
            row, target = places[int(draw[0] * len(places))].tolist()
            x1, y1, x2, y2 = self.split.boxes[row, target].tolist()
            left = round((x1 + x2) / 2 - wide / 2 + self.jitter * (2 * draw[1] - 1))
            top = round((y1 + y2) / 2 - wide / 2 + self.jitter * (2 * draw[2] - 1))
            picture, moved = cut(self.split.pictures.one(row), self.split.boxes[row], left, top, (wide, wide))
            picture = picture.float().div_(255)
            if augmented:
                if draw[3] < 0.5:
                    angle, zoom = TURN_DEG * (2 * draw[4] - 1), (1 + ZOOM) ** (2 * draw[5] - 1)
                    picture, moved = turn(picture, moved, angle, zoom)
                across, down = self.split.may_flip[row].tolist()
                picture, moved = mirror(picture, moved, across and draw[6] < 0.5, down and draw[7] < 0.5)
                picture = photometric(picture, draw[8:12], generator)
            picture, moved = cut(picture, moved, self.margin, self.margin, (self.size, self.size))
            pixels.append(picture)
            boxes.append(moved)
            picked.append((row, target))
        rows, targets = torch.tensor(picked).unbind(1)
        shown = torch.stack(boxes)
        batch = Batch(
            pixels=torch.stack(pixels),
            labels=self.split.categories[rows, targets],
            boxes=shown,
            categories=torch.where(whole_inside(shown, self.size), self.split.categories[rows], IGNORED),
            boxes_known=torch.ones(len(seeds), dtype=torch.bool),
            may_flip=self.split.may_flip[rows],
        )
        return batch, targets
