"""`--model tiny`: a small Florence-2 with random weights and its own tokenizer that learns on a CPU.

The model's Python classes are those of transformers, as for a published checkpoint. Three choices make it learn within
minutes; with transformers' default initial weights it stays near chance:

- Weights start with standard deviation 1 / sqrt(fan in). With the usual 0.02 a narrow network's output is almost zero.
- Location tokens and the picture's row and column embeddings start as the same sines of their positions, and the
  matrices between these embeddings start near the identity. So neighbouring bins are similar from the first step, and
  a token's position is copied, not learned.
- A picture token covers 8 x 8 px of the unscaled picture; in published models 32 x 32 px of a 768 x 768 px picture.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from generator.bbox_str import BINS

IMAGE_TOKEN = "<image>"
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STRIDE = 8
# Fine band of `place_code`: its frequencies in cycles per picture token, and its amplitude.
HARMONICS = (1, 2, 4)
FINE_STRENGTH = 1.5


@dataclass(frozen=True)
class TinyShape:
    """Size of a tiny Florence-2.

    Args:
        widths: Channels of the image encoder's three stages, at 4, 8 and 8 px per token; the last is also the width of
            the language model.
        depths: Pairs of window and channel blocks per stage.
        encoder_layers, decoder_layers: Numbers of layers of the language model.
        heads: Number of attention heads of the language model.
    """

    widths: tuple[int, int, int] = (32, 96, 128)
    depths: tuple[int, int, int] = (1, 1, 1)
    encoder_layers: int = 1
    decoder_layers: int = 3
    heads: int = 4


def location_tokens() -> list[str]:
    """Return the location tokens `<loc_0>` … `<loc_999>`, one per bin."""
    return [f"<loc_{index}>" for index in range(BINS)]


def tiny_tokenizer(labels: Sequence[str]) -> Any:
    """Make a byte-level BPE tokenizer with location tokens and an image token; each label takes few tokens."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import BartTokenizer

    bpe = ByteLevelBPETokenizer()
    prompt = "Locate the objects with category name in the image."
    # Each label is given twice, as BPE merges a pair only if it occurs twice.
    corpus = [*labels, prompt] * 2
    bpe.train_from_iterator(corpus, vocab_size=4096, min_frequency=2, special_tokens=list(SPECIAL), show_progress=False)
    import json

    kept = json.loads(bpe.to_str())["model"]
    tokenizer = BartTokenizer(
        vocab=kept["vocab"],
        merges=[tuple(merge) for merge in kept["merges"]],  # type: ignore[misc]
        extra_special_tokens={"image_token": IMAGE_TOKEN},
    )
    tokenizer.add_tokens(location_tokens(), special_tokens=True)
    if tokenizer.convert_tokens_to_ids(list(SPECIAL)) != [0, 1, 2, 3]:
        raise RuntimeError(f"special tokens must have the ids 0 to 3, got {tokenizer.special_tokens_map}")
    return tokenizer


