"""The defect `chipped`: a piece broken out of the rim of the housing."""

from __future__ import annotations

from blender_scripts.contract import draws
from blender_scripts.contract.defect import HOUSING, Defect, Parameter
from blender_scripts.contract.errors import InputError
from blender_scripts.geometry.part import Cut, Flaw, Part
from blender_scripts.kinds.kind import Kind

_STEPS = 15


def _chip(part: Part, defect: Defect) -> Flaw:
    shell = part.connector.shell
    if part.connector.housings[part.housing].cad is not None:
        raise InputError(f"expected {defect.text} at a housing without a CAD mesh, got housing {part.housing}")
    width, depth = defect["size_mm"], defect["depth_mm"]
    if depth > shell.depth_mm:
        raise InputError(
            f"expected depth_mm of at most {shell.depth_mm:g} mm (the shell's depth), got {depth:g} in {defect.text}"
        )
    if width > 0.3 * shell.opening.length_mm:
        raise InputError(
            f"expected size_mm of at most {0.3 * shell.opening.length_mm:.3g} mm (0.3 of the rim's length), "
            f"got {width:g} in {defect.text}"
        )
    middle = shell.opening.towards(defect["azimuth_deg"])
    source = draws.generator(part.seed, "chip", defect.text)
    # A shell-shaped hollow with a ragged floor; its deepest point is depth_mm deep.
    shares = [i / (_STEPS + 1) for i in range(_STEPS + 2)]
    raw = [4.0 * s * (1.0 - s) * (0.9 + 0.2 * source.random()) for s in shares]
    raw[0] = raw[-1] = 0.0
    return Flaw(
        defect,
        cut=Cut(
            tuple(middle + (s - 0.5) * width for s in shares),
            tuple(depth * value / max(raw) for value in raw),
            jag_mm=0.1 * width,
            slant=0.45,
        ),
    )


KIND = Kind(
    "chipped",
    5,
    "a piece has broken out of the housing's rim",
    (
        Parameter("azimuth_deg", 0.0, 360.0, 40.0, "chip's direction from the opening's centre: 0° = +X, 90° = +Y"),
        Parameter("size_mm", 0.3, 50.0, 3.0, "width of the chip, mm, along the rim"),
        Parameter("depth_mm", 0.1, 30.0, 1.5, "depth of the chip, mm, at its deepest point"),
    ),
    targets=(HOUSING,),
    add=_chip,
)
