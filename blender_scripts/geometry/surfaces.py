"""Pins, foreign bodies, print and the mouths of empty cavities as targets of geometry/visibility.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from blender_scripts.contract.connector import Connector
from blender_scripts.geometry import solids
from blender_scripts.geometry.hulls import convex_hulls
from blender_scripts.geometry.lens import NO_DISTORTION
from blender_scripts.geometry.optics import Camera
from blender_scripts.geometry.part import Flaw, Part
from blender_scripts.geometry.pin import Form, Pin
from blender_scripts.geometry.visibility import Piece, Target, planes_of

# Differences of directions and slopes below this are rounding.
_STRAIGHT = 1e-9


def views_of(points: np.ndarray, camera: Camera) -> np.ndarray:
    """World points (..., 3), mm, as (u, v, w): px of the undistorted view, and inverse depth in 1/mm."""
    pinhole = replace(camera, lens=replace(camera.lens, distortion=NO_DISTORTION))
    depth = (camera.matrix_world[:3, 3] - points) @ camera.matrix_world[:3, 2]
    return np.concatenate([pinhole.project(points), 1.0 / depth[..., None]], axis=-1)


def pin_targets(pins: Sequence[Pin], camera: Camera) -> list[Target | None]:
    """The standing pins; None for those that are missing."""
    found: list[Target | None] = [None] * len(pins)
    groups: dict[Form, list[int]] = {}
    for number, pin in enumerate(pins):
        if not pin.missing:
            groups.setdefault(pin.form, []).append(number)
    for form, members in groups.items():
        frames = np.array([solids.pin_matrix(pins[number]) for number in members])
        local = solids.pin_mesh(form).vertices
        seen = views_of(local @ frames[:, :3, :3].swapaxes(1, 2) + frames[:, None, :3, 3], camera)
        sides = solids.sides(form.terminal)
        pieces = [_tubes(seen, sides, first, last) for first, last in _runs(form)]
        for number, parts in zip(members, zip(*pieces, strict=True), strict=True):
            found[number] = Target(parts)
    return found


@lru_cache(maxsize=256)
def _runs(form: Form) -> list[tuple[int, int]]:
    """First and last ring of each convex piece of a pin: it ends where the pin turns, twists or stops to taper."""
    sides = solids.sides(form.terminal)
    rings = solids.pin_mesh(form).vertices[:-1].reshape(-1, sides, 3)
    middles = rings.mean(axis=1)
    steps = np.diff(middles, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    widths = np.linalg.norm(rings - middles[:, None], axis=2).mean(axis=1)
    opening = np.diff(widths) / lengths
    ends = np.sum(steps[1:] * steps[:-1], axis=1) < (1.0 - _STRAIGHT) * lengths[1:] * lengths[:-1]
    ends |= (opening[1:] > opening[:-1] + _STRAIGHT) | bool(form.twist_rad)
    bounds = [0, *(np.flatnonzero(ends) + 1).tolist(), len(rings) - 1]
    return list(zip(bounds[:-1], bounds[1:], strict=True))


def _tubes(seen: np.ndarray, sides: int, first: int, last: int) -> list[Piece]:
    """The piece from ring `first` to ring `last` of N equal tubes: rings of `sides` points (N, V, 3).

    A single point after the last ring closes the tube there.
    """
    count = len(seen)
    rings = seen[:, first * sides : (last + 1) * sides].reshape(count, last - first + 1, sides, 3)
    after = np.roll(rings, -1, axis=2)
    quads = np.stack([rings[:, :-1], after[:, :-1], after[:, 1:], rings[:, 1:]], axis=3).reshape(count, -1, 4, 3)
    points = rings.reshape(count, -1, 3)
    lids = [_lid(rings[:, 0, ::-1])]
    tip = seen[:, (last + 1) * sides :]
    if tip.shape[1] == 1:
        end = np.broadcast_to(tip, (count, sides, 3))
        lids.append(np.stack([rings[:, -1], after[:, -1], end, end], axis=2))
        points = np.concatenate([points, tip], axis=1)
    else:
        lids.append(_lid(rings[:, -1]))
    return _pieces(points, np.concatenate([quads, *lids], axis=1))


def _lid(rings: np.ndarray) -> np.ndarray:
    """Facets (N, F, 4, 3) that together fill convex rings (N, S, 3) of an even number of points."""
    first = np.arange(1, rings.shape[1] - 2, 2)
    return rings[:, np.stack([np.zeros_like(first), first, first + 1, first + 2], axis=1)]


def _pieces(points: np.ndarray, facets: np.ndarray) -> list[Piece]:
    """Convex pieces from their points (N, V, 3) and facets (N, F, 4, 3), corners counter-clockwise from outside."""
    planes, area = planes_of(facets.reshape(-1, 4, 3))
    # v points down: facets that face the camera run the other way round.
    fronts = area.reshape(len(points), -1) < 0.0
    outlines = convex_hulls(points[..., :2])
    found = zip(outlines, points, facets, planes.reshape(len(points), -1, 3), fronts, strict=True)
    return [Piece(outline, own, each[front], plane[front]) for outline, own, each, plane, front in found]


def mouth_target(connector: Connector, pin: Pin, camera: Camera) -> Target:
    """The mouth of a missing pin's cavity."""
    rim = solids.cavity_outline(pin.nominal, connector.cavity, connector.cavity.chamfer_mm)
    place = [pin.position.x_mm, pin.position.y_mm, pin.floor_mm]
    return Target(_flat(np.column_stack([rim, np.zeros(len(rim))]) + place, camera), hides=False)


def _flat(corners: np.ndarray, camera: Camera) -> list[Piece]:
    """A flat convex polygon (C, 3) mm as a piece, whichever side faces the camera."""
    seen = views_of(corners, camera)[None]
    if seen.shape[1] % 2:
        seen = np.concatenate([seen, seen[:, -1:]], axis=1)
    facets = _lid(seen)
    _, area = planes_of(facets[0])
    return _pieces(seen, facets if area.sum() < 0.0 else facets[:, :, [0, 3, 2, 1]])


def flaw_target(part: Part, flaw: Flaw, camera: Camera) -> Target | None:
    """What a flaw adds or misprints; None where that is nothing."""
    pieces: list[Piece] = []
    for body in flaw.bodies:
        seen = views_of(solids.body_mesh(body).vertices, camera)[None]
        steps = seen.shape[1] // solids.BODY_SIDES - 1
        pieces += [_tubes(seen, solids.BODY_SIDES, step, step + 1)[0] for step in range(steps)]
    letters = solids.print_mesh(part.connector.marking, flaw.printed)
    if letters is not None:
        for corners in letters.faces:
            pieces += _flat(letters.vertices[list(corners)], camera)
    return Target(pieces, solid=not flaw.bodies) if pieces else None
