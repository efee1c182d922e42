"""What a ViT's evaluation.json holds, and the pictures beside it, as pieces of a page for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.core import page, run_folder
from trainer.core.frozen_threshold import CRITERION
from trainer.core.run_folder import REPORT

INTERVALS = (
    "Intervals of accuracy, recall and precision: bootstrap over parts, 1,000 draws; where all are right, or "
    "all wrong, Clopper and Pearson's with a part as one trial, and of the mean recall Buehler's. Escapes (NG "
    "said OK) and overkill (OK said NG): Clopper and Pearson's over pictures, too narrow where a part has "
    "several."
)
SUMMARY = (
    *("split", "pictures", "parts", "accuracy", "95 % interval", "balanced accuracy", "AUROC"),
    *("escapes", "95 % bounds", "overkill", "95 % bounds"),
)
CLASSES = ("class", "pictures", "recall", "95 % interval", "precision", "95 % interval")
DETECTION = (
    *("size", "defects", "found", "95 % bounds"),
    *("90 % found from, mm", "90/95 point, mm", "note"),
)
FACTORS = (
    *("factor", "level", "pictures", "parts"),
    *("accuracy", "95 % interval", "escapes", "overkill"),
)


def write_page(out: Path, document: Mapping[str, Any]) -> None:
    """Write OUT/report.html from what evaluation.json holds and the pictures in OUT."""
    head = page.head(f"Evaluation: {document['model']} on {document['data']}")
    run_folder.write_text(out / REPORT, "\n".join([head, *page_parts(out, document)]) + "\n")


def page_parts(out: Path, document: Mapping[str, Any], heading: str = "h2") -> list[str]:
    """The page's pieces below its title: what evaluation.json holds, and the pictures in OUT.

    Args:
        out: Folder of the pictures.
        document: What evaluation.json holds.
        heading: Tag of each split's heading.
    """
    reports = document["splits"]
    parts = [
        page.paragraph(_introduction(document)),
        page.table(SUMMARY, [_summary_row(name, measured) for name, measured in reports.items()]),
        page.paragraph(INTERVALS, small=True),
        page.picture(out / "confusion.png", "Confusion matrices; shading by share of the true class"),
        page.picture(out / "calibration.png", "Probability against share right; area by pictures"),
        page.picture(
            out / "detection.png",
            "Pictures with one visible defect of known size: found (top) or missed (bottom), grey: share by fifths",
        ),
    ]
    for name, measured in reports.items():
        parts.append(f"<{heading}>{page.text(name)}</{heading}>")
        if left := document["left_out"].get(name):
            parts.append(page.paragraph(f"{left} rows left out by --rows {document['rows']}.", small=True))
        parts += _split_tables(measured)
        parts.append(page.picture(out / f"effects_{name}.png", "Main effects"))
        if measured["mistakes"]:
            caption = "The worst mistakes: wrong verdicts first, the surest first; yellow: the true place"
            parts.append(page.picture(out / f"mistakes_{name}.png", caption))
        else:
            parts.append(page.paragraph("No mistakes."))
    return list(filter(None, parts))


def _introduction(document: Mapping[str, Any]) -> str:
    held = document["frozen"]
    text = (
        f"Dataset {document['data']}. NG is said from P(NG) = {held['threshold']:.4f} on: "
        f"{CRITERION} ({held['pictures']} pictures), "
        f"frozen with the weights {held['weights_sha256'][:12]}. So the numbers of "
        "validation itself are optimistic. "
        f"Temperature {held['temperature']:.3f}. Rows: {document['rows']}."
    )
    if document.get("views"):
        text += (
            f" Parts are judged, each from its pictures of {', '.join(document['views'])} together: where it says "
            "pictures, parts are counted."
        )
    return text


def _summary_row(name: str, measured: Mapping[str, Any]) -> list[Any]:
    return [
        name,
        measured["pictures"],
        measured["parts"],
        measured["accuracy"]["share"],
        measured["accuracy"]["interval"],
        measured["balanced_accuracy"]["share"],
        measured["auroc"],
        f"{measured['escapes']['count']} of {measured['escapes']['of']}",
        measured["escapes"]["interval"],
        f"{measured['overkill']['count']} of {measured['overkill']['of']}",
        measured["overkill"]["interval"],
    ]


def _split_tables(measured: Mapping[str, Any]) -> list[str]:
    """Tables of a split: by class, by size, by factor; those without a row are left out."""
    by_class = [
        [
            label,
            m["recall"]["of"],
            *(m[k][v] for k in ("recall", "precision") for v in ("share", "interval")),
        ]
        for label, m in measured["classes"].items()
    ]
    by_size = [
        [m, d["defects"], d["found"], d["interval"], d["a90_mm"], d["a90_95_mm"], d["note"]]
        for m, d in measured["detection"].items()
    ]
    by_factor = [
        [
            factor,
            level,
            m["pictures"],
            m["parts"],
            m["accuracy"],
            m["interval"],
            *(f"{m[k]['count']} of {m[k]['of']}" for k in ("escapes", "overkill")),
        ]
        for factor, levels in measured["factors"].items()
        for level, m in levels.items()
    ]
    tables = ((CLASSES, by_class), (DETECTION, by_size), (FACTORS, by_factor))
    return [page.table(header, rows) for header, rows in tables if rows or header is CLASSES]
