"""Training pictures of a detector: the rows that train, and batches of these."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from trainer.core.console import say
from trainer.core.pin_measures import LACKING, padded, places, scale_of
from trainer.florence2.auxiliary_loss import Targets, cell_targets
from trainer.florence2.batches import Batch, Collator, Listed
from trainer.florence2.data import DetectionData, measures_of, position_shares, sample_of, training_rows
from trainer.florence2.drawn_texts import seeded, varied
from trainer.florence2.regions import NO_REGIONS, drawn_regions
from trainer.florence2.run import MOST_PINS, DetectionConfig
from trainer.florence2.samples import Sample, close_up, moved, overlay, shown
from trainer.vit.network.model import OK_CLASS

# Side of a close-up in px, and close-ups per picture: together a quarter of a picture of 256 x 128 px.
CLOSE_UP_PX = 64
CLOSE_UPS = 2
NO_GOOD_BOXES = (
    "the training pictures have no boxes of good pins: found boxes are not read again (--region-weight), their "
    "confidences come from the answers alone"
)


class Examples:
    """Chooses the rows of the training split to train on, and makes batches of them.

    Args:
        data: Splits `train` and `validation`.
        collator, config: What makes batches, and the settings of the training, which choose the rows.
        grid: Picture tokens (gw, gh) across and down the model's pictures.
        device: Device of the batches.

    Raises:
        InputError: The settings leave no row of the training split.
    """

    def __init__(
        self,
        data: DetectionData,
        collator: Collator,
        config: DetectionConfig,
        grid: tuple[int, int],
        device: torch.device,
    ) -> None:
        self.data, self.collator, self.config, self.grid, self.device = data, collator, config, grid, device
        self.cell = collator.size[0] // grid[0]
        self.ok = collator.classes.index(OK_CLASS)
        self.split = data.splits["train"]
        self.rows = training_rows(self.split, config.digits, config.digits_share, config.limit, config.seed)

    @cached_property
    def most_pins(self) -> int:
        """Largest number of boxes of pins in a training picture, at most `MOST_PINS`; 0 if no regions are learned.

        None are learned with --region-weight 0 or --scaffold 0, or if no training picture has the box of a good pin,
        which is printed: nothing would then teach that a box is no defect.
        """
        if not self.config.reads_regions:
            return 0
        shown = [self.split.truths[row].pins for row in self.rows]
        if not any(pin.label == OK_CLASS for pins in shown for pin in pins):
            say(NO_GOOD_BOXES)
            return 0
        most = max(map(len, shown))
        if most > MOST_PINS:
            say(f"a training picture has {most} boxes: a list of pins has at most {MOST_PINS} of them")
        return min(MOST_PINS, most)

    @cached_property
    def shares(self) -> dict[tuple[str, str], float] | None:
        """How often good pins teach, by scene and address, see `position_shares`; None without --balanced-positions."""
        if not self.config.balanced_positions:
            return None
        found = position_shares([self.split.truths[row] for row in self.rows])
        if not any(address for _, address in found):
            say("--balanced-positions has no effect: the dataset states no addresses of pins")
        else:
            never = sum(share == 0.0 for share in found.values())
            say(
                f"--balanced-positions: of {len(found)} positions, {never} are defective in no training picture; their "
                "good pins do not teach that they are good"
            )
        return found

    def measure_scale(self) -> Tensor | None:
        """Return (3,) the standard deviations in mm of the pins' dx, dy and retraction; None: none are learned.

        None are learned with --measure-weight 0 or --scaffold 0, or if the dataset states none, which is printed.
        """
        if not self.config.measure_weight or not self.config.scaffold:
            return None
        pins = padded([measures_of(self.split.truths[row], self.data.size) for row in self.rows])
        if not (pins[..., 2] == 1).any():
            say(LACKING)
            return None
        return scale_of(pins)

    def steps(self, processes: int = 1) -> int:
        """Return the number of optimizer steps in an epoch whose pictures are divided among `processes`."""
        return -(-len(self.rows) // (self.config.batch_size * self.config.accumulate * processes))

    def batch(
        self, rows: Sequence[int], generator: torch.Generator, close_ups: bool = False
    ) -> tuple[Batch, Targets | None]:
        """Make a batch of training pictures, and its targets of the auxiliary losses (None without these).

        The pictures are augmented, unless --no-augment is given.

        Args:
            rows: Rows of the training split.
            generator: Random generator of the augmentation.
            close_ups: Whether the batch has two close-ups (`CLOSE_UPS`) of each row in place of the whole picture.
        """
        samples = [self._sample(row, generator) for row in rows]
        size, grid = self.data.size, self.grid
        if close_ups:
            side = min(CLOSE_UP_PX, *size) // self.cell * self.cell
            samples = [
                close_up(sample, side, self.cell, generator, on_answer=k % 2 == 0)
                for sample in samples
                for k in range(CLOSE_UPS)
            ]
            size, grid = (side, side), (side // self.cell, side // self.cell)
        has_auxiliary = self.config.scaffold > 0
        some: Listed = "all" if self.most_pins else "good"
        listed = some if has_auxiliary else "none"
        batch = self.collator(samples, listed).to(self.device)
        if not has_auxiliary:
            return batch, None
        cells = cell_targets(samples, self.ok, grid, size)
        learned = self.most_pins > 0
        regions = drawn_regions(samples, self.ok, self.data.size, generator) if learned else NO_REGIONS
        found = (*cells, *places(_in_view(samples), size, self.cell), *regions)
        return batch, Targets(*(each.to(self.device) for each in found))

    def _sample(self, row: int, generator: torch.Generator) -> Sample:
        config, truth = self.config, self.split.truths[row]
        sample = sample_of(self.split, row, self.data.size, self.data.classes)
        if self.shares is not None:
            scene = truth.factors.get("scene", "")
            shares = [self.shares.get((scene, pin.address), 1.0) for pin in truth.pins]
            sample = sample._replace(shares=torch.tensor(shares))
        may_flip = truth.may_flip
        if config.digits == "overlaid" and torch.rand((), generator=generator) < config.digits_share:
            texts = [pin.cavity or pin.address for pin in truth.pins]
            sample = sample._replace(pixels=overlay(sample.pixels, sample.boxes, texts))
            may_flip = (False, False)
        if config.augment:
            sample = moved(sample, may_flip, generator)
        if config.digits == "varied" and torch.rand((), generator=generator) < config.digits_share:
            only_defects = bool(sample.in_answer.all())
            sample = sample._replace(pixels=varied(sample.pixels, sample.boxes, seeded(generator), not only_defects))
        return shown(sample) if config.augment else sample


def _in_view(samples: Sequence[Sample]) -> Tensor:
    """Return (B, P, 6) the pins with measures, with places in px of each sample's own picture or close-up."""
    pins = padded([sample.measures for sample in samples])
    pins[..., :2] -= torch.tensor([sample.offset for sample in samples])[:, None]
    return pins
