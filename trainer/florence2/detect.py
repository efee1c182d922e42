"""Boxes for pictures with a Florence-2 run: pin, mode, place and confidence of each; used by `trainer.predict`.

The picture is stretched to the network's size as in training; boxes come back in px of the picture as it was given.
With a table of positions a box also gets the address and cavity of the pin it lies on.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont

from trainer.core.errors import InputError
from trainer.core.options import device_of
from trainer.florence2.answers import AnswerGrammar, Found, Vocabulary, generate
from trainer.florence2.data import Collator, Pin, stretched
from trainer.florence2.metrics import pin_at
from trainer.florence2.run import Detector, load_detector
from trainer.florence2.training import END_BIAS

GREEN, RED = (40, 167, 69), (214, 48, 49)
COLOURS = {"BENDNG": (255, 159, 28), "NUKENG": (255, 70, 70), "OTHERNG": (190, 90, 255)}
SMALLEST_SIDE = 768
TABLE = ("address", "cavity", "x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class Detection:
    """One box: xyxy in px of the picture, class, confidence in [0, 1]; address and cavity where positions are known."""

    box: tuple[float, float, float, float]
    label: str
    confidence: float
    address: str | None
    cavity: str | None


@dataclass(frozen=True)
class DetectionVerdict:
    """What a detector says of one picture: `NG` where it found a box at or above its threshold.

    Args:
        file: The picture's path as given or found.
        verdict: `OK` or `NG`.
        width, height: Of the picture in px.
        threshold: Confidence from which a box counts.
        boxes: Those at or above it, in the answer's order.
    """

    file: str
    verdict: str
    width: int
    height: int
    threshold: float
    boxes: tuple[Detection, ...]


class Inspector:
    """A trained detector, ready for pictures.

    Args:
        model: Florence-2 in evaluation mode.
        processor: Its processor.
        detector: What the run knows.
    """

    def __init__(self, model: Any, processor: Any, detector: Detector) -> None:
        self.model, self.detector = model, detector
        vocabulary = Vocabulary(processor.tokenizer, detector.labels, detector.remove_hyphens)
        self.collator = Collator(processor, vocabulary, detector.classes, detector.size)
        self.grammar = AnswerGrammar(vocabulary)

    @classmethod
    def load(cls, run: Path, device: torch.device | None = None) -> "Inspector":
        """The detector of a finished run; without `device` on a graphics card where there is one.

        Raises:
            InputError: The run is missing, unfinished or of another kind.
        """
        model, processor, detector = load_detector(run)
        model.to(device or device_of("auto"))
        return cls(model, processor, detector)

    def find(self, pictures: Sequence[Image.Image]) -> list[list[Found]]:
        """Boxes of pictures of any size and mode, doubtful ones included, in px of each picture."""
        pixels = torch.stack(
            [torch.from_numpy(stretched(p, self.detector.size).copy()).float() / 255 for p in pictures]
        )
        inputs = {k: v.to(self.model.device) for k, v in self.collator.inputs(pixels).items()}
        return generate(self.model, inputs, self.grammar, [p.size for p in pictures], END_BIAS)


def _pin(address: Any, cavity: Any, box: Any) -> Pin:
    """A pin of a table or a record.

    Raises:
        ValueError: The box is none, with what it is.
    """
    numbers = isinstance(box, list) and len(box) == 4 and all(type(v) in (int, float) for v in box)
    if not numbers or not (box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"{box!r}")
    if not (isinstance(address, str) and isinstance(cavity, str)):
        raise ValueError(f"address {address!r} and cavity {cavity!r}")
    return Pin(address, cavity, tuple(box), "")


def read_positions(path: Path) -> list[Pin]:
    """Positions of a view: a CSV with address, cavity, x1, y1, x2, y2 in px, or a record that the renderer wrote.

    Raises:
        InputError: Neither of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(f"--positions {path}: expected a CSV table or a record, got {e}") from e
    if path.suffix == ".json":
        try:
            return [
                _pin(p["address"], p["cavity"], p["boxes"]["expected"])
                for p in json.loads(text)["positions"]
                if p["boxes"]["expected"] is not None
            ]
        except (ValueError, KeyError, TypeError) as e:
            raise InputError(
                f"--positions {path}: expected a record with positions and boxes, x1 < x2 and y1 < y2 in px, got {e!r}"
            ) from e
    reader = csv.DictReader(text.splitlines())
    if missing := set(TABLE) - set(reader.fieldnames or ()):
        raise InputError(
            f"--positions {path}: expected the columns {', '.join(TABLE)}, got none named {', '.join(sorted(missing))}"
        )
    pins, problems = [], []
    for number, row in enumerate(reader, 2):
        try:
            pins.append(_pin(row["address"], row["cavity"], [float(row[name]) for name in TABLE[2:]]))
        except (TypeError, ValueError) as e:
            problems.append(f"--positions {path}:{number}: expected x1 < x2 and y1 < y2 in px, got {e}")
    if problems:
        raise InputError(problems)
    return pins


