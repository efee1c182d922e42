"""Pictures and boxes for `<OD>` training and evaluation: what is true of each picture, and how a batch is made of it.

Pictures are stretched to the network's size, as Florence-2's own processor does it; places in an answer count in
thousandths of the picture, so they stay the same. The answer is `bbox_str`; its boxes are looked up among `objects`
for exact edges, address and cavity, and a moved picture gets its answer anew from the moved boxes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from trainer.core.augmentation import TURN_DEG, inside, mirror, photometric, shift, turn
from trainer.core.data import Pictures
from trainer.core.errors import InputError
from trainer.core.options import say
from trainer.core.positions import positions_by_scene
from trainer.florence2.answers import Vocabulary
from trainer.florence2.truth import Truth, truth_of
from trainer.vit.network.letterbox import rgb
from trainer.vit.network.model import OK_CLASS

DIGITS = ("as-is", "printed", "overlaid", "none")
# Shares of width and height by which a picture may be shifted: about a pitch, so that no place keeps its meaning.
REACH = (0.12, 0.3)
ZOOM = 0.12
IGNORED = -100
_ROW = re.compile(r"r(\d+)")


@dataclass(frozen=True)
class DetectionSplit:
    """One split: its pictures at the network's size, and what is true of each."""

    pictures: Pictures
    truths: list[Truth]

    def __len__(self) -> int:
        return len(self.truths)


@dataclass(frozen=True)
class DetectionData:
    """A dataset for detection.

    Args:
        splits: By name; `train` and `validation` at least.
        classes: All class names, OK among them.
        size: (W, H) px of the network's pictures.
    """

    splits: dict[str, DetectionSplit]
    classes: tuple[str, ...]
    size: tuple[int, int]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes an answer may name."""
        return tuple(name for name in self.classes if name != OK_CLASS)

    def seen_positions(self, rows: Sequence[int]) -> dict[str, list[str]]:
        """Pins that carry a defect somewhere in the `rows` of the split `train` that train, by scene."""
        return positions_by_scene(self.splits["train"].truths[row].defects for row in rows)


def stretched(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """A picture as Florence-2's processor makes it, before normalisation: uint8 (3, H, W), stretched to (W, H) px."""
    picture = rgb(picture)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1)


def detection_data(
    dataset: Mapping[str, Any],
    classes: tuple[str, ...],
    folder: Path,
    column: str,
    size: tuple[int, int],
    needed: Sequence[str] = ("train", "validation"),
) -> DetectionData:
    """What detection needs of splits that `read_dataset` returned; one without any answer is left out, and it is said.

    Args:
        dataset: At least one split.
        classes: Their class names.
        folder: What messages call the dataset.
        column: `image` or `nsoart`.
        size: (W, H) px of the network's pictures.
        needed: Splits that must have answers.

    Raises:
        InputError: A column, an answer or a picture is missing or broken, or no split has answers.
    """
    if "bbox_str" not in next(iter(dataset.values())).features:
        raise InputError(f"--data {folder}: expected a column 'bbox_str', got none")
    splits, problems, null_only = {}, [], []
    for name, rows in dataset.items():
        table = rows.select_columns(
            [c for c in rows.column_names if c not in ("image", "nsoart", "mask")]
        ).to_list()
        # A picture of which only the class is known has no answer: an empty one would say that nothing is wrong.
        known = [index for index, row in enumerate(table) if row["bbox_str"] is not None]
        if not known:
            null_only.append(name)
            continue
        truths = []
        for index in known:
            row = table[index]
            try:
                truths.append(truth_of(row, classes, f"--data {folder} split {name}: row {index},"))
            except InputError as e:
                problems += e.problems
        if not problems:
            try:
                answered = rows if len(known) == len(rows) else rows.select(known)
                splits[name] = DetectionSplit(Pictures(answered, column, size, fitted=stretched), truths)
            except InputError as e:
                problems += [f"--data {folder} split {name}: {problem}" for problem in e.problems]
    problems += [
        f"--data {folder} split {name}: expected answers in column bbox_str, got null only"
        for name in null_only
        if name in needed or len(null_only) == len(dataset)
    ]
    if problems:
        raise InputError(problems[:20])
    for name in null_only:
        say(f"split {name} is left out: its column bbox_str is null only, no picture of it has an answer")
    return DetectionData(splits, classes, size)


