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
from generator.dataset.labels import OK
from generator.dataset.rows import Box, clipped
from generator.dataset.writer import Spool
from generator.interchange.coco import MOST_APART_PX
from generator.interchange.coco_masks import bounds_of, moved_segmentation, outline_of, pixels_of
from generator.interchange.labelled import Labelled, LabelledObject
from generator.io.checksum import sha256_of
from generator.io.pin_boxes import PinBox
from generator.locating.cameras import chosen_camera
from generator.locating.drawings import Key, fitting
from generator.locating.edges import Similarity
from generator.locating.gauge_file import GaugeFile, read_gauge_file
from generator.locating.pin_places import UPRIGHT_DEG, turns_alike
from generator.locating.search import orientation_note
from generator.locating.straightening import NotFoundError, Straightener

NAMES = ("scene", "housing", "terminal")
# A box lies at the pin whose middle is nearest to its own, if they are at most so many pitches apart.
_AT_PIN = 0.5
# Least share of a box that must lie within the part's outline.
_LEAST_SHOWN = 0.5


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
    held = read_gauge_file(file, threads=1)
    if (now := sha256_of(file)) != sha256:
        raise InputError(f"{file}: expected the file with which the import began (SHA-256 {sha256}), got {now}")
    return held


@cache
def _turns(locating: Locating, view: str) -> int:
    """Number of turns of the part by 360 / n degrees after which its pins look alike, or nearly; 1: none."""
    one = locating.straightener(view)
    return turns_alike(one.gauge, one.drawing, view)


class PartPlace(NamedTuple):
    """Where a photograph shows its straightened picture.

    Attributes:
        view: the gauge's camera that looks from the photograph's direction.
        similarity: map from px of the straightened picture to px of the photograph.
        is_certain: whether the part's turn is: it is upright, or its pins look alike after no other turn.
    """

    view: str
    similarity: Similarity
    is_certain: bool = True


