"""Boxes and areas of whole pins and flaws in a picture, hidden parts included, from their projected vertices; px.

The amodal and expected boxes of the record come from here; the visible ones from geometry/visibility.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.terminals import Terminal
from blender_scripts.geometry import solids
from blender_scripts.geometry.hulls import (
    Box,
    box_of,
    boxes_of,
    convex_hulls,
    polygon_areas,
    silhouette_area,
)
from blender_scripts.geometry.optics import Camera
from blender_scripts.geometry.part import Flaw, Part
from blender_scripts.geometry.pin import Form, Pin


@dataclass(frozen=True)
class Outline:
    """Boxes and area of the pin at one position, hidden parts included, px.

    Attributes:
        amodal: box of the whole pin as it stands; None where it is missing.
        expected: box of an intact pin at its nominal place.
        area: area of the whole pin, or of the mouth of an empty cavity, px^2.
    """

    amodal: Box | None
    expected: Box
    area: float


@dataclass(frozen=True)
class FlawOutline:
    """Boxes and area of a flaw (a foreign body, a gap in the rim or a misprint), hidden parts included, px.

    Attributes:
        amodal: box of the foreign body, the gap or the wrong print; None for print that is missing.
        expected: box of the print that should be there; None for other flaws.
        area: area of the foreign bodies, px^2; 0 for other flaws.
    """

    amodal: Box | None
    expected: Box | None
    area: float


def project_pins(connector: Connector, pins: tuple[Pin, ...], camera: Camera) -> list[Outline]:
    """Project the vertices of each pin, and those of an intact pin at its nominal place.

    Args:
        connector: the scene.
        pins: the part's pins.
        camera: the picture's camera.

    Returns:
        An outline for each pin, in their order.
    """
    amodal: list[Box | None] = [None] * len(pins)
    area = [0.0] * len(pins)
    groups: dict[Form, list[int]] = {}
    for number, pin in enumerate(pins):
        groups.setdefault(pin.form, []).append(number)
    for form, members in groups.items():
        frames = np.array([solids.pin_matrix(pins[number]) for number in members])
        local = solids.pin_mesh(form).vertices
        world = local @ frames[:, :3, :3].swapaxes(1, 2) + frames[:, None, :3, 3]
        # The first ring is the pin's buried end; the second stands at the floor, or by scatter a little above it.
        sides = solids.sides(form.terminal)
        buried, second = world[:, :sides], world[:, sides : 2 * sides]
        floors = np.array([pins[number].floor_mm for number in members])
        heights = [ring[..., 2].mean(axis=1) for ring in (buried, second)]
        share = np.clip((heights[1] - floors) / (heights[1] - heights[0]), 0.0, 1.0)[:, None, None]
        points = camera.project(np.concatenate([second + share * (buried - second), world], axis=1))
        standing = np.concatenate([points[:, :sides], points[:, 2 * sides :]], axis=1)
        points = points[:, sides:]
        whole = (
            polygon_areas(convex_hulls(standing)).tolist()
            if form.is_convex
            else [silhouette_area(pin, sides) for pin in standing]
        )
        for number, box, covered in zip(members, boxes_of(points), whole, strict=True):
            amodal[number], area[number] = box, covered

    expected: list[Box] = [[]] * len(pins)
    drawn: dict[Terminal, list[int]] = {}
    for number, pin in enumerate(pins):
        drawn.setdefault(pin.nominal, []).append(number)
    for terminal, members in drawn.items():
        places, mouths_at = (
            np.array(points)[:, None]
            for points in (
                [pins[n].nominal_base_mm for n in members],
                [(*pins[n].cavity_mm, pins[n].floor_mm) for n in members],
            )
        )
        standing = camera.project(solids.pin_mesh(Form(terminal)).vertices + places)
        rim = pins[0].scale * solids.cavity_outline(terminal, connector.cavity, connector.cavity.chamfer_mm)
        opening = camera.project(np.column_stack([rim, np.zeros(len(rim))]) + mouths_at)
        for number, box, mouth_area in zip(members, boxes_of(standing), polygon_areas(opening).tolist(), strict=True):
            expected[number] = box
            if pins[number].missing:
                amodal[number], area[number] = None, mouth_area
    return [Outline(*parts) for parts in zip(amodal, expected, area, strict=True)]


def project_flaws(part: Part, camera: Camera) -> list[FlawOutline]:
    """Project the foreign bodies, gaps in the rim and print of the part's flaws; one outline for each flaw."""
    found = []
    for flaw in part.flaws:
        meant = solids.print_mesh(part.connector.marking, flaw.meant)
        expected = None if meant is None else box_of(camera.project(part.scale * meant.vertices))
        points = _flaw_points(part, flaw)
        if points is None:
            found.append(FlawOutline(None, expected, 0.0))
            continue
        flat = camera.project(points)
        area = sum(
            silhouette_area(camera.project(mesh.vertices), solids.BODY_SIDES)
            for mesh in map(solids.body_mesh, flaw.bodies)
        )
        found.append(FlawOutline(box_of(flat), expected, area))
    return found


def _flaw_points(part: Part, flaw: Flaw) -> np.ndarray | None:
    if flaw.cut is not None:
        connector = part.connector
        return part.scale * solids.cut_points(connector.shell, connector.housings[part.housing], flaw.cut)
    letters = solids.print_mesh(part.connector.marking, flaw.printed)
    points = [solids.body_mesh(body).vertices for body in flaw.bodies]
    points += [] if letters is None else [part.scale * letters.vertices]
    return np.concatenate(points) if points else None
