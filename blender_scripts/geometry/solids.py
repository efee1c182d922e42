"""Meshes of pins, shell, blocks, cavities and print, as plain arrays in mm.

They are built here and not by Blender's modifiers, so that every version of Blender renders the same vertices and the
ground truth can be computed from them. A surface is a sequence of rings of points, each joined to the next by faces;
fillets are additional rings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from blender_scripts.contract import lettering
from blender_scripts.contract.contour import Contour
from blender_scripts.contract.housings import Block, Cavity, Housing, Notch, Shell
from blender_scripts.contract.marking import Marking
from blender_scripts.contract.terminals import Terminal
from blender_scripts.geometry.mesh import Mesh
from blender_scripts.geometry.part import Body, Cut, Letters
from blender_scripts.geometry.pin import BURIED_MM, Form, Pin

ROUND_SIDES = 28
_FILLET_STEPS = 4
# Rings of the walls that belong to the outer face: its lower edge, and the fillet.
_OUTER_RINGS = _FILLET_STEPS + 2
_PRINT_LIFT_MM = 0.005
_PRINT_STEP_MM = 0.0005
BODY_SIDES = 16


def _skin(rings: list[np.ndarray], smooth: list[bool], close_top: bool = False, close_bottom: bool = False) -> Mesh:
    """Join rings of points (N, 3) by quads; rings go from bottom to top, each counter-clockwise seen from above."""
    count, levels = len(rings[0]), len(rings) - 1
    around = np.arange(count, dtype=np.int32)
    after = np.roll(around, -1)
    band = np.stack([around, after, after + count, around + count], axis=1)
    corners = [(band + count * np.arange(levels, dtype=np.int32)[:, None, None]).ravel()]
    sizes, shading = [4] * (levels * count), list(np.repeat(smooth, count))
    if close_top:
        corners.append(around + np.int32(levels * count))
    if close_bottom:
        corners.append(around[::-1])
    lids = len(corners) - 1
    return Mesh(
        np.concatenate(rings),
        np.concatenate(corners),
        np.array(sizes + [count] * lids, np.int32),
        np.array(shading + [False] * lids, bool),
    )


def _section(terminal: Terminal) -> np.ndarray:
    """The pin's cross-section, mm (N, 2): a circle, or a rectangle with slightly rounded corners."""
    if terminal.section == "round":
        angles = 2.0 * np.pi * np.arange(ROUND_SIDES) / ROUND_SIDES
        return 0.5 * terminal.width_mm * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    broken = 0.08 * min(terminal.width_mm, terminal.thickness_mm)
    half_x, half_y = 0.5 * terminal.width_mm, 0.5 * terminal.thickness_mm
    points = []
    for sign_x, sign_y in ((1, 1), (-1, 1), (-1, -1), (1, -1)):
        corner = [
            (sign_x * half_x, sign_y * (half_y - broken)),
            (sign_x * (half_x - 0.3 * broken), sign_y * (half_y - 0.3 * broken)),
            (sign_x * (half_x - broken), sign_y * half_y),
        ]
        points += corner if sign_x == sign_y else corner[::-1]
    turn = math.radians(terminal.turn_deg)
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    outline: np.ndarray = np.array(points) @ rotation.T
    return outline


def sides(terminal: Terminal) -> int:
    """Number of points in each ring of a pin's mesh."""
    return ROUND_SIDES if terminal.section == "round" else 12


def _profile(terminal: Terminal) -> list[tuple[float, float]]:
    """The tip's rings, from shoulder to end: (mm below the tip's end, size as a share of the shank's section)."""
    tip, end = terminal.tip_mm, terminal.tip_share
    if terminal.section != "round":
        return [(tip, 1.0), (0.06, end), (0.0, end * 0.8)]
    # A turned tip: a short curve off the shank, a cone, a rounded end.
    half = 0.5 * terminal.width_mm
    rounding = min(0.45 * end * half, 0.3 * tip)
    rings = [(tip, 1.0), (tip * 0.93, 0.985)]
    for step in range(4):
        angle = 0.5 * math.pi * step / 3
        rings.append((rounding * (1.0 - math.sin(angle)), end - rounding / half * (1.0 - math.cos(angle))))
    return rings


