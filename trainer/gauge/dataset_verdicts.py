"""Judge measured parts of a dataset by a tolerance, and state beside each decision what is true."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from blender_scripts.contract.tolerance import Tolerance
from generator.locating.judge import CHARACTERISTICS, HEIGHT, PRESENCE, TRUE_POSITION, judge_part
from generator.verdict.envelope import Verdict
from trainer.core.errors import InputError
from trainer.gauge.figures import true_position
from trainer.gauge.measuring import MeasuredCapture
from trainer.gauge.picture import GaugeData

LIMITS = ("true_position_mm", "retraction_mm", "protrusion_mm")
# Who states millimetres: the gauge, the brightest pixels, and a gauge that always says 0.
GAUGE, BRIGHT, ZERO = SOURCES = ("found", "bright", "zero")


def row_tolerance(row: Mapping[str, Any], asked: Mapping[str, float]) -> Tolerance:
    """Return the tolerance that a row states, some limits replaced by `asked` (mm): see `Tolerance.with_limits`.

    Raises:
        InputError: the row states no tolerance.
    """
    if not row.get("tolerance_json"):
        raise InputError(f"--data: row {row.get('run')}: expected a tolerance (column tolerance_json), got none")
    return Tolerance(**json.loads(str(row["tolerance_json"]))).with_limits(asked)


def judged_of(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the characteristics by which to judge a table of measured pins: presence, true position and height.

    Height is left out unless the views determine it for more than half of the pins.
    """
    fixes = len(table) > 0 and float(table.determined_retraction.mean()) > 0.5
    return CHARACTERISTICS if fixes else (PRESENCE, TRUE_POSITION)


