"""The kinds of defect, one module each. To add a kind, write a module with a `KIND` and add a line to KINDS.

kind.py defines a kind: its parameters and targets in the manifest, the kinds it excludes at the same pin, and one
function, `shape` (changes a pin) or `add` (adds to the part or takes away). docs/reference/manifest.md lists the
parameters. A direction must be called `azimuth_deg`, a place `x_mm` and `y_mm`: mirrored copies of a picture change
these by name. A new pin surface is also a field in geometry/pin.py, rendered by scene/stage.py and scene/materials.py.
"""

from __future__ import annotations

from blender_scripts.kinds.kind import Kind

from . import (
    bent,
    broken,
    chipped,
    cracked,
    crushed,
    foreign,
    missing,
    print_,
    protruding,
    retracted,
    stained,
    twisted,
    wrong,
)

# In the order in which they change a pin: which terminal, how high it stands, its shape, its surface.
KINDS: dict[str, Kind] = {
    module.KIND.name: module.KIND
    for module in (
        wrong,
        retracted,
        protruding,
        broken,
        bent,
        crushed,
        twisted,
        stained,
        missing,
        foreign,
        cracked,
        chipped,
        print_,
    )
}
