"""Displace every pin of every part by random amounts: the rows of a measurement design.

A part is divided into groups of pins that are displaced alike: single pins, rows, columns or the whole pin field. Each
group has a displacement of its tips sideways and of its terminals in height; in groups of several pins each pin has a
small displacement of its own on top. A group with a pin that would touch something is displaced again, by less.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.errors import InputError
from blender_scripts.contract.positions import Position
from blender_scripts.contract.tolerance import Limits
from blender_scripts.geometry.clearance import touching
from blender_scripts.geometry.pin import Pin
from blender_scripts.manifest.defects import parse_defects
from blender_scripts.manifest.placement import place_pins
from generator.doe.assignment import Balancer
from generator.doe.blocks import SceneBlocks
from generator.doe.row import Row
from generator.doe.spec import COLUMN, FIELD, PATTERN, ROW, TILT, Measurement, Range, SplitSpec
from generator.doe.spec_measurement import BENT, BENT_PROTRUDING, BENT_RETRACTED, MISSING, PROTRUDING, RETRACTED

# A displacement within this range of multiples of its limit is near it.
NEAR_LIMIT = Range(0.75, 1.25)
# A group of pins that touches something is displaced by up to _SMALLER of the last try's most, until TRIES.
TRIES = 16
_SMALLER = 0.8
# The manifest accepts no smaller displacement.
_LEAST_MM = 0.02


@dataclass(frozen=True)
class Displacement:
    """How a pin's tip is displaced sideways and its terminal in height, mm."""

    x_mm: float = 0.0
    y_mm: float = 0.0
    z_mm: float = 0.0

    def __add__(self, other: Displacement) -> Displacement:
        return Displacement(self.x_mm + other.x_mm, self.y_mm + other.y_mm, self.z_mm + other.z_mm)


@dataclass
class _Group:
    """Pins that are displaced alike.

    Attributes:
        members: the pins' positions.
        is_tilted: whether the group leans: heights fall and rise across it.
        tries: how often its displacement has been drawn again.
        texts: the pins' defects as the manifest writes them, by address.
    """

    members: list[Position]
    is_tilted: bool = False
    tries: int = 0
    texts: dict[str, str] = field(default_factory=dict)


