"""Model card (README.md) of a ViT for the Hub: description, classes, training data, use, measured results, limits.

The results are those of `trainer.evaluate`, with intervals, if it measured the best weights; otherwise those at the end
of the training, without intervals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generator.io.file_names import names_same_dataset
from trainer.core import frozen_threshold, max_escape, operating_tables, run_folder, verdict_shares
from trainer.core.card import LIMITS, Result, header, markdown, meanings
from trainer.core.decision import EVEN, Thresholds
from trainer.core.fitness import fitness_said
from trainer.core.settings import ROWS_MEANING
from trainer.core.tolerance import words
from trainer.vit import hub_files, results
from trainer.vit import run as vit_run
from trainer.vit.network.model import ViTConfig
from trainer.vit.run import TrainingConfig

TASK = "Image classification"
INPUTS = {"image": "RGB pictures", "nsoart": "NSOART pictures"}
BOTH_INPUTS = "pictures and their NSOART pictures, six channels"


@dataclass(frozen=True)
class CardResults:
    """Measured results for the card: those in its YAML, tables in Markdown, a note, the section on operating points."""

    results: list[Result]
    tables: str
    note: str
    points: str


def measured_of(run: Path, summary: Mapping[str, Any]) -> CardResults:
    """Read a run's results: those of `trainer.evaluate` if it measured the best weights, else those in `summary`."""
    document = results.evaluation_of(run)
    return _at_the_end(summary) if document is None else _evaluated(document, summary)


def _at_the_end(summary: Mapping[str, Any]) -> CardResults:
    splits = summary["splits"]
    return CardResults(
        [Result(n, "accuracy", "Accuracy", TASK, float(s["accuracy"])) for n, s in splits.items()],
        markdown(
            ("split", "parts" if summary.get("views") else "pictures", "accuracy", "balanced accuracy"),
            [[n, s["pictures"], s["accuracy"], s["balanced_accuracy"]] for n, s in splits.items()],
        ),
        "Measured at the end of the training, accuracies without threshold and intervals; `python -m trainer.evaluate` "
        "adds them.",
        operating_tables.markdown_section(splits),
    )


def _evaluated(document: Mapping[str, Any], summary: Mapping[str, Any]) -> CardResults:
    found, lines, classes = [], [], []
    for name, m in document["splits"].items():
        for kind, title in (("accuracy", "Accuracy"), ("balanced_accuracy", "Balanced accuracy")):
            low, high = m[kind]["interval"]
            text = f"{title} (95 % interval {low:.3f} to {high:.3f})"
            found.append(Result(name, kind, text, TASK, float(m[kind]["share"])))
        verdicts = verdict_shares.cells(m)
        accuracy = m["accuracy"]
        lines.append([name, m["pictures"], m["parts"], accuracy["share"], accuracy["interval"], *verdicts])
        classes += [
            [name, label, *(c[k][v] for k in ("recall", "precision") for v in ("share", "interval"))]
            for label, c in m["classes"].items()
        ]
    head = ("split", "pictures", "parts", "accuracy", "95 % interval", *verdict_shares.HEADER)
    by_class = ("split", "class", "recall", "95 % interval", "precision", "95 % interval")
    note = (
        f"Measured on `{document['data']}`, {ROWS_MEANING[document['rows']]}. Escapes: NG called OK; overkill: OK "
        "called NG; UNSURE and INVALID are neither. Intervals: bootstrap over parts; of escapes and overkill "
        "Clopper-Pearson over pictures."
    )
    if summary.get("views"):
        note += " The model judges parts, not pictures: all counts are of parts."
    tables = markdown(head, lines) + "\n\n" + markdown(by_class, classes)
    return CardResults(found, tables, note, operating_tables.markdown_section(document["splits"]))


