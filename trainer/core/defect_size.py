"""The size of a defect: the measure that makes its pin NG, which a curve of detection is drawn against.

A bent pin's size is its true position, a retracted one's its retraction. What else makes a pin NG has none: a broken or
protruding pin measures within tolerance, as good pins scatter, or as short and askew as what is left of it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from generator.dataset.rows import ObjectRow

# The measure that makes a pin NG by this kind of defect.
MEASURE_OF = {"bent": "true_position_mm", "retracted": "retraction_mm"}
MEASURES = tuple(MEASURE_OF.values())
# What a class says of the kind, where a dataset of an earlier version does not say the kinds of each object.
KIND_OF = {"BENDNG": "bent", "NUKENG": "retracted"}


def size_of(objects: "Sequence[ObjectRow]", limits: Mapping[str, float]) -> tuple[str, float | None]:
    """Measure and size in mm of a picture's only defect; an empty one and None where it has none, or there are several.

    Args:
        objects: The defects.
        limits: The tolerance, in mm by measure; one that is not known refuses nothing.

    Returns:
        Of a pin that is both bent and retracted the larger of the two.
    """
    if len(objects) != 1 or not objects[0].is_position:
        return "", None
    (defect,) = objects
    kinds = defect.kinds
    if kinds is None:
        kinds = (KIND_OF[defect.category],) if defect.category in KIND_OF else ()
    # What else makes it NG shows in other ways than by a size.
    if not set(kinds) <= set(MEASURE_OF):
        return "", None
    measured = {MEASURE_OF[kind]: getattr(defect, MEASURE_OF[kind]) for kind in kinds}
    sizes = {
        name: float(size)
        for name, size in measured.items()
        if size is not None and size > max(0.0, limits.get(name, 0.0))
    }
    if not sizes:
        return "", None
    name = max(sizes, key=lambda measure: sizes[measure])
    return name, sizes[name]
