"""Read a dataset for training or evaluation: splits as tensors, with checks of columns, labels and pictures.

Objects (boxes, classes, measures in mm, kinds of defect) are read by `generator.dataset.rows`.
"""

import atexit
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from trainer.core.console import say
from trainer.core.dataset_columns import lacking, lacking_line, may_flip
from trainer.core.errors import InputError
from trainer.core.split import IGNORED, Data, Pictures, Split, open_picture
from trainer.vit.network.letterbox import Fit, fit_of
from trainer.vit.network.model import OK_CLASS

if TYPE_CHECKING:
    from generator.dataset.rows import ObjectRow


def housing_box(row: Mapping[str, Any], size: tuple[int, int]) -> list[float]:
    """Return the housing's box, xyxy in px of the letterboxed picture of `size` (W, H); zeros if the row has no box."""
    bbox = row.get("housing_bbox")
    if not bbox or not row.get("width") or not row.get("height"):
        return [0.0, 0.0, 0.0, 0.0]
    fit = fit_of((int(row["width"]), int(row["height"])), size)
    return _fitted(bbox, fit)


def _fitted(bbox: Sequence[float], fit: Fit) -> list[float]:
    """Convert a dataset box (x, y, width, height) in px to xyxy in px of the letterboxed network picture."""
    x, y, width, height = bbox
    x, y = x * fit.scale + fit.left, y * fit.scale + fit.top
    return [x, y, x + width * fit.scale, y + height * fit.scale]


def _boxes_of(
    objects: "tuple[ObjectRow, ...] | None", row: Mapping[str, Any], size: tuple[int, int], classes: Sequence[str]
) -> tuple[list[list[float]], list[int], bool]:
    """Return a row's boxes xyxy in network px, their labels, and whether they tell the class of every patch."""
    from generator.dataset.labels import OBSERVABLE_SHARE

    if objects is None or not row.get("width") or not row.get("height"):
        return [], [], False
    fit = fit_of((int(row["width"]), int(row["height"])), size)
    ok = classes.index(OK_CLASS)
    boxes, categories = [], []
    for each, bbox in zip(objects, row["objects"]["bbox"], strict=True):
        # The box of a hidden object shows what hides it: not trained on.
        hidden = (each.visible is not None and each.visible < OBSERVABLE_SHARE) or min(bbox[2:]) <= 0
        boxes.append(_fitted(bbox, fit))
        categories.append(IGNORED if hidden else classes.index(each.category))
    shows_defect = any(category not in (ok, IGNORED) for category in categories)
    return boxes, categories, shows_defect or row["label"] == ok


def _split(
    rows: Any,
    column: str,
    size: tuple[int, int],
    classes: Sequence[str],
    memory: int | None,
    seen: Callable[[Image.Image, str], Image.Image] | None = None,
) -> Split:
    # Imported here: it takes seconds, and `--help` and `predict` do not need it.
    from generator.dataset.rows import objects_of

    pictures = Pictures(rows, column, size, memory, seen=seen)
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
    """Whether the column `objects` can be used: absent, all null, or with boxes and the class names of `label`."""
    objects = features.get("objects")
    if objects is None or getattr(objects, "dtype", None) == "null":
        return True
    category = objects.get("category") if isinstance(objects, dict) else None
    names = getattr(getattr(category, "feature", None), "names", None)
    return names == features["label"].names and "bbox" in objects


