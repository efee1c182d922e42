"""The defect `stained`: tarnish on a pin's plating."""

from __future__ import annotations

from dataclasses import replace

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect, Parameter
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.pin import Pin, Stain
from blender_scripts.kinds.kind import Kind


def _tarnish(pin: Pin, defect: Defect, connector: Connector) -> Pin:
    start = defect["from_mm"]
    if start >= pin.form.length_mm:
        raise InputError(
            f"expected from_mm below {pin.form.length_mm:g} mm (the pin's length), got {start:g} in {defect.text}"
        )
    return replace(pin, stain=Stain(start, defect["length_mm"], defect["strength"]))


KIND = Kind(
    "stained",
    3,
    "the plating is tarnished in patches along part of the pin",
    (
        Parameter("from_mm", 0.0, 30.0, 2.0, "length along the pin, mm, from its foot to the stain"),
        Parameter("length_mm", 0.2, 30.0, 6.0, "length of the stain, mm, along the pin"),
        Parameter("strength", 0.1, 1.0, 0.8, "darkness of the stain's patches: 0 not visible, 1 full"),
    ),
    shape=_tarnish,
)
