"""Meshes of pins, shell, blocks, cavities and print, as plain arrays in mm.

Built here and not by Blender's modifiers, so that every version has the same vertices and the truth can be
computed from them. Rings of points are joined to skins; fillets are part of the rings.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import numpy as np

from . import lettering
from .connector import Block, Cavity, Marking, Position, Shell, Terminal
from .mesh import Mesh
from .placement import STRAIGHT, Bend, Pin

BURIED_MM = 0.5
ROUND_SIDES = 28
_FILLET_STEPS = 4
_PRINT_LIFT_MM = 0.005
_PRINT_STEP_MM = 0.0005
_CORNER_STEPS = 8


def _skin(
    rings: list[np.ndarray], smooth: list[bool], close_top: bool = False, close_bottom: bool = False
) -> Mesh:
    """Join equal rings (N, 3), ordered from bottom to top, each counter-clockwise seen from above."""
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
    """The pin's cross-section of half width 1, (N, 2): a circle, or a square with broken edges."""
    if terminal.section == "round":
        angles = 2.0 * np.pi * np.arange(ROUND_SIDES) / ROUND_SIDES
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    broken = 0.16
    quarter = np.array([[1.0, -1.0 + broken], [1.0, 1.0 - broken], [1.0 - 0.3 * broken, 1.0 - 0.3 * broken]])
    turns = [np.array([[c, -s], [s, c]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    return np.concatenate([quarter @ turn.T for turn in turns])


def sides(terminal: Terminal) -> int:
    """Points in one ring of a pin."""
    return len(_section(terminal))


def _profile(terminal: Terminal) -> list[tuple[float, float, bool]]:
    """(length below the tip, half width, smooth below it) of the tip's rings, from its shoulder to its end."""
    half, tip = 0.5 * terminal.width_mm, terminal.tip_mm
    end = half * terminal.tip_share
    if terminal.section == "square":
        return [(tip, half, False), (0.06, end, False), (0.0, end * 0.8, False)]
    # A turned tip: a short curve off the shank, a cone, a rounded end.
    rounding = min(0.45 * end, 0.3 * tip)
    rings = [(tip, half, True), (tip * 0.93, half * 0.985, True)]
    for step in range(4):
        angle = 0.5 * math.pi * step / 3
        rings.append((rounding * (1.0 - math.sin(angle)), end - rounding * (1.0 - math.cos(angle)), True))
    return rings


@lru_cache(maxsize=256)
def pin_mesh(terminal: Terminal, bend: Bend = STRAIGHT) -> Mesh:
    """A pin in its own frame: origin where it leaves the floor, Z along it, from -BURIED_MM to its tip.

    The sections of a bent pin stay perpendicular to its centre line and do not twist.
    """
    length = terminal.standing_mm
    section = _section(terminal)
    tip = _profile(terminal)
    shank_end = length - tip[0][0]
    alongs = [0.0, *_bend_stations(bend, shank_end)]
    stations = [(s, 0.5 * terminal.width_mm) for s in alongs if 0.0 <= s < shank_end - 1e-6]
    stations += [(length - below, half) for below, half, _ in tip]
    smooth_side = terminal.section == "round"
    rings = [_ring(section * 0.5 * terminal.width_mm, STRAIGHT, -BURIED_MM)]
    rings += [_ring(section * half, bend, along) for along, half in stations]
    smooth = [smooth_side] * (len(rings) - 1)
    mesh = _skin(rings, smooth)
    # The end is a fan round the tip point, which is a vertex: the measured tip lies on the mesh.
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
    """The pin's frame to world, (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = pin.rotation
    matrix[:3, 3] = pin.root_mm
    return matrix


def _bend_stations(bend: Bend, shank_end: float) -> list[float]:
    """Lengths along the pin at which a bent pin needs a ring; an arc of 3 degrees between them."""
    if bend.angle_rad == 0.0:
        return []
    if bend.curve_mm <= 0.0:
        return [bend.start_mm, bend.start_mm + 1e-3]
    steps = max(4, math.ceil(math.degrees(bend.angle_rad) / 3.0))
    return [bend.start_mm + bend.curve_mm * i / steps for i in range(steps + 1)]


def _ring(section: np.ndarray, bend: Bend, along: float) -> np.ndarray:
    """A section (N, 2) put perpendicular to the centre line: turned about the bend's axis by the local tilt."""
    turn = bend.tilt_rad(along)
    direction = np.array([math.cos(bend.azimuth_rad), math.sin(bend.azimuth_rad)])
    across = section @ direction
    points = np.zeros((len(section), 3))
    points[:, :2] = section + np.outer(across * (math.cos(turn) - 1.0), direction)
    points[:, 2] = -across * math.sin(turn)
    return points + np.array(bend.point(along))


def _rounded_rectangle(half_x: float, half_y: float, radius: float, z: float) -> np.ndarray:
    """A loop (4 x (_CORNER_STEPS + 1), 3), counter-clockwise from above; equal counts for every radius."""
    radius = min(max(radius, 1e-4), half_x - 1e-6, half_y - 1e-6)
    angles = 0.5 * np.pi * np.arange(_CORNER_STEPS + 1) / _CORNER_STEPS
    points = []
    for quarter, (sign_x, sign_y) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        turned = angles + 0.5 * np.pi * quarter
        x = sign_x * (half_x - radius) + radius * np.cos(turned)
        y = sign_y * (half_y - radius) + radius * np.sin(turned)
        points.append(np.stack([x, y, np.full_like(x, z)], axis=1))
    return np.concatenate(points)


def _fillet(from_offset: float, from_z: float, to_offset: float, to_z: float) -> list[tuple[float, float]]:
    """Quarter circle from a vertical wall at from_offset to a horizontal face at to_z, (offset, z) per step."""
    steps = [0.5 * math.pi * i / _FILLET_STEPS for i in range(_FILLET_STEPS + 1)]
    return [
        (to_offset + (from_offset - to_offset) * math.cos(a), from_z + (to_z - from_z) * math.sin(a))
        for a in steps
    ]


def shell_mesh(shell: Shell) -> Mesh:
    """The walls, from the outside bottom over the rim down to just below the cavity floor, edges filleted."""
    fillet = min(shell.fillet_mm, 0.45 * shell.wall_mm)
    wall, depth = shell.wall_mm, shell.depth_mm
    outer = [(wall, -shell.height_mm), *_fillet(wall, -fillet, wall - fillet, 0.0)]
    inner = [*reversed(_fillet(0.0, -fillet, fillet, 0.0)), (0.0, -depth - 0.3)]
    half_x, half_y = 0.5 * shell.opening_mm[0], 0.5 * shell.opening_mm[1]
    profile = outer + inner
    rings = [_rounded_rectangle(half_x + d, half_y + d, shell.corner_mm + d, z) for d, z in profile]
    # All but the flat rim: flat shading would show the facets of the round corners.
    smooth = [abs(low[1] - high[1]) > 1e-9 for low, high in pairwise(profile)]
    return _skin(rings, smooth)


def block_mesh(block: Block) -> Mesh:
    """A box with filleted vertical and top edges."""
    half_x, half_y = 0.5 * block.size_mm[0], 0.5 * block.size_mm[1]
    fillet = block.fillet_mm
    profile = [(0.0, block.bottom_mm), *_fillet(0.0, block.top_mm - fillet, -fillet, block.top_mm)]
    rings = [_rounded_rectangle(half_x + d, half_y + d, fillet + d, z) for d, z in profile]
    rings = [ring + np.array([*block.center_mm, 0.0]) for ring in rings]
    return _skin(rings, [False] + [True] * (len(profile) - 2), close_top=True)


def cavity_outline(terminal: Terminal, cavity: Cavity, clearance: float) -> np.ndarray:
    """The hole's outline (N, 2) about its own centre, counter-clockwise."""
    half = 0.5 * terminal.width_mm + cavity.clearance_mm + clearance
    if terminal.section == "round":
        return _section(terminal) * half
    return _rounded_rectangle(half, half, 0.15 * half + clearance, 0.0)[:, :2]


def cavity_mesh(terminal: Terminal, cavity: Cavity) -> Mesh:
    """The inside of one hole, its mouth at z = 0: chamfer, walls and bottom, seen from above."""
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
    """The floor's outer edge (N, 2), a little inside the walls' material."""
    return _rounded_rectangle(
        0.5 * shell.opening_mm[0] + 0.2, 0.5 * shell.opening_mm[1] + 0.2, shell.corner_mm, 0.0
    )[:, :2]


def print_mesh(marking: Marking, wanted: str, positions: tuple[Position, ...]) -> Mesh | None:
    """The print on the mating face; None for `none`."""
    vertices: list[tuple[float, float, float]] = []
    faces: list[tuple[int, ...]] = []
    for text, x, y in _print_items(marking, wanted, positions):
        points, outlines = lettering.outline(text, marking.height_mm, marking.stroke_mm)
        for number, outline in enumerate(outlines):
            # Strokes overlap; each face lies a little above the last, since coplanar faces shadow one another.
            height = _PRINT_LIFT_MM + _PRINT_STEP_MM * (number % 32)
            faces.append(tuple(range(len(vertices), len(vertices) + len(outline))))
            vertices += [(points[i][0] + x, points[i][1] + y, height) for i in outline]
    return Mesh.of(np.array(vertices), faces) if faces else None


def _print_items(
    marking: Marking, wanted: str, positions: tuple[Position, ...]
) -> list[tuple[str, float, float]]:
    if wanted.startswith("text="):
        return [(wanted.removeprefix("text="), *marking.text_at_mm)]
    if wanted != "numbers":
        return []
    rows = {p.row: p.y_mm for p in positions}
    columns = {p.position: p.x_mm for p in positions if p.row == 1}
    items = [(str(row), marking.row_numbers_x_mm, y) for row, y in rows.items()]
    return items + [(str(column), x, marking.position_numbers_y_mm) for column, x in columns.items()]
