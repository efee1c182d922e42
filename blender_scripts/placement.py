"""Where every pin of one part stands: scatter, then defects, then what a measuring machine would read.

A pin's own frame has its origin where the nominal centre line leaves the cavity floor and Z along the pin. A bend is an
arc of constant curvature from `start_mm` over `curve_mm`, straight before and after, so the length is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from . import draws
from .connector import Block, Connector, Position, Shell, Terminal
from .defects import Defect, worst_kind

Vector = tuple[float, float, float]
_SAMPLES = 16
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
        across, up = self._in_plane(along_mm)
        return across * math.cos(self.azimuth_rad), across * math.sin(self.azimuth_rad), up

    def tilt_rad(self, along_mm: float) -> float:
        """Angle between the tangent at a length from the floor and the pin's axis."""
        if along_mm <= self.start_mm:
            return 0.0
        if self.curve_mm <= 0.0:
            return self.angle_rad
        return self.angle_rad * min(1.0, (along_mm - self.start_mm) / self.curve_mm)

    def _in_plane(self, along_mm: float) -> tuple[float, float]:
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

    @property
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
        rows = self.rotation
        x, y, z = (sum(r * p for r, p in zip(row, point, strict=True)) for row in rows)
        return x + self.root_mm[0], y + self.root_mm[1], z + self.root_mm[2]

    @property
    def tip_mm(self) -> Vector:
        return self.world(self.bend.point(self.terminal.standing_mm))

    @property
    def base_mm(self) -> Vector:
        """Where the centre line passes the cavity floor; above the cavity's mouth where the tip is below the floor."""
        low, high = 0.0, self.terminal.standing_mm
        if self.root_mm[2] >= self.floor_mm or self.tip_mm[2] <= self.floor_mm:
            x, y, _ = self.root_mm
            return x, y, self.floor_mm
        for _ in range(50):
            middle = 0.5 * (low + high)
            if self.world(self.bend.point(middle))[2] < self.floor_mm:
                low = middle
            else:
                high = middle
        return self.world(self.bend.point(high))

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
        ValueError: a defect that geometry does not allow, as ``expected …, got …``.
    """
    shape = connector.terminals[terminal]
    floor = -connector.shell.depth_mm
    pins = []
    for position in connector.positions:
        source = draws.generator(part, "scatter", position.address)
        shift_x, shift_y = (draws.normal(source, connector.scatter.position_mm) for _ in range(2))
        lean = tuple(
            math.tan(math.radians(draws.normal(source, connector.scatter.tilt_deg))) for _ in range(2)
        )
        raised = draws.normal(source, connector.scatter.height_mm)
        own = tuple(d for d in defects if d.target == position.address)
        bend, depth = STRAIGHT, 0.0
        for defect in own:
            if defect.kind == "bent":
                bend = _bend(defect, shape)
            elif defect.kind == "retracted":
                depth = defect["depth_mm"]
                most = connector.cavity.depth_mm
                if depth > most:
                    raise ValueError(
                        f"expected depth_mm of at most {most:g} (the cavity's depth) in {defect.text}, got {depth:g}"
                    )
        pins.append(
            Pin(
                position=position,
                terminal=shape,
                floor_mm=floor,
                defects=own,
                root_mm=(position.x_mm + shift_x, position.y_mm + shift_y, floor + raised - depth),
                lean=(lean[0], lean[1]),
                bend=bend,
                missing=any(d.kind == "missing" for d in own),
            )
        )
    return tuple(pins)


def _bend(defect: Defect, terminal: Terminal) -> Bend:
    length = terminal.standing_mm
    start = defect["start_mm"]
    if start >= length:
        raise ValueError(
            f"expected start_mm below the pin's length {length:g} in {defect.text}, got {start:g}"
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
        raise ValueError(
            f"expected tip_offset_mm of at most {most:.3g} for a pin of {length:g} mm in {defect.text}, got {wanted:g}"
        )
    for _ in range(60):
        middle = 0.5 * (low + high)
        if math.hypot(*Bend(middle, azimuth, start, curve).point(length)[:2]) < wanted:
            low = middle
        else:
            high = middle
    return Bend(high, azimuth, start, curve)


def collisions(connector: Connector, housing: str, pins: tuple[Pin, ...]) -> list[str]:
    """What defects push through what, as ``expected …, got …``; empty where every pin stands free."""
    found = []
    blocks = connector.housings[housing].blocks
    lines = {pin.position.index: _centre_line(pin) for pin in pins if not pin.missing}
    for pin in pins:
        if pin.missing or not pin.defects:
            continue
        reach = pin.terminal.reach_mm
        line = lines[pin.position.index]
        what = ";".join(d.text for d in pin.defects)
        overlap = max(_into_wall(connector.shell, point, reach) for point in line)
        if overlap > 0.0:
            found.append(
                f"expected a pin that clears the wall, got {what} with the pin {overlap:.2f} mm inside it"
            )
        overlap = max((_into_block(block, point, reach) for block in blocks for point in line), default=0.0)
        if overlap > 0.0:
            found.append(
                f"expected a pin that clears the {housing} housing's blocks, got {what} with the pin {overlap:.2f} mm inside one"
            )
        span = 2.0 * pin.terminal.standing_mm + 2.0 * reach
        for other in pins:
            index = other.position.index
            if (
                index not in lines
                or index == pin.position.index
                or (other.defects and index < pin.position.index)
            ):
                continue
            if math.dist(pin.root_mm[:2], other.root_mm[:2]) > span:
                continue
            gap = min(math.dist(a, b) for a in line for b in lines[index])
            if gap < reach + other.terminal.reach_mm:
                overlap = reach + other.terminal.reach_mm - gap
                found.append(
                    f"expected a pin that clears {other.position.address}, got {what} with {overlap:.2f} mm of overlap"
                )
    return found


def _centre_line(pin: Pin) -> list[Vector]:
    """Points of the centre line above the floor; a pin is wider than they are apart."""
    length = pin.terminal.standing_mm
    count = max(_SAMPLES, math.ceil(2.0 * length / pin.terminal.width_mm))
    points = [pin.world(pin.bend.point(length * i / count)) for i in range(count + 1)]
    return [point for point in points if point[2] >= pin.floor_mm - 1e-9] or points[-1:]


def _into_wall(shell: Shell, point: Vector, reach: float) -> float:
    """How deep a ball round the point is inside the wall, mm; the opening is a rectangle with rounded corners."""
    if point[2] > 0.0:
        return 0.0
    corner = shell.corner_mm
    x = max(abs(point[0]) - (0.5 * shell.opening_mm[0] - corner), 0.0)
    y = max(abs(point[1]) - (0.5 * shell.opening_mm[1] - corner), 0.0)
    return math.hypot(x, y) - corner + reach


def _into_block(block: Block, point: Vector, reach: float) -> float:
    """How deep a ball round the point is inside a block, mm; 0 where it is clear."""
    dx = max(abs(point[0] - block.center_mm[0]) - 0.5 * block.size_mm[0], 0.0)
    dy = max(abs(point[1] - block.center_mm[1]) - 0.5 * block.size_mm[1], 0.0)
    dz = max(block.bottom_mm - point[2], point[2] - block.top_mm, 0.0)
    return max(0.0, reach - math.sqrt(dx * dx + dy * dy + dz * dz))
