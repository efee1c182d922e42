"""Measure a Florence-2 run on any dataset, with its frozen threshold; called by `trainer.evaluate`.

OUT gets evaluation.json, predictions.csv (one line per true, false and missed box), calibration.png,
operating_points.png, report.html and, of each split with false or missed boxes, a sheet of its worst pictures.

`trainer.florence2.metrics` computes the measures, `trainer.florence2.evaluation_page` writes the page.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from generator.io.file_names import dataset_name
from trainer.core import calibration, frozen_threshold, results_folder, row_facts, run_folder, tolerance, verdict_shares
from trainer.core import gates as core_gates
from trainer.core.calibration import Calibration
from trainer.core.console import say
from trainer.core.data import read_dataset
from trainer.core.dataset_columns import ANSWER_READ, lacking, lacking_line
from trainer.core.decision import Thresholds
from trainer.core.default_paths import dataset_facts
from trainer.core.errors import InputError
from trainer.core.fitness import fitness_said
from trainer.core.frozen_threshold import FrozenThreshold
from trainer.core.gates import Gates
from trainer.core.golden_input import check_reference
from trainer.core.plots import operating_points
from trainer.core.results_folder import EVALUATION, PREDICTIONS, evaluation_files
from trainer.core.run_folder import REPORT
from trainer.florence2 import decision, gates, metrics, plots, sheets
from trainer.florence2.answers import Found
from trainer.florence2.average_precision import mean_average_precision
from trainer.florence2.data import DetectionData, DetectionSplit, detection_data
from trainer.florence2.detect import Inspector, answers
from trainer.florence2.drawn_texts import with_texts
from trainer.florence2.evaluation_page import calibration_said, write_page
from trainer.florence2.metrics import matches, pin_at
from trainer.florence2.run import Detector, load_config
from trainer.florence2.truth import Pin, Truth
from trainer.florence2.verdict_counts import parts_at, verdicts_at
from trainer.vit.network.letterbox import rgb

# A larger share of pictures without room for a text is reported.
_MOST_BARE = 0.1

EDGES = ("x1", "y1", "x2", "y2")
COLUMNS = ("split", "run", "kind", "label", "confidence", "address", "cavity", *EDGES, "probability", "observable")
SHOWN = 6
ROWS = "all"


def _data(folder: Path, wanted: Sequence[str], detector: Detector) -> DetectionData:
    """Read the splits to measure: those in `wanted`; if it is empty, all but `train`."""
    dataset, classes = read_dataset(folder, detector.input, wanted)
    if missing := lacking(next(iter(dataset.values())).features, ANSWER_READ):
        say(lacking_line(missing))
    chosen = {n: rows for n, rows in dataset.items() if n in wanted or (not wanted and n != "train")}
    if not chosen:
        raise InputError(f"--data {folder}: expected a split besides train, got only train; --split train measures it")
    data = detection_data(chosen, classes, folder, detector.input, detector.size, wanted)
    labels = detector.labels
    unknown = [
        f"--data {folder} split {name}: expected defects of the run's classes {list(labels)}, got {label}"
        for name, split in data.splits.items()
        for label in sorted({pin.label for truth in split.truths for pin in truth.targets} - set(labels))
    ]
    if unknown:
        raise InputError(unknown)
    return data


def _kept(splits: Mapping[str, DetectionSplit], which: str, folder: Path) -> dict[str, DetectionSplit]:
    """Return the splits with all pictures of those parts that --rows `which` keeps: see `row_facts.keeps`.

    Raises:
        InputError: It keeps none of a split.
    """
    found = {}
    for name, split in splits.items():
        parts: dict[str, list[Mapping[str, Any]]] = {}
        for truth in split.truths:
            parts.setdefault(truth.part, []).append(truth.columns)
        kept = {part for part, pictures in parts.items() if row_facts.keeps(pictures, which)}
        found[name] = _some(split, [index for index, truth in enumerate(split.truths) if truth.part in kept])
    if empty := [name for name, split in found.items() if not len(split)]:
        raise InputError(f"--data {folder}: expected rows to measure in {empty}, got none with --rows {which}")
    return found


def _some(split: DetectionSplit, indices: Sequence[int]) -> DetectionSplit:
    """Return the split with the pictures at `indices` only; the split itself if these are all."""
    return split if len(indices) == len(split) else split.subset(indices)


def _at(values: Sequence[Any], indices: Sequence[int]) -> list[Any]:
    """Return the values of the pictures at `indices`; without values of any picture none."""
    return [values[index] for index in indices] if values else []


def lines_of(
    name: str, truth: Truth, found: Sequence[Found], threshold: float, by: Calibration | None = None
) -> list[dict[str, Any]]:
    """Make the lines of predictions.csv for a picture: found boxes, `true` or `false`, then `missed` true boxes.

    Args:
        name, truth: The split's name, and the picture's truth.
        found: Found boxes in px of the picture; those below the threshold are left out.
        threshold: Confidence from which a box counts.
        by: The run's calibration, which gives each box its probability; None: the run has none.

    Returns:
        Lines with the keys `COLUMNS`; `address` is that of the pin at the box (`metrics.pin_at`), edges are in px;
        `observable` is `yes` or, of a defect that cannot be seen, `no`; empty for `false` boxes.
    """
    counted = [one for one in found if one.confidence >= threshold]
    matched = matches(truth, counted)

    def line(
        kind: str, label: str, box: Sequence[float], pin: Pin | None, confidence: float | None, defect: Pin | None
    ) -> dict[str, Any]:
        probability = None if confidence is None or by is None else by.probability(confidence)
        places = dict(zip(EDGES, (f"{edge:.2f}" for edge in box), strict=True))
        return {
            "split": name,
            "run": truth.run,
            "kind": kind,
            "label": label,
            "confidence": "" if confidence is None else f"{confidence:.4f}",
            "address": pin.address if pin else "",
            "cavity": pin.cavity if pin else "",
            **places,
            "probability": "" if probability is None else f"{probability:.4f}",
            "observable": "" if defect is None else "no" if defect.unseen else "yes",
        }

    lines = []
    for one, match in zip(counted, matched, strict=True):
        kind, defect = ("false", None) if match is None else ("true", truth.targets[match])
        lines.append(line(kind, one.label, one.box, pin_at(one.box, truth.pins), one.confidence, defect))
    missed = [pin for k, pin in enumerate(truth.targets) if k not in matched]
    return lines + [line("missed", pin.label, pin.box, pin, None, pin) for pin in missed]


def worst(lines: Sequence[Sequence[dict[str, Any]]], count: int = SHOWN) -> list[int]:
    """Return at most `count` indices of pictures with false or missed boxes, the one with the most such boxes first.

    `lines` has the result of `lines_of` for each picture. Defects that cannot be seen are not counted.
    """
    wrong = [sum(line["kind"] != "true" and line["observable"] != "no" for line in some) for some in lines]
    order = sorted(range(len(wrong)), key=lambda i: -wrong[i])
    return [i for i in order[:count] if wrong[i]]


def _others(run: Path, folder: Path) -> bool:
    """Return whether a dataset is known to be another than that of the run's training."""
    known = load_config(run)[0].data_sha256
    return bool(known) and known != dataset_facts(folder).get("content_sha256", "")


