"""Tolerance, class, verdict, boxes and flags: every rule of the dataset contract."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_scripts.contract.tolerance import Tolerance
from blender_scripts.geometry.optics import Camera
from generator.dataset.labels import CLASSES, observable_px_of
from generator.dataset.record_rows import label_picture, moved_px
from generator.dataset.rows import answer

TOLERANCE = Tolerance(true_position_mm=0.8, retraction_mm=0.6)
VISIBLE, AMODAL, EXPECTED = [12.0, 12.0, 18.0, 19.0], [11.0, 11.0, 19.0, 20.0], [10.0, 14.0, 16.0, 24.0]


def pin(
    index: int = 1, true_position: float | None = 0.1, retraction: float | None = 0.1, kind: str = "ok", **changes: Any
) -> dict[str, Any]:
    if kind == "missing":
        true_position = retraction = None
    boxes = {"visible": VISIBLE, "amodal": AMODAL, "expected": EXPECTED}
    if kind == "missing":
        boxes |= {"visible": None, "amodal": None}
    return {
        "index": index,
        "address": f"r1c{index}",
        "cavity": str(index),
        "kind": kind,
        "true_position_mm": true_position,
        "retraction_mm": retraction,
        "visible_fraction": 0.9,
        "boxes": {**boxes, **changes.pop("boxes", {})},
        **changes,
    }


def thing(kind: str = "foreign", **boxes: Any) -> dict[str, Any]:
    return {"kind": kind, "boxes": {"visible": [1.0, 2.0, 3.0, 4.0], "amodal": None, "expected": None, **boxes}}


def record(*positions: dict[str, Any], other: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"width": 100, "height": 50, "positions": list(positions), "other": list(other)}


STAIN, BEND = "stained@r1c1:from_mm=2", "bent@r1c1:tilt_deg=12"
BROKEN = pin(kind="retracted") | {"defects": ["retracted@r1c1:depth_mm=1", "broken@r1c1:lost_mm=3"]}
BENT, LOW, GONE = pin(1, true_position=0.9), pin(2, retraction=0.7), pin(3, kind="missing")


@pytest.mark.parametrize(
    ("positions", "other", "label", "kinds"),
    [
        ([pin()], [], "OK", ()),
        ([BENT], [], "BENDNG", ("bent",)),
        ([LOW], [], "NUKENG", ("retracted",)),
        ([GONE], [], "NUKENG", ("missing",)),
        ([pin(true_position=0.9, retraction=0.7)], [], "NUKENG", ("bent", "retracted")),
        ([pin()], [thing("foreign")], "OTHERNG", ("foreign",)),
        ([pin(kind="broken")], [], "OTHERNG", ("broken",)),
        # A broken pin's own shift is no bend; one that the manifest asked for beside it is.
        ([pin(kind="broken", true_position=0.9)], [], "OTHERNG", ("broken",)),
        ([BROKEN | {"true_position_mm": 0.9}], [], "OTHERNG", ("broken",)),
        ([BROKEN | {"retraction_mm": 0.7}], [], "NUKENG", ("broken", "retracted")),
        ([BROKEN | {"retraction_mm": 0.5}], [], "OTHERNG", ("broken",)),
        ([pin(kind="bent", true_position=0.9) | {"defects": [STAIN, BEND]}], [], "BENDNG", ("bent", "stained")),
        ([pin(kind="bent", true_position=0.7) | {"defects": [STAIN, BEND]}], [], "OTHERNG", ("stained",)),
        ([pin(kind="bent", true_position=0.7) | {"defects": [BEND]}], [], "OK", ()),
        ([BENT, LOW], [], "NUKENG", ("bent", "retracted")),
        ([BENT], [thing("print")], "BENDNG", ("bent", "print")),
        ([pin(4), GONE, BENT], [thing(), thing()], "NUKENG", ("bent", "foreign", "missing")),
        # Equal to the limit is good; what the manifest asked for does not decide.
        ([pin(true_position=0.8, retraction=0.6)], [], "OK", ()),
        ([pin(true_position=0.79, kind="bent")], [], "OK", ()),
        ([pin(retraction=0.59, kind="retracted")], [], "OK", ()),
        ([pin(true_position=0.81, kind="ok")], [], "BENDNG", ("bent",)),
        # A pin that stands too high protrudes, whether the manifest asked for it or it is a good pin's scatter.
        ([pin(retraction=-0.61)], [], "OTHERNG", ("protruding",)),
        ([pin(retraction=-0.6)], [], "OK", ()),
        ([pin(retraction=-0.02, kind="protruding")], [], "OK", ()),
        ([pin(retraction=-0.7, kind="protruding")], [], "OTHERNG", ("protruding",)),
        ([pin(true_position=0.9, retraction=-0.7)], [], "BENDNG", ("bent", "protruding")),
        ([pin(retraction=-0.7, kind="broken")], [], "OTHERNG", ("broken",)),
    ],
)
def test_class_verdict_and_kinds(positions: list, other: list, label: str, kinds: tuple) -> None:
    truth = label_picture(record(*positions, other=tuple(other)), TOLERANCE)
    assert truth.label == label
    assert truth.label in CLASSES
    assert truth.kinds == kinds


def test_objects_hold_every_position_and_every_other_thing() -> None:
    truth = label_picture(record(pin(1), BENT | {"index": 2}, GONE, other=(thing(),)), TOLERANCE)
    assert [o.id for o in truth.objects] == [1, 2, 3, 4]
    assert [o.category for o in truth.objects] == ["OK", "BENDNG", "NUKENG", "OTHERNG"]
    assert [o.address for o in truth.objects] == ["r1c1", "r1c1", "r1c3", ""]
    assert [o.true_position_mm for o in truth.objects] == [0.1, 0.9, None, None]
    assert [o.kinds for o in truth.objects] == [(), ("bent",), ("missing",), ("foreign",)]
    assert [o.in_answer for o in truth.objects] == [False, True, True, True]
    assert [o.is_position for o in truth.objects] == [True, True, True, False]
    assert truth.objects[0].area == 6 * 7


@pytest.mark.parametrize(
    ("position", "box"),
    [
        (pin(), VISIBLE),
        (BENT, VISIBLE),
        (GONE, EXPECTED),
        (LOW, [10, 12, 18, 24]),
        (pin(true_position=0.9, retraction=0.7), [10, 12, 18, 24]),
        (pin(retraction=0.7, boxes={"visible": None}), AMODAL),
        (pin(true_position=0.9, boxes={"visible": None}), AMODAL),
        (pin(boxes={"visible": None, "amodal": None}), EXPECTED),
        (pin(kind="retracted"), VISIBLE),  # inside the tolerance: a good pin's box
        (pin(kind="wrong"), VISIBLE),
        (pin(boxes={"visible": [-3.5, 40.0, 7.0, 61.0]}), [0, 40, 7, 50]),
        (pin(boxes={"visible": [90.0, -9.0, 140.0, 7.0]}), [90, 0, 100, 7]),
        (pin(boxes={"visible": [120.0, 10.0, 140.0, 20.0]}), [100, 10, 100, 20]),
    ],
)
def test_box_of_a_position(position: dict[str, Any], box: list[float]) -> None:
    [found] = label_picture(record(position), TOLERANCE).objects
    assert list(found.box) == box


def test_box_of_other_things() -> None:
    gone = thing("print", visible=None, expected=[5.0, 6.0, 7.0, 8.0])
    truth = label_picture(record(pin(), other=(thing(), gone)), TOLERANCE)
    assert [list(o.box) for o in truth.objects[1:]] == [[1, 2, 3, 4], [5, 6, 7, 8]]
    assert [o.visible for o in truth.objects[1:]] == [1, 0]
    with pytest.raises(ValueError, match="no box in the entry 'foreign' of the list `other`"):
        label_picture(record(other=(thing(visible=None),)), TOLERANCE)


@pytest.mark.parametrize(
    ("box", "inside", "share"),
    [
        ([10.0, -15.0, 20.0, 5.0], [10, 0, 20, 5], 0.25),
        ([10.0, -16.0, 20.0, -6.0], [10, 0, 20, 0], 0),
        ([10.0, 5.0, 20.0, 15.0], [10, 5, 20, 15], 1),
    ],
)
def test_of_a_crack_that_reaches_out_of_the_picture_what_is_inside_counts(box, inside, share) -> None:
    crack = thing("cracked", visible=box, amodal=box) | {"visible_fraction": 1.0}
    truth = label_picture(record(pin(), other=(crack,)), TOLERANCE)
    assert (list(truth.objects[1].box), truth.objects[1].visible) == (inside, share)
    assert truth.observable is (share > 0)


@pytest.mark.parametrize(
    ("pin_at", "share"),
    [
        (pin(true_position=0.9, boxes={"visible": [-9.0, 10.0, 1.0, 20.0]}), 0.09),
        (pin(true_position=0.9, boxes={"visible": [-5.0, 10.0, 5.0, 20.0]}), 0.45),
        (pin(kind="missing", boxes={"expected": [90.0, 45.0, 110.0, 55.0]}), 0.225),
        (pin(kind="missing", boxes={"expected": [100.0, 45.0, 100.0, 55.0]}), 0),
    ],
)
def test_of_a_pin_that_reaches_out_of_the_picture_what_is_inside_counts(pin_at, share) -> None:
    truth = label_picture(record(pin_at), TOLERANCE)
    assert truth.objects[0].visible == pytest.approx(share)
    assert truth.objects[0].in_answer is truth.observable is (share >= 0.1)
    assert truth.label != "OK"


def test_answer_holds_the_defects_that_can_be_seen() -> None:
    hidden = pin(2, true_position=0.9, visible_fraction=0.0999)
    just = GONE | {"visible_fraction": 0.1}
    truth = label_picture(record(pin(1), hidden, just), TOLERANCE)
    assert answer(truth.objects, (100, 50)) == "NUKENG<loc_100><loc_280><loc_160><loc_480>"
    assert answer(label_picture(record(pin()), TOLERANCE).objects, (100, 50)) == ""


def test_observable_needs_one_defect_in_view() -> None:
    hidden = pin(1, true_position=0.9, visible_fraction=0.05)
    for positions, observable in (([pin()], True), ([hidden], False), ([hidden, LOW], True), ([LOW], True)):
        truth = label_picture(record(*positions), TOLERANCE)
        assert truth.observable is observable
    assert answer(label_picture(record(hidden), TOLERANCE).objects, (100, 50)) == ""
    unseen = pin(visible_fraction=0.0)
    assert label_picture(record(unseen, pin(1)), TOLERANCE).observable  # a hidden good pin hides no defect
    assert not label_picture(record(unseen, unseen), TOLERANCE).observable  # but this picture shows no pin at all
    outside = pin(true_position=0.9, boxes={"visible": [120.0, 10.0, 140.0, 20.0]})
    assert not label_picture(record(outside), TOLERANCE).observable


def from_above(position: dict[str, Any], x_mm: float) -> dict[str, Any]:
    """A record of one pin at (x, 0), 100 mm below a camera of 1000 px focal length that looks straight down."""
    camera = {
        "name": "center",
        "matrix_world": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 100], [0, 0, 0, 1]],
        "fx": 1000.0,
        "distortion": [0.0] * 5,
    }
    place = {"tip_mm": [x_mm, 0.0, 0.0], "dx_mm": 0.5 * (position["true_position_mm"] or 0.0), "dy_mm": 0.0}
    return record(position | place) | {"camera": camera}


def moved(position: dict[str, Any], x_mm: float, kind: str) -> float:
    seen = from_above(position, x_mm)
    [found] = label_picture(seen, TOLERANCE).objects
    assert found.kinds == (kind,)
    return moved_px(seen["positions"][0], found.kinds, Camera.of_record(seen))


def test_observable_needs_a_deviation_that_shows_in_the_view() -> None:
    # A retraction of 0.7 mm at x = 20 moves the tip by 1000 * 20 * (1 / 99.3 - 1 / 100) = 1.41 px; at x = 0 by none.
    for x_mm, observable in ((0.0, False), (14.0, False), (14.3, True), (20.0, True), (-20.0, True)):
        truth = label_picture(from_above(LOW, x_mm), TOLERANCE)
        assert (truth.label, truth.observable) == ("NUKENG", observable)
        assert answer(truth.objects, (100, 50))  # the answer goes by what of it is in view
    assert moved(LOW, 20.0, "retracted") == pytest.approx(1.41, abs=0.005)
    assert not label_picture(from_above(LOW, 20.0), TOLERANCE, observable_px=1.5).observable
    assert label_picture(from_above(LOW, 0.0), TOLERANCE, observable_px=0.0).observable
    # A protrusion moves the tip the other way, by 1000 * 20 * (1 / 100 - 1 / 100.7) = 1.39 px.
    high = pin(2, retraction=-0.7)
    assert moved(high, 20.0, "protruding") == pytest.approx(1.39, abs=0.005)
    assert not label_picture(from_above(high, 0.0), TOLERANCE).observable
    # A bend of 0.45 mm at the tip is seen from above; so is what neither bends nor retracts.
    assert moved(BENT, 0.0, "bent") == pytest.approx(4.5)
    assert label_picture(from_above(BROKEN, 0.0), TOLERANCE).observable
    assert label_picture(from_above(GONE, 0.0), TOLERANCE).observable


def test_a_bent_or_wrongly_high_pin_states_how_far_its_tip_moves() -> None:
    def stated(position: dict[str, Any], **more: Any) -> float | None:
        [found] = label_picture({**from_above(position, 20.0), **more}, TOLERANCE).objects
        return found.moved_px

    # As above: 1000 * 20 * (1 / 99.3 - 1 / 100) px, whatever counts as visible.
    assert stated(LOW) == pytest.approx(1.40987, abs=1e-5)
    [found] = label_picture(from_above(LOW, 20.0), TOLERANCE, observable_px=0.0).objects
    assert found.moved_px == stated(LOW)
    assert stated(BENT) == pytest.approx(4.5)
    # Bent and retracted: the larger of the two.
    assert stated(pin(3, true_position=0.9, retraction=0.7)) == pytest.approx(4.5)
    assert stated(pin()) is stated(BROKEN) is stated(GONE) is None
    without = {name: value for name, value in from_above(LOW, 20.0).items() if name != "camera"}
    truth = label_picture(without, TOLERANCE)
    assert truth.objects[0].moved_px is None and truth.observable
    body = label_picture(record(pin(), other=(thing("foreign"),)), TOLERANCE).objects[1]
    assert body.moved_px is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"observable_px": 2.5}, 2.5), ({"observable_px": 0}, 0.0), ({}, 1.0)]
    + [({"observable_px": wrong}, 1.0) for wrong in (None, True, "2", -1, float("nan"), float("inf"))],
)
def test_the_least_px_of_a_card_is_a_length(settings: dict[str, Any], expected: float) -> None:
    assert observable_px_of(settings) == expected


@pytest.mark.parametrize(
    ("position", "grey", "flagged"),
    [
        (pin(true_position=0.8), 0.0, False),
        (pin(true_position=0.8), 0.01, True),
        (pin(true_position=0.73), 0.1, True),
        (pin(true_position=0.87), 0.1, True),
        (pin(true_position=0.71), 0.1, False),
        (pin(true_position=0.89), 0.1, False),
        (pin(retraction=0.55), 0.1, True),
        (pin(retraction=0.5), 0.1, False),
        (pin(retraction=-0.55), 0.1, True),
        (pin(retraction=-0.5), 0.1, False),
        (GONE, 0.5, False),
    ],
)
def test_grey_zone(position: dict[str, Any], grey: float, flagged: bool) -> None:
    assert label_picture(record(pin(9), position), TOLERANCE, grey).grey is flagged


def test_positions_have_limits_of_their_own() -> None:
    strict = Tolerance(0.8, 0.6, 0.6, {"r1c2": {"true_position_mm": 0.3, "protrusion_mm": 0.1}})
    one, two = (pin(number, true_position=0.5, retraction=-0.2) for number in (1, 2))
    truth = label_picture(record(one | {"address": "r1c1"}, two | {"address": "r1c2"}), strict)
    assert [each.kinds for each in truth.objects] == [(), ("bent", "protruding")]
    assert label_picture(record(one | {"address": "r1c2", "true_position_mm": 0.29}), strict, grey=0.1).grey
    assert not label_picture(record(one | {"address": "r1c1", "true_position_mm": 0.29}), strict, grey=0.1).grey


measures = st.floats(0.0, 3.0)
limits = st.floats(0.05, 2.5)


@given(st.lists(st.tuples(measures, measures, st.booleans()), min_size=1, max_size=12), limits, limits, limits, limits)
def test_another_tolerance_changes_exactly_what_truth_says(
    pins: list[tuple[float, float, bool]], a1: float, a2: float, b1: float, b2: float
) -> None:
    positions = [
        pin(number, true, low, "missing" if gone else "ok") for number, (true, low, gone) in enumerate(pins, 1)
    ]
    record = {"width": 100, "height": 50, "positions": positions, "other": []}

    def expected(true_limit: float, low_limit: float) -> list[str]:
        return [
            "NUKENG" if gone or low > low_limit else "BENDNG" if true > true_limit else "OK" for true, low, gone in pins
        ]

    for limit in ((a1, a2), (b1, b2)):
        truth = label_picture(record, Tolerance(*limit))
        classes = expected(*limit)
        assert [thing.category for thing in truth.objects] == classes
        assert truth.label == next((name for name in ("NUKENG", "BENDNG") if name in classes), "OK")
