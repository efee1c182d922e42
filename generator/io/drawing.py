"""Draw on pictures: boxes with texts, a bar with the verdict, and sheets of pictures with captions.

All drawing on pictures is in this module. The line of a box lies outside the boxed area, its text beside it where
nothing else is drawn, or else below the picture. Line width and letter size are proportional to the picture's size.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from generator.io.lettering import Letters, font_of, written
from generator.io.palette import hue, rgb
from generator.io.pictures import eight_bit, plain

INK, QUIET, PAPER = (26, 31, 38), (98, 109, 122), (255, 255, 255)
_GAP = 8
# Kinds of lines of boxes, in the order in which they are drawn.
LINES = ("thin", "dashed", "solid")

Ink = tuple[int, int, int]
Rectangle = tuple[int, int, int, int]


class Box(NamedTuple):
    """A box to draw on a picture.

    Args:
        xyxy: x1, y1, x2, y2 in px of the picture; edges of pixels, not their middles, are at whole numbers.
        label: class or verdict; it sets the colour.
        text: the text beside the box; may be empty.
        line: `solid`; or `dashed` or `thin`, for boxes that matter less: these are drawn beneath solid ones, and their
            texts only where there is room beside them.
    """

    xyxy: Sequence[float]
    label: str
    text: str = ""
    line: str = "solid"


class Mark(NamedTuple):
    """A pin to draw on a picture: a ring, and a vector from its centre, both enlarged alike so that they are seen.

    All points are (x, y) in px of the picture.

    Args:
        ring: enlarged edge of the pin's tolerance zone, as a closed line.
        start: centre of the ring, where the pin's tip should be.
        end: end of the enlarged vector, which points from `start` towards the tip; None: the tip is not known.
        label: verdict; it sets the colour. NG is drawn with thick lines.
        text: text beside the ring; may be empty.
        is_dashed: draw the ring dashed, for a pin with a measure that is not determined.
    """

    ring: Sequence[tuple[float, float]]
    start: tuple[float, float]
    end: tuple[float, float] | None
    label: str
    text: str = ""
    is_dashed: bool = False


class Cell(NamedTuple):
    """One picture of a sheet.

    Attributes:
        picture: the picture.
        captions: lines of text above it, each a text or (text, colour).
    """

    picture: Image.Image
    captions: Sequence[str | tuple[str, Ink]] = ()


def enlargement(size: tuple[int, int], about: int) -> int:
    """Return the whole factor, at least 1, that enlarges a picture so that its longer side has about `about` px.

    Args:
        size: (w, h) px of the picture.
        about: wanted length of the longer side, px.
    """
    return max(1, round(about / max(size)))


def fit(size: tuple[int, int], within: tuple[int, int]) -> float:
    """Return the factor, whole if above 1, that scales a picture of `size` to fit into `within`, both (w, h) px."""
    scale = min(within[0] / size[0], within[1] / size[1])
    return scale if scale < 1 else int(scale)


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    """Return a picture of any mode as RGB, scaled by `factor`: enlarged pixels are squares, reduction is smooth."""
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    resample = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.LANCZOS
    picture = eight_bit(plain(picture, "picture")).convert("RGB")
    return picture.resize(size, resample) if size != picture.size else picture.copy()


def line_px(size: tuple[int, int]) -> int:
    """Return the width in px of the lines to draw on a picture of `size`, (w, h) in px."""
    return max(1, round(math.sqrt(size[0] * size[1]) / 300))


def draw_boxes(picture: Image.Image, boxes: Sequence[Box], factor: float = 1) -> Image.Image:
    """Draw boxes with their texts on a scaled copy of a picture, in the colours of their labels.

    Args:
        picture: of any mode.
        boxes: the boxes, which may overlap and reach beyond the picture.
        factor: factor by which the picture is enlarged or reduced.

    Returns:
        An RGB picture of the size times `factor`; larger if texts had to be written below it.
    """
    sheet = scaled(picture, factor)
    draw = ImageDraw.Draw(sheet)
    line = line_px(sheet.size)
    thin = max(1, line // 3)
    frames = [_frame(box.xyxy, factor, thin if box.line == "thin" else line, sheet.size) for box in boxes]
    framed = sorted(zip(frames, boxes, strict=True), key=lambda one: LINES.index(one[1].line))
    for frame, box in framed:
        _draw_frame(draw, frame, rgb(hue(box.label).on_picture), thin if box.line == "thin" else line, box.line)
    letters = Letters(math.sqrt(sheet.width * sheet.height) / 28)
    taken, covered = [*frames], {frame for frame, box in framed if box.line == "thin"}
    below: list[tuple[str, Ink]] = []
    for frame, box in sorted(framed, key=lambda one: one[1].line != "solid"):
        if not box.text:
            continue
        text, ink = written(box.text), rgb(hue(box.label).text_on_picture)
        left, top, right, bottom = letters.font.getbbox(text, stroke_width=line)
        extent = int(np.ceil(right - left)), int(np.ceil(bottom - top))
        place = _free_place(frame, extent, sheet.size, taken)
        if place is None and box.line == "solid":  # rather over boxes that matter less than below the picture
            place = _free_place(frame, extent, sheet.size, [one for one in taken if one not in covered])
        if place is None and box.line == "solid":
            below.append((text, ink))
        elif place is not None:
            taken.append(place)
            at = place[0] - left, place[1] - top
            draw.text(at, text, ink, letters.font, stroke_width=line, stroke_fill=INK)
    return _with_lines_below(sheet, below, letters) if below else sheet


def draw_marks(picture: Image.Image, marks: Sequence[Mark], factor: float = 1) -> Image.Image:
    """Draw pins on a scaled copy of a picture: rings, vectors from rings' centres, and texts where there is room.

    Args:
        picture: of any mode.
        marks: the pins; NG is drawn last, above all others.
        factor: factor by which the picture is enlarged or reduced.

    Returns:
        An RGB picture of the size times `factor`.
    """
    sheet = scaled(picture, factor)
    draw = ImageDraw.Draw(sheet)
    line = line_px(sheet.size)
    letters = Letters(math.sqrt(sheet.width * sheet.height) / 28)
    taken: list[Rectangle] = []
    for mark in sorted(marks, key=lambda one: one.label == "NG"):
        ring = [(x * factor, y * factor) for x, y in mark.ring]
        wide = 2 * line if mark.label == "NG" else line
        ink = rgb(hue(mark.label).on_picture)
        for colour, width in ((INK, wide + 2), (ink, wide)):
            _draw_ring_line(draw, ring, colour, width, mark.is_dashed)
        if mark.end is not None:
            ends = [(x * factor, y * factor) for x, y in (mark.start, mark.end)]
            for colour, width, radius in ((INK, wide + 2, wide + 2), (ink, wide, wide + 1)):
                draw.line(ends, fill=colour, width=width)
                x, y = ends[1]
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        xs, ys = zip(*ring, strict=True)
        taken.append((int(min(xs)), int(min(ys)), int(max(xs)) + 1, int(max(ys)) + 1))
    frames = dict(zip((id(one) for one in sorted(marks, key=lambda one: one.label == "NG")), list(taken), strict=True))
    for mark in (one for one in marks if one.text):
        text = written(mark.text)
        left, top, right, bottom = letters.font.getbbox(text, stroke_width=line)
        extent = int(np.ceil(right - left)), int(np.ceil(bottom - top))
        place = _free_place(frames[id(mark)], extent, sheet.size, taken)
        if place is not None:
            taken.append(place)
            at = place[0] - left, place[1] - top
            draw.text(at, text, rgb(hue(mark.label).text_on_picture), letters.font, stroke_width=line, stroke_fill=INK)
    return sheet


def table(lines: Sequence[Sequence[str]], inks: Sequence[Ink], size: tuple[int, int], px: float) -> Image.Image:
    """Return a table as a picture; the first column is left-aligned, all others are right-aligned.

    Args:
        lines: the header and the rows, with equally many cells; rows that do not fit into the height are left out.
        inks: colour of each line.
        size: width and height, px.
        px: wanted letter size, px; smaller letters are used where the columns would be wider than the picture.
    """
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    letters = Letters(px)
    while px > 12 and sum(_column_widths(lines, letters)) > size[0]:
        px -= 1
        letters = Letters(px)
    ends = np.cumsum(_column_widths(lines, letters)).tolist()
    for number, (line, ink) in enumerate(zip(lines, inks, strict=True)):
        y = _GAP + letters.step * number
        if y + letters.step > size[1]:
            break
        for column, text in enumerate(line):
            text = written(text)
            x = 0.0 if column == 0 else ends[column] - letters.width(text) - letters.step / 2
            draw.text((x, y), text, ink, letters.font)
        if number == 0:
            draw.line((0, y + letters.step - 2, min(size[0], ends[-1]), y + letters.step - 2), fill=QUIET)
    return sheet


def _column_widths(lines: Sequence[Sequence[str]], letters: Letters) -> list[float]:
    return [max(letters.width(written(text)) for text in one) + letters.step for one in zip(*lines, strict=True)]


def _draw_ring_line(
    draw: ImageDraw.ImageDraw, ring: Sequence[tuple[float, float]], ink: Ink, width: int, is_dashed: bool
) -> None:
    if not is_dashed:
        draw.line([*ring, ring[0]], fill=ink, width=width, joint="curve")
        return
    for index in range(0, len(ring), 3):
        draw.line(ring[index : index + 2], fill=ink, width=width)


def label(text: str, px: float, ink: Ink, paper: Ink | None = None, edge: Ink | None = None) -> Image.Image:
    """Return a text as an RGBA picture that is just large enough for it.

    Args:
        text: the text, not empty.
        px: font size, px.
        ink: colour of the letters.
        paper: colour of a rectangle behind the text; None: what is behind it stays visible.
        edge: colour of an outline of letters of at least 10 px; None: no outline.
    """
    font, line = font_of(round(px)), 0 if edge is None else int(px / 10)
    left, top, right, bottom = font.getbbox(text, stroke_width=line)
    margin = 0 if paper is None else max(1, round(px / 5))
    size = int(np.ceil(right - left)) + 2 * margin, int(np.ceil(bottom - top)) + 2 * margin
    sheet = Image.new("RGBA", size, (*(edge or ink), 0) if paper is None else (*paper, 255))
    ImageDraw.Draw(sheet).text((margin - left, margin - top), text, ink, font, stroke_width=line, stroke_fill=edge)
    return sheet


def placeholder(size: tuple[int, int], text: str) -> Image.Image:
    """Return an empty frame of this size (w, h) in px with a text, to show in place of a missing picture."""
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=QUIET)
    draw.text((_GAP, _GAP), text, QUIET, Letters(12).font)
    return sheet


def draw_ring(picture: Image.Image, centre: tuple[float, float], radius: float) -> Image.Image:
    """Return a copy of an RGB picture with a ring in the colour of NG; centre (x, y) and radius in px."""
    sheet = picture.copy()
    (x, y), line = centre, 2 * line_px(picture.size)
    for ink, r, width in ((INK, radius + 1, line + 2), (rgb(hue("NG").text_on_picture), radius, line)):
        ImageDraw.Draw(sheet).ellipse((x - r, y - r, x + r, y + r), outline=ink, width=width)
    return sheet


def polygon_mask(points: np.ndarray, size: tuple[int, int]) -> Image.Image:
    """Return a mask (mode L) of `size` (W, H) px: 255 inside the polygon with the corners (n, 2), in px, else 0."""
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in points], fill=255)
    return mask


def under_verdict(picture: Image.Image, verdict: str, text: str | Sequence[str]) -> Image.Image:
    """Add a bar in the verdict's colour above a picture: the verdict in large letters, then `text`; returns a copy.

    A text is broken into lines. Of a list, each text is one line: letters of down to half the size make long ones fit,
    and still longer ones are shortened. As many lines are written as fit into half of the picture's height, at least 3.
    The bar of UNSURE is amber with dark letters, so that it cannot be taken for that of another verdict from afar.
    """
    px = math.sqrt(picture.width * picture.height) / 28
    large = min(2.2 * px, picture.width / 12)  # so that no bar is wider than its picture
    fill, ink = (hue(verdict).on_picture, INK) if verdict == "UNSURE" else (hue(verdict).on_white, PAPER)
    if text and not isinstance(text, str):
        widest = max(1.0, *(Letters(px).width(written(one)) for one in text))
        px *= max(0.5, min(1.0, (picture.width - 2 * _GAP) / widest))
    under = _under_bar(picture, text, Letters(px), rgb(fill), ink) if text else picture
    return _under_bar(under, verdict, Letters(large), rgb(fill), ink)


def under_title(picture: Image.Image, title: str) -> Image.Image:
    """Add a line of text above a picture; returns a copy."""
    return _under_bar(picture, title, Letters(picture.width / 60), PAPER, INK)


def grid(lines: Iterable[Sequence[Cell]]) -> Image.Image:
    """Arrange pictures with captions on one sheet, and return it; each column is as wide as its widest picture.

    Args:
        lines: rows of cells; they may differ in length. Captions are shortened to the column's width.
    """
    rows = [list(row) for row in lines]
    letters = Letters(max(cell.picture.width for row in rows for cell in row) / 36)
    step = letters.step
    columns = max(map(len, rows))
    widths = [max(row[c].picture.width for row in rows if c < len(row)) for c in range(columns)]
    heads = [step * max(len(cell.captions) for cell in row) for row in rows]
    heights = [max(cell.picture.height for cell in row) for row in rows]
    size = sum(widths) + _GAP * (columns + 1), sum(heads) + sum(heights) + _GAP * (len(rows) + 1)
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    y = _GAP
    for row, head, height in zip(rows, heads, heights, strict=True):
        x = _GAP
        for cell, width in zip(row, widths, strict=False):
            for number, caption in enumerate(cell.captions):
                text, ink = (caption, INK) if isinstance(caption, str) else caption
                draw.text((x, y + number * step), letters.cut(written(text), width), ink, letters.font)
            sheet.paste(cell.picture.convert("RGB"), (x, y + head))
            x += width + _GAP
        y += head + height + _GAP
    return sheet


def _draw_frame(draw: ImageDraw.ImageDraw, frame: Rectangle, ink: Ink, width: int, line: str) -> None:
    """Draw a box's line inside its outer edges `frame`; `line` as in `Box`."""
    x1, y1, x2, y2 = frame
    if line == "thin":
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=ink, width=width)
        return
    draw.rectangle((x1 - 1, y1 - 1, x2, y2), outline=INK)  # makes the line visible on bright plastic too
    if line == "solid":
        draw.rectangle((x1, y1, x2 - 1, y2 - 1), outline=ink, width=width)
        return
    dash = 2 * width + 2
    dashes = [(x, y, min(x + dash, x2), y + width) for x in range(x1, x2, 2 * dash) for y in (y1, y2 - width)]
    dashes += [(x, y, x + width, min(y + dash, y2)) for y in range(y1, y2, 2 * dash) for x in (x1, x2 - width)]
    for left, top, right, bottom in dashes:
        draw.rectangle((left, top, right - 1, bottom - 1), fill=ink)


