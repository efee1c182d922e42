"""After a training: measure the best weights on every split, save the model, write report and card."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from trainer.core import calibration, frozen_threshold, run_folder
from trainer.core.console import say, stage
from trainer.core.frozen_threshold import FrozenThreshold
from trainer.core.loop import Outcome
from trainer.core.plots import operating_points
from trainer.core.results_folder import OPERATING_POINTS
from trainer.core.run_folder import SUMMARY, read_metrics, recorded_tolerances
from trainer.florence2 import decision, forgetting, gates, lora, metrics, plots, sheets
from trainer.florence2.answers import Found
from trainer.florence2.average_precision import mean_average_precision
from trainer.florence2.card import model_card
from trainer.florence2.detect import Question, answers
from trainer.florence2.evaluation_page import calibration_said
from trainer.florence2.examples import Examples
from trainer.florence2.losses import DetectionLosses
from trainer.florence2.network import load, trained_parameters
from trainer.florence2.run import ADAPTER, MODEL, Detector, save_config, save_model
from trainer.florence2.run_page import write_page


def _store(run: Path, model: Any, processor: Any) -> None:
    """Replace RUN/model in one piece, so that an interruption never leaves files of two models in it."""
    folder = run / f".{MODEL}.tmp"
    shutil.rmtree(folder, ignore_errors=True)
    save_model(folder, model, processor)
    shutil.rmtree(run / MODEL, ignore_errors=True)
    folder.rename(run / MODEL)


@dataclass(frozen=True)
class Ended:
    """A training that has ended, before its best weights are measured.

    Args:
        network: The model with its losses, and the last epoch's weights.
        examples: The training pictures.
        source: The arguments of `trainer.florence2.network.load` that make the model as it was before training.
        outcome: How the training loop ended.
        matched: Linear layers to which LoRA was added; empty in other modes.
        peak_memory_mb: Peak memory of the process, or of the GPU, in MiB.
    """

    network: DetectionLosses
    examples: Examples
    source: tuple[str, Sequence[str], tuple[int, int], int]
    outcome: Outcome
    matched: Sequence[lora.Matched]
    peak_memory_mb: float


@dataclass(frozen=True)
class BestWeightsReport:
    """Measures of the best weights.

    Args:
        threshold: Confidence from which a box counts, chosen on validation.
        frozen: The fitness, and the thresholds of the verdict, for RUN/frozen.json.
        reports: Results of `metrics.report` by split, except `train`, with `operating_points`.
        found: Boxes found in each picture, by split.
    """

    threshold: float
    frozen: FrozenThreshold
    reports: dict[str, dict[str, Any]]
    found: dict[str, list[list[Found]]]


def _load_best(run: Path, network: DetectionLosses) -> None:
    """Copy RUN/best.safetensors into the network."""
    tensors, _ = run_folder.read_tensors(run / run_folder.BEST)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                parameter.copy_(tensors[name])


def _merged(run: Path, ended: Ended) -> tuple[Any, float | None]:
    """Return the plain model; with LoRA, write RUN/adapter, merge, and return the largest logit difference too."""
    model = ended.network.model
    if ended.examples.config.mode != "lora":
        return model.eval(), None
    model.save_pretrained(run / ADAPTER)
    batch, _ = ended.examples.batch(ended.examples.rows[:2], torch.Generator().manual_seed(0))
    return lora.merge(model, batch.inputs, batch.labels)


def measure(run: Path, model: Any, examples: Examples) -> BestWeightsReport:
    """Choose thresholds of `model` (best weights of `run`) on validation; measure every split but `train` with them."""
    data, collator = examples.data, examples.collator
    question = Question.of(collator, examples.most_pins)
    found = {
        name: answers(model, split, collator, question, bar=True)
        for name, split in data.splits.items()
        if name != "train"
    }
    validation = data.splits["validation"]
    pictures = list(zip(validation.truths, found["validation"], strict=True))
    threshold = metrics.best_threshold(pictures)
    seen = data.seen_positions(examples.rows)
    precision = mean_average_precision(pictures, data.labels)
    rate = examples.config.max_escape
    boxes = metrics.scored(pictures)
    frozen = decision.frozen_of(
        run, validation.truths, found["validation"], threshold, precision["map"], seen, boxes, rate
    )
    reports = {
        name: metrics.report(
            data.splits[name].truths,
            answered,
            data.labels,
            threshold,
            seen,
            limits=frozen.limits,
            calibrated=None if name == "validation" else frozen.calibration,
        )
        for name, answered in found.items()
    }
    for name, report in reports.items():
        truths = data.splits[name].truths
        report["operating_points"] = decision.operating_points_of(truths, found[name], frozen, threshold)
    return BestWeightsReport(threshold, frozen, reports, found)


def _compared(
    run: Path, before: Any, model: Any, processor: Any, examples: Examples, photos: Path | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compare the models before and after training, write changes.* and forgetting.json into RUN, and return both."""
    held = {name: tensor.detach().cpu() for name, tensor in before.state_dict().items()}
    rows = lora.changes(held, model)
    changed = lora.write_report(rows, run)
    plots.weight_changes(rows, run / "changes.png")
    pictures = [*forgetting.drawn_pictures(), *(forgetting.photos(photos) if photos else ())]
    before = before.to(examples.device).eval()
    forgot = forgetting.compare(before, model, processor, examples.data.size, pictures)
    run_folder.write_json(run / "forgetting.json", forgot)
    return changed, forgot


