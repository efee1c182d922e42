"""The defect `broken`: a pin has lost its end; its stump has a fracture face."""

from __future__ import annotations

import math
from dataclasses import replace

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect, Parameter
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.pin import Pin
from blender_scripts.kinds.kind import Kind

_SHORTEST_MM = 0.1


def _break(pin: Pin, defect: Defect, connector: Connector) -> Pin:
    lost = defect["lost_mm"]
    most = pin.form.length_mm - _SHORTEST_MM
    if lost > most:
        raise InputError(
            f"expected lost_mm of at most {most:g} mm for a pin {pin.form.length_mm:g} mm long, "
            f"got {lost:g} in {defect.text}"
        )
    slope, azimuth = math.radians(defect["slope_deg"]), math.radians(defect["azimuth_deg"])
    return replace(pin, form=replace(pin.form, lost_mm=lost, slope_rad=slope, fall_rad=azimuth))


KIND = Kind(
    "broken",
    9,
    "the pin has lost its end and shows a fracture face",
    (
        Parameter("lost_mm", 0.1, 30.0, 3.0, "length, mm, that has broken off the tip"),
        Parameter("slope_deg", 0.0, 60.0, 25.0, "angle, degrees, between the fracture face and a straight cut"),
        Parameter("azimuth_deg", 0.0, 360.0, 0.0, "direction in which the fracture face falls: 0° = +X, 90° = +Y"),
    ),
    excludes=("crushed",),
    shape=_break,
)
