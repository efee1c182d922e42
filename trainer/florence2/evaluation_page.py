"""What was measured of a detector's splits, as pieces of a page for people, and the page of an evaluation.

What is measured: `trainer.florence2.metrics`.
"""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.core import page
from trainer.core.run_folder import REPORT, write_text

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
    """Pieces of a page that say what `metrics.report` found in one split."""
    rows = [[part, *(values.get(key) for key, _ in MEASURES)] for part, values in parts_of(measured)]
    per_class = [[k, v["boxes"], v["map"], v["map50"]] for k, v in measured["per_class"].items()]
    if measured.get("small"):
        small = measured["small"]
        per_class.append([f"boxes below {small['below_px2']:.0f} px²", None, small["map"], small["map50"]])
    ceiling = measured["ceiling"]
    return [
        f"<h2>{html.escape(name)}</h2>",
        page.table(["", *(title for _, title in MEASURES)], rows),
        page.table(["class", "true boxes", "mAP", "mAP50"], per_class),
        f'<p class="small">The true boxes in an answer\'s thousandths reach mAP {page.shown(ceiling["map"])}; '
        f"cut to whole pixels, as the library's parser does, {page.shown(ceiling['map_whole_px'])}.</p>",
    ]


def write_page(out: Path, document: Mapping[str, Any]) -> None:
    """Write OUT/report.html from what evaluation.json holds and the pictures in OUT."""
    parts = [
        page.head(f"Evaluation: {document['model']} on {document['data']}"),
        page.paragraph(
            f"A box counts from confidence {document['threshold']:.3f} on, chosen on the run's validation: so the "
            "numbers of validation itself are optimistic."
        ),
    ]
    for name, measured in document["splits"].items():
        parts += split_parts(name, measured)
        caption = "The pictures with the most false and missed boxes: truth on the left"
        parts.append(page.picture(out / f"mistakes_{name}.png", caption))
    parts.append(page.picture(out / "calibration.png", "Confidence against the share of true boxes"))
    write_text(out / REPORT, "\n".join(filter(None, parts)) + "\n")
