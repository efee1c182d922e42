"""Settings that follow the data: those that neither options nor --config give.

The number of epochs follows the number of training pictures, along trainings that were measured: about as many
pictures are shown for many different ones, fewer in all for few, so that a training ends within an hour or so.
"""

import math
from collections.abc import Container

import numpy as np
import torch

from trainer.core.base import is_base
from trainer.core.split import Split
from trainer.vit.run import TrainingConfig

# Training pictures and epochs: the last two as in measured trainings (docs/explanation/vit.md#measured), the others
# chosen so that fewer pictures do not mean as few steps. Between them the logarithms are interpolated.
EPOCHS = ((150, 120), (500, 60), (1500, 30), (4500, 12))
BASE_SHARE = 0.5
# A class with fewer examples than FEWEST is not drawn more often: the same few would be learned by heart.
UNEQUAL, FEWEST = 4, 20
MEASURE_WEIGHT = 1.0


def epochs_for(pictures: int, init: str = "") -> int:
    """Return the number of epochs for a number of training pictures: 120 for the smallest sets, 12 for the largest.

    A training that begins with the base (`init`: value of --init) needs half of them.
    """
    known, epochs = np.log(np.array(EPOCHS, float)).T
    share = BASE_SHARE if is_base(init) else 1.0
    return round(share * math.exp(np.interp(math.log(max(pictures, 1)), known, epochs)))


def fitted(
    settings: TrainingConfig, given: Container[str], split: Split, measures: bool
) -> tuple[TrainingConfig, tuple[str, ...]]:
    """Fit to the training data those settings of a new training that are not given.

    Args:
        settings: The settings, with defaults for those not given.
        given: Names of the settings that options give.
        split: The training split, with the rows that `--rows` keeps.
        measures: Whether it states the displacement of pins.

    Returns:
        The settings, and what was chosen and why, as sentences without full stop.
    """
    chosen: dict[str, int | float | bool] = {}
    said = []
    pictures = len(split) * split.views
    if "epochs" not in given:
        epochs = chosen["epochs"] = epochs_for(pictures, settings.init)
        because = f"because there are {pictures} training pictures" + (
            " and the base has learned much already" if is_base(settings.init) else ""
        )
        said.append(f"--epochs {epochs}, {because}: {epochs * pictures} are shown")
    counts = torch.bincount(split.labels)
    counts = counts[counts > 0]
    if "balanced" not in given and counts.max() > UNEQUAL * counts.min() >= UNEQUAL * FEWEST:
        chosen["balanced"] = True
        said.append(
            f"--balanced, because a class has {int(counts.min())} training examples, another {int(counts.max())}"
        )
    if "measure_weight" not in given and settings.patch_weight > 0 and measures:
        chosen["measure_weight"] = MEASURE_WEIGHT
        said.append(f"--measure-weight {MEASURE_WEIGHT:g}, because the dataset states the displacement of its pins")
    return settings.changed(chosen), tuple(said)
