"""What a region of a picture contains: a second question to a Florence-2, whose answers give boxes their confidence.

An answer's first token decides for the whole picture whether there is a defect at all. That is learned late, and ranks
boxes poorly. To judge one box, the decoder reads its four locations in place of an answer:

    </s> <s> <loc> <loc> <loc> <loc>

The logits of the classes' tokens at the last location, those of OK among them, say what the box contains. Florence-2's
own task REGION_TO_CATEGORY asks the same with words. All boxes of a picture are read at once, and none sees another.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import cycle
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from generator.bbox_str import bin_of
from trainer.florence2.answers import IGNORED, Found, Vocabulary
from trainer.florence2.samples import Sample
from trainer.vit.network.model import OK_CLASS

# Regions of a training picture, and how many of them are defects if there are more.
MOST, MOST_DEFECTS = 7, 6
# Edges are moved at random by at most this share of the box's width or height, as found boxes are inexact too.
JITTER = 0.12
TOKENS = 6  # that the decoder reads for one region


class Regions(NamedTuple):
    """Regions of B pictures, R of each: bins (B, R, 4) of x1, y1, x2, y2, and classes (B, R); `IGNORED`: no region."""

    bins: Tensor
    classes: Tensor


NO_REGIONS = Regions(torch.zeros((0, 0, 4), dtype=torch.long), torch.zeros((0, 0), dtype=torch.long))


def bins_of(boxes: Tensor, size: tuple[float, float]) -> Tensor:
    """Return the bins (…, 4) of the edges of boxes (…, 4), xyxy in px of a picture of `size` (W, H)."""
    edges = zip(boxes.flatten().tolist(), cycle((*size, *size)), strict=False)
    return torch.tensor([bin_of(*edge) for edge in edges], dtype=torch.long).view(boxes.shape)


def drawn_regions(samples: Sequence[Sample], ok: int, size: tuple[int, int], generator: torch.Generator) -> Regions:
    """Draw regions of B training pictures: their defects, filled up with OK pins; boxes are moved a little at random.

    Args:
        samples: Pictures or close-ups; a good pin is drawn no more often than its `shares` allow.
        ok: Index of class OK.
        size: Size (W, H) of the whole pictures in px.
        generator: Random generator.
    """
    boxes, classes = [], []
    for sample in samples:
        defects = sample.in_answer.nonzero()[:, 0]
        if len(defects) > MOST_DEFECTS:  # each of them in some epoch
            defects = defects[torch.randperm(len(defects), generator=generator)[:MOST_DEFECTS]]
        good = (sample.categories == ok).nonzero()[:, 0]
        if sample.shares is not None:
            good = good[torch.rand(len(good), generator=generator) < sample.shares[good]]
        good = good[torch.randperm(len(good), generator=generator)]
        chosen = torch.cat([defects, good])[:MOST]
        exact = sample.boxes[chosen]
        extent = (exact[:, 2:] - exact[:, :2]).repeat(1, 2)
        boxes.append(exact + extent * JITTER * (2 * torch.rand(exact.shape, generator=generator) - 1))
        classes.append(sample.categories[chosen])
    return Regions(
        bins_of(pad_sequence(boxes, batch_first=True), size),
        pad_sequence(classes, batch_first=True, padding_value=IGNORED),
    )


def region_loss(logits: Tensor, classes: Tensor, ok: int) -> Tensor:
    """Compute the sum of the mean cross-entropies of OK and of NG regions.

    Args:
        logits: (B, R, K) from `RegionReader.logits`.
        classes: (B, R) indices of the classes; `IGNORED`: no region.
        ok: Index of class OK.
    """
    named = classes.flatten()
    entropy = F.cross_entropy(logits.flatten(0, 1), named, reduction="none", ignore_index=IGNORED)
    kinds = (named == ok, (named != ok) & (named != IGNORED))
    return torch.stack([entropy[kind].mean() if kind.any() else entropy.sum() * 0 for kind in kinds]).sum()


class RegionReader:
    """Asks a Florence-2 what regions contain.

    Args:
        vocabulary: All classes, OK among them, and locations as tokens.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.classes, self.label_ids = vocabulary.labels, [list(ids) for ids in vocabulary.label_ids]
        self.location_ids = torch.tensor(vocabulary.location_ids)

    def logits(self, model: Any, states: Tensor, mask: Tensor, bins: Tensor) -> Tensor:
        """Compute the logits (B, R, K) of the K classes: for each the mean over the tokens of its name.

        Args:
            model: `Florence2ForConditionalGeneration`.
            states, mask: (B, S, D) and (B, S): the language model's encoded tokens of B pictures with their prompts,
                and their attention mask.
            bins: (B, R, 4) of the regions' x1, y1, x2, y2.
        """
        decoder, text = model.model.language_model.decoder, model.config.text_config
        pictures, count = bins.shape[:2]
        ids = bins.new_empty((pictures, count, TOKENS))
        ids[..., 0], ids[..., 1] = text.decoder_start_token_id, text.bos_token_id
        ids[..., 2:] = self.location_ids.to(bins.device)[bins]
        steps = torch.arange(count * TOKENS, device=bins.device)
        # The decoder numbers the steps on from region to region; each region's steps count from 0.
        position = decoder.embed_positions.weight[decoder.embed_positions.offset :]
        embedded = decoder.embed_tokens(ids.flatten(1)) + position[steps % TOKENS] - position[steps]
        read = (steps[:, None] // TOKENS == steps // TOKENS) & (steps[:, None] >= steps)
        unread = torch.zeros(read.shape, dtype=embedded.dtype, device=bins.device)
        unread = unread.masked_fill(~read, torch.finfo(embedded.dtype).min)
        out = decoder(
            inputs_embeds=embedded,
            attention_mask=unread.expand(pictures, 1, -1, -1),
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            use_cache=False,
        )
        said = model.lm_head(out.last_hidden_state[:, TOKENS - 1 :: TOKENS]).float()
        return torch.stack([said[..., ids].mean(-1) for ids in self.label_ids], -1)

    def rated(
        self,
        model: Any,
        states: Tensor,
        mask: Tensor,
        found: Sequence[Sequence[Found]],
        sizes: Sequence[tuple[float, float]],
    ) -> list[list[Found]]:
        """Give each found box its likeliest NG class, and multiply its confidence by this class's probability.

        A box in which OK is likelier than each NG class is marked as good.

        Args:
            model, states, mask: As in `logits`.
            found: Boxes of B pictures, in px of each.
            sizes: Size (W, H) of each picture in px.
        """
        most = max(map(len, found), default=0)
        if not most:
            return [[] for _ in found]
        bins = torch.zeros((len(found), most, 4), dtype=torch.long)
        for row, (some, size) in enumerate(zip(found, sizes, strict=True)):
            if some:
                bins[row, : len(some)] = bins_of(torch.tensor([one.box for one in some]), size)
        shares = self.logits(model, states, mask, bins.to(states.device)).softmax(-1).cpu()
        ok = self.classes.index(OK_CLASS)
        good = shares.argmax(-1) == ok
        shares[..., ok] = 0.0
        best = shares.max(-1)
        return [
            [
                replace(
                    one,
                    label=self.classes[int(best.indices[row, k])],
                    confidence=one.confidence * float(best.values[row, k]),
                    is_good=bool(good[row, k]),
                )
                for k, one in enumerate(some)
            ]
            for row, some in enumerate(found)
        ]


@contextmanager
def encoded(model: Any) -> Iterator[list[Tensor]]:
    """In a `with` block, add to the yielded list what the language model's encoder computes: (B, S, D) at each call."""
    states: list[Tensor] = []
    encoder = model.model.language_model.encoder
    handle = encoder.register_forward_hook(lambda module, args, out: states.append(out.last_hidden_state))
    try:
        yield states
    finally:
        handle.remove()
