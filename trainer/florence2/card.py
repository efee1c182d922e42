"""Model card (README.md) of a trained Florence-2: description, use, measured results, limits, and YAML for the Hub."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from generator.reporting.glossary import CLASS_WORDS, WORDS
from generator.reporting.pages import shown
from trainer.core import operating_tables, verdict_shares
from trainer.core.card import LIMITS, Result, header, markdown
from trainer.core.max_escape import fitness_and_escapes
from trainer.core.tolerance import words
from trainer.florence2.evaluation_page import MEASURES, OBSERVABLE, OBSERVABLE_SENTENCE, observable_of, parts_of
from trainer.florence2.network import MODE_WORDS

ALSO_EXPLAINED = ("right address and mode", "false boxes", "precision", "recall", "held-out")


def results_of(summary: Mapping[str, Any]) -> list[Result]:
    """Return the results for the card's YAML from summary.json's content: mAP of each split, mAP50 with interval."""
    found: list[Result] = []
    for name, measured in summary["splits"].items():
        for key in ("map", "map50"):
            if measured.get(key) is None:
                continue
            interval = measured.get("map50_interval") if key == "map50" else None
            words = dict(MEASURES)[key] + (f" (95 % interval {shown(interval)})" if interval else "")
            found.append(Result(name, key, words, "Detection of defective pins", float(measured[key])))
    return found


def model_card(
    name: str,
    summary: Mapping[str, Any],
    labels: Sequence[str],
    pictures: Sequence[tuple[str, str]] = (),
    datasets: Sequence[str] = (),
    license: str = "",
    repository: str = "",
) -> str:
    """Return the text of README.md, with the YAML that the Hub reads.

    Args:
        name, summary: The model's name, and the content of summary.json.
        labels: Classes that an answer may name.
        pictures: Path relative to the card, and caption, of each picture.
        datasets, license: Names on the Hub of the training datasets, and the Hub's id of the licence.
        repository: owner/name of the model on the Hub; empty: the example of use has FOLDER in its place.
    """
    settings = summary["settings"]
    tiny = settings["model"] == "tiny"
    top = header(
        name,
        "object-detection",
        "transformers",
        ["florence-2", "object-detection"],
        results_of(summary),
        datasets=datasets,
        measured_on=datasets[0] if datasets else "",
        base_model="" if tiny else settings["model"],
        license=license,
        about={"threshold": summary["threshold"], "labels": list(labels), "input": settings["input"]},
    )
    measured_parts = [
        (f"{split}, {part}", values)
        for split, measured in summary["splits"].items()
        for part, values in parts_of({**measured, "digits": {}, "factors": {}})
    ]
    rows = [[part, *(values.get(key) for key, _ in MEASURES)] for part, values in measured_parts]
    parts = [
        top,
        f"# {name}",
        f"Florence-2 ({'a tiny one from random weights' if tiny else settings['model']}), trained with Pinsight to "
        "draw a box around each defective pin of a connector and to name its class. Task: `<OD>` (object detection); "
        "an empty answer means that no defect was found (OK).",
        _meanings((label, CLASS_WORDS.get(label.replace("-", ""), "")) for label in labels),
        _trained_on(summary, datasets),
        _use(repository or "FOLDER", summary["threshold"]),
        f"## Measured\n\n{fitness_and_escapes(summary)}.\n\n"
        + markdown(("split", *(title for _, title in MEASURES)), rows),
        *_observable(observable_of(measured_parts)),
        *_verdicts(summary["splits"]),
        *filter(None, [operating_tables.markdown_section(summary["splits"])]),
        "The threshold and the best epoch were chosen on `validation`: its numbers are optimistic.",
        _meanings((word, WORDS[word]) for word in ("mAP", "mAP50", *ALSO_EXPLAINED)),
        *(f"![{caption}]({path})\n\n{caption}" for path, caption in pictures),
        LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


def _observable(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Write the table of the defects that can be seen; nothing if all can, and for runs of earlier versions."""
    header = ("split", *(title for _, title in OBSERVABLE))
    return [OBSERVABLE_SENTENCE, markdown(header, rows)] if rows else []


def _verdicts(splits: Mapping[str, Any]) -> list[str]:
    """Write the table of the verdicts on whole pictures; nothing for runs of earlier versions."""
    rows = [[name, *verdict_shares.cells(one["verdicts"])] for name, one in splits.items() if "verdicts" in one]
    if not rows:
        return []
    words = "Verdicts on whole pictures. Escapes: NG pictures judged OK; overkill: OK pictures judged NG."
    return [words, markdown(("split", *verdict_shares.HEADER), rows)]


def _trained_on(summary: Mapping[str, Any], datasets: Sequence[str]) -> str:
    settings = summary["settings"]
    trained_on = ", ".join(f"`{one}`" for one in datasets)
    return (
        "## Trained on\n\n"
        + (f"Dataset {trained_on}. " if trained_on else "")
        + f"Mode `{settings['mode']}` ({MODE_WORDS[settings['mode']]}): {summary['trained_parameters']:,} of "
        f"{summary['parameters']:,} parameters trained on {summary['training_pictures']} pictures for "
        f"{summary['epochs']} epochs, seed {settings['seed']}. Tolerance that makes a pin NG, mm: "
        f"{words(summary.get('tolerance'))}; another tolerance needs a new training."
    )


def _meanings(words: Iterable[tuple[str, str]]) -> str:
    """Markdown list of words with their meanings; an empty meaning is left out."""
    return "\n".join(f"- {word}: {meaning}" if meaning else f"- {word}" for word, meaning in words)


def _use(repository: str, threshold: float) -> str:
    return (
        "## Use\n\n```python\nfrom transformers import AutoProcessor, Florence2ForConditionalGeneration\n\n"
        f'model = Florence2ForConditionalGeneration.from_pretrained("{repository}")\n'
        f'processor = AutoProcessor.from_pretrained("{repository}")\n```\n\n'
        "Generate with `no_repeat_ngram_size=0`, because the boxes of an answer repeat tokens. Pinsight's "
        "`python -m trainer.predict` on the training's run adds a confidence per box and pin addresses, keeps answers "
        f"well-formed, and counts a box if its confidence is {threshold:.3f} or more."
    )
