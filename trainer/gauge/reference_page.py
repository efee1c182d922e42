"""The page, the plot and the lines for the terminal of a gauge's comparison with a reference."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from blender_scripts.contract.tolerance import Tolerance
from generator.io.wording import some_of
from generator.locating.judge import TRUE_POSITION
from generator.reporting.pages import render
from generator.verdict.envelope import Verdict
from trainer.core import run_folder
from trainer.core.plots import legend_below, save_figure
from trainer.core.run_folder import REPORT
from trainer.core.tolerance import words
from trainer.gauge.reference_pins import QUANTITIES, UNKNOWN

PLOT = "reference.png"
# Most escapes, and cases of overkill, that the terminal names.
_NAMED = 10
_HEADER = (
    *("quantity", "pins", "parts", "slope", "95 % interval", "bias", "95 % interval", "error", "within U"),
    *("95 % interval", "largest difference", "of pin"),
)
_WORST = ("part", "address", "quantity", "reference", "gauge", "difference", "U", "En")


def lines(document: Mapping[str, Any]) -> list[str]:
    """Return the lines to print; `document` is the content of reference.json."""
    reference, decided = document["reference"], document["decisions"]
    missing = f", {reference['missing']} of them missing," if reference["missing"] else ""
    parts, pins = reference["parts"], reference["pins"]
    found = [f"{parts} part{'s' * (parts != 1)} and {pins} pin{'s' * (pins != 1)}{missing} of {reference['file']}"]
    if others := document["not_in_reference"]:
        found.append(f"{len(others)} photographed parts are not in it and were not measured: {some_of(others)}")
    found += [_line(name, each) for name, each in document["quantities"].items()]
    for who in ("pins", "parts"):
        counts = decided[who]
        for truth, by in counts["matrix"].items():
            total = sum(by.values())
            shown = ": " + ", ".join(f"{number} {verdict}" for verdict, number in by.items()) if total else ""
            if truth != UNKNOWN:
                found.append(f"{'good' if truth == Verdict.OK else 'NG'} {who} by the reference: {total}{shown}")
            elif total:
                found.append(f"{who} whose truth is unknown: {total}{shown} ({_UNKNOWN[who]})")
    found += _on_missing(document["missing_pins"])
    for title, key in (("escape", "escaped"), ("overkill", "overkilled")):
        found += _first(title, decided["parts"][key])
        found += _first(f"{title} of a pin", decided["pins"][key])
    found.append(decided["parts"]["proof"])
    return [*found, *document["warnings"]]


_UNKNOWN = {
    "pins": "height is judged, but not in the reference",
    "parts": "the reference does not state all pins and judged measures, and none that it states is NG",
}


def write_page(out: Path, document: Mapping[str, Any]) -> None:
    """Write report.html into the folder `out`, given the content of reference.json; the plot is read from `out`."""
    decided = document["decisions"]
    context = {
        "title": f"{document['model']['name']} against a reference",
        "document": document,
        "plot": out / PLOT,
        "tolerance": words(document["tolerance"]),
        "tiles": _tiles(document),
        "header": _HEADER,
        "rows": [_row(name, each) for name, each in document["quantities"].items()],
        "left": [
            (_shown(name), why, number)
            for name, each in document["quantities"].items()
            for why, number in each["not_compared"].items()
        ],
        "notes": [
            f"{_shown(name)}: {text}."
            for name, each in document["quantities"].items()
            for text in (each.get("slope_note"), each["few"])
            if text
        ],
        "matrix_header": ("by the reference", "number", *(f"gauge: {each}" for each in Verdict)),
        "matrices": {who: _matrix(decided[who]) for who in ("parts", "pins")},
        "unknown": {
            who: f"{decided[who][UNKNOWN]} {who}: {_UNKNOWN[who]}." for who in decided if decided[who][UNKNOWN]
        },
        "missing": _on_missing(document["missing_pins"])[:1],
        "wrong": {"Missing pins taken for present": document["missing_pins"]["named"]}
        | {
            f"{title} of {who}": decided[who][key]
            for who in ("parts", "pins")
            for title, key in (("Escapes", "escaped"), ("Overkill", "overkilled"))
        },
        "worst_header": _WORST,
        "worst": [_worst(each) for each in document["worst"]],
        "invalid": [(one["part"], "; ".join(one["reasons"])) for one in document["verdicts"] if _is_invalid(one)],
    }
    run_folder.write_text(out / REPORT, render("trainer.gauge", "reference.html.j2", **context))


def plot(pins: pd.DataFrame, quantities: Mapping[str, Any], tolerance: Tolerance, path: Path) -> None:
    """Write a PNG with plots of measured over reference values of each quantity, mm, with U of both and a fitted line.

    Args:
        pins: table from `reference_pins.pins_of`.
        quantities: statistics of each quantity, from `reference_figures.figures`; its regression line is drawn if they
            have a slope.
        tolerance: limits in mm; that of true position for all pins is drawn.
        path: the file.
    """
    figure = Figure(figsize=(10, 10.2), layout="constrained")
    for axes, name in zip(figure.subplots(2, 2).ravel(), QUANTITIES, strict=True):
        known = pins[pins[f"not_compared_{name}"] == ""]
        axes.set_title(_shown(name), fontsize=10)
        if not len(known):
            axes.text(0.5, 0.5, "not compared", ha="center", transform=axes.transAxes)
            continue
        _draw(axes, known, name)
        if slope := quantities[name]["slope"]:
            ends = known[f"reference_{name}"].agg(["min", "max"]).to_numpy()
            line = slope["at_zero"] + slope["value"] * ends
            axes.plot(ends, line, color="tab:green", linewidth=1, label=f"slope {slope['value']:.3f}")
        if name == TRUE_POSITION:
            limit = tolerance.limits().true_position_mm
            axes.axvline(limit, color="tab:red", linestyle=":", linewidth=1)
            axes.axhline(limit, color="tab:red", linestyle=":", linewidth=1, label=f"limit {limit:g} mm")
        axes.set(xlabel="reference, mm", ylabel="gauge, mm")
        axes.grid(alpha=0.3)
        legend_below(axes, 2)
    save_figure(figure, path)


def _draw(axes: Axes, known: pd.DataFrame, name: str) -> None:
    true, measured = known[f"reference_{name}"].to_numpy(), known[f"measured_{name}"].to_numpy()
    ends = np.array([min(true.min(), measured.min()), max(true.max(), measured.max())])
    axes.plot(ends, ends, color="grey", linestyle=":", label="gauge = reference")
    within = known[f"en_{name}"].to_numpy() <= 1.0
    own = (2.0 if name == TRUE_POSITION else 1.0) * known.u_reference.fillna(0.0).to_numpy()
    for inside, colour, said in ((True, "tab:blue", "within U"), (False, "tab:red", "beyond U")):
        chosen = within == inside
        if chosen.any():
            axes.errorbar(
                true[chosen],
                measured[chosen],
                known[f"u_{name}"].to_numpy()[chosen],
                own[chosen] if own.any() else None,
                fmt="o",
                markersize=3,
                color=colour,
                alpha=0.5,
                linewidth=0.6,
                label=f"{said}: {int(chosen.sum())} pins",
            )


def _on_missing(found: Mapping[str, Any]) -> list[str]:
    """Lines on the pins that are missing by the reference: the counts first; none if no pin is."""
    if not found["pins"]:
        return []
    said = (
        f"missing pins by the reference: {found['pins']}, parts: {found['parts']}: {found['noticed']} noticed, "
        f"{found['undecided']} undecided, {found['taken_for_present']} taken for present, "
        f"{found['invalid']} in INVALID parts"
    )
    return [said, *_first("missing pin taken for present", found["named"])]


def _tiles(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The headline: counts with their words."""
    decided, places = document["decisions"]["parts"], document["quantities"]
    escapes, overkill = decided["escapes"], decided["overkill"]
    within = [places[name]["within"]["share"] for name in ("dx", "dy") if "within" in places[name]]
    verdicts = [one["verdict"] for one in document["verdicts"]]
    found = [
        (f"{escapes['count']} of {escapes['of']}", "NG parts called OK (escapes)"),
        (f"{overkill['count']} of {overkill['of']}", "good parts called NG (overkill)"),
        *(
            (f"{verdicts.count(str(one))} of {len(verdicts)}", f"parts {one}")
            for one in (Verdict.UNSURE, Verdict.INVALID)
        ),
    ]
    if (missing := document["missing_pins"])["pins"]:
        found.append((f"{missing['taken_for_present']} of {missing['pins']}", "missing pins taken for present"))
    if within:
        found.append((f"{min(within):.0%}", "of dx or dy within U (the lower of both; 95 % is right)"))
    return found


