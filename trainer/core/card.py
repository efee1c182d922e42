"""Parts of every model card (README.md of a model on the Hub): YAML header, classes, tables, limits of use.

The cards themselves: `trainer.vit.card`, `trainer.florence2.card`. `dataset_settings` reads a dataset's card.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from generator.reporting.glossary import WORDS
from generator.reporting.pages import shown

# The key in a card's YAML that marks it as written by this project.
PINSIGHT = "pinsight"
LIMITS = """## Limits

This model was trained and measured on the dataset named above. If its pictures were rendered, the numbers hold for
similar renders, not for your parts. Do not release or reject parts by this model before a trial has shown what it
misses: at your station, with its camera and light, with known good and known defective parts. The model knows only the
defects and camera views of its training, and does not search for the connector in a wider picture."""


class Result(NamedTuple):
    """One result in a model card: split, the metric's id on the Hub and its name (`words`), task's name, value."""

    split: str
    metric: str
    words: str
    task: str
    value: float


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Format a header and rows as a Markdown table; numbers are formatted as on the report pages."""
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(shown(cell) for cell in row)} |" for row in rows)])


def meanings(words: Sequence[str]) -> str:
    """Return a Markdown list that explains `words`, such as class names; words that the glossary lacks are left out."""
    return "\n".join(f"- {word}: {WORDS[word]}." for word in words if word in WORDS)


def header(
    name: str,
    task: str,
    library: str,
    tags: Sequence[str],
    results: Sequence[Result],
    *,
    datasets: Sequence[str] = (),
    data_name: str = "",
    measured_on: str = "",
    base_model: str = "",
    license: str = "",
    about: Mapping[str, Any],
) -> str:
    """Return the YAML header of a model card, with the lines of hyphens around it.

    Args:
        name: Name of the model.
        task: The Hub's id of the task, such as image-classification.
        library: Library that loads the model.
        tags: Tags for the Hub, added to those of this project.
        results: Measured results, one per split and metric.
        datasets: Names on the Hub of the training datasets.
        data_name: Name of the dataset on which the results were measured.
        measured_on: That dataset's name on the Hub; empty if unknown.
        base_model: Name on the Hub of the model that was fine-tuned; empty if there was none.
        license: The Hub's id of the licence.
        about: Values of this project, written under the key `pinsight`.
    """
    from huggingface_hub import EvalResult, ModelCardData

    measured = [
        EvalResult(
            task_type=task,
            task_name=one.task,
            dataset_type=measured_on or "pinsight",
            dataset_name=data_name or "dataset",
            dataset_split=one.split,
            metric_type=one.metric,
            metric_name=one.words,
            metric_value=one.value,
        )
        for one in results
    ]
    data = ModelCardData(
        model_name=name,
        pipeline_tag=task,
        library_name=library,
        tags=[*tags, "industrial-inspection", "synthetic-data", "pinsight"],
        datasets=list(datasets) or None,
        base_model=base_model or None,
        license=license or None,
        metrics=sorted({one.metric for one in results}) or None,
        eval_results=measured or None,
        **{PINSIGHT: dict(about)},  # type: ignore[arg-type]
    )
    return f"---\n{data.to_yaml()}\n---\n"


def dataset_settings(folder: Path) -> dict[str, Any]:
    """Return the build settings in the card (README.md) of a dataset's folder; {} if Pinsight did not write it."""
    from generator.dataset.card_header import read_settings

    try:
        return read_settings((folder / "README.md").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # a dataset of another program, or without a card


def is_ours(text: str) -> bool:
    """Return whether Pinsight wrote the card with this text: its YAML has the key `pinsight`."""
    from huggingface_hub import ModelCard

    if not text.startswith("---"):
        return False
    try:
        held = ModelCard(text, ignore_metadata_errors=True).data.to_dict()  # type: ignore[no-untyped-call]
        return PINSIGHT in held
    except (ValueError, TypeError, AttributeError):
        return False
