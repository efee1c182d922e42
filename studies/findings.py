"""Summarise the results over seeds: a mean with an interval for each variant and measure.

The interval is the envelope of the seeds' 95 % intervals: from the lowest lower end to the highest upper end. It
covers the choice of test pictures and the spread of these seeds. It says nothing about other seeds.

Two variants that were measured on the same pictures are compared picture by picture, see `difference`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.soart_evaluation import auroc, in_order, wilson
from studies.plan import SIZES, all_runs
from studies.results import Document
from studies.run import TOPICS, Run

SEEDS_LOOKED_FOR = 20
DRAWS = 4000
DECIDING = 3  # fewest trainings of a variant for a decision; with one, chance decides up to a fifth of the comparisons
Answers = Mapping[str, Any]
Scores = tuple[np.ndarray, np.ndarray]  # scores of the OK pictures, and of the defective ones


@dataclass(frozen=True)
class Value:
    """A measure of one variant: mean over seeds, envelope `low` to `high` of their intervals, number of seeds."""

    mean: float
    low: float
    high: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f}–{self.high:.3f})"


@dataclass(frozen=True)
class Difference:
    """A measure of one variant minus that of another variant on the same pictures.

    Attributes:
        mean: The difference.
        low, high: Its 95 % interval.
        seeds: The smaller of the two variants' numbers of trainings.
    """

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def decided(self) -> bool:
        """True if the interval excludes zero and both variants have at least DECIDING trainings."""
        return self.seeds >= DECIDING and (self.low > 0 or self.high < 0)

    def __str__(self) -> str:
        text = f"{self.mean:+.3f} ({self.low:+.3f}, {self.high:+.3f})"
        return f"**{text}**" if self.decided else text


def difference(one: Sequence[Answers], other: Sequence[Answers], same_models: bool = False) -> Difference | None:
    """Compute balanced accuracy of `other` minus that of `one`, with a bootstrap interval over pictures and seeds.

    The same pictures are drawn for both variants, so that pictures which are hard for both cancel out. Seeds are drawn
    for each variant separately, as trainings of equal seed have nothing in common. If a variant has one seed, the
    interval does not contain its spread of trainings. Pictures and seeds are drawn independently (Owen, 2007, The
    pigeonhole bootstrap).

    Args:
        one, other: For each variant, the `measures.answers` of each seed.
        same_models: Whether the same models gave the answers of both variants, for example on other pictures of the
            same parts. If so, the same seeds are drawn for both variants.

    Returns:
        The difference; None if a variant has no run.

    Raises:
        ValueError: The runs were not measured on the same pictures.
    """
    if not one or not other:
        return None
    if len({answers["of"] for answers in (*one, *other)}) != 1:
        raise ValueError("expected runs that were measured on the same pictures, got different pictures")
    truth = _labels(one[0], "truth")
    classes = [truth == label for label in np.unique(truth)]
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=DRAWS)
    seeds = [rng.integers(len(side), size=(DRAWS, len(side))) for side in (one, other)]
    if same_models:
        seeds[1] = seeds[0]
    accuracies, means = [], []
    for side, chosen in zip((one, other), seeds, strict=True):
        right = np.array([_labels(answers, "said") == truth for answers in side], dtype=float)
        means.append(np.mean([right[:, some].mean() for some in classes]))
        by_seed = _drawn_accuracy(drawn, right, classes)
        accuracies.append(np.take_along_axis(by_seed, chosen, axis=1).mean(axis=1))
    low, high = np.nanquantile(accuracies[1] - accuracies[0], [0.025, 0.975])
    return Difference(float(means[1] - means[0]), float(low), float(high), min(len(one), len(other)))


def auroc_difference(one: Sequence[Scores], other: Sequence[Scores], seeds: int | None = None) -> Difference | None:
    """Compute AUROC (defective against OK pictures) of `other` minus that of `one`, with a bootstrap interval.

    The same pictures are drawn for both variants, OK and defective pictures separately. Seeds are drawn for each
    variant separately. The interval is too narrow for a variant with an AUROC of 1: no draw contains a missed picture.

    Args:
        one, other: For each variant, a pair `Scores` per training: scores of OK and of defective pictures.
        seeds: `seeds` of the returned difference; None: the smaller of the variants' numbers of trainings.

    Returns:
        The difference; None if a variant has no run.
    """
    if not one or not other:
        return None
    rng = np.random.default_rng(0)
    drawn = [rng.multinomial(n, np.full(n, 1 / n), size=DRAWS) / n for n in map(len, one[0])]
    means, areas = [], []
    for side in (one, other):
        orders = [in_order(bad, good) for good, bad in side]
        by_seed = np.stack([((drawn[1] @ order) * drawn[0]).sum(axis=1) for order in orders], axis=1)
        chosen = rng.integers(len(side), size=(DRAWS, len(side)))
        areas.append(np.take_along_axis(by_seed, chosen, axis=1).mean(axis=1))
        means.append(np.mean([order.mean() for order in orders]))
    # Rounded, so that equal answers give a difference of exactly 0.
    low, high = np.quantile(areas[1] - areas[0], [0.025, 0.975]).round(12)
    fewest = min(len(one), len(other)) if seeds is None else seeds
    return Difference(float(means[1] - means[0]), float(low), float(high), fewest)


def scores_of(result: Mapping[str, Any], method: str) -> dict[str, Scores]:
    """Read a method's scores of OK and of defective pictures from a run's result, by cell (a defect at a size)."""
    kept = result["scores"]
    values, begin = np.array(kept["by_method"][method]), 0
    parts = {}
    for cell, count in kept["cells"].items():
        parts[cell.replace("_", " ")] = values[begin : begin + count]
        begin += count
    good = parts.pop("")
    return {cell: (good, bad) for cell, bad in parts.items()}


def areas(by_seed: Sequence[Mapping[str, Scores]]) -> dict[str, Value]:
    """Compute the AUROC for each kind and size of defect, as the mean over trainings.

    Its interval encloses the Wilson intervals of all trainings, in which each NG picture is one trial.
    """
    found = {}
    for cell in by_seed[0] if by_seed else ():
        sides = [scores[cell] for scores in by_seed]
        values = [auroc(bad, good) for good, bad in sides]
        trials = len(sides[0][1])
        value = over_seeds({"share": v, "interval": wilson(v, trials)} for v in values)
        if value:
            found[cell] = value
    return found


def _labels(answers: Answers, key: str) -> np.ndarray:
    return np.array([answers["classes"][int(digit)] for digit in answers[key]])


def _drawn_accuracy(drawn: np.ndarray, right: np.ndarray, classes: Sequence[np.ndarray]) -> np.ndarray:
    """Balanced accuracy (draws, S) if pictures count `drawn` (draws, N) times; `right` (S, N): correct, by seed."""
    with np.errstate(invalid="ignore"):
        recalls = [drawn[:, some] @ right[:, some].T / drawn[:, some].sum(axis=1)[:, None] for some in classes]
    return np.nanmean(recalls, axis=0)


@dataclass(frozen=True)
class Found:
    """Results of a question's finished runs at one size, by variant; `planned`: number of all its runs."""

    question: int
    size: str
    planned: int
    variants: dict[str, list[Document]]
    other: Found | None = None  # the same question at the other size, if that has finished runs

    @property
    def done(self) -> int:
        """Number of finished runs."""
        return sum(map(len, self.variants.values()))

    @property
    def renderings(self) -> int:
        """Largest number of hashes that one dataset has; above 1 if its renders come from different processors."""
        hashes: dict[str, set[str]] = {}
        for documents in self.variants.values():
            for document in documents:
                recipe = json.dumps(document["config"]["data"], sort_keys=True)
                hashes.setdefault(recipe, set()).add(document["data"]["hash"])
        return max(map(len, hashes.values()), default=0)

    def values(self, read: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]) -> dict[str, Value]:
        """Summarise each variant over seeds; `read` returns `share` and `interval` of a result, or None."""
        found = {}
        for variant, documents in self.variants.items():
            shares = [read(document["result"]) for document in documents]
            if value := over_seeds(share for share in shares if share):
                found[variant] = value
        return found

    def difference(
        self, one: str, other: str, read: Callable[[Mapping[str, Any]], Answers | None]
    ) -> Difference | None:
        """Compute balanced accuracy of variant `other` minus that of `one`; None if either has no runs.

        `read` returns the answers in a run's result; a run without answers (None) does not count.
        """
        before, after = (
            [answers for document in self.variants.get(name, []) if (answers := read(document["result"]))]
            for name in (one, other)
        )
        return difference(before, after)


