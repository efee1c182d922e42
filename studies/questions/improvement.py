"""Question 3: the benefit of adding changed copies of its pictures to a small training set."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from studies import figures
from studies.findings import Found
from studies.plan import FEW
from studies.questions.shares import GUESSING, Share, accuracy, answered, collapsed, ranged
from studies.tables import beyond, mean, table


def learned(result: Mapping[str, Any]) -> Share:
    """Read the balanced accuracy on the original training pictures (without copies) from a result."""
    return result["originals"]["balanced_accuracy"]  # type: ignore[no-any-return]


def gaps(found: Found) -> dict[str, list[float]]:
    """Compute balanced accuracy on original training pictures minus that on the test, of each seed by variant."""
    test = accuracy("test")
    found_gaps = {}
    for variant, documents in found.variants.items():
        results = [document["result"] for document in documents]
        found_gaps[variant] = [
            own["share"] - other["share"] for r in results if (own := learned(r)) and (other := test(r))
        ]
    return found_gaps


def section(found: Found, picture: Path) -> list[str]:
    """Draw question 3's figure into the PNG `picture`; returns Markdown: accuracy on test and training pictures."""
    test, own, overfit = found.values(accuracy("test")), found.values(learned), gaps(found)
    figure, (left, right) = figures.panels(2)
    figures.named(left, test, "Test: balanced accuracy", GUESSING)
    for index, values in enumerate(overfit.values()):
        right.plot([index] * len(values), values, "o", color=f"C{index}")
    right.axhline(0, color="grey", linewidth=0.8)
    right.set_xticks(range(len(overfit)), list(overfit), rotation=20, ha="right")
    figures.finish(right, "Overfitting: training pictures minus test")
    right.set_ylim(-0.1, 1.04)
    figures.save(figure, picture)
    first = next(iter(found.variants))
    rows = []
    for variant in overfit:
        if variant in test and variant in own:
            change = found.difference(first, variant, answered("test")) if variant != first else None
            cells = [change or "–", mean(own[variant]), ranged(overfit[variant])]
            rows.append([variant, test[variant].seeds, test[variant], *cells])
    header = ["training pictures", "seeds", "balanced accuracy, test", f"minus *{first}*"]
    header.append(f"balanced accuracy, the {FEW[1]} training pictures")
    parts = [table([*header, "overfitting (least, largest)"], rows)]
    others = [pair for pair in combinations(found.variants, 2) if first not in pair]
    return parts + beyond(found, others, {"": answered("test")}) + collapsed(found)
