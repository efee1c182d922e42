"""The report of a detection run: one self-contained HTML page, and a model card for a hub."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.core import card
from trainer.core.checkpoint import write_text
from trainer.core.page import STYLE, picture, shown, table

MEASURES = (
    ("pictures", "pictures"),
    ("boxes", "true boxes"),
    ("map", "mAP"),
    ("map50", "mAP50"),
    ("map50_interval", "95 % interval"),
    ("right_address_and_mode", "right address and mode"),
    ("missing_found", "missing pins found"),
    ("false_boxes_per_ok_picture", "false boxes per OK picture"),
    ("precision", "precision"),
    ("recall", "recall"),
)


def parts_of(measured: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """A split's parts by name: all, positions, digits, factors."""
    parts: list[tuple[str, Mapping[str, Any]]] = [("all", measured)]
    parts += [(f"{name} positions", part) for name, part in measured.get("positions", {}).items()]
    parts += [(f"{name} digits", part) for name, part in measured.get("digits", {}).items()]
    for factor, levels in measured.get("factors", {}).items():
        parts += [(f"{factor} = {level}", part) for level, part in levels.items()]
    return parts


def split_parts(name: str, measured: Mapping[str, Any]) -> list[str]:
    """Pieces of a page that say what `detection_metrics.report` found in one split."""
    rows = [[part, *(values.get(key) for key, _ in MEASURES)] for part, values in parts_of(measured)]
    per_class = [[k, v["boxes"], v["map"], v["map50"]] for k, v in measured["per_class"].items()]
    if measured.get("small"):
        small = measured["small"]
        per_class.append([f"boxes below {small['below_px2']:.0f} px²", None, small["map"], small["map50"]])
    ceiling = measured["ceiling"]
    return [
        f"<h2>{html.escape(name)}</h2>",
        table(["", *(title for _, title in MEASURES)], rows),
        table(["class", "true boxes", "mAP", "mAP50"], per_class),
        f'<p class="small">The true boxes in an answer\'s thousandths reach mAP {shown(ceiling["map"])}; '
        f"cut to whole pixels, as the library's parser does, {shown(ceiling['map_whole_px'])}.</p>",
    ]


def write_html(run: Path, summary: Mapping[str, Any]) -> None:
    """Write RUN/report.html from the summary and the run's pictures."""
    settings = summary["settings"]
    out = [
        f"<!doctype html><meta charset='utf-8'><title>Florence-2: {html.escape(run.name)}</title>",
        f"<style>{STYLE}</style>",
        f"<h1>Florence-2 detection: {html.escape(run.name)}</h1>",
        "<p>"
        + html.escape(
            f"{settings['model']}, {settings['mode']}; {summary['trained_parameters']:,} of "
            f"{summary['parameters']:,} parameters trained on {summary['training_pictures']} pictures for "
            f"{summary['epochs']} epochs in {summary['minutes']:.1f} min on {summary['device']}. Weights of epoch "
            f"{summary['best_epoch']} (best validation mAP). A box counts from confidence "
            f"{summary['threshold']:.3f} on, chosen on validation."
        )
        + "</p>",
    ]
    for name, measured in summary["splits"].items():
        out += split_parts(name, measured)
    out.append(
        "<h2>Curves</h2>" + picture(run / "curves.png", "Losses and validation over the training pictures")
    )
    out.append(picture(run / "calibration.png", "Confidence against the share of true boxes"))
    sheets = sorted((run / "sheets").glob("epoch_*.png"))
    if sheets:
        out.append("<h2>The same pictures, before training and after</h2>")
        out += [picture(path, path.stem.replace("_", " ")) for path in sheets]
    out.append(
        "<h2>What training changed</h2>" + picture(run / "changes.png", "Relative change of each weight")
    )
    if forgetting := summary.get("forgetting"):
        out.append(
            "<h2>Forgetting</h2>"
            f"<p>Pictures that are no connectors, before and after: similarity of answers "
            f"{forgetting['similarity']:.3f}, agreement of probabilities {forgetting['agreement']:.3f}.</p>"
        )
        keys = ("picture", "task", "before", "after", "similarity", "agreement")
        out.append(table(keys, [[row[key] for key in keys] for row in forgetting["rows"]]))
    out.append("<h2>Settings</h2>" + table(["option", "value"], sorted(settings.items())))
    write_text(run / "report.html", "\n".join(filter(None, out)) + "\n")


def _results(summary: Mapping[str, Any]) -> list[tuple[str, str, str, str, float]]:
    """The card's results: mAP and, with its interval, mAP50 of each split."""
    found: list[tuple[str, str, str, str, float]] = []
    for name, measured in summary["splits"].items():
        for key in ("map", "map50"):
            if measured.get(key) is None:
                continue
            interval = measured.get("map50_interval") if key == "map50" else None
            words = dict(MEASURES)[key] + (f" (95 % interval {shown(interval)})" if interval else "")
            found.append((name, key, words, "Detection of defective pins", float(measured[key])))
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
    top = card.header(
        name,
        "object-detection",
        "transformers",
        ["florence-2", "object-detection"],
        _results(summary),
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
    trained_on = ", ".join(f"`{one}`" for one in datasets)
    parts = [
        top,
        f"# {name}",
        f"Florence-2 ({'a tiny one from random weights' if tiny else settings['model']}) trained with Pinsight to "
        f"box defective pins of connectors: {', '.join(labels)}. Task `<OD>`; an empty answer: nothing was found.",
        "## Trained on\n\n"
        + (f"Dataset {trained_on}. " if trained_on else "")
        + f"`{settings['mode']}`, {summary['trained_parameters']:,} of {summary['parameters']:,} parameters, "
        f"{summary['training_pictures']} pictures, {summary['epochs']} epochs, seed {settings['seed']}.",
        "## Use\n\n```python\nfrom transformers import AutoProcessor, Florence2ForConditionalGeneration\n\n"
        f'model = Florence2ForConditionalGeneration.from_pretrained("{repository or "FOLDER"}")\n'
        f'processor = AutoProcessor.from_pretrained("{repository or "FOLDER"}")\n```\n\n'
        "Generate with `no_repeat_ngram_size=0`: the boxes of an answer repeat their tokens. With a confidence per "
        f"box, constrained decoding and pin addresses: `python -m trainer.predict` of Pinsight on the training's run. "
        f"Boxes count from confidence {summary['threshold']:.3f} on.",
        "## Measured\n\n" + card.markdown(("split", *(title for _, title in MEASURES)), rows),
        "The threshold and the best epoch were chosen on `validation`: its numbers are optimistic.",
        *(f"![{caption}]({path})\n\n{caption}" for path, caption in pictures),
        card.LIMITS,
    ]
    return "\n\n".join(parts) + "\n"
