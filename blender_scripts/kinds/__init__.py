"""The kinds of defect, one module each. To add a kind, write a module with a `KIND` and add a line to KINDS.

kind.py defines a kind: its parameters and targets in the manifest, the kinds it excludes at the same pin, and one
function, `shape` (changes a pin) or `add` (adds to the part or removes from it). docs/reference/manifest.md lists the
parameters. A parameter for a direction must be called `azimuth_deg`, those for a place `x_mm` and `y_mm`: where
augmentation mirrors a picture, it mirrors these parameters by name. A kind that changes a pin's surface also needs a
field in geometry/pin.py, which scene/stage.py and scene/materials.py render.
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
