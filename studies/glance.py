"""Make the table at the top of the page: one line for each question, from the same results as its section."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from studies.findings import Difference, Found
from studies.plan import (
    CENTRE,
    DIGITS,
    FEW,
    FIVE,
    LADDER,
    NEW,
    OWN,
    SCRATCH,
    SUPERVISED,
    TOGETHER,
    TOGETHER_OWN,
    TUNED,
    begun,
)
from studies.questions.attention import stage_means
from studies.questions.florence2 import gained, precision
from studies.questions.improvement import gaps
from studies.questions.shares import answered
from studies.questions.soart import trained_or_not
from studies.questions.views import AIM, ALL_VIEWS, ONE_VIEW, PART_MEASURES, parts_judged, views_change
from studies.tables import table

TITLES = {
    1: "More variety with as many pictures",
    2: "Boxes or picture labels, RGB or NSOART",
    3: "Copies of a small data set",
    4: "One view against five",
    5: "Own pre-training",
    6: "Attention over the epochs",
    7: "Florence-2",
    8: "Where training is not worth it",
}
MISSING = "nothing to compare yet"


def _changes(what: str, changes: Mapping[str, Difference | None]) -> str:
    """A sentence: `what`, then each known change with the words of its key; empty if no change is known."""
    some = [f"{change} {where}".strip() for where, change in changes.items() if change]
    return f"{what}: {'; '.join(some)}." if some else ""


def _ladder(found: Found) -> list[str]:
    tests = {
        "test_shifted": "at pins that the first design holds out",
        "test_housings": "on changed housings",
        "test_latched": "on a housing never trained",
    }
    changes = {words: found.difference(LADDER[0], LADDER[-1], answered(test)) for test, words in tests.items()}
    return [_changes("Four designs instead of the first alone", changes)]


def _supervision(found: Found) -> list[str]:
    test = answered("test")
    nsoart = {f"with {way}": found.difference(f"{way}, RGB", f"{way}, NSOART", test) for way in SUPERVISED}
    boxes = {"": found.difference(f"{SUPERVISED[1]}, RGB", f"{SUPERVISED[0]}, RGB", test)}
    return [
        _changes("NSOART instead of RGB", nsoart),
        _changes("Boxes besides picture labels", boxes),
    ]


def _improvement(found: Found) -> list[str]:
    plain, copies, *_ = [*found.variants, "", ""]
    overfit = gaps(found)
    lines = [_changes("With copies", {"": found.difference(plain, copies, answered("test"))})]
    if plain in overfit and copies in overfit:
        lines.append(
            f"Overfitting (own training pictures minus test): {np.mean(overfit[plain]):.2f} without, "
            f"{np.mean(overfit[copies]):.2f} with."
        )
    return lines


def _views(found: Found) -> list[str]:
    sides = {CENTRE: "against a training on the centre alone", FIVE: "in one training on all views"}
    changes = {words: views_change(found, (one, ONE_VIEW), (FIVE, ALL_VIEWS)) for one, words in sides.items()}
    best = {
        one.size: max(
            (v.mean for values in parts_judged(one, PART_MEASURES["right class"]).values() for v in values.values()),
            default=0.0,
        )
        for one in (found, found.other)
        if one
    }
    return [
        _changes("Five views instead of the centre", changes),
        _changes(
            "One answer for all views (`--views`)",
            {
                "against the mean of single answers": views_change(found, (FIVE, ALL_VIEWS), (TOGETHER, ALL_VIEWS)),
                "more with own pre-training": views_change(found, (TOGETHER, ALL_VIEWS), (TOGETHER_OWN, ALL_VIEWS)),
            },
        ),
        "Best share of parts with the right class: "
        + "; ".join(
            f"{share:.3f} at size *{size}* ({AIM} {'' if share >= AIM else 'not '}reached)"
            for size, share in best.items()
        )
        + ".",
    ]


def _pretraining(found: Found) -> list[str]:
    lines = []
    for target in NEW:
        changes = {
            f"with {count} pictures": found.difference(
                begun(target, count, SCRATCH), begun(target, count, OWN), answered("test")
            )
            for count in FEW
        }
        lines.append(_changes(f"Tuned instead of trained from scratch, {target}", changes))
    return lines


def _attention(found: Found) -> list[str]:
    first, last = min(found.variants, key=LADDER.index), max(found.variants, key=LADDER.index)
    begin, end = ([*stage_means(found.variants[v]).values()][-1] for v in (first, last))
    lines = [
        f"Last design: peak on the defect in {end['hit']:.0%} of the NG pictures; entropy of the map "
        f"{end['entropy_ng']:.2f} for NG, {end['entropy_ok']:.2f} for OK."
    ]
    if first != last:
        lines.append(f"Share on the housing: {begin['on_housing']:.2f} first design, {end['on_housing']:.2f} last.")
    return lines


def _florence2(found: Found) -> list[str]:
    test = found.values(precision("test"))
    scratch = [v for v in ("RGB", "NSOART", *(f"digits {one}" for one in DIGITS)) if v in test]
    tuned = [f"tuned: {name}" for name in TUNED if f"tuned: {name}" in test]
    lines = []
    if scratch:
        lines.append("mAP50 from random weights: " + ", ".join(f"{v} {test[v]}" for v in scratch) + ".")
    if tuned:
        words = []
        for variant in tuned:
            changes = gained(found, variant).values()
            means = (f"{np.mean(some):+.2f}" if some else "–" for some in changes)
            words.append(f"{variant.partition(': ')[2]} {' and '.join(means)}")
        lines.append("Tuning to a new housing changes mAP50 there and on the known pictures: " + ", ".join(words) + ".")
    return lines


def _soart(found: Found) -> list[str]:
    if not (changes := trained_or_not(found)):
        return []
    most, by_defect = [*changes.items()][-1]
    kinds: dict[str, Callable[[Difference], bool]] = {
        "better on": lambda change: change.decided and change.mean > 0,
        "worse on": lambda change: change.decided and change.mean < 0,
        "undecided on": lambda change: not change.decided,
    }
    parts = []
    for what, holds in kinds.items():
        cells = [cell for cell, change in by_defect.items() if holds(change)]
        parts.append(f"{what} {', '.join(cells) or 'none'}")
    return [f"*{most}*, against `inspect` without training: {'; '.join(parts)}."]


LINES: dict[int, Callable[[Found], list[str]]] = {
    1: _ladder,
    2: _supervision,
    3: _improvement,
    4: _views,
    5: _pretraining,
    6: _attention,
    7: _florence2,
    8: _soart,
}


def glance(all_found: Mapping[int, Found]) -> str:
    """The table of all questions; changes of the balanced accuracy are bold if their interval excludes zero."""
    rows: list[list[Any]] = []
    for question, found in all_found.items():
        title = f"[{question}. {TITLES[question]}](#{_anchor(f'{question}. {TITLES[question]}')})"
        text = " ".join(line for line in LINES[question](found) if line) if found.done else ""
        rows.append([title, f"{found.done} of {found.planned}", text or MISSING])
    return table(["question", "runs", "what was found"], rows)


def _anchor(heading: str) -> str:
    """A heading's anchor, as Markdown renderers make it."""
    kept = "".join(c for c in heading.lower() if c.isalnum() or c in " -")
    return kept.replace(" ", "-")
