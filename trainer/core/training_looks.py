"""Photographs of a station, and pictures of a training dataset that show how its renders look, light by light."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from generator.io.checksum import sha256_of
from generator.io.pictures import pixels_sha256
from generator.verdict.measures import MEASURE_NAMES, measures_of
from trainer.core.data import read_dataset
from trainer.core.default_paths import dataset_facts
from trainer.core.errors import InputError
from trainer.core.picture_transform import PictureTransform
from trainer.core.split import open_picture

# Pictures of one light, at most; so many of one housing and terminal are enough to use no others.
MOST, OWN = 40, 8


def renders_by_light(
    folder: Path, view: str = "", part: Mapping[str, str] | None = None, most: int = MOST
) -> dict[str, list[Image.Image]]:
    """Return training pictures of one view by the name of their light; "" for pictures without one.

    Args:
        folder: the dataset of the training.
        view: name of the camera; empty: all cameras.
        part: values of the columns scene, housing and terminal. If at least 8 pictures have all of them, only these are
            used; None: all.
        most: number of pictures of one light, at most, evenly spread.

    Raises:
        InputError: the dataset cannot be read, or shows no picture of this view.
    """
    dataset, _ = read_dataset(folder, "image", ("train",))
    rows = dataset["train"]
    names = [name for name in ("scene", "housing", "terminal", "lighting", "camera") if name in rows.column_names]
    table = rows.select_columns(names).to_list() if names else [{} for _ in range(len(rows))]
    shown = [index for index, row in enumerate(table) if not view or row.get("camera") == view]
    if not shown:
        raise InputError(f"--data {folder}: expected training pictures of view {view}, got none")
    same = [index for index in shown if all(table[index].get(name) == value for name, value in (part or {}).items())]
    by_light: dict[str, list[int]] = {}
    for index in same if len(same) >= OWN else shown:
        by_light.setdefault(str(table[index].get("lighting") or ""), []).append(index)
    return {
        light: [open_picture(rows[index]["image"], f"--data {folder} row {index}") for index in _some(indices, most)]
        for light, indices in by_light.items()
    }


def open_photographs(
    parts: Mapping[str, Mapping[str, Path]],
) -> tuple[dict[str, Mapping[str, Image.Image]], list[dict[str, str]]]:
    """Open files by part and view; returns the pictures likewise, and name, view and SHA-256 of each file.

    Raises:
        InputError: a picture cannot be read, or two files have the same pixels.
    """
    opened: dict[str, Mapping[str, Image.Image]] = {
        part: {view: open_picture(file, str(file)) for view, file in files.items()} for part, files in parts.items()
    }
    each_file = [(view, file) for files in parts.values() for view, file in files.items()]
    found = [{"file": file.name, "view": view, "sha256": sha256_of(file)} for view, file in each_file]
    refuse_copies((file, opened[part][view]) for part, files in parts.items() for view, file in files.items())
    return opened, found


def refuse_copies(pictures: Iterable[tuple[Path, Image.Image]]) -> None:
    """Refuse copies, which would count as further parts or views, whatever format or name their files have.

    Args:
        pictures: file and picture of each photograph.

    Raises:
        InputError: two of them have the same pixels, and show anything.
    """
    first: dict[str, Path] = {}
    for file, picture in pictures:
        pixels = np.asarray(picture.convert("RGB"))
        if (pixels == pixels[0, 0]).all():
            continue  # black or burnt out as a whole: other checks refuse it
        if (other := first.setdefault(pixels_sha256(picture), file)) != file:
            raise InputError(f"{file}: expected another photograph than {other}, got a copy of it")


def training_views(folder: Path) -> list[str]:
    """Return the names of the cameras in the training split of a dataset; empty if it names none.

    Raises:
        InputError: the dataset cannot be read.
    """
    rows = read_dataset(folder, "image", ("train",))[0]["train"]
    if "camera" not in rows.column_names:
        return []
    return sorted({str(each["camera"]) for each in rows.select_columns(["camera"]).to_list() if each["camera"]})


def difference(photographs: Sequence[np.ndarray], renders: Sequence[np.ndarray]) -> dict[str, float]:
    """Return median measures of picture quality of photographs minus those of renders, by name of the measure.

    Less `fine_` and `coarse_` means more blur, more means noise: see `generator.verdict.measures`.
    """
    ours, theirs = (
        np.median([measures_of(Image.fromarray(each)) for each in pictures], axis=0)
        for pictures in (photographs, renders)
    )
    return {name: round(float(each), 3) for name, each in zip(MEASURE_NAMES, ours - theirs, strict=True)}


def view_facts(
    transforms: Mapping[str, PictureTransform],
    renders: Mapping[str, tuple[Any, ...]],
    changed: Callable[[str, PictureTransform], Sequence[np.ndarray]],
) -> dict[str, dict[str, Any]]:
    """Return the key `views` of adaptation.json: light, change of the pictures and remaining difference, by view.

    Args:
        transforms: the change of each view's pictures.
        renders: for each view, first the name of the training's light that is most like the station's, last its
            pictures.
        changed: returns the pixels of a view's photographs after the change.
    """
    return {
        view: {
            "light": renders[view][0],
            "transform": transform.to_json(),
            "difference": difference(changed(view, transform), renders[view][-1]),
        }
        for view, transform in transforms.items()
    }


def check_data(folder: Path, run: Path, sha256: str) -> dict[str, str]:
    """Check that a dataset is the one a run was trained on; returns its name and hash.

    Args:
        folder, run: the dataset and the run, for messages.
        sha256: SHA-256 of the content of the training's dataset; empty: not known, and not checked.

    Raises:
        InputError: it is another dataset.
    """
    facts = dataset_facts(folder)
    if sha256 and facts.get("content_sha256") != sha256:
        raise InputError(f"--data {folder}: expected the dataset that {run} was trained on, got another")
    return facts


def _some(indices: list[int], most: int) -> list[int]:
    count = min(len(indices), most)
    return [indices[round(step * (len(indices) - 1) / max(count - 1, 1))] for step in range(count)]
