"""Gates of a Florence-2 run (`trainer.core.gates`), limits beyond which a picture is INVALID, with image features."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from trainer.core import gates
from trainer.core.console import stage
from trainer.core.feature_watch import Watch
from trainer.florence2.batches import Collator
from trainer.florence2.data import DetectionSplit


def watch(model: Any) -> Watch:
    """Make a `Watch` that collects the vision tower's features of the pictures that the model gets."""

    def maps(output: Any) -> Tensor:
        found: Tensor = output.last_hidden_state  # (B, C, h, w)
        return found

    return Watch(model.model.vision_tower, maps)


def learn(run: Path, model: Any, collator: Collator, splits: Mapping[str, DetectionSplit]) -> None:
    """Learn from the splits `train` and `validation` beyond which limits a picture is INVALID; writes RUN/gates.*."""
    model.eval()
    tower = model.model.vision_tower

    def show(pixels: Tensor) -> None:
        tower(collator.inputs(pixels.float() / 255)["pixel_values"].to(model.device))

    pictures = {name: splits[name].pictures for name in gates.MOST}
    stage("learning which pictures can be judged")
    gates.learn(run, pictures, watch(model), show)
