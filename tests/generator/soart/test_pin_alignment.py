"""Pictures are aligned on pins: pins that shift against the housing, as those of tilted parts do, are no defect."""

import numpy as np
import pytest

from generator.soart import estimator
from generator.soart import evidence as evidence_module
from generator.soart.estimator import SoartC
from generator.soart.inspection import InspectionModel
from generator.soart.pin_alignment import COMPARED, NOISE, _likeness, shift_of_pins, shifts_of_pins, usable
from generator.soart.pin_places import align_on_pins
from generator.soart.pins import PRINT, Pin, parts_of
from generator.soart.registration import register
from generator.verdict.envelope import Verdict
from tests.generator.soart.drawn_pins import PINS, SIZE, drawn, model_of, tilted


@pytest.mark.parametrize("shift", [(0.0, 0.0), (2.3, -1.6), (-3.1, 0.4)])
def test_the_shift_of_pins_is_found_though_a_quarter_is_bent_or_missing(shift):
    bent = {0: (3, 0), 5: (0, -4), 9: (400, 0)}
    found = shift_of_pins(drawn(1, shift, bent.items()), drawn(2), parts_of(PINS, SIZE), 5.0)
    assert np.abs(found - shift).max() < 0.25


def test_a_larger_shift_than_allowed_is_not_made_nor_one_without_pins():
    parts = parts_of(PINS, SIZE)
    assert not shift_of_pins(drawn(1, (3.0, 0.0)), drawn(2), parts, 1.0).any()
    assert shift_of_pins(drawn(1, (3.0, 0.0)), drawn(2), parts, 3.5) == pytest.approx([3.0, 0.0], abs=0.2)
    assert not shift_of_pins(np.full(SIZE, 0.5, np.float32), drawn(2), parts, 5.0).any()
    assert not shift_of_pins(drawn(1, (3.0, 0.0)), drawn(2), parts[:5], 5.0).any()  # too few pins to align on


def test_a_shift_is_not_taken_for_one_to_the_next_pin():
    near = [Pin(f"r1c{n}", (x - 4, 30, x + 4, 38)) for n, x in enumerate(range(30, 140, 20))]
    found = shift_of_pins(drawn(1, (-11.0, 0.0)), drawn(2), parts_of([*PINS, *near], SIZE), 12.0)
    assert np.linalg.norm(found) < 9


def test_boxes_without_a_pin_at_the_edge_or_given_twice_do_not_count():
    odd = [("edge", (0, 0, 9, 9)), ("twice", PINS[0].box), ("empty", (20, 40, 28, 48))]
    for address, box in odd:
        parts = parts_of([*PINS, Pin(address, box)], SIZE)
        assert usable(parts, drawn(2)) == parts[:-1]
    assert usable(parts_of([Pin(f"e{n}", (20 + 9 * n, 42, 28 + 9 * n, 50)) for n in range(8)], SIZE), drawn(2)) == []


def test_shifts_are_from_the_median_place():
    pictures = np.stack([drawn(seed, shift) for seed, shift in enumerate([(0, 0), (2, 0), (0, 0), (-1, 1), (0, 0)])])
    shifts, most = shifts_of_pins(pictures, parts_of(PINS, SIZE))
    assert np.abs(shifts - [(0, 0), (2, 0), (0, 0), (-1, 1), (0, 0)]).max() < 0.2
    assert 2.4 < most < 2.8  # 1.25 times the largest, and 0.1 px


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
    inspection, whole = model_of(tilted(12, 0.2)), model_of(tilted(12, 0.2), on_pins=False)
    assert inspection.inspect(drawn(52)).verdict == Verdict.OK
    for far in (0.75, 1.0, 1.5, 2.0, 4.0):
        found = inspection.inspect(drawn(52, (far, 0.0)))
        assert found.verdict == Verdict.NG and found.score > 0.8 * whole.inspect(drawn(52, (far, 0.0))).score, far


def test_a_saved_unit_space_aligns_as_before(tmp_path):
    inspection = model_of(tilted(6, 2.5))
    inspection.model.save(tmp_path / "unit.npz")
    again = InspectionModel.load(tmp_path / "unit.npz")
    judged = drawn(53, (2.0, 2.0), [(3, (0, 3))])
    found, before = again.inspect(judged), inspection.inspect(judged)
    assert (found.look.degrees == before.look.degrees).all() and found.look.evidence == before.look.evidence
    assert (found.score, found.verdict, found.reasons) == (before.score, before.verdict, before.reasons)
    assert found.pins == before.pins and again.hash() == inspection.hash()


