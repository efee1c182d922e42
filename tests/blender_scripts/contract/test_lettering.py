"""The stroke font: right sizes, true geometry, letters that a person can tell apart."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy import ndimage

from blender_scripts.contract.lettering import ALPHABET, is_symmetric, outline, size

CHORD_ERROR_MM = 0.002
INK = sorted(ALPHABET - {" "})
LINES = st.text(alphabet=sorted(ALPHABET), max_size=12)


def areas(vertices, faces):
    """Signed area of each face, mm^2 (shoelace)."""
    return [
        sum(
            vertices[a][0] * vertices[b][1] - vertices[b][0] * vertices[a][1]
            for a, b in itertools.pairwise((*face, face[0]))
        )
        / 2
        for face in faces
    ]


def raster(text, cap_px, stroke=0.14, supersampling=8):
    """Draw `text` on a page with its base line at the same place; ink is 1. Returns float32 (H, W)."""
    vertices, faces = outline(text, 1.0, stroke, "left")
    per_mm = cap_px * supersampling
    width = math.ceil((size(text, 1.0, stroke)[0] + 0.4) * cap_px) * supersampling
    height = math.ceil(1.8 * cap_px) * supersampling
    page = Image.new("L", (width, height))
    pen = ImageDraw.Draw(page)
    for face in faces:
        pen.polygon(
            [((vertices[i][0] + 0.2) * per_mm, height - (vertices[i][1] + 0.5) * per_mm) for i in face], fill=255
        )
    small = page.resize((width // supersampling, height // supersampling), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / 255


def regions(mask):
    """Number of 4-connected regions of True in `mask` (H, W)."""
    return ndimage.label(mask)[1]


def covered(points, vertices, faces):
    """Which of `points` (N, 2) lie in at least one convex face."""
    hit = np.zeros(len(points), bool)
    for face in faces:
        inside = np.ones(len(points), bool)
        for a, b in itertools.pairwise((*face, face[0])):
            (ax, ay), (bx, by) = vertices[a], vertices[b]
            inside &= (bx - ax) * (points[:, 1] - ay) - (by - ay) * (points[:, 0] - ax) >= -1e-9
        hit |= inside
    return hit


@pytest.mark.parametrize("text", ["", " ", "   "])
def test_a_text_without_ink_is_empty(text):
    assert outline(text, 2.0, 0.3) == ([], [])
    assert size(text, 2.0, 0.3) == (0.0, 0.0)


@given(LINES, st.floats(0.3, 20.0), st.floats(0.02, 0.25), st.sampled_from(["center", "left"]))
def test_faces_are_counter_clockwise_triangles_and_quads_of_real_vertices(text, height_mm, share, anchor):
    vertices, faces = outline(text, height_mm, share * height_mm, anchor)
    assert all(len(face) in (3, 4) and len(set(face)) == len(face) for face in faces)
    assert {i for face in faces for i in face} == set(range(len(vertices)))
    assert all(area > 0 for area in areas(vertices, faces))


@given(LINES.filter(str.strip), st.floats(0.5, 20.0), st.floats(0.05, 0.25))
def test_size_is_the_bounding_box_and_the_centre_its_middle(text, height_mm, share):
    width, height = size(text, height_mm, share * height_mm)
    xs, ys = np.array(outline(text, height_mm, share * height_mm, "center")[0]).T
    for values, extent in ((xs, width), (ys, height)):
        assert values.max() == pytest.approx(extent / 2, abs=1.1 * CHORD_ERROR_MM)
        assert values.min() == pytest.approx(-extent / 2, abs=1.1 * CHORD_ERROR_MM)


@pytest.mark.parametrize("capital", "ABCDEFGHIJKLMNOPRSTUVWXYZ0123456789")
def test_capitals_and_digits_stand_on_the_base_line_and_are_as_high_as_asked(capital):
    xs, ys = np.array(outline(capital, 2.5, 0.35, "left")[0]).T
    assert [xs.min(), ys.min(), ys.max()] == pytest.approx([0, 0, 2.5], abs=1.1 * CHORD_ERROR_MM)


@pytest.mark.parametrize("letter", "acemnorsuvwxz")
def test_small_letters_have_one_x_height(letter):
    ys = np.array(outline(letter, 1.0, 0.1, "left")[0])[:, 1]
    assert [ys.min(), ys.max()] == pytest.approx([0, 0.7 * 0.9 + 0.1], abs=1.1 * CHORD_ERROR_MM)


@pytest.mark.parametrize("letter", "gjpqy")
def test_descenders_go_below_the_base_line(letter):
    assert np.array(outline(letter, 1.0, 0.1, "left")[0])[:, 1].min() < -0.2


def test_widths_are_proportional_and_a_line_is_longer_than_its_letters():
    assert size("i", 2, 0.3)[0] < size("n", 2, 0.3)[0] < size("m", 2, 0.3)[0]
    assert size("n n", 2, 0.3)[0] > size("nn", 2, 0.3)[0] > 2 * size("n", 2, 0.3)[0]


def test_a_straight_stroke_has_round_caps():
    """`I` is a rectangle with a half disc at either end: check its area and that its ends are round."""
    height_mm, stroke_mm = 8.0, 1.0
    vertices, faces = outline("I", height_mm, stroke_mm)
    exact = stroke_mm * (height_mm - stroke_mm) + math.pi * stroke_mm**2 / 4
    assert sum(areas(vertices, faces)) == pytest.approx(exact, abs=math.pi * stroke_mm * CHORD_ERROR_MM)
    corner = np.array([[0.49, 3.99], [-0.49, 3.99], [0.49, -3.99], [-0.49, -3.99]])
    assert not covered(corner, vertices, faces).any()
    assert covered(np.array([[0.0, 3.99], [0.34, 3.85], [-0.34, -3.85]]), vertices, faces).all()


@pytest.mark.parametrize("height_mm", [0.8, 2.5, 20.0])
def test_arcs_are_smooth_on_both_sides_of_the_stroke(height_mm):
    """`O` is all points within half a stroke of a stadium's rim; polygons may miss that by the chord error only."""
    stroke_mm = 0.14 * height_mm
    vertices, faces = outline("O", height_mm, stroke_mm)
    bow = (size("O", height_mm, stroke_mm)[0] - stroke_mm) / 2
    straight = (height_mm - stroke_mm) / 2 - bow
    angles = np.linspace(0, math.tau, 2000, endpoint=False)
    rays = np.stack([np.cos(angles), np.sin(angles)], 1)
    centres = np.stack([np.zeros_like(angles), np.copysign(straight, rays[:, 1])], 1)
    margin = 1.5 * CHORD_ERROR_MM
    for radius, ink in (
        (bow - stroke_mm / 2 - margin, False),
        (bow - stroke_mm / 2 + margin, True),
        (bow, True),
        (bow + stroke_mm / 2 - margin, True),
        (bow + stroke_mm / 2 + margin, False),
    ):
        assert (covered(centres + radius * rays, vertices, faces) == ink).all()