class Measuring:
    """Numbers the parts of a measurement design and displaces their pins, over all splits.

    Attributes:
        again: number of displacements that were drawn again, smaller, because a pin would have touched something.
        left: number of pins that were left where they stand after TRIES draws.
        pins: number of pins to be displaced.
    """

    def __init__(self, scenes: SceneBlocks, measurement: Measurement) -> None:
        self.scenes = scenes
        self.spec = scenes.spec
        self.measurement = measurement
        self.again = self.left = self.pins = 0
        self._next_part = self.spec.first_part

    def measure(self, split: SplitSpec, name: str, rows: Sequence[Row]) -> None:
        """Set part number, pattern and defects of each row of cell `name`; captures of one part share them."""
        source = self.spec.random("measure", split.name, name)
        patterns = Balancer(self.measurement.patterns, source)
        parts: dict[int, list[Row]] = {}
        for row in rows:
            parts.setdefault(row.unit, []).append(row)
        # Not in the order of the design's table, whose levels recur at intervals as the patterns do.
        order = source.sample(sorted(parts), len(parts))
        chosen = {unit: patterns.take(parts[unit][0].levels) for unit in order}
        for unit, captures in parts.items():
            part, self._next_part = self._next_part, self._next_part + 1
            first = captures[0]
            for row in captures:
                row.part, row.levels[PATTERN] = part, chosen[unit]
            first.defects = self._displaced(first, split, source)
            for row in captures:
                row.defects = first.defects

    def notes(self) -> list[str]:
        """Lines on displacements that were drawn again, or left out."""
        return [
            f"displacements: {self.pins} pins, {self.again} displacements drawn again and smaller, since a pin would "
            f"have touched something; {self.left} pins left in place after {TRIES} draws"
        ]

    def _displaced(self, row: Row, split: SplitSpec, source: random.Random) -> str:
        """The defects of a part, none of whose pins touches anything."""
        connector = self.scenes.connector(row.levels["scene"])
        _, housing, terminal, _ = row.variant
        block = set(self.scenes.block(row.levels["scene"], split.positions))
        members = [position for position in connector.positions if position.address in block]
        self.pins += len(members)
        missing = self._missing(members, source)
        groups = _groups([each for each in members if each.address not in missing], row.levels[PATTERN])
        pins = {pin.position.address: pin for pin in place_pins(connector, terminal, row.part, ())}
        for address in missing:
            pins[address] = replace(pins[address], missing=True)
        of_pin = {position.address: group for group in groups for position in group.members}
        wrong = groups
        while wrong:
            for group in wrong:
                self._draw(group, connector, terminal, row.part, source)
                group.tries += 1
            refused = set()
            for group in wrong:
                for position in group.members:
                    pin = _placed(connector, position, terminal, row.part, group.texts[position.address])
                    if pin is None:
                        refused.add(position.address)
                    else:
                        pins[position.address] = pin
            if not refused:
                standing = tuple(pins[position.address] for position in connector.positions)
                refused = {pin.position.address for pin, _ in touching(connector, housing, standing)}
            found = {id(group): group for address, group in of_pin.items() if address in refused}
            wrong = list(found.values())
            self.again += len(wrong)
        texts = [f"{MISSING}@{p.address}" if p.address in missing else of_pin[p.address].texts[p.address] for p in members]
        return ";".join(text for text in texts if text)

    def _missing(self, members: Sequence[Position], source: random.Random) -> set[str]:
        kinds = self.measurement.kinds
        share = kinds.get(MISSING, 0.0) / sum(kinds.values())
        return {position.address for position in members if source.random() < share}

    def _draw(
        self, group: _Group, connector: Connector, terminal: str, part: int, source: random.Random
    ) -> None:
        """Draw a group's displacement and write it as defects; after TRIES its pins stay in place."""
        if group.tries >= TRIES:
            group.texts = dict.fromkeys((position.address for position in group.members), "")
            self.left += len(group.members)
            return
        smaller = _SMALLER**group.tries
        wanted = self.measurement
        kinds = {kind: share for kind, share in wanted.kinds.items() if kind != MISSING}
        kind = source.choices(list(kinds), list(kinds.values()))[0]
        shared = self._shared(group, kind, smaller, source)
        start, curve = wanted.start.at(source.random()), wanted.curve.at(source.random())
        shape = source.choice(wanted.shapes)
        for position in group.members:
            limits = connector.tolerance.limits(position.address)
            standing = connector.terminal_at(terminal, position, part).standing_mm
            moved = shared(position, limits, standing)
            if len(group.members) > 1:
                moved += self._own(limits, smaller, source)
            group.texts[position.address] = _text(position.address, moved, standing, start, curve, shape)

    def _shared(
        self, group: _Group, kind: str, smaller: float, source: random.Random
    ) -> Callable[[Position, Limits, float], Displacement]:
        """Draw a group's displacement: a function of a pin's position, its limits and its standing length."""
        wanted = self.measurement
        azimuth = source.uniform(0.0, 2.0 * math.pi)
        towards = math.cos(azimuth), math.sin(azimuth)
        if group.is_tilted:
            size = self._size(wanted.retraction, smaller, source)
            middle = [sum(values) / len(group.members) for values in zip(*((p.x_mm, p.y_mm) for p in group.members))]
            across = max(abs(_along(position, middle, towards)) for position in group.members) or 1.0

            def tilted(position: Position, limits: Limits, standing: float) -> Displacement:
                # Where the field leans to, it sinks; tips move by the pin's length times the slope.
                slope = size * limits.retraction_mm / max(across, standing)
                z = -slope * _along(position, middle, towards)
                return Displacement(standing * slope * towards[0], standing * slope * towards[1], z)

            return tilted
        size = self._size(wanted.true_position, smaller, source) if kind in (BENT, BENT_RETRACTED, BENT_PROTRUDING) else 0.0
        down = self._size(wanted.retraction, smaller, source) if kind in (RETRACTED, BENT_RETRACTED) else 0.0
        up = self._size(wanted.protrusion, smaller, source) if kind in (PROTRUDING, BENT_PROTRUDING) else 0.0

        def displaced(position: Position, limits: Limits, standing: float) -> Displacement:
            # True position is a diameter: twice the tip's offset.
            offset = 0.5 * size * limits.true_position_mm
            z = up * limits.protrusion_mm - down * limits.retraction_mm
            return Displacement(offset * towards[0], offset * towards[1], z)

        return displaced

    def _own(self, limits: Limits, smaller: float, source: random.Random) -> Displacement:
        most = self.measurement.own * smaller
        azimuth, offset = source.uniform(0.0, 2.0 * math.pi), 0.5 * limits.true_position_mm * source.uniform(0.0, most)
        z = source.uniform(-most * limits.retraction_mm, most * limits.protrusion_mm)
        return Displacement(offset * math.cos(azimuth), offset * math.sin(azimuth), z)

    def _size(self, span: Range, smaller: float, source: random.Random) -> float:
        """Draw a displacement in multiples of its limit: uniform, with a share near the limit."""
        span = span.part(span.low, max(span.low, span.high * smaller))
        near = span.part(NEAR_LIMIT.low, NEAR_LIMIT.high)
        if source.random() < self.measurement.near_limit and near.low <= near.high:
            span = near
        return span.at(source.random())


