"""Make the dataset row of a rendered picture from its record (the renderer's exact measures) and one tolerance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from blender_scripts.contract.tolerance import Tolerance
from blender_scripts.geometry.optics import Camera
from blender_scripts.manifest.reader import Run
from generator.dataset.labels import (
    NUKENG,
    OBSERVABLE_PX,
    OK,
    OTHERNG,
    can_be_seen,
    is_grey,
    is_in_answer,
    judge,
    shows_a_pin,
    worst_class,
)
from generator.dataset.rows import (
    MANIFEST_COLUMNS,
    Box,
    CameraRow,
    ObjectRow,
    PictureRow,
    Point,
    answer,
    clipped,
    shown_part,
)


@dataclass(frozen=True)
class Labelling:
    """The settings by which the pictures of records are labelled.

    Attributes:
        limits: limits in mm that replace those of the scene, by name: `true_position_mm`, or for one pin
            `r1c2.true_position_mm`.
        grey: a picture is marked grey if a measure differs from its limit by at most this fraction of the limit, so
            that people would not agree on OK or NG; 0: none is.
        observable_px: a bend or a wrong height counts as visible in a picture if it moves the tip by at least this, px.
        answer: how `bbox_str`, the Florence-2 answer, names the classes: `short`, `words` or `hyphenated`.
        scenes: tolerance of each scene, by name; for a scene that is not in it, the records state the tolerance.
    """

    limits: Mapping[str, float]
    grey: float = 0.0
    observable_px: float = OBSERVABLE_PX
    answer: str = "short"
    scenes: Mapping[str, Tolerance] = field(default_factory=dict)

    def tolerance(self, record: Mapping[str, Any]) -> Tolerance:
        """Return the tolerance for a record: that of its scene, with some limits replaced by those in `limits`."""
        known = self.scenes.get(record["row"]["scene"]) or Tolerance(**record["tolerance"])
        addresses = {"", *(position["address"] for position in record["positions"])}
        return known.with_limits({n: limit for n, limit in self.limits.items() if n.rpartition(".")[0] in addresses})


@dataclass(frozen=True)
class PictureLabel:
    """The values of a dataset row that depend on the tolerance; each means the same as in `PictureRow`."""

    label: str
    kinds: tuple[str, ...]
    grey: bool
    observable: bool
    objects: tuple[ObjectRow, ...]


def picture_row(run: Run, record: Mapping[str, Any], how: Labelling, extras: Sequence[str] = ()) -> PictureRow:
    """Make the dataset row of a rendered picture.

    Args:
        run: the picture's row in the manifest.
        record: the renderer's JSON file on the picture, with the exact measures, boxes and camera.
        how: the tolerance and other settings of labelling.
        extras: names of the user's own columns in all manifests; the value is "" where this picture's manifest does not
            have the column.

    Raises:
        KeyError, TypeError, ValueError: the record lacks a value that is needed.
    """
    size = int(record["width"]), int(record["height"])
    tolerance = how.tolerance(record)
    truth = label_picture(record, tolerance, how.grey, how.observable_px)
    row = run.row()
    return PictureRow(
        label=truth.label,
        kinds=truth.kinds,
        observable=truth.observable,
        grey=truth.grey,
        bbox_str=answer(truth.objects, size, how.answer),
        objects=truth.objects,
        camera=_camera(record),
        tolerance=tolerance.complete(),
        housing_box=shown_part(record["housing"]["boxes"]["visible"], size),
        synthetic=True,
        width=size[0],
        height=size[1],
        manifest={name: row[name] for name in MANIFEST_COLUMNS},
        extras={name: str(run.extra.get(name, "")) for name in extras},
    )


def _camera(record: Mapping[str, Any]) -> CameraRow:
    """The camera in the frame of the part's datum, in which its measures are stated: they project to its points."""
    matrix = [list(line) for line in record["camera"]["matrix_world"]]
    # Records of renderer 4 and older have no datum but the world's origin.
    for axis, shift in enumerate(record.get("datum", {}).get("shift_mm", ())):
        matrix[axis][3] -= shift
    return CameraRow.of({**record["camera"], "matrix_world": matrix})


def label_picture(
    record: Mapping[str, Any], tolerance: Tolerance, grey: float = 0.0, observable_px: float = OBSERVABLE_PX
) -> PictureLabel:
    """Decide the class of a picture, its objects and its flags from the measures in its record.

    Args:
        record: the renderer's JSON file on the picture.
        tolerance: the limits above which a pin is NG.
        grey: the picture is marked grey if a measure differs from its limit by at most this fraction of the limit.
        observable_px: a bend or a wrong height of a pin in view counts as visible if it moves the tip by at least this
            number of px; if the record has no camera, it always counts as visible.

    Raises:
        KeyError, TypeError, ValueError: the record lacks a value that is needed.
    """
    size = int(record["width"]), int(record["height"])
    positions = record["positions"]
    camera = Camera.of_record(record) if "camera" in record else None
    pins = [_position(position, tolerance, size, camera) for position in positions]
    others = [_other(each, index, size) for index, each in enumerate(record["other"], len(pins) + 1)]
    shows = [each.in_answer is True and can_be_seen(each.moved_px, observable_px) for each in (*pins, *others)]
    label = worst_class(each.category for each in (*pins, *others))
    return PictureLabel(
        label=label,
        kinds=tuple(sorted({kind for each in (*pins, *others) for kind in each.kinds or ()})),
        grey=any(is_grey(each, tolerance.limits(each.get("address")), grey) for each in positions),
        observable=any(shows) if label != OK else shows_a_pin([each.visible for each in pins]),
        objects=(*pins, *others),
    )


