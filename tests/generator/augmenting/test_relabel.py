"""The objects that remain in a copy: kinds, classes, boxes, measures."""

from dataclasses import replace

import numpy as np
import pytest

from blender_scripts.contract.connector import read_connector
from generator.augmenting.orientation import REVERSE, TURN, naming
from generator.augmenting.relabel import Settings, moved_objects, relabelled, renamed
from generator.augmenting.transforms import Move, left_half, mirrored, right_half, trimmed, turned, warped
from generator.dataset.labels import BENDNG, NUKENG, OK, OTHERNG
from generator.dataset.rows import ObjectRow, PictureRow
from tests.conftest import SCENES

SIZE = (160, 120)
SETTINGS = Settings({}, 0.1, "short")
LEFT, RIGHT = (10.0, 10.0, 20.0, 30.0), (140.0, 10.0, 150.0, 30.0)


def thing(id_, category, kinds, box=LEFT, visible=0.9, **more):
    return ObjectRow(id_, box, category, kinds, visible=visible, **more)


def row_of(objects, kinds, observable=True, grey=False, tolerance=None):
    return PictureRow(
        label=NUKENG,
        kinds=kinds,
        observable=observable,
        grey=grey,
        bbox_str=None,
        objects=tuple(objects),
        tolerance=tolerance,
        synthetic=True,
        width=SIZE[0],
        height=SIZE[1],
        manifest={},
    )


def halves(row):
    """The rows of the left half and of the right one."""
    for move in (left_half(SIZE), right_half(SIZE)):
        yield relabelled(row, moved_objects(row.objects, move, None, None), SETTINGS)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (
            [thing(28, OTHERNG, ("cracked",))],
            [thing(29, OTHERNG, ("print",), RIGHT), thing(5, NUKENG, ("missing",), RIGHT)],
            [(OTHERNG, ("cracked",)), (NUKENG, ("missing", "print"))],
        ),
        # Two of one address.
        (
            [thing(28, OTHERNG, ("foreign",), address="r2c5")],
            [thing(14, BENDNG, ("bent",), RIGHT, address="r2c5")],
            [(OTHERNG, ("foreign",)), (BENDNG, ("bent",))],
        ),
        (
            [thing(1, NUKENG, ("crushed", "retracted"))],
            [thing(2, BENDNG, ("stained", "bent"), RIGHT), thing(3, OTHERNG, ("wrong",), RIGHT)],
            [(NUKENG, ("crushed", "retracted")), (BENDNG, ("bent", "stained", "wrong"))],
        ),
        ([thing(1, BENDNG, ("bent",))], [thing(2, OK, (), RIGHT)], [(BENDNG, ("bent",)), (OK, ())]),
        # Whose words are the picture's only: of all of it or of none of it that is known.
        ([thing(1, BENDNG, None)], [thing(2, OTHERNG, None, RIGHT)], [(BENDNG, None), (OTHERNG, None)]),
        ([thing(1, BENDNG, None)], [thing(2, OK, None, RIGHT)], [(BENDNG, ("scratch", "tilted")), (OK, ())]),
        (
            [thing(1, BENDNG, ("bent",))],
            [thing(2, OTHERNG, None, RIGHT), thing(3, OTHERNG, ("hit",), RIGHT)],
            [(BENDNG, ("bent",)), (OTHERNG, None)],
        ),
    ],
)
def test_a_copy_has_the_kinds_of_what_it_shows(left, right, expected):
    known = {kind for each in (*left, *right) for kind in each.kinds or ()}
    kinds = tuple(sorted(known)) or ("scratch", "tilted")
    made = halves(row_of([*left, *right], kinds))
    assert [(row.label, row.kinds) for row in made] == expected


