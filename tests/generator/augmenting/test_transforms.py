"""Motions of pixels, boxes, points and masks: exact ones can be undone, and labels are those of the moved mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.augmenting.copies import copies
from generator.augmenting.relabel import moved_objects
from generator.augmenting.transforms import (
    MARGIN_PX,
    Move,
    cropped,
    left_half,
    mirrored,
    relit,
    right_half,
    trimmed,
    turned,
    warped,
)
from generator.dataset.labels import OK
from generator.dataset.rows import ObjectRow

SIDES = st.integers(2, 40)


@st.composite
def pictures(draw):
    """Random pixels, a box xyxy inside the picture, and a point in it."""
    width, height = draw(SIDES), draw(SIDES)
    depth = draw(st.sampled_from([(), (3,), (4,)]))
    kind = draw(st.sampled_from([np.uint8, np.uint16]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    pixels = rng.integers(0, np.iinfo(kind).max, (height, width, *depth), kind, endpoint=True)
    xs = sorted(draw(st.tuples(*[st.floats(0, width, width=32)] * 2)))
    ys = sorted(draw(st.tuples(*[st.floats(0, height, width=32)] * 2)))
    return pixels, (xs[0], ys[0], xs[1], ys[1]), (xs[0], ys[1])


@given(pictures())
def test_flipping_twice_gives_back_everything(picture):
    pixels, box, place = picture
    move = mirrored((pixels.shape[1], pixels.shape[0]))
    assert np.array_equal(move.pixels(move.pixels(pixels)), pixels)
    assert move.box(move.box(box)) == pytest.approx(box, abs=1e-9)
    assert move.point(move.point(place)) == pytest.approx(place, abs=1e-9)
    assert np.array_equal(move.pixels(pixels), pixels[:, ::-1])
    twice = move.then(move)
    assert np.array_equal(twice.pixels(pixels), pixels) and twice.box(box) == pytest.approx(box)


@given(pictures())
def test_rotating_four_times_gives_back_everything(picture):
    pixels, box, place = picture
    moved, moved_box, moved_place = pixels, box, place
    for _ in range(4):
        move = turned((moved.shape[1], moved.shape[0]))
        assert np.array_equal(move.pixels(moved), np.rot90(moved))
        moved, moved_box, moved_place = move.pixels(moved), move.box(moved_box), move.point(moved_place)
    assert np.array_equal(moved, pixels)
    assert moved_box == pytest.approx(box, abs=1e-9)
    assert moved_place == pytest.approx(place, abs=1e-9)


@given(pictures())
def test_two_halves_put_together_give_back_everything(picture):
    pixels, box, _ = picture
    size = pixels.shape[1], pixels.shape[0]
    left, right = left_half(size), right_half(size)
    assert np.array_equal(np.concatenate([left.pixels(pixels), right.pixels(pixels)], axis=1), pixels)
    middle = left.out[0]
    parts = []
    for move, offset in ((left, 0), (right, middle)):
        x1, y1, x2, y2 = move.box(box)
        x1, x2 = max(x1, 0), min(x2, move.out[0])
        if x1 <= x2:
            parts.append((x1 + offset, y1, x2 + offset, y2))
    together = (min(p[0] for p in parts), parts[0][1], max(p[2] for p in parts), parts[0][3])
    assert together == pytest.approx(box, abs=1e-6)


@given(pictures(), st.integers(0, 2**32))
def test_a_move_after_a_move_is_one_move(picture, seed):
    pixels, box, place = picture
    first = turned((pixels.shape[1], pixels.shape[0]))
    second = trimmed(first.out, np.random.default_rng(seed))
    both = first.then(second)
    assert np.array_equal(both.pixels(pixels), second.pixels(first.pixels(pixels)))
    assert both.box(box) == pytest.approx(second.box(first.box(box)))
    assert both.point(place) == pytest.approx(second.point(first.point(place)))


@given(st.integers(30, 3000), st.integers(30, 3000), st.integers(0, 2**32))
def test_a_trim_is_that_of_the_source(width, height, seed):
    move = trimmed((width, height), np.random.default_rng(seed))
    short, long = sorted((width, height))
    cut = [width - move.out[0], height - move.out[1]]
    across, along = (cut[1], cut[0]) if width > height else (cut[0], cut[1])
    assert across == 2 * MARGIN_PX
    assert 0.3 * (long - short) - 1 <= along - 2 * MARGIN_PX <= 0.5 * (long - short) + 1
    x, y = -move.matrix[2], -move.matrix[5]
    assert x >= MARGIN_PX and y >= MARGIN_PX
    assert x + move.out[0] <= width - MARGIN_PX and y + move.out[1] <= height - MARGIN_PX


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_something_stays_of_the_smallest_picture(width, height, seed):
    assert min(trimmed((width, height), np.random.default_rng(seed)).out) >= 1


@pytest.mark.parametrize("box", [(-1, 0, 4, 4), (0, 0, 9, 4), (3, 0, 3, 4), (0, 4, 4, 2)])
def test_a_crop_outside_of_the_picture_is_refused(box):
    with pytest.raises(ValueError, match="box: expected x1 < x2 and y1 < y2 inside 8 x 6 px"):
        cropped((8, 6), box)


def test_pixels_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"pixels: expected shape \(6, 8, "):
        mirrored((8, 6)).pixels(np.zeros((8, 6)))


@st.composite
def masks(draw):
    """Instance indices with a few ragged regions, some of them in front of others."""
    width, height = draw(st.integers(14, 48)), draw(st.integers(14, 48))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mask = np.zeros((height, width), np.uint16)
    for index in range(1, draw(st.integers(2, 8))):
        x, y = rng.integers(0, width - 3), rng.integers(0, height - 3)
        part = mask[y : y + rng.integers(2, 14), x : x + rng.integers(2, 14)]
        part[rng.random(part.shape) < 0.6] = index
    return mask


def objects_of_mask(mask):
    """Objects whose boxes and shares are the mask's own."""
    found = []
    for index in np.unique(mask[mask > 0]):
        rows, columns = np.nonzero(mask == index)
        box = (float(columns.min()), float(rows.min()), columns.max() + 1.0, rows.max() + 1.0)
        category = OK if index % 2 else "BENDNG"
        found.append(ObjectRow(int(index), box, category, visible=1.0, true_position_mm=0.5))
    return found


