"""Aliases between factors: known tables have known aliases, and chance gives none."""

import numpy as np
import pytest

from generator.doe.aliasing import aliases, cramers_v
from generator.doe.tables import fractional, full, orthogonal


def factors(table: np.ndarray) -> dict[str, list[str]]:
    return {f"f{number}": [str(level) for level in column] for number, column in enumerate(table.T)}


def test_independent_and_identical_columns():
    a, b = full([3, 4]).repeat(5, axis=0).T
    assert cramers_v(a, b) == 0.0
    assert cramers_v(a, a) == 1.0
    assert cramers_v(a, np.zeros_like(a)) == 0.0
    assert cramers_v(a, (a > 0).astype(int)) == 1.0  # a determines the other


def test_a_full_design_has_no_alias_and_a_half_fraction_has_the_textbook_s():
    assert aliases(factors(full([2, 2, 2]).repeat(3, axis=0))) == []
    found = aliases(factors(fractional([2] * 3, None, "a b ab").repeat(4, axis=0)))
    assert {(alias.factor, frozenset(alias.by), alias.v) for alias in found} == {
        ("f0", frozenset({"f1", "f2"}), 1.0),
        ("f1", frozenset({"f0", "f2"}), 1.0),
        ("f2", frozenset({"f0", "f1"}), 1.0),
    }


def test_l8_aliases_seven_triples():
    found = aliases(factors(orthogonal([2] * 7, "L8")[1].repeat(3, axis=0)))
    assert len({frozenset((alias.factor, *alias.by)) for alias in found if alias.v == 1.0}) == 7


def test_a_light_that_goes_with_the_defect_is_found():
    rng = np.random.default_rng(1)
    defect = rng.integers(0, 2, 300)
    light = np.where(rng.random(300) < 0.9, defect, 1 - defect)
    camera = rng.integers(0, 3, 300)
    (alias,) = aliases(
        {name: list(map(str, v)) for name, v in {"defect": defect, "light": light, "camera": camera}.items()}
    )
    assert {alias.factor, *alias.by} == {"defect", "light"}
    assert alias.v == pytest.approx(0.8, abs=0.1)


def test_chance_is_not_taken_for_a_connection():
    rng = np.random.default_rng(2)
    assert aliases({name: list(map(str, rng.integers(0, 9, 200))) for name in "abcd"}) == []
