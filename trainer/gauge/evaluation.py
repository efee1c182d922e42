"""Evaluate a gauge on any dataset: its errors in mm, how often its uncertainty holds, and its decisions by a tolerance.

    OUT/measured.csv         one line per pin of a located part and set of cameras: truth, measures, decisions
    OUT/parts.csv            one line per captured part, located or not, set of cameras and tolerance: truth and verdict
    OUT/evaluation.json      all numbers; OUT/report.html shows them
    OUT/linearity_SPLIT.png  plot of found over true measures
    OUT/errors_SPLIT.png     plot of errors over true position or retraction, with the expanded uncertainty U (k = 2)

Errors and decisions are compared with those of two gauges without a network: *answer zero* always measures 0, *bright
tip* takes the brightest pixels for the tip (`trainer.gauge.baseline`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from blender_scripts.contract import wide_limits
from generator.io.file_names import dataset_name
from generator.locating.fit import beyond_placing
from generator.locating.judge import CHARACTERISTICS
from generator.locating.landmarks import pitch_mm
from trainer.core import adaptation, results_folder, run_folder, tolerance
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.results_folder import EVALUATION
from trainer.core.run_folder import REPORT, SUMMARY
from trainer.gauge import agreement, evaluation_plots, figures
from trainer.gauge.baseline import bright_tips
from trainer.gauge.beside import Classifier, beside, read_classifier
from trainer.gauge.coverage import adjust
from trainer.gauge.data import as_it_is, read_gauge_data
from trainer.gauge.dataset_verdicts import judge_pins, judged_of, lost_parts
from trainer.gauge.evaluation_page import write_page
from trainer.gauge.finder import TorchFinder
from trainer.gauge.finish import DISPLACED, limit_of
from trainer.gauge.measuring import AXES, MeasuredCapture, captures_of, measure_captures, table_of
from trainer.gauge.picture import GaugeData, Picture
from trainer.gauge.run import GaugeRun, load_run

MEASURED, PARTS = "measured.csv", "parts.csv"
AS_DATASET = "dataset"


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation.

    Attributes:
        run, data: folders of the run and of the dataset.
        device: device of the network.
        splits: names of the splits to measure; empty: all but `train`.
        tolerances: by label, sets of limits (mm by name) that replace the dataset's; every part is judged by each set.
            Empty or None: parts are judged by the dataset's own limits.
        beside: folder of a ViT's evaluation on this dataset, whose verdicts are compared with the gauge's; or None.
    """

    run: Path
    data: Path
    device: torch.device
    splits: tuple[str, ...] = ()
    tolerances: Mapping[str, Mapping[str, float]] | None = None
    beside: Path | None = None


def files_of(document: Mapping[str, Any]) -> set[str]:
    """Return the names of all files that an evaluation writes beside evaluation.json, given that file's content."""
    pictures = {f"{name}_{split}.png" for split in document["splits"] for name in ("linearity", "errors")}
    return {MEASURED, PARTS, REPORT, *pictures}


def evaluate(asked: EvaluationOptions, out: Path, own_folder: bool) -> None:
    """Evaluate a run on a dataset, write the results into `out` and print the main ones.

    Args:
        asked, out: the options; the folder of the results.
        own_folder: whether `out` is RUN/evaluation, whose files may be replaced without a check.

    Raises:
        InputError: the run, the dataset (also if a picture states no tolerance), an address in `asked.tolerances` or
            the ViT's evaluation cannot be used; no part can be located; or a result would replace a file in `out` that
            no earlier evaluation wrote.
    """
    run = load_run(asked.run)
    run.network.to(asked.device)
    data = _read(asked, run.pitch_px)
    splits = {name: pictures for name, pictures in data.splits.items() if pictures}
    if not splits:
        raise InputError(f"--data {asked.data}: expected pictures in a split other than train, got none")
    tolerances = asked.tolerances or {AS_DATASET: {}}
    _check_limits(tolerances, data)
    if not own_folder:
        results_folder.check(out, asked.run, EVALUATION, files_of, files_of({"splits": splits}))
    for note in data.notes:
        say(note)
    displaced = _displaced(asked.run)
    classifier = read_classifier(asked.beside, dataset_name(asked.data)) if asked.beside else None
    document: dict[str, Any] = {
        "model": asked.run.resolve().name,
        "data": dataset_name(asked.data),
        "tolerances": {label: dict(limits) for label, limits in tolerances.items()},
        "data_tolerance": tolerance.tolerances_of(each.row for pictures in splits.values() for each in pictures),
        "displaced_positions": len(displaced),
        "not_located": [],
        "splits": {},
    } | adaptation.warned(adaptation.load(asked.run))
    lines, parts = [], []
    with results_folder.replaced(out, EVALUATION, files_of) as stage:
        for name, pictures in splits.items():
            found, tables, judged, unseen, lost = _split(name, pictures, data, run, tolerances, displaced)
            if classifier is not None:
                _compare(found, judged, name, classifier)
            document["not_located"] += lost
            parts += [each.assign(split=name) for each in unseen]
            if not found:
                continue
            document["splits"][name] = found
            limit = limit_of(pictures)
            evaluation_plots.linearity(tables, stage / f"linearity_{name}.png")
            evaluation_plots.errors(tables, limit, stage / f"errors_{name}.png")
            lines += [table.assign(split=name) for table in tables.values()]
            parts += [each.assign(split=name) for each in judged]
        if not lines:
            raise InputError(f"--data {asked.data}: expected a part that can be located in its pictures, got none")
        _write_csv(stage / MEASURED, lines)
        _write_csv(stage / PARTS, parts)
        write_page(stage, document)
        run_folder.write_json(stage / EVALUATION, document)
    _announce(document)
    say(f"report: {out / REPORT}")