def _groups(members: Sequence[Position], pattern: str) -> list[_Group]:
    """Divide positions into the groups that a pattern displaces alike."""
    found: dict[object, list[Position]] = {}
    for position in members:
        key: dict[str, object] = {ROW: position.row, COLUMN: position.position, FIELD: FIELD, TILT: TILT}
        found.setdefault(key.get(pattern, position.address), []).append(position)
    return [_Group(group, pattern == TILT) for group in found.values()]


def _along(position: Position, middle: Sequence[float], towards: tuple[float, float]) -> float:
    """How far a position lies from the middle of its group in a direction, mm."""
    return (position.x_mm - middle[0]) * towards[0] + (position.y_mm - middle[1]) * towards[1]


def _text(address: str, moved: Displacement, standing: float, start: float, curve: float, shape: str) -> str:
    """A pin's defects as the manifest writes them.

    Args:
        address: the pin's address.
        moved: its displacement; less than the manifest accepts is left out.
        standing: its length above the cavity floor, mm.
        start, curve: start and length of the bend's curve, as shares of the length that is left above the floor.
        shape: the bend's shape.
    """
    texts = []
    offset, height = math.hypot(moved.x_mm, moved.y_mm), abs(moved.z_mm)
    if offset >= _LEAST_MM:
        azimuth = math.degrees(math.atan2(moved.y_mm, moved.x_mm)) % 360.0
        left = standing - max(0.0, -moved.z_mm)
        values = {"tip_offset_mm": round(offset, 3), "azimuth_deg": round(azimuth, 1), "start_mm": round(start * left, 2)}
        # A kink's curve follows from the pin's thickness.
        values |= {"curve_mm": round(curve * left, 2)} if shape != "kink" else {}
        written = ",".join(f"{key}={value:.10g}" for key, value in values.items())
        texts.append(f"{BENT}@{address}:{written},shape={shape}")
    if height >= _LEAST_MM and moved.z_mm < 0.0:
        texts.append(f"{RETRACTED}@{address}:depth_mm={height:.3f}")
    elif height >= _LEAST_MM:
        texts.append(f"{PROTRUDING}@{address}:height_mm={height:.3f}")
    return ";".join(texts)


def _placed(connector: Connector, position: Position, terminal: str, part: int, text: str) -> Pin | None:
    """One pin of a part with its defects; None if its length or the cavity does not allow them."""
    defects, problems = parse_defects(text)
    try:
        return None if problems else place_pins(replace(connector, positions=(position,)), terminal, part, defects)[0]
    except InputError:
        return None
