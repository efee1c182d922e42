"""Evaluate a ViT's run on a dataset with the run's frozen threshold, for `trainer.evaluate`.

The threshold is that of RUN/frozen.json, chosen at the end of the training. For a run without this file the threshold
is chosen on the dataset's validation split, and saved. Gates that the run lacks are learned and saved if the dataset
may be that of its training. The results in OUT are evaluation.json, predictions.csv, report.html and the page's
pictures. For a run on several views all counts are counts of parts.

`trainer.vit.metrics` computes the measures, `trainer.vit.evaluation_page` shows them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from generator.io.file_names import dataset_name
from trainer.core import (
    adaptation,
    frozen_threshold,
    plots,
    results_folder,
    row_facts,
    run_folder,
    tolerance,
    verdict_shares,
    views,
)
from trainer.core import gates as core_gates
from trainer.core.adaptation import Adaptation
from trainer.core.console import say
from trainer.core.data import load_frozen_classes
from trainer.core.decision import decide, softmax, verdicts_of
from trainer.core.default_paths import dataset_facts
from trainer.core.errors import InputError
from trainer.core.frozen_threshold import FrozenThreshold
from trainer.core.gates import Gates
from trainer.core.golden_input import check_reference
from trainer.core.results_folder import EVALUATION, PREDICTIONS, evaluation_files
from trainer.core.row_facts import Facts
from trainer.core.run_folder import REPORT
from trainer.core.split import Split
from trainer.vit import evaluation_plots, gates, metrics
from trainer.vit import run as vit_run
from trainer.vit.answers import answer
from trainer.vit.evaluation_page import write_page
from trainer.vit.gates import watch
from trainer.vit.network.model import ViT, ViTConfig
from trainer.vit.run import TrainingConfig

ROWS = "observable"


@dataclass(frozen=True)
class EvaluationOptions:
    """Options of an evaluation.

    Args:
        run, data: Folders of the run and of the dataset.
        device: Device of the network.
        splits: Names of the splits to measure; empty: all but `train`.
        rows: Which rows are measured: see `row_facts.kept_rows`.
        batch_size: Number of pictures, or parts, per batch.
        max_escape: Largest escape rate, for which a new escape threshold is chosen and saved; 0: the run keeps its own.
    """

    run: Path
    data: Path
    device: torch.device
    splits: tuple[str, ...] = ()
    rows: str = ROWS
    batch_size: int = 16
    max_escape: float = 0.0


@dataclass(frozen=True)
class EvaluationResult:
    """Results of an evaluation.

    Args:
        reports: Results of `metrics.report` by split.
        lines: Lines of predictions.csv.
        sizes: Results of `metrics.sizes_found` by split.
    """

    reports: dict[str, Any]
    lines: list[dict[str, Any]]
    sizes: dict[str, dict[str, tuple[list[float], list[bool]]]]


def kept(split: Split, which: str) -> Split:
    """Return a split with only those examples that --rows `which` keeps: see `row_facts.kept_rows`."""
    return split.subset(np.flatnonzero(row_facts.kept_rows(split, which)).tolist())


def read_splits(
    folder: Path,
    column: str,
    config: ViTConfig,
    only: Sequence[str] = (),
    but: Sequence[str] = (),
    adapted: Adaptation | None = None,
) -> dict[str, Split]:
    """Read a dataset's splits, by name, for a trained network; for a network on several views, one example per part.

    Args:
        folder: The dataset's folder.
        column: Picture column: `image`, `nsoart` or `image+nsoart`.
        config: The network's configuration.
        only: Names of the splits to read; empty: all except `but`.
        but: Names of the splits to leave out if `only` is empty.
        adapted: How pictures are changed for an adapted run; None: they are not.

    Raises:
        InputError: The dataset cannot be read, has a class unknown to the run, or not one picture per view of a part.
    """
    size = (config.width, config.height)
    seen = adapted.apply if adapted is not None else None
    found = load_frozen_classes(folder, column, size, config.classes, only, but, seen)
    if not config.views:
        return found
    return views.by_part(found, config.views, config.classes, f"--data {folder}")


def load_or_choose_frozen(asked: EvaluationOptions, model: ViT) -> FrozenThreshold:
    """Return the content of RUN/frozen.json; if missing, it is chosen on the validation split, and saved.

    With --max-escape the escape threshold is chosen again, and saved.
    A frozen.json without the run's fitness (how well the run tells OK from NG on validation, `trainer.core.fitness`)
    keeps its threshold; the fitness is measured and added if the dataset is the one on which the run was trained.
    Threshold and fitness use the rows that the training's --rows keeps, not those of this evaluation's --rows.

    Raises:
        InputError: A threshold must be chosen, but there is no validation split, or the training's --rows keeps none of
            its rows; or it must be chosen, or --max-escape is given, for another dataset than that of the training.
    """
    held = frozen_threshold.load(asked.run)
    config, (_, settings) = model.config, vit_run.load_config(asked.run)
    content = dataset_facts(asked.data).get("content_sha256", "")
    others = bool(settings.data_sha256) and settings.data_sha256 != content
    if asked.max_escape and others:
        raise InputError(
            f"--data {asked.data}: expected the dataset that {asked.run} was trained on, because --max-escape chooses "
            "the threshold on its validation split, got another; without --max-escape any dataset can be measured"
        )
    if held is None and others:
        raise InputError(
            f"--data {asked.data}: expected the dataset that {asked.run} was trained on, because the run has no "
            f"{frozen_threshold.FROZEN} and its threshold may come only from that dataset's validation split, got "
            "another; evaluate the run on its own dataset first, then on others"
        )
    if held is not None and (others or (held.fitness is not None and not asked.max_escape)):
        return held
    try:
        validation = _validation(asked, settings, config)
    except InputError as e:
        if held is not None and not asked.max_escape:
            return held
        why = f"{asked.run}: without {frozen_threshold.FROZEN}, or with --max-escape, a validation split is needed"
        raise InputError([why, *e.problems]) from e
    logits = answer(model, validation, asked.batch_size, bar=True).logits
    positions = held.positions if held else _positions(asked, settings, config)
    if held is None:
        say(
            f"{asked.run} has no {frozen_threshold.FROZEN}: choosing the threshold on the split validation of "
            f"{asked.data} and saving it; pins that are defective in the split train count as seen in training"
        )
    else:
        say(
            f"{asked.run}: saved fitness (how well the run tells OK from NG) and escape threshold (a picture "
            f"with P(NG) of at least this value is not OK), measured on the validation split of {asked.data}"
        )
    parts = [facts.part for facts in row_facts.facts(validation, config.ok_index)]
    labels = validation.labels.numpy()
    rate = asked.max_escape or settings.max_escape
    return frozen_threshold.freeze(
        asked.run, logits, labels, config.classes, config.ok_index, positions, parts, held, rate
    )


def load_adapted_frozen(run: Path) -> FrozenThreshold:
    """Return the content of an adapted run's frozen.json, which stays as it is.

    Raises:
        InputError: there is no such file.
    """
    held = frozen_threshold.load(run)
    if held is None:
        raise InputError(
            f"{run}: expected an adapted run with {frozen_threshold.FROZEN}, got none: evaluate the run that it was "
            "made from on the training's dataset, and adapt this again"
        )
    return held


def _validation(asked: EvaluationOptions, settings: TrainingConfig, config: ViTConfig) -> Split:
    """Read the dataset's validation split, with the rows that the run's own --rows keeps, at least one."""
    validation = kept(read_splits(asked.data, settings.input, config, ("validation",))["validation"], settings.rows)
    if not len(validation):
        raise InputError(
            f"--data {asked.data}: expected rows in the split validation, to choose the threshold on, got none that "
            f"the run's setting `rows` ({settings.rows}) keeps"
        )
    return validation


def _positions(asked: EvaluationOptions, settings: TrainingConfig, config: ViTConfig) -> dict[str, list[str]]:
    """Return the positions that are defective in the dataset's train split; none where it has no such split."""
    try:
        train = read_splits(asked.data, settings.input, config, ("train",))["train"]
    except InputError:
        return {}
    return row_facts.defect_positions(kept(train, settings.rows), config.ok_index)


