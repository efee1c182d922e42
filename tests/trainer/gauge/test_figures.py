"""Figures from tables of measured pins."""

import pandas as pd
import pytest

from tests.trainer.gauge.gauge_tables import PARTS, PINS, table
from trainer.gauge.figures import figures, groups, groups_by_pin, repeatability
from trainer.gauge.measuring import kinds_of


def test_errors_are_those_of_the_made_table():
    found = figures(table(slope=0.9))
    assert found["pins"] == PARTS * PINS and found["parts"] == PARTS
    assert found["slope_dx"] == pytest.approx(0.9, abs=0.02)
    assert found["bright_dx"] == pytest.approx(0.2)
    assert figures(table())["rms_dy"] == pytest.approx(0.03, rel=0.15)
    assert figures(table())["q95_dx"] == pytest.approx(0.06, rel=0.2)
    assert figures(table())["coverage_dx"] == pytest.approx(0.95, abs=0.03)
    assert figures(table(stated=0.01))["coverage_dx"] < 0.6


def test_groups_by_size_hold_each_pin_once():
    pins = table()
    sizes = [name for name in groups_by_pin(pins, 0.8) if name.startswith("true position")]
    assert len(sizes) == 3 and sum(len(groups_by_pin(pins, 0.8)[name]) for name in sizes) == len(pins)
    near = groups(pins, 0.8, ["a/r1c1"])
    assert set(near["positions displaced in training"].address) == {"r1c1"}


def test_repeatability_takes_captures_and_placings_apart():
    shown = [table(sigma=0.01, seed=1), table(sigma=0.01, seed=1)]
    shown[1] = shown[1].assign(found_dx=shown[1].found_dx + 0.1)  # a second capture of each placing
    again = [each.assign(fixture=each.fixture + 100, found_dx=each.found_dx + 1.0) for each in shown]
    found = repeatability(pd.concat(shown + again))
    assert found["captures_dx"] == pytest.approx(0.1 / 2**0.5)
    assert found["placings_dx"] == pytest.approx(1.0 / 2**0.5)
    assert repeatability(table()) == {}


def test_kinds_of_defects():
    text = "bent@r1c1:tip_offset_mm=0.2;retracted@r1c1:depth_mm=1;missing@r2c1"
    assert kinds_of(text) == {"r1c1": "bent+retracted", "r2c1": "missing"}
    assert kinds_of("") == {}
