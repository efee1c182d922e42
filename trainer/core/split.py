"""Pictures and truth of one split as tensors; pictures are decoded once and kept in memory if they fit.

Pictures are letterboxed to the network's size (`trainer.vit.network.letterbox`), and boxes with them. Reading a
dataset: `trainer.core.data`.
"""

import copy
import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from generator.io import pictures as decoder
from trainer.core.augmentation import PIN_COLUMNS
from trainer.core.console import speaks
from trainer.core.errors import InputError, as_input_error
from trainer.vit.network.letterbox import pixels_of

if TYPE_CHECKING:
    from generator.dataset.rows import ObjectRow

IGNORED = -1
# No progress bar for reading that takes less.
SHOWN_AFTER_S = 2


def open_picture(source: Path | Mapping[str, Any] | None, name: str) -> Image.Image:
    """Decode a picture with the decoder that all of Pinsight uses, `generator.io.pictures.open_picture`.

    Args:
        source: A file, or an undecoded `datasets` picture with its bytes or path; None is an error.
        name: Name of the picture in messages.

    Raises:
        InputError: The picture is missing, damaged or of another format.
    """
    if isinstance(source, Mapping):
        content, path = source.get("bytes"), source.get("path")
        source = content if content is not None else path and Path(path)
    if source is None:
        raise InputError(f"{name}: expected a picture, got null")
    with as_input_error():
        return decoder.open_picture(source, name)


