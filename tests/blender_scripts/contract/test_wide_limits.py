"""Limits in mil that were taken for mm are named; those of drawings in mm are not."""

import dataclasses

import pytest

from blender_scripts.contract import wide_limits
from blender_scripts.contract.connector import read_connector
from generator.dataset.connectors import nominal_connector
from tests.conftest import SCENES

IN_MIL = {"true_position_mm": 31.5, "retraction_mm": 19.7, "r1c2.protrusion_mm": 24.0}


@pytest.mark.parametrize("path", sorted(SCENES.glob("*.toml")), ids=lambda path: path.stem)
def test_limits_in_mil_are_named_and_those_in_mm_are_not(path):
    connector = read_connector(path)
    drawing = nominal_connector(connector, next(iter(connector.housings)), next(iter(connector.terminals)))
    for limits, count in ((connector.tolerance.flat(), 0), (IN_MIL, 3)):
        found = wide_limits.of_connector(limits, connector)
        assert len(found) == count == len(wide_limits.of_positions(limits, drawing.positions)), found


def test_a_limit_is_compared_with_what_a_pin_can_do():
    """By hand: pins of 3 mm standing length, 2 and 1.5 mm from their neighbours."""
    drawing = nominal_connector(read_connector(SCENES / "connector_3x9.toml"), "plain", "round")
    first = drawing.positions[0]
    pins = [dataclasses.replace(first, x_mm=x, y_mm=0.0, standing_mm=3.0) for x in (0.0, 1.5, 3.5)]
    assert wide_limits.of_positions({"true_position_mm": 2.0, "retraction_mm": 3.0}, pins) == []
    assert wide_limits.of_positions({"true_position_mm": 0.5, "r1c1.true_position_mm": 2.01}, pins) == [
        "r1c1.true_position_mm=2.01 is more than the pitch, 2 mm, so that hardly any pin exceeds it: limits are in mm "
        "(1 mil is 0.0254 mm)"
    ]
    assert (
        "retraction_mm=4 is more than a pin's standing length, 3 mm"
        in (wide_limits.of_positions({"retraction_mm": 4.0}, pins)[0])
    )
    # Neither is known: a single pin, of a mixture of terminals.
    assert wide_limits.of_positions(IN_MIL, [dataclasses.replace(first, standing_mm=None)]) == []