def _read(asked: EvaluationOptions, pitch_px: float) -> GaugeData:
    """Read the splits to measure, with pictures as the run gets them."""
    keep = (lambda name: name in asked.splits) if asked.splits else (lambda name: name != "train")
    adapted = adaptation.load(asked.run)
    seen = adapted.apply if adapted is not None else as_it_is
    return read_gauge_data(asked.data, pitch_px, asked.splits, keep=keep, seen=seen)


def _announce(document: Mapping[str, Any]) -> None:
    """Print the main figures of an evaluation."""
    for name, found in document["splits"].items():
        for text in headlines(name, found):
            say(text)
    if "adapted" in document:
        say(document["adapted"])
    for each in document["not_located"]:
        where = f"{each['split']}, {each['cameras']}"
        say(f"{where}: the part was found in none of {each['captures']} captures: all are INVALID")


def measure_split(
    pictures: Sequence[Picture], data: GaugeData, run: GaugeRun, cameras: Sequence[str] = ()
) -> tuple[list[MeasuredCapture], pd.DataFrame]:
    """Measure all parts of a split, each by the pictures of the given cameras together.

    Args:
        pictures, data: the split's pictures; drawings and queries of their connectors.
        run: the gauge.
        cameras: names of the cameras; empty: all.

    Returns:
        The measured captures, without a pose where `trainer.predict` would call the part not located; their table from
        `table_of`, with added columns `bright_dx`, `bright_dy`, `bright_retraction`: measures in mm of `bright_tips`.
    """
    finder = TorchFinder(run.network, run.uncertainty.scales)
    captures = captures_of(pictures, cameras)
    bar = f"measuring parts by pictures of {'+'.join(cameras) or 'all cameras'}"
    found = measure_captures(
        captures, data, finder, run.factors, lambda each: tqdm(each, bar, len(captures), leave=False, disable=None)
    )
    found = [_refused(one, data, run) for one in found]
    table = table_of(found, data)
    bright = [
        bright_tips(one, data.queries[key], pitch_mm(data.connectors[key]))
        for one in found
        if one.pose is not None and (key := one.capture.pictures[0].key)
    ]
    values = np.concatenate(bright) if bright else np.zeros((0, 3))
    return found, table.assign(**{f"bright_{axis}": values[:, index] for index, axis in enumerate(AXES)})


def _refused(one: MeasuredCapture, data: GaugeData, run: GaugeRun) -> MeasuredCapture:
    """A capture as `trainer.predict` takes it: without measures if not located, with reasons if unlike training."""
    if one.pose is None:
        return one
    placing = data.connectors[one.capture.pictures[0].key].placing
    if run.uncertainty.fit_limits.reasons(one.fits) or beyond_placing(one.pose, placing):
        return replace(one, pose=None, pins=())
    return replace(one, unlike=tuple(run.likeness.reasons(one.capture.pictures[0].key, one.looks)))


def camera_sets(pictures: Sequence[Picture]) -> list[tuple[str, ...]]:
    """Return the sets of cameras by which parts are measured: each camera alone; if there are several, also all."""
    names = sorted({str(each.row["camera"]) for each in pictures})
    return [(name,) for name in names] + ([tuple(names)] if len(names) > 1 else [])


