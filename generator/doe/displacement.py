"""Displacements of pins: their size, the groups of pins that are displaced alike, and their text in the manifest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from blender_scripts.contract.positions import Position
from generator.doe.spec import COLUMN, FIELD, ROW, TILT

# The manifest accepts no smaller displacement.
_LEAST_MM = 0.02


@dataclass(frozen=True)
class Displacement:
    """The displacement of a pin, mm: of its tip along X and Y, and of its terminal along Z (negative: lowered)."""

    x_mm: float = 0.0
    y_mm: float = 0.0
    z_mm: float = 0.0

    @staticmethod
    def towards(azimuth_rad: float, offset_mm: float, z_mm: float) -> Displacement:
        """Make a displacement by `offset_mm` sideways in a direction (0 = +X, pi / 2 = +Y), and by `z_mm` upwards."""
        return Displacement(offset_mm * math.cos(azimuth_rad), offset_mm * math.sin(azimuth_rad), z_mm)

    def __add__(self, other: Displacement) -> Displacement:
        return Displacement(self.x_mm + other.x_mm, self.y_mm + other.y_mm, self.z_mm + other.z_mm)


@dataclass(frozen=True)
class Curve:
    """A bend: arc, kink or s_bend; start and length of its curve, as shares of the pin's length above the floor."""

    shape: str
    start: float
    length: float


@dataclass
class Group:
    """Pins that are displaced alike.

    Attributes:
        members: the pins' positions.
        tries: how often the group's displacement has been drawn.
        texts: each pin's defects as the manifest writes them, by address; empty for a pin that is left in place.
    """

    members: list[Position]
    tries: int = 0
    texts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tilt:
    """A tilt of the whole pin field: one side sinks, the other rises, and the tips lean to the side that sinks.

    Attributes:
        azimuth_rad: direction of the side that sinks: 0 = +X, pi / 2 = +Y.
        slope: mm of height per mm across the pin field.
        positions: all positions of the connector, whose middle stays at its height.
    """

    azimuth_rad: float
    slope: float
    positions: tuple[Position, ...]

    @property
    def reach_mm(self) -> float:
        """Largest distance, mm, of a position from the middle of the pin field, along `azimuth_rad`; at least 0.001."""
        return max(1e-3, *(abs(self._along(position)) for position in self.positions))

    def at(self, position: Position, standing_mm: float) -> Displacement:
        """Return the displacement of the pin at a position; `standing_mm` is its length above the cavity floor."""
        return Displacement.towards(self.azimuth_rad, standing_mm * self.slope, -self.slope * self._along(position))

    def _along(self, position: Position) -> float:
        xs, ys = [each.x_mm for each in self.positions], [each.y_mm for each in self.positions]
        x, y = position.x_mm - 0.5 * (min(xs) + max(xs)), position.y_mm - 0.5 * (min(ys) + max(ys))
        return x * math.cos(self.azimuth_rad) + y * math.sin(self.azimuth_rad)


def groups_of(members: Sequence[Position], pattern: str) -> list[Group]:
    """Divide positions into groups to displace alike: single ones (PINS), each ROW or COLUMN, or all (FIELD, TILT)."""
    found: dict[object, list[Position]] = {}
    for position in members:
        keys: dict[str, object] = {ROW: position.row, COLUMN: position.position, FIELD: FIELD, TILT: TILT}
        found.setdefault(keys.get(pattern, position.address), []).append(position)
    return [Group(group) for group in found.values()]


def displacement_text(address: str, moved: Displacement, standing_mm: float, curve: Curve) -> str:
    """Return a pin's defects as the manifest writes them; displacements below 0.02 mm, which it refuses, are left out.

    Args:
        address: the pin's address.
        moved: the pin's displacement.
        standing_mm: the pin's nominal length above the cavity floor.
        curve: shape of the bend that displaces the tip sideways.
    """
    texts = []
    offset, height = math.hypot(moved.x_mm, moved.y_mm), abs(moved.z_mm)
    if offset >= _LEAST_MM:
        azimuth = math.degrees(math.atan2(moved.y_mm, moved.x_mm)) % 360.0
        left = standing_mm - max(0.0, -moved.z_mm)
        values = {"tip_offset_mm": round(offset, 3), "azimuth_deg": round(azimuth, 1)}
        values["start_mm"] = round(curve.start * left, 2)
        if curve.shape != "kink":  # the curve of a kink follows from the pin's thickness
            values["curve_mm"] = round(curve.length * left, 2)
        written = ",".join(f"{key}={value:.10g}" for key, value in values.items())
        texts.append(f"bent@{address}:{written},shape={curve.shape}")
    if height >= _LEAST_MM:
        kind, parameter = ("retracted", "depth_mm") if moved.z_mm < 0.0 else ("protruding", "height_mm")
        texts.append(f"{kind}@{address}:{parameter}={round(height, 3):.10g}")
    return ";".join(texts)
