"""Forecast of a training's result, from measured learning curves (learning_curves.csv, by `studies.vit_learning`).

A curve holds trainings with different numbers of pictures, from random weights, from a run of other connectors
(--init RUN) or from the base (--init base, trained without the connector). All used pictures of 256 x 128 px of one
connector in scenes/, with defects of 0.5 to 3 times the tolerance, the default network and boxes, and were tested at
pins that training never shows defective. Of other kinds of training there is no forecast.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainer.core import base
from trainer.vit.network.model import ViTConfig
from trainer.vit.pretrained import is_checkpoint
from trainer.vit.run import TrainingConfig

CURVES = Path(__file__).with_name("learning_curves.csv")
SIZE = (256, 128)
CLASSES = 3
MEASURES = "--measure-weight"
ABOUT = 1.1  # so many times a number of pictures counts as the same number
# First weights, as the column `init` of the curves names them.
RANDOM, RUN, BASE = "random", "other connectors", "base"
_BEGUN = {RANDOM: "from random weights", RUN: "with --init, a run of other connectors,", BASE: "with --init base"}
WHERE = "docs/explanation/vit.md#forecast"


class Point(NamedTuple):
    """The trainings of a curve with one number of pictures.

    Args:
        pictures: Number of training pictures.
        share: Mean of the trainings' balanced accuracies (mean recall of three classes) on test pictures.
        low, high: Lowest and highest bound of the 95 % intervals of these balanced accuracies.
        epochs: Number of epochs of the trainings.
    """

    pictures: int
    share: float
    low: float
    high: float
    epochs: int


def _rank(row: Mapping[str, str]) -> tuple[bool, int]:
    return MEASURES in row["options"], int(row["epochs"])


@cache
def curve(init: str, taught: bool) -> tuple[Point, ...]:
    """Read the curve of trainings that begin with the weights `init`: RANDOM, RUN or BASE; by rising pictures.

    Of several trainings with equally many pictures, those with --measure-weight count if there are any and the new
    training has it (`taught`), and of these the ones with the most epochs. Then trainings without it that reached less
    than one with it and fewer pictures do not count.
    """
    with CURVES.open(encoding="utf-8", newline="") as file:
        every = [row for row in csv.DictReader(file) if row["init"] == init]
    rows = [row for row in every if taught or MEASURES not in row["options"]]
    found = list[Point]()
    for pictures in sorted({int(row["pictures"]) for row in rows}):
        own = [row for row in rows if int(row["pictures"]) == pictures]
        best = max(map(_rank, own))
        columns = ("balanced_accuracy", "low", "high")
        shares = np.array([[float(row[name]) for name in columns] for row in own if _rank(row) == best])
        share, low, high = shares[:, 0].mean().item(), shares[:, 1].min().item(), shares[:, 2].max().item()
        if taught and not best[0] and found and share < found[-1].share:
            continue  # without the option, more pictures reached less than fewer pictures with it
        found.append(Point(pictures, share, low, high, best[1]))
    return tuple(found)


def unmeasured(settings: TrainingConfig, network: ViTConfig, boxes: bool) -> str:
    """Return how a training differs from those of the curves, such as `--views`; empty if it does not."""
    usual = ViTConfig(("OK", "NG"), *SIZE)
    shape = ("patch_size", "dim", "depth", "stem")
    reasons = {
        f"{len(network.classes)} classes": len(network.classes) != CLASSES,
        "--no-augment": not settings.augment,
        f"pictures of {network.width} x {network.height} px": (network.width, network.height) != SIZE,
        "--views": bool(network.views),
        f"--input {settings.input}": settings.input != "image",
        "no boxes": not boxes or settings.patch_weight == 0,
        "another network": any(getattr(network, name) != getattr(usual, name) for name in shape),
        f"--init {settings.init}": bool(settings.init) and is_checkpoint(settings.init),
    }
    return ", ".join(text for text, is_so in reasons.items() if is_so)


def expected(pictures: int, points: Sequence[Point]) -> str:
    """Write what a number of training pictures reaches by a curve: an estimate with its range, or a limit."""
    below = [point for point in points if point.pictures <= ABOUT * pictures]
    above = [point for point in points if point.pictures >= pictures / ABOUT]
    if not below:
        return f"less than {points[0].share:.2f}"
    if not above:
        return f"at least about {points[-1].share:.2f}"
    known = np.log([point.pictures for point in points])
    share = float(np.interp(math.log(pictures), known, [point.share for point in points]))
    low, high = min(below[-1].low, above[0].low), max(below[-1].high, above[0].high)
    return f"about {share:.2f} ({low:.2f} to {high:.2f})"


def forecast(pictures: int, settings: TrainingConfig, network: ViTConfig, boxes: bool) -> str:
    """Write what to expect of a training, before it begins, or why nothing is known.

    Args:
        pictures: Number of training pictures.
        settings, network: The training's settings, with the epochs that fit into --time-limit, and its network.
        boxes: Whether training pictures have boxes.
    """
    if differs := unmeasured(settings, network, boxes):
        return f"none: no learning curve was measured for {differs} ({WHERE})"
    taught = settings.measure_weight > 0
    start = BASE if base.is_base(settings.init) else RUN if settings.init else RANDOM
    own = curve(start, taught)
    if not own:
        return f"none: no learning curve was measured {_BEGUN[start]} without {MEASURES} ({WHERE})"
    more = [f"{point.pictures} reached {point.share:.2f}" for point in own if point.pictures > ABOUT * pictures]
    text = f"{pictures} training pictures: expect a balanced accuracy of {expected(pictures, own)} on test pictures"
    text += f"; {', '.join(more)}" if more else ""
    for other, begun in _BEGUN.items():
        points = [point for point in curve(other, taught) if point.pictures >= pictures / ABOUT and other != start]
        reached = ", ".join(f"{point.pictures} reached {point.share:.2f}" for point in points)
        text += f"; {begun} {reached}" if points else ""
    nearest = min(own, key=lambda point: abs(math.log(point.pictures / pictures)))
    # More pictures need fewer epochs: what counts is how many pictures a training shows.
    needed = round(nearest.epochs * min(1.0, nearest.pictures / pictures))
    if settings.scheduled < needed:
        text += f". Only {settings.scheduled} of the {needed} epochs that were measured: expect less"
    return (
        f"{text}. By guessing: 0.33. Measured on renders of one connector, defects of 0.5 to 3 times the tolerance, "
        f"tested at other pins than trained; larger defects are easier ({WHERE})"
    )
