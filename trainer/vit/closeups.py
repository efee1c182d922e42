"""Close-ups: square cut-outs around single objects, all classes equally often.

In a picture of 27 pins one defect covers 1 % of the area, so a network that trains on whole pictures alone predicts OK
everywhere for hundreds of steps. Eight close-ups, each of a pin and its neighbours, take as long as one picture, and
two thirds of them are NG. With these the patches learn defects within a minute. Whole pictures afterwards teach the
patches without a defect, and how certain a verdict is. This works because nothing in the network depends on absolute
position or on statistics of the whole picture: attention uses distances, norms use single pixels.

The truth of a close-up stays right: boxes move with the pixels, and objects cut by its border are ignored.
"""

import torch
from torch import Tensor

from trainer.core.augmentation import Batch, cut, mirror, moved_pins, photometric, turn, with_points
from trainer.core.split import IGNORED, Split

JITTER_PX = 12  # so that pins lie anywhere relative to the patches, in a small close-up too
JITTER = 3 / 16  # of the side of a larger close-up
TURN_DEG = 4.0
ZOOM = 0.08
MARGIN_PX = 8  # cut larger and turned, then cut to size: no repeated border in the corners
MARGIN = 1 / 8  # of the side of a larger close-up
WHOLE = 0.8


def whole_inside(boxes: Tensor, size: int) -> Tensor:
    """Return (...) bool for boxes (..., 4): whether at least 80 % of each is in a close-up of `size` x `size` px.

    Boxes are xyxy in px from the close-up's left upper corner.
    """
    from torchvision.ops import box_area, clip_boxes_to_image

    flat = boxes.reshape(-1, 4)
    covered = box_area(clip_boxes_to_image(flat, (size, size)))
    enough: Tensor = covered >= WHOLE * box_area(flat)
    return enough.reshape(boxes.shape[:-1])


class CloseUps:
    """Cuts close-ups at random out of a split's pictures.

    Args:
        split, size: The training split, and the side of a close-up in px.
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
        """Whether close-ups can be used: they need objects of at least two classes."""
        return len(self._places) >= 2

    def draw(self, seeds: Tensor, augmented: bool) -> tuple[Batch, Tensor]:
        """Draw close-ups: first a class, then one of its objects as the centre.

        Args:
            seeds: (B,) from `example_seeds`, one for each close-up; B is at least 1.
            augmented: Whether to turn, zoom, mirror and change brightness; the position always varies.

        Returns:
            The batch, whose labels are the centre objects' classes; and (B,) each centre object's index among the boxes
            of its close-up.
        """
        pixels, boxes, pins, picked = [], [], [], []
        wide = self.size + 2 * self.margin
        for seed in seeds.tolist():
            generator = torch.Generator().manual_seed(seed)
            draw = torch.rand(13, generator=generator).tolist()
            places = self._places[int(draw[12] * len(self._places))]
            row, target = places[int(draw[0] * len(places))].tolist()
            x1, y1, x2, y2 = self.split.boxes[row, target].tolist()
            left = round((x1 + x2) / 2 - wide / 2 + self.jitter * (2 * draw[1] - 1))
            top = round((y1 + y2) / 2 - wide / 2 + self.jitter * (2 * draw[2] - 1))
            true_pins = self.split.pins_at(torch.tensor([row]))[0]
            known = with_points(self.split.boxes[row], true_pins)
            picture, moved = cut(self.split.pictures.one(row), known, left, top, (wide, wide))
            across = down = False
            picture = picture.float().div_(255)
            if augmented:
                if draw[3] < 0.5:
                    angle, zoom = TURN_DEG * (2 * draw[4] - 1), (1 + ZOOM) ** (2 * draw[5] - 1)
                    picture, moved = turn(picture, moved, angle, zoom)
                across, down = self.split.may_flip[row].tolist()
                across, down = across and draw[6] < 0.5, down and draw[7] < 0.5
                picture, moved = mirror(picture, moved, across, down)
                picture = photometric(picture, draw[8:12], generator)
            picture, moved = cut(picture, moved, self.margin, self.margin, (self.size, self.size))
            pixels.append(picture)
            boxes.append(moved[: len(known) - len(true_pins)])
            pins.append(moved_pins(true_pins, moved[len(boxes[-1]) :], across, down))
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
            pins=torch.stack(pins),
        )
        return batch, targets