def frozen_of(
    run: Path, inspector: Inspector, folder: Path, data: DetectionData, batch_size: int, others: bool, rate: float = 0.0
) -> FrozenThreshold | None:
    """Read RUN/frozen.json; make it on validation if it is missing (run of an earlier version) or a `rate` is given.

    Args:
        run, inspector, folder: The run's folder, its model, and the dataset's folder.
        data: The splits that have been read from the dataset.
        batch_size: Pictures per batch.
        others: Whether the dataset is known to be another than that of the run's training.
        rate: Largest escape rate, from `--max-escape`; 0: not given.

    Returns:
        Content of RUN/frozen.json. None if the file is missing and cannot be made: the dataset is known to be another
        than that of the training, or its validation split cannot be read.

    Raises:
        InputError: The file is damaged; or a `rate` is given and the file cannot be made.
    """
    held = frozen_threshold.load(run)
    if rate and others:
        raise InputError(
            f"--max-escape: expected --data to be the dataset that {run} was trained on, whose validation split sets "
            f"the threshold, got {folder}"
        )
    if others or (held is not None and not rate):
        return held
    detector = inspector.detector
    try:
        splits = data.splits if "validation" in data.splits else _data(folder, ("validation",), detector).splits
    except InputError:
        if rate:
            raise
        return None
    split = splits["validation"]
    found = answers(inspector.model, split, inspector.collator, inspector.question, batch_size, bar=True)
    pictures = list(zip(split.truths, found, strict=True))
    precision = mean_average_precision(pictures, detector.labels)["map"]
    made = decision.frozen_of(
        run,
        split.truths,
        found,
        detector.threshold,
        precision,
        detector.seen,
        metrics.scored(pictures),
        rate or load_config(run)[0].max_escape,
    )
    frozen_threshold.write(run, made, decision.CRITERION)
    say(
        f"{run}: saved fitness (how well the run tells OK from NG) and escape threshold (a picture with a box of at "
        f"least this confidence is not OK), measured on the validation split of {folder}"
    )
    return made


def _compared(run: Path, data: DetectionData) -> tolerance.Comparison:
    """Compare the dataset's tolerance with that of the run."""
    truths = [truth for split in data.splits.values() for truth in split.truths]
    pairs = [({**truth.columns, "run": truth.run}, truth.objects) for truth in truths]
    return tolerance.compare(run_folder.recorded_tolerances(run), pairs)