def over_seeds(shares: Iterable[Mapping[str, Any]]) -> Value | None:
    """Summarise each seed's `share` and `interval`: mean of the shares, envelope of the intervals; None if no share."""
    some = [one for one in shares if one.get("share") is not None]
    if not some:
        return None
    numbers = [float(one["share"]) for one in some]
    return Value(
        sum(numbers) / len(numbers),
        min(one["interval"][0] for one in some),
        max(one["interval"][1] for one in some),
        len(some),
    )


def findings(documents: Mapping[str, Document]) -> dict[int, Found]:
    """Return each question's finished runs at that of the `SIZES` with most of them; `documents`: results by key."""
    found: dict[int, list[Found]] = {question: [] for question in TOPICS}
    for size in SIZES:
        runs = all_runs(size, SEEDS_LOOKED_FOR)
        planned = all_runs(size)
        for question, sizes in found.items():
            some = [run for run in runs if run.question == question]
            variants = _variants(some, documents)
            sizes.append(Found(question, size, sum(run.question == question for run in planned), variants))
    chosen = {}
    for question, sizes in found.items():
        most, *others = sorted(sizes, key=lambda one: -one.done)
        chosen[question] = replace(most, other=next((one for one in others if one.done), None))
    return chosen


def _variants(runs: Sequence[Run], documents: Mapping[str, Document]) -> dict[str, list[Document]]:
    variants: dict[str, list[Document]] = {}
    for run in runs:
        if document := documents.get(run.key):
            variants.setdefault(run.variant, []).append(document)
    order = list(dict.fromkeys(run.variant for run in runs))
    return dict(sorted(variants.items(), key=lambda pair: order.index(pair[0])))
