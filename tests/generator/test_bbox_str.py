"""The Florence-2 answer: examples, the bound of a round trip, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.bbox_str import decode, encode


def test_no_boxes_is_the_empty_answer() -> None:
    assert encode([], [], 256, 128) == ""
    assert decode("", 256, 128) == ([], [])


def test_bins_are_floored_and_clamped() -> None:
    assert encode([[0, 0, 256, 128]], ["OK"], 256, 128) == "OK<loc_0><loc_0><loc_999><loc_999>"
    assert encode([[-5, -5, 300, 300]], ["OK"], 256, 128) == "OK<loc_0><loc_0><loc_999><loc_999>"
    assert encode([[25.59, 12.8, 25.6, 25.7]], ["A"], 256, 128) == "A<loc_99><loc_100><loc_100><loc_200>"


def test_groups_in_the_order_of_their_first_box_and_boxes_by_y_then_x() -> None:
    boxes = [[50, 50, 60, 60], [10, 10, 20, 20], [5, 50, 9, 60], [70, 10, 80, 20]]
    labels = ["BENDNG", "NUKENG", "NUKENG", "BENDNG"]
    assert encode(boxes, labels, 100, 100) == (
        "NUKENG<loc_100><loc_100><loc_200><loc_200><loc_50><loc_500><loc_90><loc_600>"
        "BENDNG<loc_700><loc_100><loc_800><loc_200><loc_500><loc_500><loc_600><loc_600>"
    )
    assert encode(boxes[::-1], labels[::-1], 100, 100) == encode(boxes, labels, 100, 100)


def test_decodes_to_the_middle_of_the_bin() -> None:
    boxes, labels = decode("bent pin<loc_0><loc_10><loc_999><loc_20>", 640, 200)
    assert labels == ["bent pin"]
    assert boxes == [pytest.approx((0.32, 2.1, 639.68, 4.1))]


sizes = st.integers(1, 5000)
shares = st.floats(0, 1)


@given(
    sizes,
    sizes,
    st.lists(st.tuples(shares, shares, shares, shares, st.sampled_from(["BENDNG", "NUKENG"])), max_size=40),
)
def test_round_trip_moves_no_edge_by_more_than_half_a_bin(width: int, height: int, drawn: list) -> None:
    boxes, labels = [], []
    for xa, xb, ya, yb, label in drawn:
        boxes.append((min(xa, xb) * width, min(ya, yb) * height, max(xa, xb) * width, max(ya, yb) * height))
        labels.append(label)
    text = encode(boxes, labels, width, height)
    found, names = decode(text, width, height)
    assert len(found) == len(boxes)
    assert sorted(names) == sorted(labels)
    bound = (width / 2000 + 1e-9, height / 2000 + 1e-9)
    rest = list(zip(found, names, strict=True))
    for box, label in zip(boxes, labels, strict=True):
        near = [
            (other, name)
            for other, name in rest
            if name == label
            and all(math.fabs(a - b) <= bound[i % 2] for i, (a, b) in enumerate(zip(box, other, strict=True)))
        ]
        assert near, f"{label} {box} was lost"
    # Bin middles are inside their bins: encoding what was decoded gives the same text.
    assert encode(found, names, width, height) == text


@pytest.mark.parametrize(
    ("boxes", "labels", "message"),
    [
        ([[0, 0, 1, 1]], [], "equally many"),
        ([[0, 0, 1]], ["A"], "four finite"),
        ([[0, 0, 1, math.nan]], ["A"], "four finite"),
        ([[5, 0, 1, 1]], ["A"], "x1 <= x2"),
        ([[0, 5, 1, 1]], ["A"], "y1 <= y2"),
        ([[0, 0, 1, 1]], ["a<b"], "without '<'"),
        ([[0, 0, 1, 1]], [""], "without '<'"),
        ([[0, 0, 1, 1]], [" A"], "without '<'"),
    ],
)
def test_boxes_that_are_refused(boxes: list, labels: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode(boxes, labels, 10, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<loc_1><loc_1><loc_2><loc_2>", "expected a label"),
        ("A<loc_1><loc_1><loc_2>", "four locations"),
        ("A<loc_1><loc_1><loc_2><loc_1000>", "0 to 999, got <loc_1000>"),
        ("A<loc_9><loc_1><loc_2><loc_2>", "x1 <= x2"),
        ("A<loc_1><loc_1><loc_2><loc_2>B", "expected a label and its locations at character 29"),
        ("A<loc_x><loc_1><loc_2><loc_2>", "expected a label"),
        ("A", "expected a label"),
    ],
)
def test_answers_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode(text, 10, 10)


def test_a_picture_without_size_is_refused() -> None:
    for call in (lambda: encode([], [], 0, 5), lambda: decode("", 5, 0)):
        with pytest.raises(ValueError, match="at least 1 px"):
            call()