def _learn_gates(run: Path, inspector: Inspector, folder: Path) -> None:
    """Learn the gates of a run that has none, if the dataset, which may be that of its training, has both splits."""
    if core_gates.have(run):
        return
    try:
        splits = _data(folder, tuple(core_gates.MOST), inspector.detector).splits
    except InputError:
        return
    say(
        f"{run} lacks gates of its own (limits that tell which pictures cannot be judged): learning them now from the "
        f"splits train and validation of {folder}"
    )
    gates.learn(run, inspector.model, inspector.collator, splits)


def _gates(run: Path) -> Gates:
    """Load a run's gates; say so if it lacks one."""
    own = Gates.load(run)
    for text in own.warned():
        say(text)
    return own


def _judged(
    inspector: Inspector, split: DetectionSplit, batch_size: int, own: Gates | None
) -> tuple[list[list[Found]], Sequence[Sequence[str]]]:
    """Return the boxes found in each picture of a split, and the reasons of the gates why it cannot be judged."""
    with gates.watch(inspector.model) as watched:
        found = answers(inspector.model, split, inspector.collator, inspector.question, batch_size, bar=True)
    return found, own.of_split(split.pictures, watched.features) if own else ()


def _with_texts(
    inspector: Inspector, split: DetectionSplit, batch_size: int, limits: Thresholds, own: Gates | None, kind: str
) -> dict[str, Any]:
    """Measure a split with texts drawn on its pictures (`drawn_texts.with_texts`); returns measures and verdicts."""
    bare = set[int]()

    def drawn(picture: Image.Image, index: int) -> Image.Image:
        changed = with_texts(picture, split.truths[index], kind)
        if changed.tobytes() == rgb(picture).tobytes():
            bare.add(index)
        return changed

    pictures = split.pictures.changed(drawn)
    found, unsuitable = _judged(inspector, DetectionSplit(pictures, split.truths), batch_size, own)
    pairs, detector = list(zip(split.truths, found, strict=True)), inspector.detector
    if len(bare) > _MOST_BARE * len(split.truths):
        say(f"--digits {kind}: {len(bare)} of {len(split.truths)} pictures have no room for a text beside their boxes")
    return {
        "pictures_without_texts": len(bare),
        **metrics.measures_of(pairs, detector.labels, detector.threshold, interval=True),
        "verdicts": verdicts_at(pairs, limits, unsuitable),
    }


