"""The stroke font of the printed marking: text to flat polygons, the same in every Blender version.

Blender's built-in font and its curve tessellation change between versions, and with them the printed digits that a
detector may confuse with defects. So the marking is drawn here from a skeleton of lines and circular arcs, with a
round pen, as a pad printer's cliché or a marking laser would draw it. Plain technical letters: straight sides, round
corners, no contrast.

Glyph notation: strokes are separated by `;`, corners by `,`; a corner is `x y` or `x y r`, where r is the radius that
rounds it off. A stroke that ends in `z` is closed. One unit is the skeleton's cap
height; y = 0 is the base line, lower-case letters reach 0.7, descenders -0.28.
"""

import math
from functools import cache
from itertools import pairwise

Point = tuple[float, float]
Face = tuple[int, ...]

# A chord may leave its arc by this much: 0.04 px at 20 px/mm, which no anti-aliasing shows.
_CHORD_ERROR_MM = 0.002
_LONGEST_ARC_STEP = math.radians(30)
# Free space between neighbouring letters with upright sides, in character heights; never under 1.2 strokes.
_LETTER_GAP = 0.21
_LETTER_GAP_STROKES = 1.2
_SPACE = 0.22
# A wider pen would fill the enclosed spaces of `a`, `e`, `8`.
_WIDEST_STROKE = 0.25
_DECIMALS = 6

