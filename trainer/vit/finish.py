"""The end of a ViT's training: measure the best weights, freeze the threshold, write summary and figures."""

from pathlib import Path
from typing import Any

import numpy as np

from trainer.core import frozen_threshold, metrics, operating_points, plots, row_facts, run_folder
from trainer.core.console import say, stage
from trainer.core.decision import softmax
from trainer.core.default_paths import dataset_facts
from trainer.core.loop import Outcome
from trainer.core.results_folder import OPERATING_POINTS
from trainer.core.run_folder import SUMMARY, load_weights
from trainer.core.split import Data
from trainer.vit import gates
from trainer.vit.answers import Answers, answer
from trainer.vit.network.model import ViT


def finish(run: Path, data: Data, folder: Path, model: ViT, outcome: Outcome, rate: float = 0.0) -> None:
    """Measure the best weights on all splits but train; write frozen.json, the gates, summary.json and figures.

    Args:
        run, data, folder: The run's folder, the training's data, and the dataset's folder.
        model: The network; gets the best weights.
        outcome: How the training ended.
        rate: Largest escape rate, from `--max-escape`; 0: not given.
    """
    stage("measuring the best weights")
    tensors, _ = run_folder.read_tensors(run / run_folder.BEST)
    load_weights(model, tensors, str(run / run_folder.BEST))
    summary: dict[str, Any] = {
        "data": dataset_facts(folder),
        "training_pictures": len(data.splits["train"].runs),
        **({"views": list(model.config.views)} if model.config.views else {}),
        "classes": list(data.classes),
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "best_by": "balanced accuracy on validation, then lower validation loss: its own number is optimistic",
        "stopped": outcome.stopped,
        "splits": {},
    }
    matrices = {}
    ok = model.config.ok_index
    found = {name: answer(model, split, bar=True) for name, split in data.splits.items() if name != "train"}
    parts = {name: [facts.part for facts in row_facts.facts(data.splits[name], ok)] for name in found}
    logits, labels = found["validation"].logits, found["validation"].truth
    positions = row_facts.defect_positions(data.splits["train"], ok)
    held = frozen_threshold.freeze(run, logits, labels, data.classes, ok, positions, parts["validation"], rate=rate)
    summary["threshold"], summary["temperature"] = held.threshold, held.temperature
    summary["fitness"] = held.to_json()["fitness"]
    for text in held.sentences():
        say(text)
    summary["weights_sha256"] = held.weights_sha256
    for name, answers in found.items():
        split = data.splits[name]
        matrices[name] = matrix = metrics.confusion_matrix(answers.truth, answers.predicted, len(data.classes))
        p_ng = 1 - softmax(answers.logits, held.temperature)[:, ok]
        summary["splits"][name] = {
            **_measured(answers, matrix, data.classes),
            "operating_points": operating_points.measure(
                parts[name], answers.truth != ok, p_ng, held.limits, chosen=held.operating_points
            ),
        }
        counted = f"{len(split)} {'parts' if split.views > 1 else 'pictures'}"
        say(f"{name}: accuracy {metrics.accuracy(matrix):.3f} on {counted} (best weights)")
    stage("learning which pictures can be judged")
    gates.learn(run, model, data.splits)
    collapse = metrics.collapse_warning(matrices["validation"], data.classes)
    summary["warnings"] = [collapse] if collapse else []
    if collapse:
        say(f"WARNING: this run is not usable: {collapse}. {metrics.COLLAPSE_ADVICE}")
    run_folder.write_json(run / SUMMARY, summary)
    stage("drawing figures")
    plots.curves(run_folder.read_metrics(run, outcome.epochs), data.classes, run / "curves.png")
    plots.confusion(matrices, data.classes, run / "confusion.png")
    plots.operating_points(summary["splits"], "P(NG)", run / OPERATING_POINTS)


def _measured(answers: Answers, matrix: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Make a split's entry in summary.json from its confusion matrix and answers."""
    shares = {"recall": metrics.recall(matrix), "precision": metrics.precision(matrix)}
    return {
        "pictures": len(answers.truth),
        "accuracy": metrics.accuracy(matrix),
        "balanced_accuracy": metrics.balanced_accuracy(matrix),
        "loss": answers.loss,
        **{
            k: {c: None if v != v else float(v) for c, v in zip(classes, values, strict=True)}
            for k, values in shares.items()
        },
        "confusion": matrix.tolist(),
    }
