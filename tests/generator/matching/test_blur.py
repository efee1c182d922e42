"""The blur of drawn edges, by motion or by a lens, is found with its size and kind; without one, none is found."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from blender_scripts.geometry.lens import NO_DISTORTION, Lens
from blender_scripts.geometry.optics import Camera, look_at
from blender_scripts.geometry.sensor import Capture, develop, smear
from generator.io.srgb import linear
from generator.matching.blur import FOLDS, PIXEL_VARIANCE, blurred, spreads, widening, width_px
from generator.matching.blur_kinds import Blur, choose, fit_motion
from generator.matching.renders import Rendered
from generator.matching.shifts import measure

WIDTH, HEIGHT, FINE = 240, 160, 8
CAPTURE = Capture(1.0, full_well_e=8000.0, read_noise_e=10.0)
CAMERA = Camera(
    "center",
    look_at(np.array([0.0, 0.0, 100.0]), np.zeros(3), np.array([0.0, 1.0, 0.0])),
    Lens(WIDTH, HEIGHT, 600.0, NO_DISTORTION),
)


def light(turn):
    """Turned dark squares on a bright table, (H, W, 3) linear."""
    y, x = np.mgrid[0 : HEIGHT * FINE, 0 : WIDTH * FINE] / FINE
    angle = np.radians(turn)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    dark = ((u % 40.0) < 20.0) & ((v % 40.0) < 20.0)
    shade = np.where(dark, 0.08, 0.5).reshape(HEIGHT, FINE, WIDTH, FINE).mean(axis=(1, 3))
    return np.repeat(shade[..., None], 3, axis=2).astype(np.float32)


TURNS = (10.0, 27.0, 50.0, 65.0, 80.0)
# The picture's right half is farther away: a lens may show it sharp and the left half blurred, or the reverse.
DEPTHS = np.where(np.arange(WIDTH) < WIDTH // 2, 92.0, 100.0) * np.ones((HEIGHT, 1))


def same(drawn):
    return drawn


def moved(motion_px):
    return lambda drawn: smear(drawn, motion_px)


def by_lens(opening, focus):
    """A lens with an opening of so many mm, in focus at a distance, mm; blur as a normal distribution."""

    def seen(drawn):
        variance = (600.0 * opening * (1.0 / DEPTHS - 1.0 / focus)) ** 2 / 16.0
        halves = [blurred(drawn, float(variance[0, column])) for column in (0, -1)]
        return np.where((DEPTHS < 95.0)[..., None], *halves).astype(np.float32)

    return seen


def rendered(turn, seen):
    pixels = develop(seen(light(turn)), Capture(1.0), "", "camera")
    return Rendered(pixels, DEPTHS, np.zeros((HEIGHT, WIDTH), int), CAMERA)


def taken(seen, first):
    return [develop(seen(light(turn)), CAPTURE, str(first + n), "camera") for n, turn in enumerate(TURNS)]


def compared(pictures):
    renders = [rendered(turn, same) for turn in TURNS[: len(pictures)]]
    edges = [measure(picture, render, 1.5) for picture, render in zip(pictures, renders, strict=True)]
    return spreads(pictures, renders, edges), edges


@pytest.fixture(scope="module")
def sharp():
    return compared(taken(same, 100))[0]


def as_drawn(blur):
    """Renders with a blur."""
    if blur.kind == "motion":
        seen = moved((blur.size * np.cos(blur.focus_or_azimuth), -blur.size * np.sin(blur.focus_or_azimuth)))
    else:
        seen = same if blur.kind == "none" else by_lens(blur.size, blur.focus_or_azimuth)
    return [rendered(turn, seen) for turn in TURNS]


def chosen(seen, sharp):
    """The blur that is chosen, and its size after two rounds of renders with it."""
    pictures = taken(seen, 0)
    found, edges = compared(pictures)
    some = slice(0, None, 2)
    blur = choose(widening(found, sharp, CAMERA), found, pictures[some], edges[some], lambda blur: as_drawn(blur)[some])
    for first in (200, 300) if blur.kind != "none" else ():
        own = [
            develop(linear(each.pixels).astype(np.float32), CAPTURE, str(first), "camera") for each in as_drawn(blur)
        ]
        blur = blur.scaled((found.best() - sharp.best()) / (compared(own)[0].best() - sharp.best()))
    return blur


@pytest.mark.parametrize("variance", [0.04, 0.1, 0.3, 2.0])
def test_variances_are_found_as_they_are(variance, sharp):
    found, _ = compared(taken(lambda drawn: blurred(drawn, variance).astype(np.float32), 0))
    assert found.best() - sharp.best() == pytest.approx(variance, rel=0.15, abs=0.012)


def test_length_and_direction_of_a_motion(sharp):
    found = fit_motion(widening(compared(taken(moved((1.73, -1.0)), 0))[0], sharp, CAMERA))
    assert found is not None and found.size == pytest.approx(2.0, rel=0.3)  # before renders with it correct its size
    assert np.degrees(found.focus_or_azimuth) % 180.0 == pytest.approx(30.0, abs=15.0)  # as is its direction
    assert found.u[0] < 0.6


def test_kinds_are_told_apart(sharp):
    assert chosen(same, sharp).kind == "none"
    motion = chosen(moved((1.73, -1.0)), sharp)
    assert motion.kind == "motion" and motion.size == pytest.approx(2.0, rel=0.08)
    assert np.degrees(motion.focus_or_azimuth) % 180.0 == pytest.approx(30.0, abs=8.0)
    assert chosen(by_lens(1.0, 180.0), sharp).kind == "even"


@pytest.mark.parametrize("focus", [92.0, 100.0])
def test_the_distance_of_a_focus_is_found(focus, sharp):
    found = chosen(by_lens(12.0, focus), sharp)
    assert found.kind == "defocus"
    assert abs(found.focus_or_azimuth - focus) < found.u[1] < 5.0
    assert abs(found.size - 12.0) < found.u[0] < 8.0


def test_photographs_without_contrast_tell_no_blur(sharp):
    dark = [np.full((HEIGHT, WIDTH, 3), 3, np.uint8)] * len(TURNS)
    renders = [rendered(turn, same) for turn in TURNS]
    edges = [measure(each.pixels, each, 1.5) for each in renders]
    found = spreads(dark, renders, edges)
    wider = widening(found, sharp, CAMERA)
    assert not len(found.depths) and not len(wider.variance) and wider.mean_sd == np.inf
    assert choose(wider, found, dark, edges, as_drawn) == Blur("none")


def test_a_blur_is_scaled_by_its_variance_but_not_at_once():
    blur = Blur("even", 2.0, 120.0, (0.2, 0.0))
    assert blur.scaled(2.25).size == pytest.approx(3.0) and blur.scaled(2.25).u[0] == pytest.approx(0.3)
    assert blur.scaled(100.0).size == 4.0 and blur.scaled(0.0).size == 1.0
    assert blur.scaled(2.25).doubted(blur).u == pytest.approx((np.hypot(0.3, 1.0), 0.0))


def test_a_sharp_edge_is_as_wide_as_the_pixels_filter():
    # Cycles' filter of a width of 1.5 px is a Blackman-Harris window of 3 px.
    x = np.linspace(-1.5, 1.5, 4001)
    window = sum(
        share * np.cos(2.0 * np.pi * n * (x / 3.0 + 0.5))
        for n, share in enumerate((0.35875, -0.48829, 0.14128, -0.01168))
    )
    variance = float((window * x**2).sum() / window.sum())
    assert variance == pytest.approx(PIXEL_VARIANCE, abs=5e-4) and width_px(0.1) == pytest.approx(
        (variance + 0.1) ** 0.5, abs=1e-3
    )


def test_edges_on_the_table_do_not_count_in_the_share():
    """The left half of the picture lies 8 mm above the table, on which the photograph has another texture."""
    render = rendered(10.0, same)
    table = np.roll(render.pixels, (9, 7), axis=(0, 1))[::-1]
    other = np.where((DEPTHS > 95.0)[..., None], table, render.pixels)
    flat = replace(render, depth=np.full_like(DEPTHS, 100.0))
    assert measure(other, render, 1.5).share > 0.95 and measure(other, flat, 1.5).share < 0.8


def test_folds_have_edges_of_all_strengths(sharp):
    found, _ = compared(taken(same, 0)[:1])
    strengths = [found.only(found.folds == fold).strengths.mean() for fold in range(FOLDS)]
    assert max(strengths) < 1.25 * min(strengths)


def test_the_drawn_squares_are_where_they_are_drawn():
    clean = develop(light(10.0), Capture(1.0), "", "camera")
    render = Rendered(clean, np.full((HEIGHT, WIDTH), 100.0), np.zeros((HEIGHT, WIDTH), int), CAMERA)
    moved = Image.fromarray(clean).transform((WIDTH, HEIGHT), Image.Transform.AFFINE, (1, 0, -0.5, 0, 1, 0.25), 3)
    edges = measure(np.asarray(moved), render, 2.0)
    assert np.median(np.abs(edges.normals @ (0.5, -0.25) - edges.shifts)) < 0.05
    assert np.allclose(edges.places[:, 2], 0.0)