_GLYPHS = {
    "A": "0 0, .32 1, .64 0; .1 .3125, .54 .3125",
    "B": "0 .53, .51 .53 .235, .51 1 .235, 0 1, 0 0, .57 0 .265, .57 .53 .265, .3 .53",
    "C": ".54 .71, .54 1 .27, 0 1 .27, 0 0 .27, .54 0 .27, .54 .29",
    "D": "0 0, 0 1, .56 1 .28, .56 0 .28 z",
    "E": ".5 1, 0 1, 0 0, .5 0; 0 .52, .43 .52",
    "F": ".5 1, 0 1, 0 0; 0 .5, .43 .5",
    "G": ".55 .72, .55 1 .275, 0 1 .275, 0 0 .275, .55 0 .275, .55 .46, .3 .46",
    "H": "0 0, 0 1; .56 0, .56 1; 0 .52, .56 .52",
    "I": "0 0, 0 1",
    "J": ".38 1, .38 0 .19, 0 0 .19, 0 .22",
    "K": "0 0, 0 1; .54 1, 0 .36; .19 .585, .57 0",
    "L": "0 1, 0 0, .47 0",
    "M": "0 0, 0 1, .35 .32, .7 1, .7 0",
    "N": "0 0, 0 1, .58 0, .58 1",
    "O": "0 1 .28, .56 1 .28, .56 0 .28, 0 0 .28 z",
    "P": "0 0, 0 1, .54 1 .27, .54 .44 .27, 0 .44",
    "Q": "0 1 .28, .56 1 .28, .56 0 .28, 0 0 .28 z; .33 .25, .6 -.06",
    "R": "0 0, 0 1, .54 1 .265, .54 .46 .265, 0 .46; .29 .46, .57 0",
    "S": ".52 .76, .52 1 .24, .01 1 .24, .01 .57 .19, .54 .45 .2, .54 0 .24, 0 0 .24, 0 .24",
    "T": "0 1, .58 1; .29 0, .29 1",
    "U": "0 1, 0 0 .28, .56 0 .28, .56 1",
    "V": "0 1, .31 0, .62 1",
    "W": "0 1, .23 0, .46 1, .69 0, .92 1",
    "X": "0 0, .58 1; 0 1, .58 0",
    "Y": "0 1, .3 .45, .6 1; .3 .45, .3 0",
    "Z": "0 1, .54 1, 0 0, .55 0",
    "a": ".05 .7, .43 .7 .19, .43 0; .43 .41, 0 .41 .205, 0 0 .205, .43 0 .205, .43 .3",
    "b": "0 1, 0 0; 0 .7 .23, .46 .7 .23, .46 0 .23, 0 0 .23 z",
    "c": ".43 .5, .43 .7 .2, 0 .7 .215, 0 0 .215, .43 0 .2, .43 .2",
    "d": ".46 1, .46 0; 0 .7 .23, .46 .7 .23, .46 0 .23, 0 0 .23 z",
    "e": "0 .35, .46 .35, .46 .7 .23, 0 .7 .23, 0 0 .23, .4 0",
    "f": ".34 1, .12 1 .2, .12 0; 0 .7, .32 .7",
    "g": ".46 .7, .46 -.28 .2, .05 -.28; 0 .7 .23, .46 .7 .23, .46 0 .23, 0 0 .23 z",
    "h": "0 1, 0 0; 0 .4, 0 .7 .22, .45 .7 .22, .45 0",
    "i": "0 0, 0 .7; -.02 .98, .02 .98, .02 1.02, -.02 1.02 z",
    "j": ".15 .7, .15 -.28 .16, -.02 -.28; .13 .98, .17 .98, .17 1.02, .13 1.02 z",
    "k": "0 0, 0 1; .4 .7, 0 .26; .14 .414, .43 0",
    "l": "0 1, 0 0 .16, .15 0",
    "m": "0 0, 0 .7; 0 .4, 0 .7 .19, .38 .7 .19, .38 0; .38 .4, .38 .7 .19, .76 .7 .19, .76 0",
    "n": "0 0, 0 .7; 0 .4, 0 .7 .22, .45 .7 .22, .45 0",
    "o": "0 .7 .235, .47 .7 .235, .47 0 .235, 0 0 .235 z",
    "p": "0 .7, 0 -.28; 0 .7 .23, .46 .7 .23, .46 0 .23, 0 0 .23 z",
    "q": ".46 .7, .46 -.28; 0 .7 .23, .46 .7 .23, .46 0 .23, 0 0 .23 z",
    "r": "0 0, 0 .7; 0 .4, 0 .7 .2, .28 .7",
    "s": ".38 .7, 0 .7 .16, 0 .39 .14, .42 .31 .14, .42 0 .16, .01 0",
    "t": ".12 .93, .12 0 .18, .33 0; 0 .7, .33 .7",
    "u": "0 .7, 0 0 .22, .45 0 .22, .45 .3; .45 .7, .45 0",
    "v": "0 .7, .24 0, .48 .7",
    "w": "0 .7, .19 0, .38 .7, .57 0, .76 .7",
    "x": "0 0, .44 .7; 0 .7, .44 0",
    "y": "0 .7, .24 0; .48 .7, .144 -.28 .1, .01 -.28",
    "z": "0 .7, .41 .7, 0 0, .42 0",
    "0": "0 1 .25, .5 1 .25, .5 0 .25, 0 0 .25 z",
    "1": "0 .78, .24 1, .24 0",
    "2": ".01 .74, .01 1 .25, .51 1 .25, .51 .6 .2, 0 0, .53 0",
    "3": "0 .77, 0 1 .23, .49 1 .23, .49 .53 .235, .2 .53; .2 .53, .53 .53 .265, .53 0 .265, 0 0 .25, 0 .25",
    "4": ".29 1, 0 .24, .56 .24; .4 .5, .4 0",
    "5": ".48 1, .05 1, .05 .6, .52 .6 .26, .52 0 .26, 0 0 .25, 0 .22",
    "6": "0 .58 .265, .53 .58 .265, .53 0 .265, 0 0 .265 z; .36 1, 0 .42 .25, 0 .3",
    "7": "0 1, .51 1, .17 0",
    "8": ".03 1 .235, .5 1 .235, .5 .53 .235, .03 .53 .235 z; 0 .53 .265, .53 .53 .265, .53 0 .265, 0 0 .265 z",
    "9": ".53 .42 .265, 0 .42 .265, 0 1 .265, .53 1 .265 z; .17 0, .53 .58 .25, .53 .7",
    "_": "0 -.14, .56 -.14",
    "-": "0 .42, .32 .42",
    ".": "0 0, .045 0, .045 .045, 0 .045 z",
    "/": "0 -.06, .42 1.06",
    "+": "0 .42, .5 .42; .25 .17, .25 .67",
    " ": "",
}

# Round and open sides look further away than upright ones, so they stand closer: (left, right) in character heights.
_CLOSER = {
    **dict.fromkeys("COQGSabcdeghmnopqsu0235689", (0.02, 0.02)),
    **dict.fromkeys("AVWYTvwxyXZz/47", (0.05, 0.05)),
    **dict.fromkeys("DPBR", (0.0, 0.02)),
    **dict.fromkeys("KkEFLr", (0.0, 0.04)),
    **dict.fromkeys("J1ftj", (0.05, 0.0)),
}

ALPHABET = frozenset(_GLYPHS)
"""Characters that can be printed."""


