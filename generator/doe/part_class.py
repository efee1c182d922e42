"""The class that a part will have when it is rendered: from where its pins stand, before anything is."""

from __future__ import annotations

from blender_scripts.contract.connector import Connector
from blender_scripts.geometry.part import Part
from blender_scripts.manifest.defects import worst_kind
from generator.dataset.labels import OTHERNG, Tolerance, judge, worst_class


def part_class(part: Part, connector: Connector) -> str:
    """One of labels.CLASSES, by the scene's own tolerance."""
    tolerance = Tolerance(connector.tolerance.true_position_mm, connector.tolerance.retraction_mm)
    categories = [
        judge(
            {
                "kind": worst_kind(pin.defects),
                "defects": [defect.text for defect in pin.defects],
                **pin.measures(),
            },
            tolerance,
        )[0]
        for pin in part.pins
    ]
    return worst_class([*categories, *(OTHERNG for _ in part.flaws)])
