"""Find boxes with a trained Florence-2, each with class and confidence: in a split's pictures, or in any picture.

A picture is stretched to the network's size, as in training. Boxes are returned in px of the original picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from trainer.core.console import Progress
from trainer.core.options import device_of
from trainer.florence2.answers import AnswerGrammar, Found, PinsGrammar, Vocabulary, parse, without_duplicates
from trainer.florence2.batches import Collator
from trainer.florence2.data import DetectionSplit, stretched
from trainer.florence2.network import plain
from trainer.florence2.regions import RegionReader, encoded
from trainer.florence2.run import Detector, load_detector
from trainer.vit.network.model import OK_CLASS

# Numbers subtracted from the end token's logit, so that answers name doubtful boxes, too: mAP needs them. Reading them
# again rates many of them as good pins. Confidences are computed without it.
END_BIAS, READ_AGAIN_BIAS = 3.0, 6.0


@dataclass(frozen=True)
class Question:
    """What a Florence-2 is asked about a picture.

    Args:
        grammar: Decides which answers are allowed.
        pins: The grammar of lists of all pins, and what reads each box again and rates it; None: the answer alone gives
            the boxes and their confidences.
        end_bias: Number subtracted from the end token's logit in answers.
    """

    grammar: AnswerGrammar
    pins: tuple[PinsGrammar, RegionReader] | None = None
    end_bias: float = 0.0

    @classmethod
    def of(cls, collator: Collator, most_pins: int) -> "Question":
        """Make the question to a model whose batches `collator` makes; `most_pins`: as `Detector.pins`."""
        grammar, every = AnswerGrammar(collator.vocabulary), collator.all_words
        if not most_pins:
            return cls(grammar, None, END_BIAS)
        return cls(grammar, (PinsGrammar(every, OK_CLASS, most_pins), RegionReader(every)), READ_AGAIN_BIAS)


class EndBias:
    """Logits processor that makes the end token less likely, so that doubtful boxes are generated too.

    Args:
        eos: Id of the end token.
        bias: Number subtracted from the end token's logit.
    """

    def __init__(self, eos: int, bias: float) -> None:
        self.eos, self.bias = eos, bias

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        changed = scores.clone()
        changed[:, self.eos] -= self.bias
        return changed


def generate(
    model: Any, inputs: dict[str, Tensor], question: Question, sizes: Sequence[tuple[float, float]]
) -> list[list[Found]]:
    """Generate the answers of a batch by greedy decoding, rate their boxes, and drop duplicates.

    If the model learned it, the boxes of all pins, from a list that the model generates, are rated, too: a pin that the
    answer does not name may be defective, of little confidence.

    Args:
        model: `Florence2ForConditionalGeneration`, in evaluation mode.
        inputs: `pixel_values`, `input_ids`, `attention_mask`, on the model's device.
        question: Which answers are allowed, and what rates their boxes.
        sizes: Size (W, H) of each picture in px, before it was scaled to the network's size.

    Returns:
        The boxes of each picture, in px of its size in `sizes`: those of the answer in its order, then those listed.
    """
    from transformers.modeling_outputs import BaseModelOutput

    with torch.inference_mode(), encoded(plain(model)) as states:
        found = _boxes(model, inputs, question.grammar, sizes, question.end_bias, presence=question.pins is None)
        if question.pins is not None:
            grammar, regions = question.pins
            mask = inputs["attention_mask"]
            seen = {"encoder_outputs": BaseModelOutput(last_hidden_state=states[0]), "attention_mask": mask}
            listed = _boxes(model, seen, grammar, sizes, 0.0, presence=False)
            both = [[*some, *pins] for some, pins in zip(found, listed, strict=True)]
            found = regions.rated(plain(model), states[0], mask, both, sizes)
    return [without_duplicates(some) for some in found]


def _boxes(
    model: Any,
    inputs: dict[str, Any],
    grammar: AnswerGrammar,
    sizes: Sequence[tuple[float, float]],
    end_bias: float,
    presence: bool,
) -> list[list[Found]]:
    """Generate boxes within a grammar; arguments as of `generate` and `parse`."""
    from transformers import GenerationConfig, LogitsProcessorList

    v = grammar.vocabulary
    settings = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=grammar.max_new_tokens,
        num_beams=1,
        do_sample=False,
        # Published checkpoints set it to 3, which corrupts an answer that repeats a label of three tokens.
        no_repeat_ngram_size=0,
        output_scores=True,
        return_dict_in_generate=True,
        bos_token_id=v.bos,
        eos_token_id=v.eos,
        pad_token_id=v.pad,
        decoder_start_token_id=model.config.text_config.decoder_start_token_id,
    )
    out = model.generate(
        **inputs,
        generation_config=settings,
        prefix_allowed_tokens_fn=grammar,
        logits_processor=LogitsProcessorList([EndBias(v.eos, end_bias)]),
    )
    scores = torch.stack(out.scores, 1).float()  # (B, T, V)
    scores[:, :, v.eos] += end_bias
    probabilities = scores.softmax(-1).cpu()
    ids = out.sequences[:, 1:].tolist()
    return [
        parse(row, v, size, probabilities[i], presence) for i, (row, size) in enumerate(zip(ids, sizes, strict=True))
    ]


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