@lru_cache(maxsize=256)
def pin_mesh(form: Form) -> Mesh:
    """Mesh of a pin in its own frame (see geometry/pin.py), from z = -buried_mm to its tip.

    The rings of a bent pin are perpendicular to its centre line; in a twisted pin they are also turned about it. The
    last vertex is the tip, or the middle of the fracture face, which is the point that is measured.
    """
    terminal, bend, length = form.terminal, form.bend, form.length_mm
    section = _section(terminal)
    tip = [(form.standing_mm - below, share) for below, share in _profile(terminal)]
    # The floor first: it lies below the frame's origin where the terminal was pushed in too far.
    places = {BURIED_MM - form.buried_mm, 0.0, *_stations(form)}
    stations = [
        (along, _share_at(form, along))
        for along in places
        if along < length - 1e-6 and all(abs(along - end) > 1e-6 for end, _ in tip)
    ]
    broken = section * _share_at(form, length)
    edge = _fracture(broken, form) if form.lost_mm else None
    # No ring may reach above the fracture face, which would lie inside it there.
    top = math.inf if edge is None else edge.min() - 1e-6
    stations = sorted(station for station in (*stations, *tip) if station[0] < top)
    rings = [_ring(section, Form(terminal), -form.buried_mm)]
    rings += [_ring(section * share, form, along) for along, share in stations]
    if edge is not None:
        rings.append(_ring(broken, form, edge))
    smooth_side = terminal.section == "round"
    mesh = _skin(rings, [smooth_side] * (len(rings) - 1))
    last = (len(rings) - 1) * len(section) + np.arange(len(section), dtype=np.int32)
    centre = np.full_like(last, len(mesh.vertices))
    fan = np.stack([last, np.roll(last, -1), centre], axis=1)
    return Mesh(
        np.concatenate([mesh.vertices, np.array([bend.point(length)])]),
        np.concatenate([mesh.corners, fan.ravel()]),
        np.concatenate([mesh.sizes, np.full(len(fan), 3, np.int32)]),
        np.concatenate([mesh.smooth, np.zeros(len(fan), bool)]),
    )


def pin_matrix(pin: Pin) -> np.ndarray:
    """Matrix (4, 4) from the pin's frame to world coordinates, mm."""
    matrix = np.eye(4)
    matrix[:3, :3] = pin.rotation
    matrix[:3, 3] = pin.root_mm
    return matrix


def pins_by_form(pins: Sequence[Pin]) -> Iterator[tuple[Form, list[int], np.ndarray]]:
    """Yield each form of the pins that are there, these pins' indices, and their vertices (n, v, 3), world axes, mm."""
    groups: dict[Form, list[int]] = {}
    for number, pin in enumerate(pins):
        if not pin.missing:
            groups.setdefault(pin.form, []).append(number)
    for form, members in groups.items():
        frames = np.array([pin_matrix(pins[number]) for number in members])
        yield form, members, pin_mesh(form).vertices @ frames[:, :3, :3].swapaxes(1, 2) + frames[:, None, :3, 3]


def _stations(form: Form) -> list[float]:
    """Lengths along the pin, mm, at which its mesh needs a ring: every 3 degrees of bend and 6 degrees of twist."""
    bend = form.bend
    found: list[float] = []
    if not bend.is_straight:
        along = bend.start_mm
        for arc, turn in bend.arcs:
            steps = max(4, math.ceil(abs(math.degrees(turn)) / 3.0)) if arc > 0.0 else 1
            found += [along + max(arc, 1e-3) * i / steps for i in range(steps + 1)]
            along += arc
    if form.twist_rad:
        steps = math.ceil(abs(math.degrees(form.twist_rad)) / 6.0)
        found += [form.length_mm * i / steps for i in range(1, steps)]
    return sorted(set(found))


def _share_at(form: Form, along: float) -> float:
    """The cross-section's size at a length, mm, from the floor, as a share of the shank's."""
    tip = [(form.standing_mm - below, share) for below, share in _profile(form.terminal)]
    alongs, shares = zip(*tip, strict=True)
    return float(np.interp(along, alongs, shares))


