"""Check of forgetting: compare a model's answers to pictures without a connector before and after a training.

The pictures are drawn (shapes, stripes, a gradient, text); a folder of the user's pictures may be added. For each
picture and task both models answer freely, without the `<OD>` grammar. The texts are compared. So are both models'
token probabilities, at each step of the answer that was given before training.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from generator.io.pictures import find_pictures
from trainer.core.errors import as_input_error
from trainer.core.split import open_picture
from trainer.florence2.data import stretched

TASKS = ("<OD>", "<CAPTION>")
LONGEST = 48
MOST_PHOTOS = 24
BATCH = 8


def drawn_pictures(size: tuple[int, int] = (384, 384)) -> list[tuple[str, Image.Image]]:
    """Draw pictures of simple objects of `size` (W, H) px; returns names and pictures, the same every time."""
    width, height = size
    pictures = []

    def canvas(name: str, colour: tuple[int, int, int]) -> ImageDraw.ImageDraw:
        pictures.append((name, Image.new("RGB", size, colour)))
        return ImageDraw.Draw(pictures[-1][1])

    box = (width // 4, height // 4, 3 * width // 4, 3 * height // 4)
    canvas("red circle", (240, 240, 240)).ellipse(box, fill=(210, 30, 30))
    canvas("blue square", (250, 250, 220)).rectangle(box, fill=(30, 60, 200))
    triangle = [(width // 2, height // 5), (width // 5, 4 * height // 5), (4 * width // 5, 4 * height // 5)]
    canvas("green triangle", (230, 230, 250)).polygon(triangle, fill=(20, 140, 60))
    draw = canvas("stripes", (255, 255, 255))
    for x in range(0, width, width // 8):
        draw.rectangle((x, 0, x + width // 16, height), fill=(20, 20, 20))
    draw = canvas("gradient", (0, 0, 0))
    for y in range(height):
        draw.line((0, y, width, y), fill=(255 * y // height, 128, 255 - 255 * y // height))
    draw = canvas("the word STOP", (200, 20, 20))
    font = ImageFont.load_default(size=width // 5)
    draw.text((width // 2, height // 2), "STOP", fill="white", font=font, anchor="mm")
    draw = canvas("a house", (120, 180, 240))
    draw.rectangle((width // 4, height // 2, 3 * width // 4, height), fill=(190, 140, 90))
    draw.polygon(
        [(width // 5, height // 2), (width // 2, height // 5), (4 * width // 5, height // 2)], fill=(160, 40, 30)
    )
    canvas("nothing", (128, 128, 128))
    return pictures


def photos(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """Yield name and picture of the first 24 pictures of a folder, sorted by name.

    Raises:
        InputError: The folder is missing or contains no picture. During iteration: a picture cannot be read.
    """
    with as_input_error():
        found = find_pictures(folder)[:MOST_PHOTOS]
    return ((path.name, open_picture(path, str(path)).convert("RGB")) for path in found)


def _answers(model: Any, processor: Any, inputs: dict[str, Tensor]) -> tuple[Tensor, list[str]]:
    """Generate answers without the grammar: token ids (B, T) and texts."""
    model.generation_config.no_repeat_ngram_size = 0
    ids = model.generate(**inputs, max_new_tokens=LONGEST, num_beams=1, do_sample=False)
    texts = [processor.tokenizer.decode(row, skip_special_tokens=False) for row in ids]
    return ids, [re.sub(r"<s>|</s>|<pad>", "", text).strip() for text in texts]


def _agreement(shares: Sequence[Tensor], ids: Tensor, pad: int) -> Tensor:
    """Agreement (B,) in [0, 1] of two models' probabilities along answers (B, T); defined in `compare`."""
    distance = (shares[0] - shares[1]).abs().sum(-1) / 2  # (B, T)
    written = (ids != pad).float()
    return 1 - (distance * written).sum(1) / written.sum(1).clamp(min=1)


def compare(
    before: Any, after: Any, processor: Any, size: tuple[int, int], pictures: Sequence[tuple[str, Image.Image]]
) -> dict[str, Any]:
    """Compare the answers of two models to the same pictures.

    Args:
        before, after: Florence-2 models with one tokenizer, on one device, in evaluation mode.
        processor: The processor of both models.
        size: Size (W, H) in px to which pictures are stretched.
        pictures: Names and pictures.

    Returns:
        `rows`: for each picture and task the answers `before` and `after`; `similarity` of the texts in [0, 1]
        (difflib's ratio); `agreement` in [0, 1]: 1 minus half the summed absolute difference of the two models'
        next-token probabilities, averaged along the answer of `before`.
        `similarity` and `agreement`: means over all rows.
    """
    rows: list[dict[str, Any]] = []
    device = next(after.parameters()).device
    for start in range(0, len(pictures), BATCH):
        some = pictures[start : start + BATCH]
        fitted = [Image.fromarray(stretched(p, size).transpose(1, 2, 0).copy()) for _, p in some]
        for task in TASKS:
            inputs = processor(text=[task] * len(fitted), images=fitted, return_tensors="pt")
            inputs = {name: tensor.to(device) for name, tensor in inputs.items()}
            with torch.inference_mode():
                ids, texts = _answers(before, processor, inputs)
                _, other_texts = _answers(after, processor, inputs)
                shares = [
                    model(**inputs, decoder_input_ids=ids).logits.float().softmax(-1) for model in (before, after)
                ]
            agreement = _agreement(shares, ids, processor.tokenizer.pad_token_id)
            for index, (name, _) in enumerate(some):
                first, second = texts[index], other_texts[index]
                rows.append(
                    {
                        "picture": name,
                        "task": task,
                        "before": first,
                        "after": second,
                        "similarity": difflib.SequenceMatcher(None, first, second, autojunk=False).ratio(),
                        "agreement": float(agreement[index]),
                    }
                )
    return {
        "rows": rows,
        "similarity": sum(r["similarity"] for r in rows) / max(1, len(rows)),
        "agreement": sum(r["agreement"] for r in rows) / max(1, len(rows)),
    }
