"""Find boxes with a trained Florence-2, each with class and confidence: in a split's pictures, or in any picture.

A picture is stretched to the network's size, as in training. Boxes are returned in px of the original picture.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from trainer.core.console import Progress
from trainer.core.options import device_of
from trainer.florence2.answers import Found, Vocabulary
from trainer.florence2.batches import Collator
from trainer.florence2.data import DetectionSplit, stretched
from trainer.florence2.generation import Question, generate
from trainer.florence2.run import Detector, load_detector


def answers(
    model: Any,
    split: DetectionSplit,
    collator: Collator,
    question: Question,
    batch_size: int = 16,
    rows: Sequence[int] | None = None,
    bar: bool = False,
) -> list[list[Found]]:
    """Find boxes in a split's pictures; returns the boxes of each, in px of the stored picture, of any confidence.

    Args:
        model, split, collator: Florence-2 (set to evaluation mode), the split, and what makes the model's inputs.
        question, batch_size: What the model is asked; pictures per batch.
        rows: Indices of the pictures; None: all.
        bar: Whether to show a progress bar.
    """
    device = next(model.parameters()).device
    model.eval()
    found: list[list[Found]] = []
    every = list(range(len(split))) if rows is None else list(rows)
    with Progress("measuring", len(every), "picture", hidden=not bar) as progress:
        for start in range(0, len(every), batch_size):
            some = every[start : start + batch_size]
            pixels = split.pictures.batch(some).float() / 255
            inputs = {k: v.to(device) for k, v in collator.inputs(pixels).items()}
            found += generate(model, inputs, question, [split.truths[i].size for i in some])
            progress.update(len(some))
    return found


class Inspector:
    """A trained Florence-2 with its processor and settings, to find boxes in pictures.

    Args:
        model, processor: Florence-2 in evaluation mode, and its processor.
        detector: The run's classes, picture size and threshold, from its config.json.
    """

    def __init__(self, model: Any, processor: Any, detector: Detector) -> None:
        self.model, self.detector = model, detector
        vocabulary = Vocabulary(processor.tokenizer, detector.labels, detector.remove_hyphens)
        self.collator = Collator(processor, vocabulary, detector.classes, detector.size)
        self.question = Question.of(self.collator, detector.pins)

    @classmethod
    def load(cls, run: Path, device: torch.device | None = None) -> "Inspector":
        """Load the detector of a finished run; `device` None: a GPU if there is one.

        Raises:
            InputError: The run is missing, unfinished or of another kind.
        """
        model, processor, detector = load_detector(run)
        model.to(device or device_of("auto"))
        return cls(model, processor, detector)

    def find(self, pictures: Sequence[Image.Image]) -> list[list[Found]]:
        """Find boxes of any confidence in one or more upright pictures of any size and mode, in px of each picture."""
        pixels = torch.stack(
            [torch.from_numpy(stretched(p, self.detector.size).copy()).float() / 255 for p in pictures]
        )
        inputs = {k: v.to(self.model.device) for k, v in self.collator.inputs(pixels).items()}
        return generate(self.model, inputs, self.question, [p.size for p in pictures])
