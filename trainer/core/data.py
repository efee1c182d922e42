"""Pictures, labels and boxes of a dataset, ready for training: decoded once, held in memory where they fit.

Pictures of another size than the network's are fitted (`trainer.vit.network.letterbox`), and the boxes move
with the pixels.
"""

import atexit
import copy
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from generator.io import pictures as decoder
from trainer.core.augmentation import LEFT_RIGHT, UP_DOWN
from trainer.core.distributed import speaks
from trainer.core.errors import InputError, as_input_error
from trainer.vit.network.letterbox import Fit, fit_of, pixels_of
from trainer.vit.network.model import OK_CLASS

if TYPE_CHECKING:
    from generator.dataset.rows import ObjectRow

INPUTS = ("image", "nsoart", "image+nsoart")
IGNORED = -1
# A box whose object is hidden shows something else: it teaches nothing. The dataset's own rule for `bbox_str`.
MIN_VISIBLE = 0.1
# A bar for what is read at once would only flash.
SHOWN_AFTER_S = 2


def open_picture(source: Path | Mapping[str, Any] | None, name: str) -> Image.Image:
    """A picture as import and inspection read it: `generator.io.pictures.open_picture`.

    Args:
        source: A file, or an undecoded `datasets` picture with its bytes or path; None where a row has none.
        name: What a message calls the picture.

    Raises:
        InputError: It is missing, damaged or no picture.
    """
    if isinstance(source, Mapping):
        content, path = source.get("bytes"), source.get("path")
        source = content if content is not None else path and Path(path)
    if source is None:
        raise InputError(f"{name}: expected a picture, got null")
    with as_input_error():
        return decoder.open_picture(source, name)


class Pictures:
    """The pictures of one split by index: in memory where they fit, else decoded each time.

    Args:
        rows: A `datasets` split whose picture columns are not decoded.
        column: Name of that column; `image+nsoart` stacks the channels of both.
        size: Network's (W, H) in px.
        memory: Most bytes to hold; by default half of what is free now.
        fitted: How a picture becomes pixels (3, H, W) uint8 of `size`.
    """

    def __init__(
        self,
        rows: Any,
        column: str,
        size: tuple[int, int],
        memory: int | None = None,
        fitted: Callable[[Image.Image, tuple[int, int]], np.ndarray] = pixels_of,
    ) -> None:
        self._rows, self._columns, self._size, self._fitted = rows, column.split("+"), size, fitted
        self.channels = 3 * len(self._columns)
        need = len(rows) * self.channels * size[0] * size[1]
        if memory is None:
            memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
        self.in_memory = need <= memory
        self._held: Tensor | None = None
        if self.in_memory:
            self._held = torch.empty((len(rows), self.channels, size[1], size[0]), dtype=torch.uint8)
            bar = tqdm(
                range(len(rows)),
                desc="reading",
                unit="picture",
                leave=False,
                delay=SHOWN_AFTER_S,
                disable=None if speaks() else True,
            )
            for index in bar:
                self._held[index] = self._decode(index)

    def _decode(self, index: int) -> Tensor:
        row, channels = self._rows[index], []
        for column in self._columns:
            picture = open_picture(row[column], f"row {index}, column {column!r}")
            channels.append(self._fitted(picture, self._size))
        return torch.from_numpy(np.concatenate(channels))

    def one(self, index: int) -> Tensor:
        """(C, H, W) uint8; may be the held picture itself: not to be changed."""
        return self._decode(index) if self._held is None else self._held[index]

    def batch(self, indices: Sequence[int]) -> Tensor:
        """(B, C, H, W) uint8."""
        if self._held is not None:
            return self._held[torch.as_tensor(indices, dtype=torch.long)]
        if len(indices) == 0:
            return torch.empty((0, self.channels, self._size[1], self._size[0]), dtype=torch.uint8)
        return torch.stack([self._decode(int(i)) for i in indices])

    def subset(self, indices: Sequence[int]) -> "Pictures":
        """The pictures at `indices`, in that order; what is held in memory is not decoded again."""
        some = copy.copy(self)
        some._rows = self._rows.select(indices)
        some._held = None if self._held is None else self._held[torch.as_tensor(indices, dtype=torch.long)]
        return some