def _learn_gates(asked: EvaluationOptions, model: ViT) -> None:
    """Learn the gates of a run that has none, if the dataset may be that of its training and has both splits."""
    config, (_, settings) = model.config, vit_run.load_config(asked.run)
    content = dataset_facts(asked.data).get("content_sha256", "")
    if core_gates.have(asked.run) or (settings.data_sha256 and settings.data_sha256 != content):
        return
    try:
        found = read_splits(asked.data, settings.input, config, tuple(core_gates.MOST))
    except InputError:
        return
    splits = {name: kept(split, settings.rows) for name, split in found.items()}
    if all(len(split) for split in splits.values()):
        say(
            f"{asked.run} lacks gates of its own (limits that tell which pictures cannot be judged): learning them now "
            f"from the splits train and validation of {asked.data}"
        )
        gates.learn(asked.run, model, splits)


def _gates(run: Path) -> Gates:
    """Load a run's gates; say so if it lacks one."""
    own = Gates.load(run)
    for text in own.warned():
        say(text)
    return own


def _lines(
    name: str,
    split: Split,
    facts: list[Facts],
    probabilities: np.ndarray,
    said: np.ndarray,
    verdicts: np.ndarray,
    model: ViT,
) -> list[dict[str, Any]]:
    """Make the lines of predictions.csv for a split: one per picture, or with --views per part."""
    classes, ok = model.config.classes, model.config.ok_index
    return [
        {
            "split": name,
            "run": split.name(i),
            "part": facts[i].part,
            "truth": classes[int(split.labels[i])],
            "said": classes[said[i]],
            "verdict": str(verdicts[i]),
            "p_ng": f"{1 - probabilities[i, ok]:.6f}",
            **{f"p_{c}": f"{p:.6f}" for c, p in zip(classes, probabilities[i], strict=True)},
            "measure": facts[i].measure,
            "size_mm": "" if facts[i].size_mm is None else f"{facts[i].size_mm:.4f}",
            "addresses": " ".join(facts[i].addresses),
        }
        for i in range(len(split))
    ]


