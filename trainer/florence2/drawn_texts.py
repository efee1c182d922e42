"""Numbers and other texts drawn on pictures, so that a detector learns that a text is no defect, or is tested on them.

No text lies on the box of a pin or other object, be it OK or NG: a text would hide a defect, and if only good pins had
texts on them, a model would learn that a text means OK. The numbers beside the pins are not their cavities', and some
pins get none: otherwise a model could learn from a number, or from a missing one, which pins are defective.
"""

from random import Random
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from generator.io.drawing import Ink, label
from trainer.florence2.samples import overlay
from trainer.florence2.truth import Truth
from trainer.vit.network.letterbox import rgb

# Font sizes as shares of the picture's height, and the smallest in px.
SIZES, SMALLEST_PX = (0.055, 0.14), 7.0
INKS: tuple[Ink, ...] = (
    *((255, 255, 255), (0, 0, 0), (255, 235, 0), (0, 255, 60), (255, 40, 30), (0, 220, 255)),
    *((205, 205, 200), (150, 150, 150), (90, 90, 95), (40, 90, 255)),
)
MOST_TEXTS, TRIES, LEFT_OUT = 6, 8, 0.15
# Directions from a pin to its number: above more often than below, left or right.
SIDES = (*((0, -1),) * 4, (0, 1), (-1, 0), (1, 0))
WORDS = ("OK", "NG", "PASS", "FAIL", "LOT", "REV", "PBT-GF30", "TOP")
LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"


class Look(NamedTuple):
    """The look of texts: font size in px, colours (see `drawing.label`), factor on the width, opacity from 0 to 1."""

    px: float
    ink: Ink
    paper: Ink | None
    edge: Ink | None
    width: float
    opacity: float


def seeded(generator: torch.Generator) -> Random:
    """Return a source of random numbers for the functions below, seeded with the next number of `generator`."""
    return Random(int(torch.randint(2**62, (), generator=generator)))


def varied(pixels: Tensor, boxes: Tensor, draws: Random, numbered: bool = True) -> Tensor:
    """Draw random texts beside the pins, elsewhere in the picture, or both; returns new pixels (3, H, W).

    Args:
        pixels: (3, H, W) in [0, 1].
        boxes: (M, 4) xyxy in px of all pins and other objects, on which no text may lie.
        draws: Source of the texts, looks and places.
        numbered: Whether numbers may be drawn beside the pins. If only defects have boxes, a number would betray them.
    """
    pixels, taken = pixels.clone(), boxes.tolist()
    which = draws.randrange(3) if numbered else 1
    if which != 1:
        _number(pixels, boxes, taken, draws)
    if which != 0:
        for _ in range(draws.randint(1, MOST_TEXTS)):
            _write(pixels, taken, _text(draws), draws, at_edge=draws.random() < 0.2)
    return pixels


