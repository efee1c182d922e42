import dataclasses
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image

from blender_scripts.contract.errors import InputError
from blender_scripts.contract.tolerance import Tolerance
from generator.io import drawing
from generator.locating import sheet
from generator.locating.bias import PartBiases
from generator.locating.cameras import StationCamera
from generator.locating.drawings import choose, parse_drawings
from generator.locating.factors import Factors, ValidationErrors
from generator.locating.fit import Fit, FitLimits
from generator.locating.gauge import _refused, inspect_part
from generator.locating.gauge_file import GaugeFile
from generator.locating.judge import CHARACTERISTICS
from generator.locating.likeness import Likeness
from generator.locating.locate import View
from generator.locating.pose import motion
from generator.locating.sheet import draw_sheet, sentence
from generator.verdict.envelope import Verdict, keyword_of
from generator.verdict.gates import PictureGates
from tests.generator.locating.exact_finder import POSE, ExactFinder, connectors_text, drawing_of, gauge_of, pictures_of
from tests.generator.verdict.test_gates import part

THREE = ("center", "top", "left")
TOLERANCE = Tolerance(0.8, 0.6)
DISPLACED = {"r1c2": (0.5, -0.1, 0.0), "r2c5": (0.0, 0.0, 1.0), "r3c9": None, "r1c1": (0.0, 0.0, -0.7)}


def inspected(views=THREE, displaced=None, poses=None, limits=None, tolerance=TOLERANCE, **more):
    drawing = drawing_of()
    gauge = gauge_of(ExactFinder(drawing, views, displaced, poses), limits)
    return inspect_part(gauge, drawing, pictures_of(views), tolerance, **more)


def test_three_views_give_every_measure_and_find_the_pose():
    found = inspected(displaced=DISPLACED)
    pins = {pin["address"]: pin for pin in found.pins}
    assert found.verdict is Verdict.NG and not found.not_determined
    assert np.abs(found.pose.matrix - POSE).max() < 0.01
    kinds = {address: pin["kind"] for address, pin in pins.items() if pin["kind"] != "ok"}
    assert kinds == {"r1c2": "bent", "r2c5": "retracted", "r3c9": "missing", "r1c1": "protruding"}
    bent = pins["r1c2"]
    assert [bent["dx_mm"], bent["dy_mm"]] == pytest.approx([0.5, -0.1], abs=0.02)
    assert bent["true_position_mm"] == pytest.approx(2 * np.hypot(0.5, 0.1), abs=0.04)
    assert 0.0 < bent["u_true_position_mm"] < 0.1
    assert pins["r2c5"]["retraction_mm"] == pytest.approx(1.0, abs=0.05)
    assert "dx_mm" not in pins["r3c9"]


def test_what_one_view_does_not_show_is_not_ok_until_it_is_left_out():
    found = inspected(("center",))
    assert found.verdict is Verdict.UNSURE and len(found.not_determined["height"]) == 27
    narrowed = inspected(("center",), judged=("presence", "true_position"))
    assert narrowed.verdict is Verdict.OK and narrowed.reasons == ("not inspected: height",)
    assert narrowed.document(drawing_of(), ("presence", "true_position"))["not_inspected"] == ["height"]
    said = "OK: all 27 pins are present and within their limits of true position; not inspected: height"
    assert sentence(narrowed, TOLERANCE) == said


def test_nothing_is_said_of_what_is_not_judged(monkeypatch):
    found = inspected(displaced={"r1c2": (1.5, -0.1, 0.0), "r2c5": (0.0, 0.0, 1.0)}, judged=("presence",))
    left = "not inspected: true position; not inspected: height"
    assert sentence(found, TOLERANCE) == f"OK: all 27 pins are present; {left}"
    assert {pin["kind"] for pin in found.pins} == {"ok"} and {pin["decision"] for pin in found.pins} == {"conform"}
    marks, table = Mock(side_effect=drawing.draw_marks), Mock(side_effect=drawing.table)
    monkeypatch.setattr(sheet, "draw_marks", marks)
    monkeypatch.setattr(sheet, "table", table)
    draw_sheet(found, drawing_of(), pictures_of(THREE), TOLERANCE)
    drawn, (header, *lines) = [mark for call in marks.call_args_list for mark in call.args[1]], table.call_args.args[0]
    assert len(drawn) == 81 and all(mark.end is None and not mark.is_dashed for mark in drawn)
    assert header[5] == "height (not judged)" and {line[4] for line in lines} == {"not judged"}
    found = inspected(displaced={"r1c2": (0.0, -0.7, 0.0), "r2c5": (0.5, 0.0, 1.2)}, judged=("height",))
    assert sentence(found, TOLERANCE).startswith("NG: r2c5 retracted ")
    assert [pin["address"] for pin in found.pins if pin["kind"] != "ok"] == ["r2c5"]


