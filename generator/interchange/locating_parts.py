"""Find the part in photographs to import, by a gauge, and move their labels to the straightened pictures.

A straightened picture shows the part as `generator inspect --model` compares it: upright, in one size, at one place. A
box becomes the box round its moved corners, or round the moved segmentation if it is the box of that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from blender_scripts.contract.errors import InputError
from generator.dataset.labels import OK, OTHERNG
from generator.dataset.rows import Box, clipped
from generator.dataset.writer import Spool
from generator.interchange.coco import MOST_APART_PX
from generator.interchange.coco_masks import bounds_of, moved_segmentation, outline_of
from generator.interchange.labelled import Labelled, LabelledObject
from generator.io.checksum import sha256_of
from generator.io.pin_boxes import PinBox
from generator.locating.drawings import Key
from generator.locating.edges import Similarity
from generator.locating.gauge_file import GaugeFile, read_gauge_file
from generator.locating.search import orientation_note
from generator.locating.straightening import NotFoundError, Straightener, view_of_all

NAMES = ("scene", "housing", "terminal")
# A box lies at the pin whose middle is nearest to its own, if they are at most so many pitches apart.
_AT_PIN = 0.5


@dataclass(frozen=True)
class Locating:
    """How the part is found in photographs.

    Attributes:
        file: ONNX file of the gauge that finds it.
        sha256: SHA-256 of this file, in hex.
        connector: scene, housing and terminal of the drawing by which it is found.
        camera: the gauge's camera (view) of photographs that state none.
    """

    file: Path
    sha256: str
    connector: Key
    camera: str

    def straightener(self, view: str) -> Straightener:
        """Return what straightens the photographs of a view; made once in each process.

        Raises:
            InputError: the file cannot be read, or the gauge has no such view.
        """
        return _straightener(self, view)


@cache
def _straightener(locating: Locating, view: str) -> Straightener:
    held = _held(locating.file, locating.sha256)
    return Straightener(held.gauge, held.weights_sha256, held.drawings[locating.connector], view)


@cache
def _held(file: Path, sha256: str) -> GaugeFile:
    """Read a gauge; one thread, as there is a process per core, and results must not depend on their number."""
    return read_gauge_file(file, threads=1)


class Place(NamedTuple):
    """Where a photograph shows its straightened picture.

    Attributes:
        view: the gauge's camera that looks from the photograph's direction.
        similarity: map from px of the straightened picture to px of the photograph.
    """

    view: str
    similarity: Similarity


@dataclass
class Located:
    """What was found in photographs; `add` sums it up.

    Attributes:
        found, lost: numbers of photographs in which the part was found, and was not.
        orientations: the drawing looks alike after each turn by 360 / `orientations` degrees; 1: only after 360.
        at_pin, at_none: numbers of boxes of defects that got a pin's address, and that got none.
        contrary: number of boxes whose address in the labels is not that of the pin where they lie.
    """

    found: int = 0
    lost: int = 0
    orientations: int = 1
    at_pin: int = 0
    at_none: int = 0
    contrary: int = 0

    def add(self, other: Located) -> None:
        """Add the numbers of other photographs."""
        for name in ("found", "lost", "at_pin", "at_none", "contrary"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.orientations = max(self.orientations, other.orientations)

    def notes(self, file: Path) -> list[str]:
        """Return messages for the user; `file`: the gauge's file."""
        said = [f"{file}: found the part in {self.found} of {self.found + self.lost} photographs"]
        for text in orientation_note(self.orientations).values():
            said.append(
                f"note: orientation {text}. Boxes in photographs that are turned by more than "
                f"{180.0 / self.orientations:g}° have the addresses of other pins"
            )
        if self.at_pin or self.at_none:
            said.append(f"boxes of defects that got the address of the pin where they lie: {self.at_pin}")
        if self.at_none:
            said.append(
                f"note: boxes of defects without an address (null): {self.at_none}. Their middle lies farther than "
                f"{_AT_PIN:g} pitches from every pin's, or they are of class {OTHERNG} and cover several pins"
            )
        if self.contrary:
            said.append(
                f"warning: boxes that keep the address in the labels, but lie at other pins: {self.contrary}. Perhaps "
                "these parts lie the other way round, or the labels are wrong"
            )
        return said


def locating_of(
    file: Path, named: Mapping[str, str | None], camera: str | None, views: Sequence[str]
) -> tuple[Locating, dict[str, str], list[str]]:
    """Read a gauge, and choose the connector and the cameras of the photographs.

    Args:
        file: the gauge's ONNX file.
        named: scene, housing and terminal of the part, None: any.
        camera: camera of all photographs, None: center or the only one.
        views: cameras of the photographs of each part; empty: one camera.

    Returns:
        How the part is found; the manifest columns that follow for all rows; messages for the user.

    Raises:
        InputError: the gauge cannot be read, or has no such connector or camera.
    """
    sha256 = sha256_of(file)
    held = _held(file, sha256)
    drawing = held.drawing(*(named[name] for name in NAMES))
    view = view_of_all(drawing.cameras, camera, "--known camera") if not views else views[0]
    locating = Locating(file, sha256, drawing.key, view)
    for each in views or (view,):
        locating.straightener(each)
    columns = {NAMES[0]: drawing.key[0]} | ({} if views else {"camera": view})
    notes = []
    # Variants that differ in nothing that a gauge sees fit the photographs alike.
    alike = [
        key for key in held.drawings if all(named[name] in (None, own) for name, own in zip(NAMES, key, strict=True))
    ]
    for at, name in enumerate(NAMES[1:], 1):
        names = sorted({key[at] for key in alike if key[0] == drawing.key[0]})
        if len(names) == 1:
            columns[name] = names[0]
        else:
            listed = ", ".join(names)
            notes.append(f"note: column {name} is null, as the gauge knows several ({listed}): give --{name}")
    return locating, columns, notes


