import numpy as np
import pytest

from generator.locating.measure import MeasuredPin
from trainer.core.errors import InputError
from trainer.gauge.run import Uncertainty
from trainer.gauge.station_uncertainty import Reference, corrected, enlargement, scaled

SIGMA = 0.03


def pin(offsets, sigma=SIGMA, present=1.0, determined=(True, True, False)) -> MeasuredPin:
    return MeasuredPin(present, 0.1, np.array(offsets), np.eye(3) * sigma**2, np.array(determined), 0.0)


def good_parts(error_mm: float, count: int = 20) -> list[list[MeasuredPin]]:
    source = np.random.default_rng(0)
    return [[pin(source.normal(0.0, error_mm, 3)) for _ in range(27)] for _ in range(count)]


def test_good_parts_enlarge_u_where_their_measures_scatter_more_than_it_says():
    found = enlargement(good_parts(0.09), 0.0)
    assert found[:2] == pytest.approx([3.0, 3.0], rel=0.1)
    assert found[2] == 1.0  # not determined by any of them


def test_good_parts_never_make_u_smaller():
    assert enlargement(good_parts(0.003), 0.0).tolist() == [1.0, 1.0, 1.0]


def test_the_scatter_of_production_is_no_error_if_it_is_stated():
    parts = good_parts(0.05)
    assert enlargement(parts, 0.05).max() < 1.0 + 1e-9 < enlargement(parts, 0.0).min() + 1.0


def test_missing_pins_and_few_pins_show_nothing():
    assert enlargement([[pin((9.0, 9.0, 9.0), present=0.1)] * 99], 0.0).tolist() == [1.0, 1.0, 1.0]
    assert enlargement([[pin((9.0, 9.0, 9.0))] * 10], 0.0).tolist() == [1.0, 1.0, 1.0]


def test_views_without_a_factor_get_the_largest():
    old = Uncertainty(alone={"": (1.0, 1.0, 1.0), "center": (0.5, 0.5, 1.0)}, slopes={"round": 0.98})
    new = scaled(old, {"center": np.array([2.0, 1.0, 1.0])}, np.array([1.5, 1.2, 1.0]), 0.95)
    assert new.alone == {"": (2.0, 1.2, 1.0), "center": (1.0, 0.5, 1.0)}
    assert new.together == new.widening == (1.5, 1.2, 1.0)
    assert new.slopes == {"round": pytest.approx(0.931)} and new.residual == old.residual


def reference_of(parts: int, bent_mm: float, found_share: float, error_mm: float):
    """A reference's measures of some parts, and a gauge's that finds only a share of every displacement."""
    source = np.random.default_rng(1)
    true, measured = {}, {}
    for number in range(parts):
        places = {f"r1c{index}": np.append(source.uniform(-bent_mm, bent_mm, 2), np.nan) for index in range(27)}
        true[f"p{number}"] = places
        measured[f"p{number}"] = {
            address: pin((*(found_share * each[:2] + source.normal(0.0, error_mm, 2)), 0.0))
            for address, each in places.items()
        }
    return Reference(true), measured


def test_a_reference_gives_the_slope_and_may_make_u_smaller():
    slope, factors = corrected(*reference_of(20, 0.8, 0.95, 0.01))
    assert slope == pytest.approx(0.95, abs=0.005)
    assert factors[:2] == pytest.approx([1 / 3, 1 / 3], rel=0.15) and factors[2] == 1.0


def test_fewer_reference_parts_give_a_larger_u():
    assert corrected(*reference_of(8, 0.8, 1.0, 0.01))[1][0] > 0.98 * corrected(*reference_of(40, 0.8, 1.0, 0.01))[1][0]


def test_a_reference_without_bent_pins_or_of_few_parts_is_refused():
    for parts, bent in ((20, 0.05), (5, 0.8)):
        reference, measured = reference_of(parts, bent, 1.0, 0.01)
        with pytest.raises(InputError, match="only bent pins show"):
            reference.check(list(measured), 0.8)
    reference, measured = reference_of(8, 0.8, 1.0, 0.01)
    reference.check(list(measured), 0.8)


def test_a_reference_is_read_from_csv(tmp_path):
    path = tmp_path / "measured.csv"
    path.write_text("part,address,dx_mm,dy_mm,height_mm\np1,r1c1,0.1,-0.2,-0.3\np1,r1c2,0,0,\n")
    found = Reference.read(path).measures["p1"]
    assert found["r1c1"].tolist() == [0.1, -0.2, 0.3] and np.isnan(found["r1c2"][2])
    path.write_text("part,address,dx_mm,dy_mm\np1,r1c1,a,0\n")
    with pytest.raises(InputError, match="line 2: expected the columns part, address"):
        Reference.read(path)
