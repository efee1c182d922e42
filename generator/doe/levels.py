"""Give each picture of a design a level of every factor.

Levels come from the design's table, repeated, or from random draws; those of noise factors vary between the pictures
(captures) of one part.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.stats import qmc

from blender_scripts.contract.errors import InputError
from generator.dataset.labels import OK
from generator.doe import tables
from generator.doe.row import Row
from generator.doe.spec import SAMPLED, Factor, Spec, SplitSpec

_DRAWS_OF_A_PART = 300


def class_counts(spec: Spec, split: SplitSpec) -> dict[str, int]:
    """Return the number of pictures of each class in a split: `rows` divided in proportion to the classes' weights.

    Without `rows`, the table of levels is repeated `replicates` x weight times for each class.

    Raises:
        InputError: the split's `rows` is not a multiple of the number of captures of a part, or no table fits.
    """
    if split.rows is None:
        assert split.replicates is not None
        runs = len(_table(spec, split, OK, 0)[0]) * len(captures_of(spec, split))
        return {name: weight * runs * split.replicates for name, weight in split.classes.items()}
    total = sum(split.classes.values())
    block = len(captures_of(spec, split))
    if split.rows % block:
        raise InputError(
            f"{spec.path.name}: splits.{split.name}.rows: expected a multiple of {block}, the number of pictures "
            f"(captures) of each part, got {split.rows}"
        )
    units = split.rows // block
    exact = {name: units * weight / total for name, weight in split.classes.items()}
    counts = {name: int(share) for name, share in exact.items()}
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[: units - sum(counts.values())]:
        counts[name] += 1
    return {name: count * block for name, count in counts.items()}


def rows_of(spec: Spec, split: SplitSpec, name: str, count: int) -> list[Row]:
    """Make `count` rows (see `class_counts`) of class `name` in a split, with all levels, but without defects yet."""
    source = spec.random("table", split.name, name)
    fixed = [factor for factor in _control(spec, split) if len(factor.levels) == 1]
    ranged = [factor for factor in split.factors if factor.range is not None]
    captures = captures_of(spec, split)
    units = count // len(captures)
    constant = _cells(fixed, [0] * len(fixed))
    controls: list[dict[str, str]] = []
    if spec.kind in SAMPLED:
        factors = [factor for factor in _control(spec, split) if len(factor.levels) > 1]
        shares = shares_of(spec, units, len(factors) + len(ranged), "levels", split.name, name)
        for line in shares:
            numbers = [
                min(int(share * len(f.levels)), len(f.levels) - 1) for f, share in zip(factors, line, strict=False)
            ]
            controls.append(_cells(factors, numbers) | _numbers(ranged, line[len(factors) :]))
    else:
        replicate = 0
        while len(controls) < units:
            table, factors = _table(spec, split, name, replicate)
            lines = list(table)
            if len(lines) > units - len(controls):
                lines = _balanced_part(lines, units - len(controls), source)
            controls += [_cells(factors, line) for line in lines]
            replicate += 1
        shares = shares_of(spec, units, len(ranged), "ranges", split.name, name)
        controls = [cells | _numbers(ranged, line) for cells, line in zip(controls, shares, strict=True)]
    return [
        Row(split.name, name, {**constant, **cells, **capture}, unit)
        for unit, cells in enumerate(controls)
        for capture in captures
    ]


def captures_of(spec: Spec, split: SplitSpec) -> list[dict[str, str]]:
    """Return, for each picture (capture) of a part, the levels of the noise factors by manifest column.

    Without noise factors a part has one picture: [{}].

    Raises:
        InputError: no table fits the noise factors.
    """
    factors = [factor for factor in split.factors if factor.name in spec.noise]
    levels = [len(factor.levels) for factor in factors]
    try:
        table = tables.full(levels)
        if spec.outer == "orthogonal" and factors:
            _, table = tables.orthogonal(levels)
    except ValueError as error:
        raise InputError(f"{spec.path.name}: design.outer: expected {error}") from None
    return [_cells(factors, numbers) for numbers in table]


def shares_of(spec: Spec, count: int, factors: int, *purpose: str) -> np.ndarray:
    """Draw points, one coordinate per factor, by the design's kind: random, Sobol or (all others) Latin hypercube.

    Args:
        spec: the design.
        count: number of points.
        factors: number of factors.
        purpose: words from which, with the design's seed, the random generator is seeded.

    Returns:
        (count, factors) places in the factors' ranges, 0 (low) to 1 (high).
    """
    seed = spec.random("shares", *purpose).getrandbits(64)
    rng = np.random.default_rng(seed)
    if not count or not factors:
        return np.zeros((count, factors))
    if spec.kind == "random":
        return rng.random((count, factors))
    points: np.ndarray
    if spec.kind == "sobol":
        # Scrambled points are balanced over powers of two; those beyond `count` are not used.
        points = qmc.Sobol(factors, rng=rng).random(1 << max(count - 1, 0).bit_length())[:count]
    else:
        points = qmc.LatinHypercube(factors, rng=rng).random(count)
    return points


def _control(spec: Spec, split: SplitSpec) -> list[Factor]:
    return [f for f in split.factors if f.name not in spec.noise and f.range is None]


def _table(spec: Spec, split: SplitSpec, name: str, replicate: int) -> tuple[np.ndarray, list[Factor]]:
    """Make one replicate of a class's table: its level numbers (runs, factors), and the factors.

    The first replicate of the first class is the textbook's table. In all others the levels are permuted at random:
    balance stays, and aliases differ between replicates.
    """
    factors = [factor for factor in _control(spec, split) if len(factor.levels) > 1]
    levels = [len(factor.levels) for factor in factors]
    kind = spec.inner if spec.kind == "inner_outer" else spec.kind
    try:
        if kind == "full" or not factors:
            table = tables.full(levels)
        elif kind == "fractional":
            table = tables.fractional(levels, spec.resolution, spec.generators)
        else:
            _, table = tables.orthogonal(levels, spec.table)
    except ValueError as error:
        raise InputError(f"{spec.path.name}: splits.{split.name}: expected {error}") from None
    if replicate or name != next(iter(split.classes)):
        table = table.copy()
        source = spec.random("levels", split.name, name, str(replicate))
        for column, count in enumerate(levels):
            table[:, column] = np.array(source.sample(range(count), count))[table[:, column]]
    return table, factors


def _balanced_part(lines: list[np.ndarray], count: int, source: random.Random) -> list[np.ndarray]:
    """Draw `count` rows of a table many times; return the draw with the best balanced levels (then pairs of levels)."""
    table = np.array(lines)
    levels = table.max(axis=0, initial=0) + 1

    def unbalance(chosen: list[int]) -> tuple[float, float]:
        rows = table[chosen]
        singles = sum(np.bincount(column, minlength=n).var() for column, n in zip(rows.T, levels, strict=True))
        pairs = sum(
            np.bincount(rows[:, a] * levels[b] + rows[:, b], minlength=levels[a] * levels[b]).var()
            for a, b in combinations(range(len(levels)), 2)
        )
        return float(singles), float(pairs)

    tries = [sorted(source.sample(range(len(lines)), count)) for _ in range(_DRAWS_OF_A_PART)]
    return [lines[number] for number in min(tries, key=unbalance)]


def _cells(factors: Sequence[Factor], numbers: Sequence[int]) -> dict[str, str]:
    return {
        column: cell
        for factor, number in zip(factors, numbers, strict=True)
        for column, cell in zip(factor.columns, factor.levels[int(number)], strict=True)
    }


def _numbers(factors: Sequence[Factor], shares: Sequence[float]) -> dict[str, str]:
    return {
        factor.columns[0]: f"{factor.range.at(float(share)):.{factor.range.decimals}f}"
        for factor, share in zip(factors, shares, strict=True)
        if factor.range is not None
    }
