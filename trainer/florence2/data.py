"""Pictures and true boxes for `<OD>` training and evaluation: the splits of a dataset, and the rows that train.

Pictures are stretched to the network's size, as Florence-2's own processor does. Locations in an answer are thousandths
of the picture, so stretching does not change them. If augmentation moves a picture, its answer is written again from
its boxes.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainer.core.console import say
from trainer.core.dataset_columns import observable_px
from trainer.core.errors import InputError
from trainer.core.held_out import positions_by_scene
from trainer.core.pin_measures import measured_pins
from trainer.core.split import Pictures
from trainer.florence2.samples import Sample
from trainer.florence2.truth import Truth, is_visible, truth_of
from trainer.vit.network.letterbox import rgb
from trainer.vit.network.model import OK_CLASS

_ROW = re.compile(r"r(\d+)")


@dataclass(frozen=True)
class DetectionSplit:
    """One split: its pictures at the network's size, and in the same order the true boxes of each."""

    pictures: Pictures
    truths: list[Truth]

    def __len__(self) -> int:
        return len(self.truths)

    def subset(self, indices: Sequence[int]) -> "DetectionSplit":
        """Return the split with the pictures at `indices`, in that order."""
        return DetectionSplit(self.pictures.subset(indices), [self.truths[index] for index in indices])


@dataclass(frozen=True)
class DetectionData:
    """Splits of a dataset for detection, at the network's picture size.

    Args:
        splits: Splits by name; for a training at least `train` and `validation`.
        classes: All class names, OK among them.
        size: Size (W, H) of the network's pictures in px.
        observable_px: By how many px a bend or wrong height must move a tip to be visible, from the dataset's card.
    """

    splits: dict[str, DetectionSplit]
    classes: tuple[str, ...]
    size: tuple[int, int]
    observable_px: float

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that an answer may name: all but OK."""
        return tuple(name for name in self.classes if name != OK_CLASS)

    def seen_positions(self, rows: Sequence[int]) -> dict[str, list[str]]:
        """Return by scene the addresses of the pins that are defective in at least one of the `rows` of `train`."""
        return positions_by_scene(self.splits["train"].truths[row].defects for row in rows)


def stretched(picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Stretch a picture to `size` (W, H) px as Florence-2's processor does; returns uint8 (3, H, W), not normalised."""
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
    """Make the dataset for detection from the splits of `read_dataset`.

    Rows whose `bbox_str` is null are left out, and splits that have only such rows.

    Args:
        dataset, classes: Splits by name, at least one, and class names of the dataset.
        folder: The dataset's folder, for messages.
        column: Column of the pictures: `image` or `nsoart`.
        size: Size (W, H) of the network's pictures in px.
        needed: Splits that must have answers.

    Raises:
        InputError: A column, an answer or a picture is missing or broken, or no split has answers.
    """
    if "bbox_str" not in next(iter(dataset.values())).features:
        raise InputError(f"--data {folder}: expected a column 'bbox_str' with the <OD> answers, got no such column")
    splits, problems, null_only, least = {}, [], [], observable_px(folder)
    for name, rows in dataset.items():
        table = rows.select_columns([c for c in rows.column_names if c not in ("image", "nsoart", "mask")]).to_list()
        # null: only the picture's class is known. (An empty answer states that there is no defect.)
        known = [index for index, row in enumerate(table) if row["bbox_str"] is not None]
        if not known:
            null_only.append(name)
            continue
        truths = []
        for index in known:
            row = table[index]
            try:
                truths.append(truth_of(row, classes, f"--data {folder} split {name}: row {index},", least))
            except InputError as e:
                problems += e.problems
        if not problems:
            try:
                answered = rows if len(known) == len(rows) else rows.select(known)
                splits[name] = DetectionSplit(Pictures(answered, column, size, fitted=stretched), truths)
            except InputError as e:
                problems += [f"--data {folder} split {name}: {problem}" for problem in e.problems]
    problems += [
        f"--data {folder} split {name}: expected answers in column bbox_str, got null in every row"
        for name in null_only
        if name in needed or len(null_only) == len(dataset)
    ]
    if problems:
        raise InputError(problems[:20])
    for name in null_only:
        say(f"split {name} is left out: it has no answers, since its column bbox_str is null in every row")
    return DetectionData(splits, classes, size, least)