def outline(text: str, height_mm: float, stroke_mm: float, anchor: str = "center") -> tuple[list[Point], list[Face]]:
    """Convert a line of text to flat polygons in the XY plane.

    Strokes have round ends and round corners. The polygons of a text may overlap; none has zero area.

    Args:
        text: characters out of `ALPHABET`; without ink (empty, spaces) the result is empty.
        height_mm: height of a capital over the outside of its strokes.
        stroke_mm: width of the pen, at most a quarter of `height_mm`.
        anchor: what lies at the origin: `center`, the centre of the ink's bounding box, or `left`, the ink's left
            edge on the base line (the lower edge of `E`).

    Returns:
        Vertices (x, y) in mm and faces as vertex indices: triangles and quads, counter-clockwise seen from +Z.

    Raises:
        ValueError: the font lacks a character, a size is out of range, or the anchor is unknown.
    """
    if anchor not in ("center", "left"):
        raise ValueError(f"anchor must be 'center' or 'left', but got {anchor!r}")
    strokes, reach = _lay_out(text, height_mm, stroke_mm)
    x_min, y_min, x_max, y_max = _ink(strokes, reach)
    origin = ((x_min + x_max) / 2, (y_min + y_max) / 2) if anchor == "center" else (x_min, 0.0)
    vertices: list[Point] = []
    faces: list[Face] = []
    for stroke, closed in strokes:
        path = [(x - origin[0], y - origin[1]) for x, y in stroke]
        for polygon in _pen(path, closed, reach):
            faces += _faces(len(polygon), len(vertices))
            # Rounding takes out the last-bit differences between the C libraries of Blender builds.
            vertices += [(round(x, _DECIMALS), round(y, _DECIMALS)) for x, y in polygon]
    return vertices, faces


def size(text: str, height_mm: float, stroke_mm: float) -> tuple[float, float]:
    """Return width and height, mm, of a text's ink; (0, 0) without ink. Arguments and errors: see `outline`."""
    strokes, reach = _lay_out(text, height_mm, stroke_mm)
    x_min, y_min, x_max, y_max = _ink(strokes, reach)
    return round(x_max - x_min, _DECIMALS), round(y_max - y_min, _DECIMALS)


@cache
def is_symmetric(text: str, height_mm: float, stroke_mm: float) -> bool:
    """Whether a text, printed with letters `height_mm` high and a pen `stroke_mm` wide, is its own mirror image.

    Left and right are exchanged, so `8` and `AHA` are. Raises ValueError as `outline` does.
    """
    points, _ = outline(text, height_mm, stroke_mm)
    right, left = ({(round(sign * x, 4), round(y, 4)) for x, y in points} for sign in (1.0, -1.0))
    return right == left


def _lay_out(text: str, height_mm: float, stroke_mm: float) -> tuple[list[tuple[list[Point], bool]], float]:
    """Centre lines of all strokes in mm as (points, closed), base line at y = 0, and half the pen's width."""
    if not (math.isfinite(height_mm) and height_mm > 0):
        raise ValueError(f"height_mm must be a positive length, but got {height_mm!r}")
    if not 0 < stroke_mm <= _WIDEST_STROKE * height_mm:
        raise ValueError(
            f"stroke_mm must be over 0 and at most {_WIDEST_STROKE:g} of height_mm = {height_mm:g}, "
            f"but got {stroke_mm!r}"
        )
    for column, character in enumerate(text, 1):
        if character not in ALPHABET:
            raise ValueError(
                f"expected characters of the marking font, got {character!r} as character {column} of {text!r}"
            )
    reach = stroke_mm / 2
    scale = height_mm - stroke_mm
    gap = max(_LETTER_GAP * height_mm, _LETTER_GAP_STROKES * stroke_mm)
    strokes: list[tuple[list[Point], bool]] = []
    pen_x = 0.0
    for character in text:
        if character == " ":
            pen_x += _SPACE * height_mm
            continue
        closer_left, closer_right = _CLOSER.get(character, (0.0, 0.0))
        glyph = _glyph(character)
        left = min(x for corners, _ in glyph for x, _, _ in corners)
        right = max(x for corners, _ in glyph for x, _, _ in corners)
        pen_x += reach - left * scale - closer_left * height_mm
        for corners, closed in glyph:
            moved = [(pen_x + x * scale, reach + y * scale, r * scale) for x, y, r in corners]
            strokes.append((_flatten(moved, closed, reach), closed))
        pen_x += right * scale + reach + gap - closer_right * height_mm
    return strokes, reach


@cache
def _glyph(character: str) -> tuple[tuple[tuple[tuple[float, float, float], ...], bool], ...]:
    """The strokes of one glyph as (corners (x, y, radius), closed), in skeleton units."""
    strokes = []
    for notation in _GLYPHS[character].split(";"):
        closed = notation.endswith("z")
        corners = []
        for corner in notation.removesuffix("z").split(","):
            x, y, *radius = (float(number) for number in corner.split())
            corners.append((x, y, radius[0] if radius else 0.0))
        strokes.append((tuple(corners), closed))
    return tuple(strokes)


