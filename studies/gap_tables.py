"""Tables of the study `reality_gap`: figures of every run on every station, before and after each ingredient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from generator.verdict.envelope import Verdict
from studies.gap_measures import (
    AXES,
    OK,
    JudgedPart,
    classifier_figures,
    gauge_figures,
    inspect_figures,
    verdict_figures,
)
from studies.tables import table

GAUGE, CLASSIFIER, INSPECT = "gauge", "classifier", "inspect"
AS_TRAINED, MATCHED, ADAPTED = STEPS = ("as trained", "match", "adaptation")
# Goals on a foreign station: errors over those on the own station, share of the errors within U, AUROC of pins.
MOST_TIMES, LEAST_WITHIN, LEAST_AUROC = 2.0, 0.92, 0.97
STAND_IN = (
    "All pictures are renders, those of the foreign stations too: this table is a stand-in for real photographs, and "
    "says nothing about what renders cannot show."
)
# Run, width of the pictures and step of a result on the own station.
Base = tuple[str, int, str]
_ORDER = (Verdict.OK, Verdict.UNSURE, Verdict.NG, Verdict.INVALID)


@dataclass(frozen=True)
class Result:
    """What one run said of one station's parts.

    Attributes:
        kind: GAUGE, CLASSIFIER (ViT or Florence-2) or INSPECT.
        run: name of the run's folder; `inspect` for INSPECT.
        step: the ingredient that the run had: one of STEPS.
        station, title, foreign: as in `foreign_stations.Station`.
        parts: the judged parts.
        weights: SHA-256 of the run's weights, in hex; empty for INSPECT, and in results that do not state it.
        width: width of the pictures, px; 0 in results that do not state it.
    """

    kind: str
    run: str
    step: str
    station: str
    title: str
    foreign: bool
    parts: tuple[JudgedPart, ...]
    weights: str = ""
    width: int = 0


def tables(results: Sequence[Result], own: str) -> str:
    """Write the tables as Markdown: for each kind of run the shop floor, then the foreign stations.

    Args:
        results: the results; those of the station `own` are compared with the others.
        own: name of the own station.
    """
    results = _told_apart(results)
    missing = [step for step in STEPS if not any(each.step == step for each in results)]
    pieces = [STAND_IN + (f" Ingredients that were not run: {', '.join(missing)}." if missing else "")]
    writers = {GAUGE: _gauge, CLASSIFIER: _classifier, INSPECT: _inspect}
    for kind, title in ((GAUGE, "Gauge"), (CLASSIFIER, "ViT and Florence-2"), (INSPECT, "`inspect`")):
        chosen = [each for each in results if each.kind == kind]
        bases = {(each.run, each.width, each.step): each for each in chosen if each.station == own}
        for foreign, where in ((False, "shop floor"), (True, "foreign stations")):
            shown = [each for each in chosen if each.foreign == foreign]
            if shown:
                pieces += [f"**{title}, {where}**", writers[kind](shown, bases)]
    return "\n\n".join(pieces)


def silent(results: Sequence[Result]) -> list[str]:
    """Return a line for each NG part that was called OK."""
    return [
        f"{each.run}, {each.step}, {each.station}: {name} is NG and was called OK"
        for each in _told_apart(results)
        for name in verdict_figures(each.parts)["silent"]
    ]


def _told_apart(results: Sequence[Result]) -> list[Result]:
    """The results: with weights in the names that several runs have, and with widths in the titles if they differ."""
    widths, weights = {each.width for each in results}, dict[tuple[str, str], set[str]]()
    for each in results:
        weights.setdefault((each.kind, each.run), set()).add(each.weights)
    found = []
    for each in results:
        run, title = each.run, each.title
        if len(weights[each.kind, run]) > 1:
            run += f", weights {each.weights[:16]}" if each.weights else ", weights not stated"
        if len(widths) > 1:
            title += f", {each.width} px" if each.width else ", width not stated"
        found.append(replace(each, run=run, title=title))
    return found


def _base(result: Result, bases: Mapping[Base, Result]) -> Result | None:
    """The same run on the own station; for a scenario, which shows the same parts, only the parts that it shows."""
    base = bases.get((result.run, result.width, AS_TRAINED))
    if base is None or result.foreign:
        return base
    names = {part.name for part in result.parts}
    return replace(base, parts=tuple(part for part in base.parts if part.name in names))


def _verdicts(result: Result, base: Result | None) -> list[str]:
    """The cells of verdicts; `base`: the same run on the own station, whose silent OKs are no news of a scenario."""
    found = verdict_figures(result.parts)
    cells = [" / ".join(str(found[name].get(str(one), 0)) for one in _ORDER) for name in ("good", "ng")]
    known = (
        set(verdict_figures(base.parts)["silent"])
        if base and base.station != result.station and not result.foreign
        else set()
    )
    count, below, old = len(found["silent"]), 100.0 * found["silent_below"], len(known & set(found["silent"]))
    also = f", {old} also on the own station" if old else ""
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(found["reasons"].items())) or "–"
    return [*cells, f"{count}{also} (< {below:.0f} %)", why]


_OF_VERDICTS = ["good parts: OK / UNSURE / NG / INVALID", "NG parts: same", "silent OK", "INVALID because of"]


def _gauge(results: Sequence[Result], bases: Mapping[Base, Result]) -> str:
    header = ["run", "station", "ingredient", *_OF_VERDICTS, "error of dx, dy, height, mm", "times own"]
    header += ["within U, %", "AUROC of pins", "goal"]
    rows = []
    for each in results:
        base = _base(each, bases)
        found, own = gauge_figures(each.parts), gauge_figures(base.parts) if base else {}
        errors = "–" if found["rms_dx"] is None else ", ".join(f"{_value(found[f'rms_{axis}']):.3f}" for axis in AXES)
        within = ", ".join(_share(found[f"within_{axis}"]) for axis in AXES)
        times = _times(found, own)
        shown = "–" if times is None else f"{times:.1f}"
        facts = [*_verdicts(each, base), errors, shown, within, _interval(found["auroc"])]
        rows.append([each.run, each.title, each.step, *facts, _goal(each, found, times)])
    return table(header, rows)


def _times(found: Mapping[str, Any], own: Mapping[str, Any]) -> float | None:
    """The largest ratio, over the axes, of errors to those on the own station."""
    pairs = [(found.get(f"rms_{axis}"), own.get(f"rms_{axis}")) for axis in AXES]
    ratios = [one[0] / other[0] for one, other in pairs if one and other and other[0] > 0.0]
    return max(ratios) if ratios else None


def _goal(result: Result, found: Mapping[str, Any], times: float | None) -> str:
    """Whether a gauge met its goals; "met" only if each of them has a value."""
    if all(part.verdict == Verdict.INVALID for part in result.parts):
        return "all INVALID" + ("; AUROC not measured" if result.foreign else "")
    withins, auroc = [found[f"within_{axis}"] for axis in AXES], found["auroc"]
    count = len(verdict_figures(result.parts)["silent"])
    judged = any(part.truth != OK and part.verdict != Verdict.INVALID for part in result.parts)
    goals = [
        (f"{count} silent OK" if count else "silent OK", not judged, count > 0),
        ("within U", None in withins, any(each is not None and each[0] < LEAST_WITHIN for each in withins)),
    ]
    if result.foreign:
        goals.append(("errors", times is None, times is not None and times > MOST_TIMES))
        goals.append(("AUROC", auroc is None, auroc is not None and auroc[0] < LEAST_AUROC))
    missed = [name for name, _, is_missed in goals if is_missed]
    unknown = [name for name, is_unknown, is_missed in goals if is_unknown and not is_missed]
    said = [f"missed: {', '.join(missed)}"] if missed else []
    said += [f"not judged: {', '.join(unknown)}"] if unknown else []
    return "; ".join(said) or "met"


def _classifier(results: Sequence[Result], bases: Mapping[Base, Result]) -> str:
    header = ["run", "station", "ingredient", *_OF_VERDICTS, "balanced accuracy, %", "gap to own", "of the gap closed"]
    first = {(each.run, each.width, each.station): each for each in results if each.step == AS_TRAINED}
    rows = []
    for each in results:
        found, base = classifier_figures(each.parts)["accuracy"], _base(each, bases)
        own = classifier_figures(base.parts)["accuracy"][0] if base else None
        gap = None if own is None else own - found[0]
        before = first.get((each.run, each.width, each.station))
        closed = "–"
        if each.step != AS_TRAINED and own is not None and gap is not None and before is not None:
            was = own - classifier_figures(before.parts)["accuracy"][0]
            closed = f"{100.0 * (1.0 - gap / was):.0f} %" if was > 0.0 else "no gap"
        cells = [_share(found), "–" if gap is None else f"{100.0 * gap:.0f} %", closed]
        rows.append([each.run, each.title, each.step, *_verdicts(each, base), *cells])
    return table(header, rows)


def _inspect(results: Sequence[Result], bases: Mapping[Base, Result]) -> str:
    rows = [
        [
            each.title,
            each.step,
            *_verdicts(each, bases.get((each.run, each.width, AS_TRAINED))),
            _interval(inspect_figures(each.parts)["auroc"]),
        ]
        for each in results
    ]
    return table(["station", "ingredient", *_OF_VERDICTS, "AUROC of parts"], rows)


def _value(found: tuple[float, float, float] | None) -> float:
    return float("nan") if found is None else found[0]


def _share(found: tuple[float, float, float] | None) -> str:
    return "–" if found is None else f"{100.0 * found[0]:.0f} ({100.0 * found[1]:.0f}–{100.0 * found[2]:.0f})"


def _interval(found: tuple[float, float, float] | None) -> str:
    return "–" if found is None else f"{found[0]:.3f} ({found[1]:.3f}–{found[2]:.3f})"
