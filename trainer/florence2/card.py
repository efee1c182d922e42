"""README.md of a trained Florence-2: what a stranger must know before using it, and the YAML that a hub reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from generator.reporting.pages import shown
from trainer.core.card import LIMITS, Result, header, markdown
from trainer.florence2.evaluation_page import MEASURES


def results_of(summary: Mapping[str, Any]) -> list[Result]:
    """The card's results: mAP and, with its interval, mAP50 of each split."""
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
    """README.md of a trained model, with YAML that a hub reads.

    Args:
        name: Of the model.
        summary: What summary.json holds.
        labels: What it says of pins.
        pictures: Path beside the card and caption of each.
        datasets: Names on the Hub of what it was trained on.
        license: The Hub's id of one.
        repository: owner/name of the model there.
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
    rows = [
        [f"{split}, {part}", *(values.get(key) for key, _ in MEASURES)]
        for split, measured in summary["splits"].items()
        for part, values in [("all", measured), *measured.get("positions", {}).items()]
    ]
    parts = [
        top,
        f"# {name}",
        f"Florence-2 ({'a tiny one from random weights' if tiny else settings['model']}) trained with Pinsight to "
        f"box defective pins of connectors: {', '.join(labels)}. Task `<OD>`; an empty answer: nothing was found.",
        _trained_on(summary, datasets),
        _use(repository or "FOLDER", summary["threshold"]),
        "## Measured\n\n" + markdown(("split", *(title for _, title in MEASURES)), rows),
        "The threshold and the best epoch were chosen on `validation`: its numbers are optimistic.",
        *(f"![{caption}]({path})\n\n{caption}" for path, caption in pictures),
        LIMITS,
    ]
    return "\n\n".join(parts) + "\n"


def _trained_on(summary: Mapping[str, Any], datasets: Sequence[str]) -> str:
    settings = summary["settings"]
    trained_on = ", ".join(f"`{one}`" for one in datasets)
    return (
        "## Trained on\n\n"
        + (f"Dataset {trained_on}. " if trained_on else "")
        + f"`{settings['mode']}`, {summary['trained_parameters']:,} of {summary['parameters']:,} parameters, "
        f"{summary['training_pictures']} pictures, {summary['epochs']} epochs, seed {settings['seed']}."
    )


def _use(repository: str, threshold: float) -> str:
    return (
        "## Use\n\n```python\nfrom transformers import AutoProcessor, Florence2ForConditionalGeneration\n\n"
        f'model = Florence2ForConditionalGeneration.from_pretrained("{repository}")\n'
        f'processor = AutoProcessor.from_pretrained("{repository}")\n```\n\n'
        "Generate with `no_repeat_ngram_size=0`: the boxes of an answer repeat their tokens. With a confidence per "
        f"box, constrained decoding and pin addresses: `python -m trainer.predict` of Pinsight on the training's run. "
        f"Boxes count from confidence {threshold:.3f} on."
    )