def _line(name: str, found: Mapping[str, Any]) -> str:
    head = f"{_shown(name)}: {found['pins']} pins of {found['parts']} parts"
    left = ", ".join(f"{number} {why}" for why, number in found["not_compared"].items())
    left = f"; not compared: {left}" if left else ""
    if "rms" not in found:
        return f"{head}{left}"
    bias, slope, within, largest = (found[key] for key in ("bias", "slope", "within", "largest"))
    slope_said = f"slope {slope['value']:.3f}{_range(slope)}" if slope else f"slope {found['slope_note']}"
    parts = [
        slope_said,
        f"bias {bias['value']:+.3f} mm{_range(bias)}",
        f"error (RMS) {found['rms']:.3f} mm",
        f"within U {within['share']:.0%} ({within['interval'][0]:.0%} to {within['interval'][1]:.0%})",
        f"largest {largest['measured'] - largest['reference']:+.3f} mm at {largest['part']} {largest['address']}",
        *filter(None, [found["few"]]),
    ]
    return f"{head}: {'; '.join(parts)}{left}"


def _range(found: Mapping[str, Any]) -> str:
    interval = found["interval"]
    return f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""


def _row(name: str, found: Mapping[str, Any]) -> list[Any]:
    head = [_shown(name), found["pins"], found["parts"]]
    if "rms" not in found:
        return [*head, *[None] * (len(_HEADER) - 3)]
    slope, bias, within, largest = (found[key] for key in ("slope", "bias", "within", "largest"))
    return [
        *head,
        *((slope["value"], slope["interval"]) if slope else ("not told", None)),
        bias["value"],
        bias["interval"],
        found["rms"],
        within["share"],
        within["interval"],
        largest["measured"] - largest["reference"],
        f"{largest['part']} {largest['address']}",
    ]


def _matrix(counts: Mapping[str, Any]) -> list[list[Any]]:
    return [[truth, sum(by.values()), *by.values()] for truth, by in counts["matrix"].items()]


def _worst(one: Mapping[str, Any]) -> list[Any]:
    difference = one["measured"] - one["reference"]
    own = [one["reference"], one["measured"], difference, one["u"], one["en"]]
    return [one["part"], one["address"], _shown(one["quantity"]), *own]


def _is_invalid(one: Mapping[str, Any]) -> bool:
    return bool(one["verdict"] == Verdict.INVALID)


def _shown(name: str) -> str:
    return name.replace("_", " ")


def _first(title: str, names: Sequence[str]) -> list[str]:
    more = [f"{title}: {len(names) - _NAMED} more, see {REPORT}"] if len(names) > _NAMED else []
    return [*(f"{title}: {each}" for each in names[:_NAMED]), *more]
