"""The defect `crushed`: a pin that was hit on its tip is pressed down, buckled to one side, and blunt."""

from __future__ import annotations

import math
from dataclasses import replace

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Defect, Parameter
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.pin import Bend, Pin
from blender_scripts.kinds.bent import start_of_free_length
from blender_scripts.kinds.kind import Kind

_LARGEST_RAD = math.radians(80.0)
_BLUNT = 0.4
_HALVINGS = 60


def _buckle(pin: Pin, defect: Defect, connector: Connector) -> Pin:
    """Bend the pin in four equal arcs, out, back, over and upright again, so that the tip comes down on its own axis.

    An arc of length l that turns from upright by an angle a rises by l sin(a) / a; all four arcs lose the same height.
    """
    start = start_of_free_length(pin, defect)
    curve = pin.form.length_mm - start - pin.terminal.tip_mm
    depth = defect["depth_mm"]
    most = curve * (1.0 - math.sin(_LARGEST_RAD) / _LARGEST_RAD) if curve > 0.0 else 0.0
    if depth > most:
        raise InputError(
            f"expected depth_mm of at most {max(most, 0.0):.3g} mm, as only {max(curve, 0.0):.3g} mm of the pin can "
            f"buckle (from start_mm to its tapered tip), got {depth:g} in {defect.text}"
        )
    low, angle = 0.0, _LARGEST_RAD
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + angle)
        lost = curve * (1.0 - math.sin(middle) / middle)
        low, angle = (middle, angle) if lost < depth else (low, middle)
    quarter = 0.25 * curve
    bend = Bend(
        math.radians(defect["azimuth_deg"]), start, ((quarter, angle), (2.0 * quarter, -2.0 * angle), (quarter, angle))
    )
    terminal = pin.terminal
    blunt = replace(terminal, tip_share=min(1.0, terminal.tip_share + _BLUNT))
    return replace(pin, form=replace(pin.form, bend=bend, terminal=blunt))


KIND = Kind(
    "crushed",
    7,
    "the tip was pressed down: the pin has buckled to one side and its tip is blunt",
    (
        Parameter("depth_mm", 0.02, 10.0, 0.6, "how much lower the tip stands than a good pin's, mm"),
        Parameter("azimuth_deg", 0.0, 360.0, 0.0, "direction in which the pin buckles: 0° = +X, 90° = +Y"),
        Parameter("start_mm", 0.0, 30.0, 0.3, "height above the cavity floor, mm, from which the pin buckles"),
    ),
    excludes=("bent", "broken"),
    shape=_buckle,
)
