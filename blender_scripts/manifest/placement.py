"""Place the pins of one part: first the scatter of the whole part, then that of each pin, then the pin's defects."""

from __future__ import annotations

import math
from dataclasses import dataclass

from blender_scripts.contract import draws
from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.pin import BURIED_MM, Form, Pin, Vector, rotation_onto
from blender_scripts.kinds import KINDS

# A pin that scatter raises by more than this share of BURIED_MM is modelled further down into its hole.
_NEAR_SHARE = 0.5


@dataclass(frozen=True)
class PartScatter:
    """The scatter that all pins of a part share: the pattern of pins is scaled, tilted and shifted, in this order.

    Attributes:
        scale: size of the moulded part divided by that on the drawing; the pattern is scaled about the origin.
        lean: slopes in X and Y by which the pattern is tilted about the point x = y = 0 of the cavity floor.
        shift_mm: shift (x, y) of the pattern.
    """

    scale: float
    lean: tuple[float, float]
    shift_mm: tuple[float, float]

    @classmethod
    def draw(cls, connector: Connector, part: int) -> PartScatter:
        """Draw the scatter of a part at random; `part` is the part's seed."""
        scatter = connector.scatter
        source = draws.generator(part, "pattern")
        shift_x, shift_y = (draws.normal(source, scatter.pattern_shift_mm) for _ in range(2))
        lean_x, lean_y = (math.tan(math.radians(draws.normal(source, scatter.pattern_tilt_deg))) for _ in range(2))
        scale = 1.0 - draws.normal(draws.generator(part, "shrinkage"), scatter.shrinkage)
        return cls(scale, (lean_x, lean_y), (shift_x, shift_y))

    def turned(self, vector: Vector) -> Vector:
        """Return a vector (x, y, z), turned by the pattern's tilt."""
        x, y, z = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in rotation_onto(self.lean))
        return x, y, z


def place_pins(connector: Connector, terminal: str, part: int, defects: tuple[Defect, ...]) -> tuple[Pin, ...]:
    """Make all pins of one part, in the order of the connector's positions.

    Args:
        connector: the scene.
        terminal: name of one of its terminals or mixes.
        part: seed of the manufacturing scatter, which is the same with and without defects.
        defects: the part's defects; those whose target is not one pin are ignored.

    Raises:
        InputError: defects that the geometry does not allow, each as ``expected …, got …``.
    """
    common = PartScatter.draw(connector, part)
    floor = -connector.shell.depth_mm * common.scale
    order = list(KINDS)
    problems: list[str] = []
    pins = []
    for position in connector.positions:
        source = draws.generator(part, "scatter", position.address)
        shift_x, shift_y = (draws.normal(source, connector.scatter.position_mm) for _ in range(2))
        lean_x, lean_y = (math.tan(math.radians(draws.normal(source, connector.scatter.tilt_deg))) for _ in range(2))
        x, y, up = common.turned((common.scale * position.x_mm, common.scale * position.y_mm, 0.0))
        x, y = x + common.shift_mm[0], y + common.shift_mm[1]
        axis = common.turned((lean_x, lean_y, 1.0))
        raised = draws.normal(source, connector.scatter.height_mm) + up
        nominal = connector.terminal_at(terminal, position, part)
        longer = draws.normal(draws.generator(part, "lot length", nominal.name), connector.scatter.lot_length_mm)
        buried = BURIED_MM + (raised if raised > _NEAR_SHARE * BURIED_MM else 0.0)
        own = [defect for defect in defects if defect.target == position.address]
        pin = Pin(
            position=position,
            nominal=nominal,
            form=Form(nominal, buried_mm=buried, longer_mm=longer),
            floor_mm=floor,
            cavity_mm=(x, y),
            root_mm=(x + shift_x, y + shift_y, floor + raised),
            lean=(axis[0] / axis[2], axis[1] / axis[2]),
            defects=tuple(own),
            scale=common.scale,
            datum_shift_mm=connector.datum.shift_mm(common.scale),
        )
        for defect in sorted(own, key=lambda defect: order.index(defect.kind)):
            shape = KINDS[defect.kind].shape
            if shape is not None:
                try:
                    pin = shape(pin, defect, connector)
                except InputError as error:
                    problems += error.problems
        pins.append(pin)
    if problems:
        raise InputError(problems)
    return tuple(pins)