def measure(
    model: ViT, splits: Mapping[str, Split], held: FrozenThreshold, batch_size: int = 16, own: Gates | None = None
) -> EvaluationResult:
    """Measure each of `splits` with the run's thresholds and temperature (`held`).

    `own`: the run's gates, limits beyond which a picture is INVALID; None: no picture is.
    """
    config = model.config
    found = EvaluationResult({}, [], {})
    renamed: dict[str, str] = {}
    for name, split in splits.items():
        facts = row_facts.facts(split, config.ok_index)
        renamed |= {column: factor for column, factor in row_facts.column_names(facts).items() if column != factor}
        with watch(model) as seen:
            logits = answer(model, split, batch_size, bar=True).logits
        probabilities = softmax(logits, held.temperature)
        said = decide(probabilities, config.ok_index, held.threshold)
        unsuitable = own.of_split(split.pictures, seen.features, split.views) if own else ()
        if why := core_gates.counted(unsuitable):
            say(f"{name}: INVALID because of {why}")
        verdicts = verdicts_of(1 - probabilities[:, config.ok_index], held.limits, unsuitable)
        found.reports[name] = metrics.report(
            facts, logits, split.labels.numpy(), config.classes, config.ok_index, held, verdicts
        )
        for mistake in found.reports[name]["mistakes"]:
            index = mistake["index"]
            mistake["run"] = f"part {facts[index].part}" if split.views > 1 else split.runs[index]
        found.lines.extend(_lines(name, split, facts, probabilities, said, verdicts, model))
        found.sizes[name] = metrics.sizes_found(facts, said != config.ok_index)
    for column, factor in renamed.items():
        say(
            f"the dataset's column {column} is reported as {factor!r}, as the evaluation computes another factor that "
            f"is called {column!r}"
        )
    return found


def write_pictures(out: Path, model: ViT, splits: Mapping[str, Split], found: EvaluationResult) -> None:
    """Write the plots and the sheets of mistakes of an evaluation into the folder `out`; `found`: its results."""
    classes, reports = model.config.classes, found.reports
    matrices = {name: np.array(r["confusion"]) for name, r in reports.items()}
    plots.confusion(matrices, classes, out / "confusion.png")
    plots.operating_points(reports, "P(NG)", out / results_folder.OPERATING_POINTS)
    stages = {"as trained": "calibration_before_temperature", "with the run's temperature": "calibration"}
    panels = {name: {label: one[key] for label, key in stages.items()} for name, one in reports.items()}
    plots.calibration(panels, "pictures", "right", out / "calibration.png")
    evaluation_plots.detection(reports, found.sizes, out / "detection.png")
    for name, measured in reports.items():
        evaluation_plots.main_effects(measured, name, out / f"effects_{name}.png")
        if measured["mistakes"]:
            evaluation_plots.mistake_sheet(splits[name], measured["mistakes"], classes, out / f"mistakes_{name}.png")