def vit_card(
    run: Path, name: str, pictures: Sequence[tuple[str, str]], datasets: Sequence[str] = (), license: str = ""
) -> str:
    """Return the text of a ViT's model card.

    Args:
        run, name: Folder of a finished run, and the model's name on the Hub (owner/name).
        pictures: Path on the Hub and caption of each picture.
        datasets, license: Names on the Hub of the training datasets, and the Hub's id of the licence.

    Raises:
        InputError: See `results.summary_of`.
    """
    config, settings = vit_run.load_config(run)
    summary = results.summary_of(run)
    held = frozen_threshold.load(run)
    document = run_folder.read_json(run / run_folder.CONFIG, "a run's configuration")
    by_transformers = "auto_map" in document and hub_files.takes_one_picture(config)
    measured = measured_of(run, summary)
    data = summary.get("data", {})
    measured_on = (results.evaluation_of(run) or {}).get("data", data.get("name", ""))
    about = {
        "input": settings.input,
        "classes": list(config.classes),
        **({"views": list(config.views)} if config.views else {}),
        **({"threshold_ng": held.threshold, "temperature": held.temperature, **_limits(held.limits)} if held else {}),
    }
    escapes = max_escape.said(held.max_escape) if held else ""
    fitness = " ".join(f"{text}." for text in (fitness_said(results.fitness_of_run(run)), escapes) if text)
    parts = [
        header(
            name.rpartition("/")[2],
            "image-classification",
            "transformers" if by_transformers else "pinsight",
            ["image-classification", "vision-transformer"],
            measured.results,
            datasets=datasets,
            data_name=measured_on,
            # `datasets` names the training's dataset; another one may have been measured.
            measured_on=datasets[0] if datasets and names_same_dataset(data.get("name", ""), measured_on) else "",
            license=license,
            about=about,
        ),
        f"# {name.rpartition('/')[2]}",
        _what_it_is(config, settings),
        _trained_on(settings, summary, datasets, words(run_folder.recorded_tolerances(run))),
        _use(name, by_transformers, settings.input, held.limits if held else None, config.views),
        f"## Measured\n\n{fitness}\n\n{measured.tables}\n\n{measured.note} "
        "The best epoch and the threshold were chosen on `validation`: its numbers are optimistic.",
        *filter(None, [measured.points]),
        *(f"![{caption}]({path})\n\n{caption}" for path, caption in pictures),
        LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


def _limits(limits: Thresholds) -> dict[str, float]:
    return {"escape_threshold": limits.escape, "overkill_threshold": limits.overkill}


def _what_it_is(config: ViTConfig, settings: TrainingConfig) -> str:
    views = config.views
    shown_from = f"{len(views)} pictures ({', '.join(views)})" if views else "one picture"
    terms = (*config.classes, "NG", *(("NSOART",) if settings.input != "image" else ()))
    return (
        f"A small vision transformer that classifies {shown_from} of a connector as one of "
        f"{', '.join(f'`{c}`' for c in config.classes)}. Input: {INPUTS.get(settings.input, BOTH_INPUTS)}, "
        f"{config.width} x {config.height} px, patches of {config.patch_size} px. Trained with Pinsight.\n\n"
        f"{meanings(terms)}"
    )


def _trained_on(settings: TrainingConfig, summary: Mapping[str, Any], datasets: Sequence[str], tolerance: str) -> str:
    data = summary.get("data", {})
    known = ", ".join(f"`{one}`" for one in datasets) or f"`{data.get('name', 'not recorded')}`"
    digest = f" (content {data['content_sha256'][:16]})" if "content_sha256" in data else ""
    counted = f"{summary['training_pictures']} pictures, " if "training_pictures" in summary else ""
    begun = f"starting with `{Path(settings.init).name}`" if settings.init else "from random weights"
    return (
        f"## Trained on\n\nDataset {known}{digest}, {counted}{ROWS_MEANING[settings.rows]}; {summary['epochs']} epochs "
        f"(best: {summary['best_epoch']}), seed {settings.seed}, {begun}. Tolerance "
        f"that makes a pin NG, mm: {tolerance}; another tolerance needs a new training."
    )


def _use(name: str, by_transformers: bool, input_: str, limits: Thresholds | None, views: Sequence[str]) -> str:
    said = (
        f" The verdict is OK below P(NG) = 1 - P(OK) = {min(limits.escape, EVEN):.4f}, NG from {limits.overkill:.4f} "
        "on, and UNSURE between: thresholds chosen on validation."
        if limits
        else ""
    )
    text = "## Use\n\n"
    if by_transformers:
        text += (
            "```python\nfrom transformers import pipeline\n\n"
            f'judge = pipeline("image-classification", model="{name}", trust_remote_code=True)\n'
            'print(judge("picture.png"))\n```\n\n'
            "`trust_remote_code=True` runs the Python files of this repository: read them first. "
        )
    given = " ".join(f"part7_{view}.png" for view in views) or "picture.png"
    text += (
        "With Pinsight, on a downloaded copy, with the threshold and a heat map:\n\n"
        f"    python -m trainer.predict --model FOLDER {given} --out predictions\n\n"
        f"Pictures must be taken as the training pictures were: same view, same framing.{said}"
    )
    if input_ != "image":
        text += (
            " NSOART pictures must be computed with the parameters in the training dataset's `nsoart.json`, "
            "and with its folder `nsoart/` where it has one."
        )
    return text