def test_a_copy_answers_with_what_can_still_be_seen_of_it():
    wide = thing(1, BENDNG, ("bent",), (0.0, 10.0, 85.0, 30.0), visible=0.5)
    left, right = halves(row_of([wide], ("bent",)))
    (kept,), (rest,) = left.objects, right.objects
    assert kept.in_answer and left.bbox_str.startswith("BENDNG<loc_0>") and left.observable
    assert rest.visible == pytest.approx(0.5 * 5 / 85) and rest.in_answer is False
    assert right.bbox_str == "" and right.label == BENDNG and right.observable is False


@pytest.mark.parametrize(
    ("move", "factor"),
    [
        (mirrored(SIZE), 1.0),
        (turned(SIZE), 1.0),
        (left_half(SIZE), 1.0),
        (Move(SIZE, SIZE, (1.5, 0, 0, 0, 1.5, 0)), 1.5),
        # Wider by 1.2, lower by 0.3: the geometric mean of both.
        (Move(SIZE, SIZE, (1.2, 0, 0, 0, 0.3, 0), exact=False), 0.6),
    ],
)
def test_how_far_a_tip_moves_grows_with_the_picture(move, factor):
    low, hit = thing(1, NUKENG, ("retracted",), moved_px=0.8), thing(2, OTHERNG, ("broken",))
    found = moved_objects([low, hit], move, None, None)
    assert [each.moved_px for each in found] == [pytest.approx(0.8 * factor), None]


@pytest.mark.parametrize(("least", "expected"), [(1.0, [False, True]), (0.5, [True, True])])
def test_a_half_of_which_the_only_defect_moves_no_tip_shows_none(least, expected):
    low, bent = thing(1, NUKENG, ("retracted",), moved_px=0.7), thing(2, BENDNG, ("bent",), RIGHT, moved_px=4.0)
    settings = Settings.of_card({"observable_px": least})
    row = row_of([low, bent], ("bent", "retracted"))
    copies = [
        relabelled(row, moved_objects(row.objects, move, None, None), settings)
        for move in (left_half(SIZE), right_half(SIZE))
    ]
    assert [copy.observable for copy in copies] == expected
    assert all(copy.bbox_str for copy in copies)  # the answer goes by what of a defect is in view


def test_a_copy_is_grey_where_a_grey_measure_is_left():
    near, far = thing(1, OK, (), true_position_mm=0.75), thing(2, OK, (), RIGHT, true_position_mm=0.1)
    for limits, expected in (({"true_position_mm": 0.8, "retraction_mm": 0.6}, [True, False]), (None, [True, True])):
        made = halves(row_of([near, far], (), grey=True, tolerance=limits))
        assert [row.grey for row in made] == expected


@pytest.mark.parametrize(("operation", "expected"), [(REVERSE, (-0.3, 0.1)), (TURN, (-0.1, 0.3))])
def test_measures_turn_with_the_addresses(operation, expected):
    names = naming(operation, [], [], read_connector(SCENES / "connector_3x9.toml").positions)
    pin = thing(1, OK, (), address="r1c2", cavity="2", dx_mm=0.3, dy_mm=0.1, tilt_deg=3.0, retraction_mm=0.2)
    gone = thing(2, NUKENG, ("missing",), address="r1c2", cavity="2")
    moved, still = renamed([pin, gone], names)
    assert (moved.dx_mm, moved.dy_mm) == expected and (moved.tilt_deg, moved.retraction_mm) == (3.0, 0.2)
    assert moved.address == still.address == ("r1c8" if operation == REVERSE else "r8c1")
    assert (still.dx_mm, still.dy_mm) == (None, None)


@pytest.mark.parametrize("trims", [False, True])
@pytest.mark.parametrize("move", [mirrored, turned, left_half, lambda size: warped(size, rng(3))])
@pytest.mark.parametrize("box", [(40.0, 0.0, 50.0, 0.0), (160.0, 20.0, 160.0, 30.0), (0.0, 120.0, 0.0, 120.0)])
def test_a_defect_out_of_the_picture_is_no_less_one_in_a_copy(box, move, trims):
    objects = [thing(1, NUKENG, ("missing",), box, visible=0.0, address="r1c1")]
    done = move(SIZE)
    if trims and done.exact:
        done = done.then(trimmed(done.out, rng(1)))
    row = row_of(objects, ("missing",), observable=False)
    made = relabelled(row, moved_objects(objects, done, None, None), SETTINGS)
    assert (made.label, made.verdict, made.kinds) == (NUKENG, "NG", ("missing",))
    assert made.observable is False and made.bbox_str == ""
    (left,) = made.objects
    x1, y1, x2, y2 = left.box
    assert left.area == 0 and 0 <= x1 <= x2 <= done.out[0] and 0 <= y1 <= y2 <= done.out[1]


