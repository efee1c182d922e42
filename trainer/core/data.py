"""A dataset read for training: its splits as tensors, its objects as the row type has them, and what is wrong with it.

Objects come from `generator.dataset.rows`: boxes, classes, measures and kinds are read, not guessed.
"""

import atexit
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from trainer.core.console import say
from trainer.core.dataset_columns import lacking, lacking_line, may_flip
from trainer.core.errors import InputError
from trainer.core.split import IGNORED, Data, Pictures, Split, open_picture
from trainer.vit.network.letterbox import Fit, fit_of
from trainer.vit.network.model import OK_CLASS

if TYPE_CHECKING:
    from generator.dataset.rows import ObjectRow


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
    objects: "tuple[ObjectRow, ...] | None",
    row: Mapping[str, Any],
    size: tuple[int, int],
    classes: Sequence[str],
) -> tuple[list[list[float]], list[int], bool]:
    """A row's boxes in network px, their labels, and whether they tell the class of every patch."""
    from generator.dataset.labels import OBSERVABLE_SHARE

    if objects is None or not row.get("width") or not row.get("height"):
        return [], [], False
    fit = fit_of((int(row["width"]), int(row["height"])), size)
    ok = classes.index(OK_CLASS)
    boxes, categories = [], []
    for each, bbox in zip(objects, row["objects"]["bbox"], strict=True):
        # What is hidden shows something else: it teaches nothing.
        hidden = (each.visible is not None and each.visible < OBSERVABLE_SHARE) or min(bbox[2:]) <= 0
        boxes.append(_fitted(bbox, fit))
        categories.append(IGNORED if hidden else classes.index(each.category))
    shows_defect = any(category not in (ok, IGNORED) for category in categories)
    return boxes, categories, shows_defect or row["label"] == ok


def _split(rows: Any, column: str, size: tuple[int, int], classes: Sequence[str], memory: int | None) -> Split:
    # Imported here: it takes seconds, and `--help` and `predict` do without.
    from generator.dataset.rows import objects_of

    pictures = Pictures(rows, column, size, memory)
    skip = {"image", "nsoart", "mask", "bbox_str"}
    table = rows.select_columns([name for name in rows.column_names if name not in skip]).to_list()
    objects = [objects_of(row, classes) for row in table]
    found = [_boxes_of(held, row, size, classes) for held, row in zip(objects, table, strict=True)]
    most = max((len(boxes) for boxes, _, _ in found), default=0)
    all_boxes = torch.zeros((len(table), most, 4))
    all_categories = torch.full((len(table), most), IGNORED)
    for index, (boxes, categories, _) in enumerate(found):
        if boxes:
            all_boxes[index, : len(boxes)] = torch.tensor(boxes)
            all_categories[index, : len(boxes)] = torch.tensor(categories)
    return Split(
        pictures=pictures,
        labels=torch.tensor([row["label"] for row in table]),
        boxes=all_boxes,
        categories=all_categories,
        boxes_known=torch.tensor([known for _, _, known in found], dtype=torch.bool),
        may_flip=torch.tensor([may_flip(row) for row in table], dtype=torch.bool),
        runs=[str(row.get("run", index)) for index, row in enumerate(table)],
        rows=[{name: value for name, value in row.items() if name != "objects"} for row in table],
        objects=objects,
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
    # Imported here: it takes seconds, and `--help` and `predict` do without.
    import datasets

    if not folder.is_dir():
        raise InputError(f"--data {folder}: expected the folder of a built dataset, got nothing there")
    dataset = _loaded(folder)
    columns = column.split("+")
    features = next(iter(dataset.values())).features
    problems = [
        f"split {name!r}, got {sorted(dataset)}" for name in needed if name not in dataset or len(dataset[name]) == 0
    ]
    problems += [f"column {name!r}, got {sorted(features)}" for name in ("label", *columns) if name not in features]
    if problems:
        raise InputError([f"--data {folder}: expected a {problem}" for problem in problems])
    if wrong := _wrong_columns(features, columns):
        raise InputError([f"--data {folder} column {problem}" for problem in wrong])
    for name in columns:
        dataset = dataset.cast_column(name, datasets.Image(decode=False))
    return dataset, tuple(features["label"].names)


def _loaded(folder: Path) -> Any:
    """What `load_dataset` makes of a folder.

    Raises:
        InputError: Nothing.
    """
    import datasets

    was_shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        # A cache of its own, forgotten afterwards: the library's serves a folder's former content when it was rebuilt.
        return datasets.load_dataset(str(_plain_path(folder)), cache_dir=_fresh_cache())
    except Exception as e:  # whatever a reader of Parquet, Arrow or the card may raise
        raise InputError(f"--data {folder}: expected a dataset that load_dataset reads, got {e}") from e
    finally:
        if not was_shown:
            datasets.enable_progress_bars()


def _wrong_columns(features: Any, columns: Sequence[str]) -> list[str]:
    """What is wrong with the types of the columns, the first of them."""
    import datasets

    if not isinstance(features["label"], datasets.ClassLabel):
        return [f"label: expected ClassLabel, got {features['label']}"]
    if wrong := [name for name in columns if not isinstance(features[name], datasets.Image)]:
        return [f"{name}: expected Image, got {features[name]}" for name in wrong]
    if OK_CLASS not in features["label"].names:
        return [f"label: expected a class OK, got {features['label'].names}"]
    if not _objects_fit(features):
        return [
            "objects: expected a dict of lists with bbox and a category of the label's classes, got "
            f"{features['objects']}"
        ]
    return []


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
            problems.append(f"--data {folder} split {name}: expected a label in each row, got none in rows {bad[:5]}")
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
    features = next(iter(dataset.values())).features
    return Data(splits, classes, size, warnings, lacking(features))


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
    if missing := lacking(next(iter(dataset.values())).features):
        say(lacking_line(missing))
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
