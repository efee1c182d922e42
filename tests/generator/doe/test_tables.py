"""Tables of levels: shape, number of levels, and strength 2 (all pairs of levels equally often in two columns)."""

from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.doe.tables import TABLES, fractional, full, has_strength_2, is_balanced_pair, orthogonal
from tests.soak import times

LEVELS = {
    "L8": [2] * 7,
    "L9": [3] * 4,
    "L12": [2] * 11,
    "L16": [2] * 15,
    "L18": [2] + [3] * 7,
    "L27": [3] * 13,
    "L36": [2] * 11 + [3] * 12,
}


def strength_2(table: np.ndarray) -> bool:
    """Strength 2 by its definition, counted without numpy."""
    for i, j in combinations(range(table.shape[1]), 2):
        counts = Counter((int(row[i]), int(row[j])) for row in table)
        everything = set(product({int(v) for v in table[:, i]}, {int(v) for v in table[:, j]}))
        if set(counts) != everything or len(set(counts.values())) != 1:
            return False
    return True


@pytest.mark.parametrize("name", TABLES)
def test_every_orthogonal_table_is_one(name: str):
    found, table = orthogonal(LEVELS[name], name)
    assert found == name
    assert table.shape == (int(name[1:]), len(LEVELS[name]))
    assert [len(set(column)) for column in table.T] == LEVELS[name]
    assert strength_2(table) and has_strength_2(table)


def test_the_strength_test_finds_a_table_that_is_none():
    table = orthogonal([2] * 7, "L8")[1].copy()
    table[0, 0] = 1 - table[0, 0]
    assert not has_strength_2(table) and not strength_2(table)
    assert not is_balanced_pair(np.array([0, 0, 1]), np.array([0, 1, 0]))


@settings(max_examples=times(60))
@given(st.lists(st.sampled_from([2, 3, 4, 6]), min_size=1, max_size=9))
def test_the_smallest_table_that_fits_is_strength_2(levels: list[int]):
    try:
        name, table = orthogonal(levels)
    except ValueError as error:
        assert str(error).startswith("factors that fit one of the tables")
        return
    assert table.shape == (int(name[1:]), len(levels))
    assert [len(set(column)) for column in table.T] == levels
    assert strength_2(table)
    smaller = TABLES[: TABLES.index(name)]
    for other in smaller:
        with pytest.raises(ValueError, match="factors that fit table"):
            orthogonal(levels, other)


def test_columns_of_four_levels_serve_as_three_of_two():
    assert orthogonal([4, 4, *[2] * 9], "L16")[1].shape == (16, 11)
    with pytest.raises(ValueError, match="got 10 of 2 levels, 2 of 4 levels"):
        orthogonal([4, 4, *[2] * 10], "L16")


def test_full():
    assert full([]).shape == (1, 0)
    assert {tuple(map(int, row)) for row in full([2, 3])} == set(product(range(2), range(3)))
    with pytest.raises(ValueError, match="at most 100000 combinations of levels in a full design, got 1048576"):
        full([2] * 20)


def test_fractions():
    assert fractional([2] * 5, 3, None).shape == (8, 5)
    assert fractional([2] * 7, 4, None).shape == (16, 7)
    table = fractional([2] * 4, None, "a b c abc")
    assert strength_2(table)
    for message, arguments in {
        "two levels of every factor": ([2, 3], 3, None),
        r"as many generators as factors \(4\), got 3": ([2] * 4, None, "a b c"),
        "generators such as": ([2] * 3, None, "a b a"),
        "generators such as 'a b c abc', got 'a b -'": ([2] * 3, None, "a b -"),
    }.items():
        with pytest.raises(ValueError, match=message):
            fractional(*arguments)
