"""Read a dataset for the gauge: pictures at one scale, with the part's true pose and the true points of each pin."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from generator.dataset.connectors import NominalConnector, read_connectors
from generator.dataset.rows import CameraRow, ObjectRow, objects_of
from generator.locating import scaling
from generator.locating.cameras import StationCamera
from generator.locating.landmarks import Queries, queries
from trainer.core.data import read_dataset
from trainer.core.errors import InputError, as_input_error
from trainer.core.split import open_picture
from trainer.gauge.picture import GaugeData, Key, Picture


def as_it_is(picture: Image.Image, view: str) -> Image.Image:
    """Return a picture unchanged, as a run that was not adapted gets it; `view`: name of its camera."""
    return picture


def read_gauge_data(
    folder: Path,
    pitch_px: float | None = None,
    needed: Sequence[str] = (),
    scale_for: Callable[[float], float] = float,
    keep: Callable[[str], bool] = bool,
    seen: Callable[[Image.Image, str], Image.Image] = as_it_is,
) -> GaugeData:
    """Read the splits of a dataset.

    Args:
        folder: a folder that `python -m generator build` wrote.
        pitch_px: distance in px of neighbouring pins, to which pictures are resampled; None: chosen by `scale_for`.
        needed: names of splits that must exist and have usable pictures.
        scale_for: returns `pitch_px`, given the median of this distance in the stored pictures of the split `train`
            (which must be read); by default the median itself.
        keep: called with the name of a split; returns whether to read it. By default all are read.
        seen: called with each picture and the name of its camera; returns the picture as an adapted run gets it.

    Raises:
        InputError: the dataset, a picture or connectors.json is missing, damaged or lacks what a gauge needs.
    """
    dataset, _ = read_dataset(folder, "image", needed)
    connectors = drawings(folder)
    rows = {name: _rows(split) for name, split in dataset.items() if keep(name)}
    usable = {name: [row for row in each if _is_usable(row, connectors)] for name, each in rows.items()}
    notes = [
        f"split {name}: {left} of {len(rows[name])} pictures are left out: camera, connector or pins are not stated"
        for name in rows
        if (left := len(rows[name]) - len(usable[name]))
    ]
    whole = [row for row in usable.get("train", []) if _is_whole(row)]
    if left := len(usable.get("train", [])) - len(whole):
        notes.append(f"split train: {left} pictures are left out: a pin in them lies beyond the picture's edge")
        usable["train"] = whole
    wrong = [f"--data {folder} split {name}: expected pictures with the columns camera_json and objects, of a "
             f"connector in connectors.json, got none" for name in needed if not usable[name]]  # fmt: skip
    if wrong:
        raise InputError(wrong)
    keys = {_key(row) for each in usable.values() for row in each}
    sought = {key: _queries(connectors[key], folder) for key in keys}
    if pitch_px is None:
        pitch_px = scale_for(float(np.median([_pitch_px(row, connectors) for row in usable["train"]])))
    splits = {
        name: tuple(
            _picture(row, dataset[name], connectors, sought, pitch_px, seen, f"--data {folder} split {name}")
            for row in each
        )
        for name, each in usable.items()
    }
    return GaugeData(splits, {key: connectors[key] for key in keys}, sought, pitch_px, tuple(notes))


def drawings(folder: Path) -> dict[Key, NominalConnector]:
    """Read connectors.json in `folder`; returns the connectors that have cameras, by scene, housing and terminal.

    Raises:
        InputError: there is no connectors.json, or no connector in it has cameras.
    """
    with as_input_error():
        found = read_connectors(folder)
    known = {each.key: each for each in found or () if each.cameras}
    if not known:
        raise InputError(
            f"{folder}: expected a connectors.json with the cameras of the station, got none: build the dataset again "
            "with this version (`python -m generator build`)"
        )
    return known


def _queries(drawing: NominalConnector, folder: Path) -> Queries:
    try:
        return queries(drawing)
    except ValueError as error:
        raise InputError(f"{folder} connector {' '.join(drawing.key)}: {error}") from None


def _rows(split: Any) -> list[dict[str, Any]]:
    skip = {"image", "nsoart", "mask", "bbox_str"}
    table: list[dict[str, Any]] = split.select_columns([c for c in split.column_names if c not in skip]).to_list()
    names = split.features["label"].names
    return [{**row, "objects": objects_of(row, names), "index": index} for index, row in enumerate(table)]


def _key(row: Mapping[str, Any]) -> Key:
    return str(row.get("scene")), str(row.get("housing")), str(row.get("terminal"))


def _is_usable(row: Mapping[str, Any], connectors: Mapping[Key, NominalConnector]) -> bool:
    drawing = connectors.get(_key(row))
    if drawing is None or not row.get("camera_json") or not row["objects"]:
        return False
    return row.get("camera") in (drawing.cameras or {})


def _is_whole(row: Mapping[str, Any]) -> bool:
    """Whether all tips lie in the picture; a network cannot learn to see what is beyond its edge."""
    tips = [each.tip_px for each in row["objects"] if each.is_position and each.tip_px is not None]
    return all(0.0 <= x <= row["width"] and 0.0 <= y <= row["height"] for x, y in tips)


def _pitch_px(row: Mapping[str, Any], connectors: Mapping[Key, NominalConnector]) -> float:
    drawing = connectors[_key(row)]
    stated = (drawing.cameras or {})[str(row["camera"])]
    return float(scaling.pitch_px(drawing, StationCamera.nominal(stated, int(row["width"]), int(row["height"]))))


def _picture(
    row: dict[str, Any],
    split: Any,
    connectors: Mapping[Key, NominalConnector],
    sought: Mapping[Key, Queries],
    pitch_px: float,
    seen: Callable[[Image.Image, str], Image.Image],
    place: str,
) -> Picture:
    key, view = _key(row), str(row["camera"])
    drawing, name = connectors[key], f"{place} row {row['index']}"
    image = seen(open_picture(split[row["index"]]["image"], name), view)
    nominal = StationCamera.nominal((drawing.cameras or {})[view], *image.size)
    pixels, camera, ratio = scaling.scaled(image, drawing, nominal, pitch_px)
    objects = _in_order(row["objects"], drawing)
    points = np.array([_points(each, ratio) for each in objects], float)
    stated = CameraRow.of(json.loads(row["camera_json"]))
    return Picture(
        row={name: value for name, value in row.items() if name != "objects"},
        objects=objects,
        key=key,
        pixels=pixels,
        camera=camera,
        pose=nominal.matrix @ np.linalg.inv(np.array(stated.matrix_world)),
        points=points,
        present=np.isfinite(points).all((1, 2)),
    )


def _in_order(objects: Iterable[ObjectRow], drawing: NominalConnector) -> tuple[ObjectRow | None, ...]:
    by_address = {each.address: each for each in objects if each.is_position}
    return tuple(by_address.get(position.address) for position in drawing.positions)


def _points(each: ObjectRow | None, ratio: float) -> list[list[float]]:
    if each is None or each.tip_px is None or each.base_px is None or each.true_position_mm is None:
        return [[np.nan, np.nan], [np.nan, np.nan]]
    return [[value * ratio for value in each.tip_px], [value * ratio for value in each.base_px]]
