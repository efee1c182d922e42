"""The defect `protruding`: a terminal that was pushed in too far and stands higher than nominal."""

from __future__ import annotations

from dataclasses import replace

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect, Parameter
from blender_scripts.geometry.pin import Pin
from blender_scripts.kinds.kind import Kind


def _raise(pin: Pin, defect: Defect, connector: Connector) -> Pin:
    height = defect["height_mm"]
    x, y, z = pin.root_mm
    form = replace(pin.form, buried_mm=pin.form.buried_mm + height)
    return replace(pin, root_mm=(x, y, z + height), lowered_mm=-height, form=form)


KIND = Kind(
    "protruding",
    6,
    "the terminal was pushed in too far: it stands higher than nominal",
    (Parameter("height_mm", 0.02, 10.0, 1.2, "how much higher than nominal the terminal sits, mm"),),
    excludes=("retracted",),
    shape=_raise,
)
