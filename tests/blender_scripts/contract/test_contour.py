"""Contours: distances against sampled points, the points round one, and lengths."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blender_scripts.contract.contour import Contour
from tests.soak import times

D = Contour.d_shape((16.9, 8.3), 1.5, 10.0)
CONTOURS = {
    "rectangle": Contour.rectangle((38.4, 15.6), 1.6),
    "turned": Contour.rectangle((5.0, 2.0), 0.4, (3.0, -2.0), 33.0),
    "d": D,
    "circle": Contour.circle(13.4, (1.0, 2.0)),
    "stadium": Contour.rectangle((8.0, 4.0), 2.0 - 1e-6),
}


@st.composite
def contours(draw: st.DrawFn) -> Contour:
    width, height = draw(st.floats(0.5, 40.0)), draw(st.floats(0.5, 40.0))
    radius = draw(st.floats(0.02, 0.98)) * 0.5 * min(width, height)
    match draw(st.sampled_from(("rectangle", "d", "circle"))):
        case "rectangle":
            center = draw(st.floats(-9.0, 9.0)), draw(st.floats(-9.0, 9.0))
            return Contour.rectangle((width, height), radius, center, draw(st.floats(-360.0, 360.0)))
        case "d":
            # Wide enough for its lower edge.
            return Contour.d_shape((width + 1.5 * height, height), radius, draw(st.floats(1.0, 30.0)))
    return Contour.circle(width, (draw(st.floats(-9.0, 9.0)), draw(st.floats(-9.0, 9.0))))


def dense(contour: Contour, count: int = 1000) -> np.ndarray:
    """Points of the contour, (N, 2), once round."""
    alongs = np.linspace(0.0, contour.length_mm, count, endpoint=False)
    return np.array([contour.point_at(along).at(contour.radius_mm) for along in alongs])


def inside(polygon: np.ndarray, point: np.ndarray) -> bool:
    """Whether a counter-clockwise convex polygon holds a point."""
    sides = np.roll(polygon, -1, axis=0) - polygon
    to_point = point - polygon
    return bool(np.all(sides[:, 0] * to_point[:, 1] - sides[:, 1] * to_point[:, 0] > 0.0))


@settings(max_examples=times(40))
@given(contours(), st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))
def test_the_distance_is_that_to_the_nearest_point(contour: Contour, right: float, up: float) -> None:
    (x1, y1), (x2, y2) = contour.bounds
    point = np.array([0.5 * (x1 + x2 + right * (x2 - x1)), 0.5 * (y1 + y2 + up * (y2 - y1))])
    line = dense(contour)
    nearest = float(np.linalg.norm(line - point, axis=1).min())
    step = contour.length_mm / len(line)
    found = contour.distance(*point)
    assert abs(found) <= nearest + 1e-9
    assert abs(found) == pytest.approx(nearest, abs=0.5 * step + 1e-6)
    if nearest > step:
        assert (found < 0.0) == inside(line, point)


@settings(max_examples=times(40))
@given(contours())
def test_stations_lie_on_the_contour_once_round(contour: Contour) -> None:
    radius = contour.radius_mm
    ring = np.array([point.at(radius) for point in contour.points])
    alongs = [point.along_mm for point in contour.points]
    assert alongs == sorted(alongs) and alongs[0] == 0.0 and alongs[-1] < contour.length_mm
    for point, (x, y) in zip(contour.points, ring, strict=True):
        assert math.hypot(*point.outward) == pytest.approx(1.0)
        assert contour.distance(x, y) == pytest.approx(0.0, abs=1e-9)
        # Along the outward vector the distance grows by the step.
        assert contour.distance(*point.at(radius + 0.3)) == pytest.approx(0.3, abs=1e-9)
        assert contour.point_at(point.along_mm).at(radius) == pytest.approx((x, y), abs=1e-9)
    x, y = ring.T
    assert float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) > 0.0
    # Lengths are measured along the curve.
    line = dense(contour)
    pieces = np.linalg.norm(np.roll(line, -1, axis=0) - line, axis=1)
    assert pieces.sum() == pytest.approx(contour.length_mm, rel=1e-3)
    assert pieces.max() <= contour.length_mm / len(line) * (1.0 + 1e-6)


@settings(max_examples=times(40))
@given(contours(), st.floats(0.0, 360.0))
def test_towards_is_seen_from_the_middle(contour: Contour, azimuth: float) -> None:
    along = contour.towards(azimuth)
    assert 0.0 <= along < contour.length_mm
    x, y = contour.point_at(along).at(contour.radius_mm)
    middle = contour.middle
    off = math.degrees(math.atan2(y - middle[1], x - middle[0])) - azimuth
    assert (off + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-3)


@settings(max_examples=times(40))
@given(contours(), st.floats(0.01, 5.0), st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))
def test_wider_is_wider_by_as_much(contour: Contour, offset: float, right: float, up: float) -> None:
    wide = contour.wider(offset)
    (x1, y1), (x2, y2) = contour.bounds
    x, y = 0.5 * (x1 + x2 + right * (x2 - x1)), 0.5 * (y1 + y2 + up * (y2 - y1))
    assert wide.distance(x, y) == pytest.approx(contour.distance(x, y) - offset)
    assert wide.length_mm == pytest.approx(contour.length_mm + 2.0 * math.pi * offset)
    assert wide.bounds[1] == pytest.approx(tuple(edge + offset for edge in contour.bounds[1]))
    assert wide.middle == pytest.approx(contour.middle)


@pytest.mark.parametrize("contour", CONTOURS.values(), ids=CONTOURS)
def test_the_box_touches_the_contour(contour: Contour) -> None:
    line = dense(contour, 4000)
    (x1, y1), (x2, y2) = contour.bounds
    assert line.min(axis=0) == pytest.approx([x1, y1], abs=1e-3)
    assert line.max(axis=0) == pytest.approx([x2, y2], abs=1e-3)


def test_a_rectangle_has_its_size_and_straight_sides() -> None:
    contour = CONTOURS["rectangle"]
    assert contour.bounds == (pytest.approx((-19.2, -7.8)), pytest.approx((19.2, 7.8)))
    assert contour.length_mm == pytest.approx(2 * (38.4 + 15.6) - 8 * 1.6 + 2 * math.pi * 1.6)
    assert contour.distance(0.0, 0.0) == pytest.approx(-7.8)
    assert contour.distance(19.2, 0.0) == pytest.approx(0.0)
    assert contour.distance(19.2, 7.8) == pytest.approx(1.6 * (math.sqrt(2.0) - 1.0))
    assert contour.distance(22.2, 11.8) == pytest.approx(math.hypot(4.6, 5.6) - 1.6)


def test_a_turned_rectangle_is_the_rectangle_turned() -> None:
    turned, plain = CONTOURS["turned"], Contour.rectangle((5.0, 2.0), 0.4)
    cosine, sine = math.cos(math.radians(33.0)), math.sin(math.radians(33.0))
    for x, y in ((0.0, 0.0), (2.5, 1.0), (-3.0, 0.2), (1.0, -4.0)):
        there = 3.0 + cosine * x - sine * y, -2.0 + sine * x + cosine * y
        assert turned.distance(*there) == pytest.approx(plain.distance(x, y))


def test_a_d_leans_inwards_from_top_to_bottom() -> None:
    assert D.bounds[1][1] == pytest.approx(4.15) and D.bounds[0][1] == pytest.approx(-4.15)
    for y in (1.0, -2.0):
        # The sharp corner is half the width from the middle, at the top.
        x = 0.5 * 16.9 - math.tan(math.radians(10.0)) * (0.5 * 8.3 - y)
        assert D.distance(x, y) == pytest.approx(0.0) and D.distance(-x, y) == pytest.approx(0.0)


def test_a_circle_is_round() -> None:
    circle = CONTOURS["circle"]
    assert circle.distance(1.0, 2.0) == pytest.approx(-6.7)
    assert circle.length_mm == pytest.approx(math.pi * 13.4)
    assert circle.bounds == (pytest.approx((-5.7, -4.7)), pytest.approx((7.7, 8.7)))
