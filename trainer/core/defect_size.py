"""The size of a defect in mm, for the curve of detection probability against size.

The size of a bent pin is its true position, of a retracted pin its retraction, of a protruding pin its protrusion (a
negative retraction). Other defects have no size: the measures of a broken pin are those of its stump.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainer.core.tolerance import limits_at

if TYPE_CHECKING:
    from generator.dataset.rows import ObjectRow

# The measure that is out of tolerance, by kind of defect.
MEASURE_OF = {"bent": "true_position_mm", "retracted": "retraction_mm", "protruding": "protrusion_mm"}
# The kind of defect by class, for datasets of earlier versions without a kind for each object.
KIND_OF = {"BENDNG": "bent", "NUKENG": "retracted"}


def size_of(objects: "Sequence[ObjectRow]", limits: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return the measure that gives the size of a picture's only defect, and this size.

    Args:
        objects: The picture's visible defects.
        limits: The row's tolerance, as its column `tolerance_json` states it; if it is empty, all limits are 0.

    Returns:
        Name of the measure and size in mm; if the pin has several sizes (bent and retracted), those of the larger one.
        "" and None if the picture does not have exactly one defect, the defect has no size above its limit, or one
        of its kinds is not bent, retracted or protruding.
    """
    if len(objects) != 1 or not objects[0].is_position:
        return "", None
    (defect,) = objects
    kinds = defect.kinds
    if kinds is None:
        kinds = (KIND_OF[defect.category],) if defect.category in KIND_OF else ()
    # A pin with another kind of defect too may be found by that one.
    if not set(kinds) <= set(MEASURE_OF):
        return "", None
    own = limits_at(limits, defect.address) if limits else None
    measured = {MEASURE_OF[kind]: getattr(defect, MEASURE_OF[kind]) for kind in kinds}
    sizes = {
        name: float(size)
        for name, size in measured.items()
        if size is not None and size > (0.0 if own is None else getattr(own, name))
    }
    if not sizes:
        return "", None
    name = max(sizes, key=lambda measure: sizes[measure])
    return name, sizes[name]