def chosen_rows(split: DetectionSplit, digits: str, share: float) -> list[int]:
    """Rows to train on: all; or with `printed` and `none` those whose housing carries print, or none.

    `printed` with a share below 1 takes rows without print too, and of either so many that the share holds.

    Raises:
        InputError: There is no such row.
    """
    marked = [i for i, t in enumerate(split.truths) if t.factors.get("marking", "none") != "none"]
    plain = sorted(set(range(len(split))) - set(marked))
    if digits == "none":
        rows = plain
    elif digits == "printed":
        # As many as the scarcer kind allows.
        kinds = ((marked, share), (plain, 1 - share))
        most = min(len(kind) / part for kind, part in kinds if part > 0)
        rows = sorted(row for kind, part in kinds for row in kind[: round(most * part)])
    else:
        rows = list(range(len(split)))
    if not rows:
        raise InputError(
            f"--digits {digits}: expected such pictures in the training split, got {len(marked)} with print and "
            f"{len(plain)} without"
        )
    return rows


def training_rows(split: DetectionSplit, digits: str, share: float, limit: int, seed: int) -> list[int]:
    """Rows to train on: those of `chosen_rows`, and of these at most `limit` drawn ones; 0 = all.

    Raises:
        InputError: There is no such row.
    """
    rows = chosen_rows(split, digits, share)
    if limit:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        rows = sorted(rows[i] for i in order[:limit].tolist())
    return rows


