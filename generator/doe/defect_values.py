"""The numbers and words of a defect: what is drawn of it, and how the manifest writes it."""

from __future__ import annotations

from collections.abc import Sequence

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.errors import InputError
from generator.dataset.labels import OK
from generator.doe.spec import SIZED, KindSpec, Range, Spec

# What is drawn of a defect, by name: "size" is in times the tolerance, the others are parameters.
Drawn = list[tuple[str, Range | tuple[str, ...]]]
# Sizes this near to the tolerance would fall on either side of it by a good pin's scatter.
_MARGIN = 1e-3


def drawn_of(spec: Spec, label: str, name: str) -> Drawn:
    """What is drawn of a defect: its size first, in times the tolerance, then numbers and words."""
    defect = spec.defects[label]
    drawn: Drawn = []
    if defect.size is not None:
        inside = name == OK
        size = defect.size.part(0.0, 1.0 - _MARGIN) if inside else defect.size.part(1.0 + _MARGIN, 1e9)
        if size.low > size.high:
            side = "below" if inside else "above"
            raise InputError(f"{spec.path.name}: defects.{label}.size: expected sizes {side} 1, got none")
        drawn.append(("size", size))
    return drawn + [(key, value) for key, value in defect.parameters if not isinstance(value, float)]


def defect_text(target: str, spec: KindSpec, drawn: Drawn, shares: Sequence[float], connector: Connector) -> str:
    """A defect as the manifest writes it.

    Args:
        target: what it is at.
        spec: its kind and the numbers that are not drawn.
        drawn: what is.
        shares: of the way through each range, 0 to 1.
        connector: the scene, whose tolerance sizes are times of.
    """
    values: dict[str, str] = {key: f"{value:.10g}" for key, value in spec.parameters if isinstance(value, float)}
    for (key, span), share in zip(drawn, shares, strict=True):
        if isinstance(span, tuple):
            values[key] = span[min(int(share * len(span)), len(span) - 1)]
        elif key == "size":
            sized = SIZED[spec.kind]
            size = span.at(share) * getattr(connector.tolerance, sized.measure) * sized.factor
            values[sized.parameter] = f"{round(size, 3):.10g}"
        else:
            values[key] = f"{span.at(share):.10g}"
    written = ",".join(f"{key}={value}" for key, value in values.items())
    return f"{spec.kind}@{target}" + (f":{written}" if written else "")


def goes_inside(spec: KindSpec) -> bool:
    """Whether a kind can be so small that the part is still good."""
    return spec.size is not None and spec.size.low < 1.0 - _MARGIN