def test_the_sentence_says_all_that_is_open_of_the_worst_pin():
    found = inspected(("center",), displaced={"r2c5": (0.4, 0.0, 0.0)})
    assert "r2c5: true position 0.8" in sentence(found, TOLERANCE)
    assert "is too near to its limit 0.8, height undetermined, and 26 more" in sentence(found, TOLERANCE)
    pins = [dict(pin) for pin in found.pins]
    hidden = {"decision": "not_seen", "decisions": {"presence": "conform", "true_position": "not_seen"}}
    pins[3] |= hidden
    said = sentence(dataclasses.replace(found, pins=pins), TOLERANCE)
    assert said.startswith(f"UNSURE: {pins[3]['address']}: true position not seen, and ")
    pins[7] |= {"decision": "undetermined", "decisions": {"presence": "undecided", "height": "undetermined"}}
    said = sentence(dataclasses.replace(found, pins=pins), TOLERANCE)
    assert said.startswith(f"UNSURE: {pins[7]['address']}: presence undecided, height undetermined, and ")


def test_a_size_is_refused_by_the_files_own_size():
    gauge = gauge_of(ExactFinder(drawing_of(), ("center",)))
    gates = PictureGates.of([Image.effect_noise((96, 96), 60).convert("RGB")])  # another ratio of width to height
    gauge = dataclasses.replace(gauge, gates={"center": gates})
    for size, said in (((256, 128), "256 x 128 px, "), ((512, 256), "512 x 256 px, resampled to 255 x 128 px, ")):
        shown = Image.effect_noise(size, 60).convert("RGB")
        found = inspect_part(gauge, drawing_of(), {"center": shown}, TOLERANCE)
        assert found.reasons[0].startswith(f"size: {said}width / height")


@pytest.mark.parametrize("symmetries", [(), ("half_turn",)])
def test_only_the_half_turn_of_a_part_that_looks_alike_after_it_is_no_reason(symmetries):
    """A finder of such a part cannot tell its half turn, but a part turned by 90° is not the part of the drawing."""
    gates = PictureGates.of([part(seed, (128, 128)) for seed in range(60)])
    gauge = dataclasses.replace(gauge_of(ExactFinder(drawing_of(), ("center",))), gates={"center": gates})
    drawing = dataclasses.replace(drawing_of(), symmetries=symmetries)
    shown = part(200, (128, 128))
    said = {}
    for turn in (90, 180):
        view = View(
            "center", np.asarray(shown.rotate(turn)), StationCamera.nominal(drawing.cameras["center"], 128, 128)
        )
        said[turn] = [one for one in _refused(gauge, drawing, view, (128, 128)) if keyword_of(one) == "orientation"]
    assert "by 90°" in said[90][0]
    assert bool(said[180]) == (not symmetries)


def test_a_sheet_can_be_drawn_for_any_limit():
    tolerance = Tolerance(1e-320, 1e-320)
    assert draw_sheet(inspected(("center",)), drawing_of(), pictures_of(("center",)), tolerance).width > 500


def test_any_tolerance_is_followed_also_of_one_address():
    wide = TOLERANCE.with_limits({"r1c2.true_position_mm": 1.5})
    assert inspected(displaced={"r1c2": (0.5, 0.0, 0.0)}).verdict is Verdict.NG
    assert inspected(displaced={"r1c2": (0.5, 0.0, 0.0)}, tolerance=wide).verdict is Verdict.OK


def test_a_view_of_another_placing_is_not_located():
    other = motion(np.array([0.0, 0.0, 0.02, 1.5, 1.0, 0.0]))
    found = inspected(poses={"top": other})
    assert found.verdict is Verdict.INVALID and not found.pins
    assert any("not located" in reason for reason in found.reasons)


def test_points_that_are_found_unsurely_are_not_located():
    found = inspected(limits=FitLimits(3.0, 0.0, 0.01))
    said = "not located: the part's edges and pins do not fit view center (uncertainty 5.00 times the limit)"
    assert found.reasons[0] == said
    pose = found.document(drawing_of(), CHARACTERISTICS)["pose"]
    assert pose["limits"] == {"residual": 3.0, "inliers": 0.0, "sigma_px": 0.01}
    assert pose["views"]["center"]["sigma_px"] == 0.05


