"""Adapt a gauge's run to a station by photographs of good parts, for `trainer.adapt`; makes a new run.

1. A change of the pictures is fitted to the photographs (`trainer.core.picture_transform`), towards the training
   renders under the light that is most like the station's, and used only if it helps (`trainer.gauge.station_parts`).
2. Limits of picture quality and of looks are widened for the good parts, by at most half.
3. U is enlarged where the measures of good parts scatter more than it says (`trainer.gauge.station_uncertainty`).
4. The good parts are judged by the new run: its false alarms.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from blender_scripts.contract.tolerance import Limits
from generator.io.checksum import sha256_of
from generator.locating import factors, likeness
from generator.locating.gauge import inspect_part
from generator.locating.measure import MeasuredPin
from trainer.core import adaptation, run_folder
from trainer.core.adaptation_page import false_alarms
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.picture_transform import PictureStatistics, PictureTransform
from trainer.core.run_folder import CONFIG, SUMMARY
from trainer.core.training_looks import check_data, open_photographs, renders_by_light, view_facts
from trainer.gauge import prediction, station_uncertainty, tip_height
from trainer.gauge.finish import DISPLACED
from trainer.gauge.gates import FOLDER as GATES_FOLDER
from trainer.gauge.prediction import CONNECTORS, Bench
from trainer.gauge.reference import Reference
from trainer.gauge.reference_file import read_reference
from trainer.gauge.run import factors_of, load_config, load_run, save_uncertainty, tie
from trainer.gauge.station_parts import Candidate, Pictures, SeenPart, at_scale, candidates, changed, see, widened

# Files of a run that an adapted one keeps as they are. The training's results stay behind: they do not hold for it.
_KEPT = (CONFIG, CONNECTORS, factors.FILE, likeness.FILE, GATES_FOLDER)

_SEVERAL = "several views"


@dataclass(frozen=True)
class GaugeAdaptationOptions(adaptation.AdaptationOptions):
    """Options of an adaptation; `photos` are of good parts, and of the parts of `reference`.

    Attributes:
        options: names of the part and of the photographs' camera.
        scatter_mm: standard deviation of good pins in production along x, y and z.
        reference: CSV file with measures of photographed parts; None: none.
    """

    options: prediction.Options
    scatter_mm: float = 0.0
    reference: Path | None = None


def adapt(asked: GaugeAdaptationOptions) -> dict[str, Any]:
    """Make the adapted run; returns the content of its adaptation.json.

    Raises:
        InputError: the run, the dataset, a photograph or the reference cannot be used, or there are too few of them.
    """
    adaptation.refuse(asked.run, "trainer.adapt")
    bench = prediction.load_bench(asked.run, asked.options)
    _, training, _ = load_config(asked.run)
    facts = check_data(asked.data, asked.run, training.data_sha256)
    reference = read_reference(asked.reference) if asked.reference is not None else None
    parts, files = _photographs(bench, asked.photos)
    good, measured = _apart(parts, reference)
    photographs = _by_view(bench, good)
    _check(asked, bench, reference, list(photographs), measured)
    renders = _renders(asked, bench, photographs)
    targets = {view: statistics for view, (_, statistics, _) in renders.items()}
    tried = candidates(bench, good, photographs, targets, asked.kinds)
    chosen = tried[adaptation.choose([(each.accepted, each.edge_px) for each in tried], len(good))]
    for each in tried:
        say(f"change {each.kind}: {each.accepted} of {len(good)} good parts accepted, edges {each.edge_px:.3f} px off")
    say(f"change of the pictures: {chosen.kind}")
    bench = replace(bench, gauge=widened(bench, chosen, good, adaptation.WIDEST))
    found, not_measured = _enlarged(bench, chosen, good, asked.scatter_mm)
    slope, stated = 1.0, None
    if reference is not None:
        slope, found = _by_reference(bench, chosen, measured, reference, found)
        stated = {"parts": len(measured), "slope": round(slope, 4), "missing_pins": len(reference.missing)}
    loaded = load_run(asked.run)
    uncertainty = station_uncertainty.scaled(loaded.uncertainty, found, slope, bench.drawing.key[2])
    bench = replace(bench, gauge=replace(bench.gauge, factors=factors_of(uncertainty, loaded.errors)))
    document = {
        "data": facts,
        "photographs": files,
        "views": view_facts(chosen.transforms, renders, partial(_applied, bench, good)),
        "tried": [each.to_json() for each in tried],
        "scatter_mm": asked.scatter_mm,
        "reference": stated,
        "uncertainty_factors": {name or _SEVERAL: _rounded(each) for name, each in found.items()},
        "uncertainty_not_measured": {name or _SEVERAL: axes for name, axes in not_measured.items()},
        "good_parts": _judged(bench, chosen, good),
    }
    adaptation.copy(asked.run, asked.out, _KEPT)
    if bench.gauge.likeness is not None:
        bench.gauge.likeness.save(asked.out)
    for view, gates in bench.gauge.gates.items():
        gates.save(asked.out / GATES_FOLDER / view)
    save_uncertainty(asked.out, uncertainty, loaded.errors)
    tie(asked.out)
    _write_summary(asked)
    adaptation.seal(asked.run, asked.out, document)
    return document


def _photographs(bench: Bench, photos: Sequence[Path]) -> tuple[dict[str, Pictures], list[dict[str, str]]]:
    """Open the photographs: pictures by part and view; name, view and SHA-256 of each file."""
    parts, left, problems = prediction.grouped(bench, photos)
    if left:
        raise InputError(problems)
    return open_photographs(parts)


def _by_view(bench: Bench, good: Mapping[str, Pictures]) -> dict[str, list[np.ndarray]]:
    """Pixels of the photographs of good parts at the gauge's scale, by view; at least 8 of each."""
    found: dict[str, list[np.ndarray]] = {}
    for pictures in good.values():
        for view, picture in pictures.items():
            found.setdefault(view, []).append(at_scale(bench, view, picture))
    few = [f"{len(each)} of view {view}" for view, each in found.items() if len(each) < adaptation.FEWEST]
    if few or not found:
        raise InputError(
            f"--photos: expected photographs of at least {adaptation.FEWEST} good parts in each view, got "
            f"{', '.join(few) or 'none'}"
        )
    return found


