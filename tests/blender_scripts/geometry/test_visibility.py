"""Visible boxes, points and masks of small hand-made surfaces, against values that can be worked out by hand."""

from itertools import pairwise

import numpy as np
import pytest

from blender_scripts.geometry import scan_lines
from blender_scripts.geometry.facets import Facets, facing
from blender_scripts.geometry.visibility import Seen, Sight, Target

NO_MESH = (np.zeros((3, 0)), np.zeros((0, 3), int))


def quads(*corners: list[tuple[float, float, float]]) -> Facets:
    """Facets that face the camera from (u, v, w), counter-clockwise from outside; v points down."""
    facets, _ = facing(np.array(corners, float).transpose(2, 1, 0))
    assert facets.size == len(corners)
    return facets


def rectangle(x1: float, y1: float, x2: float, y2: float, w: float = 1.0) -> list[tuple[float, float, float]]:
    return [(x1, y2, w), (x2, y2, w), (x2, y1, w), (x1, y1, w)]


def target(*corners: list[tuple[float, float, float]], hides: bool = True) -> Target:
    return Target(quads(*corners), np.arange(len(corners)), hides)


def mesh(*corners: list[tuple[float, float, float]]) -> tuple[np.ndarray, np.ndarray]:
    vertices = np.array(corners, float).reshape(-1, 3).T
    first = 4 * np.arange(len(corners))[:, None, None]
    return vertices, (first + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)


def seen(*targets: Target, others: tuple = NO_MESH) -> list[Seen]:
    return Sight(targets, [others]).seen()


def test_nothing_hides_a_lone_surface() -> None:
    assert seen(target(rectangle(3.0, 5.0, 11.0, 7.0))) == [Seen([3.0, 5.0, 11.0, 7.0], 16 * 64)]


def test_a_point_counts_where_the_surface_covers_it_and_its_cell_is_in_the_box() -> None:
    # Points lie at 1/16, 3/16, ... px.
    [(box, points)] = seen(target(rectangle(0.07, 0.06, 1.18, 0.95)))
    assert box == [0.125, 0.0, 1.125, 1.0] and points == 8 * 8
    assert seen(target(rectangle(0.07, 0.0, 0.18, 5.0))) == [Seen(None, 0)]


@pytest.mark.parametrize("size", [0.25, 1.0, 30.0])
def test_a_surface_in_front_hides_and_one_behind_does_not(size: float) -> None:
    back = target(rectangle(3.0 * size, 5.0 * size, 11.0 * size, 7.0 * size))
    nearer, farther = (mesh(rectangle(0.0, 0.0, 5.0 * size, 9.0 * size, w)) for w in (1.1, 0.9))
    assert seen(back, others=nearer) == [
        Seen([5.0 * size, 5.0 * size, 11.0 * size, 7.0 * size], round(12 * 64 * size**2))
    ]
    assert seen(back, others=farther) == [
        Seen([3.0 * size, 5.0 * size, 11.0 * size, 7.0 * size], round(16 * 64 * size**2))
    ]


def test_targets_hide_one_another_by_depth_and_may_be_hidden_wholly() -> None:
    near, far = target(rectangle(0.0, 0.0, 10.0, 10.0, 2.0)), target(rectangle(2.0, 2.0, 8.0, 8.0, 1.0))
    assert seen(far, near) == [Seen(None, 0), Seen([0.0, 0.0, 10.0, 10.0], 6400)]
    unseen = near._replace(hides=False)
    assert seen(far, unseen)[0] == Seen([2.0, 2.0, 8.0, 8.0], 36 * 64)


@pytest.mark.parametrize(("thick", "rows"), [(0.5, 4), (0.07, 1), (0.06, 0)])
def test_a_thin_strip_is_seen_where_a_point_lies_in_it(thick: float, rows: int) -> None:
    # All right of x = 4 is hidden, but for a strip along the upper edge.
    [(box, points)] = seen(target(rectangle(0.0, 0.0, 20.0, 6.0)), others=mesh(rectangle(4.0, thick, 30.0, 9.0, 1.5)))
    assert box == [0.0, 0.0, 20.0 if rows else 4.0, 6.0]
    assert points == 24 * 64 + 16 * 8 * rows