def _fresh_cache() -> str:
    """Make an empty temporary folder that is deleted when this process ends."""
    folder = tempfile.mkdtemp(prefix="pinsight-data-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _plain_path(folder: Path) -> Path:
    """Return `folder`, or a folder of links to its files where its path has a wildcard or `::` for `load_dataset`."""
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
    """Open a dataset; returns its splits by name, with undecoded pictures, and its class names.

    Args:
        folder: A folder that `python -m generator build` wrote.
        column: Picture column: `image`, `nsoart` or `image+nsoart`.
        needed: Splits that must exist and have rows.

    Raises:
        InputError: The folder or a split is missing, a split has no rows, a column is missing or of another type, or
            the class names lack OK.
    """
    # Imported here: it takes seconds, and `--help` and `predict` do not need it.
    import datasets

    if not folder.is_dir():
        raise InputError(f"--data {folder}: expected a dataset that `generator build` wrote, got no such folder")
    if (folder / "records").is_dir() and not any((folder / "data").glob("*.parquet")):
        raise InputError(
            f"--data {folder}: expected a dataset, got the pictures of `generator render`; make a dataset of them: "
            f"python -m generator build {folder}"
        )
    dataset = _loaded(folder)
    columns = column.split("+")
    features = next(iter(dataset.values())).features
    problems = [
        f"split {name!r}, got {'that split without rows' if name in dataset else sorted(dataset)}"
        for name in needed
        if name not in dataset or len(dataset[name]) == 0
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
    """Read a folder with the library's `load_dataset`."""
    import datasets

    was_shown = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        # A temporary cache: the library's own one would return a rebuilt folder's former content.
        return datasets.load_dataset(str(_plain_path(folder)), cache_dir=_fresh_cache())
    except Exception as e:  # readers of Parquet, Arrow and the card raise many types
        raise InputError(
            f"--data {folder}: expected a dataset that load_dataset of the library datasets can read, got {e}"
        ) from e
    finally:
        if not was_shown:
            datasets.enable_progress_bars()


def _wrong_columns(features: Any, columns: Sequence[str]) -> list[str]:
    """Return messages on columns of a wrong type, of the first check that fails; empty where all are right."""
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
    """Return the size (W, H) in px of a dataset's first training picture in `column`; messages name `folder`.

    Raises:
        InputError: The picture is null or cannot be read.
    """
    place = f"--data {folder} split train: row 0, column {column!r}"
    return open_picture(dataset["train"][0][column], place).size


def load_data(
    folder: Path, column: str = "image", size: tuple[int, int] | None = None, memory: int | None = None
) -> Data:
    """Read a dataset for training.

    Args:
        folder: A folder that `python -m generator build` wrote.
        column: Picture column: `image`, `nsoart` or `image+nsoart`.
        size: The network's picture size (W, H) in px; None: that of the first training picture.
        memory: Largest number of bytes of pictures to keep in memory per split; None: half of the free memory.

    Raises:
        InputError: The folder, a split, a column, a label or a picture is missing or broken. The pictures of a split
            that does not fit in memory are checked later, when each is decoded.
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
                f"--data {folder} split {name}: expected a class as label in each row, got none or an unknown one in "
                f"{len(bad)} rows, the first of them {bad[:5]}"
            )
            continue
        for index, label in enumerate(classes):
            if name in ("train", "validation") and index not in set(labels):
                warnings.append(f"split {name} has no picture of class {label}, so the recall of {label} is undefined")
        try:
            splits[name] = _split(rows, column, size, classes, memory)
        except InputError as e:
            problems += [f"--data {folder} split {name}: {problem}" for problem in e.problems]
    if problems:
        raise InputError(problems)
    for name, split in splits.items():
        if not split.pictures.in_memory:
            warnings.append(
                f"split {name}: its {len(split)} pictures do not fit in memory and are decoded anew in every epoch, "
                "which takes longer"
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
    seen: Callable[[Image.Image, str], Image.Image] | None = None,
) -> dict[str, Split]:
    """Read a dataset's splits, by name, for a trained network, with the network's picture size and label numbers.

    Args:
        folder: A folder that `python -m generator build` wrote; no split is required but those in `only`.
        column: Picture column: `image`, `nsoart` or `image+nsoart`.
        size: The network's picture size (W, H) in px.
        classes: The network's class names; the dataset may have fewer, in another order.
        only: Names of the splits to read; empty = all except `but`.
        but: Names of the splits to leave out if `only` is empty.
        seen: Changes each picture, given with the name of its camera, as an adapted run needs it; None: no change.

    Raises:
        InputError: The dataset cannot be read, or a row has no label or a class that the network was not trained on.
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
    # Classes of the dataset that no row has need not be known to the network.
    new = torch.tensor([classes.index(name) if name in classes else IGNORED for name in named])
    splits: dict[str, Split] = {}
    for name, rows in wanted.items():
        if any(label is None or label < 0 for label in rows["label"]):
            raise InputError(f"--data {folder} split {name}: expected a label in each row, got rows without one")
        try:
            split = _split(rows, column, size, named, None, seen)
        except InputError as e:
            raise InputError([f"--data {folder} split {name}: {problem}" for problem in e.problems]) from e
        objects = torch.where(split.categories == IGNORED, IGNORED, new[split.categories.clamp(min=0)])
        splits[name] = replace(split, labels=new[split.labels], categories=objects)
    return splits
