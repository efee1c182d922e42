"""The dataset that imported pictures are mixed with, and the choice of rows for a wanted share of photographs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Features
from PIL import Image

from blender_scripts.contract.errors import InputError, shown
from generator.dataset.connectors import NominalConnector, read_connectors
from generator.dataset.derived_card import read_card
from generator.dataset.folder import (
    BATCH_ROWS,
    CARD,
    NSOART,
    count_rows,
    dataset_columns,
    read_parameters,
    read_rows,
    split_files,
)
from generator.dataset.rows import all_columns
from generator.soart import nsoart

WIDEST = 4096


@dataclass(frozen=True)
class Other:
    """The dataset with which imported pictures are mixed (option --with).

    Attributes:
        folder: folder of the dataset.
        columns: features (columns and types) of the dataset.
        extras: names of the user's own columns.
        other: whether the dataset declares the class OTHERNG.
        masks: whether the dataset has instance masks.
    """

    folder: Path
    columns: Features
    extras: tuple[str, ...]
    other: bool
    masks: bool

    @classmethod
    def opened(cls, folder: Path) -> Other:
        """Open the dataset in `folder`: its columns are read now, its rows when they are first used.

        Raises:
            InputError: the folder is not a Pinsight dataset.
        """
        return cls(folder, *dataset_columns(folder))

    @cached_property
    def parts(self) -> dict[str, int]:
        """Number of the part (one connector) that each row shows, by run name of the row; 0: the row states none."""
        files = split_files(self.folder).values()
        rows = (row for paths in files for row in read_rows(paths, ["run", "part"]))
        return {row["run"]: row["part"] or 0 for row in rows}

    @cached_property
    def pictures(self) -> dict[str, tuple[str, str]]:
        """(split, run name) of each row, by the SHA-256 of its picture's file in hex."""
        return {
            hashlib.sha256(row["image"]["bytes"]).hexdigest(): (split, row["run"])
            for split, paths in split_files(self.folder).items()
            for row in read_rows(paths, ["run", "image"])
        }

    @cached_property
    def splits(self) -> dict[str, int]:
        """Number of rows in each split, by the split's name."""
        return {split: count_rows(paths) for split, paths in split_files(self.folder).items()}

    @cached_property
    def connectors(self) -> tuple[NominalConnector, ...] | None:
        """Contents of the dataset's connectors.json; None if it has no such file."""
        return read_connectors(self.folder)

    @cached_property
    def card(self) -> dict[str, Any]:
        """The settings of the build, from the dataset's card; {} if Pinsight did not write the card."""
        path = self.folder / CARD
        try:
            return read_card(path.read_text("utf-8") if path.is_file() else "")[0]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: expected a dataset card (README.md) in UTF-8, got: {error}") from None

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Contents of the dataset's nsoart.json, checked by computing the NSOART of a black picture with them.

        Raises:
            InputError: the file, or a golden reference that it names, is missing or damaged.
        """
        try:
            parameters = read_parameters(self.folder)
            window, stride = parameters["window"], parameters["stride"]
            if not (type(window) is int and type(stride) is int and 1 <= window <= WIDEST and stride >= 1):
                raise ValueError(f"window {shown(window)} and stride {shown(stride)} (valid: 1 to {WIDEST} whole px)")
            golden = nsoart.is_golden(parameters)
            for group in parameters["groups"] if golden else (None, *parameters["groups"]):
                shape = nsoart.golden_reference(parameters, group, self.folder).anchor.shape if golden else [window] * 2
                nsoart.nsoart_picture(Image.new("L", (shape[1], shape[0])), parameters, group, self.folder)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            got = f"no key {error}" if isinstance(error, KeyError) else error
            raise InputError(
                f"{self.folder / NSOART}: expected a file that `generator build` wrote, got: {got}"
            ) from None
        return parameters

    def tables(self, split: str, kept: set[int], schema: pa.Schema) -> Iterator[pa.Table]:
        """Yield rows of a split, in tables of at most BATCH_ROWS rows with all columns of the mixed dataset.

        Args:
            split: name of the split; nothing is yielded if this dataset does not have it.
            kept: numbers of the rows to read, counted from 0 in the split.
            schema: schema of the mixed dataset, without metadata.
        """
        rows: list[Mapping[str, Any]] = []
        for row in read_rows(split_files(self.folder).get(split, []), only=kept):
            rows.append(all_columns(row))
            if len(rows) == BATCH_ROWS:
                yield pa.Table.from_pylist(rows, schema=schema)
                rows = []
        if rows:
            yield pa.Table.from_pylist(rows, schema=schema)


def chosen(photos: int, renders: int, share: float | None, seed: int) -> tuple[list[int], set[int]]:
    """Choose rows of a mixed split at random, as many as possible, so that photographs have the given share.

    Args:
        photos, renders: number of photographs and of renders that are available.
        share: share of photographs in the split, 0 to 1; None: all rows are chosen.
        seed: seed of the random choice.

    Returns:
        Indices of the chosen photographs, sorted, and of the chosen renders.
    """
    keep_photos, keep_renders = photos, renders
    if share is not None and photos and renders:
        if photos / (photos + renders) < share:
            keep_renders = max(1, round(photos * (1 - share) / share))
        else:
            keep_photos = max(1, round(renders * share / (1 - share)))
    rng = np.random.default_rng([seed, 1])
    kept = sorted(rng.permutation(photos)[:keep_photos].tolist())
    return kept, set(rng.permutation(renders)[:keep_renders].tolist())
