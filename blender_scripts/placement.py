"""Where every pin of one part stands: scatter, then defects, then what a measuring machine would read.

A pin's own frame has its origin where the centre line of a good pin leaves the cavity floor, and Z along the pin; it
goes down with a terminal that backs out. A bend is an arc of constant curvature from `start_mm` over `curve_mm`,
straight before and after, so the length is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from . import draws
from .connector import Connector, Position, Terminal
from .defects import Defect, worst_kind
from .errors import InputError

Vector = tuple[float, float, float]
_STEEPEST_BEND_RAD = math.radians(85.0)


@dataclass(frozen=True)
class Bend:
    """Angle, direction in the pin's own frame, and where along the pin it curves."""

    angle_rad: float
    azimuth_rad: float
    start_mm: float
    curve_mm: float

    def point(self, along_mm: float) -> Vector:
        """The centre line at a length from the floor, mm in the pin's frame."""
        across, up = self.in_plane(along_mm)
        return across * math.cos(self.azimuth_rad), across * math.sin(self.azimuth_rad), up

    def tilt_rad(self, along_mm: float) -> float:
        """Angle between the tangent at a length from the floor and the pin's axis."""
        if along_mm <= self.start_mm:
            return 0.0
        if self.curve_mm <= 0.0:
            return self.angle_rad
        return self.angle_rad * min(1.0, (along_mm - self.start_mm) / self.curve_mm)

    def in_plane(self, along_mm: float) -> tuple[float, float]:
        """How far sideways and how far up the centre line is at a length from the floor, mm."""
        if along_mm <= self.start_mm or self.angle_rad == 0.0:
            return 0.0, along_mm
        across, up = 0.0, self.start_mm
        rest = along_mm - self.start_mm
        if self.curve_mm > 0.0:
            radius = self.curve_mm / self.angle_rad
            turned = self.angle_rad * min(1.0, rest / self.curve_mm)
            # 1 - cos written as 2 sin^2 keeps its digits at the smallest angles.
            across += radius * 2.0 * math.sin(0.5 * turned) ** 2
            up += radius * math.sin(turned)
            rest = max(0.0, rest - self.curve_mm)
        return across + rest * math.sin(self.angle_rad), up + rest * math.cos(self.angle_rad)


