"""Detection metrics against values worked out by hand, and against pycocotools' own."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pycocotools")

from trainer.core.calibration import Calibration
from trainer.core.decision import Thresholds
from trainer.florence2.answers import Found
from trainer.florence2.average_precision import _average_precision, map50_interval, mean_average_precision
from trainer.florence2.metrics import (
    best_threshold,
    calibration,
    ceilings,
    counts,
    headline,
    hits,
    iou,
    matches,
    measures_of,
    pin_at,
    position_groups,
    report,
)
from trainer.florence2.truth import Pin, Truth
from trainer.florence2.verdict_counts import parts_at

LABELS = ("BENDNG", "NUKENG")
A = Pin("r1c1", "1", (10.0, 10.0, 20.0, 20.0), "BENDNG")
B = Pin("r1c2", "2", (30.0, 10.0, 40.0, 20.0), "NUKENG", missing=True)
C = Pin("r1c3", "3", (50.0, 10.0, 60.0, 20.0), "OK")
NG = Truth("a", (100, 50), (A, B, C), (0, 1), factors={"camera": "center", "marking": "numbers"})
OK = Truth("b", (100, 50), (C,), (), factors={"camera": "top", "marking": "none"})


def on(pin: Pin, confidence: float = 0.9, label: str | None = None, shift: float = 0.0) -> Found:
    x1, y1, x2, y2 = pin.box
    return Found((x1 + shift, y1, x2 + shift, y2), label or pin.label, confidence)


def test_perfect_boxes_reach_one_and_no_boxes_zero():
    perfect = mean_average_precision([(NG, [on(A), on(B)]), (OK, [])], LABELS)
    assert perfect["map"] == pytest.approx(1.0) and perfect["map50"] == pytest.approx(1.0)
    assert perfect["per_class"]["NUKENG"]["boxes"] == 1
    nothing = mean_average_precision([(NG, []), (OK, [])], LABELS)
    assert nothing["map"] == nothing["map50"] == 0.0


def test_without_true_boxes_there_is_no_map():
    assert mean_average_precision([(OK, [on(C, label="BENDNG")])], LABELS)["map"] is None
    assert map50_interval([(OK, [])], LABELS) is None


def test_a_false_box_of_higher_confidence_halves_the_precision():
    pictures = [(NG, [on(A, 0.5), on(B, 0.9)]), (OK, [on(C, 0.8, "BENDNG")])]
    found = mean_average_precision(pictures, LABELS)
    assert found["per_class"]["BENDNG"]["map50"] == pytest.approx(0.5)
    assert found["per_class"]["NUKENG"]["map50"] == pytest.approx(1.0)
    assert found["map50"] == pytest.approx(0.75)


def test_boxes_are_pooled_over_the_whole_set_not_averaged_per_picture():
    """An average of per-picture values would not count the false box in the other pictures."""
    pictures = [(NG, [on(A, 0.5)]), (NG, [on(A, 0.4)]), (OK, [on(C, 0.9, "BENDNG")])]
    found = mean_average_precision(pictures, LABELS)["per_class"]["BENDNG"]["map50"]
    assert found == pytest.approx(2 / 3, abs=0.01)


def test_our_average_precision_is_pycocotools():
    rng = np.random.default_rng(0)
    pictures = []
    for index in range(30):
        boxes = [(x, 10.0, x + 10.0, 20.0) for x in sorted(rng.choice(np.arange(0, 90, 15), 3, replace=False).tolist())]
        truth = Truth(str(index), (100, 50), tuple(Pin("", "", b, "BENDNG") for b in boxes), (0, 1, 2))
        found = [
            Found((x1 + d, y1, x2 + d, y2), "BENDNG", float(rng.uniform()))
            for (x1, y1, x2, y2), d in zip(boxes, rng.choice([0.0, 2.0, 7.0], 3).tolist(), strict=True)
        ]
        pictures.append((truth, found))
    scores = np.array([f.confidence for _, found in pictures for f in found])
    true = np.array([float(hit) for truth, found in pictures for hit in hits(truth, found)])
    ours = _average_precision(scores, true, 90)
    assert ours == pytest.approx(mean_average_precision(pictures, ["BENDNG"])["map50"], abs=1e-6)
    low, high = map50_interval(pictures, ["BENDNG"])
    assert low < ours < high


def test_overlap_is_zero_also_of_boxes_without_area():
    assert iou([(0, 0, 2, 2), (3, 3, 3, 3)], [(1, 0, 3, 2), (3, 3, 3, 3)]).tolist() == [
        [pytest.approx(1 / 3), 0],
        [0, 0],
    ]


def test_hits_take_each_truth_once_and_need_the_label():
    assert hits(NG, [on(A, 0.5), on(A, 0.9)]) == [False, True]
    assert hits(NG, [on(A, 0.9, "NUKENG")]) == [False]
    assert hits(NG, [on(A, 0.9, shift=5.0)]) == [False]
    assert hits(OK, [on(C)]) == [False] and hits(NG, []) == []


def test_counts_at_a_threshold():
    found = [on(A, 0.9), on(B, 0.8, "BENDNG"), on(C, 0.2, "BENDNG")]
    at = counts([(NG, found), (OK, [on(C, 0.95, "NUKENG")])], 0.5)
    assert (at.pins, at.right_address, at.right_address_and_mode) == (2, 1.0, 0.5)
    assert (at.missing_pins, at.missing_found) == (1, 0.0)
    assert (at.ok_pictures, at.false_boxes_per_ok_picture) == (1, 1.0)
    assert at.precision == pytest.approx(1 / 3) and at.recall == pytest.approx(0.5)
    nothing = counts([], 0.5)
    assert nothing.right_address is None and nothing.false_boxes_per_ok_picture is None


def test_the_pin_that_a_box_speaks_of():
    assert pin_at((12, 10, 24, 20), (A, B, C)) is A
    assert pin_at((33, 12, 37, 18), (A, B, C)) is B
    assert pin_at((80, 30, 90, 40), (A, B, C)) is None
    assert pin_at((0, 0, 1, 1), ()) is None


def test_the_threshold_keeps_false_boxes_of_ok_pictures_few():
    pictures = [(NG, [on(A, 0.9), on(B, 0.3)]), (OK, [on(C, 0.5, "BENDNG")])]
    assert best_threshold(pictures) == pytest.approx(0.9)
    assert best_threshold([*pictures[:1], (OK, [])]) == pytest.approx(0.3)
    assert best_threshold([]) == 0.5


def test_the_threshold_is_above_every_box_where_none_keeps_false_boxes_few():
    pictures = [(OK, [on(C, 0.95 if i < 2 else 0.6, "BENDNG")]) for i in range(10)]
    pictures += [(NG, [on(A, 0.7)]) for _ in range(10)]
    at = counts(pictures, best_threshold(pictures))
    assert 0.95 < at.threshold <= 1 and at.false_boxes_per_ok_picture == 0 and at.recall == 0


def test_bins_cost_little_and_whole_pixels_more():
    small = Pin("", "", (10.3, 10.4, 18.6, 18.7), "BENDNG")
    limits = ceilings([Truth("a", (256, 128), (small,), (0,))], LABELS)
    assert limits["map"] > 0.85 and limits["map"] > limits["map_whole_px"]


def test_calibration_counts_every_box():
    curve = calibration([(NG, [on(A, 1.0), on(B, 0.75, "BENDNG")]), (OK, [on(C, 0.7, "BENDNG")])], 0.5)
    assert curve["boxes"] == 3 == sum(row["boxes"] for row in curve["bins"])
    assert curve["ece"] == pytest.approx((0.0 + 2 * 0.725) / 3, abs=0.02)
    assert calibration([], 0.5)["ece"] is None


def test_listed_pins_that_the_model_holds_for_good_are_no_boxes_found():
    """A hundred of them, of little confidence and rightly so, would make any error small."""
    found = [on(A, 0.9, "NUKENG"), *(replace(on(C, 0.01), is_good=True) for _ in range(100))]
    curve = calibration([(NG, found)], 0.5)
    assert curve["boxes"] == 1 and curve["ece"] == pytest.approx(0.9)
    assert calibration([(NG, found)], 0.01)["boxes"] == 101  # from the threshold on, each is a box of the verdict


def test_a_calibration_changes_probabilities_and_nothing_else():
    found, by = (
        [[on(A, 0.6), on(B, 0.7, "BENDNG")], [on(C, 0.7, "BENDNG"), on(A, 0.5)]],
        Calibration(0.6, 40, 10, 1.0, -3.0),
    )
    plain = report((NG, OK), found, LABELS, 0.5, {}, intervals=False)
    mapped = report((NG, OK), found, LABELS, 0.5, {}, intervals=False, calibrated=by)
    stated = mapped.pop("calibration_of_counted")
    assert (
        mapped == plain == report((NG, OK), found, LABELS, 0.5, {}, intervals=False, calibrated=Calibration(0.6, 3, 3))
    )
    right, wrong = by.probability(0.6), by.probability(0.7)
    assert stated["boxes"] == 3 and stated["probability"]["ece"] == pytest.approx((1 - right + 2 * wrong) / 3)
    assert stated["confidence"]["ece"] == pytest.approx((1 - 0.6 + 2 * 0.7) / 3)


def test_groups_of_positions():
    held = Truth("c", (100, 50), (B,), (0,))
    assert position_groups([NG, OK, held], {"": ["r1c1"]}) == ["both", "ok", "held-out"]
    assert position_groups([NG], {"": ["r1c1", "r1c2"]}) == ["seen"]
    assert position_groups([NG], {"other": ["r1c1", "r1c2"]}) == ["held-out"]
    body = Truth("d", (100, 50), (Pin("", "", (0.0, 0.0, 9.0, 9.0), "OTHERNG"),), (0,))
    bridge = Truth("e", (100, 50), (Pin("r1c1-r1c2", "", (0.0, 0.0, 9.0, 9.0), "OTHERNG"),), (0,))
    assert position_groups([body, bridge], {"": ["r1c1", "r1c2"]}) == ["no position", "seen"]


def test_parts_get_the_gravest_verdict_of_their_pictures():
    def shown(part: str, truth: Truth, *found: Found) -> tuple[Truth, list[Found]]:
        return replace(truth, columns={"scene": "s", "part": part}), list(found)

    limits = Thresholds(0.5, 0.3, 0.8)
    pictures = [
        shown("1", NG), shown("1", NG, on(A)),  # one view shows the defect
        shown("2", OK), shown("2", OK, on(C, 0.4, "BENDNG")),
        shown("3", OK), shown("3", OK),
        shown("4", NG), shown("4", OK),  # an escape
        shown("5", OK, on(C, 0.9, "BENDNG")), shown("5", OK),  # of which one picture cannot be judged
    ]  # fmt: skip
    unsuitable: list[tuple[str, ...]] = [()] * 9 + [("blur: 2",)]
    found = parts_at(pictures, limits, unsuitable)
    assert found is not None and found["parts"] == 5
    counted = {key: (found[key]["count"], found[key]["of"]) for key in ("escapes", "overkill")}
    assert counted == {"escapes": (1, 2), "overkill": (1, 3)}
    assert found["unsure"]["ok"]["count"] == 1 and found["invalid"]["ok"]["count"] == 0
    assert parts_at(pictures[::2], limits) is None
    truths, boxes = zip(*pictures, strict=True)
    said = report(truths, boxes, LABELS, 0.5, {}, intervals=False, limits=limits)
    assert said["verdicts_on_parts"]["parts"] == 5


LOW = Pin("r1c4", "4", (70.0, 10.0, 80.0, 20.0), "NUKENG", unseen=True)
# Two bent pins, and a retracted one that moves its tip too little.
TWO = Truth("f", (100, 50), (A, replace(A, address="r2c1", box=(10.0, 30.0, 20.0, 40.0)), LOW), (0, 1, 2))


def test_a_defect_that_cannot_be_seen_is_neither_missed_nor_is_a_box_on_it_false():
    """By hand: of the class NUKENG, B is found with confidence 0.8; LOW, which cannot be seen, is or is not found."""
    both = Truth("g", (100, 50), (B, LOW), (0, 1))
    for found, plain in (([on(B, 0.8)], 51 / 101), ([on(B, 0.8), on(LOW, 0.9)], 1.0)):
        pictures = [(both, found)]
        assert mean_average_precision(pictures, LABELS)["map50"] == pytest.approx(plain)
        seen = mean_average_precision(pictures, LABELS, ignore_unseen=True)
        assert [seen["map50"], seen["map"], seen["small"]["map50"]] == pytest.approx([1.0, 1.0, 1.0])
        assert seen["per_class"]["NUKENG"]["boxes"] == 1
        assert map50_interval(pictures, LABELS, ignore_unseen=True) == pytest.approx((1.0, 1.0))
        at = counts(pictures, 0.5, ignore_unseen=True)
        assert (at.pins, at.right_address_and_mode, at.precision, at.recall) == (1, 1.0, 1.0, 1.0)
    # Boxes beside it, of another class or on it again stay false, as in COCO; each of them is surer than that on B.
    wrong = [on(LOW, 0.9, shift=6.0), on(LOW, 0.9, "BENDNG"), on(LOW, 0.95), on(LOW, 0.9)]
    for extra, precision in ((wrong[:1], 0.5), (wrong[1:2], 0.5), (wrong[2:], 0.5)):
        pictures = [(both, [on(B, 0.8), *extra])]
        assert counts(pictures, 0.5, ignore_unseen=True).precision == precision
        nukeng = mean_average_precision(pictures, LABELS, ignore_unseen=True)["per_class"]["NUKENG"]["map50"]
        assert nukeng == pytest.approx(1.0 if extra[0].label == "BENDNG" else 0.5)


def test_a_box_that_fits_two_defects_is_given_to_the_one_that_can_be_seen():
    near = replace(LOW, box=(31.0, 10.0, 41.0, 20.0))
    truth, box = Truth("h", (100, 50), (B, near), (0, 1)), on(near, 0.9)
    assert matches(truth, [box]) == [1] and matches(truth, [box], ignore_unseen=True) == [0]
    assert mean_average_precision([(truth, [box])], LABELS, ignore_unseen=True)["map50"] == pytest.approx(1.0)


def test_what_is_measured_of_the_defects_that_can_be_seen():
    """By hand: one of two bent pins is found, the retracted pin that cannot be seen is not."""
    whole = measures_of([(TWO, [on(A, 0.9)]), (OK, [])], LABELS, 0.5, interval=True)
    seen = whole["observable"]
    # Precision is 1 up to a recall of a half: 51 of 101 levels. NUKENG has no box that counts.
    assert (whole["boxes"], whole["map50"], whole["recall"]) == (3, pytest.approx(51 / 202), pytest.approx(1 / 3))
    assert (seen["ignored"], seen["boxes"], seen["recall"], seen["precision"]) == (1, 2, 0.5, 1.0)
    assert seen["map50"] == pytest.approx(51 / 101) and seen["right_address_and_mode"] == 0.5
    # Every draw with the first picture has the same share.
    assert seen["map50_interval"] == pytest.approx((51 / 101, 51 / 101))
    assert "  (without 1 that cannot be seen: mAP50 0.505, right address and mode 0.500)" in headline(whole)
    alone = measures_of([(Truth("i", (100, 50), (LOW,), (0,)), [on(LOW, 0.9)])], LABELS, 0.5, interval=True)
    assert alone["map50"] == pytest.approx(1.0) and alone["ok_pictures"] == 0
    nothing = {**dict.fromkeys(alone["observable"]), "ignored": 1, "boxes": 0, "pins": 0}
    assert alone["observable"] == nothing and "mAP50 -, right address and mode -" in headline(alone)
    clear = measures_of([(NG, [on(A)])], LABELS, 0.5, interval=True)
    assert clear["observable"] is None and "cannot be seen" not in headline(clear)


def test_our_interval_ignores_as_pycocotools_does():
    rng = np.random.default_rng(1)
    pictures = []
    for index in range(40):
        pins = tuple(
            Pin("", "", (x, 10.0, x + 10.0, 20.0), "BENDNG", unseen=bool(rng.random() < 0.3)) for x in (5.0, 40.0, 75.0)
        )
        found = [on(pin, float(rng.uniform()), shift=rng.choice([0.0, 2.0, 7.0])) for pin in pins if rng.random() < 0.8]
        pictures.append((Truth(str(index), (100, 50), pins, (0, 1, 2)), found))
    for ignored in (False, True):
        kept = [
            (box.confidence, match is not None)
            for truth, found in pictures
            for box, match in zip(found, matches(truth, found, ignored), strict=True)
            if match is None or not (ignored and truth.targets[match].unseen)
        ]
        scores, right = map(np.array, zip(*kept, strict=True))
        true = sum(len(truth.counted(ignored)) for truth, _ in pictures)
        ours = _average_precision(scores, right.astype(float), true)
        assert ours == pytest.approx(mean_average_precision(pictures, ["BENDNG"], ignored)["map50"], abs=1e-6)
        low, high = map50_interval(pictures, ["BENDNG"], ignore_unseen=ignored)
        assert low < ours < high


def test_a_report_has_every_part():
    found = [[on(A), on(B)], []]
    whole = report([NG, OK], found, LABELS, 0.5, {"": ["r1c1", "r1c2"]})
    assert whole["map50"] == pytest.approx(1.0)
    assert set(whole["positions"]) == {"seen"} and set(whole["digits"]) == {"with", "without"}
    assert set(whole["factors"]) == {"camera", "marking"}
    assert whole["factors"]["camera"]["top"]["map"] is None
    assert whole["small"]["map"] is not None and whole["ceiling"]["map"] > 0.8
    assert whole["positions"]["seen"]["ok_pictures"] == 1