def with_texts(picture: Image.Image, truth: Truth, kind: str) -> Image.Image:
    """Draw texts on a picture to test a model; returns an RGB picture, the same for the same picture and `kind`.

    Args:
        picture, truth: The picture as stored, and its true boxes.
        kind: One of `run.DRAWN_TEXTS`. `overlaid`: the cavity's number above each pin, white; `edges`: a date, a part
            number and two other texts along the picture's edges; `varied`: as the function `varied` draws them.
    """
    draws = Random(f"{kind} {truth.run}")
    pixels = torch.from_numpy(np.asarray(rgb(picture), dtype=np.uint8).copy()).permute(2, 0, 1).float() / 255
    boxes = torch.tensor([pin.box for pin in truth.pins]).reshape(-1, 4)
    if kind == "overlaid":
        pixels = overlay(pixels, boxes, [pin.cavity or pin.address for pin in truth.pins])
    elif kind == "varied":
        pixels = varied(pixels, boxes, draws, numbered=len(truth.answer) < len(truth.pins))
    else:
        taken = boxes.tolist()
        for text in (_date(draws), _part_number(draws), _text(draws), _text(draws)):
            _write(pixels, taken, text, draws, at_edge=True)
    return Image.fromarray((pixels.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy())


def _date(draws: Random) -> str:
    day, month, year = draws.randint(1, 28), draws.randint(1, 12), draws.randint(2010, 2039)
    return draws.choice((f"{day:02}.{month:02}.{year}", f"{year}-{month:02}-{day:02}", f"{month}/{year % 100}"))


def _part_number(draws: Random) -> str:
    return f"{draws.choice(LETTERS)}{draws.randint(100, 99_999)}-{draws.randint(1, 99)}"


def _text(draws: Random) -> str:
    number = str(draws.randint(0, 10 ** draws.randint(1, 4)))
    letter, word = draws.choice(LETTERS), draws.choice(WORDS)
    return draws.choice((number, number, number, letter + number, _date(draws), _part_number(draws), word))


def _look(draws: Random, height: int) -> Look:
    ink = draws.choice(INKS)
    dark = sum(ink) < 380
    opposite = draws.choice(INKS[:1] + INKS[6:7] if dark else INKS[1:2] + INKS[8:9])
    ground = draws.random()
    return Look(
        px=max(SMALLEST_PX, height * draws.uniform(*SIZES)),
        ink=ink,
        paper=opposite if ground < 0.25 else None,
        edge=opposite if ground > 0.8 else ink if ground > 0.6 else None,  # of the same colour: bold letters
        width=draws.uniform(0.7, 1.3),
        opacity=draws.choice((1.0, 1.0, draws.uniform(0.4, 1.0))),
    )


def _drawn(text: str, look: Look) -> Tensor:
    """Draw a text; returns (4, h, w) in [0, 1]: its colours and its opacity."""
    picture = label(text, look.px, look.ink, look.paper, look.edge)
    size = max(1, round(picture.width * look.width)), picture.height
    drawn = torch.from_numpy(np.asarray(picture.resize(size, Image.Resampling.BILINEAR)).copy()).permute(2, 0, 1) / 255
    drawn[3] *= look.opacity
    return drawn


def _put(x: int, y: int, drawn: Tensor, pixels: Tensor, taken: list[list[float]]) -> bool:
    """Put a text with its left upper corner at (x, y), in place, if it fits there clear of all boxes in `taken`."""
    right, bottom = x + drawn.shape[2], y + drawn.shape[1]
    if x < 0 or y < 0 or right > pixels.shape[2] or bottom > pixels.shape[1]:
        return False
    if any(x < x2 and y < y2 and right > x1 and bottom > y1 for x1, y1, x2, y2 in taken):
        return False
    pixels[:, y:bottom, x:right].lerp_(drawn[:3], drawn[3:].expand(3, -1, -1))
    taken.append([x, y, right, bottom])
    return True


def _number(pixels: Tensor, boxes: Tensor, taken: list[list[float]], draws: Random) -> None:
    """Draw consecutive numbers, from any number on, beside most of the boxes, in place; without room, none."""
    look, (across, down) = _look(draws, pixels.shape[1]), draws.choice(SIDES)
    begin, step = draws.randint(1, 60), draws.choice((1, 1, -1, 3))
    before, gap = draws.choice(("", "", "", draws.choice(LETTERS), "r1c")), look.px * draws.uniform(0, 0.5)
    for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        if draws.random() < LEFT_OUT:
            continue
        drawn = _drawn(f"{before}{abs(begin + step * index)}", look)
        height, width = drawn.shape[1:]
        moved = [look.px * draws.uniform(-0.2, 0.2) for _ in "xy"]
        for farther in (0.0, 0.35, 0.7, 1.05):  # a bent pin's box is large: without this, it would often get no number
            off = gap + farther * look.px
            x = (x1 + x2 - width) / 2 + across * ((x2 - x1 + width) / 2 + off) + moved[0] * abs(down)
            y = (y1 + y2 - height) / 2 + down * ((y2 - y1 + height) / 2 + off) + moved[1] * abs(across)
            if _put(round(x), round(y), drawn, pixels, taken):
                break


def _write(pixels: Tensor, taken: list[list[float]], text: str, draws: Random, at_edge: bool) -> None:
    """Draw a text at a random free place, in place; it is left out if none is found."""
    drawn = _drawn(text, _look(draws, pixels.shape[1]))
    if draws.random() < 0.15:
        drawn = drawn.rot90(draws.choice((1, 3)), (1, 2))
    across, down = pixels.shape[2] - drawn.shape[2], pixels.shape[1] - drawn.shape[1]
    for _ in range(TRIES):
        x, y = draws.randint(0, max(0, across)), draws.randint(0, max(0, down))
        if at_edge:
            near = draws.randint(0, 2)
            x, y = draws.choice(((x, near), (x, down - near), (near, y), (across - near, y)))
        if _put(x, y, drawn, pixels, taken):
            return
