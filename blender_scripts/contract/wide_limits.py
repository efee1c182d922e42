"""Limits that hardly any pin exceeds, as a limit in mil is that was taken for mm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from blender_scripts.contract.connector import Connector
from blender_scripts.contract.nominal_position import NominalPosition
from blender_scripts.contract.tolerance import MEASURES


def of_connector(limits: Mapping[str, float], connector: Connector) -> list[str]:
    """Return a text for each measure with a limit that is too wide for a scene's connector.

    Args:
        limits: limits in mm by name, such as `retraction_mm` or `r1c2.retraction_mm`.
        connector: the scene.
    """
    tips = [(each.x_mm, each.y_mm) for each in connector.positions]
    return _texts(limits, tips, max(each.standing_mm for each in connector.terminals.values()))


def of_positions(limits: Mapping[str, float], positions: Sequence[NominalPosition]) -> list[str]:
    """Return a text for each measure with a limit that is too wide for a drawing's pins; arguments as above."""
    lengths = [math.inf if each.standing_mm is None else each.standing_mm for each in positions]
    return _texts(limits, [(each.x_mm, each.y_mm) for each in positions], max(lengths, default=math.inf))


def _texts(limits: Mapping[str, float], tips: Sequence[tuple[float, float]], standing_mm: float) -> list[str]:
    """Return the texts, each on the widest limit of a measure.

    A tip that lies half a pitch aside, midway to its neighbour's place, has a true position of one pitch. A terminal
    that sits lower by its standing length ends at the floor of its cavity.

    Args:
        limits: limits in mm by name.
        tips: nominal (x, y) of the tips, mm.
        standing_mm: largest length of a terminal above the floor of its cavity; infinity: not known.
    """
    nearest = [min((math.dist(tip, each) for each in tips if each != tip), default=math.inf) for tip in tips]
    pitch = max(nearest, default=math.inf)
    texts = []
    for measure in MEASURES:
        own = {name: limit for name, limit in limits.items() if name.rpartition(".")[2] == measure}
        reach, what = (pitch, "the pitch") if measure == MEASURES[0] else (standing_mm, "a pin's standing length")
        name = max(own, key=lambda each: own[each], default="")
        if name and own[name] > reach:
            texts.append(
                f"{name}={own[name]:g} is more than {what}, {reach:g} mm, so that hardly any pin exceeds it: limits "
                "are in mm (1 mil is 0.0254 mm)"
            )
    return texts