def evaluate(asked: EvaluationOptions, out: Path, own_folder: bool) -> None:
    """Evaluate a run on a dataset, write the results into `out` and print the main ones.

    Args:
        asked, out: The options; the folder of the results.
        own_folder: Whether `out` is RUN/evaluation, whose files may be replaced without a check.

    Raises:
        InputError: The run or the dataset cannot be used, no row is left, or `out` has files of the same names that do
            not belong to an earlier evaluation.
    """
    _, settings = vit_run.load_config(asked.run)
    check_reference(asked.run, asked.data, settings.input)
    model = vit_run.load_model(asked.run).to(asked.device)
    if asked.max_escape:
        adaptation.refuse(asked.run, "trainer.evaluate --max-escape")
    adapted = adaptation.load(asked.run)
    held = load_or_choose_frozen(asked, model) if adapted is None else load_adapted_frozen(asked.run)
    if adapted is None:
        _learn_gates(asked, model)
    chosen = read_splits(asked.data, settings.input, model.config, asked.splits, ("train",), adapted)
    splits = {name: kept(split, asked.rows) for name, split in chosen.items()}
    empty = [name for name, split in splits.items() if not len(split)]
    if empty or not splits:
        raise InputError(
            f"--data {asked.data}: expected rows to measure in {empty or 'a split other than train'}, got none"
        )
    if not own_folder:
        new = evaluation_files({"splits": splits, "frozen": held})
        results_folder.check(out, asked.run, EVALUATION, evaluation_files, new)
    found = measure(model, splits, held, asked.batch_size, _gates(asked.run))
    compared = tolerance.compare(
        run_folder.recorded_tolerances(asked.run),
        (pair for split in splits.values() for pair in split.rows_with_objects()),
    )
    left_out = {name: len(chosen[name]) - len(split) for name, split in splits.items()}
    document = _document(asked, model.config, held, found.reports, left_out)
    document |= {"tolerance": compared.to_json()} | adaptation.warned(adapted)
    with results_folder.replaced(out, EVALUATION, evaluation_files) as stage:
        run_folder.write_table(stage / PREDICTIONS, list(found.lines[0]), found.lines)
        write_pictures(stage, model, splits, found)
        write_page(stage, document)
        run_folder.write_json(stage / EVALUATION, document)
    for name, measured in found.reports.items():
        say(_headline(name, measured, model.config))
    for text in verdict_shares.worse_than_validation(found.reports):
        say(text)
    say(compared.sentence())
    for text in (document["adapted"],) if adapted is not None else held.sentences():
        say(text)
    say(f"page: {out / REPORT}")


def _document(
    asked: EvaluationOptions,
    config: ViTConfig,
    held: FrozenThreshold,
    reports: Mapping[str, Any],
    left_out: Mapping[str, int],
) -> dict[str, Any]:
    """Make the content of evaluation.json; `left_out`: number of examples that --rows left out, by split."""
    return {
        "model": asked.run.resolve().name,
        "data": dataset_name(asked.data),
        "classes": list(config.classes),
        "rows": asked.rows,
        **({"views": list(config.views)} if config.views else {}),
        "left_out": left_out,
        "frozen": {k: v for k, v in held.to_json().items() if k != "positions"},
        "splits": reports,
    }


def _headline(name: str, measured: Mapping[str, Any], config: ViTConfig) -> str:
    """Write a line with a split's accuracy, its 95 % interval, and the shares of the verdicts."""
    low, high = measured["accuracy"]["interval"]
    on = f"parts from {len(config.views)} views each" if config.views else "pictures"
    of = "" if config.views else f" of {measured['parts']} parts"
    return (
        f"{name}: accuracy {measured['accuracy']['share']:.3f} ({low:.3f} to {high:.3f}) on {measured['pictures']} "
        f"{on}{of}; {verdict_shares.sentence(measured)}"
    )
