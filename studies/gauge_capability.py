"""Gauge R&R of a trained gauge from repeated pictures: its figures, the sources of its scatter, and tables of both.

A feature is one pin of one part. A nested analysis of variance splits the scatter of the measures into three parts:
that of captures of one placing (noise), that between placings (pose, light, view), and that between features. The
same analysis of the errors (measure minus true value) gives the scatter of the bias that each feature keeps in all its
placings: the network's. A second measurement, with the true pose of each part instead of the pose that the gauge found,
shows how much errors of the pose add to the scatter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from blender_scripts.contract.connector import Connector
from generator.locating.landmarks import pitch_mm
from generator.locating.locate import sight
from generator.locating.measure import measure
from generator.locating.pose import Pose
from studies.tables import table
from trainer.core import adaptation
from trainer.core.errors import InputError
from trainer.core.msa import GaugeRR, linearity, nested_rr, type1
from trainer.gauge.data import read_gauge_data
from trainer.gauge.evaluation import camera_sets, measure_split
from trainer.gauge.figures import true_position
from trainer.gauge.finder import TorchFinder
from trainer.gauge.measuring import AXES, MeasuredCapture, table_of
from trainer.gauge.picture import GaugeData
from trainer.gauge.run import GaugeRun, load_run

FEATURE, VALUE, ERROR = "feature", "value", "error"
QUANTITIES = {"dx": "dx", "dy": "dy", "retraction": "height", "true_position": "true position"}


@dataclass(frozen=True)
class Design:
    """Numbers of `parts`, of placings (`fixtures`) of each part on the station, and of `captures` of each placing.

    `repeats` is the number of captures of one more part, which is placed once (the type 1 study).
    """

    parts: int
    fixtures: int
    captures: int
    repeats: int


@dataclass(frozen=True)
class Capability:
    """Figures of one quantity, measured by one set of cameras; lengths in mm, each scatter a standard deviation.

    Attributes:
        run: name of the run's folder.
        cameras: names of the cameras, joined by "+".
        quantity: a key of `QUANTITIES`.
        width_px: width of the dataset's pictures.
        px_per_mm: scale of the pictures after the run has resampled them.
        features: number of features (one pin of one part) measured.
        tolerance: width of the quantity's tolerance zone.
        slope: slope of the straight line fitted to the found values over the true values; 1 is right.
        bias: mean of found minus true values.
        noise: scatter of the captures of one placing (equipment variation).
        placing: scatter between placings (appraiser variation).
        pose: sqrt(placing² - p²), where p is `placing` measured with the true pose; 0 if p is larger.
        network: scatter between features of the bias that each keeps in all placings.
        grr: `noise` and `placing` together: root of the sum of squares.
        percent: %GRR of the tolerance.
        ndc: number of distinct categories over the tolerance.
        ndc_production: number of distinct categories over the scatter of good parts; None for true position.
        capable_10, capable_30: smallest tolerance whose %GRR is 10 %, and 30 %.
        cg, cgk: capability indices, median over the pins of the type 1 study; None if fewer than half of these pins
            were measured each time.
        bright_slope, bright_percent: `slope` and `percent` if the brightest pixels are taken for the tip, not the
            network's answer; None if too few tips were found.
    """

    run: str
    cameras: str
    quantity: str
    width_px: int
    px_per_mm: float
    features: int
    tolerance: float
    slope: float
    bias: float
    noise: float
    placing: float
    pose: float
    network: float
    grr: float
    percent: float
    ndc: float
    ndc_production: float | None
    capable_10: float
    capable_30: float
    cg: float | None
    cgk: float | None
    bright_slope: float | None
    bright_percent: float | None


def capability(
    model: Path, folder: Path, connector: Connector, terminal: str, width_px: int, design: Design
) -> list[Capability]:
    """Measure the study's dataset with a gauge, by the camera `center` alone and by all cameras together.

    Args:
        model: the gauge's run folder, which its training wrote.
        folder: the dataset's folder, with splits `test` and `test_type1`.
        connector: the dataset's connector; its tolerances and production scatter are used.
        terminal: name of the dataset's terminal.
        width_px: width of the dataset's pictures.
        design: size of the study.

    Returns:
        One `Capability` for each set of cameras and each quantity that these cameras determine.

    Raises:
        InputError: the gauge or the dataset cannot be used, or was adapted to a station, or a part was not located
            in some capture.
    """
    adaptation.refuse(model, "studies.gauge_capability")
    run = load_run(model)
    data = read_gauge_data(folder, run.pitch_px, ("test", "test_type1"))
    found = []
    for cameras in camera_sets(data.splits["test"]):
        if len(cameras) == 1 and cameras != ("center",):
            continue
        measured, pins = measure_split(data.splits["test"], data, run, cameras)
        lost = sum(one.pose is None for one in measured)
        if lost:
            raise InputError(f"{model}: expected to locate the part in every capture, failed in {lost} captures")
        exact = table_of(_at_true_pose(measured, data, run), data)
        _, repeated = measure_split(data.splits["test_type1"], data, run, cameras)
        drawing = next(iter(data.connectors.values()))
        scale = run.pitch_px / pitch_mm(drawing)
        for quantity in (*AXES, "true_position"):
            if quantity == "retraction" and len(cameras) == 1:
                continue
            figures = _figures(quantity, pins, exact, repeated, connector, terminal)
            if figures is not None:
                head = (model.resolve().name, "+".join(cameras), quantity, width_px, scale)
                found.append(Capability(*head, **figures))
    return found


def _at_true_pose(measured: Sequence[MeasuredCapture], data: GaugeData, run: GaugeRun) -> list[MeasuredCapture]:
    finder, factors = TorchFinder(run.network, run.uncertainty.scales), run.factors
    found = []
    for one in measured:
        first = one.capture.pictures[0]
        pose = Pose(first.pose, np.zeros((6, 6)), 1.0, 1.0)
        queries = data.queries[first.key]
        seen = [sight(view, queries, finder, first.pose, np.arange(queries.pins)) for view in one.capture.views]
        looks = {view: found.features for view, found in one.looks.items()}
        pins = measure(seen, queries, pose, factors.correction(looks, first.key))
        found.append(MeasuredCapture(one.capture, pose, pins))
    return found


def _figures(
    quantity: str, pins: pd.DataFrame, exact: pd.DataFrame, repeated: pd.DataFrame, connector: Connector, terminal: str
) -> dict[str, Any] | None:
    """The figures of `Capability` for one quantity; None if the cameras do not determine it."""
    values = features(pins, quantity)
    if values is None:
        return None
    limits = connector.tolerance.limits()
    tolerance = limits.true_position_mm if quantity != "retraction" else limits.retraction_mm + limits.protrusion_mm
    grr = nested_rr(values, part=FEATURE, value=VALUE)
    errors = nested_rr(values, part=FEATURE, value=ERROR)
    at_true_pose = features(exact, quantity)
    without = _without(at_true_pose)
    line = linearity(values["true"].to_numpy(), values[VALUE].to_numpy())
    bright = features(pins, quantity, "bright")
    scatter = production_scatter(connector, terminal, quantity)
    cg, cgk = _type_1(repeated, quantity, tolerance)
    return {
        "features": int(values[FEATURE].nunique()),
        "tolerance": tolerance,
        "slope": 1.0 + line.slope,
        "bias": float(values[ERROR].mean()),
        "noise": grr.repeatability,
        "placing": grr.reproducibility,
        "pose": math.sqrt(max(0.0, grr.reproducibility**2 - without**2)),
        "network": errors.part,
        "grr": grr.grr,
        "percent": grr.percent_of_tolerance(tolerance),
        "ndc": grr.ndc_over(tolerance),
        "ndc_production": None if scatter is None else 1.41 * scatter / grr.grr,
        "capable_10": grr.smallest_tolerance(10.0),
        "capable_30": grr.smallest_tolerance(30.0),
        "cg": cg,
        "cgk": cgk,
        "bright_slope": None
        if bright is None
        else 1.0 + linearity(bright["true"].to_numpy(), bright[VALUE].to_numpy()).slope,
        "bright_percent": None if bright is None else _rr(bright).percent_of_tolerance(tolerance),
    }


def _rr(values: pd.DataFrame) -> GaugeRR:
    return nested_rr(values, part=FEATURE, value=VALUE)


def _without(values: pd.DataFrame | None) -> float:
    """Scatter of placings where the pose is exact."""
    return 0.0 if values is None else _rr(values).reproducibility


def features(pins: pd.DataFrame, quantity: str, source: str = "found") -> pd.DataFrame | None:
    """Select a quantity's measures, for the features (pins of parts) that were measured in every capture.

    Args:
        pins: the table of `measure_split`: one row per pin and capture.
        quantity: a key of `QUANTITIES`.
        source: prefix of the measures' columns: `found` by the network, or `bright` by the brightest pixels.

    Returns:
        Columns `feature` (part/address), `fixture`, `value`, `true` and `error` (value minus true), in mm; None if
        fewer than half of the features were measured in every capture.
    """
    axes = ("dx", "dy") if quantity == "true_position" else (quantity,)
    known = pins.there & (pins.present >= 0.5)
    for axis in axes:
        known &= pins[f"determined_{axis}"] & pins[f"{source}_{axis}"].notna()
    if quantity == "true_position":
        value, true = true_position(pins, source), true_position(pins)
    else:
        value, true = pins[f"{source}_{quantity}"], pins[f"true_{quantity}"]
    names = pins.part.astype(str) + "/" + pins.address
    whole = known.groupby(names).transform("all")
    found = pd.DataFrame({FEATURE: names, "fixture": pins.fixture, VALUE: value, "true": true, ERROR: value - true})[
        whole
    ]
    return found if whole.mean() >= 0.5 else None


def production_scatter(connector: Connector, terminal: str, quantity: str) -> float | None:
    """Return a quantity's standard deviation over good parts, mm; None for true position (not normally distributed)."""
    scatter = connector.scatter
    if quantity == "true_position":
        return None
    if quantity == "retraction":
        return scatter.height_mm
    standing = connector.terminal_at(terminal, connector.positions[0], 0).standing_mm
    return math.hypot(scatter.position_mm, standing * math.tan(math.radians(scatter.tilt_deg)))