def place_of(
    photograph: Image.Image,
    name: str,
    run: str,
    view: str,
    locating: Locating,
    located: Located,
    spool: Spool,
    key: str,
) -> Place:
    """Find the part in a photograph, or take from the spool what an interrupted import found.

    Args:
        photograph: the photograph.
        name, run: its name in messages, and its run name.
        view: the gauge's camera that looks from its direction.
        locating: how the part is found.
        located: the numbers, to which this photograph's are added.
        spool: store on disk for what was found.
        key: hash of all that the result depends on.

    Raises:
        InputError: the part is not found, or not certainly.
    """
    entry = f"place-{hashlib.sha256(run.encode()).hexdigest()}"
    kept = spool.find(entry, key)
    if kept is None:
        try:
            similarity, orientations = locating.straightener(view).find(photograph, name)
            numbers = [similarity.factor.real, similarity.factor.imag, similarity.shift.real, similarity.shift.imag]
            note: dict[str, Any] = {"numbers": numbers, "orientations": orientations}
        except NotFoundError as error:
            note = {"reasons": list(error.reasons)}
        kept = spool.keep(entry, key, note)
    if reasons := kept.note.get("reasons"):
        located.lost += 1
        got = "; ".join(reasons)
        raise InputError(f"{name}: expected one whole part that {locating.file.name} finds, got: {got}")
    located.found += 1
    located.orientations = max(located.orientations, kept.note["orientations"])
    a, b, c, d = kept.note["numbers"]
    return Place(view, Similarity(complex(a, b), complex(c, d)))


def moved_labels(
    labelled: Labelled,
    boxes: Sequence[Box] | None,
    size: tuple[int, int],
    place: Place,
    straightener: Straightener,
    located: Located,
) -> Labelled:
    """Return the labels of a photograph in px of its straightened picture, boxes clipped to it.

    A box of a defect whose labels state no address gets that of the pin where it lies.

    Args:
        labelled: the labels of the photograph.
        boxes: its boxes, xyxy in px of the photograph; None: its objects are not known.
        size: (W, H) of the photograph in px.
        place: where the photograph shows the straightened picture.
        straightener: what straightens it.
        located: the numbers, to which those of the boxes are added.

    Raises:
        InputError: a box lies where the straightened picture does not show the part.
    """
    if labelled.objects is None or boxes is None:
        return replace(labelled, relative=False)
    move, problems, moved, counts = place.similarity.inverse(), [], [], Located()
    for number, (each, box) in enumerate(zip(labelled.objects, boxes, strict=True), 1):
        points = move.apply(_outline(each, box, size))
        x1, y1, x2, y2 = inside = clipped((*points.min(axis=0), *points.max(axis=0)), straightener.size)
        if x2 <= x1 or y2 <= y1 or not straightener.is_shown(inside):
            given = ", ".join(f"{edge:g}" for edge in box)
            problems.append(f"{labelled.name} box {number}: expected a box on the part, got [{given}] beside it")
            continue
        segmentation = each.segmentation
        if segmentation:
            segmentation = moved_segmentation(segmentation, size, move, straightener.size)
        own = dict(each.own) | _own(each, inside, straightener, counts)
        moved.append(replace(each, box=inside, segmentation=segmentation, own=own))
    if problems:
        raise InputError(problems)
    located.add(counts)
    return replace(labelled, objects=tuple(moved), relative=False)


def _outline(each: LabelledObject, box: Box, size: tuple[int, int]) -> np.ndarray:
    """Points (n, 2), px of the photograph, round an object: its segmentation if `box` is the box of it, else `box`."""
    x1, y1, x2, y2 = box
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    if not each.segmentation or (bounds := bounds_of(each.segmentation)) is None:
        return corners
    x, y, width, height = bounds
    around = clipped((x, y, x + width, y + height), size)
    is_same = all(abs(a - b) <= MOST_APART_PX for a, b in zip(box, around, strict=True))
    return outline_of(each.segmentation, size) if is_same else corners


def _own(each: LabelledObject, box: Box, straightener: Straightener, located: Located) -> dict[str, Any]:
    """Return address and cavity of the pin where a box of a defect lies; {} if the labels state it, or there is none.

    The numbers are counted in `located`.
    """
    stated = each.own.get("address")
    if each.category == OK and not stated:
        return {}
    pin = _pin_at(box, each.category, straightener)
    if stated is not None:
        located.contrary += bool(stated and pin is not None and pin.address != stated)
        return {}
    if pin is None:
        located.at_none += 1
        return {}
    located.at_pin += 1
    return {"address": pin.address, "cavity": each.own.get("cavity") or pin.cavity}


def _pin_at(box: Box, category: str, straightener: Straightener) -> PinBox | None:
    pins = straightener.boxes()
    middles = np.array([(0.5 * (x1 + x2), 0.5 * (y1 + y2)) for x1, y1, x2, y2 in (pin.box for pin in pins)])
    low, high = np.array(box[:2]), np.array(box[2:])
    away = np.linalg.norm(middles - 0.5 * (low + high), axis=1)
    nearest = int(away.argmin())
    # A crack or a fibre across several pins is at none of them.
    covered = int(((middles > low) & (middles < high)).all(axis=1).sum())
    if away[nearest] > _AT_PIN * straightener.gauge.pitch_px or (category == OTHERNG and covered > 1):
        return None
    return pins[nearest]
