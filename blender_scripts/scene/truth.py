"""The ground truth of one picture: the record's keys `positions` and `other`, with boxes, key points and measures.

Three boxes are given: `amodal` (the whole object as it is, hidden parts included), `expected` (a good object in its
nominal place) and `visible`. The first two are boxes of projected vertices (geometry/outlines.py), the third comes from
geometry/visibility.py. All are in px of the picture with pixel centres at half integers, and may extend beyond it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender_scripts.geometry.optics import Camera
from blender_scripts.geometry.outlines import FlawOutline, Outline, project_pins
from blender_scripts.geometry.part import Part
from blender_scripts.geometry.visibility import Seen
from blender_scripts.manifest.defects import worst_kind


def positions_truth(part: Part, camera: Camera, outlines: list[Outline], seen: list[Seen]) -> list[dict[str, Any]]:
    """The value of the record's key `positions`: an object for each position.

    Args:
        part: the part.
        camera: the picture's camera.
        outlines: outlines of its pins in this picture.
        seen: the visible part of each pin, or of the mouth of its empty cavity.
    """
    found, pins = [], part.pins
    tips = camera.project(np.array([pin.tip_mm for pin in pins])).tolist()
    bases = camera.project(np.array([pin.base_mm for pin in pins])).tolist()
    for pin, outline, (visible, area), tip, base in zip(pins, outlines, seen, tips, bases, strict=True):
        boxes = {
            "visible": None if pin.missing else visible,
            "amodal": outline.amodal,
            "expected": outline.expected,
        }
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
                "visible_fraction": min(1.0, area / outline.area),
                "boxes": boxes,
            }
        )
    return found


def datum_truth(part: Part) -> dict[str, Any]:
    """The value of the record's key `datum`: its features on the drawing, and how far this part's lie from there."""
    return {**part.connector.datum.stated(), "shift_mm": list(part.pins[0].datum_shift_mm)}


def measured_again(positions: list[dict[str, Any]], part: Part, camera: Camera) -> list[dict[str, Any]]:
    """Update a record's `positions` after the scene's datum has changed: its measures and expected boxes.

    Args:
        positions: the value of the record's key `positions`.
        part: the part, made with the new datum.
        camera: the picture's camera.
    """
    outlines = project_pins(part.connector, part.pins, camera)
    return [
        {**known, **pin.measures(), "boxes": {**known["boxes"], "expected": outline.expected}}
        for known, pin, outline in zip(positions, part.pins, outlines, strict=True)
    ]


def flaws_truth(part: Part, outlines: list[FlawOutline], seen: list[Seen]) -> list[dict[str, Any]]:
    """The value of the record's key `other`: an object for each flaw (foreign body, gap in the rim, misprint).

    For a gap in the rim, the visible box is that of the whole gap, as the missing piece has no pixels.

    Args:
        part: the part.
        outlines: outlines of its flaws in this picture.
        seen: the visible part of each flaw.
    """
    found = []
    for flaw, outline, (visible, area) in zip(part.flaws, outlines, seen, strict=True):
        share = min(1.0, area / outline.area) if outline.area else float(visible is not None)
        if flaw.cut is not None:
            visible, share = outline.amodal, 1.0
        elif outline.amodal is None:
            share = 1.0
        pins = [part.pin(address).position for address in flaw.defect.addresses]
        found.append(
            {
                "kind": flaw.defect.kind,
                "defect": flaw.defect.text,
                "address": "-".join(position.address for position in pins),
                "cavity": "-".join(position.cavity for position in pins),
                "visible_fraction": share,
                "boxes": {"visible": visible, "amodal": outline.amodal, "expected": outline.expected},
            }
        )
    return found