def _ring(section: np.ndarray, form: Form, along: float | np.ndarray) -> np.ndarray:
    """Place a section (N, 2) perpendicular to the centre line, twist and bend included; returns points (N, 3), mm.

    Args:
        section: the cross-section's outline, mm.
        form: the pin's shape.
        along: length from the floor, mm: one number, or one for each point of an oblique section.
    """
    alongs = np.broadcast_to(np.asarray(along, float), (len(section),))
    bend = form.bend
    if form.twist_rad:
        twist = form.twist_rad * np.clip(alongs / form.length_mm, 0.0, 1.0)
        x, y = section.T
        section = np.stack([np.cos(twist) * x - np.sin(twist) * y, np.sin(twist) * x + np.cos(twist) * y], axis=1)
    direction = np.array([math.cos(bend.azimuth_rad), math.sin(bend.azimuth_rad)])
    across = section @ direction
    same = bool(np.all(alongs == alongs[0]))
    turns = np.array([bend.tilt_rad(s) for s in (alongs[:1] if same else alongs)])
    middles = np.array([bend.point(s) for s in (alongs[:1] if same else alongs)])
    points = np.zeros((len(section), 3))
    points[:, :2] = section + (across * (np.cos(turns) - 1.0))[:, None] * direction
    points[:, 2] = -across * np.sin(turns)
    ring: np.ndarray = points + middles
    return ring


def _fracture(section: np.ndarray, form: Form) -> np.ndarray:
    """Lengths from the floor, mm (N,), of the fracture face's edge: a ragged slope through the centre line's end.

    It never reaches below the floor.
    """
    # The azimuth in the section as it is before the twist, which turns the end by its full angle.
    azimuth = form.fall_rad - form.twist_rad
    fall = np.array([math.cos(azimuth), math.sin(azimuth)])
    torn = 0.03 * form.terminal.width_mm * np.sin(np.arange(len(section)) * 2.4 + 0.7)
    lengths: np.ndarray = form.length_mm - section @ fall * math.tan(form.slope_rad) + torn
    lengths = np.clip(lengths, 0.02, None)
    return lengths


def contour_ring(contour: Contour, offset: float, z: float) -> np.ndarray:
    """Return points (N, 3), mm, round a contour that is moved outwards by `offset` mm and lies at height `z` mm.

    The points run counter-clockwise seen from above. N does not depend on the offset.
    """
    return np.array([(*point.at(contour.radius_mm + offset), z) for point in contour.points])


def _fillet(from_offset: float, from_z: float, to_offset: float, to_z: float) -> list[tuple[float, float]]:
    """Quarter circle from a vertical wall at from_offset to a horizontal face at to_z, (offset, z) per step."""
    steps = [0.5 * math.pi * i / _FILLET_STEPS for i in range(_FILLET_STEPS + 1)]
    return [
        (to_offset + (from_offset - to_offset) * math.cos(a), from_z + (to_z - from_z) * math.sin(a)) for a in steps
    ]


def shell_mesh(shell: Shell, housing: Housing, cuts: tuple[Cut, ...] = ()) -> Mesh:
    """Mesh of the walls: outer face, rim, and inner face down to just below the cavity floor.

    Args:
        shell: dimensions of the walls.
        housing: its notches, rim fillet and lead-in chamfer.
        cuts: gaps in the rim; like notches, they lower those points of the walls that lie above the gap's floor.
    """
    wall, profile = shell.wall_mm, _rim_profile(shell, housing)
    all_cuts = (*(_notch_cut(notch, shell) for notch in housing.notches), *cuts)
    along_rim = _cut_places(shell.opening, all_cuts)
    rings = []
    for number, (offset, z) in enumerate(profile):
        share = offset / wall
        ring = []
        for along, places in along_rim:
            jag = sum(place.weight * _jag(place.cut, share) for place in places)
            point = shell.wall_point(along + jag, offset, number < _OUTER_RINGS)
            ring.append((*point, min(z, -max((_low(p.cut, p.depth, share) for p in places), default=0.0))))
        rings.append(np.array(ring))
    # Smooth except the flat rim, so that round corners show no facets. Broken edges stay sharp.
    mesh = _skin(rings, [abs(low[1] - high[1]) > 1e-9 for low, high in pairwise(profile)])
    whole = np.array([not any(place.depth for place in places) for _, places in along_rim])
    beside = whole & np.roll(whole, -1)
    return mesh._replace(smooth=mesh.smooth & np.tile(beside, len(profile) - 1))