def test_a_pose_beyond_the_placing_is_refused():
    beyond = motion(np.array([0.0, 0.0, 0.0, 1.2, 0.0, 0.0]))
    found = inspected(poses=dict.fromkeys(THREE, beyond), limits=FitLimits())
    assert found.verdict is Verdict.INVALID and "shift along X" in found.reasons[0]


def test_limits_of_fit_follow_what_validation_shows():
    random = np.random.default_rng(1)
    fits = [Fit(0.8 + 0.1 * random.random(), 1.0 - 0.03 * random.random(), 0.3) for _ in range(40)]
    limits = FitLimits.of(fits)
    assert not limits.reasons(dict(zip("abcdefgh", fits, strict=False)))
    assert len(limits.reasons({"a": Fit(2.9, 1.0, 0.3), "b": Fit(0.8, 0.5, 0.3), "c": Fit(0.8, 1.0, 0.9)})) == 3
    assert FitLimits.of(fits[:2]) == FitLimits()


def test_the_connector_is_asked_for_only_where_it_matters():
    drawings = parse_drawings(connectors_text(("plain", "round"), ("ribbed", "square")), "here")
    assert choose(drawings, None, None, None).key[0] == "connector_3x9"
    assert choose(drawings, None, "ribbed", None).key[2] == "square"
    with pytest.raises(InputError, match="--housing keyed: expected a connector of the gauge"):
        choose(drawings, None, "keyed", None)
    first, second = drawings
    moved = dataclasses.replace(drawings[second], placing={**drawings[second].placing, "shift_mm": 9.0})
    with pytest.raises(InputError, match="connector_3x9 plain round; connector_3x9 ribbed square"):
        choose({first: drawings[first], second: moved}, None, None, None)


def test_names_that_training_showed_are_preferred_to_those_of_test_splits():
    pairs = [("ribbed", "square"), ("plain", "square"), ("plain", "round")]
    drawings = parse_drawings(connectors_text(*pairs), "here")
    trained = {("connector_3x9", "plain", "round")}
    assert choose(drawings, None, None, None, trained).key[1:] == ("plain", "round")
    assert choose(drawings, None, "ribbed", None, trained).key[1:] == ("ribbed", "square")
    assert choose(drawings, None, None, "square", trained).key[1:] == ("plain", "square")
    far = dataclasses.replace(drawings[("connector_3x9", *pairs[0])], positions=())
    assert choose({**drawings, far.key: far}, None, None, None, trained).key[1] == "plain"
    likeness = Likeness(frozenset(trained), {})
    gauge = dataclasses.replace(gauge_of(ExactFinder(drawing_of(), THREE)), likeness=likeness)
    assert GaugeFile("g", "", gauge, drawings, {}).drawing().key[1:] == ("plain", "round")


def test_terminals_differ_by_their_slopes_and_biases():
    factors = Factors(slopes={"": 0.98, "round": 0.97})
    assert factors.differ("a", "round", "square") and not factors.differ("a", "square", "gold")
    assert not factors.differ("a", "round", "round")
    biases = PartBiases({}, [("a", "gold")], np.zeros(1, int), np.zeros((1, 3)))
    known = Factors(errors=ValidationErrors({}, np.zeros((1, 1, 3)), {"center": biases}))
    assert known.differ("a", "gold", "square") and not known.differ("b", "gold", "square")


@pytest.mark.parametrize(
    "text", ["{", '{"schema": 2}', '{"schema": 1, "connectors": []}', '{"schema": 1, "connectors": [{}]}']
)
def test_damaged_connectors_are_refused(text):
    with pytest.raises(InputError, match=r"^here: expected"):
        parse_drawings(text, "here")


def test_the_sheet_shows_views_and_table_and_says_the_worst():
    found = inspected(displaced={"r1c2": (0.5, -0.1, 0.0), "r2c5": (0.38, 0.0, 0.0)})
    said = sentence(found, TOLERANCE)
    assert said.startswith("NG: r1c2 bent, true position 1.0") and said.endswith("(limit 0.8)")
    drawn = draw_sheet(found, drawing_of(), pictures_of(THREE), TOLERANCE)
    refused = draw_sheet(
        dataclasses.replace(found, verdict=Verdict.INVALID, pins=()), drawing_of(), pictures_of(THREE), TOLERANCE
    )
    assert drawn.width > 1500 and np.asarray(drawn).std() > np.asarray(refused).std()
