"""What the runs' JSON files say, over the seeds: a mean with an interval for each variant and measure.

The interval over seeds is the envelope of the seeds' own 95 % intervals: from the lowest lower end to the highest upper
end. It covers the choice of test pictures and the spread of the seeds seen; three seeds say no more about others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.study.plan import SIZES, TOPICS, Run, all_runs

SEEDS_LOOKED_FOR = 20


@dataclass(frozen=True)
class Value:
    """A measure of one variant: mean over seeds, envelope of their intervals, number of seeds, pictures or parts."""

    mean: float
    low: float
    high: float
    seeds: int
    of: int = 0

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f}–{self.high:.3f})"


@dataclass(frozen=True)
class Found:
    """The results of one question at one size: by variant the finished runs, in the plan's order."""

    question: int
    size: str
    planned: int
    variants: dict[str, list[dict[str, Any]]]

    @property
    def done(self) -> int:
        return sum(map(len, self.variants.values()))

    def values(self, read: Callable[[Mapping[str, Any]], Mapping[str, Any] | None]) -> dict[str, Value]:
        """By variant the value of the share, with its `interval`, that `read` finds in a result; none, no entry."""
        found = {}
        for variant, documents in self.variants.items():
            shares = [read(document["result"]) for document in documents]
            if value := over_seeds(share for share in shares if share):
                found[variant] = value
        return found


def over_seeds(shares: Iterable[Mapping[str, Any]]) -> Value | None:
    """Mean and envelope of shares with intervals; None of none. `share`, or `auroc`, holds the number."""
    some = [one for one in shares if (one.get("share", one.get("auroc"))) is not None]
    if not some:
        return None
    numbers = [float(one.get("share", one.get("auroc"))) for one in some]
    return Value(
        sum(numbers) / len(numbers),
        min(one["interval"][0] for one in some),
        max(one["interval"][1] for one in some),
        len(some),
        int(some[0].get("of", some[0].get("pictures", 0)) or 0),
    )


def documents_in(folder: Path) -> dict[str, dict[str, Any]]:
    """The results by key.

    Raises:
        ValueError: A file is no result of a run.
    """
    found = {}
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text("utf-8"))
            if document["key"] != path.stem or "result" not in document:
                raise ValueError(f"the key is {document['key']}")
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}: expected the result of a run under its key, got {error}") from error
        found[document["key"]] = document
    return found


def findings(documents: Mapping[str, dict[str, Any]]) -> dict[int, Found]:
    """By question what was found, at the size of which more runs are done."""
    found: dict[int, Found] = {}
    for size in SIZES:
        runs = all_runs(size, SEEDS_LOOKED_FOR)
        planned = all_runs(size)
        for question in TOPICS:
            some = [run for run in runs if run.question == question]
            variants = _variants(some, documents)
            one = Found(question, size, sum(run.question == question for run in planned), variants)
            if question not in found or one.done > found[question].done:
                found[question] = one
    return found


def _variants(
    runs: Sequence[Run], documents: Mapping[str, dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    variants: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if document := documents.get(run.key):
            variants.setdefault(run.variant, []).append(document)
    order = list(dict.fromkeys(run.variant for run in runs))
    return dict(sorted(variants.items(), key=lambda pair: order.index(pair[0])))


def apart(one: Value, other: Value) -> str:
    """Whether two intervals meet, in words."""
    if one.low > other.high or other.low > one.high:
        return "the intervals are apart"
    return "the intervals overlap: not decided by these runs"
