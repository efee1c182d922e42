import math
from dataclasses import replace

import numpy as np
import pytest

from blender_scripts.contract.tolerance import Limits
from generator.locating.measure import MeasuredPin, sag_mm
from trainer.core.errors import InputError
from trainer.gauge import tip_height
from trainer.gauge.reference import Reference
from trainer.gauge.run import Uncertainty
from trainer.gauge.station_uncertainty import check_scatter, completed, corrected, enlargement, scaled

SIGMA = 0.03
LIMITS = [Limits(0.8, 0.6, 0.6)]
LENGTH = 5.0
GOOD = {"center": np.array([1.5, 1.4, 1.3])}


def pin(offsets, sigma=SIGMA, present=1.0, determined=(True, True, False)) -> MeasuredPin:
    return MeasuredPin(present, 0.1, np.array(offsets), np.eye(3) * sigma**2, np.array(determined), 0.0)


def good_parts(error_mm: float, count: int = 20) -> list[list[MeasuredPin]]:
    source = np.random.default_rng(0)
    return [[pin(source.normal(0.0, error_mm, 3)) for _ in range(27)] for _ in range(count)]


def test_good_parts_enlarge_u_where_their_measures_scatter_more_than_it_says():
    found = enlargement(good_parts(0.09), 0.0)
    assert found[:2] == pytest.approx([3.2, 3.2], rel=0.1)
    assert np.isnan(found[2])  # not determined by any of them


def test_good_parts_never_make_u_smaller():
    assert enlargement(good_parts(0.003), 0.0)[:2].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("scatter", [0.02, 0.05, 0.1])
def test_with_a_stated_scatter_u_still_covers_95_percent_of_the_errors(scatter):
    source, error = np.random.default_rng(2), 0.09
    parts = [[pin(source.normal(0.0, np.hypot(error, scatter), 3)) for _ in range(27)] for _ in range(60)]
    assert enlargement(parts, scatter)[:2].min() > 0.93 * error / SIGMA


def test_the_scatter_of_production_is_no_error_if_it_is_stated():
    assert enlargement(good_parts(0.05), 0.05)[:2].max() < 1.0 + 1e-9 < enlargement(good_parts(0.05), 0.0)[:2].min()


def test_a_scatter_near_the_limits_is_refused():
    check_scatter(0.1, LIMITS)
    with pytest.raises(InputError, match=r"at most 0\.1 mm"):
        check_scatter(0.11, LIMITS)
    with pytest.raises(InputError, match=r"at most 0\.05 mm"):
        check_scatter(0.06, [*LIMITS, Limits(0.8, 0.2, 0.6)])


def test_errors_common_to_a_part_make_the_bound_of_few_parts_larger():
    source = np.random.default_rng(3)
    covered = []
    for _ in range(30):
        common = source.normal(0.0, 2 * SIGMA, (8, 1, 3))
        parts = [[pin(each) for each in one] for one in common + source.normal(0.0, SIGMA, (8, 27, 3))]
        true = np.sqrt(5.0) * SIGMA
        covered.append(math.erf(2.0 * SIGMA * enlargement(parts, 0.0)[0] / true / math.sqrt(2.0)))
    assert np.mean(covered) > 0.94


def test_missing_pins_few_pins_and_few_parts_show_nothing():
    far = (0.5, 0.5, 0.5)
    for parts in ([[pin(far, present=0.1)] * 99] * 8, [[pin(far)] * 4] * 8, [[pin(far)] * 99] * 7):
        assert np.isnan(enlargement(parts, 0.0)).all()


def test_measures_far_beyond_u_are_no_good_parts():
    with pytest.raises(InputError, match="expected good parts"):
        enlargement([[pin((9.0, 9.0, 9.0))] * 9] * 8, 0.0)


def test_what_was_not_measured_gets_the_largest_factor_and_is_said():
    found, missing = completed({"": np.array([2.0, np.nan, np.nan]), "center": np.array([1.0, 3.0, np.nan])})
    assert {name: each.tolist() for name, each in found.items()} == {"": [2.0, 3.0, 1.0], "center": [1.0, 3.0, 1.0]}
    assert missing == {"": ["dy", "height"], "center": ["height"]}
    with pytest.raises(InputError, match="photograph more good parts"):
        completed({"center": np.full(3, np.nan)})


def test_views_without_a_factor_get_the_largest():
    old = Uncertainty(alone={"": (1.0, 1.0, 1.0), "center": (0.5, 0.5, 1.0)}, slopes={"round": 0.98, "": 0.97})
    new = scaled(old, {"center": np.array([2.0, 1.0, 1.0]), "": np.array([1.5, 1.2, 1.0])}, 0.95, "round")
    assert new.alone == {"": (2.0, 1.2, 1.0), "center": (1.0, 0.5, 1.0)}
    assert new.together == new.widening == (1.5, 1.2, 1.0)
    assert new.slopes == {"round": pytest.approx(0.931), "": 0.97} and new.residual == old.residual
    new = scaled(old, {"center": np.array([0.5, 0.5, 0.5])})
    assert new.together == new.alone[""] == (1.0, 1.0, 1.0)