def _frame(xyxy: Sequence[float], factor: float, line: int, size: tuple[int, int]) -> Rectangle:
    """Return the outer edges (xyxy, px of the scaled picture) of a box's line: around the boxed area, in the picture.

    A box narrower than three line widths is widened to three, so that the line does not hide its content.
    """
    edges: list[tuple[int, int]] = []
    for axis in (0, 1):
        low, high = sorted((xyxy[axis] * factor, xyxy[axis + 2] * factor))
        spread = max(0.0, 3 * line - (high - low)) / 2
        first, last = int(np.floor(low - spread)) - line, int(np.ceil(high + spread)) + line
        # A box beyond the picture's edge gets a line at the edge.
        first = min(max(first, 0), max(0, size[axis] - 3 * line))
        edges.append((first, max(min(last, size[axis]), first + min(3 * line, size[axis]))))
    return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def _free_place(
    frame: Rectangle, extent: tuple[int, int], size: tuple[int, int], taken: Sequence[Sequence[int]]
) -> Rectangle | None:
    """Return a rectangle (xyxy, px) for a text of `extent` (w, h) beside a frame, outside `taken`; None: no room."""
    (x1, y1, x2, y2), (w, h) = frame, extent
    inside_x, inside_y = min(max(x1, 0), max(0, size[0] - w)), min(max(y1, 0), max(0, size[1] - h))
    across = (inside_x, x2 - w, (x1 + x2 - w) // 2)
    along = (inside_y, y2 - h, (y1 + y2 - h) // 2)
    places = [(x, y) for y in (y1 - h, y2) for x in across] + [(x, y) for x in (x2, x1 - w) for y in along]
    used = np.array(taken)
    for x, y in places:
        if x < 0 or y < 0 or x + w > size[0] or y + h > size[1]:
            continue
        apart = (used[:, 0] >= x + w) | (used[:, 2] <= x) | (used[:, 1] >= y + h) | (used[:, 3] <= y)
        if apart.all():
            return x, y, x + w, y + h
    return None


def _with_lines_below(sheet: Image.Image, lines: Sequence[tuple[str, Ink]], letters: Letters) -> Image.Image:
    width = max(sheet.width, *(round(letters.width(text)) + _GAP for text, _ in lines))
    whole = Image.new("RGB", (width, sheet.height + letters.step * len(lines)), INK)
    whole.paste(sheet, (0, 0))
    draw = ImageDraw.Draw(whole)
    for number, (text, ink) in enumerate(lines):
        draw.text((_GAP // 2, sheet.height + number * letters.step), text, ink, letters.font)
    return whole


def _under_bar(picture: Image.Image, text: str | Sequence[str], letters: Letters, fill: Ink, ink: Ink) -> Image.Image:
    width = max(picture.width, 8 * letters.step)
    if isinstance(text, str):
        lines = letters.wrapped(written(text), width - 2 * _GAP)
    else:
        most = max(3, picture.height // (2 * letters.step))
        kept = text if len(text) <= most else [*text[: most - 1], f"and {len(text) - most + 1} more"]
        lines = [letters.cut(written(one), width - 2 * _GAP) for one in kept]
    bar = letters.step * len(lines) + _GAP
    sheet = Image.new("RGB", (width, picture.height + bar), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.rectangle((0, 0, width, bar - 1), fill=fill)
    for number, line in enumerate(lines):
        draw.text((_GAP, _GAP // 2 + letters.step * number), line, ink, letters.font)
    sheet.paste(picture.convert("RGB"), (0, bar))
    return sheet