@dataclass
class Located:
    """What was found in photographs; `add` sums it up.

    Attributes:
        found, lost: numbers of photographs in which the part was found, and was not.
        orientations: the drawing looks alike after each turn by 360 / `orientations` degrees; 1: only after 360.
        at_pin, at_none: numbers of boxes of defects that got a pin's address, and that lie at none or at several.
        turned: number of boxes of defects that got no address, as the part's turn is not certain, or as addresses in
            the labels of the picture contradict it.
        contrary: number of boxes whose address in the labels is not that of the pin where they lie.
    """

    found: int = 0
    lost: int = 0
    orientations: int = 1
    at_pin: int = 0
    at_none: int = 0
    turned: int = 0
    contrary: int = 0

    def add(self, other: Located) -> None:
        """Add the numbers of other photographs."""
        for name in ("found", "lost", "at_pin", "at_none", "turned", "contrary"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.orientations = max(self.orientations, other.orientations)

    def notes(self, file: Path) -> list[str]:
        """Return messages for the user; `file`: the gauge's file."""
        said = [f"{file}: found the part in {self.found} of {self.found + self.lost} photographs"]
        said += [f"note: orientation {text}" for text in orientation_note(self.orientations).values()]
        if self.at_pin or self.at_none or self.turned:
            said.append(f"boxes of defects that got the address of the pin where they lie: {self.at_pin}")
        if self.at_none:
            said.append(
                f"note: boxes of defects without an address (null): {self.at_none}. Their middle lies farther than "
                f"{_AT_PIN:g} pitches from every pin's, or they cover the middles of several pins"
            )
        if self.turned:
            said.append(
                f"note: boxes of defects without an address (null): {self.turned}. The pins look alike, or nearly, "
                f"after another turn, and the part is turned by more than {UPRIGHT_DEG:g}°, or addresses in the labels "
                "of its picture contradict how it lies"
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
    view = chosen_camera(drawing.cameras, camera, "--known camera") if not views else views[0]
    locating = Locating(file, sha256, drawing.key, view)
    for each in views or (view,):
        locating.straightener(each)
    columns = {NAMES[0]: drawing.key[0]} | ({} if views else {"camera": view})
    notes = []
    # Variants that differ in nothing that a gauge sees fit the photographs alike.
    trained = held.gauge.likeness.trained if held.gauge.likeness is not None else None
    choice = fitting(held.drawings, named["scene"], named["housing"], named["terminal"], trained)
    alike = [one.key for one in choice if one.measured == drawing.measured]
    for at, name in enumerate(NAMES[1:], 1):
        names = sorted({key[at] for key in alike})
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
) -> PartPlace:
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
    similarity = Similarity(complex(a, b), complex(c, d))
    is_certain = abs(similarity.turn_deg) <= UPRIGHT_DEG or _turns(locating, view) == 1
    return PartPlace(view, similarity, is_certain)


def moved_labels(
    labelled: Labelled,
    boxes: Sequence[Box] | None,
    size: tuple[int, int],
    place: PartPlace,
    straightener: Straightener,
    located: Located,
) -> Labelled:
    """Return the labels of a photograph in px of its straightened picture, boxes clipped to it.

    A box of a defect whose labels state no address gets that of the pin where it lies, unless the part's turn is not
    certain, or addresses in the labels contradict it.

    Args:
        labelled: the labels of the photograph.
        boxes: its boxes, xyxy in px of the photograph; None: its objects are not known.
        size: (W, H) of the photograph in px.
        place: where the photograph shows the straightened picture.
        straightener: what straightens it.
        located: the numbers, to which those of the boxes are added.

    Raises:
        InputError: a box lies for more than half where the straightened picture does not show the part, or no pixel of
            a segmentation lies in it.
    """
    if labelled.objects is None or boxes is None:
        return replace(labelled, relative=False)
    move, problems, moved, counts = place.similarity.inverse(), [], [], Located()
    at = _pins_at(boxes, place, straightener)
    stated = [each.own.get("address") for each in labelled.objects]
    counts.contrary = sum(bool(a and pin and pin.address != a) for a, pin in zip(stated, at, strict=True))
    is_certain = place.is_certain and not counts.contrary
    for number, (each, box) in enumerate(zip(labelled.objects, boxes, strict=True), 1):
        points = move.apply(_outline(each, box, size))
        whole = (*points.min(axis=0), *points.max(axis=0))
        inside = clipped(whole, straightener.size)
        if (share := straightener.shown_share(whole)) < _LEAST_SHOWN:
            given = ", ".join(f"{edge:g}" for edge in box)
            problems.append(
                f"{labelled.name} box {number}: expected a box of which at least {_LEAST_SHOWN:.0%} lie on the part "
                f"(within its outline), got [{given}] with {share:.0%}"
            )
            continue
        segmentation = each.segmentation
        if segmentation:
            segmentation = moved_segmentation(segmentation, size, move, straightener.size)
            lost = not pixels_of(segmentation, straightener.size).any() and pixels_of(each.segmentation, size).any()
            if lost:
                problems.append(
                    f"{labelled.name} box {number}: expected a segmentation of which a pixel lies in the straightened "
                    "picture, got one beside it"
                )
        own = dict(each.own) | _own(each, at[number - 1], is_certain, counts)
        if "moved_px" in own:
            own["moved_px"] *= move.scale
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


def _own(each: LabelledObject, pin: PinBox | None, is_certain: bool, located: Located) -> dict[str, Any]:
    """Return address and cavity of the pin where a box of a defect lies; {} if the labels state it, or there is none.

    The numbers are counted in `located`. `is_certain`: whether the part's turn is.
    """
    if each.category == OK or each.own.get("address") is not None:
        return {}
    if pin is None or not is_certain:
        located.at_none += pin is None
        located.turned += pin is not None
        return {}
    located.at_pin += 1
    return {"address": pin.address, "cavity": each.own.get("cavity") or pin.cavity}


def _pins_at(boxes: Sequence[Box], place: PartPlace, straightener: Straightener) -> list[PinBox | None]:
    """The pins at which boxes lie, xyxy in px of the photograph; None: at none, or it covers the middles of several."""
    pins, found = straightener.boxes(), list[PinBox | None]()
    middles = place.similarity.apply(
        np.array([(0.5 * (x1 + x2), 0.5 * (y1 + y2)) for x1, y1, x2, y2 in (pin.box for pin in pins)])
    )
    reach = _AT_PIN * straightener.gauge.pitch_px * place.similarity.scale
    for box in boxes:
        low, high = np.array(box[:2]), np.array(box[2:])
        away = np.linalg.norm(middles - 0.5 * (low + high), axis=1)
        nearest = int(away.argmin())
        covered = int(((middles > low) & (middles < high)).all(axis=1).sum())
        found.append(pins[nearest] if away[nearest] <= reach and covered <= 1 else None)
    return found
