"""Boxes of pins and flaws in a camera's picture, px, hidden parts included, from projected vertices and edges.

The record's `amodal` and `expected` boxes come from here, its `visible` boxes from geometry/visibility.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from blender_scripts.contract.terminals import Terminal
from blender_scripts.geometry import solids
from blender_scripts.geometry.boxes import Box, box_of, boxes_of
from blender_scripts.geometry.facets import ranges
from blender_scripts.geometry.lens import BENT_PX
from blender_scripts.geometry.optics import Camera
from blender_scripts.geometry.part import Flaw, Part
from blender_scripts.geometry.pin import Form, Pin


@dataclass(frozen=True)
class WholePinBoxes:
    """Boxes of the pin at one position, hidden parts included, px.

    Attributes:
        amodal: box of the pin as it stands; None where it is missing.
        expected: box of the intact pin at true position.
    """

    amodal: Box | None
    expected: Box


@dataclass(frozen=True)
class WholeFlawBoxes:
    """Boxes of what a defect adds to a part, removes from it or misprints (a flaw), hidden parts included, px.

    Attributes:
        amodal: box of the foreign body, of the gap in the rim, or of the wrong print; None if print is only missing.
        expected: box of the right print; None for other flaws.
    """

    amodal: Box | None
    expected: Box | None


def pin_boxes_of(pins: Sequence[Pin], camera: Camera) -> list[WholePinBoxes]:
    """Project each pin as it stands, and as an intact pin at true position; returns the boxes of each pin, in order."""
    amodal: list[Box | None] = [None] * len(pins)
    for form, members, world in solids.pins_by_form(pins):
        for number, box in zip(members, _pin_boxes(form, world, camera), strict=True):
            amodal[number] = box

    expected: list[Box] = [[]] * len(pins)
    drawn: dict[Terminal, list[int]] = {}
    for number, pin in enumerate(pins):
        drawn.setdefault(pin.nominal, []).append(number)
    for terminal, members in drawn.items():
        form, places = Form(terminal), np.array([pins[number].nominal_base_mm for number in members])
        standing = solids.pin_mesh(form).vertices + places[:, None]
        for number, box in zip(members, _pin_boxes(form, standing, camera), strict=True):
            expected[number] = box
    return [WholePinBoxes(*parts) for parts in zip(amodal, expected, strict=True)]


def _pin_boxes(form: Form, vertices: np.ndarray, camera: Camera) -> list[Box]:
    """The boxes of pins of one form with these vertices (N, V, 3), mm."""
    if camera.lens.is_straight:
        return boxes_of(camera.project(vertices))
    sides = solids.sides(form.terminal)
    lower = np.arange(vertices.shape[1] - 1 - sides)
    edges = np.stack([lower, lower + sides], axis=1)
    return [edges_box(pin, edges, camera) for pin in vertices]


def edges_box(vertices: np.ndarray, edges: np.ndarray, camera: Camera) -> Box:
    """Return the box in a picture, px, of vertices and of the edges between them, which a lens may bend.

    Args:
        vertices: (V, 3) mm.
        edges: (E, 2) vertex indices of the edges' ends.
        camera: the picture's camera.
    """
    flat = camera.project(vertices)
    if camera.lens.is_straight:
        return box_of(flat)
    starts, ends = edges.T
    steps = np.ceil(np.abs(flat[ends] - flat[starts]).max(axis=1) / BENT_PX).astype(int)
    step, edge = ranges(np.zeros_like(steps), steps)
    share = (step / steps[edge])[:, None]
    between = vertices[starts[edge]] * (1.0 - share) + vertices[ends[edge]] * share
    return box_of(np.concatenate([flat, camera.project(between)]))


def flaw_boxes_of(part: Part, camera: Camera) -> list[WholeFlawBoxes]:
    """Project the foreign bodies, gaps in the rim and wrong print of a part; returns the boxes of each flaw."""
    found = []
    for flaw in part.flaws:
        meant = solids.print_mesh(part.connector.marking, flaw.meant)
        expected = None if meant is None else box_of(camera.project(part.scale * meant.vertices))
        points = _flaw_points(part, flaw)
        if points is None:
            found.append(WholeFlawBoxes(None, expected))
            continue
        found.append(WholeFlawBoxes(box_of(camera.project(points)), expected))
    return found


def _flaw_points(part: Part, flaw: Flaw) -> np.ndarray | None:
    if flaw.cut is not None:
        connector = part.connector
        return part.scale * solids.cut_points(connector.shell, connector.housings[part.housing], flaw.cut)
    letters = solids.print_mesh(part.connector.marking, flaw.printed)
    points = [solids.body_mesh(body).vertices for body in flaw.bodies]
    points += [] if letters is None else [part.scale * letters.vertices]
    return np.concatenate(points) if points else None
