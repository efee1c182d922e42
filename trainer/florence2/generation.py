"""Generate the `<OD>` answers of a Florence-2: greedily, within the grammar, each box with its confidence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.florence2.answers import AnswerGrammar, Found, parse, without_duplicates
from trainer.florence2.batches import Collator
from trainer.florence2.network import plain
from trainer.florence2.regions import RegionReader, encoded

# Biases of the end token, see `Question`: mAP needs doubtful boxes. Reading them again rates many of them as good pins.
END_BIAS, REGIONS_BIAS = 3.0, 6.0


@dataclass(frozen=True)
class Question:
    """What a Florence-2 is asked about a picture.

    Args:
        grammar: Decides which answers are allowed.
        regions: Reads each box of the answer again, and rates it; None: the answer alone makes the confidences.
        end_bias: Number subtracted from the end token's logit, so that doubtful boxes are generated too; confidences
            are computed without it.
    """

    grammar: AnswerGrammar
    regions: RegionReader | None = None
    end_bias: float = 0.0

    @classmethod
    def of(cls, collator: Collator, regions: bool) -> "Question":
        """Make the question to a model whose batches `collator` makes; `regions`: whether it learned regions."""
        grammar = AnswerGrammar(collator.vocabulary)
        return cls(grammar, RegionReader(collator.all_words), REGIONS_BIAS) if regions else cls(grammar, None, END_BIAS)


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
    model: Any,
    inputs: dict[str, Tensor],
    question: Question,
    sizes: Sequence[tuple[float, float]],
) -> list[list[Found]]:
    """Generate the answers of a batch by greedy decoding within the grammar, rate their boxes, and drop duplicates.

    Args:
        model: `Florence2ForConditionalGeneration`, in evaluation mode.
        inputs: `pixel_values`, `input_ids`, `attention_mask`, on the model's device.
        question: Which answers are allowed, and what rates their boxes.
        sizes: Size (W, H) of each picture in px, before it was scaled to the network's size.

    Returns:
        The boxes of each picture, in px of its size in `sizes`, in the answer's order.
    """
    from transformers import GenerationConfig, LogitsProcessorList

    grammar, regions = question.grammar, question.regions
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
    with torch.inference_mode(), encoded(plain(model)) as states:
        out = model.generate(
            **inputs,
            generation_config=settings,
            prefix_allowed_tokens_fn=grammar,
            logits_processor=LogitsProcessorList([EndBias(v.eos, question.end_bias)]),
        )
        scores = torch.stack(out.scores, 1).float()  # (B, T, V)
        scores[:, :, v.eos] += question.end_bias
        probabilities = scores.softmax(-1).cpu()
        ids = out.sequences[:, 1:].tolist()
        found = [
            parse(row, v, size, probabilities[i], presence=regions is None)
            for i, (row, size) in enumerate(zip(ids, sizes, strict=True))
        ]
        if regions is not None:
            found = regions.rated(plain(model), states[0], inputs["attention_mask"], found, sizes)
    return [without_duplicates(some) for some in found]