def _split(
    name: str,
    pictures: Sequence[Picture],
    data: GaugeData,
    run: GaugeRun,
    tolerances: Mapping[str, Mapping[str, float]],
    displaced: Sequence[str],
) -> tuple[dict[str, Any], dict[str, pd.DataFrame], list[pd.DataFrame], list[pd.DataFrame], list[dict[str, Any]]]:
    """Measure and judge a split by each set of cameras: figures, tables of pins, tables of parts.

    The last two lists have tables of parts and names of the sets of cameras by which no part was located; the others
    lack these sets.
    """
    limit, found, tables = limit_of(pictures), dict[str, Any](), dict[str, pd.DataFrame]()
    parts, unseen, lost = list[pd.DataFrame](), list[pd.DataFrame](), list[dict[str, Any]]()
    for cameras in camera_sets(pictures):
        measured, table = measure_split(pictures, data, run, cameras)
        located = sum(one.pose is not None for one in measured)
        title = "+".join(cameras)
        if not located:
            lost.append({"split": name, "cameras": title, "captures": len(measured)})
            covers = CHARACTERISTICS if len(cameras) > 1 else judged_of(table)
            for label, asked in tolerances.items():
                invalid = lost_parts(measured, data, asked, covers)
                unseen.append(invalid.assign(cameras=title, tolerance=label))
            continue
        judged = judged_of(table)
        groups = {**figures.groups(table, limit, displaced), **figures.groups_by_pin(table, limit)}
        by_group = {group: figures.figures(part) for group, part in groups.items()}
        adjust(by_group, AXES)
        decisions = {}
        for label, asked in tolerances.items():
            pins, whole = judge_pins(table, measured, data, asked, judged)
            decisions[label] = {
                "parts": agreement.of_parts(whole),
                "pins": agreement.of_pins(table, pins, judged, displaced),
            }
            kept = pins[[column for column in pins if column.startswith("decision_")] + ["ng"]]
            table = table.join(kept.add_suffix(f" {label}"))
            parts.append(whole.assign(cameras=title, tolerance=label))
        found[title] = {
            "captures": len(measured),
            "located": located,
            "judged": list(judged),
            "groups": by_group,
            "repeatability": figures.repeatability(table),
            "decisions": decisions,
        }
        tables[title] = table
    return found, tables, parts, unseen, lost


def _compare(found: Mapping[str, Any], judged: Sequence[pd.DataFrame], split: str, classifier: Classifier) -> None:
    """Add to each of a split's decisions on parts the comparison with a classifier, if it judged some of the parts."""
    for parts in judged:
        decided = found[parts.cameras.iloc[0]]["decisions"][parts.tolerance.iloc[0]]
        decided["beside"] = beside(parts, split, classifier)


def headlines(name: str, found: Mapping[str, Any]) -> list[str]:
    """Return lines to print on errors and verdicts of split `name`; `found`: the split's entry in evaluation.json."""
    lines = []
    for cameras, figure in found.items():
        lines.append(figures.line(f"{name}, {cameras}", figure["groups"]["all pins"]))
        for label, decided in figure["decisions"].items():
            parts = decided["parts"]
            wrong, low_high = parts["wrong"], parts["wrong"]["interval"]
            unsure = [parts["unsure"][of]["count"] + parts["invalid"][of]["count"] for of in ("ok", "ng")]
            lines.append(
                f"  tolerance {label}: of {wrong['of']} verdicts OK or NG {wrong['count']} are wrong (upper end "
                f"of the 95 % interval: {low_high[1]:.1%}); UNSURE or INVALID: {unsure[0]} of "
                f"{parts['unsure']['ok']['of']} good and {unsure[1]} of {parts['unsure']['ng']['of']} NG parts"
            )
    return lines


def _write_csv(path: Path, tables: Sequence[pd.DataFrame]) -> None:
    whole = pd.concat(tables, ignore_index=True)
    first = ["split", *(name for name in whole if name != "split")]
    run_folder.replace_file(path, lambda temporary: whole[first].to_csv(temporary, index=False, float_format="%.6g"))


def _displaced(run: Path) -> list[str]:
    """Positions whose pins were displaced in training, as `scene/address`; empty if the run has no summary."""
    if not (run / SUMMARY).is_file():
        return []
    found: list[str] = run_folder.read_json(run / SUMMARY, "a gauge's summary").get(DISPLACED, [])
    return found


def _check_limits(tolerances: Mapping[str, Mapping[str, float]], data: GaugeData) -> None:
    """Check that the limits are for pins that there are; warn of limits that hardly any pin exceeds."""
    known = {position.address for drawing in data.connectors.values() for position in drawing.positions}
    asked = {name.rpartition(".")[0] for limits in tolerances.values() for name in limits} - {""}
    if unknown := sorted(asked - known):
        raise InputError(f"--tolerance: expected pin addresses of the dataset's connectors, got {', '.join(unknown)}")
    pairs = [(each.key[0], limits, each) for each in data.connectors.values() for limits in tolerances.values()]
    wide = [
        f"{scene}: {text}" for scene, limits, each in pairs for text in wide_limits.of_positions(limits, each.positions)
    ]
    for text in dict.fromkeys(wide):
        say(f"WARNING: --tolerance, scene {text}.")
