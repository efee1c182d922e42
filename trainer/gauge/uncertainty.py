"""Calibrate the gauge: find slopes and biases of its measures, and factors with which U (k = 2) covers 95 % of errors.

The pictures are those of validation. The limits beyond which a part counts as not located are learned from them too.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

import numpy as np

from blender_scripts.contract.nominal_position import NominalPosition
from generator.dataset.rows import ObjectRow
from generator.locating.bias import PartBiases, mean_errors, name_of
from generator.locating.factors import FEWEST, Factors, ValidationErrors, by_axis, factor
from generator.locating.fit import FitLimits
from generator.locating.measure import measure, sag_deviation_mm
from generator.verdict.conformity import COVERAGE_FACTOR
from trainer.gauge.bends import sag_deviation
from trainer.gauge.finder import TorchFinder
from trainer.gauge.measuring import AXES, Capture, MeasuredCapture, captures_of, measure_captures, some_of, table_of
from trainer.gauge.network import GaugeNetwork
from trainer.gauge.picture import GaugeData
from trainer.gauge.run import Triple, Uncertainty

# 95 % of a standard normal variable lie within this, and of the distance of two.
_ONE, _TWO = 1.96, 2.4477
# Captures of one view and of all views used here, at most.
_CAPTURES = 60
# Fewer displaced tips than this give no slope.
_FEWEST = 100
# Limits of a slope.
_SLOPES = 0.9, 1.1
# Of pins whose bend makes their height less certain than this share of what the tip does, errors show the tip's U.
_BENT = 1.0


def learn_uncertainty(
    network: GaugeNetwork, data: GaugeData, split: str = "validation"
) -> tuple[Uncertainty, ValidationErrors]:
    """Find slopes of the measures, factors on standard deviations, and limits beyond which a part is not located.

    They are learned from `split`, on which the network was not trained: at most 60 captures by all views together, and
    60 pictures by each camera alone. Also returns biases, and the errors of parts that several views measured together,
    each without the bias that the other parts show.
    """
    pictures = data.splits[split]
    together = some_of(captures_of(pictures), _CAPTURES)
    has_several = any(len(each.pictures) > 1 for each in together)
    cameras = sorted({str(each.row["camera"]) for each in pictures})
    alone = [one for each in cameras for one in some_of(captures_of(pictures, [each]), _CAPTURES) if has_several]
    measured = measure_captures([*together, *alone], data, TorchFinder(network))
    edge = factor(_pose_errors(measured), _ONE)
    tip, foot = (factor(each, _TWO) for each in _point_errors(measured))
    found = Uncertainty(tip, foot, edge)
    measured = measure_captures([*together, *alone], data, TorchFinder(network, found.scales))
    fit = FitLimits.of([each for one in measured for each in one.fits.values()])
    slopes = slopes_of(measured[: len(together)], data)
    sag = sag_deviation(data, [*data.splits.get("train", ()), *pictures])
    known = Factors(slopes=slopes, sag=sag)
    measured, biases = _without_bias([_with(known, one, data) for one in measured], data, alone)
    several, single = measured[: len(together)], measured[len(together) :] or measured
    sizes = _sizes(several, data, sag)
    errors, parts = _errors(several, sizes)
    errors = replace(errors, biases=biases)
    pooled = _factors_in_mm(_sizes(single, data, sag))
    by_camera = {each: _sizes([one for one in single if _camera(one) == each], data, sag) for each in cameras}
    found = replace(
        found,
        slopes=slopes,
        sag=sag,
        together=_factors_in_mm(sizes),
        alone={"": pooled, **{each: _factors_in_mm(those, pooled) for each, those in by_camera.items()}},
        widening=_triple(errors.widening(parts)),
        **asdict(fit),
    )
    return found, errors


def slopes_of(measured: Sequence[MeasuredCapture], data: GaugeData) -> dict[str, float]:
    """Fit straight lines through zero to found over true dx and dy, for each terminal and ("") for all together.

    Tips whose end leans are used, as arcs and kinks leave it. In a picture, a displaced tip looks the same whether its
    end leans or, after an S-bend, stands upright again; but it is found 2 % nearer to its nominal place if it leans.
    So S-bends, which production shows less often, do not count here. Terminals with less than 100 such tips get no
    slope; a slope lies between 0.9 and 1.1, as no correction can repair a network that has learned too little.
    """
    found = dict[str, list[np.ndarray]]()
    for one in measured:
        first = one.capture.pictures[0]
        for pin, truth, position in zip(one.pins, first.objects, data.connectors[first.key].positions, strict=False):
            if truth is not None and _leans(truth, position) and pin.determined[:2].all():
                true = np.array([truth.dx_mm, truth.dy_mm])
                weights = np.array([true @ pin.offsets_mm[:2], true @ true]) / np.trace(pin.covariance[:2, :2])
                for name in ("", first.key[2]):
                    found.setdefault(name, []).append(weights)
    sums = {name: np.sum(each, axis=0) for name, each in found.items() if len(each) >= _FEWEST}
    return {name: float(np.clip(products / squares, *_SLOPES)) for name, (products, squares) in sums.items()}


def _leans(truth: ObjectRow, position: NominalPosition) -> bool:
    """Whether a pin's end leans by more than half of what its tip's displacement would make a straight pin lean."""
    if not truth.tilt_deg or not truth.true_position_mm:
        return False
    return math.tan(math.radians(truth.tilt_deg)) * (position.standing_mm or 0.0) > 0.25 * truth.true_position_mm


def _with(known: Factors, one: MeasuredCapture, data: GaugeData) -> MeasuredCapture:
    """The capture, its pins measured again with what is known: slopes of the terminals, and how bends lower tips."""
    if one.pose is None:
        return one
    key = one.capture.pictures[0].key
    return replace(one, pins=measure(one.seen, data.queries[key], one.pose, known.correction({}, key)))


def _without_bias(
    measured: Sequence[MeasuredCapture], data: GaugeData, alone: Sequence[Capture]
) -> tuple[list[MeasuredCapture], dict[str, PartBiases]]:
    """Subtract from each capture's measures the bias that the other ones show; also returns the biases, by views.

    `alone`: the captures, last in `measured`, of one view each; if there are any, single views of others show no bias,
    as their pictures may be among these.
    """
    found, biases = list(measured), dict[str, PartBiases]()
    groups = dict[str, list[int]]()
    for index, one in enumerate(measured):
        shows = len(one.looks) > 1 or index >= len(measured) - len(alone) or not alone
        if one.pose is not None and shows and len(_features(one)) == len(one.looks):
            groups.setdefault(name_of(one.looks), []).append(index)
    for name, indices in groups.items():
        shown = [_features(measured[index]) for index in indices]
        features = {view: np.stack([each[view] for each in shown]) for view in shown[0]}
        keys = [measured[index].capture.pictures[0].key for index in indices]
        signed = [_signed_errors(measured[index], data) for index in indices]
        terminals, parts = [(scene, terminal) for scene, _, terminal in keys], _parts([measured[i] for i in indices])
        means = np.stack([mean_errors(*each) for each in signed])
        group = PartBiases.of(features, terminals, parts, means)
        left = group.left_out()
        before = by_axis(np.concatenate([np.abs(off) / by for off, by in signed]))
        after = by_axis(np.concatenate([np.abs(off - b) / by for (off, by), b in zip(signed, left, strict=True)]))
        biases[name] = replace(group, enlarged=np.maximum(1.0, before / after))
        for index, bias in zip(indices, left, strict=True):
            pins = [replace(pin, offsets_mm=pin.offsets_mm - bias) for pin in measured[index].pins]
            found[index] = replace(measured[index], pins=pins)
    return found, biases


def _parts(measured: Sequence[MeasuredCapture]) -> np.ndarray:
    """Number (P,) of the part in each capture: captures of the same part have the same number."""
    rows = [one.capture.pictures[0].row for one in measured]
    names = [(row.get("scene"), row.get("part") or f"capture {index}") for index, row in enumerate(rows)]
    return np.array([names.index(each) for each in names], int)


def _features(one: MeasuredCapture) -> dict[str, np.ndarray]:
    """The network's features of a part, by view, of the views in which it gives some."""
    return {view: each.features for view, each in one.looks.items() if each.features is not None}


