"""Gates of a ViT's run: limits on a picture and its patch features, beyond which it is INVALID (`core.gates`)."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from trainer.core import gates
from trainer.core.feature_watch import Watch
from trainer.core.split import Split
from trainer.vit.network.model import ViT


def watch(model: ViT) -> Watch:
    """Make a `Watch` that collects the patch features (after the last norm) of the pictures that a network gets."""
    rows, columns = model.config.grid

    def maps(tokens: Tensor) -> Tensor:  # (B, h * w + registers, dim)
        patches = tokens[:, : rows * columns].transpose(1, 2)
        return patches.reshape(len(tokens), -1, rows, columns)

    return Watch(model.features, maps)


def learn(run: Path, model: ViT, splits: Mapping[str, Split]) -> None:
    """Learn from the splits `train` and `validation` beyond which limits a picture is INVALID; writes RUN/gates.*."""
    model.eval()
    device = next(model.parameters()).device

    def show(pixels: Tensor) -> None:
        model(pixels.to(device).float() / 255)

    pictures = {name: splits[name].pictures for name in gates.MOST}
    gates.learn(run, pictures, watch(model), show)
