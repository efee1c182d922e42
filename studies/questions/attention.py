"""Question 6: where the attention lies, over the stages of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.soart_evaluation import wilson
from studies import figures
from studies.findings import Found, Value, over_seeds
from studies.tables import table

ATTENTION = {
    "hit": "peak on the defect",
    "entropy_ng": "entropy NG",
    "entropy_ok": "entropy OK",
    "on_housing": "on the housing",
}
LOOKED_AT = "test_housings"


def stage_means(documents: list[dict[str, Any]]) -> dict[int, dict[str, float]]:
    """Average each attention score over a variant's results: by epoch, then score; nan if no result has the score."""
    return {stage: _means(scores) for stage, scores in _rollouts(documents).items()}


def _rollouts(documents: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Read each seed's attention scores of gradient rollout, by epoch of the stage."""
    seeds = [document["result"]["attention"][LOOKED_AT]["weights"] for document in documents]
    return {
        int(stage): [next(one for way, one in seed[stage].items() if "gradient" in way) for seed in seeds]
        for stage in sorted(seeds[0])
    }


def _means(scores: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Average each score over the seeds that have it; nan if none has."""
    values = {key: [one[key] for one in scores if one[key] is not None] for key in ATTENTION}
    return {key: float(np.mean(v)) if v else float("nan") for key, v in values.items()}


def section(found: Found, picture: Path) -> list[str]:
    """Draw question 6's figure into the PNG `picture`; returns Markdown on where attention lies, by epoch."""
    base = _baselines(found)
    figure, panels = figures.panels(3)
    first, whole = _first_epochs(found)
    for axes, key in zip(panels, ("hit", "", "on_housing"), strict=True):
        if first < whole:
            axes.axvspan(first - 0.5, whole - 0.5, color="grey", alpha=0.15, label="close-ups only")
        if key and base.get("uniform"):
            axes.axhline(base["uniform"][key], color="grey", linestyle=":", label="flat map")
    titles = ("Peak on the defect (NG)", "Entropy: NG full, OK dashed", "Share on the housing")
    rows = []
    for index, (variant, documents) in enumerate(found.variants.items()):
        stages = stage_means(documents)
        lines = (("hit", "o-", 0), ("entropy_ng", "o-", 1), ("entropy_ok", "o--", 1), ("on_housing", "o-", 2))
        for key, style, panel in lines:
            label = None if key == "entropy_ok" else variant
            values = [means[key] for means in stages.values()]
            panels[panel].plot(list(stages), values, style, color=f"C{index}", label=label)
        both = sorted({min(stages), max(stages)})
        cells = [" → ".join(f"{stages[epoch][key]:.2f}" for epoch in both) for key in ATTENTION]
        cells[0] = " → ".join(str(_hits(documents, epoch)) for epoch in both)
        rows.append([variant, len(documents), *cells])
    for name, means in base.items():
        rows.append(
            [
                f"*{name.replace('uniform', 'flat map').removesuffix(', gradient')}*",
                len(documents),
                *(f"{means[key]:.2f}" for key in ATTENTION),
            ]
        )
    for axes, title in zip(panels, titles, strict=True):
        axes.set_xlabel("epoch")
        figures.finish(axes, title)
    panels[1].set_ylim(0.1, 0.6)
    figures.save(figure, picture)
    return [
        "Gradient rollout on the test of changed housings at the first and the last stage (epochs "
        f"{' → '.join(map(str, both))}), mean over seeds, and "
        "for comparison a flat map and maps of an untrained ViT (random weights):\n\n"
        + table(["trained on", "seeds", *ATTENTION.values()], rows)
    ]


def _baselines(found: Found) -> dict[str, dict[str, float]]:
    """Average over trainings the scores of a uniform attention map, and of gradient rollout with random weights."""
    all_seeds = [
        document["result"]["attention"][LOOKED_AT]["baselines"]
        for documents in found.variants.values()
        for document in documents
    ]
    return {
        name: _means([one[name] for one in all_seeds])
        for name in all_seeds[0]
        if name == "uniform" or ("gradient" in name and name.startswith("random"))
    }


def _first_epochs(found: Found) -> tuple[int, float]:
    """Find the first epoch with attention scores, and the first epoch of training on whole pictures."""
    documents = [d for some in found.variants.values() for d in some]
    whole = (r["epoch"] for d in documents for r in d["result"]["curve"] if r["stage"] == "pictures")
    return min(_rollouts(documents)), min(whole, default=0.0)


def _hits(documents: list[dict[str, Any]], epoch: int) -> Value | str:
    """Compute the share of defective pictures whose attention peak lies on the defect, with Wilson's interval."""
    shares = []
    for one in _rollouts(documents)[epoch]:
        if one["hit"] is not None:
            trials = int(one["ng_pictures"])
            shares.append({"share": one["hit"], "interval": wilson(one["hit"], trials)})
    return over_seeds(shares) or "–"
