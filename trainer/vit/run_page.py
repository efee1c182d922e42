"""RUN/report.html: all results of a ViT's run on one page, which needs no other file and no internet.

It is written by `trainer.vit` at its end, by `trainer.evaluate` and `trainer.attention` if their results are in the
run's folder, and by `trainer.report`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from generator.reporting.pages import render
from trainer.core import (
    adaptation_seal,
    frozen_threshold,
    max_escape,
    metrics,
    operating_tables,
    results_folder,
    run_folder,
)
from trainer.core.console import say
from trainer.core.decision import EVEN, Thresholds
from trainer.core.errors import InputError
from trainer.core.fitness import fitness_said
from trainer.core.run_folder import REPORT, read_metrics
from trainer.core.tolerance import words
from trainer.vit import results, training_check
from trainer.vit import run as vit_run
from trainer.vit.evaluation_page import measured_of
from trainer.vit.network.model import ViTConfig
from trainer.vit.run import TrainingConfig


def write_page(run: Path) -> Path:
    """Write RUN/report.html from the files in RUN; returns its path.

    Raises:
        InputError: The run was not finished, or a file in it cannot be read.
    """
    config, settings = vit_run.load_config(run)
    summary = results.summary_of(run)
    rows = read_metrics(run, summary["epochs"])
    evaluation = results.evaluation_of(run)
    context = {
        "title": f"ViT: {run.resolve().name}",
        "run": run,
        "views": config.views,
        "classes": config.classes,
        "facts": _facts(run, config, settings, summary, rows),
        "splits": [
            [name, s["pictures"], s["accuracy"], s["balanced_accuracy"], s["loss"]]
            for name, s in summary["splits"].items()
        ],
        "operating_points": operating_tables.view(summary["splits"]),
        "checks": list(_checks(run, settings, config.classes, rows, summary)),
        "evaluation": measured_of(run / results.EVALUATION, evaluation) if evaluation else None,
        "evaluation_is_stale": (run / results.EVALUATION / results_folder.EVALUATION).is_file(),
        **_attention(run),
        "settings": [[name, str(value)] for name, value in settings.model_dump().items()],
        "network": [[name, str(value)] for name, value in asdict(config).items()],
    }
    run_folder.write_text(run / REPORT, render("trainer.vit", "run.html.j2", **context))
    return run / REPORT


def _facts(
    run: Path,
    config: ViTConfig,
    settings: TrainingConfig,
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
) -> list[tuple[str, str]]:
    """List names and values for the page's summary of the training."""
    minutes = sum(float(row["seconds"]) for row in rows) / 60
    held = frozen_threshold.load(run)
    facts = [
        ("dataset", summary.get("data", {}).get("name")),
        ("training pictures", summary.get("training_pictures")),
        ("input", f"{settings.input}, {config.width} x {config.height} px, patches of {config.patch_size} px"),
        ("parts judged from", ", ".join(config.views)),
        ("training", f"{summary['epochs']} epochs in {minutes:.1f} min, seed {settings.seed}"),
        ("stopped early", summary["stopped"]),
        ("best epoch", f"{summary['best_epoch']}, by {summary['best_by']}"),
        ("fitness", fitness_said(results.fitness_of_run(run))),
        ("--max-escape", held and max_escape.said(held.max_escape)),
        ("tolerance", words(run_folder.recorded_tolerances(run))),
        ("thresholds", held and _thresholds(held.limits)),
        ("temperature", held and f"{held.temperature:.3f}"),
    ]
    return [(name, str(value)) for name, value in facts if value]


def _thresholds(limits: Thresholds) -> str:
    return (
        f"chosen on validation: the verdict is OK below P(NG) = {min(limits.escape, EVEN):.4f}, NG from "
        f"{limits.overkill:.4f} on, UNSURE between; a defect is predicted from {min(limits.threshold, EVEN):.4f} on"
    )


