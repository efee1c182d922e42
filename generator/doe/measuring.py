"""Displace every pin of every part by random amounts: the rows of a measurement design.

A part is divided into groups of pins that are displaced alike: single pins, rows, columns or the whole pin field. In
groups of several pins each pin has a small displacement of its own in addition. A group's displacement is drawn again,
and smaller, if one of its pins would touch something, or if the pin's length or cavity does not allow it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

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
from generator.doe.displacement import Curve, Displacement, Group, Tilt, displacement_text, groups_of
from generator.doe.row import Row
from generator.doe.spec import PATTERN, TILT, Measurement, Range, SplitSpec
from generator.doe.spec_measurement import BENT, BENT_PROTRUDING, BENT_RETRACTED, MISSING, PROTRUDING, RETRACTED

# A displacement within this range of multiples of its limit is near it.
NEAR_LIMIT = Range(0.75, 1.25)
# The largest displacement of a group falls by this factor each time that it is drawn again, up to TRIES draws.
_SMALLER = 0.8
TRIES = 16

# Gives the displacement of a pin from its position and its length above the floor, mm.
Shared = Callable[[Position, float], Displacement]


class Measuring:
    """Gives the parts of a measurement design their numbers, over all splits, and displaces their pins.

    Pins of a group, such as a row, share one displacement.

    Attributes:
        pins: number of pins to be displaced; missing pins do not count.
        again: how often a group got a new, smaller displacement, because one of its pins could not have the first.
        left: number of pins that were left in place after TRIES draws.
    """

    def __init__(self, scenes: SceneBlocks, measurement: Measurement) -> None:
        self.scenes = scenes
        self.spec = scenes.spec
        self.measurement = measurement
        self.pins = self.again = self.left = 0
        self._next_part = self.spec.first_part

    def measure(self, split: SplitSpec, name: str, rows: Sequence[Row]) -> None:
        """Set part number, pattern of displaced pins, and defects of each row; equal for all captures of a part.

        Args:
            split: the split.
            name: planned class of the rows; measurement designs have one, `measured`.
            rows: all rows of this class in the split.
        """
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
            for row in captures:
                row.part, row.levels[PATTERN] = part, chosen[unit]
            # From a source of its own, so that a part that is drawn again changes no other.
            own = self.spec.random("measure", split.name, name, str(unit))
            defects = self._defects(captures[0], split, own)
            for row in captures:
                row.defects = defects

    def notes(self) -> list[str]:
        """Return a line for the user: how many displacements were drawn again, and how many pins were left in place."""
        return [
            f"pins to displace: {self.pins}; displacements drawn again, and smaller, as a pin would touch something or "
            f"cannot be bent that far: {self.again}; pins left in place after {TRIES} draws: {self.left}"
        ]

    def _defects(self, row: Row, split: SplitSpec, source: random.Random) -> str:
        """The defects of a part, none of whose pins touches anything."""
        connector = self.scenes.connector(row.levels["scene"])
        block = set(self.scenes.block(row.levels["scene"], split.positions))
        members = [position for position in connector.positions if position.address in block]
        kinds = self.measurement.kinds
        share = kinds.get(MISSING, 0.0) / sum(kinds.values())
        texts = {each.address: f"{MISSING}@{each.address}" for each in members if source.random() < share}
        self.pins += len(members) - len(texts)
        groups = groups_of([each for each in members if each.address not in texts], row.levels[PATTERN])
        for group in self._clear(groups, set(texts), row, connector, source):
            texts.update(group.texts)
        return ";".join(texts[each.address] for each in members if texts[each.address])

    def _clear(
        self, groups: list[Group], missing: set[str], row: Row, connector: Connector, source: random.Random
    ) -> list[Group]:
        """Draw displacements of all groups, again and smaller where a pin would touch something; returns the groups."""
        _, housing, terminal, _ = row.variant
        pins = {pin.position.address: pin for pin in place_pins(connector, terminal, row.part, ())}
        pins |= {address: replace(pins[address], missing=True) for address in missing}
        wrong = groups
        while wrong:
            refused: set[str] = set()
            for group in wrong:
                self._draw(group, connector, terminal, row, source)
                for position in group.members:
                    pin = _placed(connector, position, terminal, row.part, group.texts[position.address])
                    if pin is None:
                        refused.add(position.address)
                    else:
                        pins[position.address] = pin
            if not refused:
                standing = tuple(pins[position.address] for position in connector.positions)
                refused = {pin.position.address for pin, _ in touching(connector, housing, standing)}
            wrong = [group for group in groups if any(position.address in refused for position in group.members)]
            self.again += sum(group.tries < TRIES for group in wrong)
        return groups

    def _draw(self, group: Group, connector: Connector, terminal: str, row: Row, source: random.Random) -> None:
        """Draw a group's displacement and write it as defects; after TRIES its pins stay in place."""
        if group.tries >= TRIES:
            group.texts = dict.fromkeys((position.address for position in group.members), "")
            self.left += len(group.members)
            return
        smaller = _SMALLER**group.tries
        group.tries += 1
        wanted, is_alone = self.measurement, len(group.members) == 1
        # What several pins share is equal in mm, whatever the limits of single pins.
        limits = connector.tolerance.limits(group.members[0].address if is_alone else None)
        standing = {
            position.address: connector.terminal_at(terminal, position, row.part).standing_mm
            for position in group.members
        }
        if row.levels[PATTERN] == TILT:
            size, azimuth = self._size(wanted.retraction, smaller, source), source.uniform(0.0, 2.0 * math.pi)
            tilt = Tilt(azimuth, 1.0, connector.positions)
            longest = max(standing.values())
            slope = size * min(limits.retraction_mm / tilt.reach_mm, 0.5 * limits.true_position_mm / longest)
            shared: Shared = replace(tilt, slope=slope).at
        else:
            shared = self._shared(limits, smaller, source)
        start, length = wanted.start.at(source.random()), wanted.curve.at(source.random())
        curve = Curve(source.choice(wanted.shapes), start, length)
        for position in group.members:
            address = position.address
            moved = shared(position, standing[address])
            if not is_alone or row.levels[PATTERN] == TILT:
                moved += self._own(connector.tolerance.limits(address), smaller, source)
            group.texts[address] = displacement_text(address, moved, standing[address], curve)

    def _shared(self, limits: Limits, smaller: float, source: random.Random) -> Shared:
        """Draw a displacement that all pins of a group have."""
        wanted = self.measurement
        kinds = {kind: share for kind, share in wanted.kinds.items() if kind != MISSING}
        kind = source.choices(list(kinds), list(kinds.values()))[0] if kinds else MISSING
        offset = z = 0.0
        if kind in (BENT, BENT_RETRACTED, BENT_PROTRUDING):
            # True position is a diameter: twice the tip's offset.
            offset = 0.5 * limits.true_position_mm * self._size(wanted.true_position, smaller, source)
        if kind in (RETRACTED, BENT_RETRACTED):
            z = -limits.retraction_mm * self._size(wanted.retraction, smaller, source)
        elif kind in (PROTRUDING, BENT_PROTRUDING):
            z = limits.protrusion_mm * self._size(wanted.protrusion, smaller, source)
        moved = Displacement.towards(source.uniform(0.0, 2.0 * math.pi), offset, z)
        return lambda position, standing_mm: moved

    def _own(self, limits: Limits, smaller: float, source: random.Random) -> Displacement:
        """Draw a pin's displacement on top of that of its group."""
        most = self.measurement.own * smaller
        offset = 0.5 * limits.true_position_mm * source.uniform(0.0, most)
        z = source.uniform(-most * limits.retraction_mm, most * limits.protrusion_mm)
        return Displacement.towards(source.uniform(0.0, 2.0 * math.pi), offset, z)

    def _size(self, span: Range, smaller: float, source: random.Random) -> float:
        """Draw a displacement in multiples of its limit: uniform, with a share near the limit."""
        span = span.part(span.low, max(span.low, span.high * smaller))
        near = span.part(NEAR_LIMIT.low, NEAR_LIMIT.high)
        if near.low <= near.high and source.random() < self.measurement.near_limit:
            span = near
        return span.at(source.random())


def _placed(connector: Connector, position: Position, terminal: str, part: int, text: str) -> Pin | None:
    """One pin of a part with its defects; None if its length or the cavity does not allow them."""
    defects, problems = parse_defects(text)
    try:
        return None if problems else place_pins(replace(connector, positions=(position,)), terminal, part, defects)[0]
    except InputError:
        return None
