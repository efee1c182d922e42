"""Batches for Florence-2: pixels, prompt and the tokens of the `<OD>` answer."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from trainer.florence2.answers import IGNORED, Vocabulary
from trainer.florence2.samples import Sample
from trainer.vit.network.model import OK_CLASS

Listed = Literal["none", "good", "all"]


class Batch(NamedTuple):
    """Tensors of one batch.

    Args:
        inputs: `pixel_values` (B, 3, H, W), normalised; `input_ids` and `attention_mask` (B, S) of the prompt.
        labels: (B, T) token ids of answers, `IGNORED` after the end of each.
        listed: (B, U) token ids of the lists of pins, padded like `labels`; None if not asked for.
        corners: (B, 2) x and y, in px, of each close-up's left upper corner in its picture; None for whole pictures.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    listed: Tensor | None = None
    corners: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to a device."""
        return Batch(
            {name: tensor.to(device) for name, tensor in self.inputs.items()},
            self.labels.to(device),
            None if self.listed is None else self.listed.to(device),
            None if self.corners is None else self.corners.to(device),
        )


class Collator:
    """Makes batches of samples.

    Args:
        processor: The model's processor; gives the prompt's tokens, and the pixels' mean and standard deviation.
        vocabulary: The model's labels and locations as tokens.
        classes: All class names, OK among them.
        size: Size (W, H) of the network's pictures in px.
    """

    def __init__(self, processor: Any, vocabulary: Vocabulary, classes: Sequence[str], size: tuple[int, int]) -> None:
        blank = Image.new("RGB", size)
        self.prompt = processor(text="<OD>", images=blank, return_tensors="pt")["input_ids"]  # (1, S)
        self.image_token: int = processor.tokenizer.image_token_id
        pictures = processor.image_processor
        self.mean = torch.tensor(pictures.image_mean).reshape(3, 1, 1)
        self.std = torch.tensor(pictures.image_std).reshape(3, 1, 1)
        self.vocabulary, self.classes, self.size = vocabulary, tuple(classes), size
        # With OK among the labels, for lists of pins and classes of regions.
        self.all_words = Vocabulary(processor.tokenizer, classes)

    def inputs(self, pixels: Tensor) -> dict[str, Tensor]:
        """Make the model's inputs from pixels (B, 3, H, W) in [0, 1]; a close-up's prompt has fewer picture tokens."""
        prompt = self.prompt
        shown, whole = pixels.shape[2] * pixels.shape[3], self.size[0] * self.size[1]
        if shown != whole:
            tokens = int((prompt == self.image_token).sum()) - 1
            prompt = prompt[:, tokens - tokens * shown // whole :]
        prompt = prompt.repeat(len(pixels), 1)
        return {
            "pixel_values": (pixels - self.mean) / self.std,
            "input_ids": prompt,
            "attention_mask": torch.ones_like(prompt),
        }

    def __call__(self, samples: Sequence[Sample], listed: Listed = "none") -> Batch:
        """Make a batch from samples of one size, all pictures or all close-ups.

        Args:
            samples: Pictures or close-ups.
            listed: Which pins the batch lists: `none`, only `good` ones, or `all`.
        """
        pixels = torch.stack([s.pixels for s in samples])
        is_close_up = pixels.shape[2:] != (self.size[1], self.size[0])
        return Batch(
            self.inputs(pixels),
            _padded([self._answer(s) for s in samples]),
            None if listed == "none" else _padded([self._list(s, listed) for s in samples]),
            torch.tensor([s.offset for s in samples]) if is_close_up else None,
        )

    def _answer(self, sample: Sample) -> list[int]:
        labels = [self.classes[c] for c in sample.categories[sample.in_answer].tolist()]
        return self.vocabulary.tokens(sample.boxes[sample.in_answer].tolist(), labels, self.size)

    def _list(self, sample: Sample, listed: Listed) -> list[int]:
        """Token ids of a list of pins, row by row: an order that can be predicted, unlike that of box edges."""
        wanted = sample.categories == self.classes.index(OK_CLASS)
        if listed == "all":
            # Other objects have no row; if no box has one, nothing tells pins from objects.
            is_pin = (sample.rows > 0) if bool((sample.rows > 0).any()) else torch.ones_like(wanted)
            wanted = (wanted | sample.in_answer) & is_pin
        pins = sample.kept(wanted)
        centres = (pins.boxes[:, :2] + pins.boxes[:, 2:]) / 2
        height = {row: float(centres[pins.rows == row, 1].mean()) for row in set(pins.rows.tolist())}
        order = sorted(range(len(centres)), key=lambda i: (height[int(pins.rows[i])], float(centres[i, 0])))
        return self.all_words.listed(pins.boxes[order].tolist(), OK_CLASS, self.size)


def _padded(answers: Sequence[Sequence[int]]) -> Tensor:
    labels = torch.full((len(answers), max(map(len, answers))), IGNORED)
    for row, answer in zip(labels, answers, strict=True):
        row[: len(answer)] = torch.tensor(answer)
    return labels
