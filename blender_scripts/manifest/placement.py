"""Where every pin of one part stands: manufacturing scatter first, then its defects."""

from __future__ import annotations

import math

from blender_scripts.contract import draws
from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.pin import Form, Pin
from blender_scripts.kinds import KINDS


def place_pins(connector: Connector, terminal: str, part: int, defects: tuple[Defect, ...]) -> tuple[Pin, ...]:
    """Every pin of one part, in the order of the connector's positions.

    Args:
        connector: the scene.
        terminal: name of one of its terminals or mixes.
        part: seed of the manufacturing scatter, which does not depend on the defects.
        defects: the defects whose target is one pin.

    Raises:
        InputError: defects that the geometry does not allow, each as ``expected …, got …``.
    """
    floor = -connector.shell.depth_mm
    order = list(KINDS)
    problems: list[str] = []
    pins = []
    for position in connector.positions:
        source = draws.generator(part, "scatter", position.address)
        shift_x, shift_y = (draws.normal(source, connector.scatter.position_mm) for _ in range(2))
        lean_x, lean_y = (math.tan(math.radians(draws.normal(source, connector.scatter.tilt_deg))) for _ in range(2))
        raised = draws.normal(source, connector.scatter.height_mm)
        nominal = connector.terminal_at(terminal, position, part)
        own = [defect for defect in defects if defect.target == position.address]
        pin = Pin(
            position=position,
            nominal=nominal,
            form=Form(nominal),
            floor_mm=floor,
            root_mm=(position.x_mm + shift_x, position.y_mm + shift_y, floor + raised),
            lean=(lean_x, lean_y),
            defects=tuple(own),
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
