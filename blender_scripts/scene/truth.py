"""The truth of one picture: the record's `positions` and `other`, with boxes, key points and measures.

Amodal and expected boxes are projected vertices (geometry/outlines.py); visible boxes come from the instance mask
(instance_mask.py). All are in the picture's pixels, edge convention, and not clipped to it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from blender_scripts.contract.connector import Connector
from blender_scripts.geometry.optics import Camera
from blender_scripts.geometry.outlines import FlawOutline, Outline, project_pins
from blender_scripts.geometry.part import Part
from blender_scripts.geometry.pin import Pin
from blender_scripts.manifest.defects import worst_kind
from blender_scripts.scene.instance_mask import CAVITY_CODES, Mask


def positions_truth(pins: tuple[Pin, ...], camera: Camera, outlines: list[Outline], mask: Mask) -> list[dict[str, Any]]:
    """The record's `positions`.

    Args:
        pins: the part's pins.
        camera: the picture's camera.
        outlines: outlines of these pins in this picture.
        mask: the instance mask of this picture.
    """
    found = []
    tips = camera.project(np.array([pin.tip_mm for pin in pins])).tolist()
    bases = camera.project(np.array([pin.base_mm for pin in pins])).tolist()
    for pin, outline, tip, base in zip(pins, outlines, tips, bases, strict=True):
        if outline.amodal is None:
            visible = None
            _, count = mask.seen(CAVITY_CODES + pin.position.index, outline.mouth)
        else:
            visible, count = mask.seen(pin.position.index, outline.amodal, outline.hulls)
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
                "visible_fraction": min(1.0, count / mask.scale**2 / outline.area),
                "boxes": {"visible": visible, "amodal": outline.amodal, "expected": outline.expected},
            }
        )
    return found


def datum_truth(part: Part) -> dict[str, Any]:
    """The record's `datum`: its features on the drawing, and how far those of this part lie from there."""
    return {**part.connector.datum.stated(), "shift_mm": list(part.pins[0].datum_shift_mm)}


def measured_again(
    positions: list[dict[str, Any]], connector: Connector, pins: tuple[Pin, ...], camera: Camera
) -> list[dict[str, Any]]:
    """A record's `positions` with the measures and expected boxes of these pins: those that depend on the datum."""
    outlines = project_pins(connector, pins, camera)
    return [
        {**known, **pin.measures(), "boxes": {**known["boxes"], "expected": outline.expected}}
        for known, pin, outline in zip(positions, pins, outlines, strict=True)
    ]


def flaws_truth(part: Part, outlines: list[FlawOutline], mask: Mask) -> list[dict[str, Any]]:
    """The record's `other`: its flaws, whose numbers in the mask follow those of the positions.

    A broken-out piece has no pixels: its visible box is the box of the gap.
    """
    found = []
    for code, (flaw, outline) in enumerate(zip(part.flaws, outlines, strict=True), len(part.pins) + 1):
        visible, count = (None, 0) if outline.amodal is None else mask.seen(code, outline.amodal)
        share = min(1.0, count / mask.scale**2 / outline.area) if outline.area else float(visible is not None)
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
