"""Write OUT/report.html of a gauge's evaluation: one page with the numbers of evaluation.json and the plots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generator.reporting.pages import render
from generator.verdict.conformity import Decision
from generator.verdict.envelope import Verdict
from trainer.core import run_folder, verdict_shares
from trainer.core.run_folder import REPORT
from trainer.core.tolerance import words

AXES = {"dx": "dx", "dy": "dy", "retraction": "height"}
ERRORS = ("error", "95 % below", "answer zero", "bright tip", "slope", "bias")
COLUMNS = ("rms", "q95", "zero", "bright", "slope", "bias")
WITHIN = ("within U", "95 % interval", "p (Holm)")
NEAR = ("true position / limit", "pins", *Decision, "wrong", "right side: gauge", "bright tip", "answer zero")


def write_page(out: Path, document: Mapping[str, Any]) -> None:
    """Write report.html into the folder `out`, given the content of evaluation.json; the plots are read from `out`."""
    context = {
        "title": f"Evaluation: {document['model']} on {document['data']}",
        "document": document,
        "folder": out,
        "tolerance": words(document["data_tolerance"]),
        "part_rows": [row for name, split in document["splits"].items() for row in _part_rows(name, split)],
        "part_header": PARTS,
        "splits": {name: _split(found) for name, found in document["splits"].items()},
    }
    run_folder.write_text(out / REPORT, render("trainer.gauge", "evaluation.html.j2", **context))


PARTS = (
    *("split", "cameras", "tolerance", "truth", "parts", *(str(each) for each in Verdict)),
    *("wrong of decided", "95 % bounds", *verdict_shares.SHORT_HEADER[:2], "side of the limit right: gauge"),
    *("bright tip", "answer zero"),
)


def _part_rows(name: str, split: Mapping[str, Any]) -> list[list[Any]]:
    rows = []
    for cameras, found in split.items():
        for label, decisions in found["decisions"].items():
            parts = decisions["parts"]
            for truth, counts in parts["matrix"].items():
                shared: list[Any] = [None] * 7
                if truth == "OK":
                    wrong = f"{parts['wrong']['count']} of {parts['wrong']['of']}"
                    right = [each["share"] for each in parts["forced"].values()]
                    shared = [wrong, parts["wrong"]["interval"], *verdict_shares.short_cells(parts)[:2], *right]
                head = [name, _shown(cameras), label, truth, sum(counts.values())]
                rows.append([*head, *counts.values(), *shared])
    return rows


def _split(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables of a split by set of cameras."""
    return [
        {
            "cameras": _shown(cameras),
            "located": f"{figures['located']} of {figures['captures']}",
            "judged": ", ".join(each.replace("_", " ") for each in figures["judged"]),
            "errors": _errors(figures["groups"]),
            "repeatability": figures["repeatability"],
            "decisions": [
                (label, _pins(one["pins"]), NEAR, _near(one["pins"]), _forced(one["pins"]), _beside(one.get("beside")))
                for label, one in figures["decisions"].items()
            ],
        }
        for cameras, figures in found.items()
    ]


def _shown(cameras: str) -> str:
    return cameras.replace("+", " + ")


def _errors(groups: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str], list[list[Any]]]]:
    """A table of errors and coverage for each axis that the cameras determine."""
    found = []
    for axis, name in AXES.items():
        rows = []
        for group, figures in groups.items():
            if f"rms_{axis}" not in figures:
                continue
            within = figures[f"within_{axis}"]
            cells = [figures.get(f"{column}_{axis}") for column in COLUMNS]
            cells += [within["share"], within["interval"], within.get("p_holm")]
            rows.append([group, figures["pins"], figures["parts"], figures["unlike"], *cells])
        if rows:
            found.append((name, ["pins", "number", "parts", "of these unlike training", *ERRORS, *WITHIN], rows))
    return found


def _pins(pins: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    header = ["characteristic", "truth", *(str(each) for each in Decision), "wrong of decided", "95 % interval"]
    rows = []
    for name, found in pins["characteristics"].items():
        for truth, counts in found["decisions"].items():
            is_first = truth == "good"
            wrong = f"{found['wrong']['count']} of {found['wrong']['of']}" if is_first else None
            interval = found["wrong"]["interval"] if is_first else None
            rows.append([name.replace("_", " "), truth, *counts.values(), wrong, interval])
    return header, rows


def _beside(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The table and the numbers of a comparison with a classifier; None without one."""
    if found is None:
        return None
    header = ["truth", "gauge", *(f"classifier: {each}" for each in Verdict)]
    rows = [
        [truth, said, *counts.values()]
        for truth, by_gauge in found["matrix"].items()
        for said, counts in by_gauge.items()
        if any(counts.values())
    ]
    return {**found, "header": header, "rows": rows}


def _near(pins: Mapping[str, Any]) -> list[list[Any]]:
    rows = []
    for each in pins["near_limit"]:
        to = "and more" if each["to"] is None else f"to {each['to']:g}"
        counts = [each[str(one)] for one in Decision]
        rows.append([f"{each['from']:g} {to}", each["pins"], *counts, each["wrong"], *each["right"].values()])
    return rows


def _forced(pins: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    header = ["positions", "pins", "gauge", "95 % interval", "bright tip", "answer zero"]
    rows = []
    for name, by in pins["forced"].items():
        gauge, others = by["gauge"], [by[who]["share"] for who in ("bright tip", "answer zero")]
        rows.append([name, gauge["of"], gauge["share"], gauge["interval"], *others])
    return header, rows
