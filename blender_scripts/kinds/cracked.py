"""The defect `cracked`: a crack through a wall of the housing, from the rim downwards."""

from __future__ import annotations

from blender_scripts.contract.defect import HOUSING, Defect, Parameter
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.part import Cut, Flaw, Part
from blender_scripts.kinds.kind import Kind


def _crack(part: Part, defect: Defect) -> Flaw:
    shell = part.connector.shell
    if part.connector.housings[part.housing].cad is not None:
        raise InputError(f"expected {defect.text} at a housing without a CAD mesh, got housing {part.housing}")
    length, width = defect["length_mm"], defect["width_mm"]
    if length > shell.depth_mm:
        raise InputError(
            f"expected length_mm of at most {shell.depth_mm:g} mm (the shell's depth), got {length:g} in {defect.text}"
        )
    middle = shell.opening.towards(defect["azimuth_deg"])
    # The gap's edges are upright for most of its length and meet at its end.
    along = (middle - 0.5 * width, middle - 0.35 * width, middle, middle + 0.35 * width, middle + 0.5 * width)
    return Flaw(defect, cut=Cut(along, (0.0, 0.85 * length, length, 0.85 * length, 0.0), jag_mm=0.3 * shell.wall_mm))


KIND = Kind(
    "cracked",
    5,
    "the housing's wall is cracked from its rim downwards",
    (
        Parameter("azimuth_deg", 0.0, 360.0, 90.0, "crack's direction from the opening's centre: 0° = +X, 90° = +Y"),
        Parameter("length_mm", 0.3, 50.0, 4.0, "length of the crack, mm, from the rim down"),
        Parameter("width_mm", 0.03, 2.0, 0.25, "width of the crack, mm, at the rim"),
    ),
    targets=(HOUSING,),
    add=_crack,
)