def _signed_errors(one: MeasuredCapture, data: GaugeData) -> tuple[np.ndarray, np.ndarray]:
    """Errors (N, 3) of dx, dy and retraction of the pins, mm (NaN: not measured), and their standard deviations."""
    table = table_of([one], data)
    deviations = np.stack([table[f"sigma_{axis}"] for axis in AXES], axis=1)
    known = [table.there & table[f"determined_{axis}"] for axis in AXES]
    errors = [table[f"found_{axis}"] - table[f"true_{axis}"] for axis in AXES]
    return np.where(np.stack(known, axis=1), np.stack(errors, axis=1), np.nan), deviations


def _sizes(measured: Sequence[MeasuredCapture], data: GaugeData, sag: float) -> list[np.ndarray]:
    """For each located part, sizes (N, 3) of its pins' errors in the standard deviations that a factor multiplies.

    NaN: not measured. A factor on the retraction multiplies the standard deviation of the tip's depth, not that of how
    far the bend lowers the tip, so that it cannot make good for S-bends. Therefore pins show it that are bent little,
    with what their errors have beyond U of the bend.
    """
    found = []
    for one in measured:
        if one.pins:
            errors, deviations = _signed_errors(one, data)
            shape = _of_shape(one, data, sag)
            tips = np.sqrt(np.maximum(np.square(deviations) - np.square(shape), 0.0))
            beyond = np.sqrt(np.maximum(np.square(errors) - np.square(COVERAGE_FACTOR * shape), 0.0))
            found.append(np.where(shape <= _BENT * tips, beyond / tips, np.nan))
    return found