def measure(
    inspector: Inspector,
    splits: dict[str, DetectionSplit],
    batch_size: int,
    out: Path,
    frozen: FrozenThreshold | None = None,
    own: Gates | None = None,
    texts: Sequence[str] = (),
    fitted: str = "validation",
    rows: str = ROWS,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Measure the splits, and write OUT/mistakes_SPLIT.png for each split with false or missed boxes.

    Args:
        inspector, splits: The run's model, and the splits by name.
        batch_size, out: Pictures per batch, and the folder of the results.
        frozen: Thresholds of the verdicts; None: verdicts use the threshold from which a box counts.
        own: The run's gates, which find pictures that cannot be judged; None: no gates.
        texts: Kinds of texts (`run.DRAWN_TEXTS`) with which the pictures are measured again.
        fitted: Split on which the run's calibration was fitted, which would therefore not be a test of it.
        rows: Of the pictures in `splits`, which count beside the verdicts on parts, for which all do: see
            `row_facts.keeps`.

    Returns:
        Reports by split, and the lines of predictions.csv.
    """
    detector = inspector.detector
    threshold, seen = detector.threshold, detector.seen
    limits, by = (Thresholds.at(threshold), None) if frozen is None else (frozen.limits, frozen.calibration)
    reports, table = dict[str, Any](), list[dict[str, Any]]()
    for name, whole in splits.items():
        boxes, refused = _judged(inspector, whole, batch_size, own)
        on_parts = parts_at(list(zip(whole.truths, boxes, strict=True)), limits, refused)
        keep = [index for index, truth in enumerate(whole.truths) if row_facts.keeps([truth.columns], rows)]
        split, found, unsuitable = _some(whole, keep), _at(boxes, keep), _at(refused, keep)
        if why := core_gates.counted(unsuitable):
            say(f"{name}: INVALID because of {why}")
        reports[name] = metrics.report(
            split.truths,
            found,
            detector.labels,
            threshold,
            seen,
            limits=limits,
            unsuitable=unsuitable,
            calibrated=None if name == fitted else by,
        )
        reports[name]["verdicts_on_parts"] = on_parts
        points = decision.operating_points_of(split.truths, found, frozen, threshold, unsuitable)
        reports[name]["operating_points"] = points
        if texts:
            reports[name]["drawn"] = {
                kind: _with_texts(inspector, split, batch_size, limits, own, kind) for kind in texts
            }
        lines = [lines_of(name, *pair, threshold, by) for pair in zip(split.truths, found, strict=True)]
        table += [line for some in lines for line in some]
        if shown := worst(lines):
            sheet = sheets.truth_and_prediction(split, found, shown, threshold)
            sheets.save(sheet, out / f"mistakes_{name}.png")
    return reports, table


def evaluate(
    run: Path,
    folder: Path,
    out: Path,
    wanted: Sequence[str],
    batch_size: int,
    device: torch.device,
    own_folder: bool = False,
    max_escape: float = 0.0,
    texts: Sequence[str] = (),
    rows: str = ROWS,
) -> None:
    """Measure a finished run's model on a dataset, write the results into `out` and print the main ones.

    If RUN lacks frozen.json or gates, they are written too, provided that the dataset may be that of its training.

    Args:
        run, folder, out: Folders of the run, of the dataset and of the results.
        wanted, texts: Splits to measure (empty: all but `train`); kinds of texts, see `measure`.
        batch_size, device: Pictures per batch, and the model's device.
        own_folder: Whether `out` is RUN/evaluation, whose files may be replaced without a check.
        max_escape: Largest escape rate, for which the escape threshold is chosen again and saved; 0: the run's is kept.
        rows: Which pictures and parts are measured: see `row_facts.keeps`. Thresholds are chosen on all of them.

    Raises:
        InputError: The run is unfinished, the dataset cannot be read or has classes that the run does not know, `rows`
            keeps no picture of a split, or `out` has files of the same names that no evaluation wrote.
    """
    inspector = Inspector.load(run, device)
    detector = inspector.detector
    check_reference(run, folder, detector.input)
    if texts and detector.input != "image":
        raise InputError(f"--digits: expected a run trained on pictures, got {run}, trained with --input nsoart")
    data = _data(folder, wanted, detector)
    splits = _kept(data.splits, rows, folder)
    if not own_folder:
        new = evaluation_files({"splits": splits})
        results_folder.check(out, run, EVALUATION, evaluation_files, new)
    others = _others(run, folder)
    compared, fitted = _compared(run, data), "" if others else "validation"
    frozen = frozen_of(run, inspector, folder, data, batch_size, others, max_escape)
    if not others:
        _learn_gates(run, inspector, folder)
    with results_folder.replaced(out, EVALUATION, evaluation_files) as stage:
        reports, lines = measure(inspector, splits, batch_size, stage, frozen, _gates(run), texts, fitted, rows)
        left_out = {name: len(data.splits[name]) - one["pictures"] for name, one in reports.items()}
        document = _document(run, folder, data, detector, rows, left_out, frozen) | {
            "tolerance": compared.to_json(),
            "splits": reports,
        }
        run_folder.write_table(stage / PREDICTIONS, COLUMNS, lines)
        plots.calibration(reports, stage / "calibration.png")
        operating_points(reports, decision.SCORE, stage / results_folder.OPERATING_POINTS)
        write_page(stage, document)
        run_folder.write_json(stage / EVALUATION, document)
    fitness = frozen.sentences() if frozen else [fitness_said(None)]
    fitness.append(calibration.said(frozen.calibration if frozen else None))
    for text in [*_headlines(reports), compared.sentence(), *fitness]:
        say(text)
    say(f"page: {out / REPORT}")


def _document(
    run: Path,
    folder: Path,
    data: DetectionData,
    detector: Detector,
    rows: str,
    left_out: Mapping[str, int],
    frozen: FrozenThreshold | None,
) -> dict[str, Any]:
    """Make the beginning of evaluation.json; `left_out`: number of pictures that --rows left out, by split."""
    return {
        "model": run.resolve().name,
        "data": dataset_name(folder),
        "labels": list(detector.labels),
        "rows": rows,
        "left_out": dict(left_out),
        "observable_px": data.observable_px,
        "threshold": detector.threshold,
        **({"frozen": {k: v for k, v in frozen.to_json().items() if k != "positions"}} if frozen else {}),
        "seen": detector.seen,
    }


def _headlines(reports: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines printed for each split, and warnings where one is worse than validation."""
    for name, measured in reports.items():
        yield f"{name}: {metrics.headline(measured)} ({measured['pictures']} pictures)"
        for group, part in measured["positions"].items():
            yield f"  {group} positions: {metrics.headline(part)}"
        yield f"  {calibration_said(measured)}"
        for kind, part in measured.get("drawn", {}).items():
            yield f"  texts drawn, {kind}: {metrics.headline(part)}"
    yield from verdict_shares.worse_than_validation(reports)
