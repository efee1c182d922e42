"""Whether a defective pin would push into the walls, a housing's blocks, the floor or other pins."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from itertools import pairwise

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.housings import Block, Cavity, Shell
from blender_scripts.geometry.pin import Pin, Vector

_ARC_STEP_RAD = math.radians(3.0)
_FLOOR_STATIONS = 200
# Overlap with the floor up to this is accepted: the check ignores a good pin's lean and scatter, which are as large.
_TOUCH_MM = 0.02


def collisions(connector: Connector, housing: str, pins: tuple[Pin, ...]) -> list[str]:
    """Return a message ``expected …, got …`` for each collision that `touching` finds with the same arguments."""
    return [message for _, message in touching(connector, housing, pins)]


def touching(connector: Connector, housing: str, pins: tuple[Pin, ...]) -> list[tuple[Pin, str]]:
    """Find the pins that a defect pushes into the walls, a block, the cavity floor or another pin.

    A pin is approximated by balls along its centre line, whose radius is half the pin's largest width.

    Args:
        connector: the scene.
        housing: name of the part's housing.
        pins: the part's pins.

    Returns:
        The pin and a message ``expected …, got …`` for each collision; empty if there is none.
    """
    bad = [pin for pin in pins if not pin.missing and _can_collide(pin)]
    if not bad:
        return []
    asked = {pin.position.index for pin in bad}
    found = []
    # A mesh stands in place of blocks; what lies below the cavity floor, such as a flange, no pin can reach.
    variant = connector.housings[housing]
    built = variant.blocks if variant.cad is None else ()
    blocks = [block for block in built if block.top_mm > -connector.shell.depth_mm]
    lines = [_centre_line(pin) for pin in pins if not pin.missing]
    standing = sorted(zip(lines, (pin for pin in pins if not pin.missing), strict=True), key=_left_edge)
    left_edges = [_left_edge(entry) for entry in standing]
    widest = max(_right_edge(line) - left for (line, _), left in zip(standing, left_edges, strict=True))
    thickest = max(pin.terminal.reach_mm for pin in pins)
    line_at = {pin.position.index: line for line, pin in standing}
    for pin in bad:
        reach, line = pin.terminal.reach_mm, line_at[pin.position.index]
        what = ";".join(d.text for d in pin.defects)
        # Walls and blocks are as on the drawing: the pin is measured in their scale.
        drawn: list[Vector] = [(x / pin.scale, y / pin.scale, z / pin.scale) for x, y, z in line]
        overlap = max(_into_wall(connector.shell, point, reach) for point in _below_mating_face(drawn))
        if overlap > 0.0:
            message = f"expected a pin clear of the wall, got {what} with the pin {overlap:.2f} mm inside the wall"
            found.append((pin, message))
        overlap = max((_into_block(block, drawn, reach) for block in blocks), default=0.0)
        if overlap > 0.0:
            message = f"expected a pin clear of the blocks of housing {housing}, got {what} "
            found.append((pin, f"{message}with the pin {overlap:.2f} mm inside a block"))
        overlap = _into_floor(pin, connector.cavity)
        if overlap > _TOUCH_MM:
            message = (
                f"expected a pin clear of the cavity floor, got {what} with the pin {overlap:.2f} mm inside the floor"
            )
            found.append((pin, message))
        first = bisect_left(left_edges, _left_edge((line, pin)) - reach - thickest - widest)
        last = bisect_right(left_edges, _right_edge(line) + reach + thickest)
        for other_line, other in sorted(standing[first:last], key=lambda entry: entry[1].position.index):
            if other is pin or (other.position.index in asked and other.position.index < pin.position.index):
                continue
            nearest = reach + other.terminal.reach_mm
            gap = _gap(line, other_line, nearest)
            if gap < nearest:
                message = f"expected a pin clear of the pin at {other.position.address}, got {what} "
                found.append((pin, f"{message}with an overlap of {nearest - gap:.2f} mm"))
    return found


def _can_collide(pin: Pin) -> bool:
    """Whether a pin may occupy space that the right, straight pin would not; differences in height do not count."""
    other = pin.terminal.section, pin.terminal.extent_mm
    nominal = pin.nominal.section, pin.nominal.extent_mm
    return not pin.bend.is_straight or pin.form.twist_rad != 0.0 or other != nominal


def _centre_line(pin: Pin) -> list[Vector]:
    """Corners of the centre line as a chain of straight pieces; arcs are divided into steps of a few degrees."""
    bend, length = pin.bend, pin.form.length_mm
    alongs = [0.0]
    if not bend.is_straight:
        steps = math.ceil(bend.turning_rad / _ARC_STEP_RAD) if bend.curve_mm > 0.0 else 0
        alongs += [bend.start_mm + bend.curve_mm * i / max(steps, 1) for i in range(steps + 1)]
    return [pin.world(bend.point(along)) for along in (*alongs, length)]


def _left_edge(entry: tuple[list[Vector], Pin]) -> float:
    return min(point[0] for point in entry[0])


def _right_edge(line: list[Vector]) -> float:
    return max(point[0] for point in line)


def _below_mating_face(line: list[Vector]) -> list[Vector]:
    """The corners of a line that lie below z = 0 (the mating face), and the points where it crosses z = 0."""
    points = [point for point in line if point[2] <= 0.0]
    for a, b in pairwise(line):
        if (a[2] <= 0.0) != (b[2] <= 0.0):
            share = a[2] / (a[2] - b[2])
            points.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), 0.0))
    return points or [line[0]]


def _into_wall(shell: Shell, point: Vector, reach: float) -> float:
    """How deep a ball round the point is inside the wall, mm."""
    if point[2] > 0.0:
        return 0.0
    return shell.opening.distance(point[0], point[1]) + reach


def _into_block(block: Block, line: list[Vector], reach: float) -> float:
    """How deep a ball along the line goes into a block, mm; 0 where it stays clear."""
    (left, low), (right, high) = block.contour.bounds
    limits = ((left, right), (low, high), (block.bottom_mm, block.top_mm))
    for axis, (first, last) in enumerate(limits):
        values = [point[axis] for point in line]
        if max(values) + reach <= first or min(values) - reach >= last:
            return 0.0

    def distance(a: Vector, b: Vector, share: float) -> float:
        x, y, z = (p + share * (q - p) for p, q in zip(a, b, strict=True))
        away = max(block.contour.distance(x, y), 0.0)
        return math.hypot(away, max(block.bottom_mm - z, z - block.top_mm, 0.0))

    nearest = math.inf
    for a, b in pairwise(line):
        # The distance to a convex body is a convex function along a straight piece.
        first, last = 0.0, 1.0
        for _ in range(40):
            third = (last - first) / 3.0
            if distance(a, b, first + third) <= distance(a, b, last - third):
                last -= third
            else:
                first += third
        nearest = min(nearest, distance(a, b, 0.5 * (first + last)))
    return max(0.0, reach - nearest)


def _into_floor(pin: Pin, cavity: Cavity) -> float:
    """How deep the underside of a bent pin goes into the cavity floor beside the mouth of its hole, mm.

    Computed in the plane of the bend, without a good pin's own lean.
    """
    bend, half = pin.bend, 0.5 * pin.terminal.width_mm
    if bend.is_straight:
        return 0.0
    across, along = abs(math.cos(bend.azimuth_rad)), abs(math.sin(bend.azimuth_rad))
    gap = cavity.clearance_mm + cavity.chamfer_mm
    if pin.terminal.section == "round":
        mouth = half + gap
    else:
        half_x, half_y = pin.terminal.extent_mm
        half = half_x * across + half_y * along
        mouth = min((half_x + gap) / max(across, 1e-9), (half_y + gap) / max(along, 1e-9))
    deepest = 0.0
    # Beyond three mouths' widths a pin that has not touched the floor yet only rises.
    rest = min(pin.form.length_mm - bend.start_mm, bend.curve_mm + 6.0 * mouth)
    for i in range(_FLOOR_STATIONS + 1):
        length = bend.start_mm + rest * i / _FLOOR_STATIONS
        sideways, up = bend.in_plane(length)
        turn = bend.tilt_rad(length) if i else bend.tilt_rad(bend.start_mm + 1e-9)
        height = pin.root_mm[2] - pin.floor_mm + up
        if height > half and bend.turning_rad < 0.5 * math.pi:
            break  # from here on the pin only rises
        under = height - half * math.sin(turn)
        if sideways + half * math.cos(turn) > mouth:
            deepest = max(deepest, -under)
    return deepest


def _gap(line: list[Vector], other: list[Vector], enough: float) -> float:
    """The least distance of two chains of straight pieces, mm; may be inf where it is more than `enough`."""
    for axis in range(3):
        mine, its = [point[axis] for point in line], [point[axis] for point in other]
        if max(mine) + enough <= min(its) or max(its) + enough <= min(mine):
            return math.inf
    return min(_segment_gap(*piece, *its) for piece in pairwise(line) for its in pairwise(other))


def _segment_gap(a: Vector, b: Vector, c: Vector, d: Vector) -> float:
    """The least distance of the segments ab and cd (C. Ericson, Real-Time Collision Detection, 5.1.9)."""
    u = (b[0] - a[0], b[1] - a[1], b[2] - a[2])
    v = (d[0] - c[0], d[1] - c[1], d[2] - c[2])
    w = (a[0] - c[0], a[1] - c[1], a[2] - c[2])
    uu, vv, uv, uw, vw = _dot(u, u), _dot(v, v), _dot(u, v), _dot(u, w), _dot(v, w)
    apart = uu * vv - uv * uv
    s = min(max((uv * vw - uw * vv) / apart, 0.0), 1.0) if apart > 1e-12 * uu * vv else 0.0
    t = (uv * s + vw) / vv if vv > 0.0 else 0.0
    if not 0.0 <= t <= 1.0:
        t = min(max(t, 0.0), 1.0)
        s = min(max((uv * t - uw) / uu, 0.0), 1.0) if uu > 0.0 else 0.0
    return math.hypot(*(w[i] + s * u[i] - t * v[i] for i in range(3)))


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def clear_path(pins: tuple[Pin, ...], path: tuple[Vector, ...], radius: float, but: tuple[str, ...]) -> str | None:
    """Check that a long thin body, such as a fibre, touches no pin.

    Args:
        pins: the part's pins.
        path: points of the body's centre line, mm.
        radius: half the body's thickness, mm.
        but: addresses of pins that are not checked.

    Returns:
        The address of a pin that the body would touch; None if there is none.
    """
    for pin in pins:
        enough = radius + pin.terminal.reach_mm
        stands = not pin.missing and pin.position.address not in but
        if stands and _gap(list(path), _centre_line(pin), enough) < enough:
            return pin.position.address
    return None
