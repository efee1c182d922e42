"""Florence-2 models for training: loading, a check of the loss, and the choice of the parameters that train.

Versions 4.56.0 to 5.12.0 of transformers shift the labels twice in Florence-2's loss: the loss falls, but nothing is
learned. All versions before 5.13 are refused, and every training first compares the model's loss on a batch with the
cross-entropy of `answer_loss`.
"""

import re
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from trainer.core.errors import InputError
from trainer.florence2.tiny import STRIDE, TinyShape, tiny_model, tiny_processor

OLDEST_TRANSFORMERS = (5, 13)
TINY = "tiny"
Mode = Literal["full", "language", "decoder", "lora"]
MODES = get_args(Mode)
MODE_WORDS = {
    "full": "all weights",
    "language": "projector and language model",
    "decoder": "the language model's decoder and the tokens' embedding",
    "lora": "LoRA, small matrices beside the linear layers, whose own weights are frozen",
}
FIX = "install transformers >= 5.13"


def check_version(installed: str | None = None) -> None:
    """Refuse a version of transformers whose Florence-2 cannot be trained; None: the installed version.

    Raises:
        InputError: The version is too old.
    """
    installed = installed or version("transformers")
    numbers = tuple(int(n) for n in re.findall(r"\d+", installed)[:2])
    if numbers < OLDEST_TRANSFORMERS:
        raise InputError(
            f"the package transformers: expected version 5.13 or newer, got {installed}, with which training "
            f"Florence-2 fails (4.56.0 to 5.12.0 shift its labels twice); {FIX}"
        )


def answer_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean cross-entropy of logits and labels of the same steps; masked labels are left out.

    Args:
        logits: (B, T, V).
        labels: (B, T) token ids; -100 is masked.
    """
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def check_loss(model_loss: Tensor, logits: Tensor, labels: Tensor) -> None:
    """Compare the loss that transformers computed with `answer_loss`.

    Args:
        model_loss: The loss of transformers.
        logits: (B, T, V).
        labels: (B, T) token ids; -100 is masked.

    Raises:
        InputError: The losses differ; if the labels were shifted twice, the message says so and names the fix.
    """
    own, model_s = float(answer_loss(logits, labels).detach()), float(model_loss.detach())
    close = 1e-2 + 1e-3 * abs(own) if logits.dtype != torch.float32 else 1e-4 + 1e-4 * abs(own)
    if abs(own - model_s) <= close:
        return
    twice = float(answer_loss(logits[:, :-1], labels[:, 1:]).detach())
    why = (
        f"the model shifts the labels once more than it should, so training would learn nothing; {FIX}"
        if abs(twice - model_s) <= close
        else f"its loss is not the answer's cross-entropy, so training would learn another task; {FIX}, or report this"
    )
    raise InputError(f"loss self-test: expected the cross-entropy {own:.6f}, got {model_s:.6f} from the model: {why}")


def fitting_size(size: tuple[int, int], longest: int = 512) -> tuple[int, int]:
    """Return a tiny model's picture size (W, H): `size`, scaled down to `longest` px, multiples of 8 from 32 on."""
    scale = min(1.0, longest / max(size))
    most = longest // STRIDE * STRIDE
    return tuple(min(most, max(32, round(extent * scale / STRIDE) * STRIDE)) for extent in size)  # type: ignore[return-value]


def picture_size(processor: Any) -> tuple[int, int]:
    """Return the size (W, H) in px to which a processor scales every picture."""
    size = processor.image_processor.size
    return int(size["width"]), int(size["height"])