def _of_shape(one: MeasuredCapture, data: GaugeData, sag: float) -> np.ndarray:
    """Standard deviations (N, 3) of dx, dy and retraction of which the unknown shapes of bends are the reason, mm."""
    queries = data.queries[one.capture.pictures[0].key]
    lengths = (queries.marks - queries.besides)[: len(one.pins), 2]
    of_shape = [sag_deviation_mm(pin.bend_mm, length, sag) for pin, length in zip(one.pins, lengths, strict=True)]
    return np.stack([np.zeros(len(of_shape)), np.zeros(len(of_shape)), np.array(of_shape)], axis=1)


def _factors_in_mm(sizes: Sequence[np.ndarray], otherwise: Sequence[float] | None = None) -> Triple:
    """The factors on the standard deviations of dx, dy and retraction, by which U (k = 2) covers 95 %.

    Measures with fewer than `FEWEST` errors get the factors `otherwise`, if given.
    """
    whole = np.concatenate([np.zeros((0, 3)), *sizes])
    found = by_axis(whole)
    if otherwise is not None:
        found = np.where(np.isfinite(whole).sum(axis=0) >= FEWEST, found, otherwise)
    return _triple(found)


def _triple(values: Iterable[float]) -> Triple:
    dx, dy, retraction = map(float, values)
    return dx, dy, retraction


def _camera(one: MeasuredCapture) -> str:
    return str(one.capture.pictures[0].row["camera"])


def _errors(measured: Sequence[MeasuredCapture], sizes: Sequence[np.ndarray]) -> tuple[ValidationErrors, np.ndarray]:
    """The errors of parts measured by the same views together, several; none without such parts or their features.

    Also returns the parts' numbers (P,), from `_parts`.

    Args:
        measured: captures, of which those of most views are used.
        sizes: what `_sizes` returned for these captures.
    """
    located = [one for one in measured if one.pose is not None]
    views = max((tuple(one.looks) for one in located), key=len, default=())
    kept, features, chosen = list[np.ndarray](), list[list[np.ndarray]](), list[MeasuredCapture]()
    for one, own in zip(located, sizes, strict=True):
        known = list(_features(one).values())
        if tuple(one.looks) == views and len(known) == len(views):
            kept.append(own)
            chosen.append(one)
            features.append(known)
    if len(views) < 2 or not kept:
        return ValidationErrors({}, np.zeros((0, 0, 3))), np.zeros(0, int)
    whole = np.full((len(kept), max(map(len, kept)), 3), np.nan)
    for row, own in zip(whole, kept, strict=True):
        row[: len(own)] = own
    by_view = zip(*features, strict=True)
    shown = {view: np.stack(each) for view, each in zip(views, by_view, strict=True)}
    return ValidationErrors(shown, whole), _parts(chosen)


def _pose_errors(measured: Sequence[MeasuredCapture]) -> np.ndarray:
    """Errors of the part's place along X and Y, in stated standard deviations."""
    found = []
    for one in measured:
        if one.pose is not None:
            off = one.pose.matrix[:2, 3] - one.capture.pictures[0].pose[:2, 3]
            found.append(np.abs(off) / np.sqrt(np.diag(one.pose.covariance)[3:5]))
    return np.concatenate(found) if found else np.zeros(0)


def _point_errors(measured: Sequence[MeasuredCapture]) -> tuple[np.ndarray, np.ndarray]:
    """Distances of found from true tips and feet, in stated standard deviations, in single pictures."""
    found: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for one in measured:
        for picture, seen in zip(one.capture.pictures, one.seen, strict=bool(one.seen)):
            for end in (0, 1):
                there = np.flatnonzero(picture.present & seen.sees(end))
                off = seen.found.points[there, end] - picture.points[there, end]
                inverse = np.linalg.inv(seen.found.covariances[there, end])
                found[end].append(np.sqrt(np.einsum("ni,nij,nj->n", off, inverse, off)))
    first, second = (np.concatenate(each) if each else np.zeros(0) for each in found)
    return first, second
