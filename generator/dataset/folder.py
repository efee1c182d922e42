"""A dataset on disk: its files, written whole or not at all, and read back.

DATASET/README.md                             the card
DATASET/contact_sheet.jpg                     some rows, shown by the card
DATASET/nsoart.json                           parameters of the nsoart column
DATASET/connectors.json                       what the pictures show: connectors with their nominal positions
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
from generator.dataset.connectors import CONNECTORS, read_connectors  # noqa: F401
from generator.dataset.labels import CLASSES
from generator.dataset.rows import MANIFEST_COLUMNS, class_names, features
from generator.io.output_file import check_folder

DATA = "data"
CARD = "README.md"
NSOART = "nsoart.json"
SHEET = "contact_sheet.jpg"
# Where a build keeps the rows that are ready until all are.
SPOOL = "rows"
BATCH_ROWS = 64
# The Hub's advice for one Parquet file.
SHARD_BYTES = 500_000_000
# The writer keeps what it will say of every row group until it closes the file: some 40 kB each.
SHARD_GROUPS = 200
SHARD = r"(\w+)-\d{5}-of-\d{5}\.parquet"


def split_files(dataset: Path) -> dict[str, list[Path]]:
    """The Parquet files of each split of a dataset folder: train and validation first, then tests by name."""
    splits: dict[str, list[Path]] = {}
    for path in sorted((dataset / DATA).glob("*.parquet")):
        if match := re.fullmatch(SHARD, path.name):
            splits.setdefault(match[1], []).append(path)
    return {name: splits[name] for name in ordered_splits(splits)}


def ordered_splits(names: Iterable[str]) -> list[str]:
    """Split names in the order in which a reader expects them."""
    first = ("train", "validation", "test")
    return sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name))


def read_features(dataset: Path) -> Features:
    """The features that a dataset folder's own files declare.

    Raises:
        InputError: a damaged file.
    """
    paths = next(iter(split_files(dataset).values()))
    with _whole(paths[0]):
        return Features.from_arrow_schema(pq.read_schema(paths[0]))


def dataset_columns(dataset: Path) -> tuple[Features, tuple[str, ...], bool, bool]:
    """A dataset's columns, the user's own among them, whether OTHERNG is a class, and whether it has masks.

    Raises:
        InputError: not a dataset of ours.
    """
    if not split_files(dataset):
        raise InputError(f"{dataset}: expected a dataset that build made, got no data/*.parquet file")
    columns = read_features(dataset)
    lacking = [name for name in ("image", "label", "objects", *MANIFEST_COLUMNS) if name not in columns]
    if lacking:
        raise InputError(
            f"{dataset}: expected the columns that build writes, got none called {', '.join(lacking)}"
        )
    names = tuple(columns["label"].names)
    if names not in (class_names(False), class_names(True)):
        raise InputError(f"{dataset} column label: expected the classes {', '.join(CLASSES)}, got {names}")
    extras = tuple(name for name in columns if name not in features(True, (), True))
    return columns, extras, names == class_names(True), "mask" in columns


def count_rows(paths: Sequence[Path]) -> int:
    """How many rows the files of a split hold.

    Raises:
        InputError: a damaged file.
    """
    total = 0
    for path in paths:
        with _whole(path):
            total += pq.read_metadata(path).num_rows
    return total


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: expected a whole Parquet file, got: {error}") from None


def read_rows(
    paths: Sequence[Path], columns: Sequence[str] | None = None, only: Collection[int] | None = None
) -> Iterator[dict[str, Any]]:
    """Rows of Parquet files one by one, as stored: pictures as {"bytes", "path"}, classes as numbers.

    Args:
        paths: files of one split, in order.
        columns: those to read; None for all.
        only: numbers of the rows wanted, counted from 0 over all files; None for all.

    Raises:
        InputError: a damaged file.
    """
    names = None if columns is None else list(columns)
    first = 0
    for path in paths:
        with _whole(path):
            opened = pq.ParquetFile(path)
        with opened as file:
            for group in range(file.num_row_groups):
                end = first + file.metadata.row_group(group).num_rows
                wanted = range(first, end) if only is None else [n for n in range(first, end) if n in only]
                if wanted:
                    with _whole(path):
                        table = file.read_row_group(group, columns=names)
                    for number in wanted:
                        yield table.slice(number - first, 1).to_pylist()[0]
                first = end


def read_parameters(dataset: Path) -> dict[str, Any]:
    """The contents of a dataset's nsoart.json.

    Raises:
        InputError: it is not there, or no JSON.
    """
    try:
        return dict(json.loads((dataset / NSOART).read_text("utf-8")))
    except FileNotFoundError:
        raise InputError(f"{dataset}: expected nsoart.json, which build writes, got nothing") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{dataset / NSOART}: expected JSON, got: {error}") from None


class ShardWriter:
    """Writes one split as Parquet files that `datasets` opens with our features."""

    def __init__(self, folder: Path, split: str, columns: Features) -> None:
        self.folder = folder
        self.split = split
        self.schema = columns.arrow_schema
        self.paths: list[Path] = []
        self.writer: pq.ParquetWriter | None = None
        self.bytes = self.groups = 0

    def add(self, table: pa.Table) -> None:
        """Write rows as one row group; columns are those of the features, in their order."""
        if self.writer is None:
            self.paths.append(self.folder / f"{self.split}.{len(self.paths)}")
            # Chunks cut by content let the Hub store only what changed between two builds.
            self.writer = pq.ParquetWriter(
                self.paths[-1], self.schema, use_content_defined_chunking=True, write_page_index=True
            )
        self.writer.write_table(table.cast(self.schema))
        self.bytes += table.nbytes
        self.groups += 1
        if self.bytes >= SHARD_BYTES or self.groups >= SHARD_GROUPS:
            self._close()

    def finish(self) -> None:
        """Give the files their final names, which say how many they are."""
        self._close()
        for number, path in enumerate(self.paths):
            path.rename(self.folder / f"{self.split}-{number:05d}-of-{len(self.paths):05d}.parquet")

    def _close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer = None
        self.bytes = self.groups = 0


class Target:
    """The dataset's folder: filled beside its place under another name, and moved there when it is complete."""

    def __init__(self, directory: Path, to: Path, overwrite: bool) -> None:
        self.path = to.resolve()
        self.building = self.path.with_name(f".{self.path.name}.building")
        self.replaced = self.path.with_name(f".{self.path.name}.replaced")
        for place, name in ((directory, "the rendered folder"), (Path.cwd(), "the working directory")):
            if place.resolve().is_relative_to(self.path):
                raise InputError(f"--to {to}: expected a folder of its own, got one that holds {name}")
        if self.replaced.exists() and not self.path.exists():
            self.replaced.rename(self.path)  # a build was stopped between its two renames
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--to {to}: expected a folder, got a file")
        check_folder(to, "--to")
        if not overwrite and (strange := _strange_entries(self.path)):
            raise InputError(
                f"--to {to}: expected a new or empty folder or a dataset to replace, got one with "
                f"{', '.join(strange[:5])}: choose another, or give --overwrite"
            )

    def __enter__(self) -> Path:
        if self.replaced.exists():
            shutil.rmtree(self.replaced)
        self.building.mkdir(parents=True, exist_ok=True)
        # Of a build that was stopped, only its spool is taken up again.
        for leftover in self.building.iterdir():
            if leftover.name != SPOOL:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        return self.building

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is KeyboardInterrupt:
            return
        if kind is not None:
            shutil.rmtree(self.building, ignore_errors=True)
            return
        if self.path.exists():
            self.path.rename(self.replaced)
        self.building.rename(self.path)
        shutil.rmtree(self.replaced, ignore_errors=True)


def _strange_entries(folder: Path) -> list[str]:
    """What in a folder no build of ours has written."""
    if not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir())
    try:
        ours = json.loads((folder / NSOART).read_text(encoding="utf-8"))["made_by"] == "pinsight"
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    known = {CARD, NSOART, CONNECTORS, SHEET, DATA} if ours else set()
    strange = [name for name in names if name not in known]
    if ours and (folder / DATA).is_dir():
        strange += [
            f"{DATA}/{path.name}"
            for path in sorted((folder / DATA).iterdir())
            if not re.fullmatch(SHARD, path.name)
        ]
    return strange
