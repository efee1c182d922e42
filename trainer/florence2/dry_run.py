"""`--dry-run`: one forward pass, to print tensor shapes, numbers of pictures and steps, and memory of a step."""

from typing import Any

import torch

from trainer.core.console import say
from trainer.florence2.auxiliary_loss import grid_of
from trainer.florence2.batches import Collator
from trainer.florence2.data import DetectionData
from trainer.florence2.examples import Examples
from trainer.florence2.losses import DetectionLosses
from trainer.florence2.network import bytes_needed
from trainer.florence2.run import DetectionConfig


def dry_run(data: DetectionData, model: Any, collator: Collator, settings: DetectionConfig) -> None:
    """Print tensor shapes, numbers of training pictures and steps, and estimated memory of this training."""
    examples = Examples(data, collator, settings, grid_of(model, collator.size), torch.device("cpu"))
    network = DetectionLosses(model, settings, collator, examples.measure_scale()).train()
    batch, targets = examples.batch(examples.rows[:1], torch.Generator().manual_seed(0))
    kept: dict[tuple[int, int], int] = {}
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr(), storage.nbytes()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        losses = network(batch, targets)
    pixels, prompt = batch.inputs["pixel_values"], batch.inputs["input_ids"]
    say(f"pictures {tuple(pixels.shape[1:])}, prompt {prompt.shape[1]} tokens")
    say(f"logits {tuple(losses['logits'].shape)} for the answer of one picture")
    say(f"{len(examples.rows)} training pictures, {examples.steps() * settings.epochs} steps")
    need = bytes_needed(model, sum(kept.values()) * settings.batch_size, settings.ema > 0)
    for part, size in need.items():
        say(f"  {part:<12} {size / 2**30:8.2f} GiB")
    say("memory is estimated for float32, not measured; nothing was trained")