@pytest.mark.parametrize(
    ("observable", "visible", "expected"), [(True, 1.0, True), (False, 1.0, False), (True, 0.0, False)]
)
def test_a_copy_of_a_good_picture_shows_no_more_than_the_picture(observable, visible, expected):
    objects = [thing(1, OK, (), visible=visible, address="r1c1")]
    row = replace(row_of(objects, (), observable=observable), label=OK)
    assert relabelled(row, objects, SETTINGS).observable is expected


def rng(seed):
    return np.random.default_rng(seed)


def shape(kind, finer):
    """A shape drawn `finer` times as fine as the picture, bool."""
    y, x = (np.mgrid[0 : SIZE[1] * finer, 0 : SIZE[0] * finer] + 0.5) / finer
    u, v = (x - 80) * 0.8 + (y - 60) * 0.6, (y - 60) * 0.8 - (x - 80) * 0.6
    return {
        "slanted": (abs(u) < 12) & (abs(v) < 3),
        "upright": (abs(x - 80.2) < 3.3) & (abs(y - 60.3) < 11.2),
        "ball": (x - 80.1) ** 2 + (y - 60.2) ** 2 < 16,
        "fibre": (abs(v - 6 * np.sin(u / 8)) < 0.45) & (abs(u) < 25),
    }[kind]


def extent(pixels):
    ys, xs = np.nonzero(pixels)
    return tuple(map(float, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)))


@pytest.mark.parametrize("kind", ["slanted", "upright", "ball", "fibre"])
def test_a_warped_box_is_that_of_the_shape_and_not_of_its_coarse_mask(kind):
    fine = shape(kind, 4)
    box = tuple(edge / 4 for edge in extent(fine))
    mask = (fine.reshape(SIZE[1], 4, SIZE[0], 4).sum((1, 3)) > 8).astype(np.uint16) * 7
    things = [thing(7, OTHERNG, ("foreign",), box, visible=1.0)]
    still = Move(SIZE, SIZE, (1, 0, 0, 0, 1, 0), exact=False)
    (same,) = moved_objects(things, still, mask, mask)
    assert same.box == pytest.approx(box, abs=1e-9) and same.visible == 1.0
    ys, xs = np.nonzero(shape(kind, 8))
    for seed in range(8):
        move = warped(SIZE, rng(seed))
        (moved,) = moved_objects(things, move, mask, move.pixels(mask, nearest=True))
        a, b, c, d, e, f = move.matrix
        x, y = (xs + 0.5) / 8, (ys + 0.5) / 8
        u, v = a * x + b * y + c, d * x + e * y + f
        assert moved.box == pytest.approx((u.min(), v.min(), u.max(), v.max()), abs=0.7)


def test_a_warp_cuts_what_it_moves_out():
    mask = np.zeros(SIZE[::-1], np.uint16)
    mask[50:60, 0:10] = 7
    (x1, y1, x2, y2) = extent(mask)
    things = [thing(7, BENDNG, ("bent",), (x1, y1, x2, y2), visible=1.0)]
    for shift, left in ((-4, [(0, 50, 6, 60)]), (-12, [])):
        move = Move(SIZE, SIZE, (1, 0, shift, 0, 1, 0), exact=False)
        found = moved_objects(things, move, mask, move.pixels(mask, nearest=True))
        assert [t.box for t in found] == left
        assert [t.visible for t in found] == [pytest.approx(0.6)] * len(left)