def overlay(pixels: Tensor, boxes: Tensor, texts: Sequence[str]) -> Tensor:
    """Write a text above each box, as the source's pictures have it.

    Args:
        pixels: (3, H, W) in [0, 1].
        boxes: (M, 4) xyxy in px.
        texts: One per box.
    """
    picture = Image.fromarray((pixels.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy())
    draw = ImageDraw.Draw(picture)
    size = max(7.0, pixels.shape[1] / 16)
    font = ImageFont.load_default(size=size)
    for (x1, y1, x2, _), text in zip(boxes.tolist(), texts, strict=True):
        draw.text(((x1 + x2) / 2, y1 - 1), text, fill=(255, 255, 255), font=font, anchor="md")
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255


class Sample(NamedTuple):
    """One picture as it is shown to the network, or a close-up of it.

    Args:
        pixels: (3, H, W) in [0, 1].
        boxes: (P, 4) xyxy in px of the whole picture, of every pin that is still shown.
        categories: (P,) indices of their classes.
        in_answer: (P,) whether it belongs to the answer.
        rows: (P,) the connector's row of each, 0 where there is no address.
        offset: (x, y) px of a close-up's corner in the whole picture.
    """

    pixels: Tensor
    boxes: Tensor
    categories: Tensor
    in_answer: Tensor
    rows: Tensor
    offset: tuple[int, int] = (0, 0)

    def kept(self, which: Tensor) -> "Sample":
        """The same picture with some of its pins."""
        return self._replace(
            boxes=self.boxes[which],
            categories=self.categories[which],
            in_answer=self.in_answer[which],
            rows=self.rows[which],
        )


def sample_of(split: DetectionSplit, index: int, size: tuple[int, int], classes: Sequence[str]) -> Sample:
    """A row as it is, in network px."""
    truth = split.truths[index]
    scale = torch.tensor([size[0] / truth.size[0], size[1] / truth.size[1]] * 2)
    boxes = torch.tensor([pin.box for pin in truth.pins]).reshape(-1, 4) * scale
    in_answer = torch.zeros(len(truth.pins), dtype=torch.bool)
    in_answer[list(truth.answer)] = True
    categories = torch.tensor([classes.index(pin.label) for pin in truth.pins], dtype=torch.long)
    found = [_ROW.match(pin.address) for pin in truth.pins]
    rows = torch.tensor([int(match[1]) if match else 0 for match in found], dtype=torch.long)
    return Sample(split.pictures.batch([index])[0].float() / 255, boxes, categories, in_answer, rows)


def _reach(boxes: Tensor, extent: int, axis: int) -> tuple[int, int]:
    most = int(REACH[axis] * extent)
    if not len(boxes):
        return -most, most
    low = -min(most, max(0, int(boxes[:, axis].min())))
    return low, min(most, max(0, int(extent - boxes[:, axis + 2].max())))


def augmented(sample: Sample, may_flip: tuple[bool, bool], generator: torch.Generator) -> Sample:
    """Shift, turn, zoom, mirror and change the light; every box of the answer stays whole in the picture."""
    pixels, boxes, in_answer = sample.pixels, sample.boxes, sample.in_answer
    height, width = pixels.shape[1:]
    draw = torch.rand(12, generator=generator).tolist()
    if draw[0] < 0.6:
        turned = turn(pixels, boxes, TURN_DEG * (2 * draw[1] - 1), (1 + ZOOM) ** (2 * draw[2] - 1))
        if inside(turned[1][in_answer], (width, height)):
            pixels, boxes = turned
    low, high = _reach(boxes[in_answer], width, 0)
    dx = low + int(draw[3] * (high - low + 1))
    low, high = _reach(boxes[in_answer], height, 1)
    dy = low + int(draw[4] * (high - low + 1))
    pixels, boxes = shift(pixels, boxes, dx, dy)
    pixels, boxes = mirror(pixels, boxes, may_flip[0] and draw[5] < 0.5, may_flip[1] and draw[6] < 0.5)
    pixels = photometric(pixels, draw[7:11], generator)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    held = ((centres >= 0) & (centres <= boxes.new_tensor([width, height]))).all(1)
    return sample._replace(pixels=pixels, boxes=boxes).kept(held)


def close_up(sample: Sample, side: int, stride: int, generator: torch.Generator, on_answer: bool) -> Sample:
    """A square cut-out that keeps its place: boxes stay in px of the whole picture, which is shown only there.

    Args:
        sample: Of a whole picture.
        side: Px, a multiple of `stride`.
        stride: Px per picture token; the corner is a multiple of it.
        generator: Source of the draws.
        on_answer: Whether to look at a box of the answer, where there is one.
    """
    height, width = sample.pixels.shape[1:]
    answer = sample.boxes[sample.in_answer]
    best: tuple[int, int, int] | None = None
    for _ in range(4):
        draw = torch.rand(3, generator=generator)
        room = torch.tensor([width - side, height - side])
        if on_answer and len(answer):
            box = answer[int(draw[2] * len(answer))]
            corner = (box[:2] + box[2:]) / 2 - side * (0.2 + 0.6 * draw[:2])
        else:
            corner = draw[:2] * (room + stride)
        corner = (corner / stride).floor().long() * stride
        x, y = (int(corner[axis].clamp(0, int(room[axis]) // stride * stride)) for axis in (0, 1))
        # A defect that is cut by the edge is neither there nor not.
        low, high = answer.new_tensor([x, y]), answer.new_tensor([x + side, y + side])
        touches = ((answer[:, 2:] > low) & (answer[:, :2] < high)).all(1)
        whole = ((answer[:, :2] >= low) & (answer[:, 2:] <= high)).all(1)
        cut = int((touches & ~whole).sum())
        if best is None or cut < best[0]:
            best = cut, x, y
        if not cut:
            break
    assert best is not None
    _, x, y = best
    centres = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2
    corner = centres.new_tensor([x, y])
    shown = ((centres >= corner) & (centres < corner + side)).all(1)
    return sample._replace(pixels=sample.pixels[:, y : y + side, x : x + side], offset=(x, y)).kept(shown)


class Batch(NamedTuple):
    """Tensors of one step.

    Args:
        inputs: `pixel_values` (B, 3, H, W) normalised, `input_ids` and `attention_mask` (B, S).
        labels: (B, T), `IGNORED` behind the end of an answer.
        good: (B, U), the same for a list of the OK pins; None where nobody asked.
        corners: (B, 2), (x, y) px of close-ups in their pictures; None for whole pictures.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    good: Tensor | None = None
    corners: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        return Batch(
            {name: tensor.to(device) for name, tensor in self.inputs.items()},
            self.labels.to(device),
            None if self.good is None else self.good.to(device),
            None if self.corners is None else self.corners.to(device),
        )


class Collator:
    """Makes batches of samples.

    Args:
        processor: Of the model: its prompt, mean and s.d.
        vocabulary: Its tokens.
        classes: All class names.
        size: (W, H) px of its pictures.
    """

    def __init__(
        self, processor: Any, vocabulary: Vocabulary, classes: Sequence[str], size: tuple[int, int]
    ) -> None:
        blank = Image.new("RGB", size)
        self.prompt = processor(text="<OD>", images=blank, return_tensors="pt")["input_ids"]  # (1, S)
        self.image_token: int = processor.tokenizer.image_token_id
        pictures = processor.image_processor
        self.mean = torch.tensor(pictures.image_mean).reshape(3, 1, 1)
        self.std = torch.tensor(pictures.image_std).reshape(3, 1, 1)
        self.vocabulary, self.classes, self.size = vocabulary, tuple(classes), size
        # With OK among the words, for the scaffold's list of good pins.
        self.all_words = Vocabulary(processor.tokenizer, classes)

    def inputs(self, pixels: Tensor) -> dict[str, Tensor]:
        """The model's inputs for pixels (B, 3, H, W) in [0, 1]; a close-up's prompt has fewer picture tokens."""
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

    def __call__(self, samples: Sequence[Sample], good: bool = False) -> Batch:
        """A batch; with `good` also the list of OK pins."""
        pixels = torch.stack([s.pixels for s in samples])
        is_close_up = pixels.shape[2:] != (self.size[1], self.size[0])
        return Batch(
            self.inputs(pixels),
            _padded([self._answer(s) for s in samples]),
            _padded([self._good(s) for s in samples]) if good else None,
            torch.tensor([s.offset for s in samples]) if is_close_up else None,
        )

    def _answer(self, sample: Sample) -> list[int]:
        labels = [self.classes[c] for c in sample.categories[sample.in_answer].tolist()]
        return self.vocabulary.tokens(sample.boxes[sample.in_answer].tolist(), labels, self.size)

    def _good(self, sample: Sample) -> list[int]:
        """OK pins row by row as they stand in the picture: an order that can be foreseen, as that by edges cannot."""
        pins = sample.kept(sample.categories == self.classes.index(OK_CLASS))
        centres = (pins.boxes[:, :2] + pins.boxes[:, 2:]) / 2
        height = {row: float(centres[pins.rows == row, 1].mean()) for row in set(pins.rows.tolist())}
        order = sorted(range(len(centres)), key=lambda i: (height[int(pins.rows[i])], float(centres[i, 0])))
        return self.all_words.listed(pins.boxes[order].tolist(), OK_CLASS, self.size)


def _padded(answers: Sequence[Sequence[int]]) -> Tensor:
    labels = torch.full((len(answers), max(map(len, answers))), IGNORED)
    for row, answer in zip(labels, answers, strict=True):
        row[: len(answer)] = torch.tensor(answer)
    return labels