def warnings_of(
    rows: Sequence[Mapping[str, Any]], classes: Sequence[str], settings: TrainingConfig
) -> list[tuple[int, int, str]]:
    """Return the warnings of all epochs: for each kind the first and the last epoch with it, and its last text.

    `rows` has the lines of metrics.csv.
    """
    found: dict[str, tuple[int, int, str]] = {}
    for index, row in enumerate(rows):
        epoch = int(row["epoch"])
        said = training_check.prognosis(rows[: index + 1], classes, settings)
        collapsed = float(row["val_top_share"]) > metrics.COLLAPSE_SHARE and row["stage"] == "pictures"
        # The share alone is no sign of a collapse: that class may be so frequent in truth.
        if collapsed and float(row["val_balanced_accuracy"]) < 1 / len(classes) + 0.12:
            said = [
                f"collapsed: {row['val_top_class']} is predicted for nearly all pictures. {metrics.COLLAPSE_ADVICE}",
                *said,
            ]
        for text in said:
            kind = text[:20]
            found[kind] = (found[kind][0] if kind in found else epoch, epoch, text)
    return list(found.values())


def _before(run: Path) -> Mapping[str, Any]:
    """Read what was found and said before the training: `found`, and in newer runs `chosen` and `forecast`."""
    path = run / training_check.EXAMINATION
    if not path.is_file():
        return {"found": []}
    found = results_folder.read(path, "what was found before the training", found=list)
    newer = {"chosen": list, "forecast": str} if found.keys() & {"chosen", "forecast"} else {}
    return results_folder.read(path, "what was found before the training", found=list, **newer)


def _checks(
    run: Path,
    settings: TrainingConfig,
    classes: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
) -> Iterator[str]:
    """Write sentences on the check before the training and on the warnings from its epochs."""
    before = _before(run)
    yield from (f"Chosen by the data: {text}." for text in before.get("chosen", ()))
    if before.get("forecast"):
        yield f"Forecast: {before['forecast']}."
    yield from (f"Before the training: {text}." for text in before["found"])
    if not before["found"]:
        yield "Before the training: not checked (--no-check), or no result saved."
    during = warnings_of(rows, classes, settings)
    for first, last, text in during:
        yield f"{f'Epochs {first} to {last}' if last > first else f'Epoch {first}'}: {text}."
    if not during:
        yield "During the training: no warning."
    yield from (f"The best weights: {text}. {metrics.COLLAPSE_ADVICE}" for text in summary["warnings"])


ATTENTION = {
    "hit": "peak on the defect",
    "energy_ratio": "energy ratio",
    "on_pins": "on the positions",
    "on_housing": "on the housing",
    "entropy_ng": "entropy, NG",
    "entropy_ok": "entropy, OK",
}


def _attention(run: Path) -> dict[str, Any]:
    """Make table and pictures of the attention for the page; key `attention` is None where it was not computed."""
    document = results.attention_of(run)
    if document is None:
        return {"attention": None}
    rows = [
        [name, method, *(found.get(key) for key in ATTENTION)]
        for name, methods in [*document["weights"].items(), ("baseline", document["baselines"])]
        for method, found in methods.items()
    ]
    newest = list(document["weights"])[-1]
    return {
        "attention": document,
        "attention_header": ("weights", "map", *ATTENTION.values()),
        "attention_rows": rows,
        "attention_pictures": [
            (run / results.ATTENTION / results.CURVES, "The scores over the stages of the training"),
            (run / results.ATTENTION / results.ANIMATION, "The stages of the training one after the other"),
            (run / results.ATTENTION / results.attention_sheet(newest), f"Where the network looks (weights {newest})"),
        ],
    }


def refresh(run: Path, out: Path, own: str) -> None:
    """Write RUN/report.html again if the run is finished and `out`, where new results were written, is RUN/`own`.

    The page of an adapted run stays: it says what `trainer.adapt` did.
    """
    if (run / adaptation_seal.FILE).is_file():
        return
    if out.resolve() != (run / own).resolve() or not (run / "summary.json").is_file():
        return
    try:
        say(f"report: {write_page(run)}")
    except InputError as e:  # the page cannot be written, but the new results are
        say(f"{run / REPORT} is not updated: {e}")
