"""The ground truth of one picture: the record's keys `positions` and `other`, with boxes, key points and measures.

A pin has up to three boxes: of its visible part (geometry/visibility.py), of all of it, hidden parts included
(`amodal`), and of the intact pin in its place (`expected`; both geometry/whole_boxes.py). Boxes are in px and may lie
partly outside the picture, which is [0, W] x [0, H].
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from blender_scripts.geometry.boxes import Box
from blender_scripts.geometry.optics import Camera
from blender_scripts.geometry.part import Part
from blender_scripts.geometry.surfaces import points_alone
from blender_scripts.geometry.visibility import Sight
from blender_scripts.geometry.whole_boxes import WholeFlawBoxes, WholePinBoxes, pin_boxes_of
from blender_scripts.manifest.defects import worst_kind


class Visible(NamedTuple):
    """What is visible of the pin at a position, of its empty cavity's mouth, or of a flaw (see geometry/part.py).

    Attributes:
        box: box of the visible part, px of the picture; None if nothing is visible.
        share: visible points divided by the points that would be visible if nothing hid them, 0 to 1.
    """

    box: Box | None
    share: float


def visible_parts(part: Part, camera: Camera, sight: Sight) -> list[Visible]:
    """Return the visible part of each position's pin or empty cavity, then of each flaw; `sight` is from `sight_of`."""
    seen = zip(sight.seen(), points_alone(part, camera), strict=True)
    return [Visible(box, min(1.0, points / max(alone, 1))) for (box, points), alone in seen]


def positions_truth(
    part: Part, camera: Camera, whole_boxes: list[WholePinBoxes], seen: list[Visible]
) -> list[dict[str, Any]]:
    """Return the record's key `positions`: kind, measures, key points and boxes of each position.

    Args:
        part: the part.
        camera: the picture's camera.
        whole_boxes: boxes of its pins in this picture, hidden parts included.
        seen: the visible part of each pin, or of the mouth of its empty cavity.
    """
    found, pins = [], part.pins
    tips = camera.project(np.array([pin.tip_mm for pin in pins])).tolist()
    bases = camera.project(np.array([pin.base_mm for pin in pins])).tolist()
    for pin, whole, (visible, share), tip, base in zip(pins, whole_boxes, seen, tips, bases, strict=True):
        boxes = {"visible": None if pin.missing else visible, "amodal": whole.amodal, "expected": whole.expected}
        found.append(
            {
                "index": pin.position.index,
                "address": pin.position.address,
                "cavity": pin.position.cavity,
                "terminal": pin.terminal.name,
                "defects": [defect.text for defect in pin.defects],
                "kind": worst_kind(pin.defects),
                "tip_px": None if pin.missing else tip,
                "base_px": base,
                "bend_px": None if pin.bend_mm is None else camera.project(np.array(pin.bend_mm)).tolist(),
                "tip_mm": None if pin.missing else list(pin.tip_mm),
                "base_mm": list(pin.base_mm),
                "bend_mm": None if pin.bend_mm is None else list(pin.bend_mm),
                **pin.measures(),
                "visible_fraction": share,
                "boxes": boxes,
            }
        )
    return found


def datum_truth(part: Part) -> dict[str, Any]:
    """Return the record's key `datum`: its features, and `shift_mm`, (x, y) of the part's datum minus the drawing's."""
    return {**part.connector.datum.stated(), "shift_mm": list(part.pins[0].datum_shift_mm)}


def measured_again(positions: list[dict[str, Any]], part: Part, camera: Camera) -> list[dict[str, Any]]:
    """Return a record's `positions` with measures and expected boxes, which depend on the datum, computed again."""
    whole_boxes = pin_boxes_of(part.pins, camera)
    return [
        {**known, **pin.measures(), "boxes": {**known["boxes"], "expected": whole.expected}}
        for known, pin, whole in zip(positions, part.pins, whole_boxes, strict=True)
    ]


def flaws_truth(part: Part, whole_boxes: list[WholeFlawBoxes], seen: list[Visible]) -> list[dict[str, Any]]:
    """Return the record's key `other`: kind, address, visible share and boxes of each flaw.

    A flaw is what a defect adds to the part, removes from it or misprints. For a gap in the rim, the visible box is
    that of the whole gap, as the missing piece has no pixels.

    Args:
        part: the part.
        whole_boxes: boxes of its flaws in this picture, hidden parts included.
        seen: the visible part of each flaw.
    """
    found = []
    for flaw, whole, (visible, share) in zip(part.flaws, whole_boxes, seen, strict=True):
        if flaw.cut is not None:
            visible, share = whole.amodal, 1.0
        elif not flaw.bodies:
            share = 1.0 if whole.amodal is None else float(visible is not None)
        pins = [part.pin(address).position for address in flaw.defect.addresses]
        found.append(
            {
                "kind": flaw.defect.kind,
                "defect": flaw.defect.text,
                "address": "-".join(position.address for position in pins),
                "cavity": "-".join(position.cavity for position in pins),
                "visible_fraction": share,
                "boxes": {"visible": visible, "amodal": whole.amodal, "expected": whole.expected},
            }
        )
    return found
