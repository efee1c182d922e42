"""The defect `foreign`: a foreign body, which is a solder ball, a bridge between two pins, a fibre or a burr."""

from __future__ import annotations

import math

from blender_scripts.contract import draws
from blender_scripts.contract.defect import HOUSING, PAIR, PIN, Choice, Defect, Parameter
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.clearance import clear_path
from blender_scripts.geometry.part import Body, Flaw, Part
from blender_scripts.geometry.pin import Pin, Vector
from blender_scripts.kinds.kind import Kind

_BALL_STEPS = 12
_FIBRE_STEPS = 24
_FIBRE_RADIUS_MM = 0.05
_SHORTEST_FIBRE = 8
_BURR_STEPS = 10


def _add(part: Part, defect: Defect) -> Flaw:
    what = defect.word("type")
    pair = len(defect.addresses) == 2
    if pair != (what == "bridge"):
        expected = "two pins (r1c1-r1c2) for a bridge, and one pin or the housing for any other type"
        raise InputError(f"expected {expected}, got {defect.text}")
    pins = [part.pin(address) for address in defect.addresses]
    for pin in pins:
        if pin.missing:
            raise InputError(
                f"expected a pin at {pin.position.address} for {defect.text}, got a position whose pin is missing"
            )
    make = {"ball": _ball, "bridge": _bridge, "fibre": _fibre, "burr": _burr}[what]
    return Flaw(defect, bodies=(make(part, defect, pins),))


def _foot(part: Part, defect: Defect, pins: list[Pin], distance_mm: float) -> Vector:
    """Where a body lies on the cavity floor: `distance_mm` beside the pin's foot, or at the defect's x_mm, y_mm."""
    floor = part.floor_mm
    if pins:
        if pins[0].tip_mm[2] <= floor:
            raise InputError(f"expected {defect.text} at a pin that ends above the cavity floor, got one that does not")
        azimuth = math.radians(defect["azimuth_deg"])
        x, y, _ = pins[0].base_mm
        reach = pins[0].terminal.radius_towards(azimuth) + distance_mm
        return x + reach * math.cos(azimuth), y + reach * math.sin(azimuth), floor
    x, y = defect["x_mm"], defect["y_mm"]
    inside = -part.outside_opening_mm(x, y)
    if inside < distance_mm:
        raise InputError(
            f"expected x_mm and y_mm of a point inside the opening, {distance_mm:g} mm or more from its edge, "
            f"got {x:g} and {y:g} in {defect.text}"
        )
    return x, y, floor


def _ball(part: Part, defect: Defect, pins: list[Pin]) -> Body:
    """A solder ball, flattened a little where it lies and fused to the foot of its pin."""
    radius = 0.5 * defect["size_mm"]
    x, y, floor = _foot(part, defect, pins, 0.7 * radius)
    path, radii = [], []
    for i in range(_BALL_STEPS + 1):
        angle = math.pi * i / _BALL_STEPS
        path.append((x, y, floor + 0.85 * radius - radius * math.cos(angle)))
        radii.append(max(radius * math.sin(angle), 1e-3 * radius))
    hit = clear_path(part.pins, (path[0], path[-1]), radius, defect.addresses)
    if hit is not None or part.outside_opening_mm(x, y) > -radius:
        got = f"the pin at {hit}" if hit else "the housing's wall"
        raise InputError(
            f"expected free space for a ball of {2 * radius:g} mm diameter, got {got} in the way of {defect.text}"
        )
    return Body(tuple(path), tuple(radii), "solder")


def _bridge(part: Part, defect: Defect, pins: list[Pin]) -> Body:
    """A solder bridge: a sagging neck between two pins, with a fillet at each."""
    first, last = pins
    height = defect["height_mm"]
    thickness = 0.5 * defect["size_mm"]
    ends: list[Vector] = []
    for pin in pins:
        along = height + pin.lowered_mm
        if along > pin.form.length_mm - pin.terminal.tip_mm:
            raise InputError(
                f"expected height_mm below the tapered tip of {pin.position.address}, got {height:g} in {defect.text}"
            )
        ends.append(pin.world(pin.bend.point(along)))
    hit = clear_path(part.pins, tuple(ends), thickness, defect.addresses)
    if hit is not None:
        raise InputError(f"expected free space between the two pins, got the pin at {hit} in the way of {defect.text}")
    thick = max(first.terminal.reach_mm, last.terminal.reach_mm)
    path, radii = [], []
    steps = 20
    for i in range(steps + 1):
        share = i / steps
        from_end = min(share, 1.0 - share)
        sag = 0.35 * thickness * math.sin(math.pi * share)
        x, y, z = (a + share * (b - a) for a, b in zip(*ends, strict=True))
        path.append((x, y, z - sag))
        radii.append(thickness + 0.9 * thick * math.exp(-from_end * 9.0))
    return Body(tuple(path), tuple(radii), "solder")


