"""The defect `retracted`: a terminal that was not fully inserted, or has backed out of its cavity."""

from __future__ import annotations

from dataclasses import replace

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect, Parameter
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.pin import Pin
from blender_scripts.kinds.kind import Kind


def _lower(pin: Pin, defect: Defect, connector: Connector) -> Pin:
    depth = defect["depth_mm"]
    if depth > connector.cavity.depth_mm:
        expected = f"expected depth_mm of at most {connector.cavity.depth_mm:g} mm (the cavity's depth)"
        raise InputError(f"{expected}, got {depth:g} in {defect.text}")
    x, y, z = pin.root_mm
    return replace(pin, root_mm=(x, y, z - depth), lowered_mm=depth)


KIND = Kind(
    "retracted",
    12,
    "the terminal has backed out of its cavity: it stands lower than nominal",
    (Parameter("depth_mm", 0.02, 30.0, 1.5, "how much lower than nominal the terminal sits, mm"),),
    excludes=("protruding",),
    shape=_lower,
)
