"""What follows a training: the best weights on every split, the model in a form that loads, and the report."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from trainer.core import checkpoint
from trainer.core.options import say
from trainer.florence2 import forgetting, lora, metrics, plots, sheets
from trainer.florence2.card import model_card
from trainer.florence2.data import DetectionData
from trainer.florence2.detect import answers
from trainer.florence2.network import load, trained_parameters
from trainer.florence2.results import SUMMARY
from trainer.florence2.run import ADAPTER, MODEL, DetectionConfig, Detector, save_config, save_model
from trainer.florence2.run_page import write_page
from trainer.florence2.training import Outcome, Training
from trainer.vit.training import read_metrics


def _store(run: Path, model: Any, processor: Any) -> None:
    """Write RUN/model whole: never half of an earlier one and half of this."""
    folder = run / f".{MODEL}.tmp"
    shutil.rmtree(folder, ignore_errors=True)
    save_model(folder, model, processor)
    shutil.rmtree(run / MODEL, ignore_errors=True)
    folder.rename(run / MODEL)


def _merged(training: Training, run: Path) -> tuple[Any, float | None]:
    """The plain model; with LoRA its adapter is written first, and the merge compared."""
    if training.config.mode != "lora":
        return training.trainee.model.eval(), None
    training.trainee.model.save_pretrained(run / ADAPTER)
    batch, _ = training.batch(training.rows[:2], torch.Generator().manual_seed(0))
    return lora.merge(training.trainee.model, batch.inputs, batch.labels)


def measure(
    model: Any, training: Training, data: DetectionData
) -> tuple[float, dict[str, dict[str, Any]], dict[str, Any]]:
    """Threshold from validation, and every split but train at it.

    Returns:
        The threshold, the reports by split, and the boxes by split.
    """
    found = {
        name: answers(model, split, training.collator, training.grammar)
        for name, split in data.splits.items()
        if name != "train"
    }
    validation = data.splits["validation"]
    threshold = metrics.best_threshold(list(zip(validation.truths, found["validation"], strict=True)))
    seen = data.seen_positions(training.rows)
    reports = {
        name: metrics.report(data.splits[name].truths, boxes, data.labels, threshold, seen)
        for name, boxes in found.items()
    }
    return threshold, reports, found


def finish(
    run: Path,
    settings: DetectionConfig,
    training: Training,
    source: tuple[str, Sequence[str], tuple[int, int], int],
    detector: Detector,
    outcome: Outcome,
    peak_memory_mb: float,
    matched: Sequence[lora.Matched],
    photos: Path | None = None,
) -> dict[str, Any]:
    """Measure the best weights, and write model, summary, plots, report and card.

    Args:
        run: The run's folder.
        settings: Of the training.
        training: As it ended.
        source: What `load` makes the model before training from.
        detector: What prediction needs; its threshold is chosen here.
        outcome: How the training ended.
        peak_memory_mb: Most memory of the process, or of the GPU.
        matched: What LoRA matched.
        photos: The user's pictures for the forgetting check.

    Returns:
        What summary.json holds.
    """
    data, device = training.data, training.accelerator.device
    training.load_best(run)
    trained, _ = trained_parameters(training.trainee.model)
    model, difference = _merged(training, run)
    threshold, reports, found = measure(model, training, data)
    before, processor = load(*source)
    save_config(run, settings, replace(detector, threshold=threshold))
    _store(run, model, processor)
    held = {name: tensor.detach().cpu() for name, tensor in before.state_dict().items()}
    changed = lora.write_report(lora.changes(held, model), run)
    pictures = [*forgetting.drawn_pictures(), *(forgetting.photos(photos) if photos else ())]
    forgot = forgetting.compare(before.to(device).eval(), model, processor, data.size, pictures)
    checkpoint.write_text(run / "forgetting.json", json.dumps(forgot, indent=2, ensure_ascii=False) + "\n")
    rows = read_metrics(run, outcome.epochs)
    summary: dict[str, Any] = {
        "settings": asdict(settings),
        "classes": list(data.classes),
        "labels": list(data.labels),
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "best_by": "mAP on validation, averaged weights: its own number is optimistic",
        "stopped": outcome.stopped,
        "device": str(device),
        "training_pictures": len(training.rows),
        # Of all calls that a resumed run took.
        "minutes": sum(float(row["seconds"]) for row in rows) / 60,  # type: ignore[arg-type]
        "peak_memory_mb": peak_memory_mb,
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": trained,
        "lora": lora.matched_as_json(matched),
        "merge_difference": difference,
        "changed": changed,
        "threshold": threshold,
        "splits": reports,
        "forgetting": forgot,
    }
    checkpoint.write_text(run / SUMMARY, json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    ceiling = reports["validation"]["ceiling"]["map"]
    plots.curves(rows, ceiling, run / "curves.png")
    plots.calibration({name: r["calibration"] for name, r in reports.items()}, run / "calibration.png")
    validation = data.splits["validation"]
    shown = sheets.fixed_rows(validation)
    sheet = sheets.truth_and_prediction(validation, found["validation"], shown, threshold)
    sheets.save(sheet, run / "sheets" / "best.png")
    write_page(run, summary)
    checkpoint.write_text(run / "README.md", model_card(run.resolve().name, summary, data.labels))
    for name, measured in reports.items():
        say(f"{name}: {metrics.headline(measured)} (best weights, {measured['pictures']} pictures)")
        for group, part in measured["positions"].items():
            say(f"  {group} positions: {metrics.headline(part)}")
    return summary
