"""Whether a run is fit to judge: better than chance at telling OK from NG on validation, and not collapsed.

A run is unfit if validation has no OK or no NG parts, if it predicts one class for over 90 % of the pictures although
fewer have it (`metrics.collapse_warning`), or if the one-sided 95 % lower bound of its balanced accuracy (mean of two
shares: NG parts found, OK parts passed) is at most 0.5. An unfit run answers INVALID, unless --allow-unfit is given.

The bound is that of Brodersen et al. (2010, The balanced accuracy and its posterior distribution): with flat priors the
two shares have beta distributions, and the distribution of their sum is the convolution of both. Pictures of one part
are not independent, so each part is one trial; a part with several pictures counts with its share of right ones. Unlike
a bootstrap, the bound does not become too narrow if all pictures are right or parts are few.

Validation chooses the threshold too. Therefore each half of its parts is judged by a threshold chosen on the other
half: otherwise a network that guesses would seem better than chance on few parts.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

CHANCE = 0.5
LEVEL = 0.95
GROUPS = 2
_BINS = 2000
_UNKNOWN = "fitness (how well this run tells OK from NG) is not recorded"
NOT_RECORDED = f"{_UNKNOWN}; `python -m trainer.evaluate` with the training's dataset measures it"
NOT_MEASURED = f"unfit: {NOT_RECORDED}"
NOT_MEASURED_ADAPTED = f"unfit: {_UNKNOWN}; evaluate the run that this one was adapted from, and adapt it again"


@dataclass(frozen=True)
class Fitness:
    """How well a run tells OK from NG on validation.

    Args:
        balanced_accuracy: Mean of the shares of NG parts found and OK parts passed; None without NG or OK parts.
        lower_bound: One-sided 95 % lower bound of `balanced_accuracy`; None without NG or OK parts.
        ok_parts, ng_parts: Number of parts with OK pictures, and with NG pictures.
        unfit: Why the run is unfit, each beginning with `unfit: `; empty if it is fit.
    """

    balanced_accuracy: float | None
    lower_bound: float | None
    ok_parts: int
    ng_parts: int
    unfit: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Return one line, without full stop, on whether the run is fit, with the numbers or the reasons."""
        if not self.unfit:
            return (
                f"fit: balanced accuracy of OK and NG on validation {self.balanced_accuracy:.3f}, 95 % lower bound "
                f"{self.lower_bound:.3f}, on {self.ok_parts} OK and {self.ng_parts} NG parts"
            )
        why = "; ".join(text.removeprefix("unfit: ") for text in self.unfit)
        return f"UNFIT, so `trainer.predict` answers INVALID unless --allow-unfit is given: {why}"

    def to_json(self) -> dict[str, Any]:
        """Return the fitness as the JSON object `fitness` of frozen.json."""
        return {**asdict(self), "unfit": list(self.unfit)}

    @classmethod
    def from_json(cls, held: Any) -> "Fitness":
        """Read the fitness from the JSON object `fitness` of frozen.json.

        Raises:
            KeyError, TypeError, ValueError: `held` is not such an object.
        """
        share, low = (None if held[k] is None else float(held[k]) for k in ("balanced_accuracy", "lower_bound"))
        return cls(share, low, int(held["ok_parts"]), int(held["ng_parts"]), tuple(map(str, held["unfit"])))


def fitness_said(held: Fitness | None) -> str:
    """Return one line, without full stop, on a run's fitness; None: that it is not recorded."""
    return NOT_RECORDED if held is None else held.sentence()


def lower_bound(found: tuple[float, float], passed: tuple[float, float], level: float = LEVEL) -> float:
    """Return the one-sided lower confidence bound of the mean of two shares, each beta-distributed with a flat prior.

    Args:
        found: Numbers of right and of wrong trials of the first share; may be fractions.
        passed: Numbers of right and of wrong trials of the second share; may be fractions.
        level: Confidence, in (0, 1).
    """
    from scipy import stats  # takes a second; prediction does not need it

    edges = np.linspace(0, 1, _BINS + 1)
    masses = [np.diff(stats.beta.cdf(edges, 1 + right, 1 + wrong)) for right, wrong in (found, passed)]
    cumulated = np.cumsum(np.convolve(*masses))
    # Bin k of the sum of both shares is centred on (k + 1) / _BINS.
    return float((np.searchsorted(cumulated, 1 - level) + 1) / _BINS / 2)


