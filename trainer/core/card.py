"""What the model cards of every kind of run share: the YAML that a hub reads, tables, and the limits of use.

The cards themselves: `trainer.vit.card`, `trainer.florence2.card`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from generator.reporting.pages import shown

# The key by which a card is known as one of ours.
PINSIGHT = "pinsight"
LIMITS = """## Limits

Trained and measured on the dataset named above. If those pictures were rendered, the numbers say what it can do on
renders like them, not on your parts. It must not release or reject a part before a trial at the station has shown,
with known good and known defective parts under that camera and light, what it misses. It knows the defects it was
shown, seen from where they were seen; it does not look for the connector in a wider picture."""


class Result(NamedTuple):
    """One number of a card's YAML: of which split, the Hub's name of the metric, its name and task in words."""

    split: str
    metric: str
    words: str
    task: str
    value: float


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; cells as on the reports."""
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(shown(cell) for cell in row)} |" for row in rows)])


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
    """The YAML of a card, between its lines of hyphens.

    Args:
        name: Of the model.
        task: The Hub's name of the task.
        library: What loads it.
        tags: The Hub's tags, beside our own.
        results: What was measured.
        datasets: Names on the Hub of what it was trained on.
        data_name: What the results' dataset is called.
        measured_on: Its name on the Hub, where that is known.
        base_model: Its name on the Hub.
        license: The Hub's id of one.
        about: What stands under `pinsight`.
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


def is_ours(text: str) -> bool:
    """Whether a card is one that was made here."""
    from huggingface_hub import ModelCard

    if not text.startswith("---"):
        return False
    try:
        held = ModelCard(text, ignore_metadata_errors=True).data.to_dict()  # type: ignore[no-untyped-call]
        return PINSIGHT in held
    except (ValueError, TypeError, AttributeError):
        return False