def chosen_rows(split: DetectionSplit, digits: str, share: float) -> list[int]:
    """Choose the rows to train on by the print on the housing; returns indices of the rows, sorted.

    Args:
        split: The training split.
        digits: Value of --digits. `printed`: rows with print, see `share`; `none`: rows without print; other: all rows.
        share: With `printed`, the share of the chosen rows that have print; as many rows as possible are chosen.

    Raises:
        InputError: There is no such row.
    """
    marked = [i for i, t in enumerate(split.truths) if t.factors.get("marking", "none") != "none"]
    plain = sorted(set(range(len(split))) - set(marked))
    if digits == "none":
        rows = plain
    elif digits == "printed":
        # The scarcer of the two kinds limits the number of rows.
        kinds = ((marked, share), (plain, 1 - share))
        most = min(len(kind) / part for kind, part in kinds if part > 0)
        rows = sorted(row for kind, part in kinds for row in kind[: round(most * part)])
    else:
        rows = list(range(len(split)))
    if digits == "varied" and all(len(t.answer) == len(t.pins) for t in split.truths):
        raise InputError(
            "--digits varied: expected training pictures with boxes of good pins too, got boxes of defects alone; "
            "texts would lie on good pins only, and a model would learn that a text means OK"
        )
    if not rows:
        wanted = "without" if digits == "none" else "with" if share == 1 else "with and without"
        raise InputError(
            f"--digits {digits}: expected training pictures {wanted} print on the housing, got {len(marked)} with and "
            f"{len(plain)} without"
        )
    return rows


def training_rows(split: DetectionSplit, digits: str, share: float, limit: int, seed: int) -> list[int]:
    """Choose the rows to train on by `digits` and `share` (see `chosen_rows`); returns indices of the rows, sorted.

    If there are more than `limit`, so many of them are drawn at random, by `seed`; 0 means no limit.

    Raises:
        InputError: `chosen_rows` finds no row.
    """
    rows = chosen_rows(split, digits, share)
    if limit:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        rows = sorted(rows[i] for i in order[:limit].tolist())
    return rows


def sample_of(split: DetectionSplit, index: int, size: tuple[int, int], classes: Sequence[str]) -> Sample:
    """Make the sample of row `index`, not augmented; boxes are in px of the network's picture of `size` (W, H)."""
    truth = split.truths[index]
    scale = torch.tensor([size[0] / truth.size[0], size[1] / truth.size[1]] * 2)
    boxes = torch.tensor([pin.box for pin in truth.pins]).reshape(-1, 4) * scale
    in_answer = torch.zeros(len(truth.pins), dtype=torch.bool)
    in_answer[list(truth.answer)] = True
    categories = torch.tensor([classes.index(pin.label) for pin in truth.pins], dtype=torch.long)
    found = [_ROW.match(pin.address) for pin in truth.pins]
    rows = torch.tensor([int(match[1]) if match else 0 for match in found], dtype=torch.long)
    pixels = split.pictures.batch([index])[0].float() / 255
    return Sample(pixels, boxes, categories, in_answer, rows, measures=measures_of(truth, size))


def position_shares(truths: Sequence[Truth]) -> dict[tuple[str, str], float]:
    """Return how often the good pins of each position may teach that they are good, by scene and address.

    A position that is defective in no picture gets 0: else its place alone would tell that its pin is good, and a model
    that learns this misses the first defect there. The other positions get shares in proportion to their number of
    defects per good pin; the half of them that have the most get 1.
    """
    good: Counter[tuple[str, str]] = Counter()
    defective: Counter[tuple[str, str]] = Counter()
    for truth in truths:
        scene = truth.factors.get("scene", "")
        defective.update((scene, pin.address) for pin in truth.targets)
        good.update((scene, pin.address) for pin in truth.pins if pin.label == OK_CLASS)
    odds = {key: defective[key] / count for key, count in good.items()}
    middle = median([value for value in odds.values() if value] or [1.0])
    return {key: min(1.0, value / middle) for key, value in odds.items()}


def measures_of(truth: Truth, size: tuple[int, int]) -> Tensor:
    """Return (Q, 6) the visible pins whose measures are stated: see `Sample`; `size` (W, H) is that of the network."""
    across, down = size[0] / truth.size[0], size[1] / truth.size[1]
    return measured_pins(filter(is_visible, truth.objects), lambda x, y: (x * across, y * down))
