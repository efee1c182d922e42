"""The parameters of a defect: which of them are drawn at random, and their text in the manifest."""

from __future__ import annotations

from collections.abc import Sequence

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.errors import InputError
from generator.dataset.labels import OK
from generator.doe.spec import SIZED, KindSpec, Range, Spec

# Name and range, or words to choose from, of each value that is drawn; "size" is in multiples of the tolerance.
Drawn = list[tuple[str, Range | tuple[str, ...]]]
# Sizes closer to the tolerance (1) than this could end on either side of it by a good pin's scatter.
_MARGIN = 1e-3


def drawn_values(spec: Spec, label: str, name: str) -> Drawn:
    """List the parameters of a defect that are drawn at random, with the range, or the words, to draw from.

    Args:
        spec: the design.
        label: the defect's name in the design's TOML file (SPEC).
        name: class of the picture: for OK, sizes are below the tolerance, for other classes above it.

    Returns:
        (name, range or words) of each parameter; the size comes first, in multiples of the tolerance.

    Raises:
        InputError: the range of sizes in the SPEC has no size on the side of the tolerance that the class needs.
    """
    defect = spec.defects[label]
    drawn: Drawn = []
    if defect.size is not None:
        inside = name == OK
        size = defect.size.part(0.0, 1.0 - _MARGIN) if inside else defect.size.part(1.0 + _MARGIN, 1e9)
        if size.low > size.high:
            side = "below" if inside else "above"
            raise InputError(
                f"{spec.path.name}: defects.{label}.size: expected a range with sizes {side} 1 (1 is the "
                f"tolerance), as pictures of class {name} need them, got a range without such sizes"
            )
        drawn.append(("size", size))
    return drawn + [(key, value) for key, value in defect.parameters if not isinstance(value, float)]


def defect_text(target: str, spec: KindSpec, drawn: Drawn, shares: Sequence[float], connector: Connector) -> str:
    """Return the text of a defect in the manifest, such as bent@r1c1:tip_offset_mm=0.5.

    Args:
        target: an address (r1c1), two addresses (r1c1-r1c2), `housing` or `print`.
        spec: the defect's kind and fixed parameters.
        drawn: the defect's drawn parameters, from `drawn_values`.
        shares: for each drawn parameter, the place in its range, 0 (low) to 1 (high), or in its list of words.
        connector: the scene; sizes are multiples of its tolerance.
    """
    values: dict[str, str] = {key: f"{value:.10g}" for key, value in spec.parameters if isinstance(value, float)}
    for (key, span), share in zip(drawn, shares, strict=True):
        if isinstance(span, tuple):
            values[key] = span[min(int(share * len(span)), len(span) - 1)]
        elif key == "size":
            sized = SIZED[spec.kind]
            size = span.at(share) * getattr(connector.tolerance.limits(target), sized.measure) * sized.factor
            values[sized.parameter] = f"{round(size, 3):.10g}"
        else:
            values[key] = f"{span.at(share):.10g}"
    written = ",".join(f"{key}={value}" for key, value in values.items())
    return f"{spec.kind}@{target}" + (f":{written}" if written else "")


def fits_tolerance(spec: KindSpec) -> bool:
    """Whether the sizes of a kind of defect begin below the tolerance, so that some parts that have it are still OK."""
    return spec.size is not None and spec.size.low < 1.0 - _MARGIN