def reference_of(parts: int, bent_mm: float, found_share: float, error_mm: float, **more):
    """A reference's measures of some parts, and a gauge's that finds only a share of every displacement."""
    source = np.random.default_rng(1)
    true, measured = {}, {}
    for number in range(parts):
        places = {f"r1c{index}": np.append(source.uniform(-bent_mm, bent_mm, 2), np.nan) for index in range(27)}
        true[f"p{number}"] = places
        measured[f"p{number}"] = {
            address: pin((*(found_share * each[:2] + source.normal(0.0, error_mm, 2)), 0.0), **more)
            for address, each in places.items()
        }
    return Reference(true), {"center": measured}


def correct(reference, seen, good=GOOD):
    lengths = {address: LENGTH for pins in reference.measures.values() for address in pins}
    return corrected(reference, seen, "center", good, LIMITS, lengths)


def test_a_reference_gives_the_slope_and_may_make_u_smaller():
    slope, found = correct(*reference_of(20, 0.8, 0.95, 0.01))
    assert slope == pytest.approx(0.95, abs=0.005)
    assert found["center"][:2] == pytest.approx([1 / 3, 1 / 3], rel=0.15)
    assert found["center"][2] == 1.3  # the good parts' factor: the reference states no height


@pytest.mark.parametrize(("retraction_mm", "shrinks"), [(0.0, False), (0.5, True)])
def test_bends_alone_do_not_make_u_of_heights_smaller(retraction_mm, shrinks):
    """A bend lowers the tip, so a gauge that always finds the terminal at its height measures such tips well."""
    reference, seen = reference_of(20, 2.0, 1.0, 0.01, determined=(True, True, True))
    source = np.random.default_rng(4)
    for part, pins in seen["center"].items():
        for address, found in pins.items():
            true = reference.measures[part][address]
            true[2] = retraction_mm + sag_mm(float(np.hypot(*true[:2])), LENGTH)
            pins[address] = replace(found, offsets_mm=np.append(found.offsets_mm[:2], true[2] + source.normal(0, 0.01)))
    assert (correct(reference, seen)[1]["center"][2] < 1.3) == shrinks


def test_a_set_of_views_without_enough_of_the_reference_keeps_the_good_parts_factors():
    reference, seen = reference_of(20, 0.8, 1.0, 0.01)
    few = {name: seen["center"][name] for name in ("p0", "p1")}
    good = GOOD | {"left": np.array([1.2, 1.1, 1.0]), "": np.array([1.7, 1.6, 1.5])}
    found = correct(reference, seen | {"left": few}, good)[1]
    assert found["center"][0] < 0.5
    assert found["left"].tolist() == [1.2, 1.1, 1.0] and found[""].tolist() == [1.7, 1.6, 1.5]


def test_heights_of_pins_that_sit_at_their_height_do_not_make_u_smaller():
    reference, seen = reference_of(20, 0.8, 1.0, 0.01, determined=(True, True, True))
    flat = Reference({name: {a: np.array([*v[:2], 0.0]) for a, v in one.items()} for name, one in
                      reference.measures.items()})  # fmt: skip
    assert correct(flat, seen)[1]["center"][2] == 1.3


def test_the_bend_s_shape_does_not_make_u_of_heights_smaller():
    """U of the terminal covers the shape of far bends; errors of the tip's height do not contain it."""
    source, length, true, seen = np.random.default_rng(4), 5.0, {}, {}
    for part in range(20):
        for index in range(27):
            name, place = (f"p{part}", f"r1c{index}"), source.uniform(-1.5, 1.5, 2)
            bend = float(np.hypot(*place))
            depth = 0.4 + source.normal(0.65, 0.15) * bend**2 / length  # with terminals that are retracted
            off = np.array([*place, depth - 0.65 * bend**2 / length]) + source.normal(0.0, SIGMA, 3)
            covariance = np.diag([SIGMA**2, SIGMA**2, SIGMA**2 + (0.15 * bend**2 / length) ** 2])
            found = replace(pin(off), covariance=covariance, bend_mm=bend, determined=np.ones(3, bool))
            true.setdefault(name[0], {})[name[1]] = np.array([*place, depth])
            seen.setdefault(name[0], {})[name[1]] = tip_height.of_pin(found, length, 0.15)
    factors = correct(Reference(true), {"center": seen})[1]["center"]
    assert factors == pytest.approx([1.0, 1.0, 1.0], rel=0.1)


def test_fewer_reference_parts_give_a_larger_u():
    few, many = (correct(*reference_of(number, 0.8, 1.0, 0.01))[1]["center"][0] for number in (8, 40))
    assert few > 0.98 * many


@pytest.mark.parametrize(
    ("parts", "bent", "more"),
    [(20, 0.05, {}), (5, 0.8, {}), (20, 0.8, {"present": 0.1}), (20, 0.8, {"determined": (True, False, False)})],
)
def test_a_reference_without_measured_bent_pins_or_of_few_parts_is_refused(parts, bent, more):
    with pytest.raises(InputError, match="only bent pins show"):
        correct(*reference_of(parts, bent, 1.0, 0.01, **more))


def test_bent_pins_that_the_gauge_did_not_see_do_not_count():
    reference, seen = reference_of(20, 0.8, 1.0, 0.01)
    other = Reference({name: {f"x{a}": v for a, v in one.items()} for name, one in reference.measures.items()})
    with pytest.raises(InputError, match="got 0 parts with 0 and 0 such pins"):
        correct(other, seen)