def _trials(parts: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Return right and wrong trials, one per part: the share of its pictures that is right, and the rest."""
    names, index = np.unique(parts, return_inverse=True)
    shares = np.bincount(index, weights=right) / np.bincount(index)
    return float(shares.sum()), float(len(names) - shares.sum())


def fitness_of(parts: Sequence[str], ng: np.ndarray, said_ng: np.ndarray, found_wanting: Sequence[str] = ()) -> Fitness:
    """Measure the fitness from decisions on validation.

    Args:
        parts: (N,) name of the part that each picture shows.
        ng: (N,) whether the picture is NG in truth.
        said_ng: (N,) whether the picture was decided NG, by a threshold chosen on other parts: see `cross_decided`.
        found_wanting: Further reasons why the run is unfit, each a sentence without full stop.
    """
    names, unfit = np.asarray(parts, dtype=str), [f"unfit: {text}" for text in found_wanting]
    ok_parts, ng_parts = len(set(names[~ng])), len(set(names[ng]))
    if not ok_parts or not ng_parts:
        unfit.append(
            f"unfit: validation has {ok_parts} OK and {ng_parts} NG parts; both are needed to show that the run tells "
            "them apart"
        )
        return Fitness(None, None, ok_parts, ng_parts, tuple(unfit))
    found, passed = _trials(names[ng], said_ng[ng]), _trials(names[~ng], ~said_ng[~ng])
    share = (found[0] / sum(found) + passed[0] / sum(passed)) / 2
    low = lower_bound(found, passed)
    if low <= CHANCE:
        unfit.append(
            f"unfit: balanced accuracy of OK and NG on validation is {share:.3f}; its 95 % lower bound {low:.3f}, from "
            f"{ok_parts} OK and {ng_parts} NG parts, is not above chance (0.5)"
        )
    return Fitness(share, low, ok_parts, ng_parts, tuple(unfit))


def cross_decided(
    parts: Sequence[str], ng: np.ndarray, scores: np.ndarray, choose: Callable[[np.ndarray, np.ndarray], float]
) -> np.ndarray:
    """Return (N,) bool: for each half of the parts, whether its pictures are NG by a threshold from the other half.

    Args:
        parts: (N,) name of the part that each picture shows.
        ng: (N,) whether the picture is NG in truth.
        scores: (N,) scores; from the threshold on, a picture is NG.
        choose: Function of the scores and the values of `ng` of one half's pictures to a threshold.
    """
    groups = part_groups(parts, ng, GROUPS)
    said = np.zeros(len(scores), dtype=bool)
    for group in range(GROUPS):
        inside = groups == group
        if inside.any() and not inside.all():
            said[inside] = scores[inside] >= choose(scores[~inside], ng[~inside])
    return said


def part_groups(parts: Sequence[str], ng: np.ndarray, groups: int) -> np.ndarray:
    """Divide the parts into groups with about equal numbers of OK parts and of NG parts.

    Args:
        parts: (N,) name of the part that each picture shows.
        ng: (N,) whether the picture is NG in truth; a part is NG if at least one of its pictures is.
        groups: Number of groups.

    Returns:
        (N,) number of each picture's group, from 0; pictures of a part are in one group.
    """
    bad = {part for part, is_ng in zip(parts, ng, strict=True) if is_ng}
    order = sorted(dict.fromkeys(parts), key=lambda part: part not in bad)  # stable
    dealt = {part: number % groups for number, part in enumerate(order)}
    return np.array([dealt[part] for part in parts], dtype=int)
