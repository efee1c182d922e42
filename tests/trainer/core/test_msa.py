"""Published worked examples, to their printed digits; each test names its source and convention."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from trainer.core.msa import crossed_rr, linearity, nested_rr, type1

# AIAG MSA manual, 4th edition, chapter III B, table III-B 7: appraisers A, B, C; three trials; ten parts.
AIAG_GRR = """
0.29 -0.56 1.34 0.47 -0.80 0.02 0.59 -0.31 2.26 -1.36  0.41 -0.68 1.17 0.50 -0.92 -0.11 0.75 -0.20 1.99 -1.25
0.64 -0.58 1.27 0.64 -0.84 -0.21 0.66 -0.17 2.01 -1.31
0.08 -0.47 1.19 0.01 -0.56 -0.20 0.47 -0.63 1.80 -1.68  0.25 -1.22 0.94 1.03 -1.20 0.22 0.55 0.08 2.12 -1.62
0.07 -0.68 1.34 0.20 -1.28 0.06 0.83 -0.34 2.19 -1.50
0.04 -1.38 0.88 0.14 -1.46 -0.29 0.02 -0.46 1.77 -1.49  -0.11 -1.13 1.09 0.20 -1.07 -0.67 0.01 -0.56 1.45 -1.77
-0.15 -0.96 0.67 0.11 -1.45 -0.49 0.21 -0.49 1.87 -2.16
"""


def aiag() -> pd.DataFrame:
    rows = itertools.product("ABC", (1, 2, 3), range(1, 11))
    table = pd.DataFrame(rows, columns=["appraiser", "trial", "part"])
    return table.assign(value=[float(text) for text in AIAG_GRR.split()])


def test_crossed_study_of_the_aiag_manual():
    found = crossed_rr(aiag())
    assert found.anova["sum_sq"].round(4).to_dict() == {
        "part": 88.3619,
        "appraiser": 3.1673,
        "interaction": 0.3590,
        "repeatability": 2.7589,
    }
    assert found.anova["df"].tolist() == [9, 2, 18, 60]
    assert found.pooled
    spreads = (found.repeatability, found.reproducibility, found.grr, found.part)
    assert spreads == pytest.approx((0.199933, 0.226838, 0.302373, 1.042327), abs=1.5e-6)
    shares = [round(100 * spread / found.total, 1) for spread in spreads]
    assert shares == [18.4, 20.9, 27.9, 96.0]
    assert round(found.percent_of_variation, 1) == 27.9
    assert int(found.ndc) == 4


def test_an_interaction_that_is_significant_stays_with_the_reproducibility():
    table = aiag()
    # Appraiser B reads parts 1 to 5 higher by 1: an interaction of 0.5 between parts and appraisers.
    table.loc[(table.appraiser == "B") & (table.part <= 5), "value"] += 1.0
    found = crossed_rr(table)
    assert not found.pooled
    assert found.repeatability == pytest.approx(math.sqrt(2.7589 / 60), abs=1e-5)
    assert found.reproducibility > 0.3


def test_nested_study_of_box_hunter_and_hunter():
    # Box, Hunter and Hunter, Statistics for Experimenters (1978), section 17.3: moisture of pigment paste; 15 batches,
    # 2 samples each, 2 tests each. Printed: mean squares 86.5, 58.0, 0.9; components 7.1, 28.5, 0.9.
    values = """
    40 39 30 30  26 28 25 26  29 28 14 15  30 31 24 24  19 20 17 17
    33 32 26 24  23 24 32 33  34 34 29 29  27 27 31 31  13 16 27 24
    25 23 25 27  29 29 31 32  19 20 29 30  23 24 25 25  39 37 26 28
    """
    rows = itertools.product(range(15), (1, 2), (1, 2))
    table = pd.DataFrame(rows, columns=["part", "fixture", "capture"])
    table = table.assign(value=[float(text) for text in values.split()])
    found = nested_rr(table)
    assert found.anova["mean_sq"].round(1).tolist() == [86.5, 58.0, 0.9]
    assert found.anova["df"].tolist() == [14, 15, 30]
    components = (found.part**2, found.reproducibility**2, found.repeatability**2)
    assert [round(component, 1) for component in components] == [7.1, 28.5, 0.9]


def test_nested_study_finds_the_scatter_that_it_was_made_with():
    random = np.random.default_rng(5)
    parts, placings, captures = 60, 8, 6
    value = random.normal(0, 0.3, (parts, 1, 1)) + random.normal(0, 0.02, (parts, placings, 1))
    value = value + random.normal(0, 0.01, (parts, placings, captures))
    table = pd.DataFrame(itertools.product(range(parts), range(placings), range(captures)), columns=["p", "f", "c"])
    found = nested_rr(table.assign(y=value.ravel()), part="p", fixture="f", value="y")
    assert found.repeatability == pytest.approx(0.01, rel=0.05)
    assert found.reproducibility == pytest.approx(0.02, rel=0.1)
    assert found.part == pytest.approx(0.3, rel=0.25)
    assert found.percent_of_tolerance(1.6) == pytest.approx(100 * 6 * found.grr / 1.6)
    assert found.percent_of_tolerance(found.smallest_tolerance(10.0)) == pytest.approx(10.0)
    assert found.ndc_over(1.6) == pytest.approx(1.41 * 1.6 / (6 * found.grr))


@pytest.mark.parametrize("study", [nested_rr, crossed_rr])
def test_unbalanced_studies_are_refused(study):
    table = aiag().rename(columns={"appraiser": "fixture"} if study is nested_rr else {})
    with pytest.raises(ValueError, match=r"expected .* got"):
        study(table.iloc[1:])


def test_bias_of_the_aiag_manual():
    # AIAG MSA manual, 4th edition, chapter III B, bias example: 15 readings of a part of 6.00; mean 6.0067, s 0.2120,
    # t 0.12 (from the standard deviation; the 3rd edition took it from the range).
    values = [5.8, 5.7, 5.9, 5.9, 6.0, 6.1, 6.0, 6.1, 6.4, 6.3, 6.0, 6.1, 6.2, 5.6, 6.0]
    found = type1(np.array(values), 6.0, 2.0)
    assert (round(found.bias, 4), round(found.s, 4), round(found.t, 2)) == (0.0067, 0.2120, 0.12)
    assert found.p == pytest.approx(0.905, abs=0.001)
    assert found.cg == pytest.approx(0.2 * 2.0 / (6 * 0.212020), rel=1e-4)
    assert found.cgk == pytest.approx((0.1 * 2.0 - 0.006667) / (3 * 0.212020), rel=1e-4)


def test_upper_limit_alone_counts_only_a_bias_that_hides_bad_parts():
    low, high = (
        type1(np.array([level, level + 0.01, level - 0.01]), 0.5, 0.8, upper_only=True) for level in (0.4, 0.6)
    )
    assert low.cgk < 0.0 < high.cgk == pytest.approx(high.cg)


def test_a_gauge_that_always_says_the_same_has_no_finite_capability():
    found = type1(np.zeros(10), 0.0, 0.8)
    assert (found.cg, found.t) == (math.inf, 0.0)


def test_linearity_of_the_aiag_manual():
    # AIAG MSA manual, chapter III A, table III-A 4: five parts, twelve readings; printed: slope -0.131667,
    # intercept 0.736667, s 0.23954, t -12.043 and 10.158, R-sq 71.4 %.
    readings = """
    2.7 2.5 2.4 2.5 2.7 2.3 2.5 2.5 2.4 2.4 2.6 2.4  5.1 3.9 4.2 5.0 3.8 3.9 3.9 3.9 3.9 4.0 4.1 3.8
    5.8 5.7 5.9 5.9 6.0 6.1 6.0 6.1 6.4 6.3 6.0 6.1  7.6 7.7 7.8 7.7 7.8 7.8 7.8 7.7 7.8 7.5 7.6 7.7
    9.1 9.3 9.5 9.3 9.4 9.5 9.5 9.5 9.6 9.2 9.3 9.4
    """
    found = linearity(np.repeat([2.0, 4.0, 6.0, 8.0, 10.0], 12), np.array([float(text) for text in readings.split()]))
    assert (round(found.slope, 6), round(found.intercept, 6)) == (-0.131667, 0.736667)
    assert (round(found.t_slope, 3), round(found.t_intercept, 3)) == (-12.043, 10.158)
    assert (round(found.s, 5), round(100 * found.r2, 1)) == (0.23954, 71.4)


def test_a_gauge_that_answers_zero_has_slope_minus_one():
    references = np.linspace(0.0, 1.2, 25)
    found = linearity(references, np.zeros(25))
    assert found.slope == pytest.approx(-1.0)


@pytest.mark.parametrize("references", [[1.0, 1.0, 1.0], [1.0, 2.0]])
def test_linearity_needs_different_references(references):
    with pytest.raises(ValueError, match="expected at least 3 measurements"):
        linearity(np.array(references), np.array(references))
