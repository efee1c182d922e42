"""The defect `twisted`: a blade or a square pin turned about its own centre line."""

from __future__ import annotations

import math
from dataclasses import replace

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect, Parameter
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.pin import Pin
from blender_scripts.kinds.kind import Kind


def _twist(pin: Pin, defect: Defect, connector: Connector) -> Pin:
    if pin.terminal.section == "round":
        raise InputError(
            f"expected {defect.text} at a terminal that is not round, got the terminal {pin.terminal.name}"
        )
    return replace(pin, form=replace(pin.form, twist_rad=math.radians(defect["angle_deg"])))


KIND = Kind(
    "twisted",
    4,
    "the pin is turned about its centre line, evenly from its foot to its tip",
    (Parameter("angle_deg", 2.0, 180.0, 35.0, "twist from foot to tip, degrees, counter-clockwise seen from above"),),
    shape=_twist,
)