class Pictures:
    """The pictures of one split by index: decoded at once into memory if all fit, otherwise at each access.

    Args:
        rows: A `datasets` split with undecoded pictures; a damaged or missing one raises InputError when decoded.
        column: Name of the picture column; `image+nsoart` stacks the channels of both.
        size: The network's picture size (W, H) in px.
        memory: Largest number of bytes of pixels to keep in memory; None: half of the free memory.
        fitted: Turns a picture into pixels (3, H, W) uint8 of the given `size` (W, H).
        seen: Changes a picture, given with the name of its camera, before it is fitted; None: no change.
    """

    def __init__(
        self,
        rows: Any,
        column: str,
        size: tuple[int, int],
        memory: int | None = None,
        fitted: Callable[[Image.Image, tuple[int, int]], np.ndarray] = pixels_of,
        seen: Callable[[Image.Image, str], Image.Image] | None = None,
    ) -> None:
        self._rows, self._columns, self._size, self._fitted = rows, column.split("+"), size, fitted
        self._seen = seen
        self._change: Callable[[Image.Image, int], Image.Image] | None = None
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

    def __len__(self) -> int:
        return len(self._rows)

    def _decode(self, index: int) -> Tensor:
        row, channels = self._rows[index], []
        for column in self._columns:
            picture = self._opened(row, index, column)
            channels.append(self._fitted(picture, self._size))
        return torch.from_numpy(np.concatenate(channels))

    def original(self, index: int) -> Image.Image:
        """Decode the dataset's picture at `index` in its own size; of `image+nsoart`, the picture in column `image`."""
        return self._opened(self._rows[index], index, self._columns[0])

    def _opened(self, row: Mapping[str, Any], index: int, column: str) -> Image.Image:
        picture = open_picture(row[column], f"row {index}, column {column!r}")
        picture = picture if self._seen is None else self._seen(picture, str(row.get("camera") or ""))
        return picture if self._change is None else self._change(picture, index)

    def parts(self) -> list[Hashable]:
        """Return the part that each picture shows, as (scene, part); the picture's index if its row names no part."""
        known = [name for name in ("scene", "part") if name in self._rows.column_names]
        rows = self._rows.select_columns(known).to_list() if "part" in known else [{}] * len(self._rows)
        return [
            index if row.get("part") in (None, "") else (row.get("scene"), row["part"])
            for index, row in enumerate(rows)
        ]

    def one(self, index: int) -> Tensor:
        """Return the picture at `index`, (C, H, W) uint8; the tensor may be the stored one and must not be changed."""
        return self._decode(index) if self._held is None else self._held[index]

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return the pictures at B `indices` as (B, C, H, W) uint8."""
        if self._held is not None:
            return self._held[torch.as_tensor(indices, dtype=torch.long)]
        if len(indices) == 0:
            return torch.empty((0, self.channels, self._size[1], self._size[0]), dtype=torch.uint8)
        return torch.stack([self._decode(int(i)) for i in indices])

    def changed(self, change: Callable[[Image.Image, int], Image.Image]) -> "Pictures":
        """Return the pictures, each changed by `change(picture, index)`; they are decoded at each access."""
        some = copy.copy(self)
        some._held, some._change = None, change
        return some

    def subset(self, indices: Sequence[int]) -> "Pictures":
        """Return the pictures at `indices`, in that order; pictures in memory are not decoded again."""
        some = copy.copy(self)
        some._rows = self._rows.select(indices)
        some._held = None if self._held is None else self._held[torch.as_tensor(indices, dtype=torch.long)]
        return some


@dataclass(frozen=True)
class Split:
    """One split of a dataset: N pictures, which are N examples, or N / `views` examples of `views` pictures each.

    The pictures of one example follow each other. `len`, indices and `labels` count examples, all other fields
    pictures.

    Args:
        pictures: The pictures by index.
        labels: (N / views,) class labels of the examples.
        boxes: (N, M, 4) xyxy in network px, M the largest number of objects; all 0 = no box.
        categories: (N, M) class labels of the boxes; `IGNORED` (-1) without a box, or if the object cannot be seen.
        boxes_known: (N,) bool: whether the boxes tell the true class of every patch of the picture.
        may_flip: (N, 2) bool: whether the picture may be mirrored left-right, and up-down.
        runs: (N,) names of the rows (column `run`).
        rows: (N,) all columns of the rows except pictures and objects.
        objects: (N,) the objects in each picture, in the order of its boxes; None if they are not known.
        views: Number of pictures per example: see `trainer.core.views`.
        pins: (N, P, 6) true pins, see `augmentation.Batch`; None if they are not trained on.
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
    pins: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def picture_indices(self, examples: Sequence[int] | Tensor) -> Tensor:
        """Return the indices (B * views,) of the pictures of `examples` (B,)."""
        at = torch.as_tensor(examples, dtype=torch.long)
        return at if self.views == 1 else (at[:, None] * self.views + torch.arange(self.views)).flatten()

    def pins_at(self, pictures: Tensor) -> Tensor:
        """Return the true pins (B, P, 6) of the pictures with the indices `pictures` (B,); P is 0 if `pins` is None."""
        return torch.zeros((len(pictures), 0, PIN_COLUMNS)) if self.pins is None else self.pins[pictures]

    def pixels(self, examples: Sequence[int] | Tensor) -> Tensor:
        """Return the pixels of `examples` (B,): (B, C, H, W) uint8; with several views (B, views, C, H, W)."""
        found = self.pictures.batch(self.picture_indices(examples).tolist())
        return found if self.views == 1 else torch.unflatten(found, 0, (-1, self.views))

    def by_picture(self) -> "Split":
        """Return the split with one picture per example; each picture gets the label of the example it belonged to."""
        if self.views == 1:
            return self
        return replace(self, labels=self.labels.repeat_interleave(self.views), views=1)

    def name(self, example: int) -> str:
        """Return the name of an example: `run` of its row; with several views those of all its rows, joined by `+`."""
        return "+".join(self.runs[example * self.views : (example + 1) * self.views])

    def rows_with_objects(self) -> "list[tuple[dict[str, Any], tuple[ObjectRow, ...] | None]]":
        """Return each row with its objects; None in place of objects that are not known."""
        return list(zip(self.rows, self.objects or [None] * len(self.rows), strict=True))

    def subset(self, indices: Sequence[int]) -> "Split":
        """Return a split of the examples at `indices`, in that order."""
        if list(indices) == list(range(len(self))):
            return self
        at = self.picture_indices(indices)
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
            pins=None if self.pins is None else self.pins[at],
        )


@dataclass(frozen=True)
class Data:
    """A dataset as read for training.

    Args:
        splits, classes: The splits by name, and class names in the order of the labels.
        size: The network's picture size (W, H) in px.
        warnings: Messages for the user.
        lacking: Names of useful columns that the dataset lacks: see `dataset_columns.lacking`.
    """

    splits: dict[str, Split]
    classes: tuple[str, ...]
    size: tuple[int, int]
    warnings: list[str]
    lacking: tuple[str, ...] = ()


def channel_statistics(pictures: Pictures, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return means and standard deviations by channel (pixels in [0, 1]) of the first `count` pictures, at most 500."""
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
