"""Pictures and truth for `<OD>` training and evaluation: the splits of a dataset, and which of their rows train.

Pictures are stretched to the network's size, as Florence-2's own processor does it; places in an answer count in
thousandths of the picture, so they stay the same. A moved picture gets its answer anew from the moved boxes.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.held_out import positions_by_scene
from trainer.core.split import Pictures
from trainer.florence2.samples import Sample
from trainer.florence2.truth import Truth, truth_of
from trainer.vit.network.letterbox import rgb
from trainer.vit.network.model import OK_CLASS

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
        table = rows.select_columns([c for c in rows.column_names if c not in ("image", "nsoart", "mask")]).to_list()
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
