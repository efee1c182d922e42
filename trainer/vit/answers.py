"""Output of a network for a split: logits, probabilities and labels of every picture, or part."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from trainer.core.console import Progress
from trainer.core.distributed import Share
from trainer.core.split import Split
from trainer.vit.network.model import ViT


@dataclass(frozen=True)
class Answers:
    """Output for N examples: logits and probabilities (N, K), predicted and true labels (N,), mean cross-entropy.

    Temperature and threshold are not applied: the predicted label is that of the most probable class.
    """

    logits: np.ndarray
    probabilities: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray
    loss: float


def answer(
    model: ViT, split: Split, batch_size: int = 16, share: Share | None = None, bar: bool = False, once: bool = False
) -> Answers:
    """Run the network on all examples of a split; processes divide the work, and each returns all examples' output.

    Args:
        model, split: The network, which is set to evaluation mode, and the split.
        batch_size: Examples (pictures, or parts) per batch.
        share: This process's share; None: there is one process.
        bar: Whether to show a progress bar.
        once: Whether to judge each picture at one place on the grid of patches only, whatever the configuration says.
    """
    share = share or Share()
    device = next(model.parameters()).device
    model.eval()
    own = share.own(len(split))
    logits = torch.zeros((len(split), len(model.config.classes)), device=device)
    what = "picture" if split.views == 1 else "part"
    with torch.inference_mode(), Progress("measuring", own.stop - own.start, what, hidden=not bar) as progress:
        for start in range(own.start, own.stop, batch_size):
            some = range(start, min(start + batch_size, own.stop))
            pixels = split.pixels(some).to(device).float() / 255
            logits[some.start : some.stop] = (model(pixels) if once else model.judged(pixels)).logits.float()
            progress.update(len(some))
    all_logits = share.total(logits).cpu()
    return Answers(
        logits=all_logits.numpy(),
        probabilities=all_logits.softmax(1).numpy(),
        predicted=all_logits.argmax(1).numpy(),
        truth=split.labels.numpy(),
        loss=float(F.cross_entropy(all_logits, split.labels)),
    )
