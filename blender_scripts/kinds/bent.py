"""The defect `bent`: a pin that curves above the cavity floor and keeps its length. Its shapes:

arc       one bend, `curve_mm` long; above it the pin is straight
kink      one sharp bend, by default with an inner radius of a quarter of the pin's thickness
s_bend    two equal bends, out and back, so that the tip stands aside, parallel to the axis
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.defect import Choice, Defect, Parameter
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.pin import Bend, Pin
from blender_scripts.kinds.kind import Kind

_STEEPEST_RAD = math.radians(85.0)
_HALVINGS = 60
# Radius of a kink's centre line, in thicknesses of the pin.
_KINK_RADIUS = 0.75


def start_of_free_length(pin: Pin, defect: Defect) -> float:
    """Convert a defect's `start_mm`, a height above the cavity floor, to a length along the pin's centre line.

    The length counts from the origin of the pin's frame, the point that lies on the cavity floor in a good pin. In a
    lowered terminal this point lies below the floor, and the result is larger than `start_mm` by that depth. In a
    raised terminal the result equals `start_mm`, and the bend begins higher above the floor.

    Args:
        pin: the pin before it is bent.
        defect: a defect with the parameter `start_mm`.

    Returns:
        The length, mm, at which the bend begins.

    Raises:
        InputError: the pin's tip is not higher than `start_mm` above the floor.
    """
    depth = max(0.0, pin.lowered_mm)
    start = defect["start_mm"] + depth
    if start >= pin.form.length_mm:
        raise InputError(
            f"expected start_mm below {pin.form.length_mm - depth:g} mm (the pin's length above the cavity floor), "
            f"got {defect['start_mm']:g} in {defect.text}"
        )
    return start


@dataclass(frozen=True)
class _Plan:
    """All of a pin's bend except its angle. `curve_mm` is None for a kink, whose curve grows with the angle."""

    azimuth_rad: float
    start_mm: float
    curve_mm: float | None
    half_mm: float
    length_mm: float
    shape: str

    def bend(self, angle_rad: float) -> Bend:
        """Make the bend whose first arc turns the pin by `angle_rad`."""
        rest = self.length_mm - self.start_mm
        curve = 2.0 * _KINK_RADIUS * self.half_mm * angle_rad if self.curve_mm is None else self.curve_mm
        if self.shape == "s_bend":
            curve = min(curve, 0.5 * rest)
            return Bend(self.azimuth_rad, self.start_mm, ((curve, angle_rad), (curve, -angle_rad)))
        return Bend.single(angle_rad, self.azimuth_rad, self.start_mm, min(curve, rest))

    def tip_mm(self, angle_rad: float) -> float:
        """Sideways distance, mm, from the unbent axis to the tip, if the first arc turns the pin by `angle_rad`."""
        return math.hypot(*self.bend(angle_rad).point(self.length_mm)[:2])


@lru_cache(maxsize=1 << 15)
def _angle_of(plan: _Plan, tip_mm: float) -> float:
    """The angle, rad, at which the tip travels `tip_mm`. Every picture of a part and every check needs it again."""
    low, angle = 0.0, _STEEPEST_RAD
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + angle)
        low, angle = (middle, angle) if plan.tip_mm(middle) < tip_mm else (low, middle)
    return angle


def _bend(pin: Pin, defect: Defect, connector: Connector) -> Pin:
    length = pin.form.length_mm
    start = start_of_free_length(pin, defect)
    azimuth = math.radians(defect["azimuth_deg"])
    half, shape = pin.terminal.half_towards(azimuth), defect.word("shape")
    plan = _Plan(azimuth, start, defect.get("curve_mm"), half, length, shape)
    tilt, wanted = defect.get("tilt_deg"), defect.get("tip_offset_mm")
    if tilt is not None:
        angle = math.radians(tilt)
    else:
        assert wanted is not None
        if wanted > plan.tip_mm(_STEEPEST_RAD):
            raise InputError(
                f"expected tip_offset_mm of at most {plan.tip_mm(_STEEPEST_RAD):.3g} mm for a pin {length:g} mm long, "
                f"got {wanted:g} in {defect.text}"
            )
        angle = _angle_of(plan, wanted)
    bent = plan.bend(angle)
    if shape != "arc" and bent.arcs[0][0] < half * angle:
        # The inner side would have a negative radius and cut into itself.
        raise InputError(
            f"expected an arc of at least {half * angle:.3g} mm for a bend of {math.degrees(angle):.3g} degrees in a "
            f"pin {2.0 * half:.3g} mm thick, got {bent.arcs[0][0]:.3g} mm in {defect.text}"
        )
    return replace(pin, form=replace(pin.form, bend=bent))


KIND = Kind(
    "bent",
    11,
    "the pin curves above the cavity floor; its foot stays in place, and its length is kept",
    (
        Parameter("tilt_deg", 0.1, 60.0, 12.0, "lean of the pin above its first bend, degrees from the unbent axis"),
        Parameter("tip_offset_mm", 0.02, 30.0, None, "how far the tip moves sideways, mm", instead_of="tilt_deg"),
        Parameter("azimuth_deg", 0.0, 360.0, 0.0, "direction in which the tip moves: 0° = +X, 90° = +Y"),
        Parameter("start_mm", 0.0, 30.0, 0.3, "height above the cavity floor, mm, at which the bend begins"),
        Parameter(
            *("curve_mm", 0.0, 30.0, 1.8, "length of the curved part, mm; of an S-bend: of each of its two bends"),
            no_default_with=("kink",),
        ),
        Choice("shape", ("arc", "kink", "s_bend"), "arc", "arc: one bend; kink: one sharp bend; s_bend: out and back"),
    ),
    excludes=("crushed",),
    shape=_bend,
)
