"""RUN/report.html of an adapted run: where it comes from, what was changed, and what good parts show of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from generator.reporting.pages import render
from generator.verdict.envelope import Verdict
from trainer.core import run_folder
from trainer.core.adaptation_seal import FILE
from trainer.core.intervals import share
from trainer.core.run_folder import REPORT, read_json

_EDGES = "edge_px"


def false_alarms(verdicts: Mapping[str, int], reasons: Mapping[str, int]) -> dict[str, Any]:
    """Return how good parts were judged: numbers by verdict, reasons for INVALID, and shares with exact 95 % intervals.

    Args:
        verdicts: number of parts by verdict.
        reasons: number of INVALID parts by keyword of a reason.
    """
    total = sum(verdicts.values())
    ng, ok = verdicts.get(str(Verdict.NG), 0), verdicts.get(str(Verdict.OK), 0)
    return {
        "verdicts": {str(each): verdicts.get(str(each), 0) for each in Verdict},
        "invalid_by": dict(sorted(reasons.items())),
        "false_alarms": share(ng, total),
        "not_ok": share(total - ok, total),
    }


def said(document: Mapping[str, Any]) -> str:
    """Return one line on the verdicts of good parts, from the key `good_parts` of adaptation.json."""
    found = document["good_parts"]
    counted = ", ".join(f"{number} {verdict}" for verdict, number in found["verdicts"].items() if number)
    upper = found["false_alarms"]["interval"][1]
    return f"good parts: {counted}; share of NG at most {upper:.1%} (95 % interval)"


def write_page(run: Path) -> Path:
    """Write report.html into an adapted run's folder, from its adaptation.json; returns the page's path."""
    document = read_json(run / FILE, "how a run was adapted")
    judged, views = document["good_parts"], document["views"]
    facts: list[tuple[str, Any]] = [
        ("made from", f"{document['from']['run']}, SHA-256 of the weights {document['from']['sha256'][:16]}…"),
        ("dataset of the training", document["data"].get("name")),
        ("photographs", len(document["photographs"])),
        (
            "change of the pictures",
            ", ".join(f"{view or 'all'}: {each['transform']['kind']}" for view, each in views.items()),
        ),
        ("share of good parts that are NG, 95 % interval", judged["false_alarms"]["interval"]),
        ("share of good parts that are not OK, 95 % interval", judged["not_ok"]["interval"]),
        ("escapes on this station", "not shown"),
    ]
    if factors := document.get("uncertainty_factors"):
        words = "; ".join(f"{view} {_listed(each)}" for view, each in factors.items())
        facts.append(("U of dx, dy, height multiplied by", words))
    if missing := document.get("uncertainty_not_measured"):
        words = "; ".join(f"{view} {', '.join(axes)}" for view, axes in missing.items())
        facts.append(("U not measured on this station, taken from other views", words))
    if reference := document.get("reference"):
        missing = reference.get("missing_pins", 0)
        left = f"; missing pins, left out: {missing}" if missing else ""
        facts.append(("reference", f"{reference['parts']} parts; slope {reference['slope']}{left}"))
    tried = document["tried"]
    header = tuple(tried[0]) if tried else ()
    has_edges = _EDGES in header
    context = {
        "title": f"Adapted: {run.resolve().name}",
        "origin": document["from"]["run"],
        "facts": [(name, value) for name, value in facts if value is not None],
        "verdicts": [*judged["verdicts"].items(), *((f"INVALID: {k}", v) for k, v in judged["invalid_by"].items())],
        "explained_choice": "No change is made unless one of them is clearly better: more good parts are accepted, or "
        + ("edges of the housing are found nearer to where the part's pose puts them." if has_edges else
           "the network's features are nearer to those of its training."),
        "tried_header": header,
        "tried": [list(each.values()) for each in tried],
        "differences": [
            [view or "all", each["light"], name, value]
            for view, each in views.items()
            for name, value in each["difference"].items()
        ],
        "photographs": [[each["file"], each["view"], each["sha256"][:16]] for each in document["photographs"]],
    }  # fmt: skip
    run_folder.write_text(run / REPORT, render("trainer.core", "adapted.html.j2", **context))
    return run / REPORT


def _listed(values: Sequence[float]) -> str:
    return " / ".join(f"{each:.2f}" for each in values)
