"""From a labelled photograph to the row of a dataset: checked, upright, with null for what nobody knows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from blender_scripts.contract.errors import InputError, shown
from generator.augmenting.relabel import as_columns
from generator.dataset.features import MANIFEST_COLUMNS, features
from generator.dataset.labels import CLASSES, OK, ObjectTruth, PictureTruth, worst_class
from generator.dataset.render_folder import encoded_png
from generator.interchange.labelled import Labelled, kind_of, numbers
from generator.io.pictures import check_depth, decoded, eight_bit, plain, upright, write_whole
from generator.soart import nsoart

# A box that reaches over the edge by less is the rounding of whoever wrote it.
ROUNDING_PX = 0.01


@dataclass(frozen=True)
class Rules:
    """What holds for all pictures of an import.

    Attributes:
        known: what the user knows of all pictures, by manifest column.
        synthetic: they are no photographs.
        answer: how `bbox_str` names classes.
        extras: columns beyond ours, `file` among them.
        masks: whether the dataset has masks.
        window, stride: of nsoart, in px.
    """

    known: Mapping[str, str]
    synthetic: bool
    answer: str
    extras: tuple[str, ...]
    masks: bool
    window: int
    stride: int


@dataclass(frozen=True)
class Photo:
    """One picture with its place in the dataset, and where it is one of several views, its part and camera."""

    labelled: Labelled
    run: str
    split: str
    part: int | None = None
    camera: str | None = None

    @property
    def label(self) -> str:
        """Its class: as given, else the worst of its things."""
        given = self.labelled.label
        return given or worst_class(thing.category for thing in self.labelled.things or ())


@dataclass
class Examined:
    """What a look at some pictures tells: their rows without pictures, None for those with a problem."""

    rows: list[dict[str, Any] | None]
    problems: list[str]
    notes: list[str]
    statistics: list[tuple[tuple[str, ...], tuple[int, list[float], list[float]]]]


def examine(photos: Sequence[Photo], rules: Rules) -> Examined:
    """Decode and check pictures and boxes."""
    found = Examined([], [], [], [])
    statistics: dict[tuple[str, ...], nsoart.MapStatistics] = {}
    for photo in photos:
        try:
            if photo.labelled.problems:
                raise InputError(photo.labelled.problems)
            picture, _ = opened(photo.labelled)
            row = _row(photo, picture.size, rules, found.notes)
            if rules.masks:
                _mask(photo.labelled, picture.size)
            if min(picture.size) < rules.window:
                raise InputError(
                    f"{photo.labelled.name}: expected at least {rules.window} x {rules.window} px, got "
                    f"{picture.width} x {picture.height}"
                )
        except InputError as error:
            found.problems += error.problems
            found.rows.append(None)
            continue
        found.rows.append(row)
        if photo.split == "train" and photo.label == OK:
            maps = nsoart.nsoart_maps(picture, rules.window, rules.stride)
            statistics.setdefault(nsoart.group_of(row), nsoart.MapStatistics()).add(maps)
    found.statistics = [(group, value.as_numbers()) for group, value in statistics.items()]
    return found


def illustrate(
    photos: Sequence[Photo], rows: Sequence[Mapping[str, Any]], rules: Rules, parameters: Any, path: Path
) -> Path:
    """Add the pictures to examined rows and write them as Arrow stores them."""
    complete = []
    for photo, row in zip(photos, rows, strict=True):
        picture, content = opened(photo.labelled)
        chart = nsoart.nsoart_picture(picture, parameters, row)
        whole = {
            **row,
            "image": {"bytes": content, "path": f"{photo.run}.png"},
            "nsoart": {"bytes": encoded_png(chart), "path": f"{photo.run}_nsoart.png"},
        }
        if rules.masks:
            mask = _mask(photo.labelled, picture.size)
            whole["mask"] = None if mask is None else {"bytes": mask, "path": f"{photo.run}_mask.png"}
        complete.append(whole)
    schema = features(True, rules.extras, rules.masks).arrow_schema.remove_metadata()
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(pa.Table.from_pylist(complete, schema=schema))
    write_whole(path, sink.getvalue())
    return path


def opened(labelled: Labelled) -> tuple[Image.Image, bytes]:
    """The picture that the labels speak of, and the bytes that a dataset stores.

    A picture with an EXIF turn is turned upright, unless its labels have the size of the pixels as they lie in the
    file: then they were drawn on those. Eight-bit pictures that need no change keep their own bytes.

    Raises:
        InputError: it cannot be read, or has another size than its labels say.
    """
    name = labelled.name
    if not labelled.path.is_file():
        raise InputError(f"{name}: expected the picture that the labels name, got nothing there")
    try:
        content = labelled.path.read_bytes()
    except OSError as error:
        raise InputError(f"{name}: expected a file that can be read, got: {error.strerror}") from None
    stored = decoded(content, name)
    turned = upright(stored)
    picture = turned
    if labelled.size is not None and stored.size == labelled.size:
        picture = stored
    elif labelled.size is not None and turned.size != labelled.size:
        raise InputError(
            f"{name}: expected {labelled.size[0]} x {labelled.size[1]} px as in its labels, got "
            f"{turned.width} x {turned.height}"
        )
    full = plain(picture, name)
    check_depth(full, name)
    shallow = eight_bit(full)
    keeps = shallow is stored and turned is stored and stored.format in ("PNG", "JPEG")
    return shallow, content if keeps else encoded_png(shallow)


def _row(photo: Photo, size: tuple[int, int], rules: Rules, notes: list[str]) -> dict[str, Any]:
    things = _objects(photo.labelled, size, notes)
    label = photo.label
    kinds = _kinds(photo, label)
    answer: str | None = "" if label == OK else None
    observable: bool | None = True if label == OK else None
    if things is not None:
        seen = tuple(things)
        truth = PictureTruth(label, (), False, True, seen)
        answer = truth.answer(*size, rules.answer)
        observable = label == OK or bool(truth.found)
    known = {name: rules.known.get(name) for name in MANIFEST_COLUMNS}
    if photo.camera is not None:
        known |= {"part": photo.part, "camera": photo.camera}
    columns = None
    if things is not None:
        columns = as_columns(things)
        given = photo.labelled.things or ()
        columns["visible"] = [thing.more.get("visible") for thing in given]
        for name in ("address", "cavity"):
            columns[name] = [thing.more.get(name) for thing in given]
    return {
        "label": CLASSES.index(label),
        "verdict": int(label != OK),
        "kinds": kinds,
        "observable": observable,
        "grey": None,
        "bbox_str": answer,
        "objects": columns,
        "housing_bbox": None,
        "synthetic": rules.synthetic,
        "original": None,
        "augmentation": None,
        "width": size[0],
        "height": size[1],
        **known,
        "run": photo.run,
        "split": photo.split,
        **{name: photo.labelled.name if name == "file" else None for name in rules.extras},
    }


def _objects(labelled: Labelled, size: tuple[int, int], notes: list[str]) -> list[ObjectTruth] | None:
    if labelled.things is None:
        return None
    found, problems = [], []
    worst = worst_class(thing.category for thing in labelled.things)
    if labelled.label == OK and worst != OK:
        problems.append(f"{labelled.name}: expected no box of a defect in a picture labelled OK, got {worst}")
    for number, thing in enumerate(labelled.things, 1):
        factor = (*size, *size) if labelled.relative else (1.0, 1.0, 1.0, 1.0)
        x1, y1, x2, y2 = (edge * times for edge, times in zip(thing.box, factor, strict=True))
        where = f"{labelled.name} box {number}"
        shown = f"[{x1:g}, {y1:g}, {x2:g}, {y2:g}]"
        inside = max(x1, 0.0), max(y1, 0.0), min(x2, float(size[0])), min(y2, float(size[1]))
        if x2 <= x1 or y2 <= y1:
            problems.append(f"{where}: expected x1 < x2 and y1 < y2, got {shown}")
            continue
        if inside[2] <= inside[0] or inside[3] <= inside[1]:
            problems.append(f"{where}: expected a box inside of {size[0]} x {size[1]} px, got {shown}")
            continue
        over = max(abs(a - b) for a, b in zip(inside, (x1, y1, x2, y2), strict=True))
        if over > ROUNDING_PX:
            notes.append(f"{where}: {shown} reaches over the edge of {size[0]} x {size[1]} px: clipped")
        visible = thing.more.get("visible")
        found.append(
            ObjectTruth(
                id=number,
                category=thing.category,
                box=inside,
                visible=1.0 if visible is None else visible,
                address=thing.more.get("address", ""),
                cavity=thing.more.get("cavity", ""),
                true_position_mm=thing.more.get("true_position_mm"),
                retraction_mm=thing.more.get("retraction_mm"),
                kinds=(),
            )
        )
    if problems:
        raise InputError(problems)
    return found


def _kinds(photo: Photo, label: str) -> list[str] | None:
    """The labeller's words for what is wrong, where they say more than the class."""
    if label == OK:
        return []
    things = photo.labelled.things
    words = [photo.labelled.word] if things is None else [t.word for t in things if t.category != OK]
    kinds = {kind for word in words if (kind := kind_of(word))}
    return sorted(kinds) or None


