"""Everything that is known of a ViT's run on one page, RUN/report.html: it needs no other file and asks no network.

`trainer.vit` writes it at its end; `trainer.evaluate` and `trainer.attention` write it again when their results lie
in the run's folder, and `trainer.report` at any time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainer.core import frozen_threshold, metrics, page, results_folder, run_folder
from trainer.core.console import say
from trainer.core.errors import InputError
from trainer.core.run_folder import REPORT, read_metrics
from trainer.vit import doctor, results
from trainer.vit import run as vit_run
from trainer.vit.evaluation_page import page_parts
from trainer.vit.network.model import ViTConfig
from trainer.vit.run import TrainingConfig


def write_page(run: Path) -> Path:
    """Write RUN/report.html from what lies in RUN; returns its path.

    Raises:
        InputError: The run was not finished, or a file in it cannot be read.
    """
    config, settings = vit_run.load_config(run)
    summary = results.summary_of(run)
    rows = read_metrics(run, summary["epochs"])
    parts = [
        page.head(f"ViT: {run.resolve().name}"),
        *_overview(run, config, settings, summary, rows),
        "<h2>Examination and warnings</h2>",
        *_doctor(run, settings, config.classes, rows, summary),
        "<h2>Training</h2>",
        page.picture(run / "curves.png", "Loss, accuracy, recall per class and entropy over the epochs"),
        page.picture(run / "confusion.png", "Confusion matrices at the end of the training, best weights"),
        *_evaluation(run),
        *_attention(run),
        "<h2>Settings</h2>",
        page.table(("option", "value"), [[k, str(v)] for k, v in settings.model_dump().items()]),
        "<h2>Network</h2>",
        page.table(("option", "value"), [[k, str(v)] for k, v in asdict(config).items()]),
    ]
    run_folder.write_text(run / REPORT, "\n".join(filter(None, parts)) + "\n")
    return run / REPORT


def _overview(
    run: Path,
    config: ViTConfig,
    settings: TrainingConfig,
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
) -> list[str]:
    data = summary.get("data", {})
    held = frozen_threshold.load(run)
    minutes = sum(float(row["seconds"]) for row in rows) / 60
    what = f"dataset {data['name']}, " if "name" in data else ""
    counted = f"{summary['training_pictures']} training pictures, " if "training_pictures" in summary else ""
    seen_from = f"parts judged from {', '.join(config.views)} together, " if config.views else ""
    lines = [
        f"Classes {', '.join(config.classes)}; {what}{counted}{seen_from}input {settings.input}, {config.width} x "
        f"{config.height} px, patches of {config.patch_size} px. {summary['epochs']} epochs in {minutes:.1f} min, seed "
        f"{settings.seed}; best epoch {summary['best_epoch']}, by {summary['best_by']}.",
    ]
    if held is not None:
        lines.append(
            f"NG is said from P(NG) = {held.threshold:.4f} on, temperature {held.temperature:.3f}: frozen on "
            "validation."
        )
    if summary["stopped"]:
        lines.append(f"Stopped early: {summary['stopped']}.")
    table = page.table(
        ("split", "parts" if config.views else "pictures", "accuracy", "balanced accuracy", "loss"),
        [[n, s["pictures"], s["accuracy"], s["balanced_accuracy"], s["loss"]] for n, s in summary["splits"].items()],
    )
    note = page.paragraph(
        "The most probable class, without threshold and intervals; those stand under Evaluation.", small=True
    )
    return [*map(page.paragraph, lines), table, note]


def warnings_of(
    rows: Sequence[Mapping[str, Any]], classes: Sequence[str], settings: TrainingConfig
) -> list[tuple[int, int, str]]:
    """What the epochs warned of: first and last epoch of each kind of warning, and its last words."""
    found: dict[str, tuple[int, int, str]] = {}
    for index, row in enumerate(rows):
        epoch = int(row["epoch"])
        said = doctor.prognosis(rows[: index + 1], classes, settings)
        collapsed = float(row["val_top_share"]) > metrics.COLLAPSE_SHARE and row["stage"] == "pictures"
        # The share alone: where that class is really so frequent, accuracy is high too.
        if collapsed and float(row["val_balanced_accuracy"]) < 1 / len(classes) + 0.12:
            said = [
                f"collapsed: {row['val_top_class']} is said of nearly everything. {metrics.COLLAPSE_ADVICE}",
                *said,
            ]
        for text in said:
            kind = text[:20]
            found[kind] = (found[kind][0] if kind in found else epoch, epoch, text)
    return list(found.values())


def _doctor(
    run: Path,
    settings: TrainingConfig,
    classes: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
) -> list[str]:
    path = run / doctor.EXAMINATION
    if path.is_file():
        before = results_folder.read(path, "what the examination before the training found", found=list)["found"]
        parts = [page.paragraph(f"Before the training: {text}.") for text in before]
    else:
        parts = [page.paragraph("Before the training: not examined (--no-check), or not kept.")]
    during = warnings_of(rows, classes, settings)
    parts += [
        page.paragraph(f"Epoch{'s' if last > first else ''} {f'{first} to {last}' if last > first else first}: {text}.")
        for first, last, text in during
    ]
    if not during:
        parts.append(page.paragraph("During it: no warning."))
    parts += [page.paragraph(f"The best weights: {text}. {metrics.COLLAPSE_ADVICE}") for text in summary["warnings"]]
    return parts


def _evaluation(run: Path) -> list[str]:
    parts, folder = ["<h2>Evaluation</h2>"], run / results.EVALUATION
    if (document := results.evaluation_of(run)) is not None:
        return [*parts, *page_parts(folder, document, heading="h3")]
    stale = (folder / results_folder.EVALUATION).is_file()
    return [
        *parts,
        page.paragraph(
            ("The results in evaluation/ are of other weights. " if stale else "Not measured yet. ")
            + "`python -m trainer.evaluate` measures with the frozen threshold, with intervals, factors and mistakes."
        ),
    ]


ATTENTION = {
    "hit": "peak on the defect",
    "energy_ratio": "energy ratio",
    "on_pins": "on the positions",
    "on_housing": "on the housing",
    "entropy_ng": "entropy, NG",
    "entropy_ok": "entropy, OK",
}


def _attention(run: Path) -> list[str]:
    parts, folder = ["<h2>Attention</h2>"], run / results.ATTENTION
    document = results.attention_of(run)
    if document is None:
        note = "Not looked at yet: `python -m trainer.attention`, or `trainer.vit --stages`."
        return [*parts, page.paragraph(note)]
    rows = [
        [name, method, *(found.get(key) for key in ATTENTION)]
        for name, methods in [*document["weights"].items(), ("baseline", document["baselines"])]
        for method, found in methods.items()
    ]
    note = (
        f"{document['pictures']} pictures of {document['split']}, the same for all weights. Energy ratio: the "
        "share of the map inside the defect's box over its share of the area. Entropy: 1 is flat."
    )
    newest = list(document["weights"])[-1]
    return [
        *parts,
        page.table(("weights", "map", *ATTENTION.values()), rows),
        page.paragraph(note, small=True),
        page.picture(folder / results.CURVES, "The scores over the stages"),
        page.picture(folder / results.ANIMATION, "The stages one after the other"),
        page.picture(folder / results.attention_sheet(newest), f"Where the weights {newest} look"),
    ]


def refresh(run: Path, out: Path, own: str) -> None:
    """Write the page again where the results in `out` are the run's own, in RUN/`own`, and the run was finished."""
    if out.resolve() != (run / own).resolve() or not (run / "summary.json").is_file():
        return
    try:
        say(f"report: {write_page(run)}")
    except InputError as e:  # the results are written all the same
        say(f"{run / REPORT} is not written again: {e}")