def _applied(bench: Bench, good: Mapping[str, Pictures], view: str, transform: PictureTransform) -> list[np.ndarray]:
    """Pixels of a view's photographs of good parts as the gauge gets them: changed, then resampled to its scale."""
    return [at_scale(bench, view, transform.apply(pictures[view])) for pictures in good.values() if view in pictures]


def _renders(
    asked: GaugeAdaptationOptions, bench: Bench, photographs: Mapping[str, Sequence[np.ndarray]]
) -> dict[str, tuple[str, PictureStatistics, list[np.ndarray]]]:
    """For each view, the training's light that is most like the photographs': its name, statistics and pictures."""
    part = dict(zip(("scene", "housing", "terminal"), bench.drawing.key, strict=True))
    found = {}
    for view, own in photographs.items():
        by_light = {
            light: [at_scale(bench, view, each) for each in pictures]
            for light, pictures in renders_by_light(asked.data, view, part).items()
        }
        seen = PictureStatistics.of(own)
        statistics = {light: PictureStatistics.of(each) for light, each in by_light.items()}
        nearest = min(statistics, key=lambda light: seen.distance(statistics[light]))
        found[view] = nearest, statistics[nearest], by_light[nearest]
    return found


def _apart(
    parts: Mapping[str, Pictures], reference: Reference | None
) -> tuple[dict[str, Pictures], dict[str, Pictures]]:
    """The good parts, and those that the reference measured."""
    known = reference.measures if reference is not None else {}
    good = {part: pictures for part, pictures in parts.items() if Path(part).name not in known}
    return good, {part: pictures for part, pictures in parts.items() if part not in good}


def _check(
    asked: GaugeAdaptationOptions,
    bench: Bench,
    reference: Reference | None,
    views: Sequence[str],
    measured: Mapping[str, Pictures],
) -> None:
    """Refuse a scatter that the limits do not allow, and a reference that does not fit the photographs."""
    station_uncertainty.check_scatter(asked.scatter_mm, _limits(bench))
    if reference is not None:
        addresses = [each.address for each in bench.drawing.positions]
        reference.check({part: list(pictures) for part, pictures in measured.items()}, views, addresses)


