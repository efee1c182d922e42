"""Train a gauge in the loop of `trainer.core.loop`: supplies the crops, the loss and the validation after each epoch.

The best epoch has the lowest mean loss (distance and presence) on crops of validation pictures. The crops are cut where
a slightly wrong pose of the part would show pins and edges. The wrong poses are the same in every epoch.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from generator.locating.landmarks import pitch_mm
from trainer.core.distributed import Share
from trainer.core.loop import EpochScore, Schedule, Trained
from trainer.core.run_folder import Row
from trainer.core.time_limit import Cost, seconds_per_step
from trainer.gauge.batches import batch_of
from trainer.gauge.losses import across, loss, parts
from trainer.gauge.network import Batch, Found, GaugeNetwork
from trainer.gauge.picture import GaugeData, Picture
from trainer.gauge.run import GaugeConfig, TrainingConfig

_AHEAD = 3
# Validation after each epoch: at most so many pictures, all their pins and so many edge points.
_LOOKED_AT, _LOOKED_AT_EDGES = 48, 12
_SEED_OF_VALIDATION = 1_000_003


class Portion(NamedTuple):
    """The crops of one training step that this process computes; `total`: number of crops of all processes."""

    batch: Batch
    total: int


def build(
    shape: GaugeConfig, config: TrainingConfig, device: torch.device
) -> tuple[GaugeNetwork, torch.optim.Optimizer]:
    """Make a network of this `shape`, its random weights drawn by the seed in `config`, and its AdamW optimizer."""
    torch.manual_seed(config.seed)
    network = GaugeNetwork(shape.side, shape.width).to(device)
    decayed = [p for p in network.parameters() if p.dim() > 1]
    plain = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return network, torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.99), fused=True)


class GaugeTrainee:
    """A gauge in training, with the methods that the training loop calls (`trainer.core.loop.Trainee`).

    Args:
        data: the dataset; its splits `train` and `validation` are used.
        network, optimizer: what `build` made.
        config: the training's settings.
        share: which part of each step's crops this process computes.
    """

    def __init__(
        self,
        data: GaugeData,
        network: GaugeNetwork,
        optimizer: torch.optim.Optimizer,
        config: TrainingConfig,
        share: Share,
    ) -> None:
        self.data, self.network, self.optimizer, self.share = data, network, optimizer, share
        self.device = next(network.parameters()).device
        self.pitches = {key: pitch_mm(drawing) for key, drawing in data.connectors.items()}
        self.train, self.validation = data.splits["train"], _spread(data.splits["validation"], _LOOKED_AT)
        self.adopt(config)
        self._sums = torch.zeros(4, device=self.device)

    def adopt(self, config: TrainingConfig) -> None:
        """Set the settings; `time_limit.shorten_to_limit` calls it once more, with fewer epochs."""
        self.config = config
        self.schedule = Schedule.of(config)

    def steps(self, epoch: int) -> int:
        """Return the number of steps of an epoch: training pictures divided by pictures per step, rounded up."""
        return -(-len(self.train) // self.config.pictures)

    def batches(self, epoch: int) -> Iterator[Sequence[Portion]]:
        """Yield for each step of an epoch a list with one `Portion`; a background thread cuts the crops in advance."""
        self.network.train()
        self._sums = torch.zeros(4, device=self.device)
        order = np.random.default_rng([self.config.seed, epoch]).permutation(len(self.train))
        counts = self.config.pins, self.config.edges
        with ThreadPoolExecutor(1, "crops") as pool:
            waiting: deque[object] = deque()
            steps = iter(range(self.steps(epoch)))
            while True:
                while len(waiting) < _AHEAD and (step := next(steps, None)) is not None:
                    chosen = order[step * self.config.pictures : (step + 1) * self.config.pictures]
                    waiting.append(pool.submit(self._portion, chosen, counts, [self.config.seed, epoch, step]))
                if not waiting:
                    return
                yield [waiting.popleft().result()]  # type: ignore[attr-defined]

    def _portion(self, chosen: np.ndarray, counts: tuple[int, int], seed: Sequence[int]) -> Portion:
        """Make the crops of some training pictures; every process makes those of its own pictures.

        Each picture has a random generator of its own, so that its crops do not depend on the number of processes.
        """
        own = range(len(chosen))[self.share.own(len(chosen))]
        count = sum(min(counts[0], self._pins(index)) + min(counts[1], self._edges(index)) for index in chosen)
        made = [
            batch_of(
                [self.train[chosen[place]]],
                self.data.queries,
                self.pitches,
                self.network.side,
                counts,
                np.random.default_rng([*seed, place]),
                self.config.augment,
            )
            for place in own
        ]
        joined = Batch(*(torch.cat(each) for each in zip(*made, strict=True)))
        numbers = torch.cat([each.pictures + number for number, each in enumerate(made)])
        return Portion(joined._replace(pictures=numbers), count)

    def _pins(self, index: int) -> int:
        return self.data.queries[self.train[index].key].pins

    def _edges(self, index: int) -> int:
        found = self.data.queries[self.train[index].key]
        return len(found.kinds) - found.pins

    def _answer(self, batch: Batch) -> tuple[Found, Batch]:
        batch = Batch(*(each.to(self.device) for each in batch))
        crops = batch.crops.contiguous(memory_format=torch.channels_last)
        with self.share.accelerator.autocast():
            return self.network(crops, batch.marks, batch.besides, batch.kinds), batch

    def backward(self, batch: Portion, batches_per_step: int) -> None:
        """Add the gradient of a portion's loss, divided by `batch.total` and by the step's number of portions."""
        found, truth = self._answer(batch.batch)
        value = loss(found, truth) / batch.total
        self.share.accelerator.backward(value / batches_per_step)
        with torch.no_grad():
            self._sums[0] += value / batches_per_step
            self._sums[1:] += torch.stack(_tip_errors(found, truth))

    def trained(self, epoch: int, how: Trained) -> Row:
        """Return `lr`, `train_loss`, `gradient_norm`, `train_tip_px` (root mean square error of tips per axis, px)."""
        sums = self.share.total(self._sums)
        return {
            "lr": how.lr,
            "train_loss": float(sums[0]) / self.steps(epoch),
            "gradient_norm": how.gradient_norm,
            "train_tip_px": float((sums[1] / sums[2].clamp(min=1)).sqrt()),
        }

    def is_due(self, epoch: int) -> bool:
        """Return True: every epoch is followed by a measurement on validation."""
        return True

    def measure(self, epoch: int) -> EpochScore:
        """Validate on up to 48 pictures: loss (score: -loss), px errors (tips, edges), share of right presence."""
        self.network.eval()
        source = np.random.default_rng([_SEED_OF_VALIDATION, self.config.seed])
        sums, edges, lost, count = np.zeros(3), np.zeros(2), 0.0, 0
        for first in range(0, len(self.validation), self.config.pictures):
            shown = self.validation[first : first + self.config.pictures]
            counts = (1_000, _LOOKED_AT_EDGES)
            side = self.network.side
            with torch.inference_mode():
                batch = batch_of(shown, self.data.queries, self.pitches, side, counts, source, False)
                found, truth = self._answer(batch)
                distance, _, presence = parts(found, truth)
                lost, count = lost + float((distance + presence).sum()), count + len(distance)
                sums += [float(each) for each in _tip_errors(found, truth)]
                off = across(found.points[:, 0] - truth.truth[:, 0], truth)[truth.present < 0]
                edges += [float(off.square().sum()), len(off)]
        row: Row = {
            "val_loss": lost / max(1, count),
            "val_tip_px": float(np.sqrt(sums[0] / max(1.0, sums[1]))),
            "val_edge_px": float(np.sqrt(edges[0] / edges[1])) if edges[1] else None,
            "val_presence": float(sums[2] / max(1.0, sums[1])),
        }
        return EpochScore(row, (-lost / max(1, count),))

    def unmeasured(self) -> Row:
        """Return an empty row for metrics.csv; this training measures every epoch."""
        return {}

    def cost(self) -> Cost:
        """Estimate by a trial the seconds of an epoch, and of what follows the last one (calibration, measurement)."""
        step = seconds_per_step(self, 1)
        began = time.monotonic()
        self.measure(0)
        measured = time.monotonic() - began
        pictures = sum(len(each) for name, each in self.data.splits.items() if name != "train")
        return Cost(0.0, step * self.steps(1) + measured, 2.5 * measured * pictures / max(1, len(self.validation)) + 10)

    def weights(self) -> dict[str, Tensor]:
        """Return copies of all tensors of the network, by name."""
        return {name: tensor.clone() for name, tensor in self.network.state_dict().items()}

    def keep(self, run: Path, row: Row, is_best: bool) -> None:
        """Write nothing: a gauge has no files of its own after an epoch."""

    def warnings(self, rows: Sequence[Row]) -> list[str]:
        """Return no warnings: a gauge's training gives none."""
        return []


def _spread(pictures: Sequence[Picture], most: int) -> list[Picture]:
    """At most `most` pictures, spread evenly over the split."""
    return [pictures[index] for index in np.unique(np.linspace(0, len(pictures) - 1, most).astype(int))]


def _tip_errors(found: Found, truth: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the squared errors of tips per axis in px, number of tips, and number of pins whose presence is right."""
    is_there, is_pin = truth.present == 1, truth.present >= 0
    errors = (found.points - truth.truth)[is_there][:, 0]
    right = ((found.present > 0) == is_there)[is_pin]
    return errors.square().sum() / 2, is_there.sum().float(), right.sum() * is_there.sum() / is_pin.sum().clamp(min=1)