def _fibre(part: Part, defect: Defect, pins: list[Pin]) -> Body:
    """A fibre or a hair that hangs over a pin's tip or lies on the floor, and ends at the first obstacle."""
    length = defect["size_mm"]
    source = draws.generator(part.seed, "fibre", defect.target)
    heading = math.radians(defect["azimuth_deg"])
    if pins:
        x, y, z = pins[0].tip_mm
        z += _FIBRE_RADIUS_MM
    else:
        x, y, z = _foot(part, defect, pins, 0.3)
        z += _FIBRE_RADIUS_MM + 0.02
    around = tuple(
        pin
        for pin in part.pins
        if math.dist(pin.root_mm[:2], (x, y)) < 0.5 * length + pin.form.length_mm + 2.0 * pin.terminal.reach_mm
    )
    # From the middle to both ends; over a tip it droops on both sides.
    halves: list[list[Vector]] = []
    for side in (0.0, math.pi):
        turn, place = heading + side, (x, y, z)
        half: list[Vector] = []
        bow = draws.symmetric(source, 1.1)
        step = 0.5 * length / _FIBRE_STEPS
        for i in range(_FIBRE_STEPS):
            turn += bow / _FIBRE_STEPS + draws.symmetric(source, 0.22)
            fall = 0.9 * (i / _FIBRE_STEPS) if pins else 0.0
            flat = step * math.cos(fall)
            place = (
                place[0] + flat * math.cos(turn),
                place[1] + flat * math.sin(turn),
                max(place[2] - step * math.sin(fall), part.floor_mm + _FIBRE_RADIUS_MM),
            )
            if part.outside_opening_mm(place[0], place[1]) > -0.1 and place[2] < 0.1:
                break
            last = half[-1] if half else (x, y, z)
            if clear_path(around, (last, place), _FIBRE_RADIUS_MM, defect.addresses) is not None:
                break
            half.append(place)
        halves.append(half)
    path = (*reversed(halves[1]), (x, y, z), *halves[0])
    if len(path) < _SHORTEST_FIBRE:
        raise InputError(f"expected free space for a fibre, got a pin or the wall in the way of {defect.text}")
    return Body(path, (_FIBRE_RADIUS_MM,) * len(path), "fibre")


def _burr(part: Part, defect: Defect, pins: list[Pin]) -> Body:
    """A curl of metal on the shank just below the tip, thick at its root and sharp at its end."""
    if not pins:
        raise InputError(f"expected a pin's address as the target of a burr, got {defect.text}")
    pin, size = pins[0], defect["size_mm"]
    azimuth = math.radians(defect["azimuth_deg"])
    along = max(pin.form.length_mm - pin.terminal.tip_mm - 0.1, 0.5 * pin.form.length_mm)
    root = pin.world(pin.bend.point(along))
    twist = pin.form.twist_rad * along / pin.form.length_mm
    start = 0.8 * pin.terminal.radius_towards(azimuth - twist)
    path, radii = [], []
    for i in range(_BURR_STEPS + 1):
        share = i / _BURR_STEPS
        out = start + size * math.sin(1.2 * share) / math.sin(1.2)
        up = 0.5 * size * share * share
        path.append((root[0] + out * math.cos(azimuth), root[1] + out * math.sin(azimuth), root[2] + up))
        radii.append(0.16 * size * (1.0 - share) + 0.004)
    near = clear_path(part.pins, tuple(path[2:]), 0.16 * size, defect.addresses)
    hit = near and f"the pin at {near}"
    if hit is None and any(z < 0.0 and part.outside_opening_mm(x, y) > -0.1 * size for x, y, z in path[2:]):
        hit = "the wall"
    if hit is not None:
        raise InputError(f"expected free space for a burr {size:g} mm long, got {hit} in the way of {defect.text}")
    return Body(tuple(path), tuple(radii), "plating")


KIND = Kind(
    "foreign",
    2,
    "a foreign body at a pin, between two pins or on the cavity floor",
    (
        Choice("type", ("ball", "bridge", "fibre", "burr"), "ball", "foreign body; a bridge's target is two pins"),
        Parameter("size_mm", 0.1, 20.0, 0.9, "diameter of a ball or a bridge's neck, length of a fibre or burr, mm"),
        Parameter("height_mm", 0.1, 30.0, 2.0, "height of a bridge above the cavity floor, mm"),
        Parameter("azimuth_deg", 0.0, 360.0, 0.0, "direction from the pin to the body, or of a fibre: 0° = +X"),
        Parameter("x_mm", -500.0, 500.0, 0.0, "X of a body on the cavity floor, mm (target `housing`)"),
        Parameter("y_mm", -500.0, 500.0, 0.0, "Y of a body on the cavity floor, mm (target `housing`)"),
    ),
    targets=(PIN, PAIR, HOUSING),
    add=_add,
)