def _type_1(repeated: pd.DataFrame, quantity: str, tolerance: float) -> tuple[float | None, float | None]:
    """Median Cg and Cgk of the pins of the part that was captured repeatedly."""
    values = features(repeated, quantity)
    if values is None:
        return None, None
    found = [
        type1(group[VALUE].to_numpy(), float(group["true"].iloc[0]), tolerance) for _, group in values.groupby(FEATURE)
    ]
    return float(np.median([each.cg for each in found])), float(np.median([each.cgk for each in found]))


def tables(found: Sequence[Capability]) -> str:
    """Write two Markdown tables with a row per `Capability`: its capability figures, and the sources of its scatter."""
    order = sorted(
        found, key=lambda each: (each.run, each.width_px, each.cameras, list(QUANTITIES).index(each.quantity))
    )
    head = [*("run", "picture, px", "px/mm used", "cameras", "quantity")]
    heads = [
        [each.run, each.width_px, f"{each.px_per_mm:.1f}", each.cameras.replace("+", " + "), QUANTITIES[each.quantity]]
        for each in order
    ]
    capable = [
        *("slope", "bias, mm", "%GRR", "ndc over tolerance", "ndc over production", "Cg", "Cgk"),
        *("smallest tolerance, %GRR 10", "30", "bright tip: slope", "%GRR"),
    ]
    limiting = ["noise, mm", "placing, mm", "of it pose, mm", "kept bias, mm", "GRR, mm"]
    first = [
        [
            *(f"{each.slope:.3f}", f"{_shown_bias(each):+.3f}", f"{each.percent:.0f} %", f"{each.ndc:.1f}"),
            *(_shown(value) for value in (each.ndc_production, each.cg, each.cgk)),
            *(f"{each.capable_10:.2f} mm", f"{each.capable_30:.2f} mm"),
            *("–" if each.bright_slope is None else f"{each.bright_slope:.3f}",),
            *("–" if each.bright_percent is None else f"{each.bright_percent:.0f} %",),
        ]
        for each in order
    ]
    second = [[f"{value:.4f}" for value in (o.noise, o.placing, o.pose, o.network, o.grr)] for o in order]
    return "\n\n".join(
        table([*head, *names], [[*one, *cells] for one, cells in zip(heads, rows, strict=True)])
        for names, rows in ((capable, first), (limiting, second))
    )


def _shown_bias(one: Capability) -> float:
    """The bias in mm; of the height, which is less where the retraction is more."""
    return -one.bias if one.quantity == "retraction" else one.bias


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
