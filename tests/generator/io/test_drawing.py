"""Boxes on pictures: where lines and labels lie, for pictures of every mode and size; bars and sheets."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generator.io.drawing import Box, Cell, draw_boxes, enlargement, fit, grid, label, line_px, under_verdict
from generator.io.palette import hue, rgb

GREY = (120, 120, 120)


def changed(sheet: Image.Image) -> np.ndarray:
    """(H, W) where anything is drawn on a picture of one grey."""
    return (np.asarray(sheet) != GREY).any(axis=2)


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(40, 400), st.integers(40, 400)),
    places=st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=1, max_size=12),
    factor=st.sampled_from([1, 2, 0.5]),
)
def test_no_label_covers_what_is_boxed(size, places, factor):
    picture = Image.new("RGB", size, GREY)
    boxes = [(x * size[0], y * size[1], min(x + w, 1) * size[0], min(y + h, 1) * size[1]) for x, y, w, h in places]
    bare = draw_boxes(picture, [Box(box, "NG") for box in boxes], factor)
    named = draw_boxes(picture, [Box(box, "NG", f"r1c{i} NG") for i, box in enumerate(boxes)], factor)
    assert named.width >= bare.width and named.height >= bare.height
    on_picture = np.asarray(named)[: bare.height, : bare.width]
    letters = (on_picture != np.asarray(bare)).any(axis=2)
    for x1, y1, x2, y2 in (np.array(box) * factor for box in boxes):
        assert not letters[int(np.ceil(y1)) : int(y2), int(np.ceil(x1)) : int(x2)].any()
    # Every label is somewhere: on the picture or below it.
    below = np.asarray(named)[bare.height :]
    assert letters.any() or below.size


@pytest.mark.parametrize(
    "box", [(0, 0, 200, 100), (-5, -5, 3, 3), (199, 99, 200, 100), (190, 40, 260, 60), (7, 7, 7, 7)]
)
def test_a_box_at_the_edge_is_seen_and_what_it_holds_too(box):
    sheet = draw_boxes(Image.new("RGB", (200, 100), GREY), [Box(box, "NG", "r1c1")])
    colour = (np.asarray(sheet)[:100, :200] == rgb(hue("NG").on_picture)).all(axis=2)
    rows, columns = np.nonzero(colour)
    # All four sides lie in the picture, and the middle of the frame is free.
    assert np.ptp(rows) >= 2 and np.ptp(columns) >= 2
    middle = (rows.min() + rows.max()) // 2, (columns.min() + columns.max()) // 2
    assert not colour[middle]


def test_a_line_lies_outside_of_what_is_boxed():
    drawn = changed(draw_boxes(Image.new("RGB", (200, 100), GREY), [Box((50, 40, 60, 52), "NG")]))
    assert not drawn[40:52, 50:60].any()
    assert drawn[39, 49:61].all() and drawn[52, 49:61].all() and drawn[39:53, 49].all() and drawn[39:53, 60].all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_any_mode_is_shown_in_colour(mode):
    deep = mode in ("I;16", "I", "F")
    level = 30840 if deep else 120
    if deep:
        kinds = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
        picture = Image.fromarray(np.full((60, 80), level, kinds[mode]))
    else:
        picture = Image.new("RGB", (80, 60), GREY).convert(mode, dither=Image.Dither.NONE)
    assert picture.mode == mode
    sheet = draw_boxes(picture, [Box((20, 20, 40, 40), "BENDNG")])
    assert sheet.mode == "RGB" and sheet.size == (80, 60)
    assert sheet.getpixel((19, 19)) == rgb(hue("BENDNG").on_picture)
    if deep:
        assert sheet.getpixel((30, 30)) == GREY


def test_lines_and_letters_grow_with_the_picture():
    assert line_px((320, 160)) == 1 and line_px((4000, 3000)) == 12
    heights = []
    for side in (400, 4000):
        picture, box = Image.new("RGB", (side, side), GREY), Box((side // 2,) * 4, "NG")
        bare, named = (np.asarray(draw_boxes(picture, [box._replace(text=text)])) for text in ("", "r2c5"))
        heights.append(np.ptp(np.nonzero(bare != named)[0]) / side)
    assert heights[1] == pytest.approx(heights[0], rel=0.3) and heights[1] > 0.02


def test_labels_without_room_are_lines_below_the_picture():
    whole = Box((0, 0, 120, 60), "NG", "all of it")
    sheet = draw_boxes(Image.new("RGB", (120, 60), GREY), [whole, whole._replace(label="OK", text="twice")])
    assert sheet.width == 120 and sheet.height > 60 + 2 * 11
    first, second = np.array_split(np.asarray(sheet)[60:].astype(int).max(axis=(1, 2)) > 150, 2)
    assert first.any() and second.any()
    tiny = draw_boxes(Image.new("RGB", (1, 1), GREY), [Box((0, 0, 1, 1), "NG", "r1c1 BENDNG 93%")])
    assert tiny.width > 80


def test_factors():
    assert enlargement((256, 128), 768) == 3 and enlargement((128, 256), 768) == 3
    assert enlargement((4000, 10), 768) == 1 and enlargement((1, 3000), 512) == 1
    assert fit((100, 50), (300, 220)) == 3 and fit((600, 100), (300, 220)) == 0.5


def test_a_bar_has_the_verdicts_colour_and_room_for_all_of_its_text():
    picture = Image.new("RGB", (300, 100), GREY)
    for verdict in ("OK", "NG"):
        bar = under_verdict(picture, verdict, "")
        assert bar.getpixel((1, 1)) == rgb(hue(verdict).on_white)
        assert bar.width == 300 and bar.getpixel((1, bar.height - 1)) == GREY
    long = under_verdict(picture, "NG", "  ".join(f"r1c{i} BENDNG" for i in range(12)))
    assert long.width == 300 and long.height > bar.height + 40


def test_a_thin_box_is_hardly_seen_and_a_dashed_one_has_gaps():
    picture, at = Image.new("RGB", (900, 900), GREY), (400, 400, 460, 460)
    colour = {
        line: (np.asarray(draw_boxes(picture, [Box(at, "NG", line=line)])) == rgb(hue("NG").on_picture)).all(axis=2)
        for line in ("solid", "dashed", "thin")
    }
    assert 0 < colour["thin"].sum() * 1.4 < colour["dashed"].sum() < colour["solid"].sum() * 0.7
    assert colour["dashed"][398, 400:460].any() and not colour["dashed"][398, 400:460].all()
    assert changed(draw_boxes(picture, [Box(at, "OK", line="thin")]))[400:460, 400:460].sum() == 0


def test_a_solid_box_lies_above_others_and_its_text_never_below_the_picture_because_of_them():
    picture, box = Image.new("RGB", (200, 120), GREY), Box((80, 50, 120, 80), "NG", "r1c1")
    others = [Box((x, y, x + 30, y + 30), "OK", line="thin") for x in range(0, 200, 30) for y in range(0, 120, 30)]
    sheet = draw_boxes(picture, [box, box._replace(label="OK", text="", line="dashed"), *others])
    assert sheet.size == picture.size and sheet.getpixel((79, 60)) == rgb(hue("NG").on_picture)
    assert draw_boxes(picture, [Box((0, 0, 200, 120), "OK", "no room", "dashed")]).size == picture.size


def test_reasons_are_a_line_each_and_not_more_than_fit():
    picture = Image.new("RGB", (600, 300), GREY)
    bars = [under_verdict(picture, "NG", [f"pin: r1c{n}" for n in range(count)]).height - 300 for count in (1, 2, 60)]
    step = bars[1] - bars[0]
    assert step >= 15 and bars[2] < bars[0] + 150
    long = under_verdict(picture, "NG", ["view: " + "far " * 99, "pin: r1c1"])
    assert long.width == 600 and long.height - 300 < bars[1] and under_verdict(picture, "NG", [""]).width == 600


def test_a_sheet_holds_every_picture_whole():
    red, blue = Image.new("RGB", (90, 40), (200, 0, 0)), Image.new("L", (30, 70), 9)
    sheet = grid([[Cell(red, ["каталог/" + "long" * 40]), Cell(blue)], [Cell(red, ["a", ("b", (0, 0, 250))])]])
    pixels = np.asarray(sheet)
    assert (pixels == (200, 0, 0)).all(axis=2).sum() == 2 * 90 * 40
    assert (pixels == (9, 9, 9)).all(axis=2).sum() == 30 * 70
    assert sheet.width == 90 + 30 + 3 * 8


@pytest.mark.parametrize("caption", ["x" * 9, "NG", "日", ""])
def test_a_caption_fits_a_picture_of_one_pixel(caption):
    assert grid([[Cell(Image.new("RGB", (1, 1)), [caption])]]).height > 12


def test_a_label_is_as_large_as_its_text_and_paper_fills_it():
    ink, paper, edge = (250, 240, 10), (10, 20, 30), (0, 0, 200)
    bare, framed = label("27", 20, ink), label("27", 20, ink, paper, edge)
    opaque = np.asarray(bare)[:, :, 3] > 0
    columns = np.flatnonzero(opaque.any(axis=0))  # a font leaves a little space beside a letter
    assert opaque.any(axis=1)[[0, -1]].all() and columns[0] <= 3 and columns[-1] >= bare.width - 4
    assert (np.asarray(bare)[opaque][:, :3] == ink).all()
    assert framed.width > bare.width and (np.asarray(framed)[:, :, 3] == 255).all()
    assert framed.getpixel((0, 0)) == (*paper, 255)
    colours = {colour[:3] for _, colour in framed.getcolors(10_000)}
    assert {ink, edge} <= colours