def judge_pins(
    table: pd.DataFrame,
    measured: Sequence[MeasuredCapture],
    data: GaugeData,
    asked: Mapping[str, float],
    judged: Collection[str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Judge every measured pin, and every captured part.

    Three sources measure each pin: the gauge (`found`), the brightest pixels (`bright`), and one that always answers 0
    (`zero`).

    Args:
        table: measured pins of the captures, from `measure_split`.
        measured: the captures, including those that could not be located.
        data: drawings of their connectors.
        asked: limits in mm by name that replace the dataset's.
        judged: characteristics that verdicts cover.

    Returns:
        Two tables.
        - Pins, a row for each row of `table`. Columns: the limits in mm. For each characteristic C: `decision_C`, the
          gauge's decision; `ng_C`, whether the pin is NG in truth; for each source S `S_ng_C`, whether its measure lies
          beyond the limit (uncertainty is ignored). `ng` and `S_ng`: whether that holds for any judged characteristic.
        - Captures, a row for each of `measured`. Columns: part, fixture, scene, housing, terminal, lighting; `runs`,
          the manifest rows of its pictures, joined by ";"; `ng`, whether the part is NG in truth; `verdict`; `S_ng`,
          whether `S_ng` holds for at least one pin.

    Raises:
        InputError: a picture's row states no tolerance.
    """
    limits, decisions, verdicts = [], [], []
    for one in measured:
        first = one.capture.pictures[0]
        tolerance, drawing = row_tolerance(first.row, asked), data.connectors[first.key]
        verdict, entries = Verdict.INVALID, list[dict[str, Any]]()
        if one.pose is not None:
            verdict, _, entries = judge_part(drawing, one.pins, tolerance, judged)
        verdicts.append(str(Verdict.INVALID if one.unlike else verdict))
        decisions += [{} if one.unlike else entry["decisions"] for entry in entries]
        own = [tolerance.limits(position.address) for position in drawing.positions[: len(entries)]]
        limits += [[getattr(each, name) for name in LIMITS] for each in own]
    pins = pd.DataFrame(np.array(limits, float).reshape(-1, 3), index=table.index, columns=LIMITS)
    for name in CHARACTERISTICS:
        pins[f"decision_{name}"] = [each.get(name, "") for each in decisions]
    height = table.true_retraction
    beyond = {
        PRESENCE: ~table.there,
        TRUE_POSITION: table.there & (true_position(table) > pins.true_position_mm),
        HEIGHT: table.there & ((height > pins.retraction_mm) | (-height > pins.protrusion_mm)),
    }
    pins = pins.assign(**{f"ng_{name}": beyond[name] for name in CHARACTERISTICS})
    pins["ng"] = np.logical_or.reduce([beyond[name] for name in judged])
    for source in SOURCES:
        for name, on_side in _sides(table, pins, source).items():
            pins[f"{source}_ng_{name}"] = on_side
        pins[f"{source}_ng"] = np.logical_or.reduce([pins[f"{source}_ng_{name}"] for name in judged])
    return pins, _parts(table, pins, measured, verdicts, data, asked, judged)


def _sides(table: pd.DataFrame, pins: pd.DataFrame, source: str) -> dict[str, pd.Series]:
    """On which side of each characteristic's limits the measures of a source lie: True beyond."""
    never = pd.Series(False, index=table.index)
    if source == ZERO:
        return dict.fromkeys(CHARACTERISTICS, never)
    height = table[f"{source}_retraction"]
    return {
        PRESENCE: table.present < 0.5 if source == GAUGE else never,
        TRUE_POSITION: true_position(table, source) > pins.true_position_mm,
        HEIGHT: (height > pins.retraction_mm) | (-height > pins.protrusion_mm),
    }


def _parts(
    table: pd.DataFrame,
    pins: pd.DataFrame,
    measured: Sequence[MeasuredCapture],
    verdicts: Sequence[str],
    data: GaugeData,
    asked: Mapping[str, float],
    judged: Collection[str],
) -> pd.DataFrame:
    by_capture = pins.groupby(table.capture)
    worst = {name: by_capture[name].any() for name in (f"{source}_ng" for source in SOURCES)}
    return _rows(measured, verdicts, worst, data, asked, judged)


def lost_parts(
    measured: Sequence[MeasuredCapture], data: GaugeData, asked: Mapping[str, float], judged: Collection[str]
) -> pd.DataFrame:
    """Return the second table of `judge_pins` for captures of which none was located: all are INVALID."""
    worst: dict[str, Mapping[int, bool]] = {f"{source}_ng": {} for source in SOURCES}
    return _rows(measured, [str(Verdict.INVALID)] * len(measured), worst, data, asked, judged)


def _rows(
    measured: Sequence[MeasuredCapture],
    verdicts: Sequence[str],
    worst: Mapping[str, Any],
    data: GaugeData,
    asked: Mapping[str, float],
    judged: Collection[str],
) -> pd.DataFrame:
    """Make the table of captures; `worst`: by column, whether it holds for a pin of a capture, by its number."""
    rows = []
    for number, (one, verdict) in enumerate(zip(measured, verdicts, strict=True)):
        first = one.capture.pictures[0]
        facts = {name: first.row.get(name) for name in ("part", "fixture", "scene", "housing", "terminal", "lighting")}
        facts["runs"] = ";".join(str(each.row["run"]) for each in one.capture.pictures)
        facts["ng"] = is_ng(one, data, row_tolerance(first.row, asked), judged)
        facts["verdict"] = verdict
        rows.append({**facts, **{name: bool(found.get(number, False)) for name, found in worst.items()}})
    return pd.DataFrame(rows)


def is_ng(one: MeasuredCapture, data: GaugeData, tolerance: Tolerance, judged: Collection[str]) -> bool:
    """Return whether a part is NG in truth: by a judged characteristic, a pin is missing or beyond the tolerance."""
    first = one.capture.pictures[0]
    for position, each, there in zip(
        data.connectors[first.key].positions, first.objects, first.present.tolist(), strict=True
    ):
        if not there or each is None or each.true_position_mm is None:
            if PRESENCE in judged:
                return True
            continue
        limits, height = tolerance.limits(position.address), each.retraction_mm or 0.0
        if TRUE_POSITION in judged and each.true_position_mm > limits.true_position_mm:
            return True
        if HEIGHT in judged and (height > limits.retraction_mm or -height > limits.protrusion_mm):
            return True
    return False