def _filled(polygons: list[Any], size: tuple[int, int]) -> np.ndarray:
    """What COCO's polygons enclose of a picture of (W, H) px, (H, W) bool.

    Raises:
        ValueError: fewer than three points, no numbers, or some that are farther away than the picture is long.
    """
    from pycocotools import mask as coco_mask

    for polygon in polygons:
        edges = numbers(polygon) if isinstance(polygon, list) else None
        if edges is None or len(edges) < 6 or len(edges) % 2:
            raise ValueError(f"{shown(polygon)} in place of three points or more")
        if min(edges) < -max(size) or max(edges) > 2 * max(size):
            raise ValueError(f"a polygon far outside of {size[0]} x {size[1]} px")
    code = coco_mask.merge(coco_mask.frPyObjects(polygons, size[1], size[0]))
    return np.asarray(coco_mask.decode(code), bool)


def _unrolled(code: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """What COCO's run lengths cover of a picture of (W, H) px, (H, W) bool.

    Raises:
        ValueError: of another size, or runs that do not sum to it.
    """
    if list(code["size"]) != [size[1], size[0]]:
        raise ValueError(f"one of size {shown(code['size'])}, the picture's is [{size[1]}, {size[0]}]")
    given = code["counts"]
    runs = np.array(_decoded(given) if isinstance(given, str) else given, np.float64)
    if not ((runs >= 0) & (runs == np.floor(runs))).all() or runs.sum() != size[0] * size[1]:
        raise ValueError(f"runs that do not sum to {size[1]} x {size[0]} px")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs.astype(np.int64))
    return flat.reshape(size[0], size[1]).T


def _decoded(text: str) -> list[int]:
    """Run lengths from COCO's string: five bits a character, lowest first, each but three as the step from its last.

    Raises:
        ValueError: characters that are none of it, or one too few.
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"run lengths with {letter!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("run lengths that end within a number")
    return runs


def _mask(labelled: Labelled, size: tuple[int, int]) -> bytes | None:
    """Instance indices from COCO's segmentations; where two overlap, the smaller one is in front."""
    layers = []
    for number, thing in enumerate(labelled.things or (), 1):
        given = thing.segmentation
        if not given:
            continue
        try:
            pixels = _filled(given, size) if isinstance(given, list) else _unrolled(given, size)
        except Exception as error:  # whatever pycocotools raises
            got = f"no {error}" if isinstance(error, KeyError) else error
            raise InputError(f"{labelled.name} box {number}: expected a segmentation, got: {got}") from None
        layers.append((int(pixels.sum()), number, pixels))
    if not layers:
        return None
    mask = np.zeros((size[1], size[0]), np.uint16)
    for _, number, pixels in sorted(layers, key=lambda layer: (-layer[0], layer[1])):
        mask[pixels] = number
    return encoded_png(Image.fromarray(mask))