def _draw(run: Path, rows: Sequence[run_folder.Row], measured: BestWeightsReport, examples: Examples) -> None:
    """Write curves.png, calibration.png, operating_points.png and the sheet of the best weights into RUN."""
    reports = measured.reports
    plots.curves(rows, reports["validation"]["ceiling"]["map"], run / "curves.png")
    plots.calibration(reports, run / "calibration.png")
    operating_points(reports, decision.SCORE, run / OPERATING_POINTS)
    validation = examples.data.splits["validation"]
    shown = sheets.fixed_rows(validation)
    sheet = sheets.truth_and_prediction(validation, measured.found["validation"], shown, measured.threshold)
    sheets.save(sheet, run / "sheets" / "best.png")


def finish(run: Path, ended: Ended, detector: Detector, photos: Path | None = None) -> None:
    """Measure the best weights, and write model, summary, plots, report and card.

    Args:
        run, ended: The run's folder, and the training; its network gets the best weights and loses LoRA.
        detector: Classes and picture size for config.json; the threshold chosen on validation is added.
        photos: Folder of the user's pictures for the check of forgetting; None: only drawn pictures.
    """
    examples, outcome = ended.examples, ended.outcome
    settings, data = examples.config, examples.data
    stage("measuring the best weights")
    _load_best(run, ended.network)
    trained, _ = trained_parameters(ended.network.model)
    model, difference = _merged(run, ended)
    measured = measure(run, model, examples)
    save_config(run, settings, replace(detector, threshold=measured.threshold), recorded_tolerances(run))
    frozen_threshold.write(run, measured.frozen, decision.CRITERION)
    gates.learn(run, model, examples.collator, data.splits)
    before, processor = load(*ended.source)
    _store(run, model, processor)
    stage("comparing the model before and after training")
    changed, forgot = _compared(run, before, model, processor, examples, photos)
    rows = read_metrics(run, outcome.epochs)
    summary: dict[str, Any] = {
        "settings": settings.model_dump(),
        "classes": list(data.classes),
        "labels": list(data.labels),
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "best_by": "mAP on validation with averaged weights (EMA); validation's own numbers are optimistic",
        "stopped": outcome.stopped,
        "device": str(examples.device),
        "training_pictures": len(examples.rows),
        # Summed over all calls, if the run was resumed.
        "minutes": sum(float(str(row["seconds"])) for row in rows) / 60,
        "peak_memory_mb": ended.peak_memory_mb,
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": trained,
        "lora": lora.matched_as_json(ended.matched),
        "merge_difference": difference,
        "changed": changed,
        "threshold": measured.threshold,
        **{key: measured.frozen.to_json()[key] for key in ("fitness", "calibration")},
        "max_escape": measured.frozen.max_escape,
        "tolerance": measured.frozen.tolerance,
        "splits": measured.reports,
        "forgetting": forgot,
    }
    run_folder.write_json(run / SUMMARY, summary)
    stage("drawing figures")
    _draw(run, rows, measured, examples)
    run_folder.write_text(run / "README.md", model_card(run.resolve().name, summary, data.labels))
    write_page(run, summary)  # last: report.html marks a finished run
    for name, report in measured.reports.items():
        say(f"{name}: {metrics.headline(report)} (best weights, {report['pictures']} pictures)")
        for group, part in report["positions"].items():
            say(f"  {group} positions: {metrics.headline(part)}")
        say(f"  {calibration_said(report)}")
    for text in (*measured.frozen.sentences(), calibration.said(measured.frozen.calibration)):
        say(text)
