"""Compute the class of a part from the positions of its pins, before it is rendered."""

from __future__ import annotations

from collections.abc import Sequence

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.clearance import collisions
from blender_scripts.geometry.part import Part
from blender_scripts.manifest.defects import parse_defects, worst_kind
from blender_scripts.manifest.make_part import make_part
from generator.dataset.labels import OTHERNG, judge, worst_class


def part_class(part: Part, connector: Connector) -> str:
    """Return the class of a part: the first of NUKENG, BENDNG, OTHERNG, OK that one of its pins or flaws has.

    Pins are judged by the tolerance of `connector`; flaws (a foreign body, a crack, wrong print) are OTHERNG.
    """
    return worst_class([*pin_classes(part, connector), *(OTHERNG for _ in part.flaws)])


def pin_classes(part: Part, connector: Connector) -> list[str]:
    """Return the class of each pin (such as BENDNG) in the order of `part.pins`, by the tolerance of `connector`."""
    return [
        judge(
            {
                "address": pin.position.address,
                "kind": worst_kind(pin.defects),
                "defects": [defect.text for defect in pin.defects],
                **pin.measures(),
            },
            connector.tolerance,
        )[0]
        for pin in part.pins
    ]


def rejection(wanted: str, variant: Sequence[str], texts: Sequence[str], part: int, connector: Connector) -> str | None:
    """Return why a part with these defects cannot be used (not allowed, pins collide, another class); None if it can.

    Args:
        wanted: the planned class.
        variant: names of the scene, the housing, the terminal and the marking.
        texts: the part's defects in the manifest's form, such as bent@r1c1:tip_offset_mm=0.5.
        part: the part's number, which seeds the manufacturing scatter of its pins.
        connector: the scene.
    """
    _, housing, terminal, marking = variant
    defects, problems = parse_defects(";".join(texts))
    if problems:
        return problems[0]
    try:
        made = make_part(connector, housing, terminal, marking, part, defects)
        problems = collisions(connector, housing, made.pins)
    except InputError as error:
        problems = list(error.problems)
    if problems:
        return problems[0]
    got = part_class(made, connector)
    return None if got == wanted else f"expected class {wanted}, got {got} with {';'.join(texts) or 'no defect'}"