STRAIGHT = Bend(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Pin:
    """One position of one part. `root_mm` is where its frame stands, `lean` the slopes of its axis in X and Y."""

    position: Position
    terminal: Terminal
    floor_mm: float
    defects: tuple[Defect, ...]
    root_mm: Vector
    lean: tuple[float, float]
    bend: Bend
    missing: bool

    @property
    def kind(self) -> str:
        return worst_kind(self.defects)

    @cached_property
    def rotation(self) -> tuple[Vector, Vector, Vector]:
        """Rows of the smallest rotation that turns Z onto the pin's axis (Rodrigues)."""
        slope_x, slope_y = self.lean
        scale = 1.0 / math.sqrt(slope_x**2 + slope_y**2 + 1.0)
        x, y, z = slope_x * scale, slope_y * scale, scale
        shared = 1.0 / (1.0 + z)
        return (
            (1.0 - x * x * shared, -x * y * shared, x),
            (-x * y * shared, 1.0 - y * y * shared, y),
            (-x, -y, z),
        )

    def world(self, point: Vector) -> Vector:
        """A point of the pin's frame in world mm."""
        (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = self.rotation
        x, y, z = point
        return (
            xx * x + xy * y + xz * z + self.root_mm[0],
            yx * x + yy * y + yz * z + self.root_mm[1],
            zx * x + zy * y + zz * z + self.root_mm[2],
        )

    @cached_property
    def tip_mm(self) -> Vector:
        return self.world(self.bend.point(self.terminal.standing_mm))

    @cached_property
    def base_mm(self) -> Vector:
        """Where the centre line passes the cavity floor; above the cavity's mouth where the tip is below the floor."""
        low, high = 0.0, self.terminal.standing_mm
        if self.root_mm[2] >= self.floor_mm or self.tip_mm[2] <= self.floor_mm:
            x, y, _ = self.root_mm
            return x, y, self.floor_mm
        if self.bend.angle_rad == 0.0:
            x, y, z = (tip - root for tip, root in zip(self.tip_mm, self.root_mm, strict=True))
            share = (self.floor_mm - self.root_mm[2]) / z
            return self.root_mm[0] + share * x, self.root_mm[1] + share * y, self.floor_mm
        for _ in range(50):
            middle = 0.5 * (low + high)
            if self.world(self.bend.point(middle))[2] < self.floor_mm:
                low = middle
            else:
                high = middle
        return self.world(self.bend.point(high))

    @property
    def bend_mm(self) -> Vector | None:
        """The middle of the bend's arc on the centre line; None where the pin is straight."""
        if self.missing or self.bend.angle_rad == 0.0:
            return None
        return self.world(self.bend.point(self.bend.start_mm + 0.5 * self.bend.curve_mm))

    @property
    def nominal_tip_mm(self) -> Vector:
        return self.position.x_mm, self.position.y_mm, self.floor_mm + self.terminal.standing_mm

    def measures(self) -> dict[str, float | None]:
        """What a measuring machine reads at this pin; every value None where it is missing.

        true_position_mm is the diametral value 2 sqrt(dx^2 + dy^2) of the tip (ISO 1101 / ASME Y14.5); retraction_mm is
        how far the terminal sits below its nominal height in its cavity, whatever its bend; tilt and azimuth are those
        of the tip's tangent.
        """
        names = (
            "dx_mm",
            "dy_mm",
            "true_position_mm",
            "retraction_mm",
            "tilt_deg",
            "azimuth_deg",
            "length_mm",
        )
        if self.missing:
            return dict.fromkeys(names)
        tip, nominal = self.tip_mm, self.nominal_tip_mm
        dx, dy = tip[0] - nominal[0], tip[1] - nominal[1]
        turn = self.bend.tilt_rad(self.terminal.standing_mm)
        along = (
            math.sin(turn) * math.cos(self.bend.azimuth_rad),
            math.sin(turn) * math.sin(self.bend.azimuth_rad),
            math.cos(turn),
        )
        x, y, z = (sum(r * a for r, a in zip(row, along, strict=True)) for row in self.rotation)
        values = (
            dx,
            dy,
            2.0 * math.hypot(dx, dy),
            self.floor_mm - self.root_mm[2],
            math.degrees(math.atan2(math.hypot(x, y), z)),
            math.degrees(math.atan2(y, x)) % 360.0,
            self.terminal.standing_mm,
        )
        return dict(zip(names, values, strict=True))


def place_pins(
    connector: Connector, terminal: str, part: int, defects: tuple[Defect, ...]
) -> tuple[Pin, ...]:
    """Every pin of one part, in the order of the connector's positions.

    Args:
        connector: the scene.
        terminal: name of one of its terminals.
        part: seeds the manufacturing scatter; the same draws whatever the defects.

    Raises:
        InputError: defects that geometry does not allow, each as ``expected …, got …``.
    """
    shape = connector.terminals[terminal]
    floor = -connector.shell.depth_mm
    defects_at: dict[str, list[Defect]] = {}
    for defect in defects:
        defects_at.setdefault(defect.target, []).append(defect)
    problems: list[str] = []
    pins = []
    for position in connector.positions:
        source = draws.generator(part, "scatter", position.address)
        shift_x, shift_y = (draws.normal(source, connector.scatter.position_mm) for _ in range(2))
        lean = tuple(
            math.tan(math.radians(draws.normal(source, connector.scatter.tilt_deg))) for _ in range(2)
        )
        raised = draws.normal(source, connector.scatter.height_mm)
        own = {defect.kind: defect for defect in defects_at.get(position.address, ())}
        depth = own["retracted"]["depth_mm"] if "retracted" in own else 0.0
        if depth > connector.cavity.depth_mm:
            expected = f"expected depth_mm of at most {connector.cavity.depth_mm:g} (the cavity's depth)"
            problems.append(f"{expected}, got {depth:g} in {own['retracted'].text}")
        bend = STRAIGHT
        if "bent" in own:
            try:
                bend = _bend(own["bent"], shape, depth)
            except InputError as error:
                problems += error.problems
        pins.append(
            Pin(
                position=position,
                terminal=shape,
                floor_mm=floor,
                defects=tuple(own.values()),
                root_mm=(position.x_mm + shift_x, position.y_mm + shift_y, floor + raised - depth),
                lean=(lean[0], lean[1]),
                bend=bend,
                missing="missing" in own,
            )
        )
    if problems:
        raise InputError(problems)
    return tuple(pins)


def _bend(defect: Defect, terminal: Terminal, depth_mm: float) -> Bend:
    """The bend of a terminal that sits `depth_mm` low: a pin bends where it stands free, not in its cavity."""
    length = terminal.standing_mm
    start = defect["start_mm"] + depth_mm
    if start >= length:
        raise InputError(
            f"expected start_mm below the {length - depth_mm:g} mm of pin that stand above the floor, "
            f"got {defect['start_mm']:g} in {defect.text}"
        )
    curve = min(defect["curve_mm"], length - start)
    azimuth = math.radians(defect["azimuth_deg"])
    tilt = defect.get("tilt_deg")
    if tilt is not None:
        return Bend(math.radians(tilt), azimuth, start, curve)
    wanted = defect["tip_offset_mm"]
    low, high = 0.0, _STEEPEST_BEND_RAD
    most = math.hypot(*Bend(high, azimuth, start, curve).point(length)[:2])
    if wanted > most:
        raise InputError(
            f"expected tip_offset_mm of at most {most:.3g} for a pin of {length:g} mm, got {wanted:g} in {defect.text}"
        )
    for _ in range(60):
        middle = 0.5 * (low + high)
        if math.hypot(*Bend(middle, azimuth, start, curve).point(length)[:2]) < wanted:
            low = middle
        else:
            high = middle
    return Bend(high, azimuth, start, curve)
