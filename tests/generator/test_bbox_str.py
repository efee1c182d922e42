"""The Florence-2 answer: examples, the bound of a round trip, and what is refused."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.bbox_str import ceiling, decode, encode, lint


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
        ("A<loc_1><loc_1><loc_2>", "a multiple of four locations"),
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


def random_box(source: random.Random, width: int, height: int) -> tuple[float, float, float, float]:
    xs, ys = sorted(source.uniform(0, width) for _ in "ab"), sorted(source.uniform(0, height) for _ in "ab")
    return xs[0], ys[0], xs[1], ys[1]


def test_ten_thousand_boxes_survive_within_the_bound() -> None:
    source = random.Random(5)
    for _ in range(10_000):
        width, height = source.randint(32, 4096), source.randint(32, 4096)
        box = random_box(source, width, height)
        text = encode([box], ["NUKENG"], width, height)
        ([found], [label]) = decode(text, width, height)
        assert label == "NUKENG" and lint(text, {"NUKENG"}) == []
        assert all(
            abs(a - b) <= extent / 2000 + 1e-9
            for a, b, extent in zip(box, found, (width, height, width, height), strict=True)
        )


BOX = "<loc_10><loc_10><loc_20><loc_20>"
LATER = "<loc_30><loc_30><loc_40><loc_40>"
FAULTS = {
    "a bin that is no token": ("BENDNG<loc_10><loc_10><loc_1000><loc_20>", "a location of 0 to 999, got <loc_1000>"),
    "inverted in x": ("BENDNG<loc_30><loc_10><loc_20><loc_20>", "x1 <= x2 and y1 <= y2, got [30, 10, 20, 20]"),
    "inverted in y": ("BENDNG<loc_10><loc_30><loc_20><loc_20>", "x1 <= x2 and y1 <= y2, got [10, 30, 20, 20]"),
    "three locations": ("BENDNG<loc_10><loc_10><loc_20>", "four locations per box of 'BENDNG', got 3 locations"),
    "a box without a label": (BOX, "a label before its locations, got <loc_10>"),
    "a label without a box": (f"BENDNG{BOX}NUKENG", "boxes after the label 'NUKENG', got none"),
    "an unknown label": (f"POSTER{BOX}", "one of the labels BENDNG, NUKENG, got 'POSTER'"),
    "a label that the parser breaks on": (f"BENDNG<a{BOX}", "a location such as <loc_12>, and no other '<'"),
    "a special token": (f"<s>BENDNG{BOX}</s>", "no special token, as the tokenizer adds it, got <s>"),
    "boxes in another order": (f"BENDNG{LATER}{BOX}", "boxes of 'BENDNG' in the order of (y1, x1)"),
    "groups in another order": (f"BENDNG{LATER}NUKENG{BOX}", "labels in the order of (y1, x1) of their first boxes"),
    "a label in two groups": (f"BENDNG{BOX}NUKENG{LATER}BENDNG{LATER}", "the boxes of 'BENDNG' one after the other"),
    "a box twice": (f"BENDNG{BOX}{BOX}", "each box of 'BENDNG' once, got a box twice"),
    "a location with a leading zero": ("BENDNG<loc_010><loc_10><loc_20><loc_20>", "a location such as <loc_12>"),
    "a location that ends too soon": ("BENDNG<loc_10><loc_10><loc_20><loc_2", "a location such as <loc_12>"),
    "a line break": (f"BENDNG{BOX}\n", "no space around the answer and no line break in it"),
    "spaces round a label": (f"BENDNG{BOX} NUKENG {LATER}", "a label without spaces around it, got ' NUKENG '"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_linter_finds_a_planted_fault(fault: str) -> None:
    text, expected = FAULTS[fault]
    problems = lint(text, {"BENDNG", "NUKENG"})
    assert any(expected in problem for problem in problems), problems
    assert all(problem.startswith("character ") and ", got " in problem for problem in problems)


@given(
    sizes,
    sizes,
    st.lists(st.tuples(shares, shares, shares, shares, st.sampled_from(["bent pin", "NUKE-NG"])), max_size=9),
)
def test_the_linter_lets_every_encoded_answer_pass(width: int, height: int, drawn: list) -> None:
    boxes = {
        (min(xa, xb) * width, min(ya, yb) * height, max(xa, xb) * width, max(ya, yb) * height): label
        for xa, xb, ya, yb, label in drawn
    }
    text = encode(list(boxes), list(boxes.values()), width, height)
    assert [p for p in lint(text, {"bent pin", "NUKE-NG"}) if "a box twice" not in p] == []


def test_the_ceiling_is_the_iou_of_the_perfect_answer() -> None:
    # 12 px at 640 px: 18.75 bins, whose edges lie up to half a bin off.
    assert ceiling((100.0, 100.0, 112.0, 112.0), 640, 640) == pytest.approx(0.948, abs=0.03)
    assert ceiling((0.32, 0.32, 639.68, 639.68), 640, 640) == pytest.approx(1.0)
    assert ceiling((5.0, 5.0, 5.01, 5.01), 640, 640) < 0.1
    source = random.Random(6)
    for _ in range(200):
        box = random_box(source, 256, 128)
        ([found], _) = decode(encode([box], ["x"], 256, 128), 256, 128)
        shared = max(0.0, min(box[2], found[2]) - max(box[0], found[0])) * max(
            0.0, min(box[3], found[3]) - max(box[1], found[1])
        )
        areas = [(b[2] - b[0]) * (b[3] - b[1]) for b in (box, found)]
        assert ceiling(box, 256, 128) == pytest.approx(shared / (sum(areas) - shared))
