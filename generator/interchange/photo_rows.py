"""Check a labelled photograph and make its dataset row, with None for all that is not known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.dataset.labels import OBSERVABLE_PX, OK, can_be_seen, is_in_answer, worst_class
from generator.dataset.rows import MANIFEST_COLUMNS, Box, ObjectRow, PictureRow, answer, clipped, columns_of, features
from generator.dataset.writer import Kept, Spool, encoded_png
from generator.interchange.coco_masks import pixels_of
from generator.interchange.labelled import Labelled, LabelledObject, kind_of
from generator.interchange.locating_parts import Located, Locating, PartPlace, moved_labels, place_of
from generator.io.pictures import decoded, eight_bit, pixels_sha256, plain, upright, with_white
from generator.io.source_code import code_sha256
from generator.soart import nsoart
from generator.soart.golden_reference import check_ratio

# A box may reach over the picture's edge by this much (px) without a message: labels are rounded.
ROUNDING_PX = 0.01
# A box that is narrower shows nothing: it is a mistake of the labels.
_LEAST_PX = 0.1


@dataclass(frozen=True)
class Rules:
    """The settings that hold for all pictures of an import.

    Attributes:
        known: values that the user gave for all pictures, by manifest column.
        synthetic: whether all pictures are rendered; false: those of which Pinsight's own export states it.
        answer: how `bbox_str`, the Florence-2 answer, names the classes: `short`, `words` or `hyphenated`.
        extras: names of the user's own columns, among them `file`.
        masks: whether the dataset has instance masks.
        window, stride: side and step of the windows from which the column nsoart is computed, px.
        golden: folder of the dataset that the pictures are mixed with, if it has golden references (mean pictures of
            good parts); else None.
        locating: how the part is found in each picture, which is straightened; None: pictures are taken as they are.
        compared: whether pictures are looked for in a dataset that they are mixed with.
    """

    known: Mapping[str, str]
    synthetic: bool
    answer: str
    extras: tuple[str, ...]
    masks: bool
    window: int
    stride: int
    golden: Path | None = None
    locating: Locating | None = None
    compared: bool = False


@dataclass(frozen=True)
class Photo:
    """A labelled picture with its place in the dataset.

    Attributes:
        labelled: the picture with its labels; those of a located picture are in px of the straightened picture.
        run: its unique name in the dataset.
        split: its split.
        part: its part number; None: its labels and --views state none.
        camera: its camera; None without --views.
        place: where the picture shows the straightened one; None: not located.
    """

    labelled: Labelled
    run: str
    split: str
    part: int | None = None
    camera: str | None = None
    place: PartPlace | None = None

    @property
    def label(self) -> str:
        """Class of the picture: as labelled, else the first of NUKENG, BENDNG, OTHERNG, OK that its objects have."""
        given = self.labelled.label
        return given or worst_class(each.category for each in self.labelled.objects or ())


class Examined(NamedTuple):
    """A checked picture (`photo`) with its dataset row (`row`)."""

    photo: Photo
    row: PictureRow

    @property
    def group(self) -> tuple[str, ...]:
        """The row's group (scene, housing, terminal, camera, marking): its good rows standardise the column nsoart."""
        return nsoart.group_of(self.row.manifest)


@dataclass
class Findings:
    """Results of `examine` for some pictures.

    Attributes:
        examined: pictures without a fault, with their rows.
        problems: one message per fault.
        notes: warnings for the user.
        statistics: (group, statistics of the SOART3 texture maps of its OK training pictures, as returned by
            `MapStatistics.as_numbers`); a group is (scene, housing, terminal, camera, marking).
        digests: SHA-256 of the pixels and, if pictures are compared with those of a dataset, of the photograph's file
            as a dataset stores it, and of that of the straightened picture, if there is one; of each picture, by run
            name.
        located: what was found in the pictures in which the part was sought.
        hidden: picture and number of each segmented object that has no pixel in the instance mask.
    """

    examined: list[Examined]
    problems: list[str]
    notes: list[str]
    statistics: list[tuple[tuple[str, ...], tuple[int, list[float], list[float]]]]
    digests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    located: Located = field(default_factory=Located)
    hidden: list[str] = field(default_factory=list)