def check_warped(mask, moved, found, expected, move):
    """Check that a box holds the middle of each pixel of the moved mask, and lies within the box's moved corners.

    The moved mask lacks pixels that fall between two others, and pixels at the border whose middle is outside.
    """
    for index, thing in found.items():
        rows, columns = np.nonzero(mask == index)
        whole = move.box((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        assert all(np.array(thing.box[:2]) >= np.array(whole[:2]) - 1e-6)
        assert all(np.array(thing.box[2:]) <= np.array(whole[2:]) + 1e-6)
        if index in expected:  # 0.25: the corners of a slanted pixel
            assert all(np.array(thing.box[:2]) <= np.array(expected[index].box[:2]) + 0.75)
            assert all(np.array(thing.box[2:]) >= np.array(expected[index].box[2:]) - 0.75)
    for index in expected.keys() - found.keys():
        assert not (moved[1:-1, 1:-1] == index).any()


@given(masks(), st.sampled_from(["left", "right", "reverse", "plus90", "light", "warp"]), st.integers(0, 2**32))
def test_labels_are_those_recomputed_from_the_moved_mask(mask, name, seed):
    operation = {"left": "cut", "right": "cut"}.get(name, name)
    size = mask.shape[1], mask.shape[0]
    (copy,) = [c for c in copies([operation], size, seed, "x") if c.name == name]
    moved = copy.move.pixels(mask, nearest=True)
    found = {t.id: t for t in moved_objects(objects_of_mask(mask), copy.move, mask, moved)}
    expected = {t.id: t for t in objects_of_mask(moved)}
    if not copy.move.exact:
        check_warped(mask, moved, found, expected, copy.move)
        return
    assert found.keys() == expected.keys()
    for index, thing in found.items():
        assert thing.box == pytest.approx(expected[index].box)
        assert thing.visible == pytest.approx((moved == index).sum() / (mask == index).sum())


@given(masks(), st.integers(0, 2**32))
def test_a_missing_pin_is_there_as_long_as_its_place_is(mask, seed):
    size = mask.shape[1], mask.shape[0]
    box = (2.0, 3.0, 6.5, 9.25)
    missing = ObjectRow(60000, box, "NUKENG", ("missing",), visible=0.8)
    for copy in copies(["cut", "reverse", "plus90"], size, seed, "x"):
        found = moved_objects([missing], copy.move, mask, copy.move.pixels(mask, nearest=True))
        x1, y1, x2, y2 = copy.move.box(box)
        inside = max(x1, 0), max(y1, 0), min(x2, copy.move.out[0]), min(y2, copy.move.out[1])
        if inside[0] < inside[2] and inside[1] < inside[3]:
            assert found[0].box == pytest.approx(inside)
            area = (inside[2] - inside[0]) * (inside[3] - inside[1]) / (4.5 * 6.25)
            assert found[0].visible == pytest.approx(0.8 * area)
        else:
            assert not found


def test_a_warp_takes_a_box_where_its_pixels_go():
    mask = np.zeros((60, 90), np.uint16)
    mask[20:40, 30:60] = 1
    for seed in range(20):
        move = warped((90, 60), np.random.default_rng(seed))
        rows, columns = np.nonzero(move.pixels(mask, nearest=True))
        x1, y1, x2, y2 = move.box((30, 20, 60, 40))
        assert (columns.min(), rows.min()) == pytest.approx((x1, y1), abs=1.5)
        assert (columns.max() + 1, rows.max() + 1) == pytest.approx((x2, y2), abs=1.5)


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_another_light_keeps_size_and_depth(shape, kind):
    pixels = np.full(shape, np.iinfo(kind).max // 2, kind)
    first, again = (relit(pixels, np.random.default_rng(5)) for _ in range(2))
    assert first.shape == shape and first.dtype == kind
    assert np.array_equal(first, again) and not np.array_equal(first, pixels)
    if shape[-1] == 4:
        assert np.array_equal(first[..., 3], pixels[..., 3])


def test_copies_depend_on_seed_and_name_and_not_on_each_other():
    def matrices(operations, seed=3, file="a.png"):
        return {c.name: c.move.matrix for c in copies(operations, (900, 300), seed, file)}

    alone, together = matrices(["reverse"]), matrices(["cut", "reverse", "plus90", "light", "warp"])
    assert list(together) == ["left", "right", "reverse", "plus90", "light", "warp"]
    assert alone["reverse"] == together["reverse"]
    assert matrices(["reverse"], seed=4) != alone != matrices(["reverse"], file="b.png")


def test_an_untrimmed_copy_has_every_pixel():
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    made = {c.name: c.pixels(pixels) for c in copies(["cut", "reverse", "plus90"], (6, 4), 0, "x", trim=False)}
    assert np.array_equal(np.concatenate([made["left"], made["right"]], axis=1), pixels)
    assert np.array_equal(made["reverse"], pixels[:, ::-1])
    assert np.array_equal(made["plus90"], np.rot90(pixels))


def test_a_move_says_what_size_it_takes():
    with pytest.raises(ValueError, match=r"other: expected a transform of a picture of size \(4, 6\)"):
        turned((6, 4)).then(Move((6, 4), (6, 4), (1, 0, 0, 0, 1, 0)))
