"""Question 1: the benefit of each step of the ladder of designs on each test."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from studies import figures
from studies.findings import Found
from studies.plan import LADDER
from studies.questions.shares import GUESSING, Share, accuracy, answered, collapsed
from studies.tables import by_variant, differences

TESTS = {
    "test_shifted": "held-out pins of step 1",
    "test_allpins": "all pins",
    "test_mixed": "mixed terminals",
    "test_housings": "changed housings",
    "test_latched": "housing never trained",
}


def section(found: Found, picture: Path) -> list[str]:
    """The section of question 1: balanced accuracy of each step on each test."""
    columns = {title: found.values(accuracy(split)) for split, title in TESTS.items()}
    figure, (axes,) = figures.panels(1)
    series = {v: {t: c[v] for t, c in columns.items() if v in c} for v in found.variants}
    figures.dots(axes, list(columns), series, "Balanced accuracy on each test, by what was trained on", GUESSING)
    figures.save(figure, picture)
    parts = [by_variant(columns)]
    groups = {}
    for group in ("seen", "held-out"):
        values = found.values(
            lambda r, g=group: _position(r["splits"].get("test_allpins", {}), g)  # type: ignore[misc]
        )
        if values:
            groups[f"{group} positions"] = values
    if groups:
        parts.append(
            "Share of right classes among the defective pictures of the *all pins* test, by whether training had shown "
            "a defect at that position:\n\n" + by_variant(groups)
        )
    pairs = [*pairwise(LADDER), (LADDER[0], LADDER[-1])]
    parts += differences(found, pairs, {title: answered(split) for split, title in TESTS.items()})
    return parts + collapsed(found)


def _position(split: Mapping[str, Any], group: str) -> Share:
    level = split.get("factors", {}).get("position", {}).get(group)
    return level and {"share": level["accuracy"], "interval": level["interval"], "of": level["pictures"]}