def examine(photos: Sequence[Photo], rules: Rules, spool: Spool) -> Findings:
    """Decode pictures, check them and their boxes, and return their dataset rows and messages on faults.

    If the rules say so, the part is located in each picture, which is straightened, and its labels with it.

    Args:
        photos: the labelled pictures.
        rules: settings of the import.
        spool: store on disk, in which an interrupted import keeps where the part was found.
    """
    found = Findings([], [], [], [])
    statistics: dict[tuple[str, ...], nsoart.MapStatistics] = {}
    for given in photos:
        photo = given
        try:
            if problems := photo.labelled.problems:
                name = photo.labelled.name
                raise InputError([each if name in each else f"{name}: {each}" for each in problems])
            picture, content = opened(photo.labelled)
            boxes = _boxes(photo.labelled, picture.size, found.notes)
            if rules.masks:
                found.hidden += _drawn_mask(photo.labelled, picture.size)[1]
            files = [encoded_png(picture) if content is None else content] if rules.compared else []
            if rules.locating is not None:
                photo, picture, boxes = _straightened(photo, picture, boxes, rules.locating, found, spool)
                files += [encoded_png(picture)] if rules.compared else []
            if min(picture.size) < rules.window:
                raise InputError(
                    f"{photo.labelled.name}: expected at least {rules.window} x {rules.window} px, got "
                    f"{picture.width} x {picture.height}"
                )
            one = Examined(photo, _row(photo, boxes, picture.size, rules))
        except InputError as error:
            found.problems += error.problems
            continue
        found.examined.append(one)
        found.digests[photo.run] = (pixels_sha256(picture), *(hashlib.sha256(each).hexdigest() for each in files))
        if photo.split == "train" and photo.label == OK and rules.golden is None:
            maps = nsoart.nsoart_maps(picture, rules.window, rules.stride)
            statistics.setdefault(one.group, nsoart.MapStatistics()).add(maps)
    found.statistics = [(group, value.as_numbers()) for group, value in statistics.items()]
    return found


def _straightened(
    photo: Photo,
    picture: Image.Image,
    boxes: Sequence[Box] | None,
    locating: Locating,
    found: Findings,
    spool: Spool,
) -> tuple[Photo, Image.Image, list[Box] | None]:
    """Locate the part in a picture; return the photo with its place, the straightened picture, and the boxes in it."""
    view = photo.camera or locating.camera
    key = hashlib.sha256(repr((pixels_sha256(picture), locating, view, code_sha256())).encode()).hexdigest()
    place = place_of(picture, photo.labelled.name, photo.run, view, locating, found.located, spool, key)
    straightener = locating.straightener(view)
    labelled = moved_labels(photo.labelled, boxes, picture.size, place, straightener, found.located)
    moved = None if labelled.objects is None else [each.box for each in labelled.objects]
    return replace(photo, labelled=labelled, place=place), straightener.resample(picture, place.similarity), moved