def _rim_profile(shell: Shell, housing: Housing) -> list[tuple[float, float]]:
    """The walls' rings as (distance outside the opening, z), mm, from the outside bottom to the inside bottom."""
    fillet, wall = min(housing.fillet_mm, 0.45 * shell.wall_mm), shell.wall_mm
    outer = [(wall, -shell.height_mm), *_fillet(wall, -fillet, wall - fillet, 0.0)]
    lead = housing.lead_in_mm
    inner = [(lead, 0.0), (0.0, -lead)] if lead else [*reversed(_fillet(0.0, -fillet, fillet, 0.0))]
    return [*outer, *inner, (0.0, -shell.depth_mm - 0.3)]


def _jag(cut: Cut, share: float) -> float:
    """Shift of a cut along the wall, mm; `share` is 0 at the wall's inner face and 1 at its outer."""
    return cut.jag_mm * math.sin(9.0 * share + 1.7)


def _low(cut: Cut, depth: float, share: float) -> float:
    return depth * (cut.slant + share * (1.0 - cut.slant))


def cut_points(shell: Shell, housing: Housing, cut: Cut) -> np.ndarray:
    """Return points (N, 3), mm, round the material missing in a gap: on the intact rim and on the gap's floor."""
    points = []
    for number, (offset, z) in enumerate(_rim_profile(shell, housing)):
        share = offset / shell.wall_mm
        if z < -_low(cut, max(cut.depth_mm), share):
            continue
        for along, depth in zip(cut.along_mm, cut.depth_mm, strict=True):
            x, y = shell.wall_point(along + _jag(cut, share), offset, number < _OUTER_RINGS)
            points += [(x, y, z), (x, y, min(z, -_low(cut, depth, share)))]
    return np.array(points)


def _notch_cut(notch: Notch, shell: Shell) -> Cut:
    middle, half = shell.opening.towards(notch.azimuth_deg), 0.5 * notch.width_mm
    sharp = 1e-3
    along = (middle - half - sharp, middle - half, middle + half, middle + half + sharp)
    return Cut(along, (0.0, notch.depth_mm, notch.depth_mm, 0.0))


class _Place(NamedTuple):
    """A cut at one length along the opening: its depth there, mm, and the share (0 to 1) of its shift that applies."""

    cut: Cut
    depth: float
    weight: float


def _cut_places(opening: Contour, cuts: tuple[Cut, ...]) -> list[tuple[float, list[_Place]]]:
    """Lengths along the opening at which the rim needs a point, rising, each with the cuts at that length.

    A cut shifts as a whole, and shifts the wall beside it less and less, so that points keep their order.
    """
    whole = opening.length_mm
    alongs = {round(point.along_mm, 9) for point in opening.points}
    for cut in cuts:
        beside = 2.0 * cut.jag_mm
        ends = (cut.along_mm[0] - beside, *cut.along_mm, cut.along_mm[-1] + beside)
        alongs |= {round(along % whole, 9) for along in ends}
    found = []
    for along in sorted(alongs):
        places = []
        for cut in cuts:
            # A cut may pass the contour's beginning.
            for turn in (-whole, 0.0, whole):
                here, (first, last) = along + turn, (cut.along_mm[0], cut.along_mm[-1])
                outside = max(first - here, here - last, 0.0)
                if outside <= 1e-9:
                    depth = float(np.interp(here, cut.along_mm, cut.depth_mm))
                    places.append(_Place(cut, depth, 1.0))
                elif outside < 2.0 * cut.jag_mm:
                    places.append(_Place(cut, 0.0, 1.0 - outside / (2.0 * cut.jag_mm)))
        found.append((along, places))
    return found


def block_mesh(block: Block) -> Mesh:
    """Mesh of a block: a prism with rounded top edges."""
    fillet = block.fillet_mm
    profile = [(0.0, block.bottom_mm), *_fillet(0.0, block.top_mm - fillet, -fillet, block.top_mm)]
    rings = [contour_ring(block.contour, offset, z) for offset, z in profile]
    return _skin(rings, [False] + [True] * (len(profile) - 2), close_top=True)


