"""Count the pins of a measurement design, which displaces every pin, by kind, class and size of displacement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blender_scripts.contract.connector import Connector
from blender_scripts.manifest.make_part import make_part
from blender_scripts.manifest.reader import Manifest
from blender_scripts.manifest.run import Run
from generator.doe.part_class import pin_classes
from generator.doe.spec import PATTERN, PATTERNS

if TYPE_CHECKING:
    import pandas as pd

# Edges of the tables' rows, in multiples of the limit.
_TRUE_POSITION = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
_HEIGHT = (-2.0, -1.0, -0.25, 0.25, 1.0, 2.0, 3.0)


def is_measurement(manifest: Manifest) -> bool:
    """Whether a manifest is a measurement design, which displaces every pin: each row's `pattern` is in PATTERNS."""
    return all(run.extra.get(PATTERN) in PATTERNS for run in manifest.runs)


def pin_tables(manifest: Manifest) -> dict[str, pd.DataFrame]:
    """Count the pins of all parts, each part once; returns tables by title, such as `pins by kind`.

    A table has a column per split, and a row per kind, class or range of a measure in multiples of its limit.
    """
    import pandas as pd

    parts = {(run.scene, run.part): run for run in manifest.runs}
    pins = pd.DataFrame([pin for run in parts.values() for pin in _pins(run, manifest.connectors[run.scene])])
    splits = list(dict.fromkeys(run.split for run in manifest.runs))
    columns = {
        "pins by kind": pins["kind"],
        "pins by class": pins["class"],
        "true position / limit": pd.cut(pins["true_position"], [*_TRUE_POSITION, float("inf")], right=False),
        "retraction / limit": pd.cut(pins["retraction"], [-float("inf"), *_HEIGHT, float("inf")], right=False),
    }
    tables = {}
    for title, levels in columns.items():
        counts = pd.crosstab(levels, pins["split"]).reindex(columns=splits, fill_value=0)
        if isinstance(levels.dtype, pd.CategoricalDtype):
            counts.index = pd.Index([_label(interval) for interval in counts.index])
        else:
            counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
        tables[title] = counts
    return tables


def _label(interval: pd.Interval[float]) -> str:
    if interval.left == -float("inf"):
        return f"below {interval.right:g}"
    if interval.right == float("inf"):
        return f"{interval.left:g} or more"
    return f"{interval.left:g} to {interval.right:g}"


def _pins(run: Run, connector: Connector) -> list[dict[str, str | float | None]]:
    """The pins of a part: split, kind, class and measures in multiples of the limits; a protrusion is negative."""
    part = make_part(connector, run.housing, run.terminal, run.marking, run.part, run.defects)
    found = []
    for pin, name in zip(part.pins, pin_classes(part, connector), strict=True):
        limits, measures = connector.tolerance.limits(pin.position.address), pin.measures()
        true_position, retraction = measures["true_position_mm"], measures["retraction_mm"]
        row: dict[str, str | float | None] = {
            "split": run.split,
            "kind": "+".join(sorted(defect.kind for defect in pin.defects)) or "none",
            "class": name,
            "true_position": None if true_position is None else true_position / limits.true_position_mm,
        }
        if retraction is not None:
            row["retraction"] = retraction / (limits.retraction_mm if retraction > 0.0 else limits.protrusion_mm)
        found.append(row)
    return found
