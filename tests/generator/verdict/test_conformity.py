import math

import numpy as np
import pytest

from generator.verdict.conformity import Decision, decide_height, decide_true_position, disc_outside, part_verdict
from generator.verdict.envelope import Verdict


@pytest.mark.parametrize("mean", [(0.0, 0.0), (0.38, 0.0), (0.3, -0.3), (-0.1, 0.45), (2.0, 0.0)])
@pytest.mark.parametrize(
    ("sx", "sy", "rho"), [(0.05, 0.05, 0.0), (0.02, 0.2, 0.6), (0.3, 0.1, -0.9), (0.4, 0.001, 0.0)]
)
def test_probability_outside_a_disc_is_that_of_random_draws(mean, sx, sy, rho):
    covariance = np.array([[sx**2, rho * sx * sy], [rho * sx * sy, sy**2]])
    draws = np.random.default_rng(3).multivariate_normal(mean, covariance, 200_000)
    expected = (np.hypot(*draws.T) > 0.4).mean()
    assert disc_outside(np.array(mean), covariance, 0.8) == pytest.approx(expected, abs=0.004)


def test_round_error_at_the_centre_has_the_rayleigh_distribution():
    assert disc_outside(np.zeros(2), 0.01 * np.eye(2), 0.4) == pytest.approx(math.exp(-0.5 * 0.2**2 / 0.01), abs=1e-6)


def test_an_exact_measure_is_decided_by_its_value():
    assert decide_true_position(np.array([0.39, 0.0]), np.zeros((2, 2)), 0.8) is Decision.CONFORM
    assert decide_true_position(np.array([0.0, 0.41]), np.zeros((2, 2)), 0.8) is Decision.NONCONFORM
    assert decide_height(0.3, 0.0, 0.3, 0.3) is Decision.CONFORM
    assert decide_height(0.31, 0.0, 0.3, 0.3) is Decision.NONCONFORM


def test_true_position_near_its_limit_is_undecided():
    covariance = 0.02**2 * np.eye(2)
    decisions = [decide_true_position(np.array([dx, 0.0]), covariance, 0.8) for dx in (0.3, 0.39, 0.41, 0.5)]
    assert decisions == [Decision.CONFORM, Decision.UNDECIDED, Decision.UNDECIDED, Decision.NONCONFORM]


def test_height_has_a_limit_on_both_sides():
    # One-sided 5 %: 1.645 standard deviations, 0.823 of U.
    assert decide_height(0.3, 0.1, 0.5, 0.2) is Decision.CONFORM
    assert decide_height(0.5 - 0.084, 0.1, 0.5, 0.2) is Decision.CONFORM
    assert decide_height(0.5 - 0.08, 0.1, 0.5, 0.2) is Decision.UNDECIDED
    assert decide_height(0.5 + 0.084, 0.1, 0.5, 0.2) is Decision.NONCONFORM
    assert decide_height(-0.3, 0.1, 0.5, 0.2) is Decision.NONCONFORM


@pytest.mark.parametrize("u", [math.nan, math.inf])
def test_a_measure_that_the_views_do_not_determine_is_not_guessed(u):
    assert decide_height(0.0, u, 0.5, 0.5) is Decision.UNDETERMINED
    assert decide_true_position(np.zeros(2), np.full((2, 2), u), 0.8) is Decision.UNDETERMINED


@pytest.mark.parametrize("u", [1.0, 5.0, 1000.0])
def test_a_wide_uncertainty_decides_nothing(u):
    for value in (0.0, 0.6):
        assert decide_height(value, u, 0.5, 0.5) is Decision.UNDECIDED
        assert decide_true_position(np.array([value, 0.0]), u**2 * np.eye(2), 0.8) is Decision.UNDECIDED


def test_an_uncertainty_along_the_limit_does_not_hide_a_bad_pin():
    # 0.5 mm to the right, hardly known upwards: nonconform, since no height brings it back into the disc.
    covariance = np.diag([0.02**2, 3.0**2])
    assert decide_true_position(np.array([0.5, 0.0]), covariance, 0.8) is Decision.NONCONFORM


good = {"true_position": Decision.CONFORM, "height": Decision.CONFORM}
judged = ("true_position", "height")


@pytest.mark.parametrize(
    ("decision", "verdict"),
    [
        (Decision.CONFORM, Verdict.OK),
        (Decision.NONCONFORM, Verdict.NG),
        (Decision.UNDECIDED, Verdict.UNSURE),
        (Decision.UNDETERMINED, Verdict.UNSURE),
        (Decision.NOT_SEEN, Verdict.UNSURE),
    ],
)
def test_a_part_is_ok_only_if_everything_conforms(decision, verdict):
    found, reasons = part_verdict({"r1c1": good, "r1c2": {**good, "height": decision}}, judged)
    assert found is verdict
    assert reasons == ([] if verdict is Verdict.OK else [f"{decision}: height of r1c2"])


def test_nonconform_counts_before_undecided():
    pins = {"r1c1": {**good, "height": Decision.UNDECIDED}, "r1c2": {**good, "true_position": Decision.NONCONFORM}}
    found, reasons = part_verdict(pins, judged)
    assert found is Verdict.NG
    assert reasons == ["nonconform: true position of r1c2", "undecided: height of r1c1"]


def test_a_characteristic_without_a_decision_is_not_ok():
    assert part_verdict({"r1c1": {"true_position": Decision.CONFORM}}, judged)[0] is Verdict.UNSURE
    assert part_verdict({}, judged)[0] is Verdict.INVALID


def test_what_was_not_inspected_is_named_with_every_verdict():
    found, reasons = part_verdict({"r1c1": good}, ["true_position"], not_inspected=["height"])
    assert (found, reasons) == (Verdict.OK, ["not inspected: height"])
