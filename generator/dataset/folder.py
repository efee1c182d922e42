"""The files of a dataset on disk, and functions that read them; `writer` writes them.

DATASET/README.md                             the card
DATASET/contact_sheet.jpg                     some pictures, for the card
DATASET/nsoart.json                           statistics from which the column nsoart was computed
DATASET/nsoart/                               mean pictures of good parts (golden references), if nsoart needs them
DATASET/connectors.json                       nominal positions of the connectors in the pictures
DATASET/data/<split>-00000-of-00001.parquet   the rows
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Features

from blender_scripts.contract.errors import InputError
from generator.dataset.labels import CLASSES
from generator.dataset.rows import MANIFEST_COLUMNS, NEWER, class_names, features
from generator.soart.golden_reference import FOLDER

DATA = "data"
CARD = "README.md"
NSOART = "nsoart.json"
SHEET = "contact_sheet.jpg"
BATCH_ROWS = 64
SHARD = r"(\w+)-\d{5}-of-\d{5}\.parquet"


def split_files(dataset: Path) -> dict[str, list[Path]]:
    """Return the Parquet files of each split: train, validation, test, then others by name; {} if it is no dataset."""
    splits: dict[str, list[Path]] = {}
    for path in sorted((dataset / DATA).glob("*.parquet")):
        if match := re.fullmatch(SHARD, path.name):
            splits.setdefault(match[1], []).append(path)
    return {name: splits[name] for name in ordered_splits(splits)}


def shard_name(split: str, number: int, count: int) -> str:
    """Return the file name of Parquet file `number`, counted from 0, of the `count` files of a split."""
    return f"{split}-{number:05d}-of-{count:05d}.parquet"


def is_whole(dataset: Path, splits: Collection[str]) -> bool:
    """Whether a dataset folder is complete: all Parquet files, nsoart.json and the files that it names exist.

    Args:
        dataset: the dataset folder.
        splits: names of the splits in its card.
    """
    found = split_files(dataset)
    if not found or set(found) != set(splits):
        return False
    try:
        for paths in found.values():
            count_rows(paths)
        if lost_references(dataset):
            return False
    except InputError:
        return False
    return all(
        [path.name for path in paths] == [shard_name(split, n, len(paths)) for n in range(len(paths))]
        for split, paths in found.items()
    )


def ordered_splits(names: Iterable[str]) -> list[str]:
    """Sort split names: train, validation, test, then others by name."""
    first = ("train", "validation", "test")
    return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))


def read_features(dataset: Path) -> Features:
    """Read a dataset's features (names and types of its columns) from its first Parquet file, which has to exist.

    Raises:
        InputError: the file is damaged.
    """
    paths = next(iter(split_files(dataset).values()))
    with _readable(paths[0]):
        return Features.from_arrow_schema(pq.read_schema(paths[0]))


def dataset_columns(dataset: Path) -> tuple[Features, tuple[str, ...], bool, bool]:
    """Read the columns of a dataset folder.

    Returns:
        Its features (names and types of the columns), the names of the user's own columns, whether it declares the
        class OTHERNG, and whether it has instance masks.

    Raises:
        InputError: the folder is not a Pinsight dataset.
    """
    if not split_files(dataset):
        raise InputError(f"{dataset}: expected a Pinsight dataset, got no data/*.parquet file")
    columns = read_features(dataset)
    lacking = [name for name in ("image", "label", "objects", *MANIFEST_COLUMNS) if name not in columns]
    lacking = [name for name in lacking if name not in NEWER]
    if lacking:
        raise InputError(
            f"{dataset}: expected a dataset with the columns that Pinsight writes, got one without {', '.join(lacking)}"
        )
    if (own := columns.get("fixture")) is not None and own.dtype != "int64":
        raise InputError(
            f"{dataset} column fixture: expected int64 (Pinsight numbers a part's placings on the station in it), "
            f"got {own.dtype}: give your own column another name in the manifest and build again"
        )
    names = tuple(columns["label"].names)
    if names not in (class_names(False), class_names(True)):
        raise InputError(f"{dataset} column label: expected the classes {', '.join(CLASSES)}, got {', '.join(names)}")
    extras = tuple(name for name in columns if name not in features(True, (), True))
    return columns, extras, names == class_names(True), "mask" in columns


def count_rows(paths: Sequence[Path]) -> int:
    """Return the number of rows in Parquet files, such as those of a split.

    Raises:
        InputError: a damaged file.
    """
    total = 0
    for path in paths:
        with _readable(path):
            total += pq.read_metadata(path).num_rows
    return total


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: expected an undamaged Parquet file, got: {error}") from None


def read_rows(
    paths: Sequence[Path], columns: Sequence[str] | None = None, only: Collection[int] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of Parquet files as stored: pictures as {"bytes", "path"}, classes as numbers.

    Args:
        paths: files of one split, in order.
        columns: names of the columns to read; those that the files lack are ignored. None: all columns.
        only: numbers of the rows to read, counted from 0 over all files; None: all.

    Raises:
        InputError: a damaged file, when its rows are read.
    """
    names = None if columns is None else list(columns)
    first = 0
    for path in paths:
        with _readable(path):
            opened = pq.ParquetFile(path)
        with opened as file:
            for group in range(file.num_row_groups):
                end = first + file.metadata.row_group(group).num_rows
                wanted = range(first, end) if only is None else [n for n in range(first, end) if n in only]
                if wanted:
                    with _readable(path):
                        table = file.read_row_group(group, columns=names)
                    for number in wanted:
                        yield table.slice(number - first, 1).to_pylist()[0]
                first = end


def read_parameters(dataset: Path) -> dict[str, Any]:
    """Return the contents of a dataset's nsoart.json.

    Raises:
        InputError: the file is missing or not JSON.
    """
    try:
        return dict(json.loads((dataset / NSOART).read_text("utf-8")))
    except FileNotFoundError:
        raise InputError(f"{dataset}: expected nsoart.json, as in every Pinsight dataset, got no such file") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{dataset / NSOART}: expected JSON, got: {error}") from None


def reference_files(dataset: Path) -> list[Path]:
    """Return the paths of a dataset's golden references (mean pictures of good parts), sorted; [] if it has none."""
    return sorted(path for path in (dataset / FOLDER).glob("*") if path.is_file())


def lost_references(dataset: Path) -> list[str]:
    """Return the paths of golden references that nsoart.json names, but that are missing; relative to the dataset.

    Raises:
        InputError: nsoart.json is missing or not JSON.
    """
    names = [str(group["file"]) for group in read_parameters(dataset).get("groups", []) if "file" in group]
    return [name for name in dict.fromkeys(names) if not (dataset / name).is_file()]


def copy_references(dataset: Path, to: Path) -> None:
    """Copy a dataset's golden references, if it has any, to another dataset, whose folder is `to`."""
    for path in reference_files(dataset):
        (to / FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(path, to / FOLDER / path.name)