def load(
    model: str, labels: Sequence[str], size: tuple[int, int], seed: int, shape: TinyShape | None = None
) -> tuple[Any, Any]:
    """Load a model in float32, on the CPU, and its processor.

    Args:
        model: `tiny`, a checkpoint's folder, or its id on the Hub.
        labels: Classes without OK; a tiny model's tokenizer is made for these.
        size: Size (W, H) of a tiny model's pictures in px.
        seed: Seed of a tiny model's weights.
        shape: Widths and depths of a tiny model; None: the default.

    Raises:
        InputError: The model cannot be loaded as Florence-2, or transformers is too old.
    """
    check_version()
    if model == TINY:
        processor = tiny_processor(labels, size)
        return tiny_model(processor, size, shape, seed), processor
    from transformers import AutoConfig, Florence2ForConditionalGeneration, Florence2Processor
    from transformers.utils import logging

    if not sys.stderr.isatty():
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # Otherwise transformers asks whether to run the Python files of a checkpoint.
    data_only: dict[str, Any] = {"trust_remote_code": False}
    try:
        kind = AutoConfig.from_pretrained(model, **data_only).model_type
        if kind != "florence2" or model.startswith("microsoft/"):
            raise InputError(
                f"--model {model}: expected Florence-2 in the format of the transformers library, such as "
                f"florence-community/Florence-2-base-ft, got {kind}; checkpoints of microsoft/ must be converted first"
            )
        # Without dtype, published weights would train in half precision, in which they are stored.
        loaded = Florence2ForConditionalGeneration.from_pretrained(model, dtype=torch.float32, **data_only)
        processor = Florence2Processor.from_pretrained(model, **data_only)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as e:
        missing = "no such folder, and " if not Path(model).exists() else ""
        reason = " ".join(str(e).split())  # the library's messages have several lines
        raise InputError(
            f"--model {model}: expected 'tiny', a checkpoint's folder or an id on the Hub, got {missing}{reason}"
        ) from e
    # Published checkpoints set it to 3, which corrupts an answer that repeats a label of three tokens.
    loaded.generation_config.no_repeat_ngram_size = 0
    loaded.generation_config.num_beams = 1
    loaded.generation_config.early_stopping = False
    return loaded, processor


def plain(model: Any) -> Any:
    """Return the Florence-2 model: `model` itself, or what `model` wraps if it is PEFT's."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


_UNIT = re.compile(
    r"(?:model\.)?(?P<part>vision_tower|multi_modal_projector|language_model\.(?:encoder|decoder|shared))"
    r"(?P<block>\.(?:layers\.\d+|blocks\.\d+\.\d+|convs\.\d+))?"
)
_PARTS = (
    "language_model.shared",
    "language_model.decoder",
    "language_model.encoder",
    "multi_modal_projector",
    "vision_tower",
)


def units(model: nn.Module) -> list[tuple[str, list[tuple[str, nn.Parameter]]]]:
    """Return name and named parameters of each block, in the order of --train-share: from the output to the input."""
    groups: dict[tuple[Any, ...], list[tuple[str, nn.Parameter]]] = {}
    names: dict[tuple[Any, ...], str] = {}
    for name, parameter in model.named_parameters():
        found = _UNIT.match(name)
        if found is None:
            expected = f"a name that begins with {' or '.join(_PARTS)}, as in Florence-2"
            raise ValueError(f"parameter {name!r}: expected {expected}")
        block = found["block"] or ""
        depth = tuple(-int(n) for n in re.findall(r"\d+", block)) or (1,)  # parameters before the first block come last
        last = (0, depth) if block.startswith((".layers", ".blocks")) else (1, depth)
        key = (_PARTS.index(found["part"]), *last)
        groups.setdefault(key, []).append((name, parameter))
        names[key] = found["part"] + block
    return [(names[key], groups[key]) for key in sorted(groups)]


def choose_parameters(model: nn.Module, mode: str, share: float = 100.0) -> list[str]:
    """Choose the blocks that train: those of the mode, in the order of `units`, that fit into the share.

    Args:
        model: The model; `requires_grad` of its parameters is set.
        mode: `full`, `language` or `decoder`: see `MODE_WORDS`.
        share: Largest number of parameters that train, in per cent of all parameters.

    Returns:
        Names of the blocks that train: at least the mode's first one, even if it is larger than the share.
    """
    parts = {"full": _PARTS, "language": _PARTS[:4], "decoder": _PARTS[:2]}[mode]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    room = share / 100 * sum(p.numel() for p in model.parameters())
    chosen: list[str] = []
    for name, held in units(model):
        size = sum(p.numel() for _, p in held)
        if not name.startswith(parts) or (chosen and share < 100 and size > room):
            continue
        for _, parameter in held:
            parameter.requires_grad_(True)
        room -= size
        chosen.append(name)
    return chosen


def trained_parameters(model: nn.Module) -> tuple[int, int]:
    """Return the number of parameters that train, and the number of all parameters."""
    every = list(model.parameters())
    return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)


def bytes_needed(model: nn.Module, activations: int, ema: bool) -> dict[str, int]:
    """Estimate the bytes that a training in float32 needs, by kind (weights, gradients, moments, …) and in `total`.

    Args:
        model: Model with `requires_grad` set on the parameters that train.
        activations: Bytes that one step keeps for its backward pass.
        ema: Whether an exponential moving average (EMA) of the weights is kept.
    """
    trained, every = trained_parameters(model)
    parts = {
        "weights": 4 * every,
        "gradients": 4 * trained,
        "moments": 8 * trained,
        "ema": 4 * trained if ema else 0,
        "activations": activations,
    }
    return {**parts, "total": sum(parts.values())}
