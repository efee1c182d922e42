"""Question 8: the methods without training compared with ViTs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from studies import figures
from studies.findings import Difference, Found, Scores, areas, auroc_difference, scores_of
from studies.plan import METHODS
from studies.tables import mean, table

PRODUCT = "inspect"  # the method of `generator inspect`, against which ViTs are compared


def _by_defect(found: Found) -> dict[str, list[dict[str, Scores]]]:
    """Read the scores of each training by defect; by method without training, or ViT variant."""
    pictures = {d["result"]["scores"]["of"] for documents in found.variants.values() for d in documents}
    if len(pictures) > 1:
        raise ValueError("expected runs that judged the same pictures, got different pictures")
    columns = {}
    for variant, documents in found.variants.items():
        for method in METHODS if variant == "without training" else ("ViT",):
            name = variant if method == "ViT" else method
            columns[name] = [scores_of(document["result"], method) for document in documents]
    return columns


def trained_or_not(found: Found) -> dict[str, dict[str, Difference]]:
    """Compute AUROC of each ViT variant minus that of `inspect`, by variant, then defect; {} without runs of both."""
    columns = _by_defect(found)
    alone = columns.get(PRODUCT, [])
    changes: dict[str, dict[str, Difference]] = {}
    for name, trained in columns.items():
        for cell in trained[0] if name.startswith("ViT") and alone else ():
            before, after = ([scores[cell] for scores in some] for some in (alone, trained))
            if change := auroc_difference(before, after, seeds=len(trained)):
                changes.setdefault(name, {})[cell] = change
    return changes


def section(found: Found, picture: Path) -> list[str]:
    """Draw question 8's figure into the PNG `picture`; returns Markdown on AUROC with and without training."""
    columns = {name: areas(by_seed) for name, by_seed in _by_defect(found).items()}
    groups = list(dict.fromkeys(cell for values in columns.values() for cell in values))
    shown = {n: v for n, v in columns.items() if n in ("difference", PRODUCT) or n.startswith("ViT")}
    figure, (axes,) = figures.panels(1)
    figures.dots(axes, groups, shown, "AUROC: defective against good pictures of one station", 0.5)
    figures.one_legend(figure, [axes])
    figures.save(figure, picture)
    changes = trained_or_not(found)
    last = [*changes][-1:]
    columns = {n: v for n, v in shown.items() if n in last or not n.startswith("ViT")}
    header = ["defect", *columns, *(f"ViT minus {PRODUCT}" for _ in last)]
    rows = []
    for cell in groups:
        cells = [mean(values.get(cell)) for values in columns.values()]
        rows.append([cell, *cells, *(changes[name].get(cell, "–") for name in last)])
    return ["AUROC, mean over seeds:\n\n" + table(header, rows)]


def counted(changes: Mapping[str, Difference]) -> str:
    """Write for how many defects a ViT's AUROC is above `inspect`'s, below it or undecided; `changes`: by defect."""
    better, worse = (sum(c.decided and sign * c.mean > 0 for c in changes.values()) for sign in (1, -1))
    return (
        f"better on {better}, worse on {worse}, undecided on {len(changes) - better - worse} of {len(changes)} defects"
    )