def verdict_of(
    found: Sequence[Found], size: tuple[int, int], file: str, threshold: float, pins: Sequence[Pin] = ()
) -> DetectionVerdict:
    """The verdict that boxes amount to at a threshold; with positions each box gets its pin's address."""
    boxes = []
    for one in found:
        if one.confidence >= threshold:
            pin = pin_at(one.box, pins)
            where = (pin.address, pin.cavity) if pin else (None, None)
            boxes.append(Detection(one.box, one.label, one.confidence, *where))
    return DetectionVerdict(file, "NG" if boxes else "OK", *size, threshold, tuple(boxes))


def draw_boxes(
    picture: Image.Image, boxes: Sequence[tuple[Sequence[float], str, str]], factor: int = 1
) -> Image.Image:
    """A picture enlarged by a whole factor with boxes round their objects.

    Args:
        picture: RGB.
        boxes: (xyxy in px of the picture, label, text beside it).
        factor: How much larger.
    """
    sheet = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(sheet)
    size = max(10.0, sheet.height / 22)
    font = ImageFont.load_default(size=size)
    for box, label, text in boxes:
        x1, y1, x2, y2 = (round(v * factor) for v in box)
        colour = COLOURS.get(label, (90, 200, 255))
        draw.rectangle((x1 - 2, y1 - 2, x2 + 1, y2 + 1), outline=colour, width=max(1, factor // 2))
        # Above the box, or below it at the picture's top; never over what is boxed.
        left = min(x1 - 2, sheet.width - int(draw.textlength(text, font=font)) - 1)
        at, anchor = ((left, y1 - 4), "ls") if y1 > size * 1.3 else ((left, y2 + 3), "la")
        draw.text(at, text, fill=colour, font=font, anchor=anchor, stroke_width=1, stroke_fill=(0, 0, 0))
    return sheet


def annotate(picture: Image.Image, verdict: DetectionVerdict) -> Image.Image:
    """The picture with its boxes, under a bar with the verdict and each pin in words."""
    factor = max(1, -(-SMALLEST_SIDE // picture.width))
    boxes = [
        (b.box, b.label, " ".join(filter(None, (b.address, b.label, f"{b.confidence:.0%}"))))
        for b in verdict.boxes
    ]
    body = draw_boxes(picture, boxes, factor)
    bar = max(28, body.width // 24)
    sheet = Image.new("RGB", (body.width, body.height + bar), "white")
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((0, 0, body.width, bar), fill=GREEN if verdict.verdict == "OK" else RED)
    said = "  ".join([verdict.verdict, *(f"{b.address or '?'} {b.label}" for b in verdict.boxes)])
    draw.text(
        (bar // 3, bar // 2), said, fill="white", font=ImageFont.load_default(size=bar * 0.55), anchor="lm"
    )
    sheet.paste(body, (0, bar))
    return sheet