@dataclass(frozen=True)
class Split:
    """One split, ready for training: N pictures, which are as many examples, or N / `views` of `views` each.

    The pictures of one example follow each other. `len`, indices and `labels` count examples, all else is by picture.

    Args:
        pictures: The pictures by index.
        labels: (N / views,) class labels of the examples.
        boxes: (N, M, 4) xyxy in network px, M the largest number of objects; 0 where there is none.
        categories: (N, M) class labels of the boxes, `IGNORED` where there is none or it cannot be seen.
        boxes_known: (N,) whether the row's boxes tell the class of every patch.
        may_flip: (N, 2) whether the picture may be mirrored left-right and up-down.
        runs: (N,) names of the rows.
        rows: (N,) all other columns but pictures and objects.
        objects: (N,) what each picture shows, in the order of its boxes; None where that is not known.
        views: Pictures per example: see `trainer.core.views`.
    """

    pictures: Pictures
    labels: Tensor
    boxes: Tensor
    categories: Tensor
    boxes_known: Tensor
    may_flip: Tensor
    runs: list[str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    objects: "list[tuple[ObjectRow, ...] | None]" = field(default_factory=list)
    views: int = 1

    def __len__(self) -> int:
        return len(self.labels)

    def places(self, examples: Sequence[int] | Tensor) -> Tensor:
        """Indices (B * views,) of the pictures of `examples` (B,)."""
        at = torch.as_tensor(examples, dtype=torch.long)
        return at if self.views == 1 else (at[:, None] * self.views + torch.arange(self.views)).flatten()

    def pixels(self, examples: Sequence[int] | Tensor) -> Tensor:
        """What the network is shown of `examples`: (B, C, H, W) uint8, of several views (B, views, C, H, W)."""
        found = self.pictures.batch(self.places(examples).tolist())
        return found if self.views == 1 else found.unflatten(0, (-1, self.views))

    def by_picture(self) -> "Split":
        """The same with each picture as an example, under its example's label."""
        if self.views == 1:
            return self
        return replace(self, labels=self.labels.repeat_interleave(self.views), views=1)

    def name(self, example: int) -> str:
        """The example's run; of several views all of them, joined by `+`."""
        return "+".join(self.runs[example * self.views : (example + 1) * self.views])

    def subset(self, indices: Sequence[int]) -> "Split":
        """The examples at `indices`, in that order; the split itself when those are all of them."""
        if list(indices) == list(range(len(self))):
            return self
        at = self.places(indices)
        return Split(
            pictures=self.pictures.subset(at.tolist()),
            labels=self.labels[torch.as_tensor(indices, dtype=torch.long)],
            boxes=self.boxes[at],
            categories=self.categories[at],
            boxes_known=self.boxes_known[at],
            may_flip=self.may_flip[at],
            runs=[self.runs[i] for i in at.tolist()],
            rows=[self.rows[i] for i in at.tolist()] if self.rows else [],
            objects=[self.objects[i] for i in at.tolist()] if self.objects else [],
            views=self.views,
        )


@dataclass(frozen=True)
class Data:
    """A dataset's splits by name, its class names and the network's picture size (W, H) in px."""

    splits: dict[str, Split]
    classes: tuple[str, ...]
    size: tuple[int, int]
    warnings: list[str]


def housing_box(row: Mapping[str, Any], size: tuple[int, int]) -> list[float]:
    """The housing's box xyxy in px of a network that takes pictures of `size` (W, H); zeros where it is not known."""
    bbox = row.get("housing_bbox")
    if not bbox or not row.get("width") or not row.get("height"):
        return [0.0, 0.0, 0.0, 0.0]
    fit = fit_of((int(row["width"]), int(row["height"])), size)
    return _fitted(bbox, fit)


def _fitted(bbox: Sequence[float], fit: Fit) -> list[float]:
    """A COCO box of the dataset as xyxy in network px."""
    x, y, width, height = bbox
    x, y = x * fit.scale + fit.left, y * fit.scale + fit.top
    return [x, y, x + width * fit.scale, y + height * fit.scale]


def _boxes_of(
    row: dict[str, Any], size: tuple[int, int], ok: int
) -> tuple[list[list[float]], list[int], bool]:
    """A row's boxes in network px, their labels, and whether they tell the class of every patch."""
    objects = row.get("objects")
    if not objects or objects.get("bbox") is None or objects.get("category") is None:
        return [], [], False
    visible = objects.get("visible") or [None] * len(objects["bbox"])
    fit = (
        fit_of((int(row["width"]), int(row["height"])), size)
        if row.get("width") and row.get("height")
        else None
    )
    if fit is None:
        return [], [], False
    boxes, categories = [], []
    for bbox, category, seen in zip(objects["bbox"], objects["category"], visible, strict=True):
        if bbox is None or category is None:
            return [], [], False
        hidden = (seen is not None and seen < MIN_VISIBLE) or min(bbox[2:]) <= 0
        boxes.append(_fitted(bbox, fit))
        categories.append(IGNORED if hidden else int(category))
    shows_defect = any(category not in (ok, IGNORED) for category in categories)
    return boxes, categories, shows_defect or row["label"] == ok


def _split(
    rows: Any, column: str, size: tuple[int, int], classes: Sequence[str], memory: int | None
) -> Split:
    # Imported here: the row type takes seconds, and a prediction does without.
    from generator.dataset.rows import objects_of

    pictures = Pictures(rows, column, size, memory)
    skip = {"image", "nsoart", "mask", "bbox_str"}
    table = rows.select_columns([name for name in rows.column_names if name not in skip]).to_list()
    boxes, categories, known = [], [], []
    for row in table:
        row_boxes, row_categories, row_known = _boxes_of(row, size, classes.index(OK_CLASS))
        boxes.append(row_boxes)
        categories.append(row_categories)
        known.append(row_known)
    most = max((len(b) for b in boxes), default=0)
    all_boxes = torch.zeros((len(table), most, 4))
    all_categories = torch.full((len(table), most), IGNORED)
    for index, (row_boxes, row_categories) in enumerate(zip(boxes, categories, strict=True)):
        if row_boxes:
            all_boxes[index, : len(row_boxes)] = torch.tensor(row_boxes)
            all_categories[index, : len(row_boxes)] = torch.tensor(row_categories)
    # A mirrored print is a false print; a view from the left mirrored left-right is one from the right.
    may_flip = [
        [row.get("marking") == "none" and row.get("camera") in cameras for cameras in (LEFT_RIGHT, UP_DOWN)]
        for row in table
    ]
    return Split(
        pictures=pictures,
        labels=torch.tensor([row["label"] for row in table]),
        boxes=all_boxes,
        categories=all_categories,
        boxes_known=torch.tensor(known, dtype=torch.bool),
        may_flip=torch.tensor(may_flip, dtype=torch.bool),
        runs=[str(row.get("run", index)) for index, row in enumerate(table)],
        rows=[{name: value for name, value in row.items() if name != "objects"} for row in table],
        objects=[objects_of(row, classes) for row in table],
    )


def _objects_fit(features: Any) -> bool:
    """Whether the column `objects` is absent, all null, or boxes with the label's own classes."""
    objects = features.get("objects")
    if objects is None or getattr(objects, "dtype", None) == "null":
        return True
    category = objects.get("category") if isinstance(objects, dict) else None
    names = getattr(getattr(category, "feature", None), "names", None)
    return names == features["label"].names and "bbox" in objects


def _fresh_cache() -> str:
    """An empty folder that goes with this process."""
    folder = tempfile.mkdtemp(prefix="pinsight-data-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _plain_path(folder: Path) -> Path:
    """The folder; links to its files elsewhere where `load_dataset` would take its path for a pattern or a chain."""
    where = folder.resolve()
    if not any(sign in str(where) for sign in ("*", "?", "[", "::")):
        return folder
    linked = Path(_fresh_cache())
    for place, _, names in where.walk():
        (linked / place.relative_to(where)).mkdir(exist_ok=True)
        for name in names:
            (linked / place.relative_to(where) / name).symlink_to(place / name)
    return linked


def read_dataset(
    folder: Path, column: str, needed: Sequence[str] = ("train", "validation")
) -> tuple[Any, tuple[str, ...]]:
    """The dataset with its picture columns undecoded, and its class names.

    Args:
        folder: What `python -m generator build` wrote.
        column: Which pictures: one of `INPUTS`.
        needed: Splits that must be there.

    Raises:
        InputError: The folder, a split or a column is missing or of another type.
    """
    columns = column.split("+")
    # Imported here: it takes seconds, and `--help` and `predict` do without.
    import datasets

    if not folder.is_dir():
        raise InputError(f"--data {folder}: expected the folder of a built dataset, got nothing there")
    was_shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        # A cache of its own, forgotten afterwards: the library's serves a folder's former content when it was rebuilt.
        cache = _fresh_cache()
        dataset = datasets.load_dataset(str(_plain_path(folder)), cache_dir=cache)
    except Exception as e:  # whatever a reader of Parquet, Arrow or the card may raise
        raise InputError(f"--data {folder}: expected a dataset that load_dataset reads, got {e}") from e
    finally:
        if not was_shown:
            datasets.enable_progress_bars()
    problems = [
        f"--data {folder}: expected a split {name!r}, got {sorted(dataset)}"
        for name in needed
        if name not in dataset or len(dataset[name]) == 0
    ]
    features = next(iter(dataset.values())).features
    problems += [
        f"--data {folder}: expected a column {name!r}, got {sorted(features)}"
        for name in ("label", *columns)
        if name not in features
    ]
    if not problems and not isinstance(features["label"], datasets.ClassLabel):
        problems.append(f"--data {folder} column label: expected ClassLabel, got {features['label']}")
    problems += [
        f"--data {folder} column {name}: expected Image, got {features[name]}"
        for name in columns
        if not problems and not isinstance(features[name], datasets.Image)
    ]
    if not problems and OK_CLASS not in features["label"].names:
        problems.append(f"--data {folder} column label: expected a class OK, got {features['label'].names}")
    if not problems and not _objects_fit(features):
        problems.append(
            f"--data {folder} column objects: expected a dict of lists with bbox and a category of the label's "
            f"classes, got {features['objects']}"
        )
    if problems:
        raise InputError(problems)
    for name in columns:
        dataset = dataset.cast_column(name, datasets.Image(decode=False))
    return dataset, tuple(features["label"].names)


def first_size(dataset: Any, folder: Path, column: str) -> tuple[int, int]:
    """(W, H) px of the first training picture of what `read_dataset` returned.

    Raises:
        InputError: It is null or cannot be read.
    """
    place = f"--data {folder} split train: row 0, column {column!r}"
    return open_picture(dataset["train"][0][column], place).size


def load_data(
    folder: Path, column: str = "image", size: tuple[int, int] | None = None, memory: int | None = None
) -> Data:
    """Read a dataset for training.

    Args:
        folder: What `python -m generator build` wrote.
        column: Which pictures: one of `INPUTS`.
        size: Network's (W, H) in px; by default the first training picture's.
        memory: Most bytes of pictures to hold per split; by default half of what is free.

    Raises:
        InputError: The folder, a split, a column or a picture is missing or broken.
    """
    dataset, classes = read_dataset(folder, column)
    if size is None:
        size = first_size(dataset, folder, column.split("+")[0])
    splits, problems, warnings = {}, [], []
    for name, rows in dataset.items():
        labels = rows["label"]
        bad = [i for i, label in enumerate(labels) if label is None or not 0 <= label < len(classes)]
        if bad:
            problems.append(
                f"--data {folder} split {name}: expected a label in each row, got none in rows {bad[:5]}"
            )
            continue
        for index, label in enumerate(classes):
            if name in ("train", "validation") and index not in set(labels):
                warnings.append(f"split {name} has no picture of class {label}: its recall means nothing")
        try:
            splits[name] = _split(rows, column, size, classes, memory)
        except InputError as e:
            problems += [f"--data {folder} split {name}: {problem}" for problem in e.problems]
    if problems:
        raise InputError(problems)
    for name, split in splits.items():
        if not split.pictures.in_memory:
            warnings.append(
                f"split {name}: {len(split)} pictures do not fit in memory; each is decoded again per epoch"
            )
    return Data(splits, classes, size, warnings)


def load_frozen_classes(
    folder: Path,
    column: str,
    size: tuple[int, int],
    classes: tuple[str, ...],
    only: Sequence[str] = (),
    but: Sequence[str] = (),
) -> dict[str, Split]:
    """A dataset's splits for a network that is trained already: its size, its labels.

    Args:
        folder: What `python -m generator build` wrote; any splits.
        column: Which pictures: one of `INPUTS`.
        size: The network's (W, H) in px.
        classes: The network's class names; the dataset's own may stand in another order, or be fewer.
        only: Splits to read; empty = all.
        but: Splits to leave unread where `only` is empty.

    Raises:
        InputError: The dataset cannot be read, or a row has a class that the network does not know.
    """
    dataset, named = read_dataset(folder, column, only)
    wanted = {name: rows for name, rows in dataset.items() if (name in only if only else name not in but)}
    strange = [
        f"--data {folder} split {name}: expected the network's classes {list(classes)}, got pictures of {named[label]}"
        for name, rows in wanted.items()
        for label in sorted({label for label in rows["label"] if label is not None and label >= 0})
        if named[label] not in classes
    ]
    if strange:
        raise InputError(strange)
    # A class that no row has still needs a number.
    new = torch.tensor([classes.index(name) if name in classes else IGNORED for name in named])
    splits: dict[str, Split] = {}
    for name, rows in wanted.items():
        if any(label is None or label < 0 for label in rows["label"]):
            raise InputError(f"--data {folder} split {name}: expected a label in each row, got rows without")
        try:
            split = _split(rows, column, size, named, None)
        except InputError as e:
            raise InputError([f"--data {folder} split {name}: {problem}" for problem in e.problems]) from e
        objects = torch.where(split.categories == IGNORED, IGNORED, new[split.categories.clamp(min=0)])
        splits[name] = replace(split, labels=new[split.labels], categories=objects)
    return splits


def channel_statistics(pictures: Pictures, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, of pixels in [0, 1], over the first `count` pictures (at most 500)."""
    total = torch.zeros(pictures.channels, dtype=torch.float64)
    squares, pixels = torch.zeros_like(total), 0
    for index in range(min(count, 500)):
        values = pictures.batch([index])[0].double().flatten(1) / 255  # (C, H*W)
        total += values.sum(1)
        squares += values.square().sum(1)
        pixels += values.shape[1]
    mean = total / pixels
    std = (squares / pixels - mean.square()).clamp(min=0).sqrt().clamp(min=1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())
