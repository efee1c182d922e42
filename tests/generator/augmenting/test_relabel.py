"""What is left of a picture's objects when it is moved: kinds, classes, boxes."""

import numpy as np
import pytest

from generator.augmenting.relabel import Settings, as_columns, moved_objects, relabelled
from generator.augmenting.transforms import Move, left_half, mirrored, right_half, trimmed, turned, warped
from generator.dataset.labels import BENDNG, NUKENG, OK, OTHERNG, ObjectTruth

SIZE = (160, 120)
SETTINGS = Settings({"connector_3x9": {"true_position_mm": 0.8, "retraction_mm": 0.6}}, 0.0, "short")
LEFT, RIGHT = (10.0, 10.0, 20.0, 30.0), (140.0, 10.0, 150.0, 30.0)


def thing(id_, category, box=LEFT, address="", true_position=None, visible=0.9):
    return ObjectTruth(id_, category, box, visible, address, "", true_position, None, ())


def row_of(things, kinds, defects, observable=True):
    return {
        "kinds": kinds,
        "defects": defects,
        "scene": "connector_3x9",
        "observable": observable,
        "grey": False,
        "objects": as_columns(things),
    }


def halves(things, kinds, defects):
    """Class and kinds of the left half and of the right one."""
    row = row_of(things, kinds, defects)
    for move in (left_half(SIZE), right_half(SIZE)):
        left = moved_objects(things, move, None, None)
        made = relabelled(row, things, left, move.out, SETTINGS)
        yield (BENDNG, NUKENG, OK, OTHERNG)[made["label"]], made["kinds"]


@pytest.mark.parametrize(
    ("left", "right", "defects", "expected"),
    [
        # What is no pin: in the order of the text, housing and print apart, and apart from a pin of the same address.
        (
            [thing(28, OTHERNG)],
            [thing(29, OTHERNG, RIGHT), thing(5, NUKENG, RIGHT, "r1c5")],
            "cracked@housing:azimuth_deg=180;print@print:type=wrong,item=9;missing@r1c5",
            [(OTHERNG, ["cracked"]), (NUKENG, ["missing", "print"])],
        ),
        (
            [thing(28, OTHERNG, address="r2c5")],
            [thing(14, BENDNG, RIGHT, "r2c5", 1.6)],
            "bent@r2c5:tilt_deg=12;foreign@r2c5:type=fibre",
            [(OTHERNG, ["foreign"]), (BENDNG, ["bent"])],
        ),
        # A pin's own kinds, as its measures tell them.
        (
            [thing(1, NUKENG, address="r1c1", true_position=0.9)],
            [thing(2, NUKENG, RIGHT, "r1c2", 0.7)],
            "bent@r1c1:tilt_deg=9;retracted@r1c1:depth_mm=2;retracted@r1c2:depth_mm=2",
            [(NUKENG, ["bent", "retracted"]), (NUKENG, ["retracted"])],
        ),
        (
            [thing(1, NUKENG, address="r1c1", true_position=0.9)],
            [thing(2, BENDNG, RIGHT, "r1c2", 0.9), thing(3, OTHERNG, RIGHT, "r1c3", 0.1)],
            "crushed@r1c1;retracted@r1c1:depth_mm=2;stained@r1c2;bent@r1c2:tilt_deg=9;wrong@r1c3",
            [(NUKENG, ["crushed", "retracted"]), (BENDNG, ["bent", "stained", "wrong"])],
        ),
        # Good scatter outside the tolerance is named nowhere.
        (
            [thing(1, BENDNG, address="r1c1", true_position=0.9)],
            [thing(28, OTHERNG, RIGHT)],
            "chipped@housing",
            [(BENDNG, ["bent"]), (OTHERNG, ["chipped"])],
        ),
        # A labeller's words are the picture's: nobody said which object is which.
        ([thing(1, BENDNG)], [thing(2, OTHERNG, RIGHT)], None, [(BENDNG, None), (OTHERNG, None)]),
        ([thing(1, BENDNG)], [thing(2, OK, RIGHT)], None, [(BENDNG, ["scratch", "tilted"]), (OK, [])]),
    ],
)
def test_a_copy_has_the_kinds_of_what_it_shows(left, right, defects, expected):
    kinds = sorted({kind for _, kinds in expected for kind in kinds or ()}) or ["scratch", "tilted"]
    if defects is None:
        kinds = ["scratch", "tilted"]
    assert list(halves([*left, *right], kinds, defects)) == expected


def test_kinds_that_cannot_be_told_are_null():
    things = [thing(1, NUKENG, address="r1c1", true_position=0.9), thing(28, OTHERNG, RIGHT)]
    text = "retracted@r1c1:depth_mm=2;foreign@housing"
    row = row_of(things, ["bent", "foreign", "retracted"], text)
    bare = Settings({}, 0.0, "short")
    assert relabelled(row, things, things[:1], SIZE, bare)["kinds"] is None
    assert relabelled(row, things, things[1:], SIZE, bare)["kinds"] == ["foreign"]
    assert relabelled({**row, "defects": "foreign@r9"}, things, things[1:], SIZE, SETTINGS)["kinds"] is None


@pytest.mark.parametrize("trims", [False, True])
@pytest.mark.parametrize("move", [mirrored, turned, left_half, lambda size: warped(size, rng(3))])
@pytest.mark.parametrize(
    "box", [(40.0, 0.0, 50.0, 0.0), (160.0, 20.0, 160.0, 30.0), (0.0, 120.0, 0.0, 120.0)]
)
def test_a_defect_out_of_the_picture_is_no_less_one_in_a_copy(box, move, trims):
    things = [thing(1, NUKENG, box, "r1c1", visible=0.0)]
    done = move(SIZE)
    if trims and done.exact:
        done = done.then(trimmed(done.out, rng(1)))
    made = relabelled(
        row_of(things, ["missing"], "missing@r1c1", observable=False),
        things,
        moved_objects(things, done, None, None),
        done.out,
        SETTINGS,
    )
    assert (made["label"], made["verdict"], made["kinds"]) == (1, 1, ["missing"])
    assert made["observable"] is False and made["bbox_str"] == ""
    (x, y, width, height), (area,) = made["objects"]["bbox"][0], made["objects"]["area"]
    assert area == 0 and 0 <= x <= x + width <= done.out[0] and 0 <= y <= y + height <= done.out[1]


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
    things = [thing(7, OTHERNG, box, visible=1.0)]
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
    things = [thing(7, BENDNG, (x1, y1, x2, y2), visible=1.0)]
    for shift, left in ((-4, [(0, 50, 6, 60)]), (-12, [])):
        move = Move(SIZE, SIZE, (1, 0, shift, 0, 1, 0), exact=False)
        found = moved_objects(things, move, mask, move.pixels(mask, nearest=True))
        assert [t.box for t in found] == left
        assert [t.visible for t in found] == [pytest.approx(0.6)] * len(left)