def _ink(strokes: list[tuple[list[Point], bool]], reach: float) -> tuple[float, float, float, float]:
    points = [point for stroke, _ in strokes for point in stroke]
    if not points:
        return 0.0, 0.0, 0.0, 0.0
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs) - reach, min(ys) - reach, max(xs) + reach, max(ys) + reach


def _steps(sweep: float, radius_mm: float) -> int:
    """Number of chords for an arc of `sweep` radians, so that none leaves the arc by more than the chord error."""
    longest = 2 * math.acos(max(1 - _CHORD_ERROR_MM / radius_mm, -1.0))
    return max(1, math.ceil(abs(sweep) / min(longest, _LONGEST_ARC_STEP) - 1e-9))


def _flatten(corners: list[tuple[float, float, float]], closed: bool, reach: float) -> list[Point]:
    """Replace each rounded corner by the chords of the arc that touches both its legs; units mm."""
    points: list[Point] = []
    count = len(corners)
    for i, (x, y, radius) in enumerate(corners):
        if radius == 0 or (not closed and i in (0, count - 1)):
            points.append((x, y))
            continue
        before, after = corners[i - 1], corners[(i + 1) % count]
        heading_in = math.atan2(y - before[1], x - before[0])
        heading_out = math.atan2(after[1] - y, after[0] - x)
        turn = math.remainder(heading_out - heading_in, math.tau)
        tangent = radius * math.tan(abs(turn) / 2)
        side = math.copysign(1.0, turn)
        # The arc's centre lies beside the point where the incoming leg ends, on the inside of the turn.
        centre_x = x - tangent * math.cos(heading_in) - side * radius * math.sin(heading_in)
        centre_y = y - tangent * math.sin(heading_in) + side * radius * math.cos(heading_in)
        steps = _steps(turn, radius + reach)
        for step in range(steps + 1):
            angle = heading_in - side * math.pi / 2 + turn * step / steps
            points.append((centre_x + radius * math.cos(angle), centre_y + radius * math.sin(angle)))
    return _without_repeats(points, closed)


def _without_repeats(points: list[Point], closed: bool) -> list[Point]:
    """Keep one of two equal points (up to rounding) where arcs meet without a straight piece between them."""
    kept = points[:1]
    for point in points[1:]:
        if math.dist(point, kept[-1]) > 1e-6:
            kept.append(point)
    if closed and math.dist(kept[0], kept[-1]) <= 1e-6:
        kept.pop()
    return kept


def _pen(path: list[Point], closed: bool, reach: float) -> list[list[Point]]:
    """Polygons over the area that a round pen of radius `reach` covers along `path`, mm.

    Returns:
        Counter-clockwise polygons: rectangles, and sectors of a circle (fans) as their centre followed by their rim.
    """
    ring = [*path, path[0]] if closed else path
    polygons = []
    headings = []
    for (x0, y0), (x1, y1) in pairwise(ring):
        heading = math.atan2(y1 - y0, x1 - x0)
        headings.append(heading)
        across_x, across_y = -reach * math.sin(heading), reach * math.cos(heading)
        polygons.append(
            [
                (x0 - across_x, y0 - across_y),
                (x1 - across_x, y1 - across_y),
                (x1 + across_x, y1 + across_y),
                (x0 + across_x, y0 + across_y),
            ]
        )
    for i in range(0 if closed else 1, len(headings)):
        turn = math.remainder(headings[i] - headings[i - 1], math.tau)
        if abs(turn) > 1e-6:
            # A left turn opens a gap on the right of the path, a right turn on its left.
            start = headings[i - 1] - math.pi / 2 if turn > 0 else headings[i] + math.pi / 2
            polygons.append(_fan(ring[i], start, abs(turn), reach))
    if not closed:
        polygons.append(_fan(path[0], headings[0] + math.pi / 2, math.pi, reach))
        polygons.append(_fan(path[-1], headings[-1] - math.pi / 2, math.pi, reach))
    return polygons


def _fan(hub: Point, start: float, sweep: float, radius: float) -> list[Point]:
    steps = _steps(sweep, radius)
    rim = [start + sweep * step / steps for step in range(steps + 1)]
    return [hub, *((hub[0] + radius * math.cos(a), hub[1] + radius * math.sin(a)) for a in rim)]


def _faces(count: int, start: int) -> list[Face]:
    """Faces of one polygon: triangles of a fan, or one quad; a fan of two triangles is a convex quad too."""
    if count == 4:
        return [(start, start + 1, start + 2, start + 3)]
    return [(start, start + i, start + i + 1) for i in range(1, count - 1)]
