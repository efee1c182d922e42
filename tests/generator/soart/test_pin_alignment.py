"""Pictures are aligned on pins: pins that shift against the housing, as those of tilted parts do, are no defect."""

import numpy as np
import pytest

from generator.soart.estimator import SoartC
from generator.soart.inspection import InspectionModel
from generator.soart.pin_alignment import shift_of_pins, shifts_of_pins
from generator.soart.pins import PRINT, Pin, parts_of
from generator.verdict.envelope import Verdict
from tests.generator.soart.drawn_pins import PINS, SIZE, drawn, model_of, tilted


@pytest.mark.parametrize("shift", [(0.0, 0.0), (2.3, -1.6), (-3.1, 0.4)])
def test_the_shift_of_pins_is_found_though_a_quarter_is_bent_or_missing(shift):
    bent = {0: (3, 0), 5: (0, -4), 9: (400, 0)}
    found = shift_of_pins(drawn(1, shift, bent.items()), drawn(2), parts_of(PINS, SIZE))
    assert np.abs(found - shift).max() < 0.25


def test_no_larger_shift_is_found_than_asked_for_and_none_without_pins():
    parts = parts_of(PINS, SIZE)
    assert np.linalg.norm(shift_of_pins(drawn(1, (3.0, 0.0)), drawn(2), parts, 1.0)) == pytest.approx(1.0)
    assert not shift_of_pins(np.full(SIZE, 0.5, np.float32), drawn(2), parts).any()


def test_shifts_are_from_the_median_place():
    pictures = np.stack([drawn(seed, shift) for seed, shift in enumerate([(0, 0), (2, 0), (0, 0), (-1, 1), (0, 0)])])
    shifts, most = shifts_of_pins(pictures, parts_of(PINS, SIZE))
    assert np.abs(shifts - [(0, 0), (2, 0), (0, 0), (-1, 1), (0, 0)]).max() < 0.2
    assert 3.0 < most < 4.0  # 1.5 times the largest, and 0.5 px


def test_pins_of_tilted_parts_are_good_and_a_bent_one_is_not():
    pictures = tilted(16, 2.0)
    aligned, whole = model_of(pictures), model_of(pictures, on_pins=False)
    for seed, shift in enumerate(((1.5, -1.5), (-1.8, 1.0), (0.2, 1.7)), 50):
        good, bent = drawn(seed, shift), drawn(seed, shift, [(4, (1.5, 0.5))])
        finding = aligned.inspect(good)
        for pin, judged in zip(PINS, finding.pins, strict=True):  # the boxes lie on the picture's pins
            assert np.abs(np.array(judged.box) - np.array(pin.box) - [*shift, *shift]).max() < 0.2
        assert finding.verdict != Verdict.NG and finding.score < 1.3
        finding = aligned.inspect(bent)
        assert [number for number, pin in enumerate(finding.pins) if pin.decision == "NG"] == [4]
        assert finding.score > 4
        # Aligned as a whole, the good parts' shifts hide the bent pin.
        assert whole.inspect(bent).verdict != Verdict.NG


def test_pins_that_are_all_bent_alike_are_not_put_back_into_their_places():
    inspection = model_of(tilted(8, 0.3))
    assert inspection.inspect(drawn(52)).verdict == Verdict.OK
    assert inspection.inspect(drawn(52, (4.0, 0.0))).verdict == Verdict.NG


def test_a_saved_unit_space_aligns_as_before(tmp_path):
    inspection = model_of(tilted(6, 2.5))
    inspection.model.save(tmp_path / "unit.npz")
    again = InspectionModel.load(tmp_path / "unit.npz")
    judged = drawn(53, (2.0, 2.0), [(3, (0, 3))])
    assert (again.inspect(judged).look.degrees == inspection.inspect(judged).look.degrees).all()
    assert again.hash() == inspection.hash()


def test_pictures_are_not_aligned_on_print_nor_if_they_are_not_aligned_at_all():
    pictures = tilted(5, 2.5)
    for pins, settings in (([Pin(PRINT, (20, 20, 40, 40))], {}), (PINS, {"rotation_deg": -1.0})):
        plain = SoartC(window=5, **settings).fit(pictures)
        on_pins = SoartC(window=5, **settings).fit(pictures, pins)
        assert (plain.members_ == on_pins.members_).all()
        assert (plain.degrees(pictures[0]) == on_pins.degrees(pictures[0])).all()
