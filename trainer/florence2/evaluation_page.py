"""Tables of a detector's measures in each split, and the page of an evaluation.

`trainer.florence2.metrics` computes the measures.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from generator.reporting.pages import render, shown
from trainer.core import calibration, operating_tables, verdict_shares
from trainer.core.calibration import Calibration
from trainer.core.max_escape import fitness_and_escapes
from trainer.core.run_folder import REPORT, write_text
from trainer.core.tolerance import Comparison

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

# Measures of the defects that can be seen: keys of the key `observable`.
OBSERVABLE = (
    ("ignored", "ignored"),
    ("boxes", "true boxes"),
    ("map", "mAP"),
    ("map50", "mAP50"),
    ("map50_interval", "95 % interval"),
    ("right_address_and_mode", "right address and mode"),
    ("precision", "precision"),
    ("recall", "recall"),
)
OBSERVABLE_SENTENCE = (
    "Defects that can be seen: without pins whose bend or wrong height moves the tip by too few px (the dataset's "
    "--observable-px, usually 1). These are ignored: neither missed, nor is a box that matches one false."
)

DRAWN = [one for one in MEASURES if one[0] in ("map50", "map50_interval", "false_boxes_per_ok_picture")]


def parts_of(measured: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return name and measures of each group of a split's pictures, from the split's entry in evaluation.json.

    The groups are: all pictures; seen and held-out positions; pictures with and without printed digits; each level of
    each factor.
    """
    parts: list[tuple[str, Mapping[str, Any]]] = [("all", measured)]
    parts += [(f"{name} positions", part) for name, part in measured.get("positions", {}).items()]
    parts += [(f"{name} printed digits", part) for name, part in measured.get("digits", {}).items()]
    for factor, levels in measured.get("factors", {}).items():
        parts += [(f"{factor} = {level}", part) for level, part in levels.items()]
    return parts


def observable_of(parts: Iterable[tuple[str, Mapping[str, Any]]]) -> list[list[Any]]:
    """Return a table's rows, columns `OBSERVABLE`, for those parts (`parts_of`) with defects that cannot be seen."""
    return [
        [part, *(seen.get(key) for key, _ in OBSERVABLE)]
        for part, values in parts
        if (seen := values.get("observable"))
    ]


def split_tables(name: str, measured: Mapping[str, Any], left_out: int = 0) -> dict[str, Any]:
    """Make the variables of `templates/measured.html.j2` for the split `name`, from a result of `metrics.report`.

    `left_out`: number of pictures that --rows left out.
    """
    per_class = [[k, v["boxes"], v["map"], v["map50"]] for k, v in measured["per_class"].items()]
    if small := measured.get("small"):
        per_class.append([f"boxes below {small['below_px2']:.0f} px²", None, small["map"], small["map50"]])
    return {
        "name": name,
        "left_out": left_out,
        "verdict_header": verdict_shares.HEADER,
        "header": ["part of the split", *(title for _, title in MEASURES)],
        "parts": [[part, *(values.get(key) for key, _ in MEASURES)] for part, values in parts_of(measured)],
        "observable_header": ["part of the split", *(title for _, title in OBSERVABLE)],
        "observable": observable_of(parts_of(measured)),
        "observable_sentence": OBSERVABLE_SENTENCE,
        "classes": per_class,
        "verdicts": verdict_shares.cells(measured["verdicts"]) if "verdicts" in measured else None,
        "on_parts": verdict_shares.cells(parts) if (parts := measured.get("verdicts_on_parts")) else None,
        "ceiling": measured["ceiling"],
        "drawn_header": ("texts drawn on the pictures", *(title for _, title in DRAWN), *verdict_shares.SHORT_HEADER),
        "drawn": [
            [kind, *(part[key] for key, _ in DRAWN), *verdict_shares.short_cells(part["verdicts"])]
            for kind, part in (("none", measured), *measured.get("drawn", {}).items())
            if "drawn" in measured
        ],
    }


def calibration_said(measured: Mapping[str, Any]) -> str:
    """Return the expected calibration errors (ECE) of a split in words; `measured`: a result of `metrics.report`."""
    own = measured["calibration"]
    said = f"calibration error (ECE) of confidences: {shown(own['ece'])} of {own['boxes']} boxes found"
    if part := measured.get("calibration_of_counted"):
        before, after = (shown(part[key]["ece"]) for key in ("confidence", "probability"))
        said += f"; {before} of the {part['boxes']} that count, {after} of their probabilities"
    return said


def calibration_words(document: Mapping[str, Any]) -> str:
    """Say whether confidences are calibrated; `document`: content of frozen.json or summary.json, empty if missing."""
    held = document.get("calibration")
    return calibration.said(held and Calibration.from_json(held))


def write_page(out: Path, document: Mapping[str, Any]) -> None:
    """Write OUT/report.html from the content of evaluation.json and the pictures in OUT."""
    page = render(
        "trainer.florence2",
        "evaluation.html.j2",
        title=f"Evaluation: {document['model']} on {document['data']}",
        threshold=document["threshold"],
        tolerance=Comparison(**document["tolerance"]).sentence() if "tolerance" in document else "",
        fitness=fitness_and_escapes(document.get("frozen", {})),
        folder=out,
        calibration=calibration_words(document.get("frozen", {})),
        operating_points=operating_tables.view(document["splits"]),
        splits=[
            split_tables(name, measured, document.get("left_out", {}).get(name, 0))
            for name, measured in document["splits"].items()
        ],
        rows=document.get("rows", ""),
    )
    write_text(out / REPORT, page)