def tiny_processor(labels: Sequence[str], size: tuple[int, int]) -> Any:
    """Make the processor of --model tiny: tokenizer for `labels`, scaling to `size` (W, H) px, multiples of 8."""
    from transformers import Florence2Processor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    width, height = size
    pictures = CLIPImageProcessorPil(
        size={"height": height, "width": width},
        do_center_crop=False,
        resample=3,
        image_mean=list(IMAGENET_MEAN),
        image_std=list(IMAGENET_STD),
        image_seq_length=(width // STRIDE) * (height // STRIDE) + 1,
    )
    return Florence2Processor(image_processor=pictures, tokenizer=tiny_tokenizer(labels))


def place_code(places: Tensor, width: int, grid: tuple[int, int]) -> Tensor:
    """Encode positions as sines and cosines, in a coarse and a fine band.

    The coarse band, from half a cycle per picture to half a cycle per picture token, encodes the token that contains a
    position. The fine band, in whole cycles per token, encodes the place inside the token, equally for all tokens. So
    the code of an edge is the sum of its token's code and its offset's code.

    Args:
        places: (N,) positions as shares, in [0, 1], of the picture's width or height.
        width: Number of values per position, at least 14.
        grid: Numbers of picture tokens (gw, gh), across and down.

    Returns:
        (N, width); the last value is 0 if the width is odd.
    """
    fine = torch.tensor([float(n * k) for n in sorted({*grid}) for k in HARMONICS], dtype=torch.float64)
    pairs = width // 2
    coarse = 0.5 * max(grid) ** torch.linspace(0, 1, pairs - len(fine), dtype=torch.float64)
    angles = 2 * math.pi * places.double()[:, None] * torch.cat([coarse, fine])
    strength = torch.cat([torch.ones(len(coarse)), torch.full((len(fine),), FINE_STRENGTH)])
    out = torch.zeros(len(places), width)
    out[:, 0 : 2 * pairs : 2] = angles.sin().float() * strength
    out[:, 1 : 2 * pairs : 2] = angles.cos().float() * strength
    return out


def initialise(model: Any, location_ids: Sequence[int], size: tuple[int, int]) -> None:
    """Set the initial weights of a model; draws from PyTorch's global generator.

    Args:
        model: `Florence2ForConditionalGeneration`; changed in place.
        location_ids: Ids of `<loc_0>` … `<loc_999>`.
        size: Size (W, H) of the model's pictures in px.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and module is not model.lm_head:
                fan_in = module.weight[0].numel()
                nn.init.normal_(module.weight, std=fan_in**-0.5)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
        for name, parameter in model.named_parameters():
            # Residual branches start small, so that a token's position passes them unchanged.
            if re.search(r"blocks.*\.conv[12]\.weight|self_attn\.out_proj\.weight", name):
                parameter *= 0.3
            elif re.search(r"(\.proj|\.fc2)\.weight", name):
                parameter *= 0.5
            # Near the identity: positions reach the answer unchanged, and written locations attend to their cells.
            elif re.search(r"image_projection|encoder_attn\.(q|k|v|out)_proj\.weight", name):
                parameter *= 0.5
                parameter += torch.eye(*parameter.shape)
        shared = model.model.language_model.shared.weight
        nn.init.normal_(shared, std=0.1)
        places = (torch.arange(BINS) + 0.5) / BINS
        grid = (size[0] // STRIDE, size[1] // STRIDE)
        place = model.model.multi_modal_projector.image_position_embed
        for table, extent in ((place.column_embeddings, size[0]), (place.row_embeddings, size[1])):
            steps = (torch.arange(table.num_embeddings) + 0.5) * STRIDE / extent
            table.weight.copy_(2.0 * place_code(steps, table.embedding_dim, grid))
        half = shared.shape[1] // 2
        code = [place_code(places, width, grid) for width in (half, shared.shape[1] - half)]
        shared[list(location_ids)] = 0.14 * torch.cat(code, dim=1)
        # Zero: row and column embeddings state the position; a token's number does not, in a close-up.
        model.model.language_model.encoder.embed_positions.weight.zero_()


def _vision(shape: TinyShape, size: tuple[int, int]) -> dict[str, Any]:
    """Configuration of the image encoder."""
    return {
        "depths": list(shape.depths),
        "patch_size": [7, 3, 3],
        "patch_stride": [4, 2, 1],
        "patch_padding": [3, 1, 1],
        "patch_prenorm": [False, True, True],
        "embed_dim": list(shape.widths),
        "num_heads": [max(1, w // 32) for w in shape.widths],
        "num_groups": [max(1, w // 32) for w in shape.widths],
        "window_size": 8,
        "drop_path_rate": 0.0,
        "projection_dim": shape.widths[-1],
        "max_position_embeddings": max(size) // STRIDE,
        "initializer_range": 0.1,
    }


def tiny_model(processor: Any, size: tuple[int, int], shape: TinyShape | None = None, seed: int = 0) -> Any:
    """Make a tiny Florence-2 with random weights.

    Args:
        processor: From `tiny_processor`.
        size: Size (W, H) of the model's pictures in px, both multiples of 8.
        shape, seed: Widths and depths (None: the default), and seed of the weights.
    """
    from transformers import BartConfig, Florence2Config, Florence2ForConditionalGeneration

    if size[0] % STRIDE or size[1] % STRIDE:
        raise ValueError(f"picture size: expected multiples of {STRIDE} px, got {size}")
    shape = shape or TinyShape()
    width = shape.widths[-1]
    tokenizer = processor.tokenizer
    special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    text = BartConfig(
        vocab_size=len(tokenizer),
        d_model=width,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        max_position_embeddings=max(1024, processor.image_processor.image_seq_length + 32),
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        init_std=0.1,
        decoder_start_token_id=2,
        forced_eos_token_id=None,
        **special,  # type: ignore[arg-type]
    )
    config = Florence2Config(
        vision_config=_vision(shape, size),
        text_config=text.to_dict(),
        image_token_id=tokenizer.image_token_id,
        **special,  # type: ignore[arg-type]
    )
    torch.manual_seed(seed)
    model = Florence2ForConditionalGeneration(config)
    initialise(model, tokenizer.convert_tokens_to_ids(location_tokens()), size)
    model.generation_config.no_repeat_ngram_size = 0
    model.generation_config.num_beams = 1
    return model
