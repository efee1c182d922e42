import dataclasses

import numpy as np
import pytest

from blender_scripts.contract.tolerance import Tolerance
from generator.locating.coarse import candidates
from generator.locating.edges import Similarity, template_of
from generator.locating.fit import FitLimits
from generator.locating.gauge import CAMERA_NOTE, inspect_photograph
from generator.locating.pose import motion
from generator.locating.search import search
from generator.verdict.envelope import Verdict
from tests.generator.locating.drawn_photographs import (
    EdgeFinder,
    ShiftedEdges,
    background,
    camera_of,
    draw_part,
    drawing_of,
    tips_of,
)
from tests.generator.locating.exact_finder import PITCH_PX, gauge_of

ROWS = drawing_of("connector_3x9")
# Without the right halves of the two lower rows.
CORNER = dataclasses.replace(ROWS, positions=tuple(each for each in ROWS.positions if each.y_mm > 1 or each.x_mm < -1))
SIZE = (420, 360)
LIMITS = FitLimits(2.0, 0.7, 1.0)
TILTED = motion(np.radians([8.0, -6.0, 0.0, 0.0, 0.0, 0.0]))


def placed(scale: float, turn_deg: float, x: float = 215.0, y: float = 175.0) -> Similarity:
    return Similarity(scale * np.exp(1j * np.radians(turn_deg)), complex(x, y))


def photograph(similarity, drawing=ROWS, pose=None, seed=1):
    return draw_part(background(SIZE, seed), drawing, np.eye(4) if pose is None else pose, similarity)


def found_in(picture, drawing=ROWS):
    return search(picture, drawing, drawing.cameras["center"], EdgeFinder(), PITCH_PX, LIMITS)


def test_similarities_are_those_of_their_points():
    points = np.random.default_rng(0).normal(0.0, 50.0, (6, 2))
    first, second = placed(0.7, 100.0), placed(1.4, -30.0, -5.0, 9.0)
    both = second.after(first)
    assert both.apply(points) == pytest.approx(second.apply(first.apply(points)))
    again = Similarity.between(points, both.apply(points))
    assert (again.scale, again.turn_deg) == (pytest.approx(0.98), pytest.approx(70.0))


def test_the_turns_after_which_a_drawing_looks_alike_are_counted():
    assert template_of(ROWS, camera_of(ROWS)).turns == 2
    assert template_of(CORNER, camera_of(CORNER)).turns == 1


@pytest.mark.parametrize(("scale", "turn"), [(0.5, 20.0), (0.9, 84.0), (1.45, -38.0)])
def test_edges_alone_show_place_turn_and_scale(scale, turn):
    truth, template = placed(scale, turn), template_of(ROWS, camera_of(ROWS))
    best, *others = candidates(photograph(truth), template, 3)
    points = tips_of(ROWS, np.eye(4))
    assert np.abs(best.similarity.apply(points) - truth.apply(points)).max() < 2.0 * scale
    assert all(each.score < 0.75 * best.score for each in others)


@pytest.mark.parametrize(("scale", "turn"), [(0.6, -80.0), (1.3, 40.0)])
def test_a_tilted_part_is_found_to_a_pixel_in_one_of_its_two_turns(scale, turn):
    truth = placed(scale, turn)
    found = found_in(photograph(truth, pose=TILTED))
    assert not found.reasons and found.orientations == 2
    expected = truth.apply(tips_of(ROWS, TILTED))
    assert np.abs(found.pixels - expected).max() < 1.0
    off = (found.pixels - expected)[:, None]
    assert np.median(off @ np.linalg.inv(found.covariances) @ np.swapaxes(off, 1, 2)) < 6.0
    said = found.document([each.address for each in ROWS.positions])
    assert said["place"]["turn_deg"] == pytest.approx(turn, abs=1.5)
    assert said["orientation"].startswith("ambiguous: the drawing looks alike after a turn by 180°")


@pytest.mark.parametrize("turn", [10.0, 190.0])
def test_a_drawing_without_symmetry_is_found_in_its_own_turn(turn):
    truth = placed(1.0, turn)
    found = found_in(photograph(truth, CORNER), CORNER)
    assert not found.reasons and found.orientations == 1
    assert np.abs(found.pixels - truth.apply(tips_of(CORNER, np.eye(4)))).max() < 1.0