def without_reference(rows: Sequence[Examined], parameters: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return a message, by run name, on each picture that fits no golden reference (mean picture of good parts).

    Args:
        rows: the pictures with their rows.
        parameters: contents of the dataset's nsoart.json.
        folder: folder of the dataset.
    """
    wrong = {}
    for photo, row in rows:
        try:
            shape = nsoart.golden_reference(parameters, row.manifest, folder).anchor.shape
            check_ratio((row.width, row.height), shape)
        except ValueError as error:
            hint = f": state {', '.join(nsoart.GROUP_BY)} with --known" if "NSOART of" in str(error) else ""
            wrong[photo.run] = f"{photo.labelled.name}: {error}{hint}"
    return wrong


def attach_images(
    name: str, chunk: Sequence[Examined], rules: Rules, parameters: Mapping[str, Any], spool: Spool
) -> Kept:
    """Add the pictures to examined rows, and store the complete rows in the spool.

    Args:
        name: name of the chunk in the spool.
        chunk: the pictures with their rows.
        rules: settings of the import.
        parameters: contents of nsoart.json.
        spool: store on disk for finished chunks.

    Returns:
        The chunk's entry in the spool.
    """
    files = [photo.labelled.path for photo, _ in chunk]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    inputs = repr((chunk, rules, parameters, stats, code_sha256()))
    key = hashlib.sha256(inputs.encode()).hexdigest()
    if (kept := spool.find(name, key)) is not None:
        return kept
    complete = []
    for photo, row in chunk:
        picture, content = shown(photo, rules)
        chart = nsoart.nsoart_picture(picture, parameters, row.manifest, rules.golden)
        whole = {
            **columns_of(row),
            "image": {"bytes": content, "path": f"{photo.run}.png"},
            "nsoart": {"bytes": encoded_png(chart), "path": f"{photo.run}_nsoart.png"},
        }
        if rules.masks and (mask := _mask(photo.labelled, picture.size)) is not None:
            whole["mask"] = {"bytes": mask, "path": f"{photo.run}_mask.png"}
        complete.append(whole)
    schema = features(True, rules.extras, rules.masks).arrow_schema.remove_metadata()
    return spool.keep(name, key, {}, pa.Table.from_pylist(complete, schema=schema))


def shown(photo: Photo, rules: Rules) -> tuple[Image.Image, bytes]:
    """Return the picture that a dataset shows of an examined photo, and the bytes (PNG or JPEG) that it stores of it.

    The picture of a located photo is straightened.
    """
    picture, content = opened(photo.labelled)
    if photo.place is not None and rules.locating is not None:
        straightener = rules.locating.straightener(photo.place.view)
        picture, content = straightener.resample(picture, photo.place.similarity), None
    return picture, encoded_png(picture) if content is None else content


def opened(labelled: Labelled) -> tuple[Image.Image, bytes | None]:
    """Open a labelled picture; returns the picture, and its file's bytes if they show just this picture, else None.

    A picture with an EXIF orientation is turned upright, unless its labels state the size of the unturned picture: then
    its boxes were drawn on the latter. PNG and JPEG files of 8 bits that need no change are stored unchanged.

    Raises:
        InputError: the picture cannot be read, or its size differs from that in its labels.
    """
    name = labelled.name
    if not labelled.path.is_file():
        got = "a link that leads nowhere" if labelled.path.is_symlink() else "no such file"
        raise InputError(f"{name}: expected the picture that the labels name, got {got}")
    try:
        content = labelled.path.read_bytes()
    except OSError as error:
        raise InputError(f"{name}: expected a readable file, got: {error.strerror}") from None
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
    shallow = eight_bit(with_white(plain(picture, name), name))
    keeps = shallow is stored and turned is stored and stored.format in ("PNG", "JPEG")
    return shallow, content if keeps else None


def _row(photo: Photo, boxes: Sequence[Box] | None, size: tuple[int, int], rules: Rules) -> PictureRow:
    """Make a photo's row; `boxes`: those of its objects in the picture of `size`, clipped to it; None: not known."""
    labelled = photo.labelled
    objects: tuple[ObjectRow, ...] | None = None
    if labelled.objects is not None and boxes is not None:
        pairs = zip(labelled.objects, boxes, strict=True)
        objects = tuple(_object(number, each, inside) for number, (each, inside) in enumerate(pairs, 1))
    label = photo.label
    text: str | None = "" if label == OK else None
    observable: bool | None = True if label == OK else None
    if objects is not None:
        text = answer(objects, size, rules.answer)
        shows = (each.in_answer and can_be_seen(each.moved_px, OBSERVABLE_PX) for each in objects)
        observable = label == OK or any(shows)
    # What Pinsight's own export states holds unless the options, or the gauge that found the part, state otherwise.
    stated = labelled.columns
    manifest: dict[str, Any] = {name: rules.known.get(name, stated.get(name)) for name in MANIFEST_COLUMNS}
    if photo.part is not None:
        manifest["part"] = photo.part
    if photo.camera is not None:
        manifest["camera"] = photo.camera
    return PictureRow(
        label=label,
        kinds=_kinds(photo.labelled, label, objects),
        observable=stated.get("observable", observable),
        grey=stated.get("grey"),
        bbox_str=text,
        objects=objects,
        synthetic=rules.synthetic or stated.get("synthetic", False),
        original=stated.get("original"),
        augmentation=stated.get("augmentation"),
        width=size[0],
        height=size[1],
        manifest={**manifest, "run": photo.run, "split": photo.split},
        extras={"file": photo.labelled.name},
    )


def _boxes(labelled: Labelled, size: tuple[int, int], notes: list[str]) -> list[Box] | None:
    """Check the boxes of a picture and return them in px, clipped to it; None if its objects are not known."""
    if labelled.objects is None:
        return None
    found: list[Box] = []
    problems = []
    worst = worst_class(each.category for each in labelled.objects)
    if labelled.label == OK and worst != OK:
        problems.append(f"{labelled.name}: expected no box of a defect in a picture labelled OK, got one of {worst}")
    factor = (*size, *size) if labelled.relative else (1.0, 1.0, 1.0, 1.0)
    for number, each in enumerate(labelled.objects, 1):
        x1, y1, x2, y2 = box = tuple(edge * times for edge, times in zip(each.box, factor, strict=True))
        where = f"{labelled.name} box {number}"
        given = f"[{x1:g}, {y1:g}, {x2:g}, {y2:g}]"
        inside = clipped(box, size)
        if x2 <= x1 or y2 <= y1:
            problems.append(f"{where}: expected a box [x1, y1, x2, y2] with x1 < x2 and y1 < y2, got {given}")
            continue
        if not labelled.relative and 0 < min(x2, y2) <= max(x2, y2) <= 1:
            problems.append(f"{where}: expected a box in px, got {given}: multiply fractions by width and height")
            continue
        if min(inside[2] - inside[0], inside[3] - inside[1]) < _LEAST_PX:
            problems.append(
                f"{where}: expected a box of at least {_LEAST_PX:g} px inside {size[0]} x {size[1]} px, got {given}"
            )
            continue
        over = max(abs(a - b) for a, b in zip(inside, box, strict=True))
        if over > ROUNDING_PX:
            notes.append(
                f"{where}: {given} reaches beyond the picture of {size[0]} x {size[1]} px and is clipped to it"
            )
        found.append(inside)
    if problems:
        raise InputError(problems)
    return found


def _object(number: int, each: LabelledObject, inside: Box) -> ObjectRow:
    """Make the ObjectRow of a labelled object; `inside`: its clipped box. Values that the file lacks are None."""
    kind = kind_of(each.word)
    kinds: tuple[str, ...] | None = None if kind is None else (kind,)
    if each.category == OK:
        kinds = ()
    row = ObjectRow(number, inside, each.category, **{"kinds": kinds, **each.own})
    return replace(row, in_answer=is_in_answer(row.category, row.visible, row.area))


def _kinds(labelled: Labelled, label: str, objects: tuple[ObjectRow, ...] | None) -> tuple[str, ...] | None:
    """Return a picture's kinds of defect: its labels other than class names; () if OK, None if none states a kind."""
    if label == OK:
        return ()
    if objects is None:
        kind = kind_of(labelled.word)
        return None if kind is None else (kind,)
    return tuple(sorted({kind for each in objects for kind in each.kinds or ()})) or None


def _mask(labelled: Labelled, size: tuple[int, int]) -> bytes | None:
    """Return the instance mask of a picture (width, height) as PNG bytes; None without segmentations."""
    mask, _ = _drawn_mask(labelled, size)
    return None if mask is None else encoded_png(Image.fromarray(mask))


def _drawn_mask(labelled: Labelled, size: tuple[int, int]) -> tuple[np.ndarray | None, list[str]]:
    """Draw the instance mask from COCO's segmentations, smaller objects in front.

    Args:
        labelled: the labelled picture.
        size: its width and height, px.

    Returns:
        The mask (H, W), uint16, None without segmentations; and picture and number of each object without a pixel in
        it, because others cover it or its segmentation is empty.

    Raises:
        InputError: a segmentation cannot be drawn.
    """
    layers = []
    for number, each in enumerate(labelled.objects or (), 1):
        if not each.segmentation:
            continue
        try:
            pixels = pixels_of(each.segmentation, size)
        except ValueError as error:
            raise InputError(f"{labelled.name} box {number}: expected a COCO segmentation, got: {error}") from None
        layers.append((int(pixels.sum()), number, pixels))
    if not layers:
        return None, []
    mask = np.zeros((size[1], size[0]), np.uint16)
    for _, number, pixels in sorted(layers, key=lambda layer: (-layer[0], layer[1])):
        mask[pixels] = number
    seen = set(np.unique(mask).tolist())
    return mask, [f"{labelled.name} box {number}" for _, number, _ in layers if number not in seen]