def test_facets_of_one_surface_leave_no_crack_between_them() -> None:
    corners = np.linspace(0.0, 1.0, 14) ** 2 * 20.0 / 3.0
    fan = [[(x1, 8.0, 2.0), (x2, 8.0, 2.0), (10.0 / 3.0, -1.0, 2.0)] for x1, x2 in pairwise(corners)]
    vertices = np.array(fan).reshape(-1, 3).T
    hider = vertices, np.arange(vertices.shape[1]).reshape(-1, 3)
    gaps = Sight([target(rectangle(3.0, 1.0, 3.6, 2.0))], [hider]).lines.gaps(1000)
    assert len(gaps.lines) == 0


def test_surfaces_that_cross_hide_each_other_in_part() -> None:
    # Both are 10 px square and flat; one is level, the other rises from left to right through it at x = 4.
    level = target(rectangle(0.0, 0.0, 10.0, 10.0, 1.0))
    rising = [(x, y, 1.0 + 0.1 * (x - 4.0)) for x, y, _ in rectangle(0.0, 0.0, 10.0, 10.0)]
    assert seen(level, target(rising)) == [Seen([0.0, 0.0, 4.0, 10.0], 2560), Seen([4.0, 0.0, 10.0, 10.0], 3840)]


def test_pieces_that_overlap_count_once() -> None:
    found = seen(target(rectangle(0.0, 0.0, 6.0, 4.0), rectangle(4.0, 0.0, 10.0, 4.0, 1.2)))
    assert found == [Seen([0.0, 0.0, 10.0, 4.0], 40 * 64)]


@pytest.mark.parametrize("height", [6.0, 60.0])
def test_lines_run_across_and_along_and_in_batches(height: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # A ring round a hole, in front of a slope that rises through it: 20 px wide, and less or more high.
    back = [(x, y, 0.5 + 0.05 * x) for x, y, _ in rectangle(0.0, 0.0, 20.0, height)]
    ring = [rectangle(2.0, 1.0, 5.0, height - 1.0), rectangle(9.0, 1.0, 18.0, 0.5 * height)]
    sight = Sight([target(back), target(*ring)], [NO_MESH])
    whole = sight.seen()
    # The slope is in front right of x = 10.
    assert whole[1] == Seen([2.0, 1.0, 10.0, height - 1.0], round(64 * (3 * (height - 2) + 0.5 * height - 1)))
    assert whole[0].points + whole[1].points == 64 * 20 * height
    monkeypatch.setattr(scan_lines, "_BATCH", 7)
    monkeypatch.setattr(scan_lines, "_LINES", 3)
    assert sight.seen() == whole


def test_a_lens_moves_what_is_seen_and_bends_its_edges() -> None:
    # Columns bulge to the right by up to 1 px in the middle of the picture's height, rows downwards at x = 19.
    def bent(points: np.ndarray) -> np.ndarray:
        x, y = points[..., 0], points[..., 1]
        return points + np.stack([1.0 - ((y - 20.0) / 20.0) ** 2, 1.0 - ((x - 19.0) / 20.0) ** 2], axis=-1)

    hider = mesh(rectangle(-50.0, -50.0, 12.0, 90.0, 1.5))
    [(box, points)] = Sight([target(rectangle(8.0, 10.0, 26.0, 30.0))], [hider], bent).seen()
    assert box == pytest.approx([12.75, 10.8775, 27.0, 31.0], abs=0.01) and points == 14 * 20 * 64


def test_a_mask_shows_what_is_at_the_pixels_centres() -> None:
    near, far = target(rectangle(2.6, 1.4, 6.4, 3.6, 2.0)), target(rectangle(0.4, 0.6, 9.6, 2.4, 1.0))
    drawn = Sight([near, far, far._replace(hides=False)], [NO_MESH]).draw(np.array([7, 9, 0], np.uint16), 8, 5, 1)
    assert drawn.dtype == np.uint16
    assert drawn.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [9, 9, 9, 7, 7, 7, 9, 9],
        [0, 0, 0, 7, 7, 7, 0, 0],
        [0, 0, 0, 7, 7, 7, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_a_finer_mask_shows_what_covers_most_of_a_pixel() -> None:
    # The strip lies beside the centres of the pixels of its row, and covers 0.4 of each; three quarters of a corner.
    targets = [target(rectangle(0.0, 0.0, 4.0, 0.4)), target(rectangle(0.0, 2.25, 1.75, 4.0))]
    sight = Sight(targets, [NO_MESH])
    assert sight.draw(np.array([1, 2], np.uint16), 4, 4, 1)[0].tolist() == [0, 0, 0, 0]
    assert sight.draw(np.array([1, 2], np.uint16), 4, 4, 4).tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [2, 2, 0, 0],
        [2, 2, 0, 0],
    ]