def moved_px(position: Mapping[str, Any], kinds: Sequence[str], camera: Camera | None) -> float | None:
    """Return by how many px a pin's bend or wrong height, whichever is more, moves its tip in the picture.

    The result is None, so that the defect counts as visible, if `camera` is None, if `kinds` is empty, or if `kinds`
    has a kind other than bent, retracted and protruding.

    Args:
        position: the pin's entry in a record, with `tip_mm` and measures in mm.
        kinds: kinds of defect that `judge` found.
        camera: camera of the picture; None: not recorded.
    """
    if camera is None or not kinds or not set(kinds) <= {"bent", "retracted", "protruding"}:
        return None
    tip = np.array(position["tip_mm"], float)
    sideways, upwards = (position["dx_mm"], position["dy_mm"], 0.0), (0.0, 0.0, -position["retraction_mm"])
    deviations = {"bent": sideways, "retracted": upwards, "protruding": upwards}
    without = [tip - np.array(deviations[kind]) for kind in kinds]
    here, *there = camera.project(np.array([tip, *without]))
    return float(max(np.linalg.norm(here - point) for point in there))


def _position(
    position: Mapping[str, Any], tolerance: Tolerance, size: tuple[int, int], camera: Camera | None
) -> ObjectRow:
    category, kinds = judge(position, tolerance)
    boxes = position["boxes"]
    found = ObjectRow(
        id=int(position["index"]),
        box=clipped(_position_box(boxes, category, kinds), size),
        category=category,
        kinds=kinds,
        address=str(position["address"]),
        cavity=str(position["cavity"]),
        visible=float(position["visible_fraction"]) * _share_inside(boxes["visible"] or boxes["expected"], size),
        dx_mm=position.get("dx_mm"),
        dy_mm=position.get("dy_mm"),
        true_position_mm=position["true_position_mm"],
        retraction_mm=position["retraction_mm"],
        tilt_deg=position.get("tilt_deg"),
        tip_px=_point(position.get("tip_px")),
        base_px=_point(position.get("base_px")),
        moved_px=moved_px(position, kinds, camera),
    )
    return replace(found, in_answer=is_in_answer(category, found.visible, found.area))


def _point(value: Iterable[float] | None) -> Point | None:
    if value is None:
        return None
    x, y = value
    return float(x), float(y)


def _position_box(boxes: Mapping[str, Any], category: str, kinds: tuple[str, ...]) -> Box:
    """Return the box of a position, xyxy in px.

    Missing pin: where it should be. Retracted pin: around its visible part and where it should be. Any other pin: its
    visible part or, if that is hidden, what would be visible without the obstacle.
    """
    visible, expected = boxes["visible"], boxes["expected"]
    if "missing" in kinds:
        return _box(expected)
    if category == NUKENG and visible is not None:
        (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = visible, expected
        return min(ax1, bx1), min(ay1, by1), max(ax2, bx2), max(ay2, by2)
    return _box(visible or boxes["amodal"] or expected)


def _box(edges: Iterable[float]) -> Box:
    x1, y1, x2, y2 = edges
    return x1, y1, x2, y2


def _other(each: Mapping[str, Any], index: int, size: tuple[int, int]) -> ObjectRow:
    """Make the ObjectRow of a foreign body, crack or print defect from an entry of a record's `other`."""
    boxes = each["boxes"]
    box = boxes["visible"] or boxes["expected"] or boxes["amodal"]
    if box is None:
        raise ValueError(f"no box in the entry {each['kind']!r} of the list `other`")
    # Where the record has no visible share, an object of which any pixel is visible counts as visible.
    share = float(each.get("visible_fraction", 1.0 if boxes["visible"] else 0.0)) * _share_inside(box, size)
    inside = clipped(box, size)
    return ObjectRow(
        id=index,
        box=inside,
        category=OTHERNG,
        kinds=(str(each["kind"]),),
        in_answer=is_in_answer(OTHERNG, share, _area(inside)),
        address=str(each.get("address") or ""),
        cavity=str(each.get("cavity") or ""),
        visible=share,
    )


def _share_inside(box: Iterable[float], size: tuple[int, int]) -> float:
    """Return the share of a box's area that lies in a picture of (W, H) px: records count what lies beyond as seen."""
    whole, inside = _box(box), clipped(box, size)
    return 1.0 if inside == whole else _area(inside) / max(_area(whole), 1e-12)


def _area(box: Box) -> float:
    x1, y1, x2, y2 = box
    return (x2 - x1) * (y2 - y1)
