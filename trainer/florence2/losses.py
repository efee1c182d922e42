"""The losses of a batch, and the parts of a Florence-2 that exist only while it trains."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from trainer.core.pin_measures import AXES, PRESENCE, measure_loss
from trainer.florence2.answers import IGNORED
from trainer.florence2.auxiliary_loss import (
    AttentionGuide,
    CellHead,
    Targets,
    cell_loss,
    grid_of,
    guide_loss,
    looked_at,
    placed,
)
from trainer.florence2.batches import Batch, Collator
from trainer.florence2.network import answer_loss, plain
from trainer.florence2.regions import TOKENS, RegionReader, region_loss
from trainer.florence2.run import DetectionConfig
from trainer.vit.network.model import OK_CLASS

# Names of a batch's losses, as in metrics.csv; there a loss that is not computed is 0. `good` is that of the list of
# pins, of which the first version listed the good ones.
LOSSES = ("loss", "answer", "cells", "guide", "good", "measure", "region")


class DetectionLosses(nn.Module):
    """A Florence-2 with the head and hooks of its auxiliary losses; its forward pass computes a batch's losses.

    Args:
        model: `Florence2ForConditionalGeneration`, or PEFT's model around it.
        config, collator: Settings of the training, and what makes the model's batches.
        scale: (3,) standard deviations in mm of the training pins' dx, dy and retraction, from `scale_of`; None: no
            measures are learned.
    """

    location_ids: Tensor
    bin_of: Tensor
    scale: Tensor

    def __init__(self, model: Any, config: DetectionConfig, collator: Collator, scale: Tensor | None = None) -> None:
        super().__init__()
        self.model = model
        self.weight = config.scaffold
        self.ok = collator.classes.index(OK_CLASS)
        self.grid = grid_of(model, collator.size)
        text = model.config.text_config
        self.head = CellHead(text.d_model, len(collator.classes)) if config.scaffold > 0 else None
        # In a list, so that it is no submodule: PyTorch would count the decoder's parameters twice.
        self.guide = [AttentionGuide(plain(model).model.language_model.decoder.layers)]
        self.cell = collator.size[0] // self.grid[0]
        self.start, self.end = text.decoder_start_token_id, collator.vocabulary.eos
        ids = torch.tensor(collator.vocabulary.location_ids)
        bin_of = torch.full((text.vocab_size,), -1)
        bin_of[ids] = torch.arange(len(ids))
        self.register_buffer("location_ids", ids, persistent=False)
        self.register_buffer("bin_of", bin_of, persistent=False)
        self.spread = config.location_smoothing
        self.measure_weight = config.measure_weight
        self.region_weight = config.region_weight if config.reads_regions else 0.0
        self.regions = RegionReader(collator.all_words)
        self.measure_head = None
        if scale is not None:
            self.register_buffer("scale", scale, persistent=False)
            self.measure_head = nn.Sequential(nn.LayerNorm(text.d_model), nn.Linear(text.d_model, PRESENCE + AXES))

    def forward(self, batch: Batch, targets: Targets | None) -> dict[str, Tensor]:
        """Compute the losses of a batch.

        Args:
            batch: The batch.
            targets: What the auxiliary losses learn; None without auxiliary losses.

        Returns:
            `loss` to train on; `answer`, cross-entropy of the answer; `own`, the loss that transformers computes;
            `logits`; with auxiliary losses also the others of `LOSSES`.
        """
        corners = None if batch.corners is None else batch.corners // self.cell
        with self.guide[0].watching(self.head is not None) as maps, placed(plain(self.model), corners):
            out = self.model(**batch.inputs, labels=batch.labels)
        losses = {"own": out.loss, "logits": out.logits, "answer": answer_loss(out.logits, batch.labels)}
        losses["loss"] = self.spread_loss(out.logits, batch.labels) if self.spread > 0 else losses["answer"]
        if self.head is None or targets is None:
            return losses
        states = out.encoder_last_hidden_state
        # The first token is the mean of all picture tokens; these follow, one per cell, then the prompt.
        tokens = states[:, 1 : 1 + targets.categories.shape[1]]
        logits, edges = self.head(tokens)
        losses["cells"] = cell_loss(logits, edges, targets.categories, targets.boxes, self.ok)
        losses["guide"] = self._guide_loss(maps, batch.labels, batch)
        if batch.listed is not None and bool((batch.listed != IGNORED).any()):
            losses["good"] = self._list_loss(batch, states)
        auxiliary = sum(losses[name] for name in ("cells", "guide", "good") if name in losses)
        losses["loss"] = losses["loss"] + self.weight * auxiliary
        if self.measure_head is not None:
            said = self.measure_head(tokens[targets.pictures, targets.cells]).float()
            losses["measure"] = measure_loss(said, targets.pins, self.scale)
            losses["loss"] = losses["loss"] + self.measure_weight * losses["measure"]
        if self.region_weight and bool((targets.classes != IGNORED).any()):
            losses["region"] = self._region_loss(batch, targets, states)
            losses["loss"] = losses["loss"] + self.region_weight * losses["region"]
        return losses

    def _looked_at(self, labels: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Call `looked_at` for the answers or regions `labels` of a batch."""
        shown = tuple(n // self.cell for n in reversed(batch.inputs["pixel_values"].shape[2:]))
        corners = None if batch.corners is None else batch.corners // self.cell
        return looked_at(labels, self.bin_of, self.grid, shown, corners)  # type: ignore[arg-type]

    def _guide_loss(self, maps: list[Tensor], labels: Tensor, batch: Batch) -> Tensor:
        places, cells = self._looked_at(labels, batch)
        return guide_loss(maps, places, cells) if places.any() else maps[0].sum() * 0

    def _region_loss(self, batch: Batch, targets: Targets, states: Tensor) -> Tensor:
        """Loss of the regions' classes, and of the attention on each region's cells when its class is named."""
        mask, named = batch.inputs["attention_mask"], targets.classes != IGNORED
        with self.guide[0].watching() as maps:
            said = self.regions.logits(plain(self.model), states, mask, targets.bins)
        labels = torch.where(named[..., None], self.location_ids[targets.bins], IGNORED).flatten(1)
        _, cells = self._looked_at(labels, batch)
        ends = [each[:, TOKENS - 1 :: TOKENS] for each in maps]
        # `cells` has a row for each of a region's four locations; the class is named after the last one.
        return region_loss(said, targets.classes, self.ok) + guide_loss(ends, named, cells[3::4])

    def _list_loss(self, batch: Batch, states: Tensor) -> Tensor:
        """Loss of the list of pins, without its label, so that the model does not learn to write label OK by itself."""
        listed, mask = batch.listed, batch.inputs["attention_mask"]
        assert listed is not None
        read = torch.full_like(listed, self.start)
        read[:, 1:] = listed[:, :-1].clamp(min=0)
        with self.guide[0].watching() as maps:
            out = self.model(
                encoder_outputs=BaseModelOutput(last_hidden_state=states), attention_mask=mask, decoder_input_ids=read
            )
        taught = self.bin_of[listed.clamp(min=0)] >= 0
        if self.region_weight:  # the list is generated, too, and must end
            taught |= listed == self.end
        labels = torch.where(taught & (listed >= 0), listed, IGNORED)
        if not (labels != IGNORED).any():  # no picture of the batch has such a pin
            return states.sum() * 0
        return self.spread_loss(out.logits, labels) + self._guide_loss(maps, labels, batch)

    def spread_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the cross-entropy of logits (B, T, V) and labels (B, T); near misses of a location cost less.

        The target of a location is a Gaussian over the bins around it; without `spread` it is the location alone.
        """
        kept = labels != IGNORED
        logits, labels = logits[kept].float(), labels[kept]
        said = logits.log_softmax(-1)
        bins = self.bin_of[labels]
        place = (bins >= 0) & (self.spread > 0)
        total = F.nll_loss(said[~place], labels[~place], reduction="sum")
        if place.any():
            every = torch.arange(len(self.location_ids), device=logits.device)
            distance = (every[None, :] - bins[place][:, None]).float() / self.spread
            target = (-0.5 * distance.square()).softmax(-1)
            total = total - (target * said[place][:, self.location_ids]).sum()
        return total / len(labels)


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Make AdamW's groups of parameters: matrices and kernels with weight decay; embeddings, norms, biases without."""
    embeddings = {id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    trained = [p for p in module.parameters() if p.requires_grad]
    decayed = [p for p in trained if p.ndim > 1 and id(p) not in embeddings]
    held = {id(p) for p in decayed}
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) not in held], "weight_decay": 0.0},
    ]