HOLES = {**dict.fromkeys("ADOPQRabdegopq069", 1), "B": 2, "8": 2}


@pytest.mark.parametrize("character", INK)
@pytest.mark.parametrize("stroke", [0.06, 0.14, 0.18])
def test_counters_stay_open_and_strokes_hang_together(character, stroke):
    """Each character has the expected number of pieces and holes: only `i` and `j` have a dot; `4` is open."""
    page = raster(character, 40, stroke)
    holes = HOLES.get(character, 0)
    assert regions(page > 0.5) == (2 if character in "ij" else 1)
    assert regions(page < 0.5) == 1 + holes


@pytest.mark.parametrize("cap_px", [9, 40])
def test_no_two_characters_look_alike(cap_px):
    """Same pen, same base line, left edges aligned: ink that differs, in units of one full stroke of `l`."""
    pages = {character: raster(character, cap_px) for character in INK}
    stem = pages["I"].sum()
    for a, b in itertools.combinations(INK, 2):
        width = max(pages[a].shape[1], pages[b].shape[1])
        one, other = (np.pad(pages[c], ((0, 0), (0, width - pages[c].shape[1]))) for c in (a, b))
        assert np.abs(one - other).sum() > 0.15 * stem, f"{a} and {b}"


@pytest.mark.parametrize("pair", ["rn", "HI", "11", "vw", "A/", "LT", "..", "oo", "Il"])
@pytest.mark.parametrize("stroke", [0.1, 0.14, 0.2])
def test_neighbours_do_not_touch(pair, stroke):
    assert regions(raster(pair, 40, stroke) > 0.25) == 2


def test_one_text_has_one_outline():
    assert outline("Quality 3x9", 2.0, 0.3) == outline("Quality 3x9", 2.0, 0.3)


@pytest.mark.parametrize(("text", "named"), [("r2ß", "'ß'"), ("A\n", r"'\\n'"), ("größe", "'ö'"), ("a:b", "':'")])
def test_an_unknown_character_is_named(text, named):
    with pytest.raises(ValueError, match=named):
        outline(text, 2.0, 0.3)
    with pytest.raises(ValueError, match=named):
        size(text, 2.0, 0.3)


@pytest.mark.parametrize(
    ("height_mm", "stroke_mm", "named"),
    [
        (0.0, 0.1, "height_mm"),
        (-1.0, 0.1, "height_mm"),
        (math.nan, 0.1, "height_mm"),
        (math.inf, 0.1, "height_mm"),
        (2.0, 0.0, "stroke_mm"),
        (2.0, 0.51, "stroke_mm"),
        (2.0, math.nan, "stroke_mm"),
    ],
)
def test_sizes_out_of_range_are_refused(height_mm, stroke_mm, named):
    with pytest.raises(ValueError, match=named):
        outline("A", height_mm, stroke_mm)


def test_what_is_its_own_mirror_image():
    for stroke in (0.05, 0.14, 0.25):
        assert "".join(filter(lambda c: is_symmetric(c, 1.0, stroke), INK)) == "+-.08AHIMOTUVWXY_iovwx"
        assert all(is_symmetric(text, 1.0, stroke) for text in ("8008", "bd", "A TOYOT A"))
        assert not any(is_symmetric(text, 1.0, stroke) for text in ("101", "A1", "AH", "bb", "8 0"))


def test_an_unknown_anchor_is_refused():
    with pytest.raises(ValueError, match="anchor"):
        outline("A", 2.0, 0.3, "middle")