def _limits(bench: Bench) -> list[Limits]:
    return [bench.tolerance.limits(each.address) for each in bench.drawing.positions]


def _seen(bench: Bench, chosen: Candidate, parts: Mapping[str, Pictures]) -> dict[str, list[SeenPart]]:
    """Located parts by all their views together, under "", and by each view alone, under its name."""
    seen: dict[str, list[SeenPart]] = {view: [] for view in chosen.transforms}
    seen |= {"": []} if len(seen) > 1 else {}
    for name, pictures in parts.items():
        shown = changed(chosen.transforms, pictures)
        sets = [shown, *({view: each} for view, each in shown.items())] if len(shown) > 1 else [shown]
        for each in sets:
            found = see(bench, name, each)
            if found.pins:
                seen["" if len(each) > 1 else next(iter(each))].append(found)
    return seen


def _enlarged(
    bench: Bench, chosen: Candidate, good: Mapping[str, Pictures], scatter_mm: float
) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Factors (3,) on U, at least 1, from good parts, by view alone and, under "", by several views; what was not seen.

    Parts that stay INVALID count only if fewer than 8 are accepted, which alone would show too little.
    """
    found = {}
    for views, seen in _seen(bench, chosen, good).items():
        accepted = [each for each in seen if not each.reasons]
        used = accepted if len(accepted) >= adaptation.FEWEST else seen
        found[views] = station_uncertainty.enlargement([each.pins for each in used], scatter_mm)
    return station_uncertainty.completed(found)


def _by_reference(
    bench: Bench, chosen: Candidate, parts: Mapping[str, Pictures], reference: Reference, good: Mapping[str, np.ndarray]
) -> tuple[float, dict[str, np.ndarray]]:
    """Slope, and factors (3,) on U as from `_enlarged`, from those measured parts that the run accepts."""
    if reference.missing:
        say(
            f"reference: missing pins, left out as they show nothing of slope and U: {len(reference.missing)}; "
            "trainer.evaluate --reference shows whether the run notices such pins"
        )
    measured = {
        views: {Path(one.part).name: _tips(bench, one) for one in seen if not one.reasons}
        for views, seen in _seen(bench, chosen, parts).items()
    }
    whole = "" if len(chosen.transforms) > 1 else next(iter(chosen.transforms))
    return station_uncertainty.corrected(reference, measured, whole, good, _limits(bench), bench.lengths_mm)


def _tips(bench: Bench, one: SeenPart) -> dict[str, MeasuredPin]:
    """A part's pins by address, with the depth of the tip, which a reference measures, in place of the retraction."""
    return {
        address: tip_height.of_pin(pin, length, bench.gauge.factors.sag)
        for (address, length), pin in zip(bench.lengths_mm.items(), one.pins, strict=True)
    }


def _judged(bench: Bench, chosen: Candidate, good: Mapping[str, Pictures]) -> dict[str, Any]:
    """Verdicts of the adapted run on the good parts, of whose photographs it was made."""
    judged = bench.options.judged
    verdicts, reasons = Counter[str](), Counter[str]()
    for pictures in good.values():
        found = inspect_part(bench.gauge, bench.drawing, changed(chosen.transforms, pictures), bench.tolerance, judged)
        verdicts[str(found.verdict)] += 1
        reasons.update({reason.partition(":")[0] for reason in found.reasons} if found.verdict == "INVALID" else ())
    return false_alarms(verdicts, reasons)


def _rounded(values: np.ndarray) -> list[float]:
    return [round(each, 3) for each in values.tolist()]


def _write_summary(asked: GaugeAdaptationOptions) -> None:
    """Write summary.json without the training's errors, which do not hold for the adapted run."""
    old = run_folder.read_json(asked.run / SUMMARY, "a gauge's summary") if (asked.run / SUMMARY).is_file() else {}
    kept = {name: old[name] for name in ("data", DISPLACED) if name in old}
    new = {**kept, "weights_sha256": sha256_of(asked.out / run_folder.BEST), "splits": {}}
    run_folder.write_json(asked.out / SUMMARY, new)
