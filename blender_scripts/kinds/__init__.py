"""The kinds of defect, one module each. A new kind is a module with a `KIND`, and one line of KINDS.

kind.py says what a kind is: its parameters and targets in the manifest, what it excludes at the same pin, and one
function, `shape` (changes a pin) or `add` (adds to the part or takes away).
docs/reference/manifest.md lists what each takes.
A direction is called `azimuth_deg`, a place `x_mm` and `y_mm`: copies of pictures mirror them by these names. A surface
that no pin has yet is a field of geometry/pin.py too, which scene/stage.py and scene/materials.py show.
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