def test_pictures_are_not_aligned_on_print_nor_if_they_are_not_aligned_at_all():
    pictures = tilted(5, 2.5)
    for pins, settings in (([Pin(PRINT, (20, 20, 40, 40))], {}), (PINS, {"rotation_deg": -1.0})):
        plain = SoartC(window=5, **settings).fit(pictures)
        on_pins = SoartC(window=5, **settings).fit(pictures, pins)
        assert (plain.members_ == on_pins.members_).all()
        assert (plain.degrees(pictures[0]) == on_pins.degrees(pictures[0])).all()


def test_aligning_on_pins_registers_no_ok_picture_again_and_gives_the_same_model(monkeypatch):
    pictures, calls = tilted(6, 2.5), []
    model = SoartC(window=5).fit(pictures)

    def counted(*arguments):
        calls.append(arguments)
        return register(*arguments)

    monkeypatch.setattr(estimator, "register", counted)
    pins = align_on_pins(model, pictures, PINS, drawn(99))
    assert len(calls) == 2  # the picture of the boxes, before and after
    on_pins = [Pin(address, tuple(box)) for address, *box in model.notes["positions"]]
    anew = SoartC(window=5).fit(pictures, on_pins)
    assert len(calls) == 2 + 2 * len(pictures) and [pin.address for pin in pins] == [pin.address for pin in PINS]
    assert model.notes == anew.notes and model.evidence_ == anew.evidence_ and model.threshold == anew.threshold
    for name in ("members_", "reference_", "mean_", "precision_", "scores_", "core_"):
        assert (getattr(model, name) == getattr(anew, name)).all(), name


def test_an_alignment_is_kept_only_for_the_pictures_of_the_last_fit():
    pictures = tilted(5, 2.5)
    with pytest.raises(ValueError, match="last fit was to these 5 pictures of 160 x 96 px, got none"):
        SoartC(window=5).fit(pictures, PINS, again=True)
    model = SoartC(window=5).fit(pictures)
    with pytest.raises(ValueError, match="these 4 pictures of 160 x 96 px, got one to 5 pictures of 160 x 96 px"):
        model.fit(pictures[:4], PINS, again=True)
    with pytest.raises(ValueError, match="these 5 pictures of 150 x 96 px, got one to 5 pictures"):
        model.fit([one[:, :150] for one in pictures], PINS, again=True)
    reducing = SoartC(window=5, grid=32).fit(pictures)
    larger = [one.repeat(2, axis=0).repeat(2, axis=1) for one in pictures]
    assert reducing.reduced(larger[0]).shape == reducing.reduced(pictures[0]).shape
    with pytest.raises(ValueError, match="these 5 pictures of 320 x 192 px, got one to 5 pictures of 160 x 96 px"):
        reducing.fit(larger, PINS, again=True)


def test_a_picture_with_shifted_pins_is_measured_once_where_both_alignments_say_the_same(monkeypatch):
    inspection, calls = model_of(tilted(6, 2.5)), []
    share = evidence_module.seen_share

    def counted(*arguments):
        calls.append(arguments)
        return share(*arguments)

    monkeypatch.setattr(evidence_module, "seen_share", counted)
    model = inspection.model
    look = model.look(drawn(53, (2.0, 2.0)))
    assert len(calls) == 1 and look.evidence.seen > 0.9
    # Each measure is that of the alignment that shows the part better.
    unit = np.ones(SIZE, dtype=bool), model.reference_, model.core_, model.turned
    good, bad = (evidence_module.evidence([one], *unit) for one in (model.reference_, drawn(1, (2.0, 2.0))))
    both = evidence_module.evidence([drawn(1, (2.0, 2.0)), model.reference_], *unit)
    assert both == good and good.residual < bad.residual and good.upright > bad.upright


@pytest.mark.parametrize("side", [9, 40])
def test_the_likeness_of_a_box_is_its_zncc_at_every_shift(side):
    picture, reference = (drawn(seed).astype(np.float64) for seed in (1, 2))
    top, left, reach = 30, 50, 6
    boxes = np.array([[top, top + side, left, left + side]])
    found = _likeness(np.pad(picture, reach, mode="edge"), reference, boxes, reach)
    step = 1 if side * side <= COMPARED else 2  # of 1600 pixels 400, which is nearer to COMPARED than all
    assert found.shape == (1, 13, 13)
    x = reference[top : top + side : step, left : left + side : step]
    for down, aside in ((-6, 6), (0, 0), (3, -2)):
        rows = np.clip(np.arange(top, top + side, step) + down, 0, SIZE[0] - 1)
        y = picture[np.ix_(rows, np.clip(np.arange(left, left + side, step) + aside, 0, SIZE[1] - 1))]
        like = ((x - x.mean()) * y).mean() / np.sqrt((x.var() + NOISE) * (y.var() + NOISE))
        assert found[0, down + reach, aside + reach] == pytest.approx(max(like, 0.0), abs=1e-9)