def cavity_outline(terminal: Terminal, cavity: Cavity, clearance: float) -> np.ndarray:
    """Return the outline (N, 2), mm from the hole's centre, of the hole for a terminal, counter-clockwise.

    Args:
        terminal: the terminal for which the hole is made.
        cavity: the scene's cavity.
        clearance: distance of the outline from the terminal, mm, in addition to `cavity.clearance_mm`.
    """
    gap = cavity.clearance_mm + clearance
    if terminal.section == "round":
        return _section(terminal) * (1.0 + gap / (0.5 * terminal.width_mm))
    radius = 0.15 * (0.5 * min(terminal.width_mm, terminal.thickness_mm) + cavity.clearance_mm)
    width, thickness = (side + 2.0 * cavity.clearance_mm for side in (terminal.width_mm, terminal.thickness_mm))
    # One contour moved outwards, so that every level of the hole has the same number of points.
    hole = Contour.rectangle((width, thickness), radius, turn_deg=terminal.turn_deg)
    return contour_ring(hole, clearance, 0.0)[:, :2]


def hole_terminal(pin: Pin, cavity: Cavity) -> Terminal:
    """Return the terminal that a pin's hole is made for: the nominal one, or its own if that hole is too narrow."""
    if pin.nominal.section == "round":
        sides: tuple[tuple[float, float], ...] = ((pin.terminal.reach_mm, pin.nominal.reach_mm),)
    else:
        sides = tuple(zip(pin.terminal.extent_mm, pin.nominal.extent_mm, strict=True))
    fits = all(own <= right + cavity.clearance_mm for own, right in sides)
    return pin.nominal if fits else pin.terminal


def cavity_mesh(terminal: Terminal, cavity: Cavity) -> Mesh:
    """Mesh of the inside of one hole: chamfer, walls and bottom; its mouth is at z = 0."""
    chamfer = cavity.chamfer_mm
    levels = [
        (cavity_outline(terminal, cavity, 0.0), -cavity.depth_mm),
        (cavity_outline(terminal, cavity, 0.0), -chamfer),
    ]
    if chamfer > 0.0:
        levels += [
            (cavity_outline(terminal, cavity, 0.3 * chamfer), -0.3 * chamfer),
            (cavity_outline(terminal, cavity, chamfer), 0.0),
        ]
    # Seen from inside: the rings run clockwise, so that faces look at the axis.
    rings = [np.column_stack([outline, np.full(len(outline), z)])[::-1] for outline, z in levels]
    return _skin(rings, [True] * (len(rings) - 1), close_bottom=True)


def floor_outline(shell: Shell) -> np.ndarray:
    """Outer edge (N, 2), mm, of the cavity floor; it reaches a little into the walls, so that no gap is left."""
    return contour_ring(shell.opening, 0.2, 0.0)[:, :2]


def body_mesh(body: Body) -> Mesh:
    """Mesh of a foreign body: rings perpendicular to its centre line."""
    path = np.array(body.path)
    along = np.gradient(path, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    # Each ring's axes are derived from the last ring's, so that the tube does not twist.
    side = np.array([1.0, 0.0, 0.0]) if abs(along[0][0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    angles = 2.0 * np.pi * np.arange(BODY_SIDES) / BODY_SIDES
    rings = []
    for point, direction, radius in zip(path, along, body.radii, strict=True):
        side = side - (side @ direction) * direction
        side /= np.linalg.norm(side)
        other = np.cross(direction, side)
        rings.append(point + radius * (np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * other))
    return _skin(rings, [True] * (len(rings) - 1), close_top=True, close_bottom=True)


@lru_cache(maxsize=64)
def print_mesh(marking: Marking, items: tuple[Letters, ...]) -> Mesh | None:
    """Mesh of printed items, flat at z = `marking.z_mm`; None if there is nothing to print."""
    vertices: list[tuple[float, float, float]] = []
    faces: list[tuple[int, ...]] = []
    for item in items:
        points, outlines = lettering.outline(item.text, marking.height_mm, marking.stroke_mm)
        sign = -1.0 if item.mirrored else 1.0
        for number, outline in enumerate(outlines):
            # Strokes overlap; each face lies a little above the last, since coplanar faces shadow one another.
            height = marking.z_mm + _PRINT_LIFT_MM + _PRINT_STEP_MM * (number % 32)
            corners = outline[::-1] if item.mirrored else outline
            faces.append(tuple(range(len(vertices), len(vertices) + len(outline))))
            vertices += [(sign * points[i][0] + item.x_mm, points[i][1] + item.y_mm, height) for i in corners]
    return Mesh.of(np.array(vertices), faces) if faces else None
