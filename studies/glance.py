"""Make the table at the top of results.md: one row for each question, from the same results as its section."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from studies.findings import Difference, Found
from studies.plan import CENTRE, FEW, FIVE, LADDER, NEW, OWN, SCRATCH, SUPERVISED, TUNED, begun
from studies.questions.attention import stage_means
from studies.questions.florence2 import gained, precision
from studies.questions.shares import answered
from studies.questions.soart import counted, trained_or_not
from studies.questions.views import AIM, ALL_VIEWS, ONE_VIEW, PART_MEASURES, parts_judged, views_change
from studies.tables import table

TITLES = {
    1: "More variety in equally many pictures",
    2: "Boxes or picture labels, RGB or NSOART",
    3: "Copies of a small data set",
    4: "One view against five",
    5: "Pre-training on other connectors",
    6: "Attention over the epochs",
    7: "Florence-2",
    8: "Where training is not worth it",
}
MISSING = "nothing to compare yet"
WAYS = dict(zip(SUPERVISED, ("boxes", "picture labels alone"), strict=True))


def _changes(what: str, changes: Mapping[str, Difference | None]) -> str:
    """Write a sentence: `what`, then each change that is not None, followed by its key; empty if all are None."""
    some = [f"{change} {where}".strip() for where, change in changes.items() if change]
    return f"{what}: {'; '.join(some)}." if some else ""


def _ladder(found: Found) -> list[str]:
    tests = {"test_shifted": "on the test with held-out pins", "test_latched": "on a housing in no training picture"}
    changes = {words: found.difference(LADDER[0], LADDER[-1], answered(test)) for test, words in tests.items()}
    return [_changes("Training with all four kinds of pictures instead of the first kind alone", changes)]


def _supervision(found: Found) -> list[str]:
    test = answered("test")
    nsoart = {f"with {WAYS[way]}": found.difference(f"{way}, RGB", f"{way}, NSOART", test) for way in SUPERVISED}
    boxes = {"with RGB": found.difference(f"{SUPERVISED[1]}, RGB", f"{SUPERVISED[0]}, RGB", test)}
    return [_changes("NSOART instead of RGB", nsoart), _changes("Boxes besides picture labels", boxes)]


def _improvement(found: Found) -> list[str]:
    plain, copies, augmented, *_ = [*found.variants, "", "", ""]
    ways = {"Copies instead of none": copies, "The trainer's augmentation instead of none": augmented}
    return [_changes(what, {"": found.difference(plain, way, answered("test"))}) for what, way in ways.items()]


def _views(found: Found) -> list[str]:
    best = {
        one.size: max(
            (v.mean for values in parts_judged(one, PART_MEASURES["right class"]).values() for v in values.values()),
            default=0.0,
        )
        for one in (found, found.other)
        if one
    }
    return [
        _changes("Five views instead of the centre", {"": views_change(found, (CENTRE, ONE_VIEW), (FIVE, ALL_VIEWS))}),
        "Best share of parts with the right class: "
        + "; ".join(f"{share:.3f} at size *{size}*" for size, share in best.items())
        + f"; the aim is {AIM}.",
    ]


def _pretraining(found: Found) -> list[str]:
    changes = {
        f"for {target}": found.difference(
            begun(target, FEW[-1], SCRATCH), begun(target, FEW[-1], OWN), answered("test")
        )
        for target in NEW
    }
    return [_changes(f"Pre-trained instead of random weights, with {FEW[-1]} pictures", changes)]


def _attention(found: Found) -> list[str]:
    last = max(found.variants, key=LADDER.index)
    end = [*stage_means(found.variants[last]).values()][-1]
    hit = f"{end['hit']:.0%} of the NG pictures"
    return [f"At the end of training the peak of the attention map lies on the defect in {hit}."]


def _florence2(found: Found) -> list[str]:
    test = found.values(precision("test"))
    scratch = [v for v in ("RGB", "NSOART") if v in test]
    tuned = f"tuned: {next(iter(TUNED))}"
    lines = []
    if scratch:
        lines.append("mAP50 after training from random weights: " + ", ".join(f"{v} {test[v]}" for v in scratch) + ".")
    if tuned in test:
        there, known = (f"{np.mean(some):+.2f}" if some else "–" for some in gained(found, tuned).values())
        way = tuned.partition(": ")[2]
        lines.append(f"Tuning ({way}) changes mAP50 by {there} on the new housing and by {known} on known pictures.")
    return lines


def _soart(found: Found) -> list[str]:
    if not (changes := trained_or_not(found)):
        return []
    most, by_defect = [*changes.items()][-1]
    return [f"*{most}*, compared with `inspect`: {counted(by_defect)}."]


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
    """Write the Markdown table from each question's finished runs; decided changes (`Difference.decided`) are bold."""
    rows: list[list[Any]] = []
    for question, found in all_found.items():
        title = f"[{question}. {TITLES[question]}](#{_anchor(f'{question}. {TITLES[question]}')})"
        text = " ".join(line for line in LINES[question](found) if line) if found.done else ""
        rows.append([title, text or MISSING])
    return table(["question", "what was found"], rows)


def _anchor(heading: str) -> str:
    """Make a heading's anchor (link target), as Markdown renderers do."""
    kept = "".join(c for c in heading.lower() if c.isalnum() or c in " -")
    return kept.replace(" ", "-")
