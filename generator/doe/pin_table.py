"""Count the pins of a measurement design, which displaces every pin, by kind, class and size of displacement."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from blender_scripts.contract.connector import Connector
from blender_scripts.manifest.make_part import make_part
from blender_scripts.manifest.reader import Manifest
from blender_scripts.manifest.repeats import short_hash
from blender_scripts.manifest.run import Run
from generator.doe.part_class import pin_classes
from generator.doe.spec import PATTERN, PATTERNS

if TYPE_CHECKING:
    import pandas as pd

_TRUE_POSITION, _HEIGHT = "true position / limit", "retraction / limit"
# Edges of the rows of these tables, in multiples of the limit.
EDGES = {
    _TRUE_POSITION: (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0),
    _HEIGHT: (-2.0, -1.0, -0.25, 0.25, 1.0, 2.0, 3.0),
}


def is_measurement(manifest: Manifest) -> bool:
    """Whether a manifest is a measurement design, which displaces every pin: each row's `pattern` is in PATTERNS."""
    return all(run.extra.get(PATTERN) in PATTERNS for run in manifest.runs)


def pin_tables(manifest: Manifest) -> dict[str, pd.DataFrame]:
    """Count the pins of all parts, each part once; returns tables by title, such as `pins by kind`.

    A table has a column per split, and a row per kind, class or range of a measure divided by its limit. Protrusions
    count as negative retractions.
    """
    import numpy as np
    import pandas as pd

    parts = np.fromiter((short_hash(run.scene, run.part) for run in manifest.runs), np.int64)
    is_new = np.zeros(len(parts), bool)
    is_new[np.unique(parts, return_index=True)[1]] = True
    splits: dict[str, None] = {}
    found: dict[str, dict[str | int, Counter[str]]] = {}
    for run, is_first in zip(manifest.runs, is_new.tolist(), strict=True):
        splits[run.split] = None
        if is_first:
            for title, level in _levels(run, manifest.connectors[run.scene]):
                found.setdefault(title, {}).setdefault(level, Counter())[run.split] += 1
    tables = {}
    for title, counts in found.items():
        if title in EDGES:
            numbers = sorted(level for level in counts if isinstance(level, int))
            rows = {_label(EDGES[title], number): counts[number] for number in numbers}
        else:
            names = sorted(map(str, counts))
            rows = {name: counts[name] for name in sorted(names, key=lambda name: -counts[name].total())}
        cells = [[each[split] for split in splits] for each in rows.values()]
        tables[title] = pd.DataFrame(cells, index=list(rows), columns=list(splits))
    return tables


def _label(edges: tuple[float, ...], number: int) -> str:
    """Name the interval below edge `number`."""
    if number == 0:
        return f"below {edges[0]:g}"
    return f"{edges[-1]:g} or more" if number == len(edges) else f"{edges[number - 1]:g} to {edges[number]:g}"


def _levels(run: Run, connector: Connector) -> Iterator[tuple[str, str | int]]:
    """Yield title and level of each pin of a part; measures are multiples of the limits, of protrusions negative."""
    part = make_part(connector, run.housing, run.terminal, run.marking, run.part, run.defects)
    for pin, name in zip(part.pins, pin_classes(part, connector), strict=True):
        limits, measures = connector.tolerance.limits(pin.position.address), pin.measures()
        true_position, retraction = measures["true_position_mm"], measures["retraction_mm"]
        yield "pins by kind", "+".join(sorted(defect.kind for defect in pin.defects)) or "none"
        yield "pins by class", name
        if true_position is not None:
            yield _TRUE_POSITION, bisect_right(EDGES[_TRUE_POSITION], true_position / limits.true_position_mm)
        if retraction is not None:
            limit = limits.retraction_mm if retraction > 0.0 else limits.protrusion_mm
            yield _HEIGHT, bisect_right(EDGES[_HEIGHT], retraction / limit)
