"""Prepare pins, foreign bodies, print and mouths of empty cavities, whose visible parts visibility.py finds.

A target is a surface whose visible part is to be found; coordinates (u, v, w) are those of geometry/facets.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from blender_scripts.contract.connector import Connector
from blender_scripts.geometry import solids
from blender_scripts.geometry.facets import Facets, facing
from blender_scripts.geometry.lens import NO_DISTORTION
from blender_scripts.geometry.optics import Camera
from blender_scripts.geometry.part import Flaw, Part
from blender_scripts.geometry.pin import Form, Pin
from blender_scripts.geometry.visibility import Sight, Target

# Differences of directions below this are rounding.
_STRAIGHT = 1e-9


def sight_of(part: Part, camera: Camera, meshes: Sequence[tuple[np.ndarray, np.ndarray]]) -> Sight:
    """Set up the search for the visible parts of a part's pins and flaws.

    Args:
        part: the part.
        camera: the picture's camera.
        meshes: meshes of the housing, which hide pins: vertices (V, 3) in mm, and vertex indices (T, 3) of triangles.

    Returns:
        A Sight with a target for each position (the mouth of the cavity where the pin is missing), then one for each
        flaw (without facets if the flaw adds no surface).
    """
    lens = camera.lens
    centre = 0.5 * np.array([lens.width, lens.height])

    def to_picture(points: np.ndarray) -> np.ndarray:
        return lens.to_pixels((points - centre) / lens.focal_px)

    housing = [(views_of(vertices, camera), corners) for vertices, corners in meshes]
    return Sight(_targets(part, camera), housing, None if lens.is_straight else to_picture)


def points_alone(part: Part, camera: Camera) -> list[int]:
    """Return the number of grid points at which each pin (or empty cavity's mouth) and flaw shows if nothing hides it.

    In the order of `sight_of`; a pin counts from its foot on the cavity floor to its tip, without its buried end.
    """
    targets = [target._replace(hides=False) for target in _targets(part, camera, from_floor=True)]
    return [seen.points for seen in Sight(targets, []).seen()]


def _targets(part: Part, camera: Camera, from_floor: bool = False) -> list[Target]:
    targets = pin_targets(part.pins, camera, from_floor)
    found = [each or mouth_target(part.connector, pin, camera) for each, pin in zip(targets, part.pins, strict=True)]
    return found + [flaw_target(part, flaw, camera) for flaw in part.flaws]


def views_of(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Convert world points (..., 3), mm, to the coordinates (3, ...) u, v, w of geometry/facets.py."""
    straight = replace(camera, lens=replace(camera.lens, distortion=NO_DISTORTION))
    depth = camera.depth(points)
    nearness = -depth if camera.telecentric else 1.0 / depth
    return np.concatenate([np.moveaxis(straight.project(points), -1, 0), nearness[None]])


def pin_targets(pins: Sequence[Pin], camera: Camera, from_floor: bool = False) -> list[Target | None]:
    """Make a target of each pin (None: a missing pin); `from_floor`: the end that is buried in the floor is cut off."""
    found: list[Target | None] = [None] * len(pins)
    for form, members, world in solids.pins_by_form(pins):
        if from_floor:
            _cut_at_floor(world, solids.sides(form.terminal), np.array([pins[number].floor_mm for number in members]))
        seen = views_of(world, camera)
        quads, pieces = _pin_quads(form)
        facets, numbers = facing(np.moveaxis(seen[:, :, quads], 2, 1).reshape(3, 4, -1))
        ends = np.searchsorted(numbers, len(pieces) * np.arange(1, len(members) + 1))
        for member, start, end in zip(members, [0, *ends], ends, strict=False):
            own = Facets(*(array[..., start:end] for array in facets))
            found[member] = Target(own, pieces[numbers[start:end] % len(pieces)])
    return found


def _cut_at_floor(world: np.ndarray, sides: int, floors: np.ndarray) -> None:
    """Move the first ring of pins' vertices (N, V, 3), their buried end, up to the floors (N,), mm.

    The second ring stands at the floor, by scatter a little above it, or below it; then the pin begins there.
    """
    buried, second = world[:, :sides], world[:, sides : 2 * sides]
    heights = [ring[..., 2].mean(axis=1) for ring in (buried, second)]
    share = np.clip((heights[1] - floors) / (heights[1] - heights[0]), 0.0, 1.0)[:, None, None]
    world[:, :sides] = second + share * (buried - second)


@lru_cache(maxsize=256)
def _pin_quads(form: Form) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (4, F) of the facets of a pin's mesh, and the pieces (F,) they belong to.

    A piece ends where the pin turns or twists, so that a line in the picture crosses a piece once.
    """
    sides = solids.sides(form.terminal)
    vertices = solids.pin_mesh(form).vertices
    steps = np.diff(vertices[:-1].reshape(-1, sides, 3).mean(axis=1), axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    turns = (np.sum(steps[1:] * steps[:-1], axis=1) < 1.0 - _STRAIGHT) | bool(form.twist_rad)
    pieces = np.repeat(np.cumsum([False, *turns]), sides)
    last = len(vertices) - 1 - sides + np.arange(sides)
    fan = np.stack([last, np.roll(last, -1), *([np.full(sides, len(vertices) - 1)] * 2)])
    quads = np.concatenate([_tube_quads(len(steps), sides), fan], axis=1)
    return quads, np.concatenate([pieces, np.repeat(pieces[-1:], sides)])


def _tube_quads(steps: int, sides: int) -> np.ndarray:
    """Vertices (4, steps * sides) of the facets between rings of `sides` points each, from the first ring on."""
    around = np.arange(sides)
    after = np.roll(around, -1)
    quads = np.stack([around, after, after + sides, around + sides])
    every: np.ndarray = quads[:, None] + sides * np.arange(steps)[:, None]
    return every.reshape(4, -1)


def _lid(ring: np.ndarray) -> np.ndarray:
    """Indices (4, F) of facets that together fill a convex polygon, given by its vertices' numbers in order."""
    first = np.arange(1, len(ring) - 1, 2)
    facets: np.ndarray = ring[np.stack([np.zeros_like(first), first, first + 1, np.minimum(first + 2, len(ring) - 1)])]
    return facets


def mouth_target(connector: Connector, pin: Pin, camera: Camera) -> Target:
    """Make a target (a surface whose visible part is to be found) of the mouth of a missing pin's cavity."""
    rim = pin.scale * solids.cavity_outline(pin.nominal, connector.cavity, connector.cavity.chamfer_mm)
    place = [*pin.cavity_mm, pin.floor_mm]
    seen = views_of(np.column_stack([rim, np.zeros(len(rim))]) + place, camera)
    facets, _ = facing(seen[:, _lid(np.arange(len(rim)))])
    return Target(facets, np.zeros(facets.size, int), hides=False)


def flaw_target(part: Part, flaw: Flaw, camera: Camera) -> Target:
    """Make a target (a surface whose visible part is to be found) of a flaw's foreign bodies and wrong print."""
    corners, pieces = [np.zeros((3, 4, 0))], [np.zeros(0, int)]
    for body in flaw.bodies:
        seen = views_of(solids.body_mesh(body).vertices, camera)
        sides = solids.BODY_SIDES
        steps = seen.shape[1] // sides - 1
        ring = np.arange(sides)
        lids = [_lid(ring[::-1]), _lid(ring + steps * sides)]
        own = np.repeat([0, *range(steps), steps - 1], [lids[0].shape[1], *([sides] * steps), lids[1].shape[1]])
        corners.append(seen[:, np.concatenate([lids[0], _tube_quads(steps, sides), lids[1]], axis=1)])
        pieces.append(own + pieces[-1].max(initial=-1) + 1)
    letters = solids.print_mesh(part.connector.marking, flaw.printed)
    if letters is not None:
        seen = views_of(part.scale * letters.vertices, camera)
        strokes = np.array([[*face, *face[-1:]][:4] for face in letters.faces]).T
        corners.append(seen[:, strokes])
        pieces.append(np.arange(strokes.shape[1]) + pieces[-1].max(initial=-1) + 1)
    facets, numbers = facing(np.concatenate(corners, axis=2))
    return Target(facets, np.concatenate(pieces)[numbers])
