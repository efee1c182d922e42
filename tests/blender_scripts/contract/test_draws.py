"""Random numbers by purpose: repeatable to the bit, independent, with the stated distribution."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_scripts.contract import draws
from tests.other_python import other_python


def test_the_numbers_never_change() -> None:
    # Fixed values: another Python, order of draws or machine must give the same pictures.
    source = draws.generator(7, "scatter", "r2c5")
    assert [source.random() for _ in range(2)] == [0.4411273670684084, 0.37934870235534934]
    assert draws.integer(7, "noise", "center") == 1446177646


def test_another_process_draws_the_same() -> None:
    code = "from blender_scripts.contract import draws; print(draws.generator(3, 'pose', 'left').random().hex())"
    told = {other_python("-c", code, PYTHONHASHSEED=seed).stdout.strip() for seed in ("0", "1")}
    assert told == {draws.generator(3, "pose", "left").random().hex()}


def test_every_seed_purpose_and_key_has_its_own_sequence() -> None:
    names = [
        (1, "a"),
        (2, "a"),
        (1, "b"),
        (1, "a", "x"),
        (1, "a", "y"),
        (1, "a", "x", "y"),
        (11, ""),
        (1, "1"),
        (1, "ax"),
    ]
    assert len({draws.generator(*name).random() for name in names}) == len(names)


@given(st.integers(0, 2**63 - 1), st.floats(0, 10), st.floats(0.1, 4))
def test_normal_draws_are_truncated(seed: int, deviation: float, limit: float) -> None:
    source = draws.generator(seed, "test")
    for _ in range(5):
        assert abs(draws.normal(source, deviation, limit)) <= deviation * limit * (1 + 1e-12)


def test_normal_draws_are_normal() -> None:
    source = draws.generator(1, "test")
    values = [draws.normal(source, 2.0) for _ in range(20_000)]
    # A normal distribution cut at 2.5 deviations keeps 0.9546 of its deviation.
    assert statistics.fmean(values) == pytest.approx(0.0, abs=0.05)
    assert statistics.pstdev(values) == pytest.approx(2.0 * 0.9546, rel=0.02)
    within = sum(abs(value) < 2.0 for value in values) / len(values)
    assert within == pytest.approx(0.6827 / 0.98758, abs=0.01)
    assert max(map(abs, values)) > 4.8


def test_uniform_draws_fill_their_interval() -> None:
    source = draws.generator(1, "test")
    values = [draws.uniform(source, -3.0, 5.0) for _ in range(20_000)]
    assert min(values) >= -3.0 and max(values) < 5.0
    assert statistics.fmean(values) == pytest.approx(1.0, abs=0.05)
    assert statistics.pstdev(values) == pytest.approx(8.0 / math.sqrt(12.0), rel=0.02)
    even = [draws.symmetric(source, 0.5) for _ in range(2000)]
    assert -0.5 <= min(even) < -0.49 and 0.49 < max(even) < 0.5


@pytest.mark.parametrize("draw", [draws.normal, draws.symmetric])
def test_no_spread_is_no_deviation(draw) -> None:
    assert draw(draws.generator(1, "test"), 0.0) == 0.0


@given(st.integers(0, 2**63 - 1))
def test_integers_are_seeds_of_31_bits(seed: int) -> None:
    assert 0 <= draws.integer(seed, "noise", "center") < 2**31
