"""OUT/report.html of a ViT's evaluation: shows evaluation.json and the pictures beside it on one page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generator.reporting.pages import render
from trainer.core import operating_tables, run_folder, verdict_shares
from trainer.core.frozen_threshold import CRITERION
from trainer.core.max_escape import fitness_and_escapes
from trainer.core.run_folder import REPORT
from trainer.core.settings import ROWS_MEANING
from trainer.core.tolerance import Comparison

SUMMARY = (
    *("split", "pictures", "parts", "accuracy", "95 % interval", "balanced accuracy", "AUROC"),
    *verdict_shares.HEADER,
)
CLASSES = ("class", "pictures", "recall", "95 % interval", "precision", "95 % interval")
DETECTION = (*("size", "defects", "found", "95 % bounds"), *("90 % found from, mm", "90/95 point, mm", "note"))
FACTORS = (*("factor", "level", "pictures", "parts"), *("accuracy", "95 % interval", *verdict_shares.SHORT_HEADER))


def write_page(out: Path, document: Mapping[str, Any]) -> None:
    """Write OUT/report.html from the content of evaluation.json and the pictures in OUT."""
    title = f"Evaluation: {document['model']} on {document['data']}"
    page = render("trainer.vit", "evaluation.html.j2", title=title, evaluation=measured_of(out, document))
    run_folder.write_text(out / REPORT, page)


def measured_of(out: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """Make the values for `templates/measured.html.j2` from evaluation.json's content; `out` has the pictures."""
    return {
        "document": document,
        "tolerance": Comparison(**document["tolerance"]).sentence() if "tolerance" in document else "",
        "fitness": document.get("adapted") or fitness_and_escapes(document["frozen"]),
        "classes": list(
            dict.fromkeys(name for measured in document["splits"].values() for name in measured["classes"])
        ),
        "folder": out,
        "operating_points": operating_tables.view(document["splits"]),
        "rows_meaning": ROWS_MEANING[document["rows"]],
        "criterion": CRITERION,
        "summary_header": SUMMARY,
        "summary": [_summary_row(name, measured) for name, measured in document["splits"].items()],
        "splits": [
            {
                "name": name,
                "left_out": document["left_out"].get(name),
                "tables": _split_tables(measured),
                "has_mistakes": bool(measured["mistakes"]),
            }
            for name, measured in document["splits"].items()
        ],
    }


def _summary_row(name: str, measured: Mapping[str, Any]) -> list[Any]:
    return [
        name,
        measured["pictures"],
        measured["parts"],
        measured["accuracy"]["share"],
        measured["accuracy"]["interval"],
        measured["balanced_accuracy"]["share"],
        measured["auroc"],
        *verdict_shares.cells(measured),
    ]


def _split_tables(measured: Mapping[str, Any]) -> list[tuple[tuple[str, ...], list[list[Any]]]]:
    """Make header and rows of a split's tables by class, size and factor; the last two only where they have rows."""
    by_class = [
        [label, m["recall"]["of"], *(m[k][v] for k in ("recall", "precision") for v in ("share", "interval"))]
        for label, m in measured["classes"].items()
    ]
    by_size = [
        [
            m.replace("_mm", ", mm").replace("_", " "),
            d["defects"],
            d["found"],
            d["interval"],
            d["a90_mm"],
            d["a90_95_mm"],
            d["note"],
        ]
        for m, d in measured["detection"].items()
    ]
    by_factor = [
        [factor, level, m["pictures"], m["parts"], m["accuracy"], m["interval"], *verdict_shares.short_cells(m)]
        for factor, levels in measured["factors"].items()
        for level, m in levels.items()
    ]
    tables = ((CLASSES, by_class), (DETECTION, by_size), (FACTORS, by_factor))
    return [(header, rows) for header, rows in tables if rows or header is CLASSES]