@pytest.mark.parametrize("turn", [3.0, 93.0])
def test_a_part_that_fills_the_photograph_is_found(turn):
    """A photograph may be less high, or less wide, than the part is long."""
    truth = placed(0.9, turn)
    tips = truth.apply(tips_of(ROWS, np.eye(4)))
    low, high = tips.min(axis=0).astype(int) - 34, tips.max(axis=0).astype(int) + 34
    found = found_in(photograph(truth).crop((*low, *high)))
    assert (high - low).min() < 0.8 * (high - low).max() and not found.reasons
    turned = truth.apply(tips_of(ROWS, np.eye(4))[::-1])  # alike after a half turn: upright is assumed
    off = [np.abs(found.pixels + low - one).max() for one in (tips, turned)]
    assert min(off) < 1.0


def test_edges_that_all_err_alike_do_not_move_the_pins_and_count_in_the_uncertainty_of_measures():
    truth = placed(1.2, 8.0)
    gauge = gauge_of(ShiftedEdges(), LIMITS)
    found = inspect_photograph(gauge, ROWS, "center", photograph(truth), Tolerance(0.8, 0.6), ("true_position",))
    assert np.abs(found.found.pixels - truth.apply(tips_of(ROWS, np.eye(4)))).max() < 0.3
    wrong = np.array([pin["dx_mm"] for pin in found.pins])
    assert np.median(wrong) < -0.1 and (np.abs(wrong) < [pin["u_dx_mm"] for pin in found.pins]).all()


def test_a_photograph_without_the_part_is_invalid():
    found = found_in(background(SIZE, 5))
    assert found.reasons and found.document([]) == {"place": None}


@pytest.mark.parametrize(
    ("scale", "x", "said"),
    [
        (0.45, 215.0, "not located: neighbouring pins are 0.45 times as far apart as in the training pictures, "),
        (1.0, 105.0, "view: some of the part lies outside the photograph"),
    ],
)
def test_a_part_of_another_scale_or_cut_by_an_edge_is_refused(scale, x, said):
    found = found_in(photograph(placed(scale, 0.0, x)))
    assert any(reason.startswith(said) for reason in found.reasons), found.reasons
    assert found.document([]) == {"place": None}


def test_two_parts_are_ambiguous():
    picture = photograph(placed(0.7, 0.0, 200.0, 90.0))
    found = found_in(draw_part(picture, ROWS, np.eye(4), placed(0.7, 5.0, 220.0, 260.0)))
    assert found.reasons[0].startswith("ambiguous: the part fits nearly as well at 2")
    assert found.document([]) == {"place": None}


@pytest.mark.parametrize("missing", [4, 8, 13])
def test_a_second_part_with_missing_pins_makes_a_photograph_ambiguous(missing):
    left = dataclasses.replace(ROWS, positions=ROWS.positions[missing:])
    picture = photograph(placed(0.7, 0.0, 200.0, 90.0))
    found = found_in(draw_part(picture, left, np.eye(4), placed(0.7, 5.0, 220.0, 260.0)))
    assert found.reasons and found.reasons[0].startswith("ambiguous: ")


def test_a_found_part_is_measured_with_a_note_on_its_camera():
    gauge = gauge_of(EdgeFinder(), LIMITS)
    judged = ("presence", "true_position")
    found = inspect_photograph(gauge, ROWS, "center", photograph(placed(0.9, 87.0)), Tolerance(1.2, 0.6), judged)
    assert found.verdict is Verdict.OK and {pin["note"] for pin in found.pins} == {CAMERA_NOTE}
    document = found.document(ROWS, judged)
    assert CAMERA_NOTE in document["scale"] and len(document["place"]["pins_px"]) == 27
    refused = inspect_photograph(gauge, ROWS, "center", background(SIZE, 5), Tolerance(0.8, 0.6), judged)
    assert refused.verdict is Verdict.INVALID and refused.views and not refused.pins
