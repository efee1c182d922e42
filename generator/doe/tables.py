"""Full, fractional and orthogonal tables of level numbers, with a check of orthogonality.

Tables come from pydoe. Libraries contain wrong tables, so each is used only after a check that every pair of its
columns has every pair of levels equally often (strength 2; Hedayat, Sloane and Stufken 1999, 1.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations

import numpy as np
from pydoe import fracfact, fracfact_by_res, fullfact, get_orthogonal_array

# pydoe calls the 27-run table of 13 three-level columns L27(2^1 3^12) and the mixed one of 36 runs L36(3^23).
_SOURCES = {
    "L8": "L8(2^7)",
    "L9": "L9(3^4)",
    "L12": "L12(2^11)",
    "L16": "L16(4^5)",
    "L18": "L18(6^1 3^6)",
    "L27": "L27(2^1 3^12)",
    "L36": "L36(3^23)",
}
TABLES = tuple(_SOURCES)
MOST_RUNS = 100_000


@cache
def columns_of(name: str) -> tuple[tuple[np.ndarray, ...], ...]:
    """Return a group for each column of the orthogonal table `name`, one of TABLES.

    A group holds the column, (runs,) level numbers, and the columns that can be used in its place: three of 2 levels
    for a column of 4 levels, one of 2 and one of 3 for a column of 6 levels, else none.
    """
    table = np.asarray(get_orthogonal_array(_SOURCES[name]), dtype=int)
    groups = []
    for column in table.T:
        codes = np.unique(column, return_inverse=True)[1]
        groups.append((codes, *_parts(codes)))
    for first, second in combinations(groups, 2):
        if not all(is_balanced_pair(a, b) for a in first for b in second):
            raise AssertionError(f"{name} has columns that are not orthogonal")
    return tuple(groups)


def _parts(codes: np.ndarray) -> tuple[np.ndarray, ...]:
    levels = int(codes.max()) + 1
    if levels == 4:
        return codes // 2, codes % 2, (codes // 2) ^ (codes % 2)
    if levels == 6:
        return codes // 3, codes % 3
    return ()


def is_balanced_pair(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether all pairs of levels of two columns occur equally often; columns are (runs,) level numbers from 0."""
    counts = np.zeros((a.max() + 1, b.max() + 1), dtype=int)
    np.add.at(counts, (a, b), 1)
    return bool((counts == counts[0, 0]).all())


def has_strength_2(table: np.ndarray) -> bool:
    """Whether a table of level numbers (runs, factors) has strength 2: all pairs of its columns are balanced."""
    return all(is_balanced_pair(table[:, i], table[:, j]) for i, j in combinations(range(table.shape[1]), 2))


def full(levels: Sequence[int]) -> np.ndarray:
    """Make the table of all combinations of levels: (runs, factors) level numbers from 0.

    Args:
        levels: number of levels of each factor.

    Raises:
        ValueError: the table would have more than MOST_RUNS (100,000) rows.
    """
    runs = int(np.prod(levels, dtype=float)) if levels else 1
    if runs > MOST_RUNS:
        raise ValueError(f"at most {MOST_RUNS} combinations of levels in a full design, got {runs}")
    return fullfact(list(levels)).astype(int) if levels else np.zeros((1, 0), int)


def fractional(levels: Sequence[int], resolution: int | None, generators: str | None) -> np.ndarray:
    """Make a two-level fractional factorial 2^(k-p): (runs, factors) level numbers, 0 or 1.

    Args:
        levels: number of levels of each factor; all must be 2.
        resolution: the smallest fraction of at least this resolution is used; None: 3. Fewer than 3 factors: `full`.
        generators: one word per factor, in place of a resolution. In "a b c abc", the fourth factor's level is the
            product of the other three factors' levels.

    Raises:
        ValueError: a factor without two levels, no such fraction, or generators that are wrong or alias two factors.
    """
    wrong = [count for count in levels if count != 2]
    if wrong:
        raise ValueError(f"two levels of every factor in a fractional design, got a factor with {wrong[0]} levels")
    count = len(levels)
    if generators is not None:
        words = generators.split()
        if len(words) != count:
            raise ValueError(f"as many generators as factors ({count}), got {len(words)} ({generators})")
        try:
            table = fracfact(generators)
        except (ValueError, IndexError) as error:
            raise ValueError(f"generators such as 'a b c abc', got {generators!r} ({error})") from None
    elif count < 3:
        return full(levels)
    else:
        try:
            table = fracfact_by_res(count, resolution or 3)
        except ValueError:
            raise ValueError(
                f"a number of factors for which a fraction of resolution {resolution or 3} exists, got {count}: "
                "use kind full"
            ) from None
    codes = (np.asarray(table) > 0).astype(int)
    if not has_strength_2(codes):
        raise ValueError(f"generators that do not alias main effects, such as 'a b c abc', got {generators!r}")
    return codes


def orthogonal(levels: Sequence[int], name: str | None = None) -> tuple[str, np.ndarray]:
    """Choose an orthogonal table for factors with these numbers of levels.

    Args:
        levels: number of levels of each factor.
        name: one of TABLES; None: the smallest one that has columns for all factors.

    Returns:
        The table's name, and its level numbers (runs, factors).

    Raises:
        ValueError: the table `name`, or every table, has too few columns with these numbers of levels.
    """
    for candidate in TABLES if name is None else (name,):
        chosen = _choose(columns_of(candidate), levels)
        if chosen is not None:
            table = np.stack(chosen, axis=1) if chosen else np.zeros((len(columns_of(candidate)[0][0]), 0), int)
            assert has_strength_2(table)
            return candidate, table
    wanted = ", ".join(f"{levels.count(n)} of {n} levels" for n in sorted(set(levels)))
    have = f"table {name}" if name else "one of the tables " + ", ".join(TABLES)
    raise ValueError(f"factors that fit {have}, got {wanted}: use full in place of orthogonal")


def _choose(groups: Sequence[Sequence[np.ndarray]], levels: Sequence[int]) -> list[np.ndarray] | None:
    """Choose a column for each factor, those with most levels first; None if the table has too few columns."""
    free: dict[int, list[np.ndarray]] = {}
    whole = [list(group) for group in groups]
    found: dict[int, np.ndarray] = {}
    for factor in sorted(range(len(levels)), key=lambda i: -levels[i]):
        wanted = levels[factor]
        if not free.get(wanted):
            # A whole column is preferred to splitting one.
            group = next((g for g in whole if g[0].max() + 1 == wanted), None)
            if group is not None:
                free.setdefault(wanted, []).append(group[0])
            else:
                group = next((g for g in whole if any(p.max() + 1 == wanted for p in g[1:])), None)
                if group is None:
                    return None
                for part in group[1:]:
                    free.setdefault(int(part.max()) + 1, []).append(part)
            whole = [g for g in whole if g is not group]
        found[factor] = free[wanted].pop(0)
    return [found[factor] for factor in range(len(levels))]
