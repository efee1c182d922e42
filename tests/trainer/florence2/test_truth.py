"""True boxes come from a picture's objects: which the answer names, and which pins are missing."""

import pytest

from generator.bbox_str import encode
from generator.dataset.rows import ObjectRow, object_columns_of
from trainer.florence2.truth import truth_of

CLASSES = ("BENDNG", "NUKENG", "OK", "OTHERNG")
SIZE = (64, 32)


def thing(x: float, category: str, **values) -> ObjectRow:
    return ObjectRow(id=1, box=(x, 8.0, x + 6.0, 14.0), category=category, address=f"r1c{x:.0f}", **values)


def row_of(objects: list[ObjectRow], named: list[int], **columns) -> dict:
    text = encode([objects[i].box for i in named], [objects[i].category for i in named], *SIZE)
    stored = {"objects": object_columns_of(objects), "bbox_str": text, "width": SIZE[0], "height": SIZE[1]}
    return {**stored, **columns}


def test_the_objects_say_which_are_in_the_answer():
    objects = [
        thing(40, "NUKENG", kinds=("missing",), in_answer=True),
        thing(2, "OK", kinds=(), in_answer=False),
        thing(20, "BENDNG", kinds=("bent",), in_answer=True),
        # Same box and class as the object before, but hidden: only `in_answer` tells them apart.
        thing(20, "BENDNG", kinds=("bent",), in_answer=False, visible=0.02),
    ]
    truth = truth_of(row_of(objects, [0, 2]), CLASSES, "row 0")
    assert truth.answer == (0, 2) and [pin.missing for pin in truth.pins] == [True, False, False, False]
    assert [pin.address for pin in truth.targets] == ["r1c40", "r1c20"]
    assert truth.targets[1].box == pytest.approx((20, 8, 26, 14))


def test_a_pin_that_moves_its_tip_by_less_than_the_limit_cannot_be_seen():
    objects = [
        thing(2, "NUKENG", kinds=("retracted",), in_answer=True, moved_px=0.99),
        thing(20, "NUKENG", kinds=("retracted",), in_answer=True, moved_px=1.0),
        thing(40, "NUKENG", kinds=("missing",), in_answer=True),  # not known: counts as visible
    ]
    row = row_of(objects, [0, 1, 2])
    truth = truth_of(row, CLASSES, "row 0", observable_px=1.0)
    assert [pin.unseen for pin in truth.targets] == [True, False, False]
    assert truth.counted(False) == truth.targets and truth.counted(True) == truth.targets[1:]
    assert not any(pin.unseen for pin in truth_of(row, CLASSES, "row 0", observable_px=0.0).targets)
    del row["objects"]["moved_px"]  # an older dataset
    assert not any(pin.unseen for pin in truth_of(row, CLASSES, "row 0", observable_px=1.0).targets)


def test_an_earlier_version_s_answer_is_its_rule():
    objects = [
        thing(2, "OK", visible=1.0),
        thing(20, "BENDNG", visible=0.5, retraction_mm=0.0),
        thing(40, "NUKENG", visible=0.05, retraction_mm=2.0),
        thing(50, "NUKENG", visible=1.0),
    ]
    truth = truth_of(row_of(objects, [1, 3]), CLASSES, "row 0")
    assert truth.answer == (1, 3) and [pin.missing for pin in truth.pins] == [False, False, False, True]


def test_an_unmeasured_pin_is_not_missing_where_the_kinds_are_known():
    truth = truth_of(row_of([thing(20, "NUKENG", kinds=("retracted",), in_answer=True)], [0]), CLASSES, "row 0")
    assert not truth.targets[0].missing


def test_an_answer_that_names_other_boxes_keeps_them():
    objects = [thing(20, "BENDNG", kinds=("bent",), in_answer=True)]
    row = row_of(objects, [], bbox_str=encode([[30.0, 2.0, 36.0, 9.0]], ["NUKENG"], *SIZE))
    truth = truth_of(row, CLASSES, "row 0")
    (target,) = truth.targets
    assert (target.address, target.label) == ("", "NUKENG") and len(truth.pins) == 2
    assert target.box == pytest.approx((30, 2, 36, 9), abs=0.1)


def test_a_box_that_is_a_bin_off_is_its_object_s_and_the_others_keep_their_addresses():
    objects = [
        thing(20, "BENDNG", kinds=("bent",), in_answer=True),
        thing(40, "NUKENG", kinds=("missing",), in_answer=True),
    ]
    boxes = [list(each.box) for each in objects]
    boxes[1][2] += SIZE[0] / 1000
    row = row_of(objects, [], bbox_str=encode(boxes, ["BENDNG", "NUKENG"], *SIZE))
    truth = truth_of(row, CLASSES, "row 0")
    assert len(truth.pins) == 2
    assert {target.address for target in truth.targets} == {each.address for each in objects}


@pytest.mark.parametrize("name", ["bbox", "category"])
def test_a_picture_of_which_one_object_is_unknown_is_its_answer_alone(name):
    row = row_of([thing(20, "BENDNG", in_answer=True)], [0])
    row["objects"][name] = [None]
    assert [pin.address for pin in truth_of(row, CLASSES, "row 0").targets] == [""]
